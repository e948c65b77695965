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
//!  browser ──► gate ── question ──► teller ──► desk ──► the loop
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

use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::agent::{Event, Sample};
use crate::io::{desk::Desk, since_boot};
use crate::settings::ListenAddress;
use crate::wire::frames::{Post, Verdict, write_ack};
use child::Child;
pub use child::{SUBCOMMAND, left_receivers};
use ports::Port;
use store::Store;
use teller::Teller;

/// The wait before a receiver that died soon after its start is replaced, and the longest.
const RESPAWN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(800));
/// A receiver that lived this long is replaced at once.
const SETTLED: Duration = Duration::from_secs(5);

/// What the endpoint needs to know.
#[derive(Debug, Clone)]
pub struct Config {
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
pub fn start(config: Config, desk: Desk, events: Sender<Event>) -> io::Result<Vec<(Sample, Duration)>> {
    child::reap_left()?;
    let store = Store::open(&config.directory, config.ttl, since_boot());
    let posted = store.posted();
    let endpoint = Endpoint {
        store,
        storing: true,
        ports: config.listen.into_iter().map(Port::new).collect(),
        directory: config.directory,
        teller: Teller { desk, has_page: config.has_page },
        child: None,
        started: Duration::ZERO,
        wait: Duration::ZERO,
        spoken: false,
        events,
    };
    thread::Builder::new().name("metrics".into()).stack_size(64 * 1024).spawn(move || endpoint.run())?;
    Ok(posted)
}

/// How long to wait in `poll`; `None`: for ever.
fn until(deadline: Option<Duration>, now: Duration) -> Option<Timespec> {
    deadline.and_then(|deadline| deadline.saturating_sub(now).try_into().ok())
}

struct Endpoint {
    store: Store,
    /// Whether the last batch could be stored.
    storing: bool,
    ports: Vec<Port>,
    directory: PathBuf,
    teller: Teller,
    child: Option<Child>,
    /// When the last receiver was started, and how long after that its successor may be.
    started: Duration,
    wait: Duration,
    /// Whether it was said that receivers don't start.
    spoken: bool,
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
            let respawn = self.child.is_none().then_some(self.started + self.wait);
            let deadline = self.ports.iter().filter_map(Port::deadline).chain(respawn).min();
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
        for port in &mut self.ports {
            let new = port.bind(now);
            if let (true, Some(child), Some(listener)) = (new, &self.child, port.listener())
                && let Err(error) = child.listen(listener)
            {
                self.bury(&error);
                return;
            }
        }
    }

    fn spawn(&mut self, now: Duration) {
        let (first, longest) = RESPAWN;
        self.wait = if now >= self.started + SETTLED { first } else { (self.wait * 2).clamp(first, longest) };
        self.started = now;
        let started = Child::start(&self.directory, &self.teller).and_then(|child| {
            self.ports.iter().filter_map(Port::listener).try_for_each(|listener| child.listen(listener))?;
            Ok(child)
        });
        match started {
            Ok(child) => {
                self.child = Some(child);
                self.spoken = false;
            }
            Err(error) if !self.spoken => {
                log::error!("failed to start the metrics receiver: {error}; trying on");
                self.spoken = true;
            }
            Err(_) => {}
        }
    }

    /// Ends this receiver; the next turn starts another, at once if this one had settled.
    fn bury(&mut self, error: &io::Error) {
        log::warn!("the metrics receiver is replaced: {error}");
        self.child = None;
        if since_boot() >= self.started + SETTLED {
            self.wait = Duration::ZERO;
        }
    }

    /// Takes all the posts that are there: one write to the store, one event, one write of acknowledgements.
    /// `false`: the loop is gone.
    fn serve(&mut self) -> io::Result<bool> {
        let Some(child) = &mut self.child else { return Ok(true) };
        let posts = child.receive()?;
        let now = since_boot();
        let mut verdicts = Vec::with_capacity(posts.len());
        for Post { id, samples } in posts {
            let fits = self.store.stage(samples, now);
            verdicts.push((id, if fits { Verdict::Stored } else { Verdict::TooManyNames }));
        }
        let stored = self.store.commit(now);
        let lost = stored.is_err();
        match stored {
            Err(error) => {
                if std::mem::replace(&mut self.storing, false) {
                    log::error!("failed to store metrics: {error}; posts are refused");
                }
            }
            Ok(samples) if samples.is_empty() => {}
            Ok(samples) => {
                if !std::mem::replace(&mut self.storing, true) {
                    log::info!("metrics are stored again");
                }
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
        child.answer(&acks)?;
        Ok(true)
    }
}
