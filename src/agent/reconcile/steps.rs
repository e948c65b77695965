//! What a workload does next: the orders it gives, and when it wants to be asked again.

use std::{sync::Arc, time::Duration};

use super::tracked::{Ready, Tracked};
use crate::agent::{
    containers::Containers,
    context::Turn,
    cron_runs::CronRuns,
    listings::Allowance,
    model::{
        fallback::{Failed, Fallback},
        notice::{Notice, Reason},
        order::{CpuLimit, Task},
        phase::Phase,
        pressure::GRACE,
        schedule::Cron,
        schedule::Schedule,
        time::Wake,
        workload::Workload,
    },
    probes::Health,
    update::{DEADLINE, Progress},
};

/// A clock that is set is told of at once where the kernel can.
const CLOCK_AGAIN: Duration = Duration::from_secs(60);

impl Tracked {
    pub(super) fn look(&mut self, adopting: bool, turn: &mut Turn<'_>) {
        let Some(wanted) = &self.wanted else { return };
        self.content.look_at = None;
        let ticket = turn.order(&self.name, wanted.content.engine, Task::Look(wanted.id.clone()));
        self.last.insert(wanted.content.engine, ticket);
        self.phase = Phase::Looking { ticket, adopting };
    }

    /// Does all that can be done now, and says when it wants to be asked again. `allowance`: what
    /// its profiles say.
    pub(in crate::agent) fn advance(&mut self, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let update = self.judge_update(turn);
        let (may_run, flap) = self.content.flapping.may_run(allowance.runs, turn.now.up);
        let may_run = may_run && !self.evicted;
        self.may_run = may_run;
        self.content.flapping.news(&self.name).into_iter().for_each(|it| turn.tell(it));
        let wake = flap.earlier(update).earlier(self.pacify(turn));
        let wake = wake.earlier(self.advance_wanted(Allowance { runs: may_run, ..allowance }, turn));
        let wake = wake.earlier(self.judge_deadline(turn)); // of a start that was just ordered, too
        let leave = match &self.wanted {
            None => !self.unreadable && (self.dismissed || !turn.context.partial),
            // An old pod runs on until the new one is known to be able to start.
            Some(wanted) => {
                !may_run
                    || self.content.ready >= self.needed(wanted) && !turn.context.short
                    || matches!(self.phase, Phase::Running | Phase::Finished { .. })
            }
        };
        if !leave {
            return wake;
        }
        wake.earlier(self.terminating.advance(&self.name, turn))
    }

    /// What has to be here before a start.
    fn needed(&self, wanted: &Workload) -> Ready {
        if self.terminating.is_due(wanted.content.engine) { Ready::All } else { Ready::Images }
    }

    /// Takes down what has come up, takes an update back whose time is over, and says when to ask again.
    fn judge_update(&mut self, turn: &mut Turn<'_>) -> Wake {
        let Some(wanted) = self.wanted.clone() else { return Wake::Never };
        match self.content.trial.progress(self.phase, turn.now.up) {
            Progress::Open(wake) => return wake,
            Progress::Passed => turn.context.came_up(&self.name, &wanted),
            Progress::Failed => {
                let Some(fallback) = turn.context.fallbacks.get(&self.name).cloned() else {
                    return Wake::Never;
                };
                let limit = DEADLINE.as_secs();
                let failure = self.content.failure.as_ref().map(|(_, cause)| cause.clone());
                let cause = failure.unwrap_or_else(|| format!("it didn't start within {limit} s"));
                let message = format!(
                    "workload '{}': its update has not come up within {limit} s, so what ran before returns; this \
                     content isn't tried again until it changes: {cause}",
                    self.name
                );
                turn.tell(Notice::warning(Reason::RolledBack, message));
                let good = fallback.instead_of(&wanted);
                let failed = Some(Failed { id: wanted.id.clone(), cause });
                turn.context.fall_back(&self.name, Fallback { failed, ..fallback });
                self.replace(Some(good), turn);
            }
        }
        Wake::Never
    }

    fn advance_wanted(&mut self, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let mut may_run = allowance.runs;
        let Some(wanted) = self.wanted.clone() else { return Wake::Never };
        let (engine, is_service) = (wanted.content.engine, wanted.is_service());
        let cpu = wanted.cpu.into_iter().chain(allowance.cpu).min();
        if !may_run {
            self.content.failures = 0; // when it may run again it starts at once
            self.content.trial.suspend();
        }
        if let Phase::Waiting { until } = self.phase {
            if may_run && turn.now.up < until {
                return Wake::At(until);
            }
            if !self.present {
                self.phase = Phase::Inactive;
            }
        }
        let mut slot = Wake::Never;
        if let Schedule::Cron(cron) = &wanted.schedule
            && matches!(self.phase, Phase::Inactive | Phase::Finished { .. })
        {
            (may_run, slot) = self.look_for_slot(cron, may_run, turn);
        }
        if let (Phase::Starting(ticket), false) = (self.phase, may_run) {
            // whether podman answers or not: init containers may take minutes, and they are not wanted any more
            let cause = if self.evicted { "the device comes first" } else { "its profiles don't hold" };
            self.cancel(&wanted, cause, turn);
            self.phase = Phase::Cancelling(ticket);
        }
        if self.evicted && self.phase == Phase::Running {
            return self.stop(&wanted, turn); // whether podman answers or not: its processes can be ended
        }
        if !turn.ready(engine) {
            return slot; // a list will come
        }
        match self.phase {
            Phase::Running if !may_run => {
                let message = format!("workload '{}' is stopped: its profiles don't hold", self.name);
                turn.tell(Notice::info(Reason::Inactive, message));
                return self.stop(&wanted, turn);
            }
            Phase::Running => match self.content.look_at {
                Some(at) if turn.now.up < at => return Wake::At(at),
                Some(_) if self.content.containers.is_starting() => {} // that tells all about the pod
                Some(_) => self.look(false, turn),
                None => {
                    self.bound(&wanted, cpu, turn);
                    let wake = self.probe(&wanted, turn);
                    return wake.earlier(self.mend(&wanted, turn));
                }
            },
            Phase::Starting(_) => self.bound(&wanted, cpu, turn),
            Phase::Waiting { .. } => return self.stop(&wanted, turn),
            Phase::Inactive if !allowance.runs && self.present => return self.stop(&wanted, turn),
            Phase::Inactive if turn.context.short => self.content.trial.suspend(), // the device comes first
            Phase::Inactive if may_run && self.content.ready == Ready::No => {
                // (changes nothing that a list shows)
                self.phase = Phase::Pulling(turn.order(&self.name, engine, Task::Pull(wanted)));
            }
            // It was found while the images came in.
            Phase::Inactive if may_run && self.present && is_service => self.look(true, turn),
            Phase::Inactive if self.content.restart.is_some() => {} // what that finds out is what is needed here
            Phase::Inactive if may_run && self.content.ready < self.needed(&wanted) => {
                self.phase = Phase::Pulling(turn.order(&self.name, engine, Task::Check(wanted)));
            }
            // Another engine may have a pod of an earlier content: this process has to have heard of it first.
            Phase::Inactive if may_run && self.terminating.is_empty() && !turn.engines.is_new() => {
                self.start(wanted, cpu, turn);
            }
            _ => {}
        }
        slot
    }

    /// Whether the run of a slot is due, and when to ask again.
    fn look_for_slot(&mut self, cron: &Cron, may_run: bool, turn: &mut Turn<'_>) -> (bool, Wake) {
        if turn.context.clock_behind(turn.now).is_some() {
            self.content.cron_runs = CronRuns::default(); // by such a clock no slot can be told
            return (false, Wake::At(turn.now.up + CLOCK_AGAIN));
        }
        let (is_due, wake) = self.content.cron_runs.due(cron, may_run, turn.now, turn.context.next_slot);
        if is_due && self.present {
            self.phase = Phase::Waiting { until: turn.now.up }; // the pod of the last run goes first
        } else if is_due {
            self.phase = Phase::Inactive;
        }
        (is_due, wake)
    }

    fn start(&mut self, wanted: Arc<Workload>, cpu: CpuLimit, turn: &mut Turn<'_>) {
        let (engine, is_service) = (wanted.content.engine, wanted.is_service());
        turn.forget(&wanted.id);
        if turn.context.is_on_trial(&wanted) {
            self.content.trial.begin(turn.now.up);
        }
        self.content.restarts = self.content.restarts.saturating_add(u32::from(self.content.failures > 0));
        if self.content.retried == 0 {
            self.content.deadline = wanted.deadline.map(|limit| turn.now.up + limit);
        }
        self.content.over = false;
        let ticket = turn.order(&self.name, engine, Task::Start(wanted, cpu));
        self.limit.begins(cpu);
        self.last.insert(engine, ticket);
        (self.phase, self.present) = (Phase::Starting(ticket), true);
        (self.content.false_alarms, self.content.health) = (0, Health::default());
        (self.content.containers, self.content.runs_since) = (Containers::default(), None);
        if !is_service {
            self.content.cron_runs.used();
            self.content.ready = Ready::No; // the next run may find a newer image
        }
    }

    /// Gives the pod another CPU limit, if that is what it is to have.
    fn bound(&mut self, wanted: &Workload, cpu: CpuLimit, turn: &mut Turn<'_>) {
        if self.limit.wants(cpu) {
            let task = Task::Limit { id: wanted.id.clone(), cpu };
            let ticket = turn.order(&self.name, wanted.content.engine, task);
            self.limit.ordered(ticket, wanted.id.clone(), cpu);
        }
    }

    /// Its start, which is under way, comes to nothing.
    pub(super) fn cancel(&self, wanted: &Workload, cause: &str, turn: &mut Turn<'_>) {
        let message = format!("workload '{}': its start is cut short: {cause}", self.name);
        turn.tell(Notice::info(Reason::Inactive, message));
        turn.order(&self.name, wanted.content.engine, Task::Cancel(wanted.id.clone()));
    }

    pub(super) fn stop(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        if turn.now.up < self.stop_after {
            return Wake::At(self.stop_after);
        }
        self.content.trial.ran(Duration::ZERO); // whatever it did, it doesn't go on
        self.content.health = Health::default(); // if it stays it is asked anew
        let grace = if self.evicted { GRACE } else { wanted.grace };
        let task = Task::Remove { id: wanted.id.clone(), grace };
        let ticket = turn.order(&self.name, wanted.content.engine, task);
        self.last.insert(wanted.content.engine, ticket);
        self.phase = Phase::Stopping(ticket);
        Wake::Never
    }
}
