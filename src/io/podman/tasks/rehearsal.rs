//! What can be known of a pod's start before the one that runs has to go.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketType, bind, socket, sockopt::set_socket_reuseaddr},
};
use serde_json::json;

use super::{PODMAN_TIMEOUT, SHORT_GRACE, TaskRunner, making::PodBuilder};
use crate::{
    agent::model::{
        order::{Fact, Failure},
        workload::{Workload, WorkloadId},
    },
    io::{
        holder, lock,
        podman::{api::Error, images},
    },
    settings::ListenAddress,
    wire::{
        podman::{
            answers::ListedContainer,
            host_ports::{HostPort, host_ports},
        },
        podspec::PodSpec,
    },
};

/// Of the kernel's list of sockets.
const MAX_SOCKET_LIST_BYTES: u64 = 4 << 20;

impl TaskRunner {
    /// Whether the pod could be made and started. Pulls the images that are missing; then podman makes the pod, by another
    /// name, and never starts it: it knows best what it would refuse, and sees the host's directories as they are.
    /// `moves`: a pod on another podman gives its ports away before.
    pub(super) fn rehearse(&self, workload: &Workload, moves: bool) -> Result<Fact, Failure> {
        let fetched = images::pull_missing(&self.client, workload)?;
        let holders = self.port_holders(workload, moves)?;
        let hash = workload.hash.get(..12).unwrap_or_default();
        let id = WorkloadId::from_pod_name(&format!("rehearsal-{hash}"));
        let stand_in = Workload { id: id.clone(), ..workload.clone() };
        lock(&self.rehearsals).insert(id.clone());
        let _starting = self.volumes.guard_starting(&id);
        let made = self.make_rehearsal_pod(&stand_in).map_err(Failure::from);
        let removed = self.remove(&id, SHORT_GRACE);
        lock(&self.rehearsals).remove(&id);
        made.and(removed).map(|()| Fact::Fit { fetched, holders })
    }

    /// Makes the pod with all its containers, and starts nothing.
    fn make_rehearsal_pod(&self, workload: &Workload) -> Result<(), Error> {
        let trees_dir = self.trees_dir(&workload.id);
        let mut making = PodBuilder::new(self, workload, self.agent_identity(trees_dir.as_deref()))?;
        let made = self.make_all(&mut making);
        made.map_err(|error| making.explain(error))
    }

    fn make_all(&self, making: &mut PodBuilder) -> Result<(), Error> {
        making.create_pod(None)?;
        making.create_volumes()?;
        making.write_files()?;
        let steps = making.plan.planned_containers().to_vec();
        steps.iter().try_for_each(|step| making.create_container(step))
    }

    /// Who has the port for want of which podman refused a pod, if that can be seen.
    pub(super) fn port_holder(&self, workload: &Workload, refused: &str) -> Option<String> {
        if !refused.contains("address already in use") {
            return None;
        }
        match self.port_holders(workload, false) {
            Ok(holders) => holders.first().map(|(port, id)| {
                let name = id.as_str().rsplit_once('-').map_or(id.as_str(), |(name, _)| name);
                format!("host port {port} is taken by workload '{name}'")
            }),
            Err(Failure::Workload(why)) => Some(why),
            Err(Failure::Engine(_)) => None,
        }
    }

    /// Which pods of ours have host ports that this one wants. `moves`: what isn't of this podman is of another one.
    ///
    /// # Errors
    /// Another program has one.
    fn port_holders(&self, workload: &Workload, moves: bool) -> Result<Vec<(String, WorkloadId)>, Failure> {
        let wanted = host_ports(&PodSpec::read_accepted(&workload.content.specification.value()));
        let taken: Vec<HostPort> = wanted.into_iter().filter(is_taken).collect();
        if taken.is_empty() {
            return Ok(Vec::new());
        }
        let filters = json!({ "status": ["running"] }).to_string();
        let running: Vec<ListedContainer> =
            self.client.get("containers/json", &[("filters", &filters)], PODMAN_TIMEOUT)?.json()?;
        let mut holders = Vec::new();
        for port in taken {
            let holder = running.iter().find(|container| container.publishes(&port));
            let refused = |by: &str| Err(Failure::Workload(format!("host port {port} is taken by {by}")));
            let Some(holder) = holder else {
                if moves {
                    continue;
                }
                return refused(&port_owner_program(&port));
            };
            let id = WorkloadId::from_pod_name(&holder.pod_name);
            if lock(&self.ours).contains_key(&id) {
                holders.push((port.to_string(), id));
            } else if holder.pod_name.is_empty() {
                return refused("a container that isn't this agent's");
            } else {
                return refused(&format!("pod '{}', which isn't this agent's", holder.pod_name));
            }
        }
        Ok(holders)
    }
}

/// Who has this port, as far as the kernel tells.
fn port_owner_program(port: &HostPort) -> String {
    let ip = port.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = ListenAddress::Tcp(SocketAddr::new(ip, port.port));
    let found = holder::find_holder(&address).filter(|_| !port.is_udp);
    found.map_or_else(|| "another program".to_owned(), |it| it.to_string())
}

/// As far as can be seen from here.
fn is_taken(port: &HostPort) -> bool {
    let ip = port.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)); // as podman takes it
    let address = SocketAddr::new(ip, port.port);
    match try_bind(&address, port.is_udp) {
        Ok(()) => false,
        Err(Errno::ADDRINUSE) => true,
        // a low port needs a right that the agent may lack; an address may come with the network
        Err(_) => is_socket_listed(&address, port.is_udp),
    }
}

fn try_bind(address: &SocketAddr, is_udp: bool) -> Result<(), Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, if is_udp { SocketType::DGRAM } else { SocketType::STREAM }, None)?;
    if !is_udp {
        set_socket_reuseaddr(&socket, true)?; // what was closed lately is no obstacle, to podman neither
    }
    bind(&socket, address)
}

/// Whether the kernel lists a socket at this IPv4 address, or at all of them.
fn is_socket_listed(address: &SocketAddr, is_udp: bool) -> bool {
    let IpAddr::V4(ip) = address.ip() else { return false };
    let Ok(file) = File::open(if is_udp { "/proc/net/udp" } else { "/proc/net/tcp" }) else { return false };
    let places = [ip, Ipv4Addr::UNSPECIFIED]
        .map(|ip| format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port()));
    BufReader::new(file.take(MAX_SOCKET_LIST_BYTES)).lines().map_while(Result::ok).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, state) = (fields.next(), fields.nth(1));
        let (ip, port) = (local.unwrap_or_default(), format!(":{:04X}", address.port()));
        (places.iter().any(|place| place == ip) || address.ip().is_unspecified() && ip.ends_with(&port))
            && (is_udp || state == Some("0A"))
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_port_is_taken_where_its_address_is_listened_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let port = |ip: &str, is_udp| HostPort { ip: ip.parse().ok(), port: at.port(), is_udp };
        for (ip, is_udp, taken) in [
            ("", false, true),
            ("127.0.0.1", false, true),
            ("127.0.0.2", false, false),
            ("127.0.0.1", true, false),
        ] {
            assert_eq!(is_taken(&port(ip, is_udp)), taken, "{ip} {is_udp}");
            let ip = ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
            assert_eq!(
                is_socket_listed(&SocketAddr::new(ip.into(), at.port()), is_udp),
                taken,
                "{ip} {is_udp}"
            );
        }
        drop(listener);
        assert!(!is_taken(&port("", false)));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        assert!(
            is_taken(&HostPort { ip: None, port: at.port(), is_udp: true }) && is_socket_listed(&at, true)
        );
    }
}
