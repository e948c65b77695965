//! Orders, and what is asked of podman beside the executor.

use std::{
    path::PathBuf,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, unbounded};
use device_worker_ng::{
    agent::{
        Event,
        model::{
            confidential::Confidential,
            order::{ContainerState, Fact, Failure, Grace, Order, Outcome, Pod, PodSummary, Task, Ticket},
            subsystem::Subsystem,
            workload::{Content, Engine, Workload, WorkloadId},
        },
    },
    io::{
        outputs::ContainerOutputs,
        podman::{Podman, PodmanConfig},
        pressure::WatchedDisks,
    },
    wire::podman::limits::DefaultLimits,
};
use serde_json::{Value, json};

use crate::support::{IMAGE, podman, podman_or_skip, proxy::Proxy, skip};

pub(crate) const ENGINE: Engine = Engine::Podman { rootless: false };
const PATIENCE: Duration = Duration::from_secs(60);

/// An executor with an owner of its own.
pub(crate) struct Bed {
    pub(crate) podman: Podman,
    pub(crate) events: Receiver<Event>,
    pub(crate) owner: String,
    socket: PathBuf,
    /// Where the executor makes volumes.
    pub(crate) volumes: Arc<tempfile::TempDir>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

fn new_owner() -> String {
    format!("test-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Bed {
    /// `None` without podman.
    pub(crate) fn new() -> Option<Self> {
        Some(Self::at(podman_or_skip()?))
    }

    /// On the podman that listens there.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self::of(new_owner(), socket, tempfile::tempdir().unwrap())
    }

    /// One that asks podman through a proxy; `None` without podman.
    pub(crate) fn behind_proxy() -> Option<(Self, Proxy)> {
        let target = podman_or_skip()?;
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("proxy.sock");
        let proxy = Proxy::start(&socket, target);
        Some((Self::of(new_owner(), socket, directory), proxy))
    }

    /// A second executor for the same pods.
    pub(crate) fn another(&self) -> Self {
        Self::of(self.owner.clone(), self.socket.clone(), tempfile::tempdir().unwrap())
    }

    /// The same with the same directories: as when the agent is started again.
    pub(crate) fn successor(&self) -> Self {
        Self::with(self.owner.clone(), self.socket.clone(), self.volumes.clone())
    }

    fn of(owner: String, socket: PathBuf, volumes: tempfile::TempDir) -> Self {
        Self::with(owner, socket, Arc::new(volumes))
    }

    fn with(owner: String, socket: PathBuf, volumes: Arc<tempfile::TempDir>) -> Self {
        let (sender, events) = unbounded();
        let config = PodmanConfig {
            engine: ENGINE,
            socket: socket.clone(),
            owner: owner.clone(),
            device_id: "dev1".into(),
            limits: DefaultLimits::default(),
            disks: WatchedDisks::default(),
            volumes: volumes.path().join("volumes"),
            outputs: ContainerOutputs::new(volumes.path()),
        };
        Self { podman: Podman::start(config, sender).unwrap(), events, owner, socket, volumes }
    }

    pub(crate) fn submit(&self, task: Task) -> Ticket {
        let ticket = Ticket(NEXT.fetch_add(1, Ordering::Relaxed));
        assert_eq!(self.podman.submit(Order { engine: ENGINE, ticket, task }), None);
        ticket
    }

    /// The next outcome; fails when something else comes first, but for what this machine has too little of.
    pub(crate) fn outcome(&self) -> Outcome {
        loop {
            match self.events.recv_timeout(PATIENCE).expect("no outcome") {
                Event::Done(outcome) => return outcome,
                Event::Works(Subsystem::Forks(_), _) => {}
                other => panic!("{other:?} instead of an outcome"),
            }
        }
    }

    pub(crate) fn order(&self, task: Task) -> Result<Fact, Failure> {
        let ticket = self.submit(task);
        let outcome = self.outcome();
        assert_eq!(outcome.ticket, ticket);
        outcome.result
    }

    pub(crate) fn start(&self, workload: &Arc<Workload>) -> Pod {
        pod(self.order(Task::Start(workload.clone(), None)))
    }

    pub(crate) fn look(&self, workload: &Workload) -> Pod {
        pod(self.order(Task::Look(workload.id.clone())))
    }

    pub(crate) fn list(&self) -> Vec<PodSummary> {
        match self.order(Task::List) {
            Ok(Fact::Pods(pods)) => pods,
            other => panic!("{other:?} instead of pods"),
        }
    }

    pub(crate) fn remove(&self, workload: &Workload) -> Result<Fact, Failure> {
        self.order(Task::Remove { id: workload.id.clone(), grace: Grace::Given(Duration::from_secs(1)) })
    }

    /// Asks podman behind the executor's back.
    pub(crate) fn get(&self, path: &str) -> Value {
        podman::call(&self.socket, "GET", path, "").1
    }

    /// Whether this podman has no cgroups of its own: a user's, on a machine with cgroups of version 1.
    pub(crate) fn lacks_cgroups(&self) -> bool {
        let host = &self.get("info")["host"];
        host["security"]["rootless"] == true && host["cgroupVersion"] == "v1"
    }

    /// One with control groups; without them it says that the test is skipped.
    pub(crate) fn with_cgroups() -> Option<Self> {
        let bed = Self::new()?;
        if bed.lacks_cgroups() {
            skip("rootless podman has no control groups here");
            return None;
        }
        Some(bed)
    }

    /// The state of a container as podman tells it.
    pub(crate) fn state(&self, id: &WorkloadId, container: &str) -> Value {
        self.get(&format!("containers/{id}-{container}/json"))["State"].clone()
    }

    /// The names of everything that podman has of the pod.
    pub(crate) fn remains(&self, id: &WorkloadId) -> Vec<String> {
        let mut names = Vec::new();
        for path in ["pods/json", "containers/json?all=true", "volumes/json"] {
            for thing in self.get(path).as_array().into_iter().flatten() {
                names.push(format!("{} {}", thing["Name"], thing["Names"]));
            }
        }
        names.retain(|name| name.contains(id.as_str()));
        names
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        for pod in self.list() {
            let gone = self.order(Task::Remove { id: pod.id, grace: Grace::Given(Duration::from_secs(1)) });
            assert_eq!(gone, Ok(Fact::Gone));
        }
    }
}

pub(crate) fn pod(result: Result<Fact, Failure>) -> Pod {
    match result {
        Ok(Fact::Pod(pod)) => pod,
        other => panic!("{other:?} instead of a pod"),
    }
}

/// Names and states, as text that is easy to compare: `main running`, `main exited 7`.
pub(crate) fn states(pod: &Pod) -> Vec<String> {
    let state = |state: &ContainerState| match state {
        ContainerState::Running => "running".into(),
        ContainerState::Exited { code, .. } => format!("exited {code}"),
        ContainerState::Stuck(why) => format!("stuck: {why}"),
    };
    pod.containers.iter().map(|container| format!("{} {}", container.name, state(&container.state))).collect()
}

/// A container of the test image that runs this shell command.
pub(crate) fn container(name: &str, command: &str) -> Value {
    json!({ "name": name, "image": IMAGE, "command": ["sh", "-c", command] })
}

pub(crate) fn workload(name: &str, specification: Value) -> Arc<Workload> {
    workload_with(name, specification, vec![])
}

/// In a namespace of the test's own: two tests that ask for the same get two pods.
pub(crate) fn workload_with(name: &str, specification: Value, config_maps: Vec<Value>) -> Arc<Workload> {
    Arc::new(Workload::new(Content {
        name: name.into(),
        namespace: thread::current().name().unwrap_or("default").into(),
        engine: ENGINE,
        labels: vec![("app".into(), name.into())],
        annotations: vec![],
        config_maps,
        secrets: Confidential::default(),
        auth: Confidential::default(),
        aliases: Vec::new(),
        specification: specification.into(),
    }))
}
