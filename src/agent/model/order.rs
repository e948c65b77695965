//! What the agent asks of a podman, and what it hears back.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    image::PulledImage,
    pressure::Resource,
    probe::Probe,
    quantity,
    workload::{Engine, Workload, WorkloadId},
};

/// Numbers orders in the order in which they were given; an [`Outcome`] carries its order's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// How long a pod's containers may take to end after SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grace {
    /// So long; at least a second.
    Given(Duration),
    /// As long as podman was told when it made them: of a pod whose workload isn't known.
    Own,
    /// The shortest time there is, and without podman, which needs memory that the device is short of.
    Shortest,
}

/// One order to one podman. It is answered by exactly one [`Outcome`], within a time limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Which podman is to do it.
    pub engine: Engine,
    /// Comes back with the outcome.
    pub ticket: Ticket,
    /// What to do.
    pub task: Task,
}

/// What a podman can do.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Tell all pods of this owner: [`Fact::Pods`].
    List,
    /// Get the workload's images as each container's pull policy says: [`Fact::Pulled`].
    Pull(Arc<Workload>),
    /// Rehearse a start: see whether the workload's pod could be made and started, as far as that can be known while
    /// its host ports may be held by a pod of ours that is to go first; images that are not here are got:
    /// [`Fact::Fit`].
    Rehearse {
        /// Whose pod.
        workload: Arc<Workload>,
        /// A pod of it that is to go is on another podman: a port that none of this podman holds may be that one's.
        moves: bool,
    },
    /// Make and start the workload's pod; nothing half-made stays behind on failure: [`Fact::Pod`], or [`Fact::Gone`]
    /// if that was cut short. Its CPU time is bounded from the start where that can be had: the pod's limit tells.
    Start(Arc<Workload>, CpuLimit),
    /// Cut the start of this pod short that is under way: [`Fact::Gone`] at once. What came of it, the start's own
    /// outcome tells, and soon.
    Cancel(WorkloadId),
    /// Tell all about one pod, and watch its processes from now on: [`Fact::Pod`] or [`Fact::Gone`].
    Look(WorkloadId),
    /// Bound the CPU time of a running pod as a whole, or free it: [`Fact::Limited`], once that was read back.
    Limit {
        /// Whose pod.
        id: WorkloadId,
        /// From now on.
        cpu: CpuLimit,
    },
    /// Remove an image that no container uses: [`Fact::Gone`], also if there was none.
    Discard(String),
    /// Stop the pod and remove it with what belongs to it alone: [`Fact::Gone`], also if there was none.
    Remove {
        /// Whose pod.
        id: WorkloadId,
        /// How long its containers may take to end after SIGTERM.
        grace: Grace,
    },
    /// Ask a container whether it is well: [`Fact::Probed`]. A failure to ask says nothing about it.
    Probe {
        /// Whose pod.
        id: WorkloadId,
        /// The container's name in the specification.
        container: String,
        /// What to ask, and for how long.
        probe: Arc<Probe>,
    },
    /// End a container of a running pod, and leave it there: [`Fact::Ended`], also if it had ended before.
    End {
        /// Whose pod.
        id: WorkloadId,
        /// The container's name in the specification.
        container: String,
        /// How long it may take to end after SIGTERM; at least a second.
        grace: Duration,
    },
    /// Start a container of a pod again that has ended, and nothing else of it; then tell all about the pod, and watch its
    /// processes from now on: [`Fact::Pod`] or [`Fact::Gone`]. Another container of that name is left as it is.
    Restart {
        /// Whose pod.
        id: WorkloadId,
        /// The container's name in the specification.
        container: String,
        /// When it ended, by the wall clock: one of a later pod was made since.
        ended: SystemTime,
    },
    /// Tell how much of this each running pod of this owner uses: [`Fact::Usage`].
    Usage(Resource),
}

/// The answer to one [`Order`].
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Who answers.
    pub engine: Engine,
    /// Which order this answers.
    pub ticket: Ticket,
    /// What is true now, or why it could not be done.
    pub result: Result<Fact, Failure>,
}

/// What is true after an order was carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// All pods of this owner.
    Pods(Vec<PodSummary>),
    /// All images of the workload are here. Says which could not be pulled although one is present.
    Pulled {
        /// The images that came in.
        fetched: Vec<PulledImage>,
        /// One sentence per image that could not be pulled, while an older one is here.
        stale: Vec<String>,
    },
    /// Nothing is known that would keep the workload's pod from starting.
    Fit {
        /// The images that came in.
        fetched: Vec<PulledImage>,
        /// The host ports that it wants and pods of ours have, with those.
        holders: Vec<(String, WorkloadId)>,
    },
    /// One pod in full.
    Pod(Pod),
    /// The limit is what it was ordered to be.
    Limited,
    /// The container doesn't run.
    Ended,
    /// There is no such pod, or image (any more).
    Gone,
    /// A container was asked.
    Probed {
        /// Whether it is well.
        healthy: bool,
        /// Why not, in a few words.
        output: String,
    },
    /// The pods that use any, in bytes.
    Usage(Vec<(WorkloadId, u64)>),
}

/// Why an order could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The engine can't be reached or doesn't answer in time: says nothing about the workload.
    Engine(String),
    /// The engine answered, and it won't: the image is missing, the command not found, the port taken …
    Workload(String),
}

/// A pod in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSummary {
    /// The pod's name.
    pub id: WorkloadId,
    /// The workload's name, from the pod's label.
    pub workload: String,
    /// Whether every container of it runs, and it wasn't replaced.
    pub running: bool,
    /// Whether it isn't the very pod that was looked at last, if one was: by an order that came late, or by hand.
    pub replaced: bool,
}

/// A pod in full: its containers in the order of the specification, without infra and init containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    /// The containers that exist.
    pub containers: Vec<Container>,
    /// The limit of the pod as a whole; `None` also where it can't be read.
    pub cpu: CpuLimit,
    /// When the container began that runs and began last, by the wall clock.
    pub began: Option<SystemTime>,
    /// When its first container was made, by the wall clock, as far as podman was asked.
    pub made: Option<SystemTime>,
    /// What held its network and its other namespaces has ended: what is started in it now has others.
    pub torn: bool,
    /// The containers that this order started and that did not come up, and why: they could not be started, or their
    /// hook failed that runs after a start. The latter run.
    pub failed_starts: Vec<(String, String)>,
}

impl Pod {
    /// When the last container ended, of those that did.
    pub fn ended_at(&self) -> Option<SystemTime> {
        self.containers.iter().filter_map(|it| it.state.ended_at()).max()
    }

    /// Which container ended for want of memory.
    pub fn out_of_memory(&self) -> Option<String> {
        let starved = |it: &Container| Some(format!("container '{}': {}", it.name, it.out_of_memory?));
        self.containers.iter().find_map(starved)
    }

    /// Whether the container of this name never came to run.
    pub fn is_stuck(&self, container: &str) -> bool {
        let stuck = |it: &Container| it.name == container && matches!(it.state, ContainerState::Stuck(_));
        self.containers.iter().any(stuck)
    }

    /// How long the container ran that ran longest, of those that ended.
    pub fn longest_run(&self) -> Duration {
        let ran = |container: &Container| match container.state {
            ContainerState::Exited { ran, .. } => Some(ran),
            _ => None,
        };
        self.containers.iter().filter_map(ran).max().unwrap_or_default()
    }
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name in the specification.
    pub name: String,
    /// What it does.
    pub state: ContainerState,
    /// The kernel ended it for want of memory.
    pub out_of_memory: Option<OutOfMemory>,
    /// What its image asks for, if it runs: for a container without a liveness probe.
    pub healthcheck: Option<Arc<Probe>>,
}

/// A container had used all the memory that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// In bytes; `None` where it has no limit of its own.
    pub limit: Option<u64>,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("out of memory")?;
        self.limit.map_or(Ok(()), |limit| write!(f, ": its limit is {}", quantity::format_exact(limit)))
    }
}

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// It runs.
    Running,
    /// It ran, and ended.
    Exited {
        /// Its exit code; 128 + the signal that killed it.
        code: i32,
        /// When it ended, by the wall clock.
        at: SystemTime,
        /// How long it ran.
        ran: Duration,
    },
    /// Neither runs nor ever ran, or is paused: in no state that a workload should be in.
    Stuck(String),
}

impl ContainerState {
    /// When it ended, by the wall clock, if it did.
    pub fn ended_at(&self) -> Option<SystemTime> {
        if let Self::Exited { at, .. } = self { Some(*at) } else { None }
    }

    /// One that was started and ended at these times, by the wall clock: that may have been set meanwhile.
    pub fn from_exit(code: i32, started: SystemTime, at: SystemTime) -> Self {
        Self::Exited { code, at, ran: at.duration_since(started).unwrap_or_default() }
    }
}

/// CPU time of a whole pod in µs per 100,000 µs; `None`: no limit but those of its containers.
pub type CpuLimit = Option<u64>;

/// µs; what a limit of CPU time is counted in.
pub const CPU_PERIOD: u64 = 100_000;

/// A limit of so many µs of CPU time per period, which is [`CPU_PERIOD`] where none or 0 is told, in µs per that one.
pub fn normalize_cpu_quota(quota: u64, period: Option<u64>) -> u64 {
    let period = period.filter(|period| *period > 0).unwrap_or(CPU_PERIOD);
    quota.saturating_mul(CPU_PERIOD) / period
}
