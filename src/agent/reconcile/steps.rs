//! What a workload does next: the orders it gives, and when it wants to be asked again.

use std::{sync::Arc, time::Duration};

use super::tracked::{Prepared, RunVerdict, TrackedWorkload};
use crate::agent::{
    block_reason::BlockReason,
    containers::ContainerRestarts,
    context::Turn,
    cron_runs::CronRuns,
    model::{
        fallback::{FailedContent, Fallback},
        notice::{Notice, Reason},
        order::{CpuLimit, Grace, Task},
        phase::Phase,
        schedule::Schedule,
        time::Wake,
        workload::Workload,
    },
    probes::Health,
    profiles::Allowance,
    trial::{TRIAL_LENGTH, TrialState},
    wrong_clock::CLOCK_RECHECK_INTERVAL,
};

impl TrackedWorkload {
    pub(super) fn order_look(&mut self, adopting: bool, turn: &mut Turn<'_>) {
        let Some(wanted) = &self.wanted else { return };
        self.content.look_at = None;
        let ticket = turn.issue_order(&self.name, wanted.content.engine, Task::Look(wanted.id.clone()));
        self.last.insert(wanted.content.engine, ticket);
        self.phase = Phase::Looking { ticket, adopting };
    }

    /// Does all that can be done now, and says when it wants to be asked again. `allowance`: what
    /// its profiles say.
    pub(in crate::agent) fn advance(&mut self, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let trial = self.advance_trial(turn);
        let mut verdict = self.update_verdict(allowance.runs, turn);
        self.waits = !allowance.starts;
        let had_waiting = self.waiting_update.is_some();
        let switch = self.switch(allowance.update, turn); // whether it may run is known
        if had_waiting && self.waiting_update.is_none() {
            verdict = self.update_verdict(allowance.runs, turn); // a content that was let through begins anew
        }
        self.content.flapping.take_rest_notice(&self.name).into_iter().for_each(|it| turn.tell(it));
        let wake = verdict.earlier(trial).earlier(switch).earlier(self.reply_still_checking(turn));
        let wake = wake.earlier(self.advance_wanted(Allowance { runs: self.may_run(), ..allowance }, turn));
        let wake = wake.earlier(self.enforce_deadline(turn)); // of a start that was just ordered, too
        if !self.may_remove_old_pods(turn) {
            return wake;
        }
        wake.earlier(self.terminating.advance(&self.name, turn))
    }

    /// Judges whether what is wanted may run, and says when to ask again. `allowed`: its profiles hold.
    fn update_verdict(&mut self, allowed: bool, turn: &mut Turn<'_>) -> Wake {
        let is_stopped = turn.context.stops.is_stopped(&self.name);
        let flapping = &mut self.content.flapping;
        let (may_run, wake) = flapping.may_run_unless_stopped(is_stopped, allowed, turn.now.up);
        self.verdict = match may_run && !self.content.evicted {
            true => RunVerdict::Yes,
            false if is_stopped => RunVerdict::Stopped,
            false => RunVerdict::No,
        };
        wake
    }

    /// Whether pods of it that aren't wanted are stopped and removed now.
    fn may_remove_old_pods(&self, turn: &Turn<'_>) -> bool {
        if self.wanted.is_none() {
            return turn.context.may_remove_unwanted(self.unreadable, self.dismissed);
        }
        // An old pod runs on until the new one is known to be able to start.
        !self.may_run()
            || self.content.ready >= self.needed_before_start() && !turn.context.short && !self.waits
            || matches!(self.phase, Phase::Running | Phase::Finished { .. })
    }

    /// Why it may not run.
    pub(super) fn block_message(&self, now: Duration) -> &'static str {
        let rests = self.content.flapping.resting_until(now).is_some();
        BlockReason::of(self.content.evicted, self.is_stopped(), rests).block_message()
    }

    /// What has to be here before a start.
    fn needed_before_start(&self) -> Prepared {
        if self.terminating.has_removal_due() { Prepared::All } else { Prepared::Images }
    }

    /// Notes what has come up, takes an update back whose time is over, and says when to ask again.
    fn advance_trial(&mut self, turn: &mut Turn<'_>) -> Wake {
        let Some(wanted) = self.wanted.clone() else { return Wake::Never };
        match self.content.trial.evaluate(self.phase, turn.now.up) {
            TrialState::Open(wake) => return wake,
            TrialState::Passed if self.content.trial.take_unremembered() => {
                turn.context.record_came_up(&self.name, &wanted);
            }
            TrialState::Passed => {}
            TrialState::Failed => {
                let Some(fallback) = turn.context.fallbacks.get(&self.name).cloned() else {
                    return Wake::Never;
                };
                let limit = TRIAL_LENGTH.as_secs();
                let failure = self.content.failure.as_ref().map(|(_, cause)| cause.clone());
                let cause = failure.unwrap_or_else(|| format!("it didn't start within {limit} s"));
                let message = format!(
                    "workload '{}': its update has not come up within {limit} s, so what ran before returns; this \
                     content isn't tried again until it changes: {cause}",
                    self.name
                );
                turn.tell(Notice::warning(Reason::RolledBack, message));
                let good = fallback.replacement_for(&wanted);
                let failed = Some(FailedContent { id: wanted.id.clone(), cause, by_hand: false });
                turn.context.set_fallback(&self.name, Fallback { failed, ..fallback });
                self.replace_wanted(Some(good), turn);
            }
        }
        Wake::Never
    }

    /// Does what comes next for the wanted content, and says when to ask again.
    fn advance_wanted(&mut self, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let Some(wanted) = self.wanted.clone() else { return Wake::Never };
        if !allowance.runs {
            self.forget_tries();
        }
        if let Some(until) = self.back_off_until(allowance.runs, turn.now.up) {
            return Wake::At(until);
        }
        let (may_run, slot) = self.check_cron_slot(&wanted.schedule, allowance.runs, turn);
        if !may_run {
            self.cut_start_short(&wanted, turn);
        }
        if self.content.evicted && self.phase == Phase::Running {
            return self.order_removal(&wanted, turn); // whether podman answers or not: its processes can be ended
        }
        if !turn.is_engine_ready(wanted.content.engine) {
            return slot; // a list will come
        }
        self.order_next_step(wanted, may_run, allowance, turn).unwrap_or(slot)
    }

    /// What may not run has neither failures nor a trial: when it may run again it starts at once; or, if it has a
    /// schedule, at its next slot.
    fn forget_tries(&mut self) {
        if self.is_retry_pending() {
            self.content.cron_runs.cancel_retry();
        }
        self.content.forget_failures();
        self.content.trial.suspend();
    }

    /// Until when it waits after a failure, if it may run and does.
    fn back_off_until(&mut self, may_run: bool, now: Duration) -> Option<Duration> {
        let Phase::Waiting { until } = self.phase else { return None };
        if may_run && now < until {
            return Some(until);
        }
        if !self.present {
            self.phase = Phase::Inactive;
        }
        None
    }

    /// Whether it may run now, and when to ask again: by a cron schedule only while the run of a slot is due. (What
    /// runs already, as a pod that was adopted, is the run of its slot.)
    fn check_cron_slot(&mut self, schedule: &Schedule, may_run: bool, turn: &mut Turn<'_>) -> (bool, Wake) {
        let Schedule::Cron(cron, _) = schedule else { return (may_run, Wake::Never) };
        if !matches!(self.phase, Phase::Inactive | Phase::Finished { .. }) {
            return (may_run, Wake::Never);
        }
        let is_try = self.is_retry_pending();
        if !self.content.cron_runs.is_due() {
            (self.content.retried, self.content.deadline) = (0, None); // of a run that was lost, perhaps
        }
        if turn.context.clock_lag(turn.now).is_some() && !is_try {
            self.content.cron_runs = CronRuns::default(); // by such a clock no slot can be told
            return (false, Wake::At(turn.now.up + CLOCK_RECHECK_INTERVAL));
        }
        let may_run = may_run && !self.waits;
        let (is_due, wake) =
            self.content.cron_runs.check_due(cron, may_run, turn.now, turn.context.next_slot);
        if is_due && self.present {
            self.phase = Phase::Waiting { until: turn.now.up }; // the pod of the last run goes first
        } else if is_due {
            self.phase = Phase::Inactive;
        }
        (is_due, wake)
    }

    /// Cancels a start that isn't wanted any more, whether podman answers or not: init containers may take minutes.
    fn cut_start_short(&mut self, wanted: &Workload, turn: &mut Turn<'_>) {
        if let Phase::Starting(ticket) = self.phase {
            self.cancel_start(wanted, self.block_message(turn.now.up), turn);
            self.phase = Phase::Cancelling(ticket);
        }
    }

    /// Gives the order that comes next to an engine that answers. `None`: there is nothing to wait for but a slot.
    fn order_next_step(
        &mut self,
        wanted: Arc<Workload>,
        may_run: bool,
        allowance: Allowance,
        turn: &mut Turn<'_>,
    ) -> Option<Wake> {
        if !allowance.runs
            && let Some(wake) = self.stop_what_may_not_run(&wanted, turn)
        {
            return Some(wake);
        }
        let cpu = cpu_limit(&wanted, allowance.cpu);
        match self.phase {
            Phase::Running => return self.tend_running_pod(&wanted, cpu, turn),
            Phase::Starting(_) => self.order_cpu_limit(&wanted, cpu, turn),
            Phase::Waiting { .. } => return Some(self.order_removal(&wanted, turn)),
            Phase::Inactive => self.prepare_start(wanted, may_run, cpu, turn),
            _ => {}
        }
        None
    }

    /// What may not run goes, if there is a pod of it.
    fn stop_what_may_not_run(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Option<Wake> {
        if self.phase == Phase::Running {
            let message = format!("workload '{}' is stopped: {}", self.name, self.block_message(turn.now.up));
            turn.tell(Notice::info(Reason::Inactive, message));
        } else if !(self.phase == Phase::Inactive && self.present) {
            return None;
        }
        Some(self.order_removal(wanted, turn))
    }

    /// Looks at the running pod when that is due; else sees to its limit, its probes and what of it has ended.
    fn tend_running_pod(&mut self, wanted: &Workload, cpu: CpuLimit, turn: &mut Turn<'_>) -> Option<Wake> {
        match self.content.look_at {
            Some(at) if turn.now.up < at => Some(Wake::At(at)),
            Some(_) if self.content.containers.any_starting() => None, // that tells all about the pod
            Some(_) => {
                self.order_look(false, turn);
                None
            }
            None => {
                self.order_cpu_limit(wanted, cpu, turn);
                let wake = self.probe(wanted, turn);
                Some(wake.earlier(self.advance_containers(wanted, turn)))
            }
        }
    }

    /// Takes the next step to a start of what is inactive. Nothing new starts while the device is short.
    fn prepare_start(&mut self, wanted: Arc<Workload>, may_run: bool, cpu: CpuLimit, turn: &mut Turn<'_>) {
        if turn.context.short {
            self.content.trial.suspend();
            return;
        }
        if may_run && (self.pull_images(&wanted, turn) || self.adopt_found_pod(&wanted, turn)) {
            return;
        }
        if self.content.restart.is_some() {
            return; // what that finds out is what is needed here
        }
        if may_run && self.rehearse(&wanted, turn) {
            return;
        }
        if self.waits {
            self.content.forget_failures(); // nothing fails
        } else if may_run && self.old_pods_are_gone(turn) {
            self.start(wanted, cpu, turn);
        }
    }

    /// Whether its images have to be pulled: that is ordered then.
    fn pull_images(&mut self, wanted: &Arc<Workload>, turn: &mut Turn<'_>) -> bool {
        let are_missing = self.content.ready == Prepared::Nothing;
        if are_missing {
            // (changes nothing that a list shows)
            let pull = Task::Pull(wanted.clone());
            self.phase = Phase::Pulling(turn.issue_order(&self.name, wanted.content.engine, pull));
        }
        are_missing
    }

    /// Whether a pod of it was found while the images came in: it is looked at then.
    fn adopt_found_pod(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> bool {
        let is_found = self.present && wanted.is_service();
        if is_found {
            self.order_look(true, turn);
        }
        is_found
    }

    /// Whether it has to be found out first what a start would be refused for: that is ordered then.
    fn rehearse(&mut self, wanted: &Arc<Workload>, turn: &mut Turn<'_>) -> bool {
        let is_needed = self.content.ready < self.needed_before_start();
        if is_needed {
            let engine = wanted.content.engine;
            let (workload, moves) = (wanted.clone(), self.terminating.is_elsewhere(engine));
            let ticket = turn.issue_order(&self.name, engine, Task::Rehearse { workload, moves });
            self.phase = Phase::Pulling(ticket);
        }
        is_needed
    }

    /// Whether no pod of an earlier content is left, as far as this process has heard: another engine may have one.
    fn old_pods_are_gone(&self, turn: &Turn<'_>) -> bool {
        self.terminating.is_empty() && !turn.engines.awaits_a_podman()
    }

    fn start(&mut self, wanted: Arc<Workload>, cpu: CpuLimit, turn: &mut Turn<'_>) {
        let (engine, is_service) = (wanted.content.engine, wanted.is_service());
        turn.forget_run(&wanted.id);
        if turn.context.can_roll_back(&wanted) {
            self.content.trial.begin(turn.now.up);
        }
        self.content.restarts = self.content.restarts.saturating_add(u32::from(self.content.failures > 0));
        if self.content.retried == 0 || self.content.deadline.is_none() {
            self.content.deadline = wanted.deadline.map(|limit| turn.now.up + limit);
        }
        self.content.over = false;
        let ticket = turn.issue_order(&self.name, engine, Task::Start(wanted, cpu));
        self.limit.reset_for_new_pod(cpu);
        self.last.insert(engine, ticket);
        (self.phase, self.present) = (Phase::Starting(ticket), true);
        (self.content.false_alarms, self.content.health) = (0, Health::default());
        (self.content.containers, self.content.runs_since) = (ContainerRestarts::default(), None);
        if !is_service {
            self.content.cron_runs.mark_begun(turn.now);
            self.content.ready = Prepared::Nothing; // the next run may find a newer image
        }
    }

    /// Gives the pod another CPU limit, if that is what it is to have.
    fn order_cpu_limit(&mut self, wanted: &Workload, cpu: CpuLimit, turn: &mut Turn<'_>) {
        if self.limit.needs_order(cpu) {
            let task = Task::Limit { id: wanted.id.clone(), cpu };
            let ticket = turn.issue_order(&self.name, wanted.content.engine, task);
            self.limit.mark_ordered(ticket, wanted.id.clone(), cpu);
        }
    }

    /// Its start, which is under way, comes to nothing.
    pub(super) fn cancel_start(&self, wanted: &Workload, cause: &str, turn: &mut Turn<'_>) {
        let message = format!("workload '{}': its start is cut short: {cause}", self.name);
        turn.tell(Notice::info(Reason::Inactive, message));
        turn.issue_order(&self.name, wanted.content.engine, Task::Cancel(wanted.id.clone()));
    }

    pub(super) fn order_removal(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        if turn.now.up < self.stop_after {
            return Wake::At(self.stop_after);
        }
        self.content.trial.note_run_ended(false); // whatever it did, it doesn't go on
        self.content.health = Health::default(); // if it stays it is asked anew
        let grace = match self.content.evicted {
            true => Grace::Shortest, // the device comes first
            false => Grace::Given(wanted.grace),
        };
        let task = Task::Remove { id: wanted.id.clone(), grace };
        let ticket = turn.issue_order(&self.name, wanted.content.engine, task);
        self.last.insert(wanted.content.engine, ticket);
        self.phase = Phase::Stopping(ticket);
        Wake::Never
    }
}

/// The limit of its pod: its own or what its conditions allow, whichever is lower.
fn cpu_limit(wanted: &Workload, allowed: CpuLimit) -> CpuLimit {
    wanted.cpu.into_iter().chain(allowed).min()
}
