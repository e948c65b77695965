//! Time as an input, and the next deadline as an output.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// The present, as the loop read it before it called [`decide`](crate::agent::Agent::decide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since boot, suspended time included (`CLOCK_BOOTTIME`). Never steps: for every wait.
    pub up: Duration,
    /// The wall clock. May step: only to read other people's time stamps, and for cron.
    pub utc: SystemTime,
}

/// When [`decide`](crate::agent::Agent::decide) next wants to be called although nothing happened.
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

/// Seconds since 1970; 0 before.
pub(in crate::agent) fn since_epoch(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// As a date; nothing for what a clock reads that is a quarter of a million years off.
pub fn date(time: SystemTime) -> Option<DateTime<Utc>> {
    // chrono ends a bit later; time zones may need that bit
    let in_bounds = |seconds: &i64| seconds.unsigned_abs() < 8_000_000_000_000;
    let seconds = Some(signed_epoch_seconds(time)).filter(in_bounds)?;
    DateTime::from_timestamp(
        seconds,
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos(),
    )
}

/// Whole seconds since 1970, or before.
fn signed_epoch_seconds(time: SystemTime) -> i64 {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            let before = before.duration();
            let begun = u64::from(before.subsec_nanos() > 0);
            i64::try_from(before.as_secs() + begun).map_or(i64::MIN, |seconds| -seconds)
        }
    }
}

/// `2026-11-23T03:42:24Z`, and something for any other time that a clock can read.
pub fn format_timestamp(time: SystemTime) -> String {
    match date(time) {
        Some(date) => date.to_rfc3339_opts(SecondsFormat::Secs, true),
        None => format!("@{}", signed_epoch_seconds(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_that_a_clock_can_read_has_a_stamp() {
        let epoch = SystemTime::UNIX_EPOCH;
        let far = |seconds: u64| epoch + Duration::from_secs(seconds);
        assert_eq!(format_timestamp(far(1_795_000_000)), "2026-11-18T11:06:40Z");
        assert_eq!(format_timestamp(far(253_402_300_800)), "+10000-01-01T00:00:00Z");
        assert_eq!(format_timestamp(epoch - Duration::from_millis(1500)), "1969-12-31T23:59:58Z");
        assert_eq!(format_timestamp(far(i64::MAX as u64)), "@9223372036854775807");
        assert_eq!(format_timestamp(epoch - Duration::from_secs(i64::MAX as u64)), "@-9223372036854775807");
    }
}
