//! Which time it is, for the conditions that ask.

use super::{ConditionId, Conditions, built_in_metrics::TIME_METRIC_NAMES};
use crate::agent::model::{
    schedule::{LocalTimeFn, NextSlotFn},
    time::{Now, Wake},
};

impl Conditions {
    /// Takes in the device's time, if a condition asks for it: answers when to be called again, and pushes like
    /// [`set`](Conditions::set). `is_right`: the clock isn't known to be wrong.
    pub(in crate::agent) fn update_time_metrics(
        &mut self,
        now: Now,
        is_right: bool,
        (local, next): (LocalTimeFn, NextSlotFn),
        changed: &mut Vec<ConditionId>,
    ) -> Wake {
        let Some(hours) = &mut self.hours else { return Wake::Never };
        let (values, left) = hours.refresh(is_right.then_some(now.utc), local, next);
        for (name, value) in TIME_METRIC_NAMES.iter().zip(values.into_iter().flatten()) {
            if self.metrics.contains_key(*name) {
                self.put(name, value, now.up);
                self.has_news = true; // the next process knows what it was, before it looks
            }
        }
        self.evaluate_touched(now.up, changed);
        Wake::At(now.up.saturating_add(left))
    }

    /// The clock was set, or the time zone may be another one.
    pub(in crate::agent) fn on_clock_change(&mut self) {
        self.hours.iter_mut().for_each(|hours| hours.forget());
    }
}
