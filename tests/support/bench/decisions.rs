//! What one decision costs the core alone, with many workloads and thousands of conditions that it doesn't touch. Only the
//! decision is timed: what it orders is answered outside, as an engine would that does all it is told.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime},
};

use device_worker_ng::agent::{
    Action, Agent, Event, Sample, Setup,
    model::{
        order::{Container, ContainerState, Fact, Order, Outcome, Pod, PodSummary, Task},
        time::{Now, Wake},
        workload::{
            Condition, Content, DesiredState, Engine, ListedCondition, ListedProfile, Profile, Workload,
            WorkloadId,
        },
    },
};
use serde_json::json;

use super::{Report, median, round};

const CONDITIONS: usize = 10_000;
/// A workload lists the condition of its number, and the one so much later.
const SECOND: usize = 5000;
const ROUNDS: usize = 2000;
/// Between two changes of one workload: so long that none flaps, and that what came up stays up.
const BETWEEN: Duration = Duration::from_secs(61);
const ENGINE: Engine = Engine::Podman { rootless: false };
const CAMERA: &str = "device.present(\"/dev/video0\")";

pub(super) fn measure(report: &mut Report) {
    for count in [10, 100, 1000] {
        let mut device = Device::new(count);
        let mut add = |what: &str, times: Vec<f64>| {
            report.add(
                &format!("{what}, {count} workloads, 10,000 conditions"),
                round(median(times), 2),
                "µs",
            );
        };
        let times = device.times(|_| Event::Tick, |orders| assert_eq!(orders, []));
        add("decision about nothing", times);
        let times = device.times(|round| post("other".into(), round), |orders| assert_eq!(orders, []));
        add("decision about a metric that nothing mentions", times);
        let unlisted = format!("m{}", CONDITIONS - 1);
        let times =
            device.times(|round| post(unlisted.clone(), round % 2 * 2), |orders| assert_eq!(orders, []));
        add("decision about a metric of a condition that no workload lists", times);
        let times = device.times(|round| camera(round % 2), |orders| assert_eq!(orders, []));
        add("decision about hardware of a condition that no workload lists", times);
        // The first rounds get the images, and are not counted.
        let all = |value| move |round: usize| post(format!("m{}", round % count), value);
        device.times(all(2), |_| {});
        device.times(all(0), |_| {});
        let (mut starts, mut others, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS.div_ceil(count) {
            let is_start = |orders: &[Task]| assert!(matches!(orders, [Task::Start(..)]), "{orders:?}");
            starts.extend(device.rounds(count, all(2), is_start));
            let other = |round: usize| post(format!("m{}", round % count + SECOND), 2);
            others.extend(device.rounds(count, other, |orders| assert_eq!(orders, [])));
            device.rounds(count, |round| post(format!("m{}", round % count + SECOND), 0), |_| {});
            let is_stop = |orders: &[Task]| assert!(matches!(orders, [Task::Remove { .. }]), "{orders:?}");
            stops.extend(device.rounds(count, all(0), is_stop));
        }
        add("decision that starts a workload", starts);
        add("decision about a condition that changes nothing of a workload that lists it", others);
        add("decision that stops a workload", stops);
    }
}

fn post(name: String, value: usize) -> Event {
    Event::Metrics(vec![Sample { name, value: Some(value as f64) }])
}

fn camera(is_there: usize) -> Event {
    Event::Hardware([(CAMERA.into(), is_there as f64)].into())
}

/// An agent, and an engine that does at once what it is told.
struct Device {
    agent: Agent,
    now: Now,
    wake: Wake,
    pods: BTreeMap<WorkloadId, String>,
}

impl Device {
    fn new(count: usize) -> Self {
        let agent = Agent::new(Setup {
            device_id: "dev".into(),
            engines: vec![ENGINE],
            interval: Duration::from_secs(60),
            metrics_ttl: None,
            sockets: Vec::new(),
            default_memory: None,
            finished: Default::default(),
            fallbacks: Default::default(),
            images: Default::default(),
            stops: Default::default(),
            updates: Default::default(),
            update_lock: false,
            built_in_metrics: Default::default(),
            lasting: Default::default(),
            history: Default::default(),
            manifests: true,
            server: None,
            not_before: SystemTime::UNIX_EPOCH,
            next_slot: |_, _| None,
            local: |_| None,
            seed: 1,
        });
        let now = Now { up: Duration::from_secs(1000), utc: SystemTime::now() };
        let mut device = Self { agent, now, wake: Wake::Never, pods: BTreeMap::new() };
        let profile = Profile { name: "p".into(), conditions: (0..CONDITIONS).map(condition).collect() };
        let workloads = (0..count).map(|index| workload(index).into()).collect();
        device.happen(Event::Desired(DesiredState {
            profiles: vec![profile],
            workloads,
            ..DesiredState::default()
        }));
        device.happen(camera(0)); // before that nothing is decided
        device
    }

    /// What each of these decisions took, in µs. `judge` sees what was ordered.
    fn times(&mut self, event: impl Fn(usize) -> Event, judge: impl Fn(&[Task])) -> Vec<f64> {
        self.rounds(ROUNDS, event, judge)
    }

    fn rounds(&mut self, rounds: usize, event: impl Fn(usize) -> Event, judge: impl Fn(&[Task])) -> Vec<f64> {
        let mut times = Vec::with_capacity(rounds);
        self.pass(BETWEEN);
        for round in 0..rounds {
            let event = event(round);
            let start = Instant::now();
            let (actions, wake) = self.agent.decide(event, self.now);
            times.push(start.elapsed().as_secs_f64() * 1e6);
            let orders: Vec<Task> = actions.iter().filter_map(ordered).map(|it| it.task.clone()).collect();
            judge(&orders);
            self.wake = wake;
            self.answer(actions);
        }
        times
    }

    /// Lets time pass; what is due meanwhile happens.
    fn pass(&mut self, time: Duration) {
        let end = self.now.up + time;
        while let Wake::At(at) = self.wake
            && at <= end
        {
            self.advance(at.max(self.now.up));
            self.happen(Event::Tick);
        }
        self.advance(end);
        self.happen(Event::Tick);
    }

    fn advance(&mut self, up: Duration) {
        self.now = Now { up, utc: self.now.utc + (up - self.now.up) };
    }

    fn happen(&mut self, event: Event) {
        let (actions, wake) = self.agent.decide(event, self.now);
        self.wake = wake;
        self.answer(actions);
    }

    fn answer(&mut self, actions: Vec<Action>) {
        for order in actions.iter().filter_map(ordered) {
            let result = Ok(self.carry_out(&order.task));
            self.happen(Event::Done(Outcome { engine: ENGINE, ticket: order.ticket, result }));
        }
    }

    fn carry_out(&mut self, task: &Task) -> Fact {
        match task {
            Task::List => {
                let pod = |(id, workload): (&WorkloadId, &String)| PodSummary {
                    id: id.clone(),
                    workload: workload.clone(),
                    running: true,
                    replaced: false,
                };
                Fact::Pods(self.pods.iter().map(pod).collect())
            }
            Task::Pull(_) => Fact::Pulled { fetched: Vec::new(), stale: Vec::new() },
            Task::Rehearse { .. } => Fact::Fit { fetched: Vec::new(), holders: Vec::new() },
            Task::Start(workload, _) => {
                self.pods.insert(workload.id.clone(), workload.content.name.to_string());
                Fact::Pod(running(self.now.utc))
            }
            Task::Look(id) if self.pods.contains_key(id) => Fact::Pod(running(self.now.utc)),
            Task::Remove { id, .. } => {
                self.pods.remove(id);
                Fact::Gone
            }
            Task::Look(_) => Fact::Gone,
            other => panic!("{other:?}"),
        }
    }
}

fn ordered(action: &Action) -> Option<&Order> {
    match action {
        Action::Order(order) => Some(order),
        _ => None,
    }
}

fn running(began: SystemTime) -> Pod {
    let container = Container {
        name: "a".into(),
        state: ContainerState::Running,
        out_of_memory: None,
        healthcheck: None,
    };
    Pod { containers: vec![container], began: Some(began), ..Pod::default() }
}

/// The last ones are listed by none.
fn condition(index: usize) -> Condition {
    Condition {
        name: format!("c{index}"),
        // what the agent knows itself is asked for like a metric
        expression: match index % 4 {
            0 if index == CONDITIONS - 4 => format!("{CAMERA} == 1"),
            1 => format!("m{index} > 1 && workload.w{index}.last_exit == nil"),
            2 => format!("m{index} > 1 && time.hour == nil"),
            _ => format!("m{index} > 1"),
        },
        ..Condition::default()
    }
}

fn workload(index: usize) -> Workload {
    let specification = json!({"containers": [{"name": "a", "image": "i"}]});
    let mut workload = Workload::new(Content::new(format!("w{index}"), ENGINE, specification));
    let listed = |index| ListedCondition { name: format!("c{index}"), cpu: None };
    let conditions = vec![listed(index), listed(index + SECOND)];
    workload.profiles = vec![ListedProfile { name: "p".into(), conditions }];
    workload
}
