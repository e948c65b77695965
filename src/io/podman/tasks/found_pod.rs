//! What is known of a pod's containers.

use std::time::SystemTime;

use crate::{
    agent::model::{
        order::{Container, ContainerState},
        workload::WorkloadId,
    },
    io::exits::{ContainerProcesses, Exit},
    wire::podman::answers::{InspectedContainer, InspectedPodContainer, InspectedState, parse_time},
};

/// A container as it was found.
pub(super) struct SeenContainer {
    pub(super) container: Container,
    /// If it runs.
    pub(super) process: Option<ContainerProcesses>,
    /// When it was started, if it was.
    pub(super) began: Option<SystemTime>,
}

/// A container as podman told it.
pub(super) struct ContainerInspection {
    pub(super) listed: InspectedPodContainer,
    pub(super) seen: SeenContainer,
    pub(super) answer: InspectedContainer,
}

/// A pod as it was found.
pub(super) struct FoundPod {
    pub(super) seen: Vec<SeenContainer>,
    /// When its first container was made, if podman was asked.
    pub(super) made: Option<SystemTime>,
    /// What held its namespaces has ended.
    pub(super) torn: bool,
    /// What was started and did not come up, and why.
    pub(super) failed_starts: Vec<(String, String)>,
}

/// A pod as podman told it.
pub(super) struct PodInspection {
    pub(super) all: Vec<ContainerInspection>,
    /// What held its namespaces has ended.
    pub(super) torn: bool,
}

impl From<PodInspection> for FoundPod {
    fn from(PodInspection { all, torn }: PodInspection) -> Self {
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
    pub(super) life: Option<ContainerLife>,
}

/// What tells how a container's life ends, without podman.
pub(super) struct ContainerLife {
    container: Container,
    began: SystemTime,
    pid: i32,
    conmon_pid: i32,
}

impl ContainerLife {
    pub(super) fn from_inspection(inspected: &ContainerInspection) -> Option<Self> {
        let SeenContainer { container, process, began } = &inspected.seen;
        process.as_ref().filter(|process| process.has_both_processes())?;
        let InspectedState { pid, conmon_pid, .. } = inspected.answer.state;
        Some(Self { container: container.clone(), began: (*began)?, pid, conmon_pid })
    }

    /// The container as it is now, whose end is known if it ended; nothing if that is unclear.
    pub(super) fn current_state(
        &self,
        listed: &InspectedPodContainer,
        end: Option<Exit>,
    ) -> Option<SeenContainer> {
        let Container { name, healthcheck, .. } = &self.container;
        let (state, process, healthcheck) = if let Some(Exit { code, at }) = end {
            (ContainerState::from_exit(code, self.began, at), None, None)
        } else {
            let process = ContainerProcesses::open(&listed.id, self.pid, self.conmon_pid).ok();
            (
                ContainerState::Running,
                Some(process.filter(ContainerProcesses::has_both_processes)?),
                healthcheck.clone(),
            )
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
