//! The wall clock: set, wrong, or at another hour.

use super::Agent;
use crate::agent::model::time::{Now, Wake};

impl Agent {
    /// The wall clock was set, or the time zone may have changed: cron slots are other ones now.
    pub(super) fn on_clock_change(&mut self, now: Now) {
        self.conditions.on_clock_change();
        for (name, tracked) in &mut self.workloads {
            if tracked.wanted_workload().is_some_and(|wanted| !wanted.is_service()) {
                tracked.on_clock_change(now);
                self.agenda.add(name.clone());
            }
        }
    }

    /// Which time it is, for the conditions that ask. Answers when that is another one.
    pub(super) fn update_time_metrics(&mut self, now: Now) -> Wake {
        let is_right = self.context.clock_lag(now).is_none();
        let times = (self.context.local, self.context.next_slot);
        let wake = self.conditions.update_time_metrics(now, is_right, times, &mut self.changed);
        self.enqueue_affected_workloads();
        wake
    }

    pub(super) fn look_at_clock(&mut self, now: Now) {
        if let Some(news) = self.clock.update(self.context.clock_lag(now)) {
            self.revision += 1;
            self.on_clock_change(now);
            self.context.tell(news);
        }
    }
}
