//! The runs of a workload with a cron schedule: which is next, and whether its time has come. A missed run is not
//! made up, and while the workload runs no schedule is looked at: a pod that is adopted counts as its slot's run.

use super::model::{
    schedule::{Cron, NextSlotFn},
    time::{Now, Wake},
};
use std::time::{Duration, SystemTime};

/// A clock that was set back by more than this was wrong before: slots count by the new time. What was set back by less
/// passes the same slots again, and nothing runs twice at one.
const SET_BACK: Duration = Duration::from_secs(3 * 3600);

/// A slot noticed later than this was missed: the device slept, or its clock was set forward.
const MAX_SLOT_LATENESS: Duration = Duration::from_secs(60);

/// By the wall clock, all of it.
#[derive(Debug, Default)]
pub(super) struct CronRuns {
    next: Option<SystemTime>,
    /// The slot that came last, used or not, or when a run began after it.
    last: Option<SystemTime>,
    /// A slot has come, and its run has not begun.
    due: bool,
    /// When this was last asked: an earlier time now means that the clock was set back.
    asked: Option<SystemTime>,
}

impl CronRuns {
    /// Whether a run is due, and when to ask again. A slot that comes while it may not run is gone.
    pub(super) fn check_due(
        &mut self,
        cron: &Cron,
        may_run: bool,
        now: Now,
        next_slot: NextSlotFn,
    ) -> (bool, Wake) {
        if self.asked.replace(now.utc).is_some_and(|before| now.utc < before) {
            self.next = None;
        }
        self.due &= may_run;
        if let Some(slot) = self.next
            && now.utc >= slot
        {
            self.next = None;
            self.last = Some(slot);
            self.due |= may_run && now.utc < slot + MAX_SLOT_LATENESS;
        }
        if self.due {
            return (true, Wake::Never);
        }
        if self.next.is_none() {
            let by = |last: &SystemTime| last.duration_since(now.utc).unwrap_or_default();
            let last = self.last.filter(|last| by(last) <= SET_BACK);
            self.next = next_slot(cron, last.map_or(now.utc, |last| last.max(now.utc)));
        }
        let Some(slot) = self.next else { return (false, Wake::Never) };
        // A clock that is set meanwhile is noticed within a minute.
        let wait = slot.duration_since(now.utc).unwrap_or_default().min(MAX_SLOT_LATENESS);
        (false, Wake::At(now.up + wait))
    }

    /// The wall clock was set, or the time zone may have changed: what is to come is looked for anew.
    pub(super) fn on_clock_change(&mut self, now: Now) {
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

    /// A run is to begin without a slot: once more, after a failure, or as a person asked for it.
    pub(super) fn set_due_now(&mut self) {
        self.due = true;
    }

    /// The run that was to be tried again may not run any more.
    pub(super) fn cancel_retry(&mut self) {
        self.due = false;
    }

    /// The run has begun, or has failed to.
    pub(super) fn mark_begun(&mut self, now: Now) {
        (self.due, self.next) = (false, None); // a slot that comes while it goes on is gone
        self.last = self.last.max(Some(now.utc)); // and so are those that came before
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
            let due = self.cron_runs.check_due(&self.cron, may_run, self.now, next_slot).0;
            if due {
                self.cron_runs.mark_begun(self.now);
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
        let wake = clock.cron_runs.check_due(&clock.cron, true, clock.now, next_slot).1;
        assert_eq!(wake, Wake::At(70 * S));
        clock.now.utc += 270 * S;
        let wake = clock.cron_runs.check_due(&clock.cron, true, clock.now, next_slot).1;
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
    fn a_clock_set_back_by_up_to_three_hours_repeats_no_slot_and_skips_none() {
        for back in [3, 150, 300, 3600, 3 * 3600] {
            let mut clock = Clock::new();
            let due: Vec<i64> = (1..=20_000).filter(|second| clock.due_at(*second, true)).collect();
            assert_eq!(due.last(), Some(&19_800));
            let due: Vec<i64> = (19_800 - back..=20_400).filter(|it| clock.due_at(*it, true)).collect();
            assert_eq!(due, [20_100, 20_400], "set back by {back} s");
        }
    }

    #[test]
    fn one_set_back_far_does_not_stop_the_schedule_and_repeats_no_slot_after_it() {
        for back in [3 * 3600 + 1, 36_000] {
            let mut clock = Clock::new();
            clock.due_at(1, true);
            assert!(clock.due_at(300, true));
            let due: Vec<i64> = (300 - back..=900 - back).filter(|it| clock.due_at(*it, true)).collect();
            let first = (300 - back).div_euclid(300) * 300 + 300;
            assert_eq!(due, [first, first + 300], "slots count by the new time");
            let back = first + 300 - 60; // a little, again
            assert!(!(back..=first + 300).any(|second| clock.due_at(second, true)));
        }
    }

    #[test]
    fn a_slot_that_was_missed_or_came_while_it_might_not_run_is_not_made_up_by_a_clock_set_back() {
        let mut clock = Clock::new();
        clock.due_at(1, true);
        assert!(!clock.due_at(300, false));
        assert!(!(200..600).any(|second| clock.due_at(second, true)));
        assert!(clock.due_at(600, true));
    }
}
