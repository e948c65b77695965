//! Supervises the receiver process: binds the addresses, starts a receiver, replaces it when it dies, and stores what it
//! was sent.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, poll};

use super::handover::Handover;
use super::listen_sockets::{BindChange, ListenSocket};
use super::receiver_process::{self, ReceiverProcess};
use super::report_server::ReportServer;
use super::store::MetricsStore;
use crate::agent::{
    Event, Sample,
    model::{subsystem::Subsystem, vec_map::VecMap},
};
use crate::io::{clock::poll_timeout, query::Queries, since_boot, spawn_with_stack};
use crate::settings::ListenAddress;
use crate::wire::own::frames::{Ack, Post, write_ack};

/// The wait before a receiver that died soon after its start is replaced, and the longest.
const RESPAWN_DELAY_RANGE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// The same after so many in a row that served no post: they won't get better soon.
const REPEATED_FAILURE_BACKOFF: (u32, Duration) = (8, Duration::from_secs(10));
/// After so many in a row that is said.
const TOLD_AFTER_FAILURES: u32 = 3;
/// From one look at the stored values to the next: what could tell that they are gone can be used up.
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// A receiver that lived this long is replaced at once.
const RECEIVER_STABLE_AFTER: Duration = Duration::from_secs(5);

const STACK: usize = 64 * 1024;

/// What the endpoint needs to know.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Where to listen.
    pub listen: Vec<ListenAddress>,
    /// Where the values are kept; made with mode 0700 if missing.
    pub directory: PathBuf,
    /// When a value expires after its post; `None`: never.
    pub ttl: Option<Duration>,
    /// Whether there is a status page.
    pub has_page: bool,
    /// What outlives the process.
    pub handover: Arc<Handover>,
}

/// Starts the endpoint, which lives as long as the process or the receiving end of `events`.
///
/// Returns what was posted to an earlier process since the boot, each with its time since boot. Addresses in
/// use and receivers that die are retried for ever.
///
/// # Errors
/// No thread could be started.
pub fn start(
    config: EndpointConfig,
    queries: Queries,
    events: Sender<Event>,
) -> io::Result<Vec<(Sample, Duration)>> {
    receiver_process::reap_inherited()?;
    let store = MetricsStore::open(&config.directory, config.ttl, since_boot());
    let posted = store.posted_samples();
    let endpoint = Endpoint {
        store,
        look: Duration::ZERO,
        sockets: config.listen.into_iter().map(ListenSocket::new).collect(),
        handover: config.handover,
        directory: config.directory,
        reports: ReportServer { queries, has_page: config.has_page },
        receiver: None,
        started: Duration::ZERO,
        wait: Duration::ZERO,
        failures: 0,
        told: VecMap::default(),
        events,
    };
    spawn_with_stack("metrics", STACK, move || endpoint.run())?;
    Ok(posted)
}

struct Endpoint {
    store: MetricsStore,
    /// When to see whether it is there still.
    look: Duration,
    sockets: Vec<ListenSocket>,
    handover: Arc<Handover>,
    directory: PathBuf,
    reports: ReportServer,
    receiver: Option<ReceiverProcess>,
    /// When the last receiver was started, and how long after that its successor may be.
    started: Duration,
    wait: Duration,
    /// How many receivers in a row served no post and died soon, or didn't start.
    failures: u32,
    /// What the loop was told of parts that don't work.
    told: VecMap<Subsystem, String>,
    events: Sender<Event>,
}

impl Endpoint {
    fn run(mut self) {
        loop {
            let now = since_boot();
            self.bind(now);
            if self.receiver.is_none() && now >= self.started + self.wait {
                self.start_receiver(now);
            }
            if now >= self.look {
                self.look = now + STORE_CHECK_INTERVAL;
                let kept = self.store.ensure_log().map_err(|error| error.to_string());
                self.report_part(Subsystem::Metrics, kept);
            }
            if self.receiver.is_some() && self.failures > 0 && now >= self.started + RECEIVER_STABLE_AFTER {
                self.mark_receiver_working();
            }
            let next = match (&self.receiver, self.failures) {
                (None, _) => Some(self.started + self.wait),
                (Some(_), 0) => None,
                (Some(_), _) => Some(self.started + RECEIVER_STABLE_AFTER),
            };
            let deadline =
                self.sockets.iter().filter_map(ListenSocket::deadline).chain(next).chain([self.look]).min();
            let mut fds: Vec<_> = self
                .receiver
                .iter()
                .map(|receiver| PollFd::new(receiver.posts_socket(), PollFlags::IN))
                .collect();
            if !matches!(poll(&mut fds, poll_timeout(deadline, now).as_ref()), Ok(ready) if ready > 0) {
                continue;
            }
            match self.serve() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.replace_receiver(&error),
            }
        }
    }

    fn bind(&mut self, now: Duration) {
        let mut has_new = false;
        for at in 0..self.sockets.len() {
            let Some(change) = self.sockets[at].bind(now, &self.handover) else { continue };
            let part = Subsystem::Listener(self.sockets[at].address());
            has_new |= !matches!(change, BindChange::Failed(_));
            match (change, &self.receiver) {
                (BindChange::Failed(error), _) => {
                    self.report_part(part, Err(error.to_string()));
                    continue;
                }
                // the next receiver gets all the listeners that count
                (BindChange::Replaced, _) => (self.receiver, self.wait) = (None, Duration::ZERO),
                (BindChange::New, Some(receiver)) => {
                    if let Err(error) =
                        self.sockets[at].listener().map_or(Ok(()), |new| receiver.pass_listener(new))
                    {
                        self.replace_receiver(&error);
                    }
                }
                (BindChange::New, None) => {}
            }
            self.report_part(part, Ok(()));
        }
        if has_new {
            self.handover.store_listeners(self.sockets.iter().filter_map(ListenSocket::unix_listener));
        }
    }

    /// Tells the loop whether a part works, when that is news.
    fn report_part(&mut self, part: Subsystem, result: Result<(), String>) {
        let is_news = match &result {
            Ok(()) => self.told.remove(&part).is_some(),
            Err(cause) => self.told.insert(part.clone(), cause.clone()).as_ref() != Some(cause),
        };
        if is_news {
            let _ = self.events.send(Event::Works(part, result)); // an error: the agent ends
        }
    }

    /// The present receiver does.
    fn mark_receiver_working(&mut self) {
        self.failures = 0;
        self.report_part(Subsystem::Receiver, Ok(()));
    }

    fn count_failure(&mut self, error: &io::Error) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= TOLD_AFTER_FAILURES {
            self.report_part(Subsystem::Receiver, Err(error.to_string()));
        }
    }

    fn start_receiver(&mut self, now: Duration) {
        let (first, most) = RESPAWN_DELAY_RANGE;
        let longest =
            if self.failures < REPEATED_FAILURE_BACKOFF.0 { most } else { REPEATED_FAILURE_BACKOFF.1 };
        self.wait = if now >= self.started + RECEIVER_STABLE_AFTER {
            first
        } else {
            (self.wait * 2).clamp(first, longest)
        };
        self.started = now;
        let started = ReceiverProcess::start(&self.directory, &self.reports).and_then(|receiver| {
            self.sockets
                .iter()
                .filter_map(ListenSocket::listener)
                .try_for_each(|listener| receiver.pass_listener(listener))?;
            Ok(receiver)
        });
        match started {
            Ok(receiver) => self.receiver = Some(receiver),
            Err(error) => self.count_failure(&error),
        }
    }

    /// Ends this receiver; the next turn starts another, at once if this one had settled.
    fn replace_receiver(&mut self, error: &io::Error) {
        self.receiver = None;
        if since_boot() >= self.started + RECEIVER_STABLE_AFTER {
            (self.wait, self.failures) = (Duration::ZERO, 0);
        }
        if self.failures < TOLD_AFTER_FAILURES {
            log::warn!("the metrics receiver is replaced: {error}");
        }
        self.count_failure(error);
    }

    /// Takes all the posts that are there: one write to the store, one event, one write of acknowledgements.
    /// `false`: the loop is gone.
    fn serve(&mut self) -> io::Result<bool> {
        let Some(receiver) = &mut self.receiver else { return Ok(true) };
        let posts = receiver.receive()?;
        if self.failures > 0 && !posts.is_empty() {
            self.mark_receiver_working();
        }
        let now = since_boot();
        let mut answers = Vec::with_capacity(posts.len());
        for Post { id, samples } in posts {
            let fits = self.store.stage(samples, now);
            answers.push((id, if fits { Ack::Stored } else { Ack::TooManyNames }));
        }
        let stored = self.store.commit(now);
        let lost = stored.is_err();
        match stored {
            Err(error) => self.report_part(Subsystem::Metrics, Err(error.to_string())),
            Ok(samples) if samples.is_empty() => {}
            Ok(samples) => {
                self.report_part(Subsystem::Metrics, Ok(()));
                // Before the acknowledgement, so that a client that has it can rely on the effect to come.
                if self.events.send(Event::Metrics(samples)).is_err() {
                    return Ok(false);
                }
            }
        }
        let mut acks = Vec::new();
        for (id, ack) in answers {
            let ack = if lost && ack == Ack::Stored { Ack::NotStored } else { ack };
            write_ack(id, ack, &mut acks);
        }
        if let Some(receiver) = &mut self.receiver {
            receiver.send_acks(&acks)?;
        }
        Ok(true)
    }
}
