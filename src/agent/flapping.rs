//! A workload whose conditions change too often rests for a while: starting and stopping pods without end
//! would cost the device more than the workload itself.

use std::time::Duration;

use super::model::{
    notice::{Notice, Reason},
    time::Wake,
};

const CHANGE_WINDOW: Duration = Duration::from_secs(60);
const MAX_CHANGES_IN_WINDOW: usize = 5;
const FIRST_REST: Duration = Duration::from_secs(30);
const MAX_REST: Duration = Duration::from_secs(300);

/// The recent changes of one workload's conditions. All times are since boot.
#[derive(Debug, Default)]
pub(super) struct Flapping {
    allowed: Option<bool>,
    changes: Vec<Duration>,
    rest: Option<Rest>,
    untold_rest: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Duration,
    length: Duration,
}

impl Flapping {
    /// Whether the workload may run, given that its profiles hold (`allowed`), and when to ask again. While it rests
    /// changes cost nothing, and so don't count.
    fn may_run(&mut self, allowed: bool, now: Duration) -> (bool, Wake) {
        let has_changed = self.allowed.replace(allowed).is_some_and(|before| before != allowed);
        if has_changed && self.resting_until(now).is_none() {
            self.changes.retain(|at| now.saturating_sub(*at) < CHANGE_WINDOW);
            self.changes.push(now);
            if self.changes.len() > MAX_CHANGES_IN_WINDOW {
                self.changes.clear();
                self.begin_rest(now);
            }
        }
        match self.rest {
            Some(rest) if now < rest.until => (false, Wake::At(rest.until)),
            _ => (allowed, Wake::Never),
        }
    }

    /// The same for one that a person may have stopped (`is_stopped`): then nothing that its conditions do counts.
    pub(super) fn may_run_unless_stopped(
        &mut self,
        is_stopped: bool,
        allowed: bool,
        now: Duration,
    ) -> (bool, Wake) {
        match is_stopped {
            true => (false, Wake::Never),
            false => self.may_run(allowed, now),
        }
    }

    fn begin_rest(&mut self, now: Duration) {
        let length = match self.rest {
            // It flaps again, and not long after that hold ended.
            Some(last) if now < last.until + MAX_REST => (last.length * 2).min(MAX_REST),
            _ => FIRST_REST,
        };
        self.rest = Some(Rest { until: now + length, length });
        self.untold_rest = Some(length);
    }

    /// How long it has to rest from now on; once after each time that it was found flapping.
    fn take_untold_rest(&mut self) -> Option<Duration> {
        self.untold_rest.take()
    }

    /// Until when it rests.
    pub(super) fn resting_until(&self, now: Duration) -> Option<Duration> {
        self.rest.map(|rest| rest.until).filter(|until| now < *until)
    }

    /// The same for people, who know the workload by `name`.
    pub(super) fn take_rest_notice(&mut self, name: &str) -> Option<Notice> {
        let rest = self.take_untold_rest()?.as_secs();
        let message = format!("workload '{name}': its conditions change too often; it rests for {rest} s");
        Some(Notice::warning(Reason::Flapping, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flip(flapping: &mut Flapping, times: u64, from: u64) -> (bool, Wake) {
        let mut last = (false, Wake::Never);
        for i in 0..times {
            last = flapping.may_run(i % 2 == 0, Duration::from_secs(from + i));
        }
        last
    }

    #[test]
    fn five_changes_in_a_minute_are_free_and_the_sixth_holds_it_for_30_s() {
        let mut flapping = Flapping::default();
        assert_eq!(flip(&mut flapping, 6, 0), (false, Wake::Never));
        assert_eq!(
            flapping.may_run(true, Duration::from_secs(6)),
            (false, Wake::At(Duration::from_secs(36)))
        );
        assert_eq!(flapping.take_untold_rest(), Some(FIRST_REST));
        assert_eq!(flapping.take_untold_rest(), None);
        assert_eq!(flapping.may_run(true, Duration::from_secs(36)), (true, Wake::Never));
    }

    #[test]
    fn who_goes_on_rests_twice_as_long_up_to_five_minutes() {
        let mut flapping = Flapping::default();
        let mut lengths = Vec::new();
        let mut at = 0;
        for _ in 0..6 {
            flip(&mut flapping, 7, at);
            at += 7;
            let length = flapping.take_untold_rest().unwrap().as_secs();
            lengths.push(length);
            at += length;
        }
        assert_eq!(lengths, [30, 60, 120, 240, 300, 300]);
    }

    #[test]
    fn a_burst_of_changes_is_one_hold_and_one_line() {
        let mut flapping = Flapping::default();
        let mut burst = |from: Duration| {
            let changes = (0..200).map(|i| from + Duration::from_micros(i * 100));
            let rests = changes.filter_map(|at| {
                flapping.may_run(at.subsec_micros() / 100 % 2 == 0, at);
                flapping.take_untold_rest()
            });
            rests.map(|length| length.as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(burst(Duration::from_secs(1)), [30]);
        assert_eq!(burst(Duration::from_secs(2)), [0; 0], "it rests already");
        assert_eq!(burst(Duration::from_secs(32)), [60], "that rest was over");
    }

    #[test]
    fn slow_changes_are_never_held() {
        let mut flapping = Flapping::default();
        for i in 0..100 {
            let allowed = i % 2 == 0;
            assert_eq!(flapping.may_run(allowed, Duration::from_secs(i * 13)), (allowed, Wake::Never));
        }
    }
}
