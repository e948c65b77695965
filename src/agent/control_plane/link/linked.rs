//! A link that stands: each kind of call at its own pace.

use std::time::{Duration, SystemTime};

use super::call_pace::{CallPace, FIRST_WAIT};
use crate::agent::model::{call::CallKind, random::Random, time::Wake};

/// Between two certificates, at least.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// Between a heartbeat and one that a change of state brings forward, at least; twice that before the next such one.
const MIN_HURRIED_HEARTBEAT_GAP: Duration = Duration::from_secs(5);
/// Devices that change together don't say so together.
const HURRIED_HEARTBEAT_SPREAD: Duration = Duration::from_secs(2);

/// When the next certificate may be asked for, after one that came, or was asked for, at `last`.
pub(super) fn earliest_renewal(last: Duration) -> Duration {
    last.saturating_add(MIN_RENEWAL_INTERVAL)
}

#[derive(Debug)]
pub(super) struct LinkedState {
    pub(super) heartbeat: CallPace,
    pub(super) configuration: CallPace,
    pub(super) control: CallPace,
    pub(super) renewal: CallPace,
    /// When the wall clock says so, the renewal is due too.
    pub(super) renewal_utc: Option<SystemTime>,
    /// 401 in a row. (403 says that the certificate is another device's: the next one would be for the same device.) A
    /// heartbeat that goes well doesn't interrupt the row: it passes with an expired certificate.
    pub(super) unauthorized: u32,
    /// 404 in a row; only one to control says that the device is forgotten.
    pub(super) unknown: u32,
    /// The certificate was seen to do.
    pub(super) proven: bool,
    last_heartbeat: Option<Duration>,
    /// The next heartbeat was brought forward.
    is_hurried: bool,
    /// The least time before it.
    gap: Duration,
}

impl LinkedState {
    pub(super) fn pace_of(&mut self, kind: CallKind) -> Option<&mut CallPace> {
        match kind {
            CallKind::Heartbeat => Some(&mut self.heartbeat),
            CallKind::Configuration => Some(&mut self.configuration),
            CallKind::Control => Some(&mut self.control),
            CallKind::Register => Some(&mut self.renewal),
            CallKind::Enrol => None,
        }
    }

    /// The configuration and a heartbeat within `first`, the rest spread over `spread`.
    pub(super) fn new(first: Duration, spread: Duration, now: Duration, random: &mut Random) -> Self {
        Self {
            heartbeat: CallPace::due_within(first, now, random),
            configuration: CallPace::due_within(first, now, random),
            control: CallPace::due_within(spread, now, random),
            renewal: CallPace::NEVER,
            renewal_utc: None,
            unauthorized: 0,
            unknown: 0,
            proven: false,
            last_heartbeat: None,
            is_hurried: false,
            gap: MIN_HURRIED_HEARTBEAT_GAP,
        }
    }

    /// One change after the other must not make a stream of heartbeats.
    pub(super) fn note_heartbeat_sent(&mut self, now: Duration, period: Duration) {
        self.last_heartbeat = Some(now);
        self.gap = match std::mem::take(&mut self.is_hurried) {
            true => (self.gap * 2).min(period.max(MIN_HURRIED_HEARTBEAT_GAP)),
            false => MIN_HURRIED_HEARTBEAT_GAP,
        };
    }

    /// Plans the renewal of a certificate of which `passed` has passed. One that seems to have ended when it
    /// came tells that the wall clock is wrong, and nothing else: a 401 will tell.
    pub(super) fn plan_renewal(
        &mut self,
        since: SystemTime,
        until: SystemTime,
        passed: Duration,
        now: Duration,
        random: &mut Random,
    ) {
        (self.renewal, self.renewal_utc) = (CallPace::NEVER, None);
        let Ok(life) = until.duration_since(since) else { return };
        if life.is_zero() {
            return;
        }
        // Devices that were approved together need not come together.
        let two_thirds = life
            .mul_f64(2.0 / 3.0 * (0.95 + 0.1 * random.next_fraction()))
            .max(earliest_renewal(Duration::ZERO));
        let left = two_thirds.saturating_sub(passed);
        self.renewal.at = match left {
            Duration::ZERO => CallPace::due_within(FIRST_WAIT, now, random).at,
            left => Wake::At(now.saturating_add(left)),
        };
        self.renewal_utc = since.checked_add(two_thirds).filter(|_| !left.is_zero());
    }

    /// Brings the next heartbeat forward.
    pub(super) fn hurry_heartbeat(&mut self, now: Duration, random: &mut Random) {
        if let Some(last) = self.last_heartbeat
            && !self.is_hurried
            && !self.heartbeat.has_failed()
        {
            let soon = CallPace::due_within(HURRIED_HEARTBEAT_SPREAD, now.max(last + self.gap), random).at;
            self.is_hurried = soon < self.heartbeat.at;
            self.heartbeat.at = self.heartbeat.at.earlier(soon);
        }
    }
}
