//! The loop: it owns the channel of events, and starts the parts that send to it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use chrono::Local;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use log::{debug, error, info, warn};

use crate::{
    agent::{
        Action, Agent, DEFAULT_LIST_INTERVAL, Event, Setup,
        model::{
            deployment::{DeploymentOrder, DeploymentOutcome},
            gather::gather,
            notice::{Notice, Severity},
            order::{Failure, Order, Outcome},
            question::Reply,
            record::Record,
            schedule::Cron,
            time::{Wake, date},
            vec_map::VecMap,
            workload::Engine,
        },
    },
    io::{
        clock, clock_changes, command_socket,
        edge_api::{CallWorker, EdgeApiConfig},
        hardware_presence::HardwarePresence,
        kubernetes::{self, ClusterConfig, Kubernetes},
        lock_file, logger,
        manifests::ManifestWatcher,
        metrics::{self, EndpointConfig, Handover},
        notify::ServiceNotifier,
        outputs::ContainerOutputs,
        persistence::{self, Stores},
        podman::{self, Podman},
        pressure::{self, PressureConfig, WatchedDisks},
        query::Queries,
        recorder::Recorder,
        signals,
        state::Store,
        tls::TrustedClock,
        update_lock::UpdateLock,
    },
    settings::Settings,
};

/// Events that wait for the loop; a thread that sends one more waits too.
const EVENT_QUEUE_CAPACITY: usize = 256;
/// The loop looks at the clock at least this often: suspended time moves deadlines unseen.
const MAX_SLEEP: Duration = Duration::from_secs(60);

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
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
) -> Result<RunOutcome, String> {
    info!("device-worker-ng {} on device '{}'", env!("CARGO_PKG_VERSION"), settings.device_id);
    let lock = lock_file::lock(&settings.state_dir)?;
    let (events, inbox) = bounded(EVENT_QUEUE_CAPACITY);
    let failed = |what: &str, error: &dyn std::fmt::Display| format!("failed to start {what}: {error}");
    signals::start(events.clone()).map_err(|error| failed("signal handling", &error))?;
    if let Err(cause) = &lock {
        lock_file::lock_with_retries(settings.state_dir.clone(), cause.clone(), events.clone())
            .map_err(|error| failed("the locking of the state directory", &error))?;
    }
    let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
    let state = stores.state.clone();
    let queries = Queries::new(events.clone());
    let recorder = Recorder::start(stores.clone(), queries.clone(), events.clone())
        .map_err(|error| failed("the recorder of state", &error))?;
    let disks = WatchedDisks::default();
    disks.add(settings.state_dir.clone());
    let engines = EngineWorkers::new(settings, &disks, state.clone(), events.clone());
    let mut agent = Agent::new(initial_setup(settings, &stores, engines.cluster.is_some()));
    let reserves = PressureConfig {
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
    let known = metrics::start(endpoint_config(settings, handover), queries.clone(), events.clone())
        .map_err(|error| failed("the metrics endpoint", &error))?;
    agent.restore_metrics(&known);
    let server = EdgeApiConfig::from_settings(settings, state.clone());
    let server = server.map(|config| CallWorker::start(config, events.clone()));
    let place = command_socket::PodLocation {
        sockets: [settings.podman_socket.clone(), settings.rootless_podman_socket.clone()],
        owner: crate::wire::ownership::owner(&settings.device_id, &settings.state_dir),
        state: state.clone(),
    };
    command_socket::start(&settings.runtime_dir, place, queries.clone(), events.clone())
        .map_err(|error| failed("the answering of commands", &error))?;
    let update_lock = UpdateLock::start(&settings.runtime_dir, events.clone())
        .map_err(|error| failed("the look at the lock of updates", &error))?;
    let presence = HardwarePresence::new(events.clone());
    if let Some(directory) = &settings.manifests {
        let device_id = settings.device_id.clone();
        ManifestWatcher::start(directory.clone(), state, device_id, settings.unknown_fields, events)
            .map_err(|error| failed("the manifest watcher", &error))?;
    }
    let mut workers = Workers { engines, server, recorder, queries, update_lock, presence };
    let end = event_loop(&mut agent, &inbox, &mut workers, reload);
    workers.recorder.flush_and_end();
    Ok(end)
}

fn endpoint_config(settings: &Settings, handover: Arc<Handover>) -> EndpointConfig {
    EndpointConfig {
        listen: settings.metrics_listen.clone(),
        directory: settings.runtime_dir.clone(),
        ttl: settings.metrics_ttl,
        has_page: settings.status_page,
        handover,
    }
}

/// What the agent knows before the first event.
fn initial_setup(settings: &Settings, stores: &Stores, has_cluster: bool) -> Setup {
    let state = &stores.state;
    Setup {
        device_id: settings.device_id.as_str().into(),
        engines: has_cluster.then_some(Engine::Kubernetes).into_iter().collect(),
        interval: DEFAULT_LIST_INTERVAL,
        metrics_ttl: settings.metrics_ttl,
        sockets: settings.metrics_sockets(),
        default_memory: settings.limits.memory,
        finished: persistence::finished_runs(state),
        fallbacks: persistence::fallbacks(state),
        updates: persistence::waiting_contents(state),
        update_lock: true,
        images: persistence::pulled_images(state),
        stops: persistence::manual_stops(state),
        history: persistence::history(&stores.runtime),
        built_in_metrics: persistence::built_in_metrics(&stores.runtime),
        lasting: persistence::hysteresis_states(&stores.runtime),
        manifests: settings.manifests.is_some(),
        server: settings.server.as_ref().map(|_| persistence::load_server_state(stores, &settings.device_id)),
        not_before: TrustedClock::load(state.clone()).earliest_plausible_time(),
        next_slot,
        local: clock::local_hour_and_weekday,
        seed: random_seed(&settings.device_id),
    }
}

/// The threads that carry out actions.
struct Workers {
    engines: EngineWorkers,
    server: Option<CallWorker>,
    recorder: Recorder,
    queries: Queries,
    update_lock: UpdateLock,
    presence: HardwarePresence,
}

impl Workers {
    /// Never blocks. An event that comes from here comes from nowhere else.
    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Order(order) => return self.engines.submit(order).map(Event::Done),
            Action::Deploy(order) => return self.engines.submit_deployment_order(order).map(Event::Deployed),
            Action::Call(call) => return self.server.as_ref().and_then(|server| server.submit(call)),
            Action::Tell(notice) => log_notice(&notice),
            Action::Reply(asker, Reply::Done(what)) => self.recorder.reply_when_saved(asker, what),
            Action::Reply(asker, reply) => self.queries.reply(asker, reply),
            Action::AskUpdateLock => self.update_lock.request_check(),
            Action::LookAt(names) => return self.presence.watch_names(names),
            Action::Keep(record) => {
                if record == Record::Disconnected {
                    self.server.iter().for_each(CallWorker::reset_client);
                }
                self.recorder.record(record);
            }
        }
        None
    }
}

/// The engines, each started when it is first needed.
struct EngineWorkers {
    configs: VecMap<Engine, podman::PodmanConfig>,
    /// Those whose socket was there when it was looked for last.
    present: Vec<Engine>,
    /// When that was.
    looked: Duration,
    started: VecMap<Engine, Podman>,
    cluster: Option<ClusterConfig>,
    kubernetes: Option<Kubernetes>,
    events: Sender<Event>,
}

impl EngineWorkers {
    fn new(settings: &Settings, disks: &WatchedDisks, state: Store, events: Sender<Event>) -> Self {
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
                outputs: ContainerOutputs::new(&settings.runtime_dir),
            };
            (engine, config)
        };
        let configs = gather(sockets.map(config));
        let place = kubernetes::find_config_source(
            settings.kubeconfig.as_deref(),
            settings.in_cluster_server.as_deref(),
        );
        let device_id = settings.device_id.clone();
        let cluster = place.map(|place| ClusterConfig { place, owner, device_id, state });
        Self {
            configs,
            present: Vec::new(),
            looked: Duration::ZERO,
            started: VecMap::default(),
            cluster,
            kubernetes: None,
            events,
        }
    }

    /// A socket that came or went since this was asked last: there may be orphans on what comes. After a post it is
    /// looked at once a second: many come, and each wants its answer at once.
    fn check_sockets(&mut self, is_post: bool, now: Duration) -> Option<Event> {
        if is_post && now < self.looked + Duration::from_secs(1) {
            return None;
        }
        self.looked = now;
        let mut all = self.configs.iter().map(|(engine, config)| (*engine, config.socket.exists()));
        let (engine, is_there) = all.find(|(engine, is_there)| self.present.contains(engine) != *is_there)?;
        if is_there {
            self.present.push(engine);
        } else {
            self.present.retain(|it| *it != engine);
        }
        Some(Event::Socket(engine, is_there))
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
    fn submit_deployment_order(&mut self, order: DeploymentOrder) -> Option<DeploymentOutcome> {
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

fn event_loop(
    agent: &mut Agent,
    inbox: &Receiver<Event>,
    workers: &mut Workers,
    reload: &dyn Fn() -> Result<(), String>,
) -> RunOutcome {
    let mut notify = ServiceNotifier::of_environment();
    notify.ready();
    let mut waiting = VecDeque::from([Event::Tick]);
    loop {
        let event = waiting.pop_front().unwrap_or(Event::Tick);
        let present = clock::now();
        let is_post = matches!(event, Event::Metrics(_));
        let (actions, wake) = agent.decide(event, present);
        logger::set_redactor(agent.redactor());
        waiting.extend(actions.into_iter().filter_map(|action| workers.carry_out(action)));
        // (before outcomes are heard, so the first pod isn't started before each podman was asked for its pods)
        waiting.extend(workers.engines.check_sockets(is_post, present.up));
        notify.feed_watchdog(agent, present.up);
        if !waiting.is_empty() {
            continue;
        }
        let mut sleep = notify.longest_sleep().unwrap_or(MAX_SLEEP).min(MAX_SLEEP);
        if let Wake::At(at) = wake {
            sleep = sleep.min(at.saturating_sub(clock::now().up));
        }
        waiting.push_back(match inbox.recv_timeout(sleep) {
            Ok(Event::Terminate) => {
                notify.stopping();
                return RunOutcome::Terminated;
            }
            Ok(Event::Reload) => {
                notify.reloading();
                match reload() {
                    Ok(()) => return RunOutcome::Reload, // the next process will be ready
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

fn log_notice(notice: &Notice) {
    match notice.severity {
        Severity::Info => info!("{}", notice.message),
        Severity::Warning => warn!("{}", notice.message),
    }
    debug!("event {:?}", notice.reason);
}

/// Different devices retry at different times; it need not be hard to guess.
fn random_seed(device_id: &str) -> u64 {
    let start = clock::now().utc.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    device_id
        .bytes()
        .fold(start.as_nanos() as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}
