//! What a workload's pod and its parts are called, and what a container may take whose author set no limit.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, net::IpAddr};

use crate::{
    agent::model::workload::WorkloadId,
    wire::{
        ownership::fitted,
        podspec::{
            PodSpec,
            container::{ContainerPort, Protocol},
        },
    },
};

/// The label with the content's hash, cut to 32 digits.
pub const HASH_LABEL: &str = "project-flotta.io";
/// The label of a pod with what its containers ask for after their start and before their stop: [`super::hooks`].
pub const HOOKS_LABEL: &str = "project-flotta.io/hooks";
/// `<this>/<container>` bounds the number of a container's processes.
const PIDS_LIMIT: &str = "io.podman.annotations.pids-limit";

/// What a container may take whose author set no limit. Another limit is no reason to restart a pod: it counts
/// from its next start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        // 512 shells fit into the smallest device
        Self { memory: None, cpu: None, pids: Some(512) }
    }
}

/// A port of the host that a pod wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Of one address only.
    pub ip: Option<IpAddr>,
    /// Its number.
    pub port: u16,
    /// Or else TCP.
    pub is_udp: bool,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, if self.is_udp { "udp" } else { "tcp" })
    }
}

/// The ports that podman binds before the pod starts: only where their author says a port of the host. In the host's
/// own network a pod takes its ports itself.
pub(super) fn published(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let containers = spec.all_containers().filter(|_| !spec.host_network);
    containers.flat_map(|(_, container)| &container.ports).filter(|port| port.host_port.0 > 0)
}

/// Those of them whose owner can be found.
pub fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let ports = published(spec).filter(|port| port.protocol != Protocol::Sctp);
    let host_port = |port: &ContainerPort| HostPort {
        ip: port.host_ip.map(|it| it.0).filter(|ip| !ip.is_unspecified()),
        port: port.host_port.0,
        is_udp: port.protocol == Protocol::Udp,
    };
    ports.map(host_port).collect()
}

/// What all names begin with that the pod doesn't share with any other: those of its volumes, but for claims.
pub fn own_prefix(id: &WorkloadId) -> String {
    // no name of Kubernetes has an underscore, so that no other name can look like this one
    format!("{id}_")
}

/// What podman calls a container, after its pod's name.
pub fn container_name(name: &str) -> Cow<'_, str> {
    fitted(name, |name| {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        name.len() <= 63 && name.bytes().all(is_fine) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// The annotation that bounds the number of this container's processes.
pub fn pids_limit_annotation(container: &str) -> String {
    format!("{PIDS_LIMIT}/{container}")
}
