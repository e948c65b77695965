//! The runs of a workload with a cron schedule: which is next, and whether its time has come. A missed run is not
//! made up, and while the workload runs no schedule is looked at: a pod that is adopted counts as its slot's run.

use super::model::{
    schedule::{Cron, NextSlot},
    time::{Now, Wake},
};
use std::time::{Duration, SystemTime};

/// A slot noticed later than this was missed: the device slept, or its clock was set forward.
const LATE: Duration = Duration::from_secs(60);

/// By the wall clock, all of it.
#[derive(Debug, Default)]
pub(super) struct CronRuns {
    next: Option<SystemTime>,
    /// The slot that was used last.
    last: Option<SystemTime>,
    /// A slot has come, and its run has not begun.
    due: bool,
    /// When this was last asked: an earlier time now means that the clock was set back.
    asked: Option<SystemTime>,
}

impl CronRuns {
    /// Whether a run is due, and when to ask again. A slot that comes while it may not run is gone.
    pub(super) fn due(&mut self, cron: &Cron, may_run: bool, now: Now, next_slot: NextSlot) -> (bool, Wake) {
        if self.asked.replace(now.utc).is_some_and(|before| now.utc < before) {
            self.next = None;
        }
        self.due &= may_run;
        if let Some(slot) = self.next
            && now.utc >= slot
        {
            self.next = None;
            self.last = Some(slot);
            self.due |= may_run && now.utc < slot + LATE;
        }
        if self.due {
            return (true, Wake::Never);
        }
        if self.next.is_none() {
            let slot = next_slot(cron, now.utc);
            // Set back by less than a slot: it must not be run twice.
            self.next = if slot.is_some() && slot == self.last {
                slot.and_then(|slot| next_slot(cron, slot))
            } else {
                slot
            };
        }
        let Some(slot) = self.next else { return (false, Wake::Never) };
        // A clock that is set meanwhile is noticed within a minute.
        let wait = slot.duration_since(now.utc).unwrap_or_default().min(LATE);
        (false, Wake::At(now.up + wait))
    }

    /// The wall clock was set, or the time zone may have changed: what is to come is looked for anew.
    pub(super) fn clock_changed(&mut self, now: Now) {
        self.next = self.next.filter(|slot| *slot <= now.utc); // that one has come, as soon as it is asked
    }

    /// The next one, where it was looked for.
    pub(super) fn next(&self) -> Option<SystemTime> {
        self.next
    }

    /// A slot has come, and its run has not begun.
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// The run failed, and is to be tried again.
    pub(super) fn again(&mut self) {
        self.due = true;
    }

    /// The run that was to be tried again may not run any more.
    pub(super) fn lapse(&mut self) {
        self.due = false;
    }

    /// The run has begun, or has failed to.
    pub(super) fn used(&mut self) {
        (self.due, self.next) = (false, None); // a slot that comes while it goes on is gone
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn next_slot(cron: &Cron, after: SystemTime) -> Option<SystemTime> {
        cron.next(&DateTime::<Utc>::from(after)).map(SystemTime::from)
    }

    struct Clock {
        cron_runs: CronRuns,
        cron: Cron,
        now: Now,
    }

    impl Clock {
        /// It is 1000 minutes after the epoch: 16:40, a slot of */5.
        fn new() -> Self {
            let utc = SystemTime::UNIX_EPOCH + 60_000 * S;
            let cron = Cron::parse("*/5 * * * *").unwrap();
            Self { cron_runs: CronRuns::default(), cron, now: Now { up: 10 * S, utc } }
        }

        fn due_at(&mut self, seconds: i64, may_run: bool) -> bool {
            let since_epoch = u64::try_from(60_000 + seconds).unwrap();
            self.now.utc = SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch);
            let due = self.cron_runs.due(&self.cron, may_run, self.now, next_slot).0;
            if due {
                self.cron_runs.used();
            }
            due
        }
    }

    #[test]
    fn the_first_run_is_at_the_next_slot_and_there_is_one_a_slot() {
        let mut clock = Clock::new();
        let due: Vec<i64> = (0..=900).filter(|second| clock.due_at(*second, true)).collect();
        assert_eq!(due, [300, 600, 900]);
    }

    #[test]
    fn it_wants_to_be_asked_at_the_slot_but_within_a_minute() {
        let mut clock = Clock::new();
        let wake = clock.cron_runs.due(&clock.cron, true, clock.now, next_slot).1;
        assert_eq!(wake, Wake::At(70 * S));
        clock.now.utc += 270 * S;
        let wake = clock.cron_runs.due(&clock.cron, true, clock.now, next_slot).1;
        assert_eq!(wake, Wake::At(40 * S));
    }

    #[test]
    fn missed_slots_are_not_made_up() {
        let mut clock = Clock::new();
        assert!(!clock.due_at(1, true));
        assert!(!clock.due_at(3600 + 120, true), "the device slept for an hour");
        assert!(clock.due_at(3600 + 300, true));
    }

    #[test]
    fn a_slot_that_comes_while_it_may_not_run_is_gone() {
        let mut clock = Clock::new();
        clock.due_at(1, true);
        assert!(!clock.due_at(300, false));
        assert!(!clock.due_at(301, true));
        assert!(clock.due_at(600, true));
    }

    #[test]
    fn a_clock_set_back_across_a_slot_does_not_repeat_it_and_one_set_back_far_does_not_stop_it() {
        let mut clock = Clock::new();
        clock.due_at(1, true);
        assert!(clock.due_at(300, true));
        assert!(!clock.due_at(297, true));
        assert!(!clock.due_at(301, true));
        assert!(clock.due_at(600, true));
        assert!(!clock.due_at(-36_000, true));
        assert!(clock.due_at(-36_000 + 300, true));
    }
}
