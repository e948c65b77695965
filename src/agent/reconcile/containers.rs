//! A container that ended is started again in its pod: its neighbours, the pod's address and its volumes stay.

use super::tracked::TrackedWorkload;
use crate::agent::{
    containers::{ContainerToRestart, DueStep, OrderedStep},
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{ContainerState, Fact, Failure, Task, Ticket},
        phase::Phase,
        time::Wake,
        workload::Workload,
    },
    terminating::REMOVAL_RETRY_DELAY,
};

impl TrackedWorkload {
    /// Whether a container should run, and doesn't, in a pod that goes on.
    pub(in crate::agent) fn has_container_down(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Looking { .. }) && self.content.containers.any_pending()
    }

    /// These ended and are to be started again. Answers whether one of them is news.
    pub(super) fn schedule_restarts(
        &mut self,
        wanted: &Workload,
        missed: Vec<ContainerToRestart>,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.content.containers.cancel_other_starts(&missed);
        let backoff = wanted.schedule.backoff();
        let is_run = wanted.retries.is_some() || !wanted.is_service();
        let mut any = false;
        for it in missed {
            let since = it.at.and_then(|at| turn.now.utc.duration_since(at).ok()).unwrap_or_default();
            let (now, cause, random) = (turn.now.up, it.cause.clone(), turn.random());
            let counts = is_run && !wanted.content.specification.outline().is_sidecar(&it.container);
            let since = now.saturating_sub(since);
            let Some((wait, told)) =
                self.content.containers.schedule_restart(it, backoff, now, since, random)
            else {
                continue;
            };
            any = true;
            self.content.retried = self.content.retried.saturating_add(u32::from(counts));
            if !told {
                let wait = wait.as_secs_f32();
                let message = format!("workload '{}': {cause}; tried again in {wait:.0} s", self.name);
                turn.tell(Notice::warning(Reason::BackOff, message));
                self.content.failure = Some((Reason::BackOff, cause));
            }
        }
        any
    }

    /// The container's probe failed, or its hook after the start.
    pub(super) fn mark_unhealthy(
        &mut self,
        wanted: &Workload,
        container: &str,
        cause: String,
        turn: &mut Turn<'_>,
    ) {
        let then = if wanted.restarts_on_failure(container) {
            "it is started anew after its back-off"
        } else {
            "it is stopped"
        };
        let message = format!("workload '{}': {cause}; {then}", self.name);
        turn.tell(Notice::warning(Reason::Unhealthy, message));
        self.content.containers.mark_unhealthy(container, &cause, turn.now.up);
        self.content.trial.note_run_ended(false);
        self.content.failure = Some((Reason::Unhealthy, cause));
    }

    /// Ends and starts containers that are due, and says when to ask again.
    pub(super) fn advance_containers(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        let holds = turn.context.short;
        if holds && self.content.containers.any_pending() {
            self.content.trial.suspend(); // the device comes first
        }
        loop {
            let (due, wake) = self.content.containers.next_due_step(turn.now.up, holds);
            let Some(due) = due else { return wake };
            let id = wanted.id.clone();
            let task = match &due {
                DueStep::End(container) => {
                    Task::End { id, container: container.clone(), grace: wanted.grace }
                }
                DueStep::Start(container, ended) => {
                    self.content.restarts = self.content.restarts.saturating_add(1);
                    if turn.context.can_roll_back(wanted) {
                        self.content.trial.begin(turn.now.up); // if its start was cut short, and came about
                    }
                    Task::Restart { id, container: container.clone(), ended: *ended }
                }
            };
            // not this workload's `last`: the pod stays the same
            let ticket = turn.issue_order(&self.name, wanted.content.engine, task);
            self.content.containers.mark_ordered(&due, ticket);
        }
    }

    /// The outcome of an order. Gives it back if it was none of these.
    pub(super) fn on_container_order_done(
        &mut self,
        wanted: &Workload,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let Some(ordered) = self.content.containers.take_ended_order(ticket) else { return Some(result) };
        if self.phase != Phase::Running {
            // what a look under way tells may be older
            if let OrderedStep::Start(_) = ordered {
                self.content.containers.retry_at(&ordered, turn.now.up);
            }
            if let Phase::Looking { .. } | Phase::Unknown = self.phase {
                self.content.look_at = Some(turn.now.up);
            }
            return None;
        }
        match (ordered, result) {
            (ordered, Err(Failure::Engine(cause))) => {
                if let OrderedStep::Start(_) = ordered {
                    self.content.containers.retry_at(&ordered, turn.now.up); // unless it runs when podman answers
                }
                self.on_engine_lost(wanted.content.engine, cause, turn);
            }
            (OrderedStep::Start(container), Ok(Fact::Pod(pod))) => {
                let is_it = |state: &ContainerState| *state == ContainerState::Running;
                if pod.failed_starts.is_empty()
                    && pod.containers.iter().any(|it| it.name == container && is_it(&it.state))
                {
                    let message =
                        format!("workload '{}': container '{container}' is started again", self.name);
                    turn.tell(Notice::info(Reason::Started, message));
                }
                self.content.false_alarms = 0;
                self.apply_pod_state(wanted, &pod, false, turn);
            }
            (OrderedStep::Start(_), Ok(_)) => {
                self.present = false;
                self.fail_and_back_off("its pod is gone", turn.now.up, turn);
            }
            (OrderedStep::Start(container), Err(Failure::Workload(cause))) => {
                self.on_failed_start(wanted, &container, &cause, turn);
            }
            (OrderedStep::End(_), Ok(_)) => self.content.look_at = Some(turn.now.up),
            (OrderedStep::End(container), Err(failure)) => {
                let what = format!("failed to stop container '{container}' of workload '{}'", self.name);
                turn.on_order_failed(wanted.content.engine, &what, &failure);
                self.content
                    .containers
                    .retry_at(&OrderedStep::End(container), turn.now.up + REMOVAL_RETRY_DELAY);
                self.content.look_at = Some(turn.now.up); // it may have ended all the same
            }
        }
        None
    }

    /// The container could not be started: a failure of its own, or of the pod if nothing else runs in it. Answers
    /// whether the pod goes on.
    pub(super) fn on_failed_start(
        &mut self,
        wanted: &Workload,
        container: &str,
        cause: &str,
        turn: &mut Turn<'_>,
    ) -> bool {
        if !wanted.is_service() && !wanted.restarts_on_failure(container) {
            return true; // the run is over
        }
        let backoff = wanted.schedule.backoff();
        let (now, random) = (turn.now, turn.random());
        let (wait, failures) =
            self.content.containers.note_failed_start(container, cause, backoff, now, random);
        let Some(wait) = wait else {
            self.content.failures = self.content.failures.max(failures - 1);
            self.fail_and_back_off(cause, now.up, turn);
            return false;
        };
        self.content.failure = Some((Reason::BackOff, cause.to_owned()));
        let wait = wait.as_secs_f32();
        let message = format!("workload '{}': {cause}; tried again in {wait:.0} s", self.name);
        turn.tell(Notice::warning(Reason::BackOff, message));
        true
    }
}
