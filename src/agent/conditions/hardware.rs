//! Which hardware conditions ask for, and when it is looked at.

use std::{sync::Arc, time::Duration};

use crate::agent::model::time::Wake;

/// What is announced is looked at then. An announcement that is lost counts after this.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// A look takes no time. If none comes, what was never looked at holds up nothing for longer.
const FIRST_LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// What conditions ask for.
#[derive(Debug, Default)]
pub(super) struct HardwarePoll {
    /// As conditions call it, in order.
    pub(super) names: Vec<Arc<str>>,
    /// When all of it is to be looked at.
    due: Option<Duration>,
    /// Some of it was never looked at. Until this time that holds up what could run or end by it.
    pub(super) unknown_until: Option<Duration>,
}

impl HardwarePoll {
    /// `is_unknown`: some of it was never looked at.
    pub(super) fn new(names: Vec<Arc<str>>, is_unknown: bool, now: Duration) -> Self {
        let unknown_until = is_unknown.then(|| now.saturating_add(FIRST_LOOK_TIMEOUT));
        Self { names, due: Some(now), unknown_until }
    }

    /// What is to be looked at now, and when to be called again.
    pub(super) fn take_due(&mut self, now: Duration) -> (Option<Vec<Arc<str>>>, Wake) {
        self.unknown_until = self.unknown_until.filter(|until| now < *until);
        let is_due = self.due.is_some_and(|at| at <= now);
        if is_due {
            self.due = (!self.names.is_empty()).then(|| now.saturating_add(POLL_INTERVAL));
        }
        let wake = self.due.into_iter().chain(self.unknown_until).min().map_or(Wake::Never, Wake::At);
        (is_due.then(|| self.names.clone()), wake)
    }
}
