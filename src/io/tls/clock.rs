//! The time by which certificates are judged: a device without a battery boots in 1970.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use log::warn;
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

use crate::{
    agent::wrong_clock::clock_lag,
    io::{
        clock::{parse_unix_seconds, wall},
        lock,
        state::Store,
    },
};

/// The name of what is kept: seconds since 1970.
const STORE_KEY: &str = "clock";
/// The disk is left alone for less.
const MIN_SAVE_STEP: Duration = Duration::from_secs(86_400);

/// Reads the latest of the system's clock, the time of the build, and the newest time that a trusted
/// server vouched for.
#[derive(Debug)]
pub(crate) struct TrustedClock {
    state: Store,
    seen: Mutex<NewestTime>,
}

#[derive(Debug)]
struct NewestTime {
    newest: SystemTime,
    kept: SystemTime,
}

impl TrustedClock {
    pub(crate) fn load(state: Store) -> Self {
        let text = state.load(STORE_KEY).and_then(|bytes| String::from_utf8(bytes).ok());
        let kept = text.and_then(|text| parse_unix_seconds(text.trim())).unwrap_or(UNIX_EPOCH);
        Self { state, seen: Mutex::new(NewestTime { newest: kept, kept }) }
    }

    pub(crate) fn now(&self) -> SystemTime {
        wall().max(self.earliest_plausible_time())
    }

    /// What the system's clock must show at least: the time of the build, and times that servers vouched for.
    pub(crate) fn earliest_plausible_time(&self) -> SystemTime {
        build_time().max(lock(&self.seen).newest)
    }

    /// How far the system's clock is behind what is known, if it is.
    pub(crate) fn system_clock_lag(&self) -> Option<Duration> {
        clock_lag(self.earliest_plausible_time(), wall())
    }

    /// Takes in a time that a trusted server vouches for. Not just any reading of the system's clock: one
    /// that once ran years ahead would make every certificate look expired for ever. Answers what the clock must show at
    /// least from now on, if that is worth keeping: so cron is held for what a restart would hold it for, and not for the
    /// seconds by which a clock is put right.
    pub(crate) fn record_trusted_time(&self, time: SystemTime) -> Option<SystemTime> {
        let mut seen = lock(&self.seen);
        seen.newest = seen.newest.max(time);
        if !seen.newest.duration_since(seen.kept).is_ok_and(|ahead| ahead >= MIN_SAVE_STEP) {
            return None;
        }
        let seconds = seen.newest.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        match self.state.save(STORE_KEY, seconds.to_string().as_bytes()) {
            Ok(()) => seen.kept = seen.newest,
            Err(error) => warn!("{error}"),
        }
        Some(seen.newest)
    }
}

impl TimeProvider for TrustedClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.now().duration_since(UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}

fn build_time() -> SystemTime {
    parse_unix_seconds(env!("BUILD_TIME")).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_reading_counts_and_is_kept_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let state = Store::new(dir.path());
        let clock = TrustedClock::load(state.clone());
        let before = wall();
        assert!(clock.now() >= build_time() && clock.now() >= before);
        let next_year = clock.now() + 365 * MIN_SAVE_STEP;
        assert_eq!(clock.record_trusted_time(next_year), Some(next_year));
        assert_eq!(clock.record_trusted_time(UNIX_EPOCH), None);
        assert_eq!(clock.now(), next_year);
        let whole = UNIX_EPOCH + Duration::from_secs(next_year.duration_since(UNIX_EPOCH).unwrap().as_secs());
        assert_eq!(TrustedClock::load(state.clone()).now(), whole);
        for torn in ["", "x", "-1", "99999999999999999999", "999999999999999"] {
            state.save(STORE_KEY, torn.as_bytes()).unwrap();
            assert!(TrustedClock::load(state.clone()).now() < next_year, "{torn}");
        }
    }

    #[test]
    fn less_than_a_day_is_not_worth_a_write() {
        let dir = tempfile::tempdir().unwrap();
        let clock = TrustedClock::load(Store::new(dir.path()));
        clock.record_trusted_time(UNIX_EPOCH + 30_000 * MIN_SAVE_STEP);
        let before = std::fs::read(dir.path().join(STORE_KEY)).unwrap();
        assert_eq!(clock.record_trusted_time(UNIX_EPOCH + 30_000 * MIN_SAVE_STEP + MIN_SAVE_STEP / 2), None);
        assert_eq!(std::fs::read(dir.path().join(STORE_KEY)).unwrap(), before);
    }
}
