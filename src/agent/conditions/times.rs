//! Which time it is, for the conditions that ask.

use super::{ConditionId, Conditions, own::TIMES};
use crate::agent::model::{
    schedule::{LocalTime, NextSlot},
    time::{Now, Wake},
};

impl Conditions {
    /// Takes in the device's time, if a condition asks for it: answers when to be called again, and pushes like
    /// [`set`](Conditions::set). `is_right`: the clock isn't known to be wrong.
    pub(in crate::agent) fn look_at_time(
        &mut self,
        now: Now,
        is_right: bool,
        (local, next): (LocalTime, NextSlot),
        changed: &mut Vec<ConditionId>,
    ) -> Wake {
        let Some(hours) = &mut self.hours else { return Wake::Never };
        let (values, left) = hours.look(is_right.then_some(now.utc), local, next);
        for (name, value) in TIMES.iter().zip(values.into_iter().flatten()) {
            if self.metrics.contains_key(*name) {
                self.put(name, value, now.up);
                self.has_news = true; // the next process knows what it was, before it looks
            }
        }
        self.evaluate_touched(now.up, changed);
        Wake::At(now.up.saturating_add(left))
    }

    /// The clock was set, or the time zone may be another one.
    pub(in crate::agent) fn clock_changed(&mut self) {
        self.hours.iter_mut().for_each(|hours| hours.forget());
    }
}
