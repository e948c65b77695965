//! A workload as people see it: its state in a word, why, and what can be done about it.

use super::report::WorkloadContext;
use crate::agent::{
    block_reason::BlockReason,
    model::{
        fallback::FailedContent,
        notice::Reason,
        phase::Phase,
        report::{self, WorkloadState},
        run::Run,
        schedule::Schedule,
        workload::{Engine, RestartPolicy, Workload},
    },
    reconcile::{Prepared, TrackedWorkload},
    wrong_clock,
};

/// Where a user's podman answers, and that of root doesn't.
const ROOTLESS_REMEDY: &str = "rootless podman answers: if that is meant, write 'rootless: true' in its spec, or the annotation \
                        'flotta/rootless: \"true\"' of a Pod; else see 'systemctl status podman.socket'";
/// Of a cron schedule that names no time to come.
const NEVER_RUNS_MESSAGE: &str = "it never runs: no date that its cron schedule names exists";

impl TrackedWorkload {
    /// How it is; what others know of it is left out.
    pub(in crate::agent) fn workload_report(&self, view: &WorkloadContext<'_>) -> report::Workload {
        let mut shown = report::Workload {
            state: self.state_in_context(view.context, view.engines),
            since: Some(view.now.up.saturating_sub(self.state.1).as_secs()),
            restarts: self.content.restarts,
            failure: self.content.failure.as_ref().map(|(_, cause)| cause.clone()),
            ..report::Workload::default()
        };
        if !self.terminating.is_empty() && self.wanted.is_some() {
            let note = match self.phase {
                _ if !self.may_run() || self.content.ready == Prepared::All => "its old pod has not gone yet",
                Phase::Running | Phase::Finished { .. } => "its old pod has not gone yet",
                _ => "what ran before stays until this is known to be able to start",
            };
            shown.notes.push(note.to_owned());
        }
        let Some(wanted) = &self.wanted else {
            self.explain_unwanted(view, &mut shown);
            return shown;
        };
        if let Schedule::Cron(cron, _) = &wanted.schedule {
            shown.cron = Some(cron.to_string());
        }
        shown.exit = view.context.finished.get(&wanted.id).map(|run| run.code);
        let run = |run: &Run| report::LastRun {
            code: run.code,
            ended: run.seconds_since_end(view.now),
            ran: run.ran,
        };
        shown.runs = self.content.runs.iter().map(run).collect();
        shown.last_run = shown.runs.first().copied();
        shown.notes.extend(view.complaint_notes());
        self.explain(wanted, view, &mut shown);
        view.add_waiting_update(
            &self.name,
            self.waiting_update.as_ref().and_then(|update| update.missing_images_reason()),
            &mut shown,
        );
        (shown.failures, shown.probes) =
            (self.content.containers.container_failures(), self.content.health.probe_results());
        let fallback = view.context.fallbacks.get(&self.name);
        shown.previous = fallback.filter(|it| it.good.id != wanted.id).map(|it| it.good.id.to_string());
        let failed = fallback.and_then(|it| it.failed.as_ref());
        if failed.is_some_and(|it| it.by_hand) {
            let note =
                "an operator rolled it back to what ran before, until another content of it is asked for";
            shown.notes.insert(0, note.to_owned());
        } else if let Some(FailedContent { cause, .. }) = failed {
            let note = format!("its newest content didn't come up, so what ran before is back: {cause}");
            shown.notes.insert(0, note);
            shown.failure.get_or_insert_with(|| cause.clone());
            if shown.state == WorkloadState::Running {
                shown.remedy = None; // what comes back with a correction need not be looked at
            }
            shown.remedy.get_or_insert_with(|| {
                let name = &self.name;
                format!("correct that content: as it is, it isn't tried again; see 'device-worker-ng history {name}'")
            });
            shown.well = false;
        }
        shown
    }

    /// Says why there is something of a workload that is not to run.
    fn explain_unwanted(&self, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        if shown.state == WorkloadState::Unknown {
            set_cause(
                shown,
                "no manifest that can be read asks for it".to_owned(),
                "its pod stays until all manifests can be read: see the device's problems",
            );
        } else if shown.state == WorkloadState::Rejected {
            let cause = view
                .manifest_problems
                .first()
                .unwrap_or(&"it can't be understood; see the device's problems");
            set_cause(
                shown,
                (*cause).to_owned(),
                "correct it where it is written; nothing of it changes before that",
            );
        } else {
            set_cause(shown, "it is not asked for any more; its pod is being removed".to_owned(), "");
            shown.well = true;
        }
    }

    /// Says why it is in this state, until when, and what can be done.
    fn explain(&self, wanted: &Workload, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        if let Some((why, remedy)) = view.context.stops.stop_reason_and_remedy(&self.name) {
            if shown.state == WorkloadState::Stopped {
                set_cause(shown, why, &remedy);
                shown.well = true;
                return;
            }
            shown.notes.push(why);
        }
        match shown.state {
            WorkloadState::Running => {
                shown.cpu = self.limit.present_limit();
                let unready: Vec<_> = self.content.health.unready_reasons().collect();
                shown.well = unready.is_empty();
                shown.ready = Some(shown.well);
                if !shown.well {
                    shown.remedy = Some(self.failure_remedy(Reason::Unhealthy, "", wanted));
                }
                shown.notes.splice(0..0, unready);
            }
            WorkloadState::Evicted => {
                let (why, until) = view.evictions.why_evicted(&self.name).unwrap_or_default();
                set_cause(
                    shown,
                    format!("the device comes first: {why}"),
                    "it comes back by itself; give it limits, or a higher podman/priority",
                );
                shown.next = view.seconds_until(until);
            }
            WorkloadState::Inactive => {
                let rest = self.content.flapping.resting_until(view.now.up);
                if let Some((cause, remedy)) = view.unmet_profile() {
                    set_cause(shown, cause, &remedy);
                } else if rest.is_some() {
                    set_cause(shown, BlockReason::Rests.block_message().to_owned(), "");
                }
                shown.next = rest.and_then(|until| view.seconds_until(until));
                shown.well = true;
            }
            WorkloadState::Scheduled => {
                self.explain_schedule(view, shown);
                shown.well = shown.next.is_some();
                let (cause, remedy) = match view.context.clock_lag(view.now) {
                    Some(behind) => (wrong_clock::clock_lag_message(behind), wrong_clock::REMEDY),
                    None if shown.well => ("it waits for its next slot".to_owned(), ""),
                    None => (NEVER_RUNS_MESSAGE.to_owned(), ""),
                };
                set_cause(shown, cause, remedy);
            }
            WorkloadState::Failed => self.explain_failed(wanted, view, shown),
            WorkloadState::BackOff => self.explain_back_off(wanted, view, shown),
            WorkloadState::Finished => {
                let policy = restart_policy_name(wanted);
                set_cause(shown, format!("it has ended with exit code 0; its restartPolicy is {policy}"), "");
                shown.well = true;
            }
            _ => self.explain_start(wanted, view, shown),
        }
    }

    /// Says why it has failed for good, or until its next slot.
    fn explain_failed(&self, wanted: &Workload, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        let (reason, cause) = self.content.failure.clone().unwrap_or_else(|| {
            let code = shown.exit.unwrap_or_default(); // of a run before this process
            (Reason::Failed, format!("it has finished with exit code {code}"))
        });
        let next = match wanted.schedule {
            Schedule::Cron(..) => "its next run is at its next slot".to_owned(),
            Schedule::Service(_)
                if wanted.restart == RestartPolicy::Always || reason == Reason::DeadlineExceeded =>
            {
                "it is not started again".to_owned()
            }
            Schedule::Service(_) => match wanted.retries {
                Some(most) => format!("its backoffLimit is {most}"),
                None => format!("its restartPolicy is {}", restart_policy_name(wanted)),
            },
        };
        let remedy = self.failure_remedy(reason, &cause, wanted);
        set_cause(shown, format!("{cause}; {next}"), &remedy);
        self.explain_schedule(view, shown);
    }

    /// Says why it failed, and when it is tried again.
    fn explain_back_off(&self, wanted: &Workload, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        let down = self.content.containers.failure_cause().filter(|_| self.has_container_down());
        let failure = down.or_else(|| self.content.failure.clone());
        let (reason, cause) = failure.unwrap_or((Reason::BackOff, "it is stopped".into()));
        let remedy = self.failure_remedy(reason, &cause, wanted);
        set_cause(shown, cause, &remedy);
        let next = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => self.content.containers.next_start(),
        };
        shown.next = next.and_then(|until| view.seconds_until(until));
        if view.context.short && self.has_container_down() && shown.next.is_none_or(|left| left == 0) {
            explain_held(view, shown);
        }
    }

    /// Says what it waits for before it runs.
    fn explain_start(&self, wanted: &Workload, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        let engine = wanted.content.engine;
        match shown.state {
            WorkloadState::Unknown | WorkloadState::Starting if !view.engines.is_ready(engine) => {
                let rootless = Engine::Podman { rootless: true };
                let remedy = match engine {
                    Engine::Podman { rootless: false } if view.engines.is_ready(rootless) => ROOTLESS_REMEDY,
                    _ => engine_remedy(engine),
                };
                set_cause(shown, view.engines.unready_reason(engine).unwrap_or_default(), remedy);
            }
            WorkloadState::Held => explain_held(view, shown),
            WorkloadState::Pulling | WorkloadState::Starting
                if self.content.failures > 0
                    && let Some((reason, cause)) = &self.content.failure =>
            {
                set_cause(shown, cause.clone(), &self.failure_remedy(*reason, cause, wanted));
            }
            WorkloadState::Unknown => {
                set_cause(shown, format!("{engine} is asked whether it has a pod of it"), "")
            }
            WorkloadState::Starting
                if self.phase == Phase::Inactive
                    && let Some((cause, remedy)) = &view.unready_dependency =>
            {
                set_cause(shown, cause.clone(), remedy);
            }
            WorkloadState::Starting if !self.terminating.is_empty() => {
                set_cause(shown, "its old pod goes first".to_owned(), "");
            }
            WorkloadState::Starting if view.engines.awaits_a_podman() => {
                let cause = "another engine has not told yet whether it has an old pod of it";
                set_cause(shown, cause.to_owned(), "");
            }
            _ => {}
        }
    }

    /// When the next slot of a workload with a cron schedule is, and what speaks against it.
    fn explain_schedule(&self, view: &WorkloadContext<'_>, shown: &mut report::Workload) {
        let next = self.content.cron_runs.next();
        let left = next.map(|at| at.duration_since(view.now.utc).unwrap_or_default());
        shown.next = left.map(|left| left.as_secs_f64().ceil() as u64);
        if let Some((cause, _)) = view.unmet_profile().filter(|_| shown.cron.is_some()) {
            shown.notes.push(format!("at present a slot would be skipped: {cause}"));
        }
    }

    /// What helps against this failure. Output is spoken of only where there is some.
    fn failure_remedy(&self, reason: Reason, cause: &str, wanted: &Workload) -> String {
        let name = wanted.name();
        let output = format!("see its output: 'device-worker-ng logs {name}'");
        // what waits for its retry has no run by hand
        let waits = matches!(self.phase, Phase::Waiting { .. }) && !wanted.is_service();
        let correct = match reason {
            Reason::ImagePullFailed if cause.contains("unauthorized") => {
                "give the login of its registry by imagePullSecrets or imageRegistries, or correct it"
            }
            Reason::ImagePullFailed => {
                "check the image's name, the way to its registry, and imageRegistries; or load it with 'podman load'"
            }
            Reason::Unhealthy => return format!("look at what the probe or hook asks for; {output}"),
            Reason::DeadlineExceeded => "raise activeDeadlineSeconds, if it needs more time",
            _ if cause.contains("out of memory: its limit") => {
                return format!("raise resources.limits.memory of that container; {output}");
            }
            _ if cause.contains("host port ") => {
                "end what has the port, or take another hostPort in the manifest"
            }
            _ if !cause.contains("exit code") && !cause.starts_with("init container") => "correct that",
            _ if waits => return output,
            _ if !wanted.is_service() => {
                return format!("{output}; 'device-worker-ng run {name}' gives it a run now");
            }
            _ => return format!("{output}; 'device-worker-ng restart {name}' doesn't wait"),
        };
        match wanted.is_service() {
            _ if waits => correct.to_owned(),
            true => format!("{correct}; 'device-worker-ng restart {name}' then doesn't wait"),
            false => format!("{correct}; 'device-worker-ng run {name}' then gives it a run now"),
        }
    }
}

/// The device is short of something.
fn explain_held(view: &WorkloadContext<'_>, shown: &mut report::Workload) {
    shown.state = WorkloadState::Held;
    let shortages = view.evictions.shortages().join("; ");
    set_cause(
        shown,
        format!("nothing new is pulled or started: {shortages}"),
        "free some; what is kept free is set by MEMORY_RESERVE and DISK_RESERVE",
    );
}

/// An empty remedy: nothing is to be done.
fn set_cause(shown: &mut report::Workload, cause: String, remedy: &str) {
    shown.cause = Some(cause);
    shown.remedy = (!remedy.is_empty()).then(|| remedy.to_owned());
}

fn engine_remedy(engine: Engine) -> &'static str {
    match engine {
        Engine::Podman { rootless: false } => {
            "start it with 'systemctl enable --now podman.socket'; the setting is PODMAN_SOCKET"
        }
        Engine::Podman { rootless: true } => {
            "as its user: 'systemctl --user enable --now podman.socket', with lingering; the setting is XDG_RUNTIME_DIR"
        }
        Engine::Kubernetes => "check the setting KUBECONFIG, and whether the API server can be reached",
    }
}

fn restart_policy_name(wanted: &Workload) -> &'static str {
    if wanted.restart == RestartPolicy::Never { "Never" } else { "OnFailure" }
}
