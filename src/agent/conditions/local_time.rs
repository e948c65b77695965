//! The hour and the day of the week, for the conditions that ask: looked at when they change, and not before.

use std::time::{Duration, SystemTime};

use crate::agent::expression::NIL;
use crate::agent::{
    model::schedule::{Cron, LocalTimeFn, NextSlotFn},
    wrong_clock::CLOCK_RECHECK_INTERVAL,
};

/// For how long what was told last is true.
#[derive(Debug, Default)]
pub(super) struct LocalTimeValidity {
    span: Option<(SystemTime, SystemTime)>,
}

impl LocalTimeValidity {
    /// The present ones if they may be others than before, and when to ask again. None where the clock is wrong.
    pub(super) fn refresh(
        &mut self,
        utc: Option<SystemTime>,
        local: LocalTimeFn,
        next: NextSlotFn,
    ) -> (Option<[f64; 2]>, Duration) {
        let Some(utc) = utc else {
            self.span = None;
            return (Some([NIL; 2]), CLOCK_RECHECK_INTERVAL);
        };
        let is_known = self.span.is_some_and(|(from, until)| (from..until).contains(&utc));
        if !is_known {
            let until = Cron::parse("0 * * * *").ok().and_then(|cron| next(&cron, utc));
            self.span = Some((utc, until.unwrap_or(utc + CLOCK_RECHECK_INTERVAL)));
        }
        let left =
            self.span.and_then(|(_, until)| until.duration_since(utc).ok()).unwrap_or(CLOCK_RECHECK_INTERVAL);
        ((!is_known).then(|| local(utc).unwrap_or([NIL; 2])), left)
    }

    /// The clock was set, or the time zone may be another one.
    pub(super) fn forget(&mut self) {
        self.span = None;
    }
}
