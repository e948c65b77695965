//! A wall clock that is wrong, as on a device without a battery that boots in 1970: schedules wait, and all else goes on.

use std::time::Duration;

use super::{
    Agent,
    notice::{Notice, Reason},
    time::Now,
};

impl Agent {
    /// The wall clock was set, or the time zone may have changed: slots are other ones now.
    pub(super) fn clock_changed(&mut self, now: Now) {
        for (name, tracked) in &mut self.tracked {
            if tracked.wanted().is_some_and(|wanted| !wanted.is_service()) {
                tracked.clock_changed(now);
                self.dirty.insert(name.clone());
            }
        }
    }

    /// Says that the wall clock is behind what is known, and that it isn't any more.
    pub(super) fn look_at_clock(&mut self, now: Now) {
        let behind = self.book.clock_behind(now);
        if std::mem::replace(&mut self.clock_behind, behind.is_some()) == behind.is_some() {
            return;
        }
        self.revision += 1;
        self.clock_changed(now);
        self.book.tell(match behind {
            Some(behind) => Notice::warning(Reason::ClockBehind, says(behind)),
            None => Notice::info(Reason::ClockRight, "the clock is right again: cron schedules go on"),
        });
    }
}

/// For people.
pub(super) fn says(behind: Duration) -> String {
    let days = behind.as_secs() / 86_400;
    let amount = if days == 0 { "behind".to_owned() } else { format!("at least {days} days behind") };
    format!("the clock is {amount}: cron schedules wait until it is set, see 'timedatectl'")
}
