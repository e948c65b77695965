//! What is known of a pod's containers.

use std::time::SystemTime;

use crate::{
    agent::model::{
        order::{Container, ContainerState},
        workload::WorkloadId,
    },
    io::exits::{Exit, Process},
    wire::podman::answers::{InspectedContainer, InspectedPodContainer, InspectedState, parse_time},
};

/// A container as it was found.
pub(super) struct SeenContainer {
    pub(super) container: Container,
    /// If it runs.
    pub(super) process: Option<Process>,
    /// When it was started, if it was.
    pub(super) began: Option<SystemTime>,
}

/// A container as podman told it.
pub(super) struct Inspected {
    pub(super) listed: InspectedPodContainer,
    pub(super) seen: SeenContainer,
    pub(super) answer: InspectedContainer,
}

/// A pod as it was found.
pub(super) struct Found {
    pub(super) seen: Vec<SeenContainer>,
    /// When its first container was made, if podman was asked.
    pub(super) made: Option<SystemTime>,
    /// What held its namespaces has ended.
    pub(super) torn: bool,
    /// What was started and did not come up, and why.
    pub(super) failed_starts: Vec<(String, String)>,
}

/// A pod as podman told it.
pub(super) struct InspectedPod {
    pub(super) all: Vec<Inspected>,
    /// What held its namespaces has ended.
    pub(super) torn: bool,
}

impl From<InspectedPod> for Found {
    fn from(InspectedPod { all, torn }: InspectedPod) -> Self {
        let made = all.iter().filter_map(|one| parse_time(&one.answer.created)).min();
        Self { seen: all.into_iter().map(|one| one.seen).collect(), made, torn, failed_starts: Vec::new() }
    }
}

/// A pod that was looked at.
pub(super) struct KnownPod {
    /// The id of what holds its namespaces.
    pub(super) infra: String,
    pub(super) containers: Vec<KnownContainer>,
}

/// A container that was looked at.
pub(super) struct KnownContainer {
    pub(super) listed: InspectedPodContainer,
    /// If it ran, and its processes can be seen from here.
    pub(super) life: Option<Life>,
}

/// What tells how a container's life ends, without podman.
pub(super) struct Life {
    container: Container,
    began: SystemTime,
    pid: i32,
    conmon_pid: i32,
}

impl Life {
    pub(super) fn of(inspected: &Inspected) -> Option<Self> {
        let SeenContainer { container, process, began } = &inspected.seen;
        process.as_ref().filter(|process| process.is_whole())?;
        let InspectedState { pid, conmon_pid, .. } = inspected.answer.state;
        Some(Self { container: container.clone(), began: (*began)?, pid, conmon_pid })
    }

    /// The container as it is now, whose end is known if it ended; nothing if that is unclear.
    pub(super) fn now(&self, listed: &InspectedPodContainer, end: Option<Exit>) -> Option<SeenContainer> {
        let Container { name, healthcheck, .. } = &self.container;
        let (state, process, healthcheck) = if let Some(Exit { code, at }) = end {
            (ContainerState::exited(code, self.began, at), None, None)
        } else {
            let process = Process::open(&listed.id, self.pid, self.conmon_pid).ok();
            (ContainerState::Running, Some(process.filter(Process::is_whole)?), healthcheck.clone())
        };
        let container = Container { name: name.clone(), state, out_of_memory: None, healthcheck };
        Some(SeenContainer { container, process, began: Some(self.began) })
    }
}

/// The container's name in the specification.
pub(super) fn short_name<'a>(id: &WorkloadId, container: &'a InspectedPodContainer) -> &'a str {
    let name = &container.name;
    name.strip_prefix(id.as_str()).and_then(|name| name.strip_prefix('-')).unwrap_or(name)
}
