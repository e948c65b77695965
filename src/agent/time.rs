//! Time as an input, and the next deadline as an output.

use std::time::{Duration, SystemTime};

/// The present, as the loop read it before it called [`decide`](super::Agent::decide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot, suspended time included (`CLOCK_BOOTTIME`). Never steps: for every wait.
    pub up: Duration,
    /// The wall clock. May step: only to read other people's time stamps, and for cron.
    pub utc: SystemTime,
}

/// When [`decide`](super::Agent::decide) next wants to be called although nothing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// At this time since boot.
    At(Duration),
    /// Not before something happens.
    Never,
}

impl Wake {
    /// The earlier of two; [`Never`](Wake::Never) is later than everything.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        self.min(other)
    }
}
