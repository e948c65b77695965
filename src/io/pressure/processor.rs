//! The processor: a busy one does no harm as long as each process has a share. When some process waits for it most of the
//! time, and that lasts, it is told.

use std::{fs::File, os::fd::OwnedFd, path::Path, time::Duration};

use super::source::{open_psi_trigger, read_head};
use crate::agent::model::pressure::{Level, Pressure, Resource};

/// Wakes when some process waited for the processor for half of 2 s.
const PSI_TRIGGER: &[u8] = b"some 1000000 2000000\0";
/// Per cent of the time in which some process waits.
const STALL_THRESHOLD_PERCENT: u128 = 50;
/// How long it lasts before it is told: a start of a pod takes less.
const STALL_WINDOW: Duration = Duration::from_secs(30);

/// What the kernel says of the time that processes wait for the processor.
pub(super) struct CpuPressure {
    stalls: File,
    trigger: OwnedFd,
    level: Level,
    /// When it was looked at last, and how long some process had waited then.
    since: (Duration, Duration),
}

impl CpuPressure {
    /// Nothing where the kernel can't wake this thread.
    pub(super) fn open(proc: &Path) -> Option<Self> {
        let path = proc.join("pressure/cpu");
        Some(Self::new(File::open(&path).ok()?, open_psi_trigger(&path, PSI_TRIGGER)?))
    }

    fn new(stalls: File, trigger: OwnedFd) -> Self {
        Self { stalls, trigger, level: Level::Fine, since: Default::default() }
    }

    /// Has news (`PRI`) when processes begin to wait; while they do, the clock is enough.
    pub(super) fn trigger(&self) -> Option<&OwnedFd> {
        (self.level == Level::Fine).then_some(&self.trigger)
    }

    /// When to look again, if anything goes on.
    pub(super) fn next(&self) -> Option<Duration> {
        (self.level != Level::Fine).then(|| self.since.0 + STALL_WINDOW)
    }

    /// The new level, if it is another: low at once, critical when it lasts; and that again, as long as it does. `woken`:
    /// the trigger has news.
    pub(super) fn update_level(&mut self, woken: bool, now: Duration) -> Option<Pressure> {
        let is_due = self.next().map_or(woken, |next| next <= now);
        if !is_due {
            return None;
        }
        let waited = total_stall_time(&self.stalls).unwrap_or(self.since.1);
        let (since, before) = std::mem::replace(&mut self.since, (now, waited));
        let share = waited.saturating_sub(before).as_micros() * 100 / (now - since).as_micros().max(1);
        let level = match self.level {
            Level::Fine => Level::Low,
            _ if share >= STALL_THRESHOLD_PERCENT => Level::Critical,
            _ => Level::Fine,
        };
        let stalled = share.min(100) as u8;
        let news = std::mem::replace(&mut self.level, level) != level || level == Level::Critical;
        news.then_some(Pressure { resource: Resource::Cpu, level, available: 0, reserve: 0, stalled })
    }
}

/// How long some process has waited since boot.
fn total_stall_time(stalls: &File) -> Option<Duration> {
    let mut buffer = [0; 512];
    let line = read_head(stalls, &mut buffer)?.lines().find(|line| line.starts_with("some "))?;
    Some(Duration::from_micros(line.rsplit_once("total=")?.1.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn each_half_minute_of_waiting_is_told_and_its_end_too() {
        let stalls = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(stalls.path()).unwrap();
        let mut processor = CpuPressure::new(open(), open().into());
        // the second, how many seconds some process had waited by then, and whether the kernel wakes
        let mut at = |second: u32, waited: u32, woken| {
            let text = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={waited}000000\nfull total=0\n");
            std::fs::write(stalls.path(), text).unwrap();
            let told = processor.update_level(woken, S * second);
            (told.map(|it| (it.level, it.stalled)), processor.next().map(|it| it.as_secs()))
        };
        assert_eq!(at(100, 50, false), (None, None), "it is not looked at unless the kernel says so");
        assert_eq!(at(101, 51, true), (Some((Level::Low, 50)), Some(131)));
        assert_eq!(at(110, 60, false), (None, Some(131)));
        assert_eq!(at(131, 65, false), (Some((Level::Fine, 46)), None), "it was a moment");
        at(200, 70, true);
        assert_eq!(at(230, 97, false), (Some((Level::Critical, 90)), Some(260)));
        assert_eq!(at(260, 127, false), (Some((Level::Critical, 100)), Some(290)));
        assert_eq!(at(290, 130, false), (Some((Level::Fine, 10)), None));
    }
}
