//! The time by which certificates are judged: a device without a battery boots in 1970.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log::warn;
use rustix::time::{ClockId, clock_gettime};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

use crate::io::lock;
use crate::io::state::Store;

/// The name of what is kept: seconds since 1970.
const NAME: &str = "clock";
/// The disk is left alone for less.
const STEP: Duration = Duration::from_secs(86_400);

/// Reads the latest of the system's clock, the time of the build, and the newest time ever seen.
#[derive(Debug)]
pub(crate) struct Clock {
    state: Store,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    newest: SystemTime,
    kept: SystemTime,
}

impl Clock {
    pub(crate) fn load(state: Store) -> Self {
        let text = state.load(NAME).and_then(|bytes| String::from_utf8(bytes).ok());
        let kept = text.and_then(|text| time(text.trim())).unwrap_or(UNIX_EPOCH);
        Self { state, seen: Mutex::new(Seen { newest: kept, kept }) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        let newest = lock(&self.seen).newest;
        system().max(built()).max(newest)
    }

    /// What the system's clock must show at least.
    pub(super) fn not_before(&self) -> SystemTime {
        built().max(lock(&self.seen).newest)
    }

    /// How far the system's clock is behind what is known, if it is.
    pub(super) fn behind(&self) -> Option<Duration> {
        self.now().duration_since(system()).ok().filter(|behind| !behind.is_zero())
    }

    /// Takes in a time that somebody trustworthy vouches for. Not just any reading of the system's clock: one
    /// that once ran years ahead would make every certificate look expired for ever.
    pub(crate) fn saw(&self, time: SystemTime) {
        let mut seen = lock(&self.seen);
        seen.newest = seen.newest.max(time);
        if seen.newest.duration_since(seen.kept).is_ok_and(|ahead| ahead >= STEP) {
            let seconds = seen.newest.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            match self.state.save(NAME, seconds.to_string().as_bytes()) {
                Ok(()) => seen.kept = seen.newest,
                Err(error) => warn!("{error}"),
            }
        }
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        self.now().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

fn system() -> SystemTime {
    let now = clock_gettime(ClockId::Realtime);
    let since = Duration::new(now.tv_sec.try_into().unwrap_or(0), now.tv_nsec.try_into().unwrap_or(0));
    UNIX_EPOCH + since
}

fn built() -> SystemTime {
    time(env!("BUILD_TIME")).unwrap_or(UNIX_EPOCH)
}

/// Seconds since 1970, of four digits in the year at most.
pub(super) fn time(seconds: &str) -> Option<SystemTime> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = seconds.parse().ok().filter(|seconds| *seconds < YEAR_10000)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reading_counts_and_is_kept_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = Store::new(dir.path());
        let clock = Clock::load(state.clone());
        let before = system();
        assert!(clock.now() >= built() && clock.now() >= before);
        let next_year = clock.now() + 365 * STEP;
        clock.saw(next_year);
        clock.saw(UNIX_EPOCH);
        assert_eq!(clock.now(), next_year);
        let whole = UNIX_EPOCH + Duration::from_secs(next_year.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(Clock::load(state.clone()).now(), whole);
        for torn in ["", "x", "-1", "99999999999999999999", "999999999999999"] {
            state.save(NAME, torn.as_bytes()).unwrap();
            assert!(Clock::load(state.clone()).now() < next_year, "{torn}");
        }
    }

    #[test]
    fn less_than_a_day_is_not_worth_a_write() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::load(Store::new(dir.path()));
        clock.saw(UNIX_EPOCH + 30_000 * STEP);
        let before = std::fs::read(dir.path().join(NAME)).unwrap();
        clock.saw(UNIX_EPOCH + 30_000 * STEP + STEP / 2);
        assert_eq!(std::fs::read(dir.path().join(NAME)).unwrap(), before);
    }
}
