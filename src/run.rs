//! The loop: the only place that reads clocks and owns channels.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::File,
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Local};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{debug, error, info, warn};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
    time::{ClockId, clock_gettime},
};

use crate::{
    agent::{
        Action, Agent, Event, Finished, Setup,
        notice::{Notice, Severity},
        order::{Failure, Order, Outcome},
        schedule::Cron,
        time::{Now, Wake},
        workload::Engine,
    },
    io::{
        manifests::Manifests,
        metrics,
        notify::Notify,
        podman::{self, Podman},
        signals,
        state::Store,
    },
    settings::Settings,
};

/// Events that wait for the loop; who sends one more waits too.
const EVENTS: usize = 256;
/// Between two full looks at an engine.
const INTERVAL: Duration = Duration::from_secs(60);
/// The loop looks at the clock at least this often: suspended time moves deadlines unseen.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The name of what [`Action::Remember`] stores.
const FINISHED: &str = "finished";
/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A signal asked for it.
    Terminated,
    /// The settings shall be read again.
    Reload,
}

/// Runs the agent until a signal ends it. Workloads stay as they are. `reload` tells whether the settings can be
/// read again.
///
/// # Errors
/// A directory can't be made or is another agent's, or a thread can't be started.
pub fn run(settings: &Settings, reload: &dyn Fn() -> Result<(), String>) -> Result<End, String> {
    info!("device-worker-ng {} on device '{}'", env!("CARGO_PKG_VERSION"), settings.device_id);
    let _lock = lock(&settings.state_dir)?;
    let (events, inbox) = bounded(EVENTS);
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("failed to start {what}: {error}");
    signals::start(events.clone()).map_err(|error| failed("signal handling", &error))?;
    let state = Store::new(&settings.state_dir);
    let finished = remembered(&state);
    let memory = keep(state.clone()).map_err(|error| failed("the state writer", &error))?;
    let mut engines = Engines::new(settings, events.clone());
    let mut agent = Agent::new(Setup {
        engines: engines.present(),
        interval: INTERVAL,
        metrics_ttl: settings.metrics_ttl,
        finished,
        manifests: settings.manifests.is_some(),
        server: None,
        next_slot,
        seed: seed(&settings.device_id),
    });
    let endpoint = metrics::Config {
        listen: settings.metrics_listen.clone(),
        directory: settings.runtime_dir.clone(),
        ttl: settings.metrics_ttl,
    };
    let known =
        metrics::start(endpoint, events.clone()).map_err(|error| failed("the metrics endpoint", &error))?;
    agent.restore(&known);
    if let Some(directory) = &settings.manifests {
        Manifests::start(directory.clone(), state, settings.device_id.clone(), events)
            .map_err(|error| failed("the manifest watcher", &error))?;
    }
    let end = events_to_actions(&mut agent, &inbox, &mut engines, &memory, reload);
    Ok(end)
}

/// The engines, each started when it is first needed.
struct Engines {
    configs: BTreeMap<Engine, podman::Config>,
    started: BTreeMap<Engine, Podman>,
    events: Sender<Event>,
}

impl Engines {
    fn new(settings: &Settings, events: Sender<Event>) -> Self {
        let sockets = [(false, &settings.podman_socket), (true, &settings.rootless_podman_socket)];
        let config = |(rootless, socket): (bool, &PathBuf)| {
            let engine = Engine::Podman { rootless };
            let config = podman::Config {
                engine,
                socket: socket.clone(),
                owner: crate::wire::pod::owner(&settings.device_id, &settings.state_dir),
                device_id: settings.device_id.clone(),
            };
            (engine, config)
        };
        Self { configs: sockets.map(config).into(), started: BTreeMap::new(), events }
    }

    /// Those that this device has now: there may be orphans on them. The others are looked for when a workload
    /// wants them.
    fn present(&self) -> Vec<Engine> {
        self.configs.iter().filter(|(_, config)| config.socket.exists()).map(|(engine, _)| *engine).collect()
    }

    /// Hands the order on without blocking. An outcome that comes from here comes from nowhere else.
    fn submit(&mut self, order: Order) -> Option<Outcome> {
        let Order { engine, ticket, .. } = order;
        let failed = |cause: String| Some(Outcome { engine, ticket, result: Err(Failure::Engine(cause)) });
        if !self.started.contains_key(&engine) {
            let Some(config) = self.configs.get(&engine) else { return failed("there is none".into()) };
            match Podman::start(config.clone(), self.events.clone()) {
                Ok(podman) => drop(self.started.insert(engine, podman)),
                Err(error) => return failed(format!("failed to start its executor: {error}")),
            }
        }
        self.started.get(&engine).and_then(|podman| podman.submit(order))
    }
}

fn events_to_actions(
    agent: &mut Agent,
    inbox: &Receiver<Event>,
    engines: &mut Engines,
    memory: &Sender<Finished>,
    reload: &dyn Fn() -> Result<(), String>,
) -> End {
    let mut notify = Notify::ready();
    let mut waiting = VecDeque::from([Event::Tick]);
    loop {
        let event = waiting.pop_front().unwrap_or(Event::Tick);
        let (actions, wake) = agent.decide(event, now());
        for action in actions {
            match action {
                Action::Order(order) => waiting.extend(engines.submit(order).map(Event::Done)),
                Action::Call(_) | Action::StoreConfiguration(_) | Action::Disconnect => {}
                Action::Tell(notice) => tell(&notice),
                Action::Remember(finished) => {
                    if memory.send(finished).is_err() {
                        error!("the state writer has ended");
                    }
                }
            }
        }
        notify.alive(agent);
        if !waiting.is_empty() {
            continue;
        }
        let mut sleep = notify.longest_sleep().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        if let Wake::At(at) = wake {
            sleep = sleep.min(at.saturating_sub(now().up));
        }
        waiting.push_back(match inbox.recv_timeout(sleep) {
            Ok(Event::Terminate) => return End::Terminated,
            Ok(Event::Reload) => match reload() {
                Ok(()) => return End::Reload,
                Err(error) => {
                    error!("failed to read the settings again: {error}");
                    Event::Tick
                }
            },
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Event::Tick,
        });
    }
}

/// The present. Nobody else asks.
#[allow(clippy::disallowed_methods)]
fn now() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let up = Duration::new(boot.tv_sec.try_into().unwrap_or(0), boot.tv_nsec.try_into().unwrap_or(0));
    Now { up, utc: SystemTime::now() }
}

/// The device's local time is what `TZ` or `/etc/localtime` says.
fn next_slot(cron: &Cron, after: SystemTime) -> Option<SystemTime> {
    cron.next(&DateTime::<Local>::from(after)).map(SystemTime::from)
}

fn tell(notice: &Notice) {
    match notice.severity {
        Severity::Info => info!("{}", notice.message),
        Severity::Warning => warn!("{}", notice.message),
    }
    debug!("event {:?}", notice.reason);
}

/// Different devices retry at different times; it need not be hard to guess.
fn seed(device_id: &str) -> u64 {
    let start = now().utc.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    device_id
        .bytes()
        .fold(start.as_nanos() as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}

/// Two agents with one state directory would take each other's pods for their own. A directory that can't be
/// written is no reason not to run workloads.
///
/// # Errors
/// Another agent holds the lock.
fn lock(state_dir: &Path) -> Result<Option<File>, String> {
    let path = state_dir.join("lock");
    let open = || {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(io::Error::from(error)),
        }
    };
    match open() {
        Ok(Some(file)) => Ok(Some(file)),
        Ok(None) => {
            Err(format!("another device-worker-ng uses the state directory '{}'", state_dir.display()))
        }
        Err(error) => {
            warn!("failed to lock '{}': {error}; nothing will be kept over a restart", path.display());
            Ok(None)
        }
    }
}

fn remembered(state: &Store) -> Finished {
    let Some(bytes) = state.load(FINISHED) else { return Finished::new() };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!("failed to read the list of finished workloads: {error}");
        Finished::new()
    })
}

/// Writes on a thread of its own: a slow disk must not hold up the loop. Only the newest counts.
fn keep(state: Store) -> io::Result<Sender<Finished>> {
    let (sender, inbox) = bounded::<Finished>(EVENTS);
    crate::io::spawn("state", move || {
        while let Ok(finished) = inbox.recv() {
            let finished = inbox.try_iter().last().unwrap_or(finished);
            let saved = serde_json::to_vec(&finished).map_err(|error| error.to_string());
            if let Err(error) =
                saved.and_then(|bytes| state.save(FINISHED, &bytes).map_err(|error| error.to_string()))
            {
                error!("failed to store the list of finished workloads: {error}");
            }
        }
    })?;
    Ok(sender)
}
