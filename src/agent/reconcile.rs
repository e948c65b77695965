//! One workload, from what is wanted to what is there: the edges between its [`Phase`]s.
//!
//! Pods that belong to earlier contents of the workload, or to no workload at all, are *leaving*: they stay
//! until their successor's images are here, and their successor starts when they are gone.

mod outcomes;
mod probes;
mod restart;
mod shown;
mod steps;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use restart::Restart;

use super::{
    Turn,
    flapping::Flapping,
    health::Health,
    leaving::{Leaving, Removal},
    limit::Limit,
    notice::Reason,
    order::Ticket,
    phase::Phase,
    report::State,
    run::Run,
    slots::Slots,
    time::Now,
    update::{Fallback, Progress, Trial},
    workload::{Engine, Workload, WorkloadId},
};

/// What is known to be here before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Ready {
    #[default]
    No,
    Images,
    /// All that can be known before what runs has to go.
    All,
}

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
    /// Whether all its containers ran when they were looked at last.
    whole: bool,
    /// What is known to be here of what the wanted content needs.
    ready: Ready,
    /// Somebody asked for a new pod.
    restart: Option<Restart>,
    /// Its conditions allow it, it doesn't rest from their flapping, and the device can afford it.
    pub(super) may_run: bool,
    /// It had to go because the device is short of something.
    pub(super) evicted: bool,
    /// It was wanted by this process, and isn't any more: its pods are no riddle.
    dismissed: bool,
    /// Failures in a row.
    pub(super) failures: u32,
    /// The last one of this content, and what kind it was.
    failure: Option<(Reason, String)>,
    /// The last run of this content that ended by itself.
    last_run: Option<Run>,
    /// Of this content, by this process, after failures.
    restarts: u32,
    /// What was last seen of `phase`, and since when, since boot.
    state: (State, Duration),
    /// Exits that turned out to be none, in a row: how long to wait before believing the next one.
    false_alarms: u32,
    /// When to look at the running pod again.
    look_at: Option<Duration>,
    /// The pod's removal failed: it isn't tried again before this time since boot.
    stop_after: Duration,
    flapping: Flapping,
    limit: Limit,
    health: Health,
    slots: Slots,
    trial: Trial,
    leaving: Leaving,
    /// Up to these, lists of an engine say nothing: it did something to a pod of this workload since they were asked
    /// for.
    last: BTreeMap<Engine, Ticket>,
}

impl Tracked {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, ..Self::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What shall run.
    pub(super) fn wanted(&self) -> Option<&Arc<Workload>> {
        self.wanted.as_ref()
    }

    /// Whether pods of it are on their way out.
    pub(super) fn is_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Whether a pod of the wanted content is, or may be, on the engine.
    pub(super) fn has_pod(&self) -> bool {
        self.present
    }

    /// Whether nothing is left to know or do.
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_none() && self.leaving.is_empty() && !self.held
    }

    /// The configuration asks for this from now on: it is what shall run, unless it was given up.
    pub(super) fn want(&mut self, asked: Option<Arc<Workload>>, turn: &mut Turn<'_>) {
        if let (Some(wanted), Progress::Passed) = (&self.wanted, self.trial.progress(self.phase, turn.now.up))
        {
            turn.book.came_up(&self.name, wanted);
        }
        let Some(asked) = asked else { return self.replace(None, turn) };
        let wanted = match turn.book.fallbacks.get(&self.name).cloned() {
            Some(it) if it.failed.as_ref().is_some_and(|failed| failed.id == asked.id) => {
                it.instead_of(&asked)
            }
            Some(it) => {
                turn.book.fall_back(&self.name, Fallback { failed: None, ..it });
                asked
            }
            None => asked,
        };
        self.replace(Some(wanted), turn);
    }

    /// Wants this content from now on. The pod of another one becomes a leaving one.
    fn replace(&mut self, wanted: Option<Arc<Workload>>, turn: &mut Turn<'_>) {
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
        self.refuse_restart("its content has changed meanwhile", turn);
        (self.ready, self.failures, self.look_at, self.false_alarms) = (Ready::No, 0, None, 0);
        (self.failure, self.last_run, self.restarts) = (None, None, 0);
        self.flapping = Flapping::default();
        self.trial = Trial::default();
        self.health = Health::default();
        self.slots = Slots::default();
        self.wanted = wanted;
        let Some(new) = &self.wanted else { return };
        self.limit.reset(&new.id);
        // Back to a content whose pod has not gone yet: it is the wanted one again.
        let back = matches!(self.leaving.removal(&new.id), Some(Removal::Due(_)));
        if back {
            self.leaving.take_back(&new.id);
        }
        self.present = back;
        self.last_run = turn.book.finished.get(&new.id).copied();
        self.phase = match self.last_run {
            Some(run) => Phase::Finished { code: run.code },
            // Its pod is on its way out: it starts when that is over.
            None if self.leaving.removal(&new.id).is_some() => Phase::Inactive,
            None if turn.ready(new.content.engine) && !back => Phase::Inactive,
            None => Phase::Unknown,
        };
        if back && self.phase == Phase::Unknown && turn.ready(new.content.engine) {
            self.look(true, turn);
        }
    }

    /// Turns the present pod of `old`, if there may be one, into a leaving one.
    fn leave(&mut self, old: &Workload, turn: &mut Turn<'_>) {
        if let Phase::Starting(_) = self.phase {
            self.cancel(old, "it is not wanted any more", turn);
        }
        let removal = match self.phase {
            Phase::Stopping(ticket) => Removal::UnderWay(ticket),
            Phase::Starting(ticket) | Phase::Cancelling(ticket) | Phase::Looking { ticket, .. } => {
                Removal::After(ticket)
            }
            _ if self.present => Removal::Due(turn.now.up),
            _ => return,
        };
        self.leaving.add(old, removal);
    }

    /// Whether a list is older than what is known of this workload.
    fn knows_better(&self, listed: Ticket, engine: Engine, turn: &mut Turn<'_>) -> bool {
        let is_old = self.last.get(&engine).is_some_and(|last| listed <= *last);
        if let (true, Phase::Unknown, Some(wanted)) = (is_old, self.phase, &self.wanted) {
            turn.engines.ask(wanted.content.engine, turn.now.up); // it waits for one
        }
        is_old
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
        if self.knows_better(listed, engine, turn) {
            return;
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
            Phase::Running if !(running && self.whole) && self.look_at.is_none() => self.look(false, turn),
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
        if self.knows_better(listed, engine, turn) {
            return;
        }
        self.leaving.unseen(engine, ids);
        let Some(wanted) = self.wanted.clone() else { return };
        if wanted.content.engine != engine || ids.contains(&&wanted.id) {
            return;
        }
        match self.phase {
            Phase::Unknown if self.failures > 0 => self.wait(turn.now.up, turn),
            Phase::Unknown => {
                let finished = turn.book.finished.get(&wanted.id);
                self.phase = finished.map_or(Phase::Inactive, |run| Phase::Finished { code: run.code });
            }
            Phase::Running => self.failed("its pod is gone", turn.now.up, turn),
            Phase::Waiting { .. } | Phase::Finished { .. } => {}
            _ => return, // an order is under way and knows better
        }
        self.present = false;
    }

    /// The wall clock was set, or the time zone may have changed.
    pub(super) fn clock_changed(&mut self, now: Now) {
        self.slots.clock_changed(now);
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
}
