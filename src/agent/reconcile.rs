//! One workload, from what is wanted to what is there: the edges between its [`Phase`]s.
//!
//! Pods that belong to earlier contents of the workload, or to no workload at all, are *leaving*: they stay
//! until their successor's images are here, and their successor starts when they are gone.

use std::{sync::Arc, time::Duration};

use super::{
    Turn,
    flapping::Flapping,
    leaving::{Leaving, REMOVE_AGAIN, Removal},
    notice::{Notice, Reason},
    order::{Fact, Failure, Pod, Task, Ticket},
    phase::Phase,
    slots::Slots,
    time::Wake,
    verdict::{Verdict, judge},
    workload::{Backoff, Engine, Schedule, Workload, WorkloadId},
};

/// All that is known of one workload name.
#[derive(Debug, Default)]
pub(super) struct Tracked {
    name: Arc<str>,
    /// What shall run; `None` when everything of this name is leaving.
    wanted: Option<Arc<Workload>>,
    /// It could not be understood this time: nothing of it changes.
    pub(super) held: bool,
    pub(super) phase: Phase,
    /// Whether a pod of the wanted content is, or may be, on the engine.
    present: bool,
    /// Whether the images of the wanted content are known to be here.
    pulled: bool,
    /// Its conditions allow it, and it doesn't rest from their flapping.
    pub(super) may_run: bool,
    /// It was wanted by this process, and isn't any more: its pods are no riddle.
    dismissed: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Exits that turned out to be none, in a row: how long to wait before believing the next one.
    false_alarms: u32,
    /// When to look at the running pod again.
    look_at: Option<Duration>,
    /// The pod's removal failed: it isn't tried again before this time since boot.
    stop_after: Duration,
    flapping: Flapping,
    slots: Slots,
    leaving: Leaving,
    /// The last order of this workload: a list asked for before it says nothing.
    last: Ticket,
}

impl Tracked {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, ..Self::default() }
    }

    /// What shall run.
    pub(super) fn wanted(&self) -> Option<&Arc<Workload>> {
        self.wanted.as_ref()
    }

    /// Whether nothing is left to know or do.
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_none() && self.leaving.is_empty() && !self.held
    }

    /// Wants this from now on. The pod of another content becomes a leaving one.
    pub(super) fn want(&mut self, wanted: Option<Arc<Workload>>, finished: Option<i32>, turn: &mut Turn<'_>) {
        if let (Some(old), Some(new)) = (&self.wanted, &wanted)
            && old.id == new.id
        {
            // Profiles or schedule may differ: never a reason to touch the pod.
            let (same_kind, engine) = (old.is_service() == new.is_service(), new.content.engine);
            self.wanted = wanted;
            if !same_kind {
                self.slots = Slots::default();
                if matches!(self.phase, Phase::Finished { .. }) {
                    self.phase = Phase::Unknown; // what was the end of a run may be a service's failure
                    turn.engines.ask(engine, turn.now.up);
                }
            }
            return;
        }
        if let Some(old) = self.wanted.take() {
            self.leave(&old, turn);
            self.dismissed = true;
        }
        (self.pulled, self.failures, self.look_at, self.false_alarms) = (false, 0, None, 0);
        self.flapping = Flapping::default();
        self.slots = Slots::default();
        self.wanted = wanted;
        let Some(new) = &self.wanted else { return };
        // Back to a content whose pod has not gone yet: it is the wanted one again.
        let back = matches!(self.leaving.removal(&new.id), Some(Removal::Due(_)));
        if back {
            self.leaving.take_back(&new.id);
        }
        self.present = back;
        self.phase = match finished {
            Some(code) => Phase::Finished { code },
            // Its pod is on its way out: it starts when that is over.
            None if self.leaving.removal(&new.id).is_some() => Phase::Inactive,
            None if turn.ready(new.content.engine) && !back => Phase::Inactive,
            None => Phase::Unknown,
        };
        if back && turn.ready(new.content.engine) {
            self.look(true, turn);
        }
    }

    /// Turns the present pod of `old`, if there may be one, into a leaving one.
    fn leave(&mut self, old: &Workload, turn: &Turn<'_>) {
        let removal = match self.phase {
            Phase::Stopping(ticket) => Removal::UnderWay(ticket),
            Phase::Starting(ticket) | Phase::Looking { ticket, .. } => Removal::After(ticket),
            _ if self.present => Removal::Due(turn.now.up),
            _ => return,
        };
        self.leaving.add(old, removal);
    }

    /// A list asked for by `listed` shows this pod with the workload's name.
    pub(super) fn seen(
        &mut self,
        listed: Ticket,
        engine: Engine,
        id: &WorkloadId,
        running: bool,
        turn: &mut Turn<'_>,
    ) {
        if listed < self.last {
            return; // something was ordered since: the list is older than what we know
        }
        let is_wanted = self.wanted.as_ref().is_some_and(|it| it.id == *id && it.content.engine == engine);
        match self.leaving.removal(id) {
            // Wanted again before its removal began.
            Some(Removal::Due(_)) if is_wanted && self.phase == Phase::Unknown => {
                self.leaving.take_back(id);
            }
            Some(_) => return,
            None => {}
        }
        if !is_wanted {
            self.leaving.add_found(id, engine, turn.now.up);
            return;
        }
        self.present = true;
        match self.phase {
            Phase::Unknown | Phase::Inactive => self.look(true, turn),
            Phase::Running if !running && self.look_at.is_none() => self.look(false, turn),
            _ => {}
        }
    }

    /// A list asked for by `listed` was whole, and shows no pod of `engine` but the `ids`.
    pub(super) fn unseen(
        &mut self,
        listed: Ticket,
        engine: Engine,
        ids: &[&WorkloadId],
        turn: &mut Turn<'_>,
    ) {
        if listed < self.last {
            return;
        }
        self.leaving.unseen(engine, ids);
        let Some(wanted) = self.wanted.clone() else { return };
        if wanted.content.engine != engine || ids.contains(&&wanted.id) {
            return;
        }
        match self.phase {
            Phase::Unknown if self.failures > 0 => self.wait(turn.now.up, turn),
            Phase::Unknown => self.phase = Phase::Inactive,
            Phase::Running => self.failed("its pod is gone", turn.now.up, turn),
            Phase::Waiting { .. } | Phase::Finished { .. } => {}
            _ => return, // an order is under way and knows better
        }
        self.present = false;
    }

    /// A process of the pod ended.
    pub(super) fn exited(&mut self, id: &WorkloadId, now: Duration) {
        if self.phase == Phase::Running && self.wanted.as_ref().is_some_and(|wanted| wanted.id == *id) {
            // Believed at once, but not for ever: see `false_alarms`.
            let wait = match self.false_alarms {
                0 | 1 => Duration::ZERO,
                many => Duration::from_secs(1 << many.min(6)),
            };
            self.look_at = Some(now + wait);
        }
    }

    /// The outcome of one of this workload's orders.
    pub(super) fn done(&mut self, ticket: Ticket, result: Result<Fact, Failure>, turn: &mut Turn<'_>) {
        let Some(result) = self.leaving.done(ticket, result, turn) else { return };
        let Some(wanted) = self.wanted.clone() else { return };
        let (name, engine) = (self.name.clone(), wanted.content.engine);
        match (self.phase, result) {
            (Phase::Pulling(at), result) if at == ticket => match result {
                Ok(Fact::Pulled { stale }) => {
                    for sentence in stale {
                        turn.tell(Notice::warning(
                            Reason::ImagePullFailed,
                            format!("workload '{name}': {sentence}"),
                        ));
                    }
                    (self.pulled, self.phase) = (true, Phase::Inactive);
                }
                Ok(_) => self.phase = Phase::Inactive,
                Err(Failure::Engine(cause)) => self.lost(engine, cause, turn),
                Err(Failure::Workload(cause)) => {
                    self.failed_because(Reason::ImagePullFailed, &cause, turn.now.up, turn)
                }
            },
            (Phase::Starting(at), result) if at == ticket => match result {
                Ok(Fact::Pod(pod)) => {
                    self.present = true;
                    turn.tell(Notice::info(
                        Reason::Started,
                        format!("workload '{name}' is started: pod '{}'", wanted.id),
                    ));
                    self.judged(&wanted, &pod, false, turn);
                }
                Ok(_) => self.failed("its pod was gone as soon as it was made", turn.now.up, turn),
                Err(Failure::Engine(cause)) => self.lost(engine, cause, turn),
                Err(Failure::Workload(cause)) => {
                    // Perhaps an image was removed behind our back: ask for it again.
                    (self.present, self.pulled) = (false, false);
                    self.failed(&cause, turn.now.up, turn);
                }
            },
            (Phase::Looking { ticket: at, adopting }, result) if at == ticket => match result {
                Ok(Fact::Pod(pod)) => self.judged(&wanted, &pod, adopting, turn),
                Ok(_) if adopting => (self.present, self.phase) = (false, Phase::Inactive),
                Ok(_) => {
                    self.present = false;
                    self.failed("its pod is gone", turn.now.up, turn);
                }
                Err(Failure::Engine(cause)) => self.lost(engine, cause, turn),
                Err(Failure::Workload(cause)) => self.failed(&cause, turn.now.up, turn),
            },
            (Phase::Stopping(at), result) if at == ticket => match result {
                Ok(_) => {
                    (self.present, self.phase) = (false, Phase::Inactive);
                    turn.tell(Notice::info(Reason::Stopped, format!("workload '{name}': its pod is gone")));
                }
                Err(Failure::Engine(cause)) => self.lost(engine, cause, turn),
                Err(Failure::Workload(cause)) => {
                    turn.failed(
                        engine,
                        &format!("failed to remove pod '{}'", wanted.id),
                        &Failure::Workload(cause),
                    );
                    self.stop_after = turn.now.up + REMOVE_AGAIN;
                    self.phase = Phase::Waiting { until: self.stop_after };
                }
            },
            _ => {}
        }
    }

    /// Takes the wanted pod for what its containers say.
    fn judged(&mut self, wanted: &Workload, pod: &Pod, adopting: bool, turn: &mut Turn<'_>) {
        let name = self.name.clone();
        match judge(wanted, pod) {
            Verdict::Running => {
                if adopting {
                    turn.tell(Notice::info(
                        Reason::Adopted,
                        format!("workload '{name}' runs already: pod '{}'", wanted.id),
                    ));
                    self.false_alarms = 0;
                } else if matches!(self.phase, Phase::Looking { .. }) {
                    self.false_alarms = self.false_alarms.saturating_add(1);
                }
                self.phase = Phase::Running;
            }
            Verdict::Finished { code } => {
                turn.tell(Notice::info(
                    Reason::Finished,
                    format!("workload '{name}' has finished with exit code {code}"),
                ));
                self.phase = Phase::Finished { code };
                turn.finished(&wanted.id, code);
            }
            Verdict::Failed { cause, at, ran } => {
                if ran >= Backoff::CAP {
                    self.failures = 0;
                }
                let since = turn.now.utc.duration_since(at).unwrap_or_default();
                self.failed(&cause, turn.now.up.saturating_sub(since), turn);
            }
            Verdict::Broken { cause } if adopting => {
                // An agent before this one was interrupted while it made the pod: no fault of the workload's.
                turn.tell(Notice::warning(
                    Reason::Failed,
                    format!("workload '{name}': {cause}; its pod is made anew"),
                ));
                self.phase = Phase::Waiting { until: turn.now.up };
            }
            Verdict::Broken { cause } => self.failed(&cause, turn.now.up, turn),
        }
    }

    /// The engine could not be asked: what is there must be seen again before anything else is done.
    fn lost(&mut self, engine: Engine, cause: String, turn: &mut Turn<'_>) {
        self.phase = Phase::Unknown;
        turn.failed(engine, &format!("workload '{}'", self.name), &Failure::Engine(cause));
    }

    fn failed(&mut self, cause: &str, at: Duration, turn: &mut Turn<'_>) {
        self.failed_because(Reason::BackOff, cause, at, turn);
    }

    /// A failure at this time since boot: the wait for the next try counts from there.
    fn failed_because(&mut self, reason: Reason, cause: &str, at: Duration, turn: &mut Turn<'_>) {
        self.failures = self.failures.saturating_add(1);
        self.wait(at, turn);
        let again = match self.phase {
            Phase::Waiting { until } => {
                format!("tried again in {:.0} s", until.saturating_sub(turn.now.up).as_secs_f32())
            }
            _ => "its next run is at its next slot".into(),
        };
        turn.tell(Notice::warning(reason, format!("workload '{}': {cause}; {again}", self.name)));
    }

    /// Rests until the back-off is over, or for the next slot.
    fn wait(&mut self, at: Duration, turn: &mut Turn<'_>) {
        let Some(wanted) = self.wanted.clone() else { return };
        self.phase = match &wanted.schedule {
            Schedule::Service(backoff) => {
                let delay = backoff.delay(self.failures.saturating_sub(1), turn.random());
                Phase::Waiting { until: at + delay }
            }
            Schedule::Cron(_) => {
                self.slots.used();
                Phase::Inactive
            }
        };
    }

    fn look(&mut self, adopting: bool, turn: &mut Turn<'_>) {
        let Some(wanted) = &self.wanted else { return };
        self.look_at = None;
        let ticket = turn.order(&self.name, wanted.content.engine, Task::Look(wanted.id.clone()));
        self.last = ticket;
        self.phase = Phase::Looking { ticket, adopting };
    }

    /// Does all that can be done now, and says when it wants to be asked again. `allowed`: its profiles hold.
    pub(super) fn advance(&mut self, allowed: bool, turn: &mut Turn<'_>) -> Wake {
        let (may_run, flap) = self.flapping.may_run(allowed, turn.now.up);
        self.may_run = may_run;
        if let Some(rest) = self.flapping.just_held() {
            turn.tell(Notice::warning(
                Reason::Flapping,
                format!(
                    "workload '{}': its conditions change too often; it rests for {} s",
                    self.name,
                    rest.as_secs()
                ),
            ));
        }
        let wake = flap.earlier(self.advance_wanted(may_run, turn));
        let leave = match self.wanted {
            None => !self.held && (self.dismissed || !turn.book.partial),
            // An old pod runs on until the images of the new one are here.
            Some(_) => {
                !may_run || self.pulled || matches!(self.phase, Phase::Running | Phase::Finished { .. })
            }
        };
        if !leave {
            return wake;
        }
        let (last, leaving) = self.leaving.advance(&self.name, turn);
        self.last = last.unwrap_or(self.last);
        wake.earlier(leaving)
    }

    fn advance_wanted(&mut self, mut may_run: bool, turn: &mut Turn<'_>) -> Wake {
        let Some(wanted) = self.wanted.clone() else { return Wake::Never };
        let (engine, is_service) = (wanted.content.engine, wanted.is_service());
        if !may_run {
            self.failures = 0; // when it may run again it starts at once
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
            (may_run, slot) = self.slots.due(cron, may_run, turn.now, turn.book.next_slot);
            if may_run && self.present {
                self.phase = Phase::Waiting { until: turn.now.up }; // the pod of the last run goes first
            } else if may_run {
                self.phase = Phase::Inactive;
            }
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
            Phase::Running => match self.look_at {
                Some(at) if turn.now.up < at => return Wake::At(at),
                Some(_) => self.look(false, turn),
                None => {}
            },
            Phase::Waiting { .. } => return self.stop(&wanted, turn),
            Phase::Inactive if may_run && !self.pulled => {
                let ticket = turn.order(&self.name, engine, Task::Pull(wanted));
                (self.last, self.phase) = (ticket, Phase::Pulling(ticket));
            }
            Phase::Inactive if may_run && self.leaving.is_empty() => {
                turn.forget(&wanted.id);
                let ticket = turn.order(&self.name, engine, Task::Start(wanted));
                (self.last, self.phase, self.present) = (ticket, Phase::Starting(ticket), true);
                self.false_alarms = 0;
                if !is_service {
                    self.slots.used();
                    self.pulled = false; // the next run may find a newer image
                }
            }
            _ => {}
        }
        slot
    }

    fn stop(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        if turn.now.up < self.stop_after {
            return Wake::At(self.stop_after);
        }
        let task = Task::Remove { id: wanted.id.clone(), grace: wanted.grace };
        let ticket = turn.order(&self.name, wanted.content.engine, task);
        (self.last, self.phase) = (ticket, Phase::Stopping(ticket));
        Wake::Never
    }
}
