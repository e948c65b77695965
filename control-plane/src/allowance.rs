//! How many events of a device are kept: so many at once, and then one from time to time.

use std::time::Instant;

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: f64,
    since: Instant,
    burst: f64,
    /// Seconds for one more.
    refill: f64,
}

impl Allowance {
    pub(crate) fn new(burst: f64, refill: f64) -> Self {
        Self { left: burst, since: Instant::now(), burst, refill }
    }

    /// Whether there is one more.
    pub(crate) fn take(&mut self) -> bool {
        let now = Instant::now();
        let gained = now.duration_since(self.since).as_secs_f64() / self.refill;
        (self.left, self.since) = ((self.left + gained).min(self.burst), now);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}
