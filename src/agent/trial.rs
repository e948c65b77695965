//! Updates that don't come up are taken back: the content that came up last returns, and the one that failed isn't
//! tried again until it changes. What came up last is remembered, whatever other contents are asked for meanwhile, until
//! one of them has come up, or nothing asks for the workload.
//!
//! A content has come up when all its containers ran for 10 s, or ended well. Pulling its images doesn't
//! count: until they are here the old pod runs. Neither does a time when its conditions don't hold or its engine
//! doesn't answer.

use super::model::{phase::Phase, time::Wake};
use std::time::Duration;

/// From the first start of a new content until it must have come up.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// How long all containers have to run until it has come up.
const MIN_READY: Duration = Duration::from_secs(10);

/// How far a content is from having come up.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// It was seen running, without an end since.
    running_since: Option<Duration>,
    /// It has come up.
    passed: bool,
    /// That was noted.
    remembered: bool,
    /// With something to return to: until when it must have come up.
    until: Option<Duration>,
}

/// What is to be thought of it at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialState {
    /// It has come up.
    Passed,
    /// Nothing can be said before this.
    Open(Wake),
    /// Its time is over.
    Failed,
}

impl Trial {
    /// The pod was ordered to start, or was found where an earlier process started it.
    pub(super) fn begin(&mut self, now: Duration) {
        if !self.passed {
            self.until.get_or_insert(now + DEADLINE);
        }
    }

    /// No fault of the content's keeps it from coming up: its time begins anew with the next start.
    pub(super) fn suspend(&mut self) {
        self.until = None;
    }

    /// All containers run now, and did so since then.
    pub(super) fn note_running(&mut self, since: Duration) {
        self.running_since.get_or_insert(since);
    }

    /// It ran for this long, and ended.
    pub(super) fn ran(&mut self, time: Duration) {
        self.passed |= time >= MIN_READY;
        self.running_since = None;
    }

    /// Whether it is still to be remembered as what came up, once it has.
    pub(super) fn is_to_remember(&mut self) -> bool {
        !std::mem::replace(&mut self.remembered, true)
    }

    /// How it is now, in this phase.
    pub(super) fn progress(&mut self, phase: Phase, now: Duration) -> TrialState {
        let settled = match (phase, self.running_since) {
            (Phase::Finished { code: 0 }, _) => Some(Duration::ZERO),
            (Phase::Running, Some(since)) => Some(since + MIN_READY),
            _ => None,
        };
        self.passed |= settled.is_some_and(|at| at <= now);
        match (settled, self.until) {
            _ if self.passed => TrialState::Passed,
            // what it shows will tell, and soon: of a start, why it failed
            _ if matches!(phase, Phase::Looking { .. } | Phase::Starting(_)) => TrialState::Open(Wake::Never),
            (Some(at), _) => TrialState::Open(Wake::At(at)), // it runs: it gets its chance
            (None, Some(until)) if until <= now => TrialState::Failed,
            (None, Some(until)) => TrialState::Open(Wake::At(until)),
            (None, None) => TrialState::Open(Wake::Never),
        }
    }
}
