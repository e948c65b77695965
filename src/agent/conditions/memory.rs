//! What conditions remember outlives the agent and another definition of the device: with the same words one goes on.

use std::{mem, time::Duration};

use super::{Condition, ConditionId, Conditions};
use crate::agent::model::hysteresis::HysteresisState;

impl Condition {
    /// What is to be remembered of it, and by which words it is known again.
    fn hysteresis_state(&self) -> Option<HysteresisState> {
        let (lasting, expression) = (self.lasting.as_ref()?, self.expression.as_ref().ok()?);
        let until = lasting.until.as_ref().map(ToString::to_string).unwrap_or_default();
        Some(HysteresisState {
            profile: self.profile.to_string(),
            name: self.name.to_string(),
            says: format!("{expression} | {} | {until}", lasting.hold.as_secs()),
            holds: self.holds,
            since: lasting.since.and_then(|at| u64::try_from(at.as_nanos()).ok()),
        })
    }
}

impl Conditions {
    /// What conditions of an earlier process remember.
    pub(in crate::agent) fn restore_hysteresis(&mut self, held: Vec<HysteresisState>) {
        self.remembered = held;
    }

    /// What is remembered now, and what conditions that aren't defined any more did.
    pub(super) fn all_hysteresis_states(&self) -> Vec<HysteresisState> {
        let worth = |it: &HysteresisState| it.holds || it.since.is_some();
        self.remembered
            .iter()
            .cloned()
            .chain(self.conditions.iter().filter_map(Condition::hysteresis_state).filter(worth))
            .collect()
    }

    /// The condition, which is new here, goes on where one with the same words was.
    pub(super) fn resume_hysteresis(&mut self, id: ConditionId) {
        let condition = &mut self.conditions[id.index()];
        let Some(new) = condition.hysteresis_state() else { return };
        let is_it =
            |it: &HysteresisState| (&it.profile, &it.name, &it.says) == (&new.profile, &new.name, &new.says);
        if let (Some(at), Some(lasting)) = (self.remembered.iter().position(is_it), &mut condition.lasting) {
            let held = self.remembered.swap_remove(at);
            condition.holds = held.holds;
            lasting.since = held.since.map(Duration::from_nanos);
        }
    }

    /// Whether the condition is true now that its expression is, or isn't.
    pub(super) fn evaluate_hysteresis(&mut self, id: ConditionId, is_true: bool, now: Duration) -> bool {
        let Condition { lasting, holds: held, .. } = &mut self.conditions[id.index()];
        let Some(lasting) = lasting else { return is_true };
        let since = lasting.since;
        let holds = lasting.apply_hysteresis(*held, is_true, &self.values, now);
        self.has_lasting_news |= holds != *held || lasting.since != since;
        let due = lasting.becomes_true_at();
        if lasting.due != due {
            if let Some(at) = mem::replace(&mut lasting.due, due) {
                self.timers.remove(&(at, id));
            }
            self.timers.extend(due.map(|at| (at, id)));
        }
        holds
    }

    /// Touches those whose time has come.
    pub(super) fn touch_due(&mut self, now: Duration) {
        for (_, id) in self.timers.iter().take_while(|(at, _)| *at <= now) {
            let condition = &mut self.conditions[id.index()];
            if !mem::replace(&mut condition.is_touched, true) {
                self.touched.push(*id);
            }
        }
    }

    /// What is to be kept over a restart, if that has changed.
    pub(in crate::agent) fn take_changed_hysteresis(&mut self) -> Option<Vec<HysteresisState>> {
        mem::take(&mut self.has_lasting_news).then(|| self.all_hysteresis_states())
    }
}
