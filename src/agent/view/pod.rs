//! A workload as people see it: its state in a word, why, and what can be done about it.

use super::report::View;
use crate::agent::{
    model::{
        fallback::Failed,
        notice::Reason,
        phase::Phase,
        report::{self, State},
        run::Run,
        schedule::Schedule,
        workload::{Engine, RestartPolicy, Workload},
    },
    not_allowed::NotAllowed,
    reconcile::{Ready, Tracked},
    wrong_clock,
};

/// Where a user's podman answers, and that of root doesn't.
const ROOTLESS: &str = "rootless podman answers: if that is meant, write 'rootless: true' in its spec, or the annotation \
                        'flotta/rootless: \"true\"' of a Pod; else see 'systemctl status podman.socket'";
/// Of a cron schedule that names no time to come.
const NEVER: &str = "it never runs: no date that its cron schedule names exists";

impl Tracked {
    /// How it is; what others know of it is left out.
    pub(in crate::agent) fn shown(&self, view: &View<'_>) -> report::Workload {
        let mut shown = report::Workload {
            state: self.state_on(view.context, view.engines),
            since: Some(view.now.up.saturating_sub(self.state.1).as_secs()),
            restarts: self.content.restarts,
            failure: self.content.failure.as_ref().map(|(_, cause)| cause.clone()),
            ..report::Workload::default()
        };
        if !self.terminating.is_empty() && self.wanted.is_some() {
            let note = match self.phase {
                _ if !self.may_run() || self.content.ready == Ready::All => "its old pod has not gone yet",
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
        let run = |run: &Run| report::LastRun { code: run.code, ended: run.age(view.now), ran: run.ran };
        shown.runs = self.content.runs.iter().map(run).collect();
        shown.last_run = shown.runs.first().copied();
        shown.notes.extend(view.notes());
        self.explain(wanted, view, &mut shown);
        view.waits(&self.name, self.waiting_update.as_ref().and_then(|update| update.lacks()), &mut shown);
        (shown.failures, shown.probes) = (self.content.containers.shown(), self.content.health.shown());
        let fallback = view.context.fallbacks.get(&self.name);
        shown.previous = fallback.filter(|it| it.good.id != wanted.id).map(|it| it.good.id.to_string());
        let failed = fallback.and_then(|it| it.failed.as_ref());
        if failed.is_some_and(|it| it.by_hand) {
            let note =
                "an operator rolled it back to what ran before, until another content of it is asked for";
            shown.notes.insert(0, note.to_owned());
        } else if let Some(Failed { cause, .. }) = failed {
            let note = format!("its newest content didn't come up, so what ran before is back: {cause}");
            shown.notes.insert(0, note);
            shown.failure.get_or_insert_with(|| cause.clone());
            if shown.state == State::Running {
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
    fn explain_unwanted(&self, view: &View<'_>, shown: &mut report::Workload) {
        if shown.state == State::Unknown {
            because(
                shown,
                "no manifest that can be read asks for it".to_owned(),
                "its pod stays until all manifests can be read: see the device's problems",
            );
        } else if shown.state == State::Rejected {
            let cause =
                view.complaints.first().unwrap_or(&"it can't be understood; see the device's problems");
            because(
                shown,
                (*cause).to_owned(),
                "correct it where it is written; nothing of it changes before that",
            );
        } else {
            because(shown, "it is not asked for any more; its pod is being removed".to_owned(), "");
            shown.well = true;
        }
    }

    /// Says why it is in this state, until when, and what can be done.
    fn explain(&self, wanted: &Workload, view: &View<'_>, shown: &mut report::Workload) {
        if let Some((why, remedy)) = view.context.stops.why(&self.name) {
            if shown.state == State::Stopped {
                because(shown, why, &remedy);
                shown.well = true;
                return;
            }
            shown.notes.push(why);
        }
        match shown.state {
            State::Running => {
                shown.cpu = self.limit.present();
                let unready: Vec<_> = self.content.health.unready().collect();
                shown.well = unready.is_empty();
                shown.ready = Some(shown.well);
                if !shown.well {
                    shown.remedy = Some(self.failure_remedy(Reason::Unhealthy, "", wanted));
                }
                shown.notes.splice(0..0, unready);
            }
            State::Evicted => {
                let (why, until) = view.evictions.why_evicted(&self.name).unwrap_or_default();
                because(
                    shown,
                    format!("the device comes first: {why}"),
                    "it comes back by itself; give it limits, or a higher podman/priority",
                );
                shown.next = view.until(until);
            }
            State::Inactive => {
                let rest = self.content.flapping.rests(view.now.up);
                if let Some((cause, remedy)) = view.closed() {
                    because(shown, cause, &remedy);
                } else if rest.is_some() {
                    because(shown, NotAllowed::Rests.why().to_owned(), "");
                }
                shown.next = rest.and_then(|until| view.until(until));
                shown.well = true;
            }
            State::Scheduled => {
                self.schedule(view, shown);
                shown.well = shown.next.is_some();
                let (cause, remedy) = match view.context.clock_behind(view.now) {
                    Some(behind) => (wrong_clock::says(behind), wrong_clock::REMEDY),
                    None if shown.well => ("it waits for its next slot".to_owned(), ""),
                    None => (NEVER.to_owned(), ""),
                };
                because(shown, cause, remedy);
            }
            State::Failed => self.explain_failed(wanted, view, shown),
            State::BackOff => self.explain_back_off(wanted, view, shown),
            State::Finished => {
                let policy = policy(wanted);
                because(shown, format!("it has ended with exit code 0; its restartPolicy is {policy}"), "");
                shown.well = true;
            }
            _ => self.explain_start(wanted, view, shown),
        }
    }

    /// Says why it has failed for good, or until its next slot.
    fn explain_failed(&self, wanted: &Workload, view: &View<'_>, shown: &mut report::Workload) {
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
                None => format!("its restartPolicy is {}", policy(wanted)),
            },
        };
        let remedy = self.failure_remedy(reason, &cause, wanted);
        because(shown, format!("{cause}; {next}"), &remedy);
        self.schedule(view, shown);
    }

    /// Says why it failed, and when it is tried again.
    fn explain_back_off(&self, wanted: &Workload, view: &View<'_>, shown: &mut report::Workload) {
        let ailing = self.content.containers.why().filter(|_| self.is_ailing());
        let failure = ailing.or_else(|| self.content.failure.clone());
        let (reason, cause) = failure.unwrap_or((Reason::BackOff, "it is stopped".into()));
        let remedy = self.failure_remedy(reason, &cause, wanted);
        because(shown, cause, &remedy);
        let next = match self.phase {
            Phase::Waiting { until } => Some(until),
            _ => self.content.containers.next_start(),
        };
        shown.next = next.and_then(|until| view.until(until));
        if view.context.short && self.is_ailing() && shown.next.is_none_or(|left| left == 0) {
            held(view, shown);
        }
    }

    /// Says what it waits for before it runs.
    fn explain_start(&self, wanted: &Workload, view: &View<'_>, shown: &mut report::Workload) {
        let engine = wanted.content.engine;
        match shown.state {
            State::Unknown | State::Starting if !view.engines.ready(engine) => {
                let rootless = Engine::Podman { rootless: true };
                let remedy = match engine {
                    Engine::Podman { rootless: false } if view.engines.ready(rootless) => ROOTLESS,
                    _ => engine_remedy(engine),
                };
                because(shown, view.engines.why_not(engine).unwrap_or_default(), remedy);
            }
            State::Held => held(view, shown),
            State::Pulling | State::Starting
                if self.content.failures > 0
                    && let Some((reason, cause)) = &self.content.failure =>
            {
                because(shown, cause.clone(), &self.failure_remedy(*reason, cause, wanted));
            }
            State::Unknown => because(shown, format!("{engine} is asked whether it has a pod of it"), ""),
            State::Starting
                if self.phase == Phase::Inactive
                    && let Some((cause, remedy)) = &view.unready_dependency =>
            {
                because(shown, cause.clone(), remedy);
            }
            State::Starting if !self.terminating.is_empty() => {
                because(shown, "its old pod goes first".to_owned(), "");
            }
            State::Starting if view.engines.awaits_a_podman() => {
                let cause = "another engine has not told yet whether it has an old pod of it";
                because(shown, cause.to_owned(), "");
            }
            _ => {}
        }
    }

    /// When the next slot of a workload with a cron schedule is, and what speaks against it.
    fn schedule(&self, view: &View<'_>, shown: &mut report::Workload) {
        let next = self.content.cron_runs.next();
        let left = next.map(|at| at.duration_since(view.now.utc).unwrap_or_default());
        shown.next = left.map(|left| left.as_secs_f64().ceil() as u64);
        if let Some((cause, _)) = view.closed().filter(|_| shown.cron.is_some()) {
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
fn held(view: &View<'_>, shown: &mut report::Workload) {
    shown.state = State::Held;
    let shortages = view.evictions.shortages().join("; ");
    because(
        shown,
        format!("nothing new is pulled or started: {shortages}"),
        "free some; what is kept free is set by MEMORY_RESERVE and DISK_RESERVE",
    );
}

/// An empty remedy: nothing is to be done.
fn because(shown: &mut report::Workload, cause: String, remedy: &str) {
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

fn policy(wanted: &Workload) -> &'static str {
    if wanted.restart == RestartPolicy::Never { "Never" } else { "OnFailure" }
}
