//! What a heartbeat says: how each workload is, what happened, and when the hardware is due.
//!
//! An event is told until an answer says that it was heard, and then never again. Where the answer is lost, or the
//! agent ends before it, the same event comes twice: the server's recorder counts equal ones together. Of events
//! that the server refuses two heartbeats for, nothing remains but their number: the next ones are to get through.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::agent::{
    deployments::Deployments,
    model::{
        call::{CallFailure, HardwareScope, ServerWorkloadStatus, UndeliveredEvents},
        notice::{Notice, Reason, Severity},
    },
    reconcile::Workloads,
    sources::{Source, Sources},
};

/// Events that wait for the server; the oldest goes when there is one more.
const MAX_EVENTS: usize = 100;
/// Heartbeats in a row that the server may refuse for their events.
const MAX_REFUSALS: u32 = 2;
/// Bytes of an event's text.
const MAX_EVENT_BYTES: usize = 1024;
/// An event that comes again is told again after this: Kubernetes' recorder lets through 25 of a device, and then one in
/// this time.
const REPEATED_EVENT_INTERVAL: Duration = Duration::from_secs(300);
/// Between two looks at the hardware: it hardly ever changes, and looking costs.
const HARDWARE_REPORT_PERIOD: Duration = Duration::from_secs(3600);

/// Whether the device is degraded, and how each workload of the server's is.
pub(in crate::agent) type ReportedStatus = (bool, Vec<(String, ServerWorkloadStatus)>);

/// What is said of the server's workloads by a device that is degraded or not.
pub(in crate::agent) fn reported_status(
    degraded: bool,
    sources: &Sources,
    workloads: &Workloads,
    deployments: &Deployments,
) -> ReportedStatus {
    let names = sources.server.iter().flat_map(Source::workload_names);
    let status = |(name, readable): (&Arc<str>, bool)| {
        let status = match (deployments.server_status(name), workloads.get(name)) {
            (Some(status), _) if readable => status,
            (_, Some(tracked)) if readable => tracked.server_status(),
            _ => ServerWorkloadStatus::Crashed,
        };
        (name.to_string(), status)
    };
    (degraded, names.map(status).collect())
}

/// Events until they have arrived, and what the server was told of the hardware.
#[derive(Debug, Default)]
pub(in crate::agent) struct HeartbeatOutbox {
    waiting: UndeliveredEvents,
    /// Part of the heartbeat under way.
    sent: UndeliveredEvents,
    sent_hardware: HardwareScope,
    /// `waiting` and `sent` together are others than the last [`Self::take_changed_undelivered`] said.
    changed: bool,
    /// Heartbeats with events that were refused, since the last that arrived.
    refused: u32,
    /// What was told last, and when.
    told: Vec<(String, Duration)>,
    /// When the hardware was last sent.
    hardware_at: Option<Duration>,
}

impl HeartbeatOutbox {
    /// With what an earlier process could not tell.
    pub(in crate::agent) fn new(unheard: UndeliveredEvents) -> Self {
        let mut reporter = Self { waiting: unheard, ..Self::default() };
        reporter.drop_excess_events();
        reporter
    }

    /// Something was told.
    pub(in crate::agent) fn add(&mut self, notice: &Notice) {
        let mut notice = notice.clone();
        if notice.message.len() > MAX_EVENT_BYTES {
            let mut end = MAX_EVENT_BYTES - '…'.len_utf8();
            while !notice.message.is_char_boundary(end) {
                end -= 1;
            }
            notice.message.truncate(end);
            notice.message.push('…');
        }
        let is_same = |it: &&mut Notice| it.reason == notice.reason && it.message == notice.message;
        match self.waiting.events.iter_mut().find(is_same) {
            Some(same) => same.times = same.times.saturating_add(1),
            None => self.waiting.events.push_back(notice),
        }
        self.changed = true;
        self.drop_excess_events();
    }

    fn drop_excess_events(&mut self) {
        while self.waiting.events.len() > MAX_EVENTS {
            let oldest = self.waiting.events.pop_front();
            self.waiting.dropped += oldest.map_or(0, |event| event.times.into());
            self.changed = true;
        }
    }

    /// What may be told now: what was told a short while ago is counted until it is worth another event.
    fn select_events_to_send(&mut self, now: Duration) {
        self.told.retain(|(_, at)| now < at.saturating_add(REPEATED_EVENT_INTERVAL));
        let is_new = |event: &Notice| self.told.iter().all(|(told, _)| *told != event.message);
        let waiting = std::mem::take(&mut self.waiting);
        let (chosen, kept): (VecDeque<_>, VecDeque<_>) = waiting.events.into_iter().partition(is_new);
        self.waiting.events = kept;
        self.sent = UndeliveredEvents { events: chosen, dropped: waiting.dropped };
    }

    /// Hands over what waits, for a heartbeat: it must be told how that ends, before it is asked again.
    pub(in crate::agent) fn take_for_heartbeat(
        &mut self,
        wanted: HardwareScope,
        now: Duration,
    ) -> (Vec<Notice>, HardwareScope) {
        let hardware = match (wanted, self.hardware_at) {
            (HardwareScope::Omit, _) => HardwareScope::Omit,
            (_, None) => HardwareScope::Full,
            (scope, Some(at)) if now >= at.saturating_add(HARDWARE_REPORT_PERIOD) => scope,
            _ => HardwareScope::Omit,
        };
        self.sent_hardware = hardware;
        self.select_events_to_send(now);
        let mut events = Vec::with_capacity(self.sent.events.len() + 1);
        if self.sent.dropped > 0 {
            let message = format!("{} older events were dropped unheard", self.sent.dropped);
            events.push(Notice::warning(Reason::EventsDropped, message));
        }
        // the server takes only so many: what a person must know first
        let is_warning = |event: &&Notice| event.severity == Severity::Warning;
        events.extend(self.sent.events.iter().filter(is_warning).cloned());
        events.extend(self.sent.events.iter().filter(|event| !is_warning(event)).cloned());
        (events, hardware)
    }

    /// The heartbeat has arrived.
    pub(in crate::agent) fn on_heartbeat_delivered(&mut self, now: Duration) {
        let sent = std::mem::take(&mut self.sent);
        self.changed |= !sent.is_empty();
        self.told.extend(sent.events.into_iter().map(|event| (event.message, now)));
        self.told.drain(..self.told.len().saturating_sub(MAX_EVENTS));
        self.refused = 0;
        if self.sent_hardware != HardwareScope::Omit {
            self.hardware_at = Some(now);
        }
    }

    /// The heartbeat has not arrived, as far as is known: what was in it goes with the next. Unless that is in vain:
    /// this says so once, for people; the server is told the number.
    pub(in crate::agent) fn on_heartbeat_lost(&mut self, failure: &CallFailure) -> Option<Notice> {
        let mut sent = std::mem::take(&mut self.sent);
        let mut notice = None;
        let is_refused = matches!(failure, CallFailure::Refused { status: 400 | 413 | 422, .. });
        if is_refused && !sent.events.is_empty() {
            self.refused += 1;
            if self.refused == MAX_REFUSALS {
                let count = sent.events.len();
                let message = format!("{count} events are dropped: the server refuses heartbeats with them");
                notice = Some(Notice::warning(Reason::EventsDropped, message));
            }
            if self.refused >= MAX_REFUSALS {
                sent.dropped += sent.events.drain(..).map(|event| u64::from(event.times)).sum::<u64>();
                self.changed = true;
            }
        }
        self.waiting.dropped += sent.dropped;
        sent.events.append(&mut self.waiting.events);
        self.waiting.events = sent.events;
        self.drop_excess_events();
        notice
    }

    /// All that the server has not heard, if that has changed since this was last asked.
    pub(in crate::agent) fn take_changed_undelivered(&mut self) -> Option<UndeliveredEvents> {
        std::mem::take(&mut self.changed).then(|| UndeliveredEvents {
            events: self.sent.events.iter().chain(&self.waiting.events).cloned().collect(),
            dropped: self.sent.dropped + self.waiting.dropped,
        })
    }

    /// All of the hardware is due with the next heartbeat.
    pub(in crate::agent) fn resend_hardware(&mut self) {
        self.hardware_at = None;
    }
}
