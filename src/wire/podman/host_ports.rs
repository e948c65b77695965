//! Which ports of the host a pod wants.

#[cfg(test)]
mod tests;

use std::{fmt, net::IpAddr};

use crate::wire::podspec::{
    PodSpec,
    container::{ContainerPort, Protocol},
};

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
pub(super) fn published_ports(spec: &PodSpec) -> impl Iterator<Item = &ContainerPort> {
    let containers = spec.all_containers().filter(|_| !spec.host_network);
    containers.flat_map(|(_, container)| &container.ports).filter(|port| port.host_port.0 > 0)
}

/// Those of them whose owner can be found.
pub fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let ports = published_ports(spec).filter(|port| port.protocol != Protocol::Sctp);
    let host_port = |port: &ContainerPort| HostPort {
        ip: port.host_ip.map(|it| it.0).filter(|ip| !ip.is_unspecified()),
        port: port.host_port.0,
        is_udp: port.protocol == Protocol::Udp,
    };
    ports.map(host_port).collect()
}
