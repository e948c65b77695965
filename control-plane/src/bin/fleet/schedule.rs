//! When a device calls: as the agent decides it, so that a fleet of these loads a server as a fleet of agents does.

use std::time::Duration;

use device_worker_ng::agent::model::random::Random;
use tokio::time::Instant;

/// How far first contacts are spread, and the first wait after a failed enrolment.
pub(crate) const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Between a heartbeat and one that a change brings forward, at least.
const BETWEEN_HEARTBEATS: Duration = Duration::from_secs(5);
/// Devices that change together don't say so together.
const NEWS_SPREAD: Duration = Duration::from_secs(2);

/// Chance for a device of this number, or for this seed.
pub(crate) fn random(seed: u64) -> Random {
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // neighbours start alike
    for _ in 0..8 {
        random.next_fraction();
    }
    random
}

/// One kind of call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    failures: u32,
    is_told: bool,
}

impl Attempt {
    pub(crate) fn within(spread: Duration, random: &mut Random) -> Self {
        Self { at: Instant::now() + spread.mul_f64(random.next_fraction()), failures: 0, is_told: false }
    }

    /// Again after the period, give or take a tenth.
    pub(crate) fn good(&mut self, period: Duration, random: &mut Random) {
        (self.failures, self.is_told) = (0, false);
        self.at = Instant::now() + period.mul_f64(0.9 + 0.2 * random.next_fraction());
    }

    /// Again at any time up to `first`, twice that after the next failure, and so on; not before the server says.
    pub(crate) fn failed(&mut self, first: Duration, asked: Option<Duration>, random: &mut Random) {
        let longest = first.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        let wait = longest.mul_f64(random.next_fraction()).max(SHORTEST_WAIT);
        self.at = Instant::now() + asked.unwrap_or_default() + wait;
        self.failures = self.failures.saturating_add(1);
        self.is_told = asked.is_some();
    }

    /// Another call was answered well: what waits because the server was away need not wait for long any more.
    pub(crate) fn is_back(&mut self, period: Duration, random: &mut Random) {
        if self.failures > 0 && !self.is_told {
            self.at = self.at.min(Self::within(period, random).at);
        }
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// Something is to be told soon.
    pub(crate) fn hurry(&mut self, last: Option<Instant>, random: &mut Random) {
        if !self.has_failed() {
            let earliest =
                last.map_or_else(Instant::now, |last| Instant::now().max(last + BETWEEN_HEARTBEATS));
            self.at = self.at.min(earliest + NEWS_SPREAD.mul_f64(random.next_fraction()));
        }
    }
}
