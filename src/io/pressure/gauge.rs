//! Numbers become levels, with hysteresis: a level is left only when there is a quarter more than it takes.

use std::time::Duration;

use crate::agent::model::pressure::{Level, Pressure, Resource};

/// Near the reserve, and below it.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// When there is plenty.
pub(super) const MAX_POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Bytes a second: what is left should not be gone before the next look.
const MAX_DRAIN_RATE: u64 = 32 << 20;
/// Something is critical when it has been for so long, or at once when half of that is left of memory.
const CRITICAL_AFTER: Duration = Duration::from_secs(2);
/// Between two tellings of how much is left while it is short.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Per cent of the last ten seconds in which all waited for memory: the device does little else, and has for a while.
const STALL_THRESHOLD_PERCENT: u8 = 10;

/// What is left of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResourceReading {
    pub(super) available: u64,
    /// More than 0.
    pub(super) reserve: u64,
    /// Per cent of the last ten seconds in which everything waited for it.
    pub(super) stalled: u8,
}

impl ResourceReading {
    /// 1 at the reserve.
    pub(super) fn headroom(&self) -> f64 {
        self.available as f64 / self.reserve as f64
    }

    /// Until the next look.
    pub(super) fn poll_interval(&self, gauge: &Gauge) -> Duration {
        if gauge.level != Level::Fine || self.is_critical(self.reserve / 2) {
            return MIN_POLL_INTERVAL;
        }
        let seconds = self.available.saturating_sub(self.reserve) / MAX_DRAIN_RATE;
        Duration::from_secs(seconds).clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)
    }

    /// Stalls alone prove little: a container that fights its own limit stalls, too, while the device has plenty.
    fn is_critical(&self, bound: u64) -> bool {
        self.available < bound || self.stalled >= STALL_THRESHOLD_PERCENT && self.headroom() < 2.0
    }
}

/// The level of one resource.
#[derive(Debug)]
pub(super) struct Gauge {
    resource: Resource,
    level: Level,
    /// Since when it has been critical, told or not.
    critical: Option<Duration>,
    /// What was told last, and when.
    told: Option<(Pressure, Duration)>,
}

impl Gauge {
    pub(super) fn new(resource: Resource) -> Self {
        Self { resource, level: Level::Fine, critical: None, told: None }
    }

    /// The new level, if it is another; while it is short also the amount, now and then.
    pub(super) fn update_level(&mut self, reading: &ResourceReading, now: Duration) -> Option<Pressure> {
        let ResourceReading { available, reserve, stalled } = *reading;
        let more = |bound: u64, level: Level| if self.level >= level { bound / 4 * 5 } else { bound };
        let is_low = available < more(reserve, Level::Low);
        if reading.is_critical(more(reserve / 2, Level::Critical)) {
            self.critical.get_or_insert(now);
        } else {
            self.critical = None;
        }
        let is_worse = self.resource == Resource::Memory && available < reserve / 4
            || stalled >= STALL_THRESHOLD_PERCENT;
        let level = match self.critical {
            Some(_) if is_worse => Level::Critical,
            Some(since) if self.level == Level::Critical || now >= since + CRITICAL_AFTER => Level::Critical,
            _ if is_low => Level::Low,
            _ => Level::Fine,
        };
        let is_other = std::mem::replace(&mut self.level, level) != level;
        // said only where it is the cause
        let stalled = if available < reserve / 2 || stalled < STALL_THRESHOLD_PERCENT { 0 } else { stalled };
        let pressure = Pressure { resource: self.resource, level, available, reserve, stalled };
        let is_news = is_other
            || level != Level::Fine
                && self
                    .told
                    .as_ref()
                    .is_none_or(|(told, at)| *told != pressure && now >= *at + REPORT_INTERVAL);
        is_news.then(|| {
            self.told = Some((pressure.clone(), now));
            pressure
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// The levels that are told when this much is left of a reserve of 400, second by second.
    fn levels(readings: &[(u64, u8)]) -> Vec<(u64, Level)> {
        let mut gauge = Gauge::new(Resource::Memory);
        let mut told = Vec::new();
        for (second, (available, stalled)) in (0..).zip(readings) {
            let reading = ResourceReading { available: *available, reserve: 400, stalled: *stalled };
            let before = gauge.level;
            let news = gauge.update_level(&reading, S * second).filter(|it| it.level != before);
            told.extend(news.map(|pressure| (u64::from(second), pressure.level)));
        }
        told
    }

    #[test]
    fn below_the_reserve_is_low_until_there_is_a_quarter_more() {
        assert_eq!(levels(&[(400, 0), (399, 0), (400, 0), (499, 0)]), [(1, Level::Low)]);
        assert_eq!(levels(&[(399, 0), (500, 0), (400, 0)]), [(0, Level::Low), (1, Level::Fine)]);
    }

    #[test]
    fn while_it_is_short_the_amount_is_told_again_when_it_has_changed_but_not_every_second() {
        let mut gauge = Gauge::new(Resource::Disk);
        let mut told = Vec::new();
        for (second, available) in
            (0..).zip([900, 390, 380, 370, 360, 350, 340, 340, 340, 340, 340, 340, 900])
        {
            let reading = ResourceReading { available, reserve: 400, stalled: 0 };
            told.extend(gauge.update_level(&reading, S * second).map(|it| (second, it.available)));
        }
        assert_eq!(told, [(1, 390), (6, 340), (12, 900)]);
    }

    #[test]
    fn less_than_half_is_critical_only_when_it_lasts() {
        let low = (0, Level::Low);
        assert_eq!(levels(&[(199, 0), (199, 0), (200, 0), (100, 0)]), [low]);
        assert_eq!(levels(&[(199, 0); 6]), [low, (2, Level::Critical)]);
        assert_eq!(levels(&[(300, 0), (99, 0)]), [low, (1, Level::Critical)], "there is no time to lose");
        let mut readings = vec![(199, 0); 4];
        readings.extend([(249, 0), (250, 0)]);
        assert_eq!(levels(&readings), [low, (2, Level::Critical), (5, Level::Low)]);
    }

    #[test]
    fn a_device_that_waits_for_memory_is_short_of_it_unless_it_has_plenty() {
        assert_eq!(levels(&[(799, 10); 5]), [(0, Level::Critical)]);
        assert_eq!(levels(&[(799, 9); 5]), []);
        assert_eq!(levels(&[(800, 100); 5]), []);
        let mut readings = vec![(700, 50); 4];
        readings.push((700, 0));
        assert_eq!(levels(&readings).last(), Some(&(4, Level::Fine)));
    }

    #[test]
    fn the_less_is_left_the_sooner_is_the_next_look() {
        let mib = 1 << 20;
        let pause = |available: u64| {
            let reading = ResourceReading { available: available * mib, reserve: 32 * mib, stalled: 0 };
            reading.poll_interval(&Gauge::new(Resource::Memory)).as_secs()
        };
        assert_eq!([10_000, 352, 96, 40, 10].map(pause), [60, 10, 2, 1, 1]);
    }
}
