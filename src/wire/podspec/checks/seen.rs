//! What the parts of a pod share, and each may have only once.

use std::collections::BTreeSet;

use crate::wire::podspec::{
    container::{ContainerPort, Protocol},
    pod::PodSpec,
    values::IpAddressText,
};

/// What was seen so far.
#[derive(Debug)]
pub(super) struct SeenNames<'a> {
    /// Of all volumes.
    pub(super) volumes: BTreeSet<&'a str>,
    containers: BTreeSet<&'a str>,
    host_ports: Vec<(u16, Protocol, Option<IpAddressText>)>,
}

impl<'a> SeenNames<'a> {
    pub(super) fn with_volumes_of(spec: &'a PodSpec) -> Self {
        let volumes = spec.volumes.iter().map(|volume| &*volume.name.0).collect();
        Self { volumes, containers: BTreeSet::new(), host_ports: Vec::new() }
    }

    /// Whether the name is a new one, or none.
    pub(super) fn insert_container(&mut self, name: &'a str) -> bool {
        name.is_empty() || self.containers.insert(name)
    }

    /// Whether no other container has the port of the host.
    pub(super) fn insert_host_port(&mut self, port: &ContainerPort) -> bool {
        /// More are not compared.
        const MAX_HOST_PORTS: usize = 1_000;
        let port = (port.host_port.0, port.protocol, port.host_ip);
        let is_new = !self.host_ports.contains(&port);
        if is_new && self.host_ports.len() < MAX_HOST_PORTS {
            self.host_ports.push(port);
        }
        is_new
    }
}
