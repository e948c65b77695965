//! The core's rules as scenarios: a small world with a podman that does as it is told, and a clock that
//! jumps to whatever comes next. Nothing here sleeps.

mod busy;
mod cancelling;
mod certificates;
mod deadlines;
mod dependencies;
mod deployments;
mod edge;
mod fleet;
mod hardware;
mod images;
mod limits;
mod link;
mod lists;
mod outages;
mod probes;
mod questions;
mod redacted_events;
mod reports;
mod restarts;
mod retries;
mod scenarios;
mod shedding;
mod simulation;
mod sources;
mod stops;
mod updates;
mod waiting_updates;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use edge::Edge;
use serde_json::json;

use super::{
    Action, Agent, Event, Sample, Setup,
    model::{
        call::{self, Answer, Call, CallFailure, CallKind, PersistedLinkState, ServerConfiguration},
        deployment::{DeploymentOrder, DeploymentOutcome, DeploymentTask},
        fallback::{Fallbacks, ReplacedContents},
        history, hysteresis,
        image::{PulledImage, PulledImages},
        notice::{self, Notice, Reason},
        order::{
            Container, ContainerState, Fact, Failure, Grace, Order, Outcome, Pod, PodSummary, Task, Ticket,
        },
        phase::Phase,
        probe, question,
        record::{self, Record},
        report,
        report::WorkloadState,
        run::{self, FinishedRuns},
        schedule,
        stop::ManualStops,
        subsystem::Storage,
        time::{Now, Wake},
        update, waiting,
        workload::{
            self, Condition, Content, DesiredState, Engine, ListedCondition, ListedProfile, Profile,
            RestartPolicy, Workload, WorkloadId,
        },
    },
    *,
};

const PODMAN: Engine = Engine::Podman { rootless: false };
const ROOTLESS: Engine = Engine::Podman { rootless: true };
const S: Duration = Duration::from_secs(1);
/// A run that ended well.
const WELL: run::Run = run::Run { code: 0, ended: None, ran: None };

/// A workload with containers a, b, c …
pub(crate) fn workload(name: &str, containers: usize) -> Workload {
    let containers: Vec<_> =
        (0..containers).zip('a'..).map(|(_, name)| json!({"name": name.to_string(), "image": "i"})).collect();
    Workload::new(Content::new(name, PODMAN, json!({ "containers": containers })))
}

fn next_slot(cron: &schedule::Cron, after: SystemTime) -> Option<SystemTime> {
    cron.next(&chrono::DateTime::<chrono::Utc>::from(after)).map(SystemTime::from)
}

/// In Greenwich.
fn local(time: SystemTime) -> Option<[f64; 2]> {
    use chrono::{Datelike, Timelike};
    let date = chrono::DateTime::<chrono::Utc>::from(time);
    Some([date.hour().into(), date.weekday().number_from_monday().into()])
}

fn gated(name: &str, condition: &str) -> Workload {
    let mut workload = workload(name, 1);
    let conditions = vec![ListedCondition { name: condition.into(), cpu: None }];
    workload.profiles = vec![ListedProfile { name: "p".into(), conditions }];
    workload
}

/// Runs at every full hour.
fn hourly(name: &str) -> Workload {
    let schedule =
        schedule::Schedule::Cron(schedule::Cron::parse("0 * * * *").unwrap(), schedule::Backoff::RUN_BACKOFF);
    Workload { schedule, ..workload(name, 1) }
}

/// The same name, another content.
fn changed(workload: &Workload) -> Workload {
    let mut content = workload.content.clone();
    content.labels.push(("changed".into(), "yes".into()));
    Workload {
        profiles: workload.profiles.clone(),
        probes: workload.probes.clone(),
        ..Workload::new(content)
    }
}

/// What an agent is told that starts for the first time, of manifests alone.
fn first_setup() -> Setup {
    Setup {
        device_id: "dev".into(),
        engines: vec![PODMAN],
        interval: 60 * S,
        metrics_ttl: None,
        sockets: Vec::new(),
        default_memory: None,
        finished: FinishedRuns::new(),
        fallbacks: Fallbacks::new(),
        images: PulledImages::new(),
        stops: ManualStops::new(),
        updates: waiting::WaitingContents::new(),
        update_lock: false,
        built_in_metrics: record::BuiltInMetrics::new(),
        lasting: Vec::new(),
        history: history::History::new(),
        manifests: true,
        server: None,
        not_before: SystemTime::UNIX_EPOCH,
        next_slot,
        local,
        seed: 1,
    }
}

struct World {
    agent: Agent,
    now: Now,
    wake: Wake,
    /// Not answered yet.
    orders: VecDeque<Order>,
    deployment_orders: VecDeque<DeploymentOrder>,
    /// All orders but lists, as `verb id`.
    log: Vec<String>,
    said: Vec<Notice>,
    replies: Vec<question::Reply>,
    remembered: FinishedRuns,
    fallbacks: Fallbacks,
    befores: ReplacedContents,
    stops: ManualStops,
    updates: waiting::WaitingContents,
    /// When contents may be replaced, as the device says.
    update: Option<Box<update::UpdateRules>>,
    built_in_metrics: record::BuiltInMetrics,
    lasting: Vec<hysteresis::HysteresisState>,
    pulled: PulledImages,
    /// The images that come in with each pull.
    fetched: Vec<PulledImage>,
    /// What runs on the engine, or is there in another state.
    pods: BTreeMap<WorkloadId, (String, ContainerState, usize)>,
    cluster: deployments::Cluster,
    /// The CPU limits of pods.
    limits: BTreeMap<WorkloadId, u64>,
    /// What container `b` of each pod does, if not the same as the others.
    second: Option<ContainerState>,
    /// When what runs began, as podman tells it.
    began: SystemTime,
    profiles: Vec<Profile>,
    /// What each pod uses of whatever is asked for.
    uses: Vec<(WorkloadId, u64)>,
    /// What each order but a list is answered with, instead of success.
    broken: Option<Failure>,
    /// What is found out before a start that can't be.
    unfit: Option<&'static str>,
    /// Who has host ports that are wanted.
    holders: Vec<(String, WorkloadId)>,
    /// No pod can be started.
    unstartable: bool,
    /// What is wrong with the hook that container `a` has after its start.
    unhooked: Option<&'static str>,
    /// What probes find wrong.
    sick: Option<&'static str>,
    /// No image can be pulled.
    is_offline: bool,
    /// What the image of every container asks for.
    healthcheck: Option<Arc<probe::Probe>>,
    /// The engine does not answer at all.
    engine_gone: bool,
    /// Part of the configuration can't be read.
    partial: bool,
    /// Not answered yet.
    calls: VecDeque<Call>,
    edge: Edge,
    /// What the state directory keeps of the conversation.
    kept: PersistedLinkState,
    /// How often what the server has not heard was to be written.
    writes: usize,
    /// The hardware that there is, as conditions call it; what is to be looked at, and how often all of it was.
    plugged: BTreeSet<&'static str>,
    watched: Vec<Arc<str>>,
    looks: usize,
    /// Since when the agent was told that it is there.
    told: BTreeMap<Arc<str>, Duration>,
    /// Nothing is looked at.
    blind: bool,
}

impl World {
    fn new() -> Self {
        Self::with(FinishedRuns::new())
    }

    fn with(finished: FinishedRuns) -> Self {
        Self::setup(finished, true, None)
    }

    /// With a server, and what an earlier process heard from it.
    fn managed(kept: PersistedLinkState) -> Self {
        let mut world = Self::setup(FinishedRuns::new(), false, Some(kept.clone()));
        world.kept = kept;
        world.happen(Event::Tick);
        world
    }

    fn agent(
        finished: FinishedRuns,
        fallbacks: Fallbacks,
        stops: ManualStops,
        manifests: bool,
        server: Option<PersistedLinkState>,
        seed: u64,
    ) -> Agent {
        let sockets = vec!["/run/posts/metrics.sock".into()];
        Agent::new(Setup { sockets, finished, fallbacks, stops, manifests, server, seed, ..first_setup() })
    }

    fn setup(finished: FinishedRuns, manifests: bool, server: Option<PersistedLinkState>) -> Self {
        let condition = |name: &str, expression: &str| Condition {
            name: name.into(),
            expression: expression.into(),
            ..Condition::default()
        };
        Self {
            agent: Self::agent(finished, Fallbacks::new(), ManualStops::new(), manifests, server, 1),
            now: Now { up: 1000 * S, utc: SystemTime::UNIX_EPOCH + 1_000_000 * S },
            wake: Wake::Never,
            orders: VecDeque::new(),
            deployment_orders: VecDeque::new(),
            log: Vec::new(),
            said: Vec::new(),
            remembered: FinishedRuns::new(),
            fallbacks: Fallbacks::new(),
            befores: ReplacedContents::new(),
            stops: ManualStops::new(),
            updates: waiting::WaitingContents::new(),
            update: None,
            built_in_metrics: record::BuiltInMetrics::new(),
            lasting: Vec::new(),
            pulled: PulledImages::new(),
            fetched: Vec::new(),
            pods: BTreeMap::new(),
            cluster: deployments::Cluster::default(),
            limits: BTreeMap::new(),
            second: None,
            began: SystemTime::UNIX_EPOCH,
            profiles: vec![Profile {
                name: "p".into(),
                conditions: vec![
                    condition("low", "x<3% || x == nil"),
                    condition("hot", "hot > 1"),
                    condition("very_hot", "hot > 100"),
                ],
            }],
            uses: Vec::new(),
            broken: None,
            unfit: None,
            holders: Vec::new(),
            unstartable: false,
            unhooked: None,
            sick: None,
            is_offline: false,
            healthcheck: None,
            engine_gone: false,
            partial: false,
            calls: VecDeque::new(),
            replies: Vec::new(),
            edge: Edge::default(),
            kept: PersistedLinkState::default(),
            writes: 0,
            plugged: BTreeSet::new(),
            watched: Vec::new(),
            looks: 0,
            told: BTreeMap::new(),
            blind: false,
        }
    }

    fn happen(&mut self, event: Event) {
        let (actions, wake) = self.agent.decide(event, self.now);
        self.wake = wake;
        let mut looks = false;
        for action in actions {
            match action {
                Action::LookAt(names) => (self.watched, looks) = (names, true),
                Action::Order(order) => {
                    match &order.task {
                        Task::List | Task::Usage(_) => {}
                        Task::Pull(workload) => self.log.push(format!("pull {}", workload.id)),
                        Task::Rehearse { workload, .. } => self.log.push(format!("rehearse {}", workload.id)),
                        Task::Start(workload, _) => self.log.push(format!("start {}", workload.id)),
                        Task::Cancel(id) => self.log.push(format!("cancel {id}")),
                        Task::Look(id) => self.log.push(format!("look {id}")),
                        Task::Discard(image) => self.log.push(format!("discard {image}")),
                        Task::Limit { id, cpu } => self.log.push(format!("limit {id} {cpu:?}")),
                        Task::Remove { id, .. } => self.log.push(format!("remove {id}")),
                        Task::Probe { container, .. } => self.log.push(format!("probe {container}")),
                        Task::End { id, container, .. } => self.log.push(format!("end {container} of {id}")),
                        Task::Restart { id, container, .. } => {
                            self.log.push(format!("restart {container} of {id}"));
                        }
                    }
                    self.orders.push_back(order);
                }
                Action::Deploy(order) => {
                    match &order.task {
                        DeploymentTask::List => {}
                        DeploymentTask::Apply { workload, replicas, .. } => {
                            self.log.push(format!("apply {} {replicas}", workload.id));
                        }
                        DeploymentTask::Delete(it) => {
                            self.log.push(format!("delete {}/{}", it.namespace, it.name));
                        }
                    }
                    self.deployment_orders.push_back(order);
                }
                Action::Call(call) => {
                    let kind = call.kind();
                    assert!(self.calls.iter().all(|it| it.kind() != kind), "two calls of {kind:?}");
                    self.calls.push_back(call);
                }
                Action::Tell(notice) => {
                    self.edge.told(&notice);
                    self.said.push(notice);
                }
                Action::Keep(Record::Finished(finished)) => self.remembered = finished,
                Action::Keep(Record::Fallbacks(fallbacks)) => self.fallbacks = fallbacks,
                Action::Keep(Record::Replaced(replaced)) => self.befores.extend(replaced),
                Action::Keep(Record::Images(images)) => self.pulled = images,
                Action::Keep(Record::Stops(stops)) => self.stops = stops,
                Action::Keep(Record::Updates(updates)) => self.updates = updates,
                Action::Keep(Record::History(_)) => {}
                Action::Keep(Record::BuiltInMetrics(own)) => self.built_in_metrics = own,
                Action::Keep(Record::Hysteresis(lasting)) => self.lasting = lasting,
                Action::Keep(Record::Undelivered(unheard)) => {
                    self.kept.unheard = unheard;
                    self.writes += 1;
                }
                Action::Keep(Record::Configuration(raw)) => self.kept.configuration = self.edge.read(&raw),
                Action::Reply(_, reply) => self.replies.push(reply),
                Action::AskUpdateLock => self.log.push("ask for the lock".into()),
                Action::Keep(Record::Disconnected) => {
                    self.kept = PersistedLinkState { disconnected: true, ..Default::default() }
                }
            }
        }
        if looks {
            self.looks += 1;
            self.look();
        }
    }

    /// Tells of the hardware that is watched, as after an announcement.
    fn look(&mut self) {
        let value = |name: &Arc<str>| (name.clone(), f64::from(u8::from(self.plugged.contains(&**name))));
        if !self.blind {
            for name in &self.watched {
                match self.plugged.contains(&**name) {
                    true => drop(self.told.entry(name.clone()).or_insert(self.now.up)),
                    false => drop(self.told.remove(name)),
                }
            }
            self.happen(Event::Hardware(self.watched.iter().map(value).collect()));
        }
    }

    fn want(&mut self, workloads: &[&Workload]) {
        self.want_with_unreadable(workloads, &[]);
    }

    fn want_with_unreadable(&mut self, workloads: &[&Workload], unreadable: &[&str]) {
        let workloads = workloads.iter().map(|workload| Arc::new((*workload).clone())).collect();
        let unreadable = unreadable.iter().map(ToString::to_string).collect();
        self.happen(Event::Desired(DesiredState {
            profiles: self.profiles.clone(),
            update: self.update.clone(),
            workloads,
            unreadable,
            elsewhere: Vec::new(),
            partial: self.partial,
        }));
    }

    /// Wants these, and lets all be done that follows.
    fn want_and_settle(&mut self, workloads: &[&Workload]) {
        self.want(workloads);
        self.settle();
    }

    fn post(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.happen(Event::Metrics(vec![Sample { name: name.into(), value: value.into() }]));
    }

    fn post_and_settle(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.post(name, value);
        self.settle();
    }

    /// Carries out the oldest order, as podman would.
    fn answer(&mut self) {
        if let Some(order) = self.deployment_orders.pop_front() {
            let result = self.cluster.answer(&order.task);
            return self.happen(Event::Deployed(DeploymentOutcome { ticket: order.ticket, result }));
        }
        let order = self.orders.pop_front().expect("an order");
        let healthcheck = self.healthcheck.clone();
        let running = |pods: &BTreeMap<WorkloadId, (String, ContainerState, usize)>, id: &WorkloadId, cpu| {
            pods.get(id).map_or(Ok(Fact::Gone), |(_, state, count)| {
                let containers = ('a'..).take(*count).map(|name| Container {
                    name: name.into(),
                    state: self.second.clone().filter(|_| name == 'b').unwrap_or_else(|| state.clone()),
                    out_of_memory: None,
                    healthcheck: healthcheck.clone(),
                });
                let (began, made) = (Some(self.began), Some(self.began));
                Ok(Fact::Pod(Pod { containers: containers.collect(), cpu, began, made, ..Pod::default() }))
            })
        };
        let result = match (&order.task, &self.broken) {
            _ if self.engine_gone => Err(Failure::Engine("no socket".into())),
            (Task::List, _) => Ok(Fact::Pods(
                self.pods
                    .iter()
                    .map(|(id, (workload, state, _))| PodSummary {
                        id: id.clone(),
                        workload: workload.clone(),
                        running: *state == ContainerState::Running,
                        replaced: false,
                    })
                    .collect(),
            )),
            (_, Some(failure)) => Err(failure.clone()),
            (Task::Pull(_), _) if self.is_offline => Err(Failure::Workload("no network".into())),
            (Task::Pull(_), _) => {
                Ok(Fact::Pulled { fetched: self.fetched.drain(..).collect(), stale: Vec::new() })
            }
            (Task::Rehearse { .. }, _) => match &self.unfit {
                Some(why) => Err(Failure::Workload((*why).into())),
                None => {
                    Ok(Fact::Fit { fetched: self.fetched.drain(..).collect(), holders: self.holders.clone() })
                }
            },
            (Task::Start(workload, _), _)
                if self.orders.iter().any(|it| it.task == Task::Cancel(workload.id.clone())) =>
            {
                Ok(Fact::Gone)
            }
            (Task::Start(..), _) if self.unstartable => Err(Failure::Workload("no such command".into())),
            (Task::Start(workload, cpu), _) => {
                let same_name = |(name, ..): &&(String, ContainerState, usize)| name == workload.name();
                assert!(
                    !self.pods.values().any(|pod| same_name(&pod)),
                    "two pods of workload '{}'",
                    workload.name()
                );
                let count = workload.content.specification.value()["containers"].as_array().unwrap().len();
                self.pods
                    .insert(workload.id.clone(), (workload.name().into(), ContainerState::Running, count));
                self.limits.extend(cpu.map(|cpu| (workload.id.clone(), cpu)));
                let cpu = self.limits.get(&workload.id).copied();
                running(&self.pods, &workload.id, cpu)
            }
            (Task::Look(id), _) => running(&self.pods, id, self.limits.get(id).copied()),
            (Task::Cancel(_) | Task::Discard(_), _) => Ok(Fact::Gone),
            (Task::Limit { id, .. }, _) if !self.pods.contains_key(id) => Ok(Fact::Gone),
            (Task::Limit { id, cpu }, _) => {
                self.limits.remove(id);
                self.limits.extend(cpu.map(|cpu| (id.clone(), cpu)));
                Ok(Fact::Limited)
            }
            (Task::Probe { .. }, _) => Ok(self.probed()),
            (Task::End { id, .. }, _) => {
                let at = self.now.utc;
                self.pods.entry(id.clone()).and_modify(|pod| {
                    pod.1 = ContainerState::Exited { code: 143, at, ran: S };
                });
                Ok(Fact::Ended)
            }
            (Task::Restart { .. }, _) if self.unstartable => Err(Failure::Workload("no such command".into())),
            (Task::Restart { id, .. }, _) => {
                self.pods.entry(id.clone()).and_modify(|pod| pod.1 = ContainerState::Running);
                running(&self.pods, id, self.limits.get(id).copied())
            }
            (Task::Usage(_), _) => Ok(Fact::Usage(self.uses.clone())),
            (Task::Remove { id, .. }, _) => {
                self.pods.remove(id);
                self.limits.remove(id);
                Ok(Fact::Gone)
            }
        };
        let result = result.map(|fact| match (fact, &order.task) {
            (Fact::Pod(pod), Task::Start(..) | Task::Restart { .. }) => {
                let failed_starts = self.unhooked.map(|why| ("a".into(), why.into())).into_iter().collect();
                Fact::Pod(Pod { failed_starts, ..pod })
            }
            (fact, _) => fact,
        });
        self.happen(Event::Done(Outcome { engine: order.engine, ticket: order.ticket, result }));
    }

    /// Makes the oldest call, as the edge API would answer it.
    fn call(&mut self) {
        let call = self.calls.pop_front().expect("a call");
        let result = self.edge.answer(&call, self.now);
        if let Ok(Answer::Registered { expires }) = result {
            self.kept.certificate = Some((self.now.utc, expires));
        }
        self.happen(Event::Answered(call.kind(), result));
    }

    /// The server does as the oldest call asks, and no answer comes.
    fn lose_answer(&mut self) {
        let call = self.calls.pop_front().expect("a call");
        let _ = self.edge.answer(&call, self.now);
        let failure = CallFailure::Unreachable("reset by peer".into());
        self.happen(Event::Answered(call.kind(), Err(failure)));
    }

    /// Lets podman and the server do all they were told, without time passing.
    fn settle(&mut self) {
        for _ in 0..1000 {
            if !self.calls.is_empty() {
                self.call();
            } else if self.orders.is_empty() && self.deployment_orders.is_empty() {
                return;
            } else {
                self.answer();
            }
        }
        panic!("it never settles: {:?}", self.log);
    }

    /// Lets time pass, waking the agent when it asks for it.
    fn pass(&mut self, time: Duration) {
        self.settle();
        let end = self.now.up + time;
        let mut idle = 0;
        while let Wake::At(at) = self.wake
            && at <= end
        {
            idle = if at > self.now.up { 0 } else { idle + 1 };
            assert!(idle < 10, "a busy loop: {:?}", self.log);
            self.step(at.max(self.now.up));
            self.happen(Event::Tick);
            self.settle();
        }
        self.step(end);
    }

    fn step(&mut self, at: Duration) {
        self.now.utc += at - self.now.up;
        self.now.up = at;
    }

    /// The containers of this pod end now, after `ran`.
    fn exit(&mut self, id: &WorkloadId, code: i32, ran: Duration) {
        self.pods.get_mut(id).expect("a pod").1 = ContainerState::Exited { code, at: self.now.utc, ran };
        self.happen(Event::Exited(PODMAN, id.clone()));
        self.settle();
    }

    /// The pods that there are.
    fn ids(&self) -> Vec<&WorkloadId> {
        self.pods.keys().collect()
    }

    fn took(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The agent's process ends, and a new one starts.
    fn restart(&mut self) {
        self.orders.clear();
        self.calls.clear();
        let seed = self.now.up.as_nanos() as u64;
        let (finished, fallbacks) = (self.remembered.clone(), self.fallbacks.clone());
        self.agent =
            Self::agent(finished, fallbacks, self.stops.clone(), false, Some(self.kept.clone()), seed);
        self.happen(Event::Tick);
    }

    fn heard(&mut self) -> Vec<Reason> {
        self.said.drain(..).map(|notice| notice.reason).collect()
    }

    /// A world in which these run.
    fn running(workloads: &[&Workload]) -> Self {
        let mut world = Self::new();
        world.want(workloads);
        world.happen(Event::Tick);
        world.settle();
        assert_eq!(world.pods.len(), workloads.len(), "{:?}", world.said);
        world.took();
        world.said.clear();
        world
    }
}
