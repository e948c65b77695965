//! Another content is wanted, or the same again.

use std::sync::Arc;

use super::tracked::{ContentState, TrackedWorkload};
use crate::agent::{
    context::Turn,
    cron_runs::CronRuns,
    model::{
        fallback::{Fallback, with_rules_of},
        phase::Phase,
        workload::{Workload, WorkloadId},
    },
    terminating::RemovalState,
    trial::TrialState,
};

impl TrackedWorkload {
    /// The configuration asks for this from now on: it is what is to run, unless it was given up, or has to wait.
    /// `is_gated`: an update may have to wait.
    pub(in crate::agent) fn follow_configuration(
        &mut self,
        asked: Option<Arc<Workload>>,
        is_gated: bool,
        turn: &mut Turn<'_>,
    ) {
        if let (Some(wanted), TrialState::Passed) =
            (&self.wanted, self.content.trial.evaluate(self.phase, turn.now.up))
        {
            turn.context.record_came_up(&self.name, wanted);
        }
        let Some(asked) = asked else {
            self.waiting_update = None;
            return self.replace_wanted(None, turn);
        };
        let wanted = match turn.context.fallbacks.get(&self.name).cloned() {
            Some(it) if it.has_given_up(&asked.id) => it.replacement_for(&asked),
            Some(it) => {
                turn.context.set_fallback(&self.name, Fallback { failed: None, ..it });
                asked
            }
            None => asked,
        };
        let wanted = self.choose_content_to_run(wanted, is_gated, turn);
        self.replace_wanted(Some(wanted), turn);
    }

    /// A person wants what ran before, now: that waits for nothing that an update would.
    ///
    /// # Errors
    /// Why that can't be.
    pub(in crate::agent) fn roll_back(
        &mut self,
        before: Option<Arc<Workload>>,
        turn: &mut Turn<'_>,
    ) -> Result<WorkloadId, &'static str> {
        let Some(wanted) = self.wanted.clone() else { return Err("nothing asks for it any more") };
        let good = turn.context.reject_content(&wanted, before)?;
        self.replace_wanted(Some(with_rules_of(&good, &wanted)), turn);
        Ok(good.id.clone())
    }

    /// Wants this content from now on. The pod of another one terminates.
    pub(super) fn replace_wanted(&mut self, wanted: Option<Arc<Workload>>, turn: &mut Turn<'_>) {
        if let (Some(old), Some(new)) = (&self.wanted, &wanted)
            && old.id == new.id
        {
            // Profiles or schedule may differ: never a reason to touch the pod.
            let (same_kind, engine) = (old.is_service() == new.is_service(), new.content.engine);
            self.wanted = wanted;
            if !same_kind {
                self.content.cron_runs = CronRuns::default();
                self.content.containers.cancel_other_starts(&[]); // a look tells by the new schedule
                match self.phase {
                    Phase::Running => self.content.look_at = Some(turn.now.up),
                    Phase::Finished { .. } => {
                        self.phase = Phase::Unknown; // what was the end of a run may be a service's failure
                        turn.engines.request_list(engine, turn.now.up);
                    }
                    _ => {}
                }
            }
            return;
        }
        if let Some(old) = self.wanted.take() {
            self.terminate_old_pod(&old, turn);
            self.dismissed = true;
        }
        self.refuse_restart("its content has changed meanwhile", turn);
        self.content = ContentState::default();
        self.wanted = wanted;
        let Some(new) = &self.wanted else { return };
        self.limit.reset(&new.id);
        // Back to a content whose pod has not gone yet: it is the wanted one again.
        let back = matches!(self.terminating.removal_state(&new.id), Some(RemovalState::Due(_)));
        if back {
            self.terminating.take_back(&new.id);
        }
        self.present = back;
        self.content.runs = turn.context.finished.get(&new.id).copied().into_iter().collect();
        self.phase = match self.content.runs.first() {
            Some(run) => Phase::Finished { code: run.code },
            // Its pod is on its way out: it starts when that is over.
            None if self.terminating.removal_state(&new.id).is_some() => Phase::Inactive,
            None if turn.is_engine_ready(new.content.engine) && !back => Phase::Inactive,
            None => Phase::Unknown,
        };
        if back && self.phase == Phase::Unknown && turn.is_engine_ready(new.content.engine) {
            self.order_look(true, turn);
        }
    }

    /// Turns the present pod of `old`, if there may be one, into a terminating one.
    fn terminate_old_pod(&mut self, old: &Workload, turn: &mut Turn<'_>) {
        if let Phase::Starting(_) = self.phase {
            self.cancel_start(old, "it is not wanted any more", turn);
        }
        let removal = match self.phase {
            Phase::Stopping(ticket) => RemovalState::UnderWay(ticket),
            Phase::Starting(ticket) | Phase::Cancelling(ticket) | Phase::Looking { ticket, .. } => {
                RemovalState::After(ticket)
            }
            _ if self.present => RemovalState::Due(turn.now.up),
            _ => return,
        };
        self.terminating.add(old, removal);
    }
}
