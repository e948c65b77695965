//! The core's rules as scenarios: a small world with a podman that does as it is told, and a clock that
//! jumps to whatever comes next. Nothing here sleeps.

mod scenarios;
mod simulation;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::json;

use super::{
    order::{Container, ContainerState, Pod},
    workload::{Condition, Content, ListedCondition, ListedProfile, Profile, RestartPolicy, Workload},
    *,
};

const PODMAN: Engine = Engine::Podman { rootless: false };
const S: Duration = Duration::from_secs(1);

/// A workload with containers a, b, c …
pub(crate) fn workload(name: &str, containers: usize) -> Workload {
    let containers: Vec<_> =
        (0..containers).zip('a'..).map(|(_, name)| json!({"name": name.to_string(), "image": "i"})).collect();
    Workload::new(Content {
        name: name.into(),
        namespace: "default".into(),
        engine: PODMAN,
        labels: Vec::new(),
        annotations: Vec::new(),
        config_maps: Vec::new(),
        specification: json!({ "containers": containers }),
    })
}

fn next_slot(cron: &schedule::Cron, after: SystemTime) -> Option<SystemTime> {
    cron.next(&chrono::DateTime::<chrono::Utc>::from(after)).map(SystemTime::from)
}

fn gated(name: &str, condition: &str) -> Workload {
    let mut workload = workload(name, 1);
    let conditions = vec![ListedCondition { name: condition.into(), cpu: None }];
    workload.profiles = vec![ListedProfile { name: "p".into(), conditions }];
    workload
}

/// The same name, another content.
fn changed(workload: &Workload) -> Workload {
    let mut content = workload.content.clone();
    content.labels.push(("changed".into(), "yes".into()));
    Workload { profiles: workload.profiles.clone(), ..Workload::new(content) }
}

struct World {
    agent: Agent,
    now: Now,
    wake: Wake,
    /// Not answered yet.
    orders: VecDeque<Order>,
    /// All orders but lists, as `verb id`.
    log: Vec<String>,
    said: Vec<Notice>,
    remembered: Finished,
    /// What runs on the engine, or is there in another state.
    pods: BTreeMap<WorkloadId, (String, ContainerState, usize)>,
    profiles: Vec<Profile>,
    /// What each order but a list is answered with, instead of success.
    broken: Option<Failure>,
    /// The engine does not answer at all.
    engine_gone: bool,
    /// Part of the configuration can't be read.
    partial: bool,
}

impl World {
    fn new() -> Self {
        Self::with(Finished::new())
    }

    fn with(finished: Finished) -> Self {
        let setup = Setup {
            engines: vec![PODMAN],
            interval: 60 * S,
            metrics_ttl: None,
            finished,
            manifests: true,
            server: None,
            next_slot,
            seed: 1,
        };
        let condition =
            |name: &str, expression: &str| Condition { name: name.into(), expression: expression.into() };
        Self {
            agent: Agent::new(setup),
            now: Now { up: 1000 * S, utc: SystemTime::UNIX_EPOCH + 1_000_000 * S },
            wake: Wake::Never,
            orders: VecDeque::new(),
            log: Vec::new(),
            said: Vec::new(),
            remembered: Finished::new(),
            pods: BTreeMap::new(),
            profiles: vec![Profile {
                name: "p".into(),
                conditions: vec![
                    condition("low", "x<3% || x == nil"),
                    condition("hot", "hot > 1"),
                    condition("very_hot", "hot > 100"),
                ],
            }],
            broken: None,
            engine_gone: false,
            partial: false,
        }
    }

    fn happen(&mut self, event: Event) {
        let (actions, wake) = self.agent.decide(event, self.now);
        self.wake = wake;
        for action in actions {
            match action {
                Action::Order(order) => {
                    match &order.task {
                        Task::List => {}
                        Task::Pull(workload) => self.log.push(format!("pull {}", workload.id)),
                        Task::Start(workload) => self.log.push(format!("start {}", workload.id)),
                        Task::Look(id) => self.log.push(format!("look {id}")),
                        Task::Remove { id, .. } => self.log.push(format!("remove {id}")),
                    }
                    self.orders.push_back(order);
                }
                Action::Call(_) | Action::StoreConfiguration(_) | Action::Disconnect => {}
                Action::Tell(notice) => self.said.push(notice),
                Action::Remember(finished) => self.remembered = finished,
            }
        }
    }

    fn want(&mut self, workloads: &[&Workload]) {
        self.want_and_hold(workloads, &[]);
    }

    fn want_and_hold(&mut self, workloads: &[&Workload], held: &[&str]) {
        let workloads = workloads.iter().map(|workload| Arc::new((*workload).clone())).collect();
        let held = held.iter().map(ToString::to_string).collect();
        self.happen(Event::Desired(Desired {
            profiles: self.profiles.clone(),
            workloads,
            held,
            partial: self.partial,
        }));
    }

    fn post(&mut self, name: &str, value: impl Into<Option<f64>>) {
        self.happen(Event::Metrics(vec![Sample { name: name.into(), value: value.into() }]));
    }

    /// Carries out the oldest order, as podman would.
    fn answer(&mut self) {
        let order = self.orders.pop_front().expect("an order");
        let running = |pods: &BTreeMap<WorkloadId, (String, ContainerState, usize)>, id: &WorkloadId| {
            pods.get(id).map_or(Ok(Fact::Gone), |(_, state, count)| {
                let containers =
                    ('a'..).take(*count).map(|name| Container { name: name.into(), state: state.clone() });
                Ok(Fact::Pod(Pod { containers: containers.collect() }))
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
                    })
                    .collect(),
            )),
            (_, Some(failure)) => Err(failure.clone()),
            (Task::Pull(_), _) => Ok(Fact::Pulled { stale: Vec::new() }),
            (Task::Start(workload), _) => {
                let same_name = |(name, ..): &&(String, ContainerState, usize)| name == workload.name();
                assert!(
                    !self.pods.values().any(|pod| same_name(&pod)),
                    "two pods of workload '{}'",
                    workload.name()
                );
                let count = workload.content.specification["containers"].as_array().unwrap().len();
                self.pods
                    .insert(workload.id.clone(), (workload.name().into(), ContainerState::Running, count));
                running(&self.pods, &workload.id)
            }
            (Task::Look(id), _) => running(&self.pods, id),
            (Task::Remove { id, .. }, _) => {
                self.pods.remove(id);
                Ok(Fact::Gone)
            }
        };
        self.happen(Event::Done(Outcome { engine: order.engine, ticket: order.ticket, result }));
    }

    /// Lets podman do all it was told, without time passing.
    fn settle(&mut self) {
        for _ in 0..1000 {
            if self.orders.is_empty() {
                return;
            }
            self.answer();
        }
        panic!("it never settles: {:?}", self.log);
    }

    /// Lets time pass, waking the agent when it asks for it.
    fn pass(&mut self, time: Duration) {
        let end = self.now.up + time;
        for _ in 0..10_000 {
            let at = match self.wake {
                Wake::At(at) if at <= end => at.max(self.now.up),
                _ => break,
            };
            self.step(at);
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

    fn took(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
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
