//! The loop: the only place that owns channels and starts the long-lived threads.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::Local;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{debug, error, info, warn};

use crate::{
    agent::{
        Action, Agent, Event, Setup,
        model::{
            deployment::{DeploymentOrder, DeploymentOutcome},
            gather::gather,
            notice::{Notice, Severity},
            order::{Failure, Order, Outcome},
            record::Record,
            schedule::Cron,
            time::{Wake, date},
            workload::Engine,
        },
    },
    io::{
        clock, clock_changes, command_socket,
        kubernetes::{self, ClusterConfig, Kubernetes},
        lock_file, logger,
        manifests::Manifests,
        metrics::{self, EndpointConfig, Handover},
        notify::Notify,
        persistence::{self, Recorder, Stores},
        podman::{self, Podman},
        pressure::{self, Disks, Reserves},
        query::Queries,
        server::{EdgeApiConfig, Server},
        signals,
        state::Store,
        tls::TrustedClock,
    },
    settings::Settings,
};

/// Events that wait for the loop; a thread that sends one more waits too.
const EVENTS: usize = 256;
/// Between two full looks at an engine.
const INTERVAL: Duration = Duration::from_secs(60);
/// The loop looks at the clock at least this often: suspended time moves deadlines unseen.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A signal asked for it.
    Terminated,
    /// The settings are to be read again.
    Reload,
}

/// Runs the agent until a signal ends it. Workloads stay as they are. `reload` tells whether the settings can be
/// read again; `handover` is what an earlier process left, and takes what the next one gets.
///
/// # Errors
/// The state directory is another agent's, or a thread can't be started.
pub fn run(
    settings: &Settings,
    reload: &dyn Fn() -> Result<(), String>,
    handover: Arc<Handover>,
) -> Result<End, String> {
    info!("device-worker-ng {} on device '{}'", env!("CARGO_PKG_VERSION"), settings.device_id);
    let lock = lock_file::lock(&settings.state_dir)?;
    let (events, inbox) = bounded(EVENTS);
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("failed to start {what}: {error}");
    signals::start(events.clone()).map_err(|error| failed("signal handling", &error))?;
    if let Err(cause) = &lock {
        lock_file::lock_later(settings.state_dir.clone(), cause.clone(), events.clone())
            .map_err(|error| failed("the locking of the state directory", &error))?;
    }
    let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
    let state = stores.state.clone();
    let recorder = Recorder::start(stores.clone(), events.clone())
        .map_err(|error| failed("the recorder of state", &error))?;
    let disks = Disks::default();
    disks.add(settings.state_dir.clone());
    let engines = Engines::new(settings, &disks, state.clone(), events.clone());
    let mut agent = Agent::new(setup(settings, &stores, engines.present()));
    let reserves = Reserves {
        memory: settings.memory_reserve,
        disk: settings.disk_reserve,
        disks,
        proc: "/proc".into(),
    };
    // before anything asks for workloads: what is short already is known then
    pressure::start(reserves, events.clone()).map_err(|error| failed("watching memory and disks", &error))?;
    if let Err(error) = clock_changes::start(events.clone()) {
        warn!("failed to watch the clock: {error}; that it is set is noticed within a minute");
    }
    let endpoint = EndpointConfig {
        listen: settings.metrics_listen.clone(),
        directory: settings.runtime_dir.clone(),
        ttl: settings.metrics_ttl,
        has_page: settings.status_page,
        handover,
    };
    let queries = Queries::new(events.clone());
    let known = metrics::start(endpoint, queries.clone(), events.clone())
        .map_err(|error| failed("the metrics endpoint", &error))?;
    agent.restore(&known);
    let server = EdgeApiConfig::of(settings, state.clone());
    let server = server.map(|config| Server::start(config, events.clone()));
    command_socket::start(&settings.runtime_dir, queries.clone(), events.clone())
        .map_err(|error| failed("the answering of commands", &error))?;
    if let Some(directory) = &settings.manifests {
        let device_id = settings.device_id.clone();
        Manifests::start(directory.clone(), state, device_id, settings.unknown_fields, events)
            .map_err(|error| failed("the manifest watcher", &error))?;
    }
    let mut workers = Workers { engines, server, recorder, queries };
    let end = events_to_actions(&mut agent, &inbox, &mut workers, reload);
    workers.recorder.end();
    Ok(end)
}

/// What the agent knows before the first event.
fn setup(settings: &Settings, stores: &Stores, engines: Vec<Engine>) -> Setup {
    let state = &stores.state;
    Setup {
        device_id: settings.device_id.as_str().into(),
        engines,
        interval: INTERVAL,
        metrics_ttl: settings.metrics_ttl,
        sockets: settings.sockets(),
        default_memory: settings.limits.memory,
        finished: persistence::finished(state),
        fallbacks: persistence::fallbacks(state),
        images: persistence::images(state),
        manifests: settings.manifests.is_some(),
        server: settings.server.as_ref().map(|_| persistence::of_server(stores, &settings.device_id)),
        not_before: TrustedClock::load(state.clone()).not_before(),
        next_slot,
        seed: seed(&settings.device_id),
    }
}

/// The threads that carry out actions.
struct Workers {
    engines: Engines,
    server: Option<Server>,
    recorder: Recorder,
    queries: Queries,
}

impl Workers {
    /// Never blocks. An event that comes from here comes from nowhere else.
    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Order(order) => return self.engines.submit(order).map(Event::Done),
            Action::Deploy(order) => return self.engines.deploy(order).map(Event::Deployed),
            Action::Call(call) => return self.server.as_ref().and_then(|server| server.submit(call)),
            Action::Tell(notice) => tell(&notice),
            Action::Reply(asker, reply) => self.queries.reply(asker, reply),
            Action::Keep(record) => {
                if record == Record::Disconnected {
                    self.server.iter().for_each(Server::forget);
                }
                self.recorder.record(record);
            }
        }
        None
    }
}

/// The engines, each started when it is first needed.
struct Engines {
    configs: BTreeMap<Engine, podman::PodmanConfig>,
    started: BTreeMap<Engine, Podman>,
    cluster: Option<ClusterConfig>,
    kubernetes: Option<Kubernetes>,
    events: Sender<Event>,
}

impl Engines {
    fn new(settings: &Settings, disks: &Disks, state: Store, events: Sender<Event>) -> Self {
        let owner = crate::wire::ownership::owner(&settings.device_id, &settings.state_dir);
        let sockets = [(false, &settings.podman_socket), (true, &settings.rootless_podman_socket)];
        let config = |(rootless, socket): (bool, &PathBuf)| {
            let engine = Engine::Podman { rootless };
            let config = podman::PodmanConfig {
                engine,
                socket: socket.clone(),
                owner: owner.clone(),
                device_id: settings.device_id.clone(),
                limits: settings.limits.clone(),
                disks: disks.clone(),
                volumes: settings.runtime_dir.join(if rootless {
                    "volumes/rootless"
                } else {
                    "volumes/rootful"
                }),
            };
            (engine, config)
        };
        let configs = gather(sockets.map(config));
        let place = kubernetes::place(settings.kubeconfig.as_deref(), settings.kubernetes_service.as_deref());
        let device_id = settings.device_id.clone();
        let cluster = place.map(|place| ClusterConfig { place, owner, device_id, state });
        Self { configs, started: BTreeMap::new(), cluster, kubernetes: None, events }
    }

    /// Those that this device has now: there may be orphans on them. The others are looked for when a workload
    /// wants them.
    fn present(&self) -> Vec<Engine> {
        let podmans = self.configs.iter().filter(|(_, config)| config.socket.exists());
        let cluster = self.cluster.iter().map(|_| Engine::Kubernetes);
        podmans.map(|(engine, _)| *engine).chain(cluster).collect()
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

    /// The same for the cluster.
    fn deploy(&mut self, order: DeploymentOrder) -> Option<DeploymentOutcome> {
        let ticket = order.ticket;
        let failed = |cause: String| Some(DeploymentOutcome { ticket, result: Err(Failure::Engine(cause)) });
        if self.kubernetes.is_none() {
            let Some(config) = &self.cluster else {
                return failed("no KUBECONFIG is given, and this is no pod of a cluster".into());
            };
            match Kubernetes::start(config.clone(), self.events.clone()) {
                Ok(kubernetes) => self.kubernetes = Some(kubernetes),
                Err(error) => return failed(format!("failed to start its executor: {error}")),
            }
        }
        self.kubernetes.as_ref().and_then(|kubernetes| kubernetes.submit(order))
    }
}

fn events_to_actions(
    agent: &mut Agent,
    inbox: &Receiver<Event>,
    workers: &mut Workers,
    reload: &dyn Fn() -> Result<(), String>,
) -> End {
    let mut notify = Notify::of_environment();
    notify.ready();
    let mut waiting = VecDeque::from([Event::Tick]);
    loop {
        let event = waiting.pop_front().unwrap_or(Event::Tick);
        let present = clock::now();
        let (actions, wake) = agent.decide(event, present);
        logger::keep_confidential(agent.redactor());
        waiting.extend(actions.into_iter().filter_map(|action| workers.carry_out(action)));
        notify.alive(agent, present.up);
        if !waiting.is_empty() {
            continue;
        }
        let mut sleep = notify.longest_sleep().unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP);
        if let Wake::At(at) = wake {
            sleep = sleep.min(at.saturating_sub(clock::now().up));
        }
        waiting.push_back(match inbox.recv_timeout(sleep) {
            Ok(Event::Terminate) => {
                notify.stopping();
                return End::Terminated;
            }
            Ok(Event::Reload) => {
                notify.reloading();
                match reload() {
                    Ok(()) => return End::Reload, // the next process will be ready
                    Err(error) => error!("failed to read the settings again: {error}"),
                }
                notify.ready();
                Event::Tick
            }
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Event::Tick,
        });
    }
}

/// The device's local time is what `TZ` or `/etc/localtime` says.
fn next_slot(cron: &Cron, after: SystemTime) -> Option<SystemTime> {
    cron.next(&date(after)?.with_timezone(&Local)).map(SystemTime::from)
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
    let start = clock::now().utc.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    device_id
        .bytes()
        .fold(start.as_nanos() as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}
