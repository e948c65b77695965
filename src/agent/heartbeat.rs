//! What a heartbeat says: how each workload is, what happened, and when the hardware is due.

use std::{collections::VecDeque, time::Duration};

use super::{
    call::{Hardware, WorkloadStatus},
    notice::{Notice, Reason},
    phase::Phase,
    reconcile::Tracked,
};

/// Events that wait for the server; the oldest goes when there is one more.
const MOST_EVENTS: usize = 100;
/// Bytes of an event's text.
const LONGEST_EVENT: usize = 1024;
/// Between two looks at the hardware: it hardly ever changes, and looking costs.
const HARDWARE_PERIOD: Duration = Duration::from_secs(3600);

/// Events until they have arrived, and what the server was told of the hardware.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    waiting: VecDeque<Notice>,
    /// How many were dropped, and not yet said to be.
    dropped: u64,
    /// Part of the heartbeat under way.
    sent: Sent,
    /// When the hardware was last sent.
    hardware_at: Option<Duration>,
}

#[derive(Debug, Default)]
struct Sent {
    events: Vec<Notice>,
    dropped: u64,
    hardware: Hardware,
}

impl Reporter {
    /// Something was told.
    pub(super) fn add(&mut self, notice: &Notice) {
        let mut notice = notice.clone();
        if notice.message.len() > LONGEST_EVENT {
            let mut end = LONGEST_EVENT - '…'.len_utf8();
            while !notice.message.is_char_boundary(end) {
                end -= 1;
            }
            notice.message.truncate(end);
            notice.message.push('…');
        }
        self.waiting.push_back(notice);
        self.bound();
    }

    fn bound(&mut self) {
        while self.waiting.len() > MOST_EVENTS {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// Hands over what waits, for a heartbeat: it must be told how that ends, before it is asked again.
    pub(super) fn take(&mut self, wanted: Hardware, now: Duration) -> (Vec<Notice>, Hardware) {
        let hardware = match (wanted, self.hardware_at) {
            (Hardware::Left, _) => Hardware::Left,
            (_, None) => Hardware::Full,
            (scope, Some(at)) if now >= at.saturating_add(HARDWARE_PERIOD) => scope,
            _ => Hardware::Left,
        };
        self.sent = Sent {
            events: std::mem::take(&mut self.waiting).into(),
            dropped: std::mem::take(&mut self.dropped),
            hardware,
        };
        let mut events = Vec::with_capacity(self.sent.events.len() + 1);
        if self.sent.dropped > 0 {
            let message = format!("{} older events were dropped unsent", self.sent.dropped);
            events.push(Notice::warning(Reason::EventsDropped, message));
        }
        events.extend(self.sent.events.iter().cloned());
        (events, hardware)
    }

    /// The heartbeat has arrived.
    pub(super) fn arrived(&mut self, now: Duration) {
        let sent = std::mem::take(&mut self.sent);
        if sent.hardware != Hardware::Left {
            self.hardware_at = Some(now);
        }
    }

    /// The heartbeat has not arrived, as far as is known: what was in it goes with the next.
    pub(super) fn lost(&mut self) {
        let sent = std::mem::take(&mut self.sent);
        self.dropped += sent.dropped;
        for notice in sent.events.into_iter().rev() {
            self.waiting.push_front(notice);
        }
        self.bound();
    }

    /// All of the hardware is due with the next heartbeat.
    pub(super) fn hardware_unknown(&mut self) {
        self.hardware_at = None;
    }
}

/// The server's word for where a workload is.
pub(super) fn status(tracked: &Tracked) -> WorkloadStatus {
    let is_service = tracked.wanted().is_some_and(|workload| workload.is_service());
    match tracked.phase {
        Phase::Running | Phase::Looking { adopting: false, .. } => WorkloadStatus::Running,
        Phase::Finished { .. } => WorkloadStatus::Stopped,
        Phase::Unknown | Phase::Looking { adopting: true, .. } | Phase::Pulling(_) | Phase::Starting(_) => {
            WorkloadStatus::Deploying
        }
        Phase::Inactive | Phase::Waiting { .. } | Phase::Stopping(_) if !tracked.may_run => {
            WorkloadStatus::Stopped
        }
        Phase::Inactive if !is_service => WorkloadStatus::Stopped, // until its next slot
        _ if tracked.failures > 0 => WorkloadStatus::Crashed,
        _ => WorkloadStatus::Deploying,
    }
}
