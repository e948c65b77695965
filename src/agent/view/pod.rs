//! A workload as people see it: its state in a word, why, and what can be done about it.

use super::report::View;
use crate::agent::{
    clock,
    model::{
        fallback::Failed,
        notice::Reason,
        phase::Phase,
        report::{self, State},
        schedule::Schedule,
        workload::{Engine, RestartPolicy, Workload},
    },
    reconcile::{Ready, Tracked},
};

/// Of a cron schedule that names no time to come.
const NEVER: &str = "it never runs: no date that its cron schedule names exists";

impl Tracked {
    /// How it is; what others know of it is left out.
    pub(in crate::agent) fn shown(&self, view: &View<'_>) -> report::Workload {
        let mut shown = report::Workload {
            state: self.state(),
            since: Some(view.now.up.saturating_sub(self.state.1).as_secs()),
            restarts: self.content.restarts,
            failure: self.content.failure.as_ref().map(|(_, cause)| cause.clone()),
            ..report::Workload::default()
        };
        if !self.terminating.is_empty() && self.wanted.is_some() {
            let note = match self.phase {
                _ if !self.may_run || self.content.ready == Ready::All => "its old pod has not gone yet",
                Phase::Running | Phase::Finished { .. } => "its old pod has not gone yet",
                _ => "what ran before stays until this is known to be able to start",
            };
            shown.notes.push(note.to_owned());
        }
        let Some(wanted) = &self.wanted else {
            self.explain_unwanted(view, &mut shown);
            return shown;
        };
        if let Schedule::Cron(cron) = &wanted.schedule {
            shown.cron = Some(cron.to_string());
        }
        shown.exit = view.context.finished.get(&wanted.id).map(|run| run.code);
        shown.last_run = self.content.last_run.map(|run| report::LastRun {
            code: run.code,
            ended: run.age(view.now),
            ran: run.ran,
        });
        shown.notes.extend(view.notes());
        self.explain(wanted, view, &mut shown);
        let fallback = view.context.fallbacks.get(&self.name);
        if let Some(Failed { cause, .. }) = fallback.and_then(|it| it.failed.as_ref()) {
            let note = format!("its newest content didn't come up, so what ran before is back: {cause}");
            shown.notes.insert(0, note);
            shown.failure.get_or_insert_with(|| cause.clone());
            shown.remedy.get_or_insert_with(|| "correct that content: as it is, it isn't tried again".into());
            shown.well = false;
        }
        shown
    }

    /// Says why there is something of a workload that is not to run.
    fn explain_unwanted(&self, view: &View<'_>, shown: &mut report::Workload) {
        if shown.state == State::Leaving && !self.dismissed && view.context.partial {
            shown.state = State::Unknown;
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
        match shown.state {
            State::Running => {
                shown.cpu = self.limit.present();
                let unready: Vec<_> = self.content.health.unready().collect();
                shown.well = unready.is_empty();
                shown.ready = Some(shown.well);
                shown.notes.splice(0..0, unready);
            }
            State::Evicted => {
                let (why, until) = view.evictions.eviction(&self.name).unwrap_or_default();
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
                    because(shown, "its conditions changed too often, so it rests".to_owned(), "");
                }
                shown.next = rest.and_then(|until| view.until(until));
                shown.well = true;
            }
            State::Scheduled => {
                self.schedule(view, shown);
                shown.well = shown.next.is_some();
                shown.cause = Some(match view.context.clock_behind(view.now) {
                    Some(behind) => clock::says(behind),
                    None if shown.well => "it waits for its next slot".to_owned(),
                    None => NEVER.to_owned(),
                });
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
            Schedule::Cron(_) => "its next run is at its next slot".to_owned(),
            Schedule::Service(_) if wanted.restart == RestartPolicy::Always => {
                "it is not started again".to_owned()
            }
            Schedule::Service(_) => format!("its restartPolicy is {}", policy(wanted)),
        };
        because(shown, format!("{cause}; {next}"), failure_remedy(reason, wanted));
        self.schedule(view, shown);
    }

    /// Says why it failed, and when it is tried again.
    fn explain_back_off(&self, wanted: &Workload, view: &View<'_>, shown: &mut report::Workload) {
        let ailing = self.content.containers.why().filter(|_| self.is_ailing());
        let failure = ailing.or_else(|| self.content.failure.clone());
        let (reason, cause) = failure.unwrap_or((Reason::BackOff, "it is stopped".into()));
        because(shown, cause, failure_remedy(reason, wanted));
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
                because(shown, view.engines.why_not(engine).unwrap_or_default(), engine_remedy(engine));
            }
            State::Starting if view.context.short && self.phase == Phase::Inactive => {
                held(view, shown);
            }
            State::Pulling | State::Starting
                if self.content.failures > 0
                    && let Some((reason, cause)) = &self.content.failure =>
            {
                because(shown, cause.clone(), failure_remedy(*reason, wanted));
            }
            State::Unknown => because(shown, format!("{engine} is asked whether it has a pod of it"), ""),
            State::Starting if !self.terminating.is_empty() => {
                because(shown, "its old pod goes first".to_owned(), "");
            }
            State::Starting if view.engines.is_new() => {
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
            "see 'systemctl status podman.socket'; the setting is PODMAN_SOCKET"
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

fn failure_remedy(reason: Reason, wanted: &Workload) -> &'static str {
    match reason {
        Reason::ImagePullFailed => {
            "check the image's name, the way to its registry, and imageRegistries; or load it with 'podman load'"
        }
        Reason::Unhealthy => {
            "see what the probe or hook asks for, and the container's output: 'podman logs POD-CONTAINER'"
        }
        _ if !wanted.is_service() => "see the container's output: 'podman logs POD-CONTAINER'",
        _ => "see the container's output: 'podman logs POD-CONTAINER'; 'restart NAME' doesn't wait",
    }
}
