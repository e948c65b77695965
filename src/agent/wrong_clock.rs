//! A wall clock that is wrong, as on a device without a battery that boots in 1970: schedules wait, and all else goes on.

use std::time::{Duration, SystemTime};

use super::model::notice::{Notice, Reason};

/// A clock that is wrong, or that jumps unseen, is looked at again after this. That it is set is told at once where the
/// kernel can.
pub(super) const CLOCK_RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// What was told of the wall clock.
#[derive(Debug, Default)]
pub(super) struct ClockState {
    is_behind: bool,
}

impl ClockState {
    /// Whether it was behind what is known when it was last looked at.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Says that it is so far behind what is known, or that it isn't any more, when that is news.
    pub(super) fn update(&mut self, behind: Option<Duration>) -> Option<Notice> {
        if std::mem::replace(&mut self.is_behind, behind.is_some()) == behind.is_some() {
            return None;
        }
        Some(match behind {
            Some(behind) => Notice::warning(Reason::ClockBehind, clock_lag_message(behind)),
            None => Notice::info(Reason::ClockRight, "the clock is right again: cron schedules go on"),
        })
    }
}

/// What a person can do about it.
pub(super) const REMEDY: &str = "set it: 'timedatectl set-ntp true'";

/// How far a clock that shows `utc` is behind what it must show at least, if it is.
pub fn clock_lag(not_before: SystemTime, utc: SystemTime) -> Option<Duration> {
    not_before.duration_since(utc).ok().filter(|behind| !behind.is_zero())
}

/// For people.
pub fn clock_lag_message(behind: Duration) -> String {
    let days = behind.as_secs() / 86_400;
    let amount = if days == 0 { "behind".to_owned() } else { format!("at least {days} days behind") };
    format!("the clock is {amount}: cron schedules wait until it is set, see 'timedatectl'")
}
