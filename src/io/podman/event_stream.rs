//! podman's stream of events, for an agent that can't see podman's processes: it lives in another PID
//! namespace, or the kernel is older than 5.3. Only then, because the stream keeps podman's service awake.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{Sender, after};
use serde_json::json;

use super::api::{Error, PodmanClient};
use crate::{
    agent::{
        Event,
        model::{
            notice::{Notice, Reason},
            workload::Engine,
        },
    },
    io::{exits::ExitWatcher, spawn},
    wire::{ownership::OWNER_LABEL, podman::answers::ContainerEvent, strict},
};

/// Between two tries to get the stream.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Listens once it is asked to, for the rest of the process's life.
pub(super) struct EventStream {
    listening: AtomicBool,
    listener: Arc<EventListener>,
}

/// What listens.
pub(super) struct EventListener {
    pub(super) engine: Engine,
    pub(super) client: Arc<PodmanClient>,
    pub(super) owner: String,
    pub(super) exits: ExitWatcher,
    pub(super) events: Sender<Event>,
}

impl EventStream {
    pub(super) fn new(listener: EventListener) -> Self {
        Self { listening: AtomicBool::new(false), listener: Arc::new(listener) }
    }

    /// Tells [`ExitWatcher`] of every container that died since, in RFC 3339.
    pub(super) fn listen(&self, since: &str) {
        if self.listening.swap(true, Ordering::Relaxed) {
            return;
        }
        let (listener, since) = (Arc::clone(&self.listener), since.to_owned());
        if let Err(error) = spawn("podman-events", move || listener.listen(since)) {
            log::warn!("failed to start a thread for podman's events: {error}");
            self.listening.store(false, Ordering::Relaxed);
        }
    }
}

impl EventListener {
    fn listen(&self, mut since: String) {
        let engine = self.engine;
        let notice =
            format!("the processes of {engine} can't be seen from here: listening to its events instead");
        let _ = self.events.send(Event::Notice(Notice::warning(Reason::Unsupported, notice)));
        let label = format!("{OWNER_LABEL}={}", self.owner);
        let filters = json!({ "type": ["container"], "event": ["died"], "label": [label] }).to_string();
        loop {
            let query = [("stream", "true"), ("filters", filters.as_str()), ("since", &since.clone())];
            let end = self.client.stream_lines("events", &query, |line| {
                let Ok(event) = strict::from_json::<ContainerEvent>(line) else { return };
                // in seconds: what happened in this one already is told again, and passed over
                since = (event.time_nano / 1_000_000_000).to_string();
                self.exits.report_death(&event.id);
            });
            match end {
                Ok(()) => {}
                Err(Error::Refused(error) | Error::Broken(error) | Error::Late(error)) => {
                    log::debug!("failed to listen to the events of {engine}: {error}");
                }
            }
            let _ = after(RETRY_DELAY).recv();
        }
    }
}
