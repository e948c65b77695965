//! What an order's outcome leads to.

use std::time::{Duration, SystemTime};

use super::tracked::{Prepared, TrackedWorkload};
use crate::agent::{
    containers::ContainerToRestart,
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{ContainerState, CpuLimit, Fact, Failure, Pod, Ticket},
        phase::Phase,
        report::WorkloadState,
        run::Run,
        schedule::{Backoff, Schedule},
        workload::{Engine, Workload},
    },
    restart_policy::{PodStatus, evaluate_pod},
    terminating::REMOVAL_RETRY_DELAY,
    trial::had_come_up,
};

/// So many of the last runs are remembered.
const MAX_REMEMBERED_RUNS: usize = 5;

/// What follows a run that failed.
fn next_run_note(wanted: &Workload) -> &'static str {
    if wanted.is_service() { "" } else { "; its next run is at its next slot" }
}

impl TrackedWorkload {
    /// The outcome of one of this workload's orders.
    pub(in crate::agent) fn on_order_done(
        &mut self,
        engine: Engine,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        if result == Ok(Fact::Gone) {
            turn.context.images.request_cleanup();
        }
        let last = turn.context.last;
        let Some(result) = self.terminating.on_removal_done(ticket, result, turn) else {
            self.last.insert(engine, last);
            return;
        };
        if let Phase::Starting(at)
        | Phase::Cancelling(at)
        | Phase::Stopping(at)
        | Phase::Looking { ticket: at, .. } = self.phase
            && at == ticket
        {
            self.last.insert(engine, last);
        }
        let Some(result) = self.on_update_pulled(ticket, result, turn) else { return };
        let limit = self.limit.take_ended_order(ticket); // also while the pod isn't wanted: it may be wanted again
        let Some(wanted) = self.wanted.clone() else { return };
        self.content.health.record_outcome(ticket, &result);
        let Some(result) = self.on_rehearsed(ticket, result, turn) else { return };
        let Some(result) = self.on_container_order_done(&wanted, ticket, result, turn) else { return };
        if let Some(limit) = limit {
            return self.on_limited(wanted.content.engine, limit, result, turn);
        }
        let result = match result {
            Err(Failure::Engine(cause)) if self.waits_for(ticket) => {
                return self.on_engine_lost(wanted.content.engine, cause, turn);
            }
            Err(Failure::Engine(_)) => return,
            Err(Failure::Workload(cause)) => Err(cause),
            Ok(fact) => Ok(fact),
        };
        match self.phase {
            Phase::Pulling(at) if at == ticket => self.on_pulled(result, turn),
            Phase::Cancelling(at) if at == ticket && !matches!(result, Ok(Fact::Pod(_))) => {
                self.on_pod_gone(&wanted, turn);
            }
            Phase::Starting(at) | Phase::Cancelling(at) if at == ticket => {
                self.on_started(&wanted, result, turn);
            }
            Phase::Looking { ticket: at, adopting } if at == ticket => {
                self.on_looked(&wanted, adopting, result, turn);
            }
            Phase::Stopping(at) if at == ticket => self.on_stopped(&wanted, result, turn),
            _ => {}
        }
    }

    /// Whether its phase ends with this order.
    fn waits_for(&self, ticket: Ticket) -> bool {
        match self.phase {
            Phase::Pulling(at)
            | Phase::Starting(at)
            | Phase::Cancelling(at)
            | Phase::Stopping(at)
            | Phase::Looking { ticket: at, .. } => at == ticket,
            _ => false,
        }
    }

    fn on_pulled(&mut self, result: Result<Fact, String>, turn: &mut Turn<'_>) {
        match result {
            Ok(fact @ Fact::Pulled { .. }) => {
                self.tell_stale_images(&fact, turn);
                (self.content.ready, self.phase) = (Prepared::Images, Phase::Inactive);
            }
            Ok(_) => (self.content.ready, self.phase) = (Prepared::All, Phase::Inactive),
            Err(cause) => {
                let is_pull = self.content.ready == Prepared::Nothing;
                let reason = if is_pull { Reason::ImagePullFailed } else { Reason::BackOff };
                self.content.ready = Prepared::Nothing;
                self.fail_and_back_off_because(reason, &cause, turn.now.up, turn);
            }
        }
    }

    /// Images that could not be looked for anew.
    pub(super) fn tell_stale_images(&self, fact: &Fact, turn: &mut Turn<'_>) {
        let Fact::Pulled { stale, .. } = fact else { return };
        for sentence in stale {
            let message = format!("workload '{}': {sentence}", self.name);
            turn.tell(Notice::warning(Reason::ImagePullFailed, message));
        }
    }

    fn on_started(&mut self, wanted: &Workload, result: Result<Fact, String>, turn: &mut Turn<'_>) {
        match result {
            Ok(Fact::Pod(pod)) => {
                self.present = true;
                let message = format!("workload '{}' is started: pod '{}'", self.name, wanted.id);
                turn.tell(Notice::info(Reason::Started, message));
                self.apply_pod_state(wanted, &pod, false, turn);
            }
            Ok(_) => self.fail_and_back_off("its pod was gone as soon as it was made", turn.now.up, turn),
            Err(cause) => {
                // Perhaps an image was removed behind our back: ask for it again.
                (self.present, self.content.ready) = (false, Prepared::Nothing);
                self.fail_and_back_off(&cause, turn.now.up, turn);
            }
        }
    }

    fn on_looked(
        &mut self,
        wanted: &Workload,
        adopting: bool,
        result: Result<Fact, String>,
        turn: &mut Turn<'_>,
    ) {
        match result {
            Ok(Fact::Pod(pod)) => self.apply_pod_state(wanted, &pod, adopting, turn),
            Ok(_) if self.content.over => self.on_pod_gone(wanted, turn),
            // it is removed all the same, and no reason to try again
            Err(_) if self.content.over => {
                self.phase = Phase::Waiting { until: turn.now.up + REMOVAL_RETRY_DELAY };
            }
            Ok(_) if adopting => (self.present, self.phase) = (false, Phase::Inactive),
            Ok(_) => {
                self.present = false;
                self.fail_and_back_off("its pod is gone", turn.now.up, turn);
            }
            Err(cause) => self.fail_and_back_off(&cause, turn.now.up, turn),
        }
    }

    fn on_stopped(&mut self, wanted: &Workload, result: Result<Fact, String>, turn: &mut Turn<'_>) {
        if let Err(cause) = result {
            let what = format!("failed to remove pod '{}'", wanted.id);
            turn.on_order_failed(wanted.content.engine, &what, &Failure::Workload(cause));
            self.stop_after = turn.now.up + REMOVAL_RETRY_DELAY;
            self.phase = Phase::Waiting { until: self.stop_after };
            return;
        }
        self.on_pod_gone(wanted, turn);
    }

    fn on_pod_gone(&mut self, wanted: &Workload, turn: &mut Turn<'_>) {
        (self.present, self.phase) = (false, Phase::Inactive);
        turn.tell(Notice::info(Reason::Stopped, format!("workload '{}': its pod is gone", self.name)));
        // ended for good, and if it was for being unhealthy
        if (wanted.runs_once() || self.content.over && wanted.is_service())
            && let Some(run) = turn.context.finished.get(&wanted.id)
        {
            self.phase = Phase::Finished { code: run.code };
        }
    }

    /// The pod's CPU limit was applied, or not.
    fn on_limited(
        &mut self,
        engine: Engine,
        limit: CpuLimit,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        match result {
            // no event: metrics can move it as often as they are posted
            Ok(Fact::Limited) => self.limit.mark_applied(limit),
            Ok(_) => self.limit.mark_no_pod(limit), // the pod is gone: its processes' end tells
            Err(Failure::Workload(cause)) => {
                if self.limit.mark_refused(limit) {
                    let message = format!("workload '{}': its CPU can't be limited here: {cause}", self.name);
                    turn.tell(Notice::warning(Reason::Unsupported, message));
                }
            }
            Err(failure @ Failure::Engine(_)) => turn.on_order_failed(engine, "", &failure),
        }
    }

    /// Takes the wanted pod for what its containers say.
    pub(super) fn apply_pod_state(
        &mut self,
        wanted: &Workload,
        pod: &Pod,
        adopting: bool,
        turn: &mut Turn<'_>,
    ) {
        if self.content.over {
            self.phase = Phase::Waiting { until: turn.now.up }; // podman failed while it was being removed
            return;
        }
        self.limit.set_found(pod.cpu);
        self.content.whole = pod.containers.iter().all(|it| it.state == ContainerState::Running);
        self.content.containers.update_from_pod(pod);
        if !self.on_failed_starts(wanted, pod, turn) {
            return;
        }
        if adopting && turn.context.can_roll_back(wanted) {
            self.content.trial.begin(turn.now.up);
        }
        let tries = wanted.retries.map_or(u32::MAX, |most| most.saturating_sub(self.content.retried));
        match evaluate_pod(wanted, pod, &self.content.containers, tries) {
            PodStatus::Running { missed } => self.keep_running(wanted, pod, missed, adopting, turn),
            PodStatus::Finished { code, gives_up: false, .. }
                if code != 0 && self.may_retry(wanted, false, turn) =>
            {
                self.retry_run(wanted, pod, code, turn);
            }
            PodStatus::Finished { code, lingers, .. } => self.finish_run(wanted, pod, code, lingers, turn),
            PodStatus::Broken { cause } if adopting => self.on_broken_pod(wanted, cause, turn),
            PodStatus::Broken { cause } => self.fail_and_back_off(&cause, turn.now.up, turn),
        }
    }

    /// Whether the pod goes on, although containers of it could not be started.
    fn on_failed_starts(&mut self, wanted: &Workload, pod: &Pod, turn: &mut Turn<'_>) -> bool {
        let mut failed = pod.failed_starts.iter().filter(|(container, _)| pod.is_stuck(container));
        failed.all(|(container, cause)| self.on_failed_start(wanted, container, cause, turn))
    }

    /// The pod of a run has ended with an error, and another follows.
    fn retry_run(&mut self, wanted: &Workload, pod: &Pod, code: i32, turn: &mut Turn<'_>) {
        self.content.trial.note_run_ended(had_come_up(wanted, pod, &self.content.containers) == Some(true));
        let (next, most) = (self.content.retried + 1, wanted.retries.unwrap_or_default());
        if wanted.is_service() {
            self.content.retried = next; // of a slot's run each failure counts
        }
        let cause = format!("its run ended with exit code {code} (try {next} of {most} follows)");
        self.fail_and_back_off(&cause, turn.now.up, turn);
    }

    /// The pod has ended, and no other follows before the next slot, if ever. `lingers`: sidecars of it run on.
    fn finish_run(&mut self, wanted: &Workload, pod: &Pod, code: i32, lingers: bool, turn: &mut Turn<'_>) {
        let why = pod.out_of_memory().map(|why| format!(": {why}")).unwrap_or_default();
        let ran = pod.longest_run().as_secs();
        let cause = format!("has finished with exit code {code} after {ran} s{why}");
        let message = format!("workload '{}' {cause}", self.name);
        turn.tell(match code {
            0 => Notice::info(Reason::Finished, message),
            _ => Notice::warning(Reason::Failed, format!("{message}{}", next_run_note(wanted))),
        });
        self.phase = Phase::Finished { code };
        self.content.trial.note_run_ended(had_come_up(wanted, pod, &self.content.containers) == Some(true));
        self.record_ended_run(wanted, Run::of(pod, code), (Reason::Failed, format!("it {cause}")), turn);
        if lingers {
            self.content.over = true;
            self.order_removal(wanted, turn);
        }
    }

    /// An agent before this one was interrupted while it made the pod, or removed it, or the device rebooted: no fault of
    /// the workload's.
    fn on_broken_pod(&mut self, wanted: &Workload, cause: String, turn: &mut Turn<'_>) {
        self.phase = Phase::Waiting { until: turn.now.up };
        if self.may_run() && !self.is_retry_pending() {
            self.count_retry(turn);
        }
        let goes_on = wanted.is_service() || self.content.retried > 0;
        let then = match goes_on {
            _ if !self.may_run() => "; its pod is removed",
            true => "; its pod is made anew",
            false => next_run_note(wanted),
        };
        turn.tell(Notice::warning(Reason::Failed, format!("workload '{}': {cause}{then}", self.name)));
        if self.content.retried > 0 {
            self.content.cron_runs.set_due_now(); // its run goes on
        } else if !goes_on {
            self.content.failure = Some((Reason::Failed, cause));
        }
    }

    /// The pod is to run on, but for containers that ended.
    fn keep_running(
        &mut self,
        wanted: &Workload,
        pod: &Pod,
        missed: Vec<ContainerToRestart>,
        adopting: bool,
        turn: &mut Turn<'_>,
    ) {
        let mut since = turn.now.up;
        let age = |at: Option<SystemTime>| at.and_then(|at| turn.now.utc.duration_since(at).ok());
        if adopting {
            let (began, made) = (age(pod.began), age(pod.made));
            let message = format!("workload '{}' runs already: pod '{}'", self.name, wanted.id);
            turn.tell(Notice::info(Reason::Adopted, message));
            self.content.false_alarms = 0;
            since = since.saturating_sub(began.unwrap_or_default());
            self.state = (WorkloadState::Running, since);
            let from = made.map_or(since, |age| turn.now.up.saturating_sub(age));
            self.content.deadline = wanted.deadline.map(|limit| from + limit);
        }
        self.content.runs_since.get_or_insert(since);
        let is_news = self.schedule_restarts(wanted, missed, turn);
        let alarmed = std::mem::take(&mut self.content.alarmed);
        if alarmed && !is_news && !adopting && matches!(self.phase, Phase::Looking { .. }) {
            self.content.false_alarms = self.content.false_alarms.saturating_add(1);
        }
        let runs = |name: &str| {
            pod.containers.iter().any(|it| it.name == name && it.state == ContainerState::Running)
        };
        for (container, cause) in pod.failed_starts.iter().filter(|(name, _)| runs(name)) {
            if !self.content.containers.is_ending(container) {
                self.mark_unhealthy(wanted, container, cause.clone(), turn); // its hook failed
            }
        }
        let containers = &self.content.containers;
        self.content.health.update_from_pod(
            &wanted.probes,
            pod,
            &|name| containers.is_ending(name),
            turn.now.up,
        );
        self.phase = Phase::Running;
        match had_come_up(wanted, pod, containers) {
            Some(had_come_up) => self.content.trial.note_run_ended(had_come_up),
            None if containers.any_pending() => {}
            None => self.content.trial.note_running(since),
        }
    }

    /// Whether a run that failed is tried again. `endless`: it is where nothing says how often.
    fn may_retry(&self, wanted: &Workload, endless: bool, turn: &Turn<'_>) -> bool {
        self.content.retried < wanted.retries.unwrap_or(if endless { u32::MAX } else { 0 })
            && self.content.deadline.is_none_or(|end| turn.now.up < end)
    }

    /// Whether what failed last in the run of a slot is counted, and the try that follows is still to come.
    pub(super) fn is_retry_pending(&self) -> bool {
        self.content.cron_runs.is_due() && self.content.retried > 0
    }

    /// The run of a slot failed, whatever failed: it is tried again, or it is over.
    fn count_retry(&mut self, turn: &Turn<'_>) {
        if let Some(wanted) = self.wanted.as_ref().filter(|it| !it.is_service()) {
            let again = self.may_retry(wanted, wanted.any_restarts_on_failure(), turn);
            self.content.retried = if again { self.content.retried + 1 } else { 0 };
        }
    }

    /// A run is over, and nothing is started for it before the next slot, if ever.
    pub(super) fn record_ended_run(
        &mut self,
        wanted: &Workload,
        run: Run,
        why: (Reason, String),
        turn: &mut Turn<'_>,
    ) {
        if run.code != 0 {
            self.content.failure = Some(why);
        } else if !wanted.is_service() {
            (self.content.failure, self.content.failures) = (None, 0); // a good run makes up for those before it
        }
        self.content.retried = 0;
        self.content.runs.insert(0, run);
        self.content.runs.truncate(MAX_REMEMBERED_RUNS);
        turn.remember_run(&wanted.id, run);
    }

    /// The engine could not be asked: what is there must be seen again before anything else is done.
    pub(super) fn on_engine_lost(&mut self, engine: Engine, cause: String, turn: &mut Turn<'_>) {
        self.phase = Phase::Unknown;
        self.content.trial.suspend();
        self.content.trial.note_run_ended(false);
        turn.on_order_failed(engine, &format!("workload '{}'", self.name), &Failure::Engine(cause));
    }

    pub(super) fn fail_and_back_off(&mut self, cause: &str, at: Duration, turn: &mut Turn<'_>) {
        self.fail_and_back_off_because(Reason::BackOff, cause, at, turn);
    }

    /// A failure at this time since boot: the wait for the next try counts from there.
    pub(super) fn fail_and_back_off_because(
        &mut self,
        reason: Reason,
        cause: &str,
        at: Duration,
        turn: &mut Turn<'_>,
    ) {
        if self
            .content
            .runs_since
            .take()
            .is_some_and(|since| Backoff::resets_failures(at.saturating_sub(since)))
        {
            self.content.failures = 0;
        }
        self.content.failures = self.content.failures.saturating_add(1);
        self.content.failure = Some((reason, cause.to_owned()));
        self.count_retry(turn);
        self.content.trial.note_run_ended(false);
        self.begin_wait(at, turn);
        let again = match self.phase {
            Phase::Waiting { until } => {
                format!("tried again in {:.0} s", until.saturating_sub(turn.now.up).as_secs_f32())
            }
            _ => "its next run is at its next slot".into(),
        };
        turn.tell(Notice::warning(reason, format!("workload '{}': {cause}; {again}", self.name)));
    }

    /// Rests until the back-off is over, or for the next slot.
    pub(super) fn begin_wait(&mut self, at: Duration, turn: &mut Turn<'_>) {
        let Some(wanted) = self.wanted.clone() else { return };
        self.phase = match &wanted.schedule {
            Schedule::Service(backoff) => {
                let delay = backoff.delay(self.content.failures.saturating_sub(1), turn.random());
                Phase::Waiting { until: at + delay }
            }
            Schedule::Cron(_, backoff) if self.content.retried > 0 => {
                self.content.cron_runs.set_due_now();
                Phase::Waiting { until: at + backoff.delay(self.content.retried - 1, turn.random()) }
            }
            Schedule::Cron(..) => {
                self.content.cron_runs.mark_begun(turn.now);
                Phase::Inactive
            }
        };
    }
}
