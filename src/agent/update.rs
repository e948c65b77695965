//! Updates that don't come up are taken back: the content that came up last returns, and the one that failed isn't
//! tried again until it changes. What came up last is remembered, whatever is asked for meanwhile, until another
//! content has come up.
//!
//! A content has come up when all its containers ran for 10 s, or ended well. Pulling its images doesn't
//! count: until they are here the old pod runs. Neither does a time when its conditions don't hold or its engine
//! doesn't answer.

use super::model::{phase::Phase, time::Wake};
use std::time::Duration;

/// From the first start of a new content until it must have come up.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// How long all containers have to run.
const SETTLED: Duration = Duration::from_secs(10);

/// How far a content is from having come up.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// It was seen running, without an end since.
    running_since: Option<Duration>,
    /// It has come up.
    passed: bool,
    /// With something to return to: until when it must have come up.
    until: Option<Duration>,
}

/// What is to be thought of it at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
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
    pub(super) fn runs(&mut self, since: Duration) {
        self.running_since.get_or_insert(since);
    }

    /// It ran for this long, and ended.
    pub(super) fn ran(&mut self, time: Duration) {
        self.passed |= time >= SETTLED;
        self.running_since = None;
    }

    /// How it is now, in this phase.
    pub(super) fn progress(&mut self, phase: Phase, now: Duration) -> Progress {
        let settled = match (phase, self.running_since) {
            (Phase::Finished { code: 0 }, _) => Some(Duration::ZERO),
            (Phase::Running, Some(since)) => Some(since + SETTLED),
            _ => None,
        };
        self.passed |= settled.is_some_and(|at| at <= now);
        match (settled, self.until) {
            _ if self.passed => Progress::Passed,
            // what it shows will tell, and soon: of a start, why it failed
            _ if matches!(phase, Phase::Looking { .. } | Phase::Starting(_)) => Progress::Open(Wake::Never),
            (Some(at), _) => Progress::Open(Wake::At(at)), // it runs: it gets its chance
            (None, Some(until)) if until <= now => Progress::Failed,
            (None, Some(until)) => Progress::Open(Wake::At(until)),
            (None, None) => Progress::Open(Wake::Never),
        }
    }
}
