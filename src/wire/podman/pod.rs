//! What a workload's pod and its parts are called, and what a container may take whose author set no limit.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, net::IpAddr};

use serde_json::Value;

use crate::{agent::model::workload::WorkloadId, wire::ownership::fitted};

/// The label with the content's hash, cut to 32 digits.
pub const HASH_LABEL: &str = "project-flotta.io";
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

/// Those that podman binds before the pod starts: in the host's own network a pod takes its ports itself.
pub fn host_ports(specification: &Value) -> Vec<HostPort> {
    if specification["hostNetwork"] == true {
        return Vec::new();
    }
    let containers = specification["containers"].as_array().into_iter().flatten();
    let ports = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let host_port = |port: &Value| {
        let number = port["hostPort"].as_u64().and_then(|number| u16::try_from(number).ok());
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        Some(HostPort {
            ip: port["hostIP"]
                .as_str()
                .and_then(|ip| ip.parse().ok())
                .filter(|ip: &IpAddr| !ip.is_unspecified()),
            port: number.filter(|number| *number > 0)?,
            is_udp: protocol.eq_ignore_ascii_case("UDP"),
        })
        .filter(|_| !protocol.eq_ignore_ascii_case("SCTP"))
    };
    ports.filter_map(host_port).collect()
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
