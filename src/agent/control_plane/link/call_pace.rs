//! One kind of call, made again and again: when next.

use std::time::Duration;

use crate::agent::model::{call::CallFailure, random::Random, time::Wake};

/// What the first wait after a failed enrolment or registration is at most; also how far the first contacts of
/// devices that were switched on together are spread.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest back-off.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// The shortest: chance must not make a loop of it.
const MIN_WAIT: Duration = Duration::from_secs(1);
/// A server that asks for more patience gets this much.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// When a call is made next, and how often it failed in a row. All times are since boot.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallPace {
    pub(super) at: Wake,
    failures: u32,
    /// The server said how long to wait.
    is_told: bool,
}

impl CallPace {
    pub(super) const NEVER: Self = Self { at: Wake::Never, failures: 0, is_told: false };

    /// The first one: at any time within `spread`.
    pub(super) fn due_within(spread: Duration, now: Duration, random: &mut Random) -> Self {
        Self { at: Wake::At(now + spread.mul_f64(random.next_fraction())), ..Self::NEVER }
    }

    /// As if it had failed `failures` times.
    pub(super) fn after_failures(failures: u32, first: Duration, now: Duration, random: &mut Random) -> Self {
        let wait =
            failures.checked_sub(1).map_or(Duration::ZERO, |before| backoff_delay(first, before, random));
        Self { at: Wake::At(now + wait), failures, is_told: false }
    }

    /// It went well: again after the period, give or take a tenth.
    pub(super) fn on_success(&mut self, period: Duration, now: Duration, random: &mut Random) {
        (self.failures, self.is_told) = (0, false);
        self.at = Wake::At(now.saturating_add(period.mul_f64(0.9 + 0.2 * random.next_fraction())));
    }

    /// It failed: again at any time up to `first`, twice that after the next failure, and so on. Where the
    /// server says how long to wait, that comes before it.
    pub(super) fn on_failure(
        &mut self,
        first: Duration,
        failure: &CallFailure,
        now: Duration,
        random: &mut Random,
    ) {
        let asked = match failure {
            CallFailure::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        self.at = Wake::At(now + asked.min(MAX_RETRY_AFTER) + backoff_delay(first, self.failures, random));
        self.failures = self.failures.saturating_add(1);
        self.is_told = !asked.is_zero();
    }

    /// Another call was answered well: what waits because the server was away need not wait for long any more.
    pub(super) fn on_server_back(&mut self, period: Duration, now: Duration, random: &mut Random) {
        if self.failures > 0 && !self.is_told {
            self.at = self.at.earlier(Self::due_within(period, now, random).at);
        }
    }

    /// The period is shorter now: what waited for the old one comes by the new one.
    pub(super) fn on_period_shortened(&mut self, period: Duration, now: Duration, random: &mut Random) {
        if self.failures == 0 {
            self.at = self.at.earlier(Self::due_within(period, now, random).at);
        }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    pub(super) fn delay_until(&mut self, at: Duration) {
        self.at = self.at.max(Wake::At(at));
    }
}

/// Full jitter: what failed together comes again spread over all of the wait, not at its end.
fn backoff_delay(first: Duration, failures: u32, random: &mut Random) -> Duration {
    let longest = first.saturating_mul(1 << failures.min(16)).min(MAX_WAIT);
    longest.mul_f64(random.next_fraction()).max(MIN_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn waits_spread_over_all_of_a_limit_that_doubles_up_to_five_minutes() {
        let mut random = Random::new(7);
        for (failures, limit) in [(0, 10), (1, 20), (4, 160), (5, 300), (u32::MAX, 300)] {
            let waits: Vec<_> = (0..1000).map(|_| backoff_delay(10 * S, failures, &mut random)).collect();
            let limit = S * limit;
            assert!(waits.iter().all(|wait| (S..=limit).contains(wait)));
            let mean = waits.iter().sum::<Duration>() / 1000;
            assert!(mean > limit * 9 / 20 && mean < limit * 11 / 20, "{failures}: {mean:?}");
        }
    }

    #[test]
    fn retry_after_is_a_least_wait_that_a_shorter_period_does_not_cut() {
        let mut random = Random::new(7);
        let mut pace = CallPace::NEVER;
        let busy = CallFailure::Refused { status: 503, message: String::new(), retry_after: Some(600 * S) };
        pace.on_failure(60 * S, &busy, S, &mut random);
        pace.on_period_shortened(5 * S, S, &mut random);
        pace.on_server_back(5 * S, S, &mut random);
        assert!(pace.at > Wake::At(601 * S) && pace.at <= Wake::At(661 * S));
    }
}
