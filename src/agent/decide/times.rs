//! The wall clock: set, wrong, or at another hour.

use super::Agent;
use crate::agent::model::time::{Now, Wake};

impl Agent {
    /// The wall clock was set, or the time zone may have changed: cron slots are other ones now.
    pub(super) fn clock_changed(&mut self, now: Now) {
        self.conditions.clock_changed();
        for (name, tracked) in &mut self.workloads {
            if tracked.wanted().is_some_and(|wanted| !wanted.is_service()) {
                tracked.clock_changed(now);
                self.agenda.add(name.clone());
            }
        }
    }

    /// Which time it is, for the conditions that ask. Answers when that is another one.
    pub(super) fn look_at_time(&mut self, now: Now) -> Wake {
        let is_right = self.context.clock_behind(now).is_none();
        let times = (self.context.local, self.context.next_slot);
        let wake = self.conditions.look_at_time(now, is_right, times, &mut self.changed);
        self.conditions_changed();
        wake
    }

    pub(super) fn look_at_clock(&mut self, now: Now) {
        if let Some(news) = self.clock.look(self.context.clock_behind(now)) {
            self.revision += 1;
            self.clock_changed(now);
            self.context.tell(news);
        }
    }
}
