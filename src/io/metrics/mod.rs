//! The metrics endpoint. Foreign bytes are parsed by an unprivileged [`receiver`] process, and the agent, which
//! may be root with podman's socket in hand, sees only short frames that it checks again.
//!
//! ```text
//!  curl ──► listener ──► gate ──► tiny_http ──► post ──┐ frames  ┌──► store ──► Event::Metrics ──► the loop
//!           (bound by    (bounds every byte            ├────────►│
//!  curl ◄── the agent) ◄─ and every wait)   ◄── ack ◄──┘  acks   └◄── in RUNTIME_DIR, one write a batch
//!           └───────────────── the receiver ─────────────────┘       └────────── the agent ──────────┘
//! ```
//!
//! tiny_http 0.12 allocates what a `Content-Length` says, aborts when a client resets early, never times out
//! and ends with the first failed accept. So it never meets a client: the gate reads a request whole, within
//! limits, and hands it on over one of a few private connections. Should it die nevertheless, the agent starts
//! another receiver while new connections wait in the listeners' backlogs.
//!
//! A post is answered with 200 only after the agent has stored it and has handed it to the loop.
//!
//! Who reads (`GET /metrics`, and the status page where the settings turn it on) is answered at the gate, with what
//! a thread of the agent's tells over a socket pair of its own:
//!
//! ```text
//!  browser ──► gate ── question ──► teller ──► queries ──► the loop
//!  browser ◄── gate ◄── report ─────┘  (may read, and nothing else)
//! ```

mod child;
mod client;
mod descriptors;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod http;
mod inquiry;
mod ports;
mod post;
mod reader;
pub mod receiver;
mod store;
mod teller;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, poll};

use crate::agent::{Event, Sample, part::Part};
use crate::io::{clock::until, query::Queries, since_boot};
use crate::settings::ListenAddress;
use crate::wire::own::frames::{Post, Verdict, write_ack};
use child::Child;
pub use child::{SUBCOMMAND, left_receivers};
use ports::{Change, Port};
use store::Store;
use teller::Teller;

/// The wait before a receiver that died soon after its start is replaced, and the longest.
const RESPAWN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// The same after so many in a row that served nobody: they won't get better soon.
const HOPELESS: (u32, Duration) = (8, Duration::from_secs(10));
/// After so many in a row that is said.
const UNSAID: u32 = 3;
/// From one look at the stored values to the next: what could tell that they are gone can be used up.
const LOOK: Duration = Duration::from_secs(10);
/// A receiver that lived this long is replaced at once.
const SETTLED: Duration = Duration::from_secs(5);

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
    child::reap_left()?;
    let store = Store::open(&config.directory, config.ttl, since_boot());
    let posted = store.posted();
    let endpoint = Endpoint {
        store,
        look: Duration::ZERO,
        ports: config.listen.into_iter().map(Port::new).collect(),
        directory: config.directory,
        teller: Teller { queries, has_page: config.has_page },
        child: None,
        started: Duration::ZERO,
        wait: Duration::ZERO,
        failures: 0,
        told: BTreeMap::new(),
        events,
    };
    thread::Builder::new().name("metrics".into()).stack_size(64 * 1024).spawn(move || endpoint.run())?;
    Ok(posted)
}

struct Endpoint {
    store: Store,
    /// When to see whether it is there still.
    look: Duration,
    ports: Vec<Port>,
    directory: PathBuf,
    teller: Teller,
    child: Option<Child>,
    /// When the last receiver was started, and how long after that its successor may be.
    started: Duration,
    wait: Duration,
    /// How many receivers in a row served nobody and died soon, or didn't start.
    failures: u32,
    /// What the loop was told of parts that don't work.
    told: BTreeMap<Part, String>,
    events: Sender<Event>,
}

impl Endpoint {
    fn run(mut self) {
        loop {
            let now = since_boot();
            self.bind(now);
            if self.child.is_none() && now >= self.started + self.wait {
                self.spawn(now);
            }
            if now >= self.look {
                self.look = now + LOOK;
                let kept = self.store.keep().map_err(|error| error.to_string());
                self.tell(Part::Metrics, kept);
            }
            if self.child.is_some() && self.failures > 0 && now >= self.started + SETTLED {
                self.works();
            }
            let next = match (&self.child, self.failures) {
                (None, _) => Some(self.started + self.wait),
                (Some(_), 0) => None,
                (Some(_), _) => Some(self.started + SETTLED),
            };
            let deadline = self.ports.iter().filter_map(Port::deadline).chain(next).chain([self.look]).min();
            let mut fds: Vec<_> =
                self.child.iter().map(|child| PollFd::new(child.posts(), PollFlags::IN)).collect();
            if !matches!(poll(&mut fds, until(deadline, now).as_ref()), Ok(ready) if ready > 0) {
                continue;
            }
            match self.serve() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.bury(&error),
            }
        }
    }

    fn bind(&mut self, now: Duration) {
        for at in 0..self.ports.len() {
            let Some(change) = self.ports[at].bind(now) else { continue };
            let part = Part::Listener(self.ports[at].address());
            match (change, &self.child) {
                (Change::Failed(error), _) => {
                    self.tell(part, Err(error.to_string()));
                    continue;
                }
                // the next receiver gets all the listeners that count
                (Change::Replaced, _) => (self.child, self.wait) = (None, Duration::ZERO),
                (Change::New, Some(child)) => {
                    if let Err(error) = self.ports[at].listener().map_or(Ok(()), |new| child.listen(new)) {
                        self.bury(&error);
                    }
                }
                (Change::New, None) => {}
            }
            self.tell(part, Ok(()));
        }
    }

    /// Tells the loop whether a part works, when that is news.
    fn tell(&mut self, part: Part, result: Result<(), String>) {
        let is_news = match &result {
            Ok(()) => self.told.remove(&part).is_some(),
            Err(cause) => self.told.insert(part.clone(), cause.clone()).as_ref() != Some(cause),
        };
        if is_news {
            let _ = self.events.send(Event::Works(part, result)); // nobody listens: the agent ends
        }
    }

    /// The present receiver does.
    fn works(&mut self) {
        self.failures = 0;
        self.tell(Part::Receiver, Ok(()));
    }

    fn failed(&mut self, error: &io::Error) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= UNSAID {
            self.tell(Part::Receiver, Err(error.to_string()));
        }
    }

    fn spawn(&mut self, now: Duration) {
        let (first, most) = RESPAWN;
        let longest = if self.failures < HOPELESS.0 { most } else { HOPELESS.1 };
        self.wait = if now >= self.started + SETTLED { first } else { (self.wait * 2).clamp(first, longest) };
        self.started = now;
        let started = Child::start(&self.directory, &self.teller).and_then(|child| {
            self.ports.iter().filter_map(Port::listener).try_for_each(|listener| child.listen(listener))?;
            Ok(child)
        });
        match started {
            Ok(child) => self.child = Some(child),
            Err(error) => self.failed(&error),
        }
    }

    /// Ends this receiver; the next turn starts another, at once if this one had settled.
    fn bury(&mut self, error: &io::Error) {
        self.child = None;
        if since_boot() >= self.started + SETTLED {
            (self.wait, self.failures) = (Duration::ZERO, 0);
        }
        if self.failures < UNSAID {
            log::warn!("the metrics receiver is replaced: {error}");
        }
        self.failed(error);
    }

    /// Takes all the posts that are there: one write to the store, one event, one write of acknowledgements.
    /// `false`: the loop is gone.
    fn serve(&mut self) -> io::Result<bool> {
        let Some(child) = &mut self.child else { return Ok(true) };
        let posts = child.receive()?;
        if self.failures > 0 && !posts.is_empty() {
            self.works();
        }
        let now = since_boot();
        let mut verdicts = Vec::with_capacity(posts.len());
        for Post { id, samples } in posts {
            let fits = self.store.stage(samples, now);
            verdicts.push((id, if fits { Verdict::Stored } else { Verdict::TooManyNames }));
        }
        let stored = self.store.commit(now);
        let lost = stored.is_err();
        match stored {
            Err(error) => self.tell(Part::Metrics, Err(error.to_string())),
            Ok(samples) if samples.is_empty() => {}
            Ok(samples) => {
                self.tell(Part::Metrics, Ok(()));
                // Before the acknowledgement, so that whoever got it can rely on the effect to come.
                if self.events.send(Event::Metrics(samples)).is_err() {
                    return Ok(false);
                }
            }
        }
        let mut acks = Vec::new();
        for (id, verdict) in verdicts {
            let verdict = if lost && verdict == Verdict::Stored { Verdict::NotStored } else { verdict };
            write_ack(id, verdict, &mut acks);
        }
        if let Some(child) = &mut self.child {
            child.answer(&acks)?;
        }
        Ok(true)
    }
}
