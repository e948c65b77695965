//! The clocks, read here and nowhere else: what decides is given the time, and what waits has its deadlines from here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{Datelike, Local, Timelike};
use rustix::{
    event::Timespec,
    time::{ClockId, clock_gettime},
};

use crate::agent::model::time::{Now, date};

/// The present, for decisions.
pub(crate) fn now() -> Now {
    Now { up: since_boot(), utc: wall() }
}

/// Since boot, suspended time included: for the waits on processes and clients.
pub(crate) fn since_boot() -> Duration {
    read(ClockId::Boottime)
}

/// Without suspended time, from some start on: for the waits on files that are being written.
pub(crate) fn monotonic_time() -> Duration {
    read(ClockId::Monotonic)
}

/// What the system believes the date is. A device without a battery boots in 1970.
pub(crate) fn wall() -> SystemTime {
    UNIX_EPOCH + read(ClockId::Realtime)
}

/// How long to wait in `poll`; `None`: for ever.
pub(crate) fn poll_timeout(deadline: Option<Duration>, now: Duration) -> Option<Timespec> {
    deadline.and_then(|deadline| deadline.saturating_sub(now).try_into().ok())
}

/// From a text of seconds since 1970, of four digits in the year at most.
pub(crate) fn parse_unix_seconds(text: &str) -> Option<SystemTime> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = text.parse().ok().filter(|seconds| *seconds < YEAR_10000)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The hour on this device then, from 0 to 23, and the day of the week, from 1 for Monday to 7: by what `TZ` or
/// `/etc/localtime` says.
pub(crate) fn local_hour_and_weekday(time: SystemTime) -> Option<[f64; 2]> {
    let date = date(time)?.with_timezone(&Local);
    Some([date.hour().into(), date.weekday().number_from_monday().into()])
}

/// Which boot this is: not every runtime directory is emptied by a reboot, and times since boot mean nothing after one.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".into(), |id| id.trim().into())
}

#[expect(clippy::disallowed_methods, reason = "the one place")]
fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
