//! Which hardware the device has, for the conditions that ask.

use std::{sync::Arc, time::Duration};

use super::{ConditionId, Conditions, hardware::HardwarePoll};
use crate::agent::{
    expression::parse_hardware_metric,
    model::{record::BuiltInMetrics, time::Wake},
};

impl Conditions {
    /// Finds out which hardware conditions ask for.
    pub(super) fn collect_referenced_hardware(&mut self, now: Duration) {
        let asked = self.metrics.iter().filter(|(_, metric)| metric.index.is_some());
        let asked = asked.filter(|(name, _)| parse_hardware_metric(name).is_some());
        let is_unknown = asked.clone().any(|(_, metric)| metric.value.is_nan());
        let mut names: Vec<_> = asked.map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        if names != self.hardware.names {
            self.hardware = HardwarePoll::new(names, is_unknown, now);
        }
    }

    /// What is to be looked at now, and when to be called again.
    pub(in crate::agent) fn take_due_hardware(&mut self, now: Duration) -> (Option<Vec<Arc<str>>>, Wake) {
        self.hardware.take_due(now)
    }

    /// Whether nothing is to be done by conditions yet: what they ask for is being looked at for the first time.
    pub(in crate::agent) fn is_hardware_unknown(&self) -> bool {
        self.hardware.unknown_until.is_some()
    }

    /// Takes in what was looked at; pushes like [`set`](Conditions::set).
    pub(in crate::agent) fn set_found_hardware(
        &mut self,
        found: &BuiltInMetrics,
        now: Duration,
        changed: &mut Vec<ConditionId>,
    ) {
        let mut count = 0;
        for (name, value) in found.iter().filter(|(name, _)| parse_hardware_metric(name).is_some()) {
            let Some(metric) = self.metrics.get(name).filter(|metric| metric.index.is_some()) else {
                continue;
            };
            count += 1;
            if metric.value != *value {
                self.put(name, *value, now);
                self.has_news = true;
            }
        }
        if count == self.hardware.names.len() {
            self.hardware.unknown_until = None;
        }
        self.evaluate_touched(now, changed);
    }
}
