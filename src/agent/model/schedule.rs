//! When a workload runs: how long to wait after a failure, and at which times by its cron schedule.

mod cron;

use std::time::{Duration, SystemTime};

pub use cron::{Cron, CronError};

impl Backoff {
    /// The longest wait that [`Exponential`](Self::Exponential) grows to.
    pub const MAX_DELAY: Duration = Duration::from_secs(300);

    /// Between the tries of what runs to its end, as Kubernetes has it.
    pub const RUN_BACKOFF: Self =
        Self::Exponential { initial: Duration::from_secs(10), multiplier: 2.0, randomization: 0.0 };

    /// Whether a run of this length makes up for the failures before it.
    pub(in crate::agent) fn resets_failures(ran: Duration) -> bool {
        ran >= Self::MAX_DELAY
    }

    /// How long to wait when `failures` others came right before this one; the first of a row comes after 0.
    /// `random`, from 0 to 1, chooses from what the randomization allows.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        match *self {
            Self::Constant(period) => period,
            Self::Exponential { initial, multiplier, randomization } => {
                let cap = Self::MAX_DELAY.as_secs_f64();
                let factor = multiplier.powi(i32::try_from(failures).unwrap_or(i32::MAX)).min(f64::MAX);
                // capped before it is moved too: many who fail for long must not come all at once
                let middle = (initial.as_secs_f64() * factor).min(cap);
                let moved = middle * (1.0 + randomization * (2.0 * random - 1.0));
                Duration::try_from_secs_f64(moved.clamp(0.0, cap)).unwrap_or(Self::MAX_DELAY)
            }
        }
    }
}

/// The first slot after a time, in the device's time zone; `None` when there is none in years.
pub type NextSlotFn = fn(&Cron, SystemTime) -> Option<SystemTime>;

/// The hour on the device then, from 0 to 23, and the day of the week, from 1 for Monday to 7.
pub type LocalTimeFn = fn(SystemTime) -> Option<[f64; 2]>;

/// How long to wait before a failed workload is started again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Backoff {
    /// Always the same time.
    Constant(Duration),
    /// `initial * multiplier ^ failures`, moved at random by up to `randomization` of it, at most
    /// [`Backoff::MAX_DELAY`].
    Exponential {
        /// The first wait.
        initial: Duration,
        /// What each failure multiplies the wait by; at least 1.
        multiplier: f64,
        /// 0 to 1: how far the wait may be off its value, as a share of it.
        randomization: f64,
    },
}

impl Default for Backoff {
    fn default() -> Self {
        Self::Constant(Duration::from_secs(20))
    }
}

/// When a workload runs: always, or at certain times; never both.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// Always; after a failure again when the back-off is over.
    Service(Backoff),
    /// Once at each slot. What fails waits for the next one, or is tried again in its run when the back-off is over.
    Cron(Cron, Backoff),
}

impl Schedule {
    /// How long what failed waits before it is started again.
    pub fn backoff(&self) -> &Backoff {
        let (Self::Service(backoff) | Self::Cron(_, backoff)) = self;
        backoff
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Service(Backoff::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn exponential(initial: u64, multiplier: f64, randomization: f64) -> Backoff {
        Backoff::Exponential { initial: SECOND * initial as u32, multiplier, randomization }
    }

    #[test]
    fn a_constant_back_off_is_constant() {
        for failures in [0, 1, u32::MAX] {
            assert_eq!(Backoff::default().delay(failures, 0.9), SECOND * 20);
        }
        assert_eq!(Backoff::Constant(SECOND * 3600).delay(0, 0.0), SECOND * 3600, "the author's word");
    }

    #[test]
    fn an_exponential_back_off_grows_to_five_minutes() {
        let waits: Vec<_> = (0..6).map(|n| exponential(10, 2.0, 0.0).delay(n, 0.3).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 300]);
        assert_eq!(exponential(10, 2.0, 0.0).delay(u32::MAX, 0.0), Backoff::MAX_DELAY);
        assert_eq!(exponential(1000, 1.0, 0.0).delay(0, 0.0), Backoff::MAX_DELAY);
        assert_eq!(exponential(0, 2.0, 0.5).delay(u32::MAX, 0.5), Duration::ZERO);
    }

    #[test]
    fn chance_moves_it_to_both_sides_but_not_past_the_cap() {
        let waits =
            |failures| [0.0, 0.5, 1.0].map(|r| exponential(10, 2.0, 0.5).delay(failures, r).as_secs());
        assert_eq!(waits(0), [5, 10, 15]);
        assert_eq!(waits(40), [150, 300, 300]);
    }

    #[test]
    fn absurd_parameters_do_not_panic() {
        for value in [f64::NAN, f64::INFINITY, -1e300, 0.0] {
            for failures in [0, 1, u32::MAX] {
                assert!(exponential(1, value, 0.5).delay(failures, 0.1) <= Backoff::MAX_DELAY);
                assert!(exponential(1, 2.0, value).delay(failures, 0.1) <= Backoff::MAX_DELAY);
                assert!(exponential(1, 2.0, 0.5).delay(failures, value) <= Backoff::MAX_DELAY);
            }
        }
    }
}
