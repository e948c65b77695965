//! The pod itself: its network, names and limits.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    fields::Asking,
    part::{Part, Problem},
    request::{Cpu, Mode, Network, PodRequest, Port, Resources},
    resources::PERIOD,
};
use crate::{
    agent::model::{gather::gather, order::CpuLimit},
    wire::{
        ownership::{OWNER_LABEL, WORKLOAD_LABEL, short_name},
        podman::pod::HASH_LABEL,
    },
};

/// The network of all pods that have none of their own, by the name that podman's own plays give it: what they made
/// and what the agent makes reach each other.
pub const NETWORK: &str = "podman-default-kube-network";

/// What podman calls the container that holds a pod's namespaces.
pub fn infra_name(pod: &str) -> String {
    format!("{pod}-infra")
}

/// The author's labels, and the agent's own.
pub(super) fn labels(asking: &Asking) -> BTreeMap<String, String> {
    let workload = asking.workload;
    let mut labels: BTreeMap<_, _> = gather(workload.content.labels.iter().cloned());
    let hash = workload.hash.get(..32).unwrap_or(&workload.hash);
    labels.insert(HASH_LABEL.into(), hash.into());
    labels.insert(OWNER_LABEL.into(), asking.agent.owner.into());
    labels.insert(WORKLOAD_LABEL.into(), workload.name().into());
    labels
}

pub(super) fn request(asking: &Asking, cpu: CpuLimit) -> Result<PodRequest, Problem> {
    let specification = asking.specification;
    let id = asking.workload.id.as_str();
    let on_host = specification.get("hostNetwork").is_set()?;
    let alias = short_name(asking.workload).into_owned();
    let mut request = PodRequest {
        name: id.to_owned(),
        infra_name: infra_name(id),
        labels: labels(asking),
        exit_policy: "continue",
        netns: if on_host { Mode::HOST } else { Mode { nsmode: "bridge" } },
        resource_limits: cpu.map(|quota| Resources {
            cpu: Some(Cpu { quota: Some(quota), period: Some(PERIOD), shares: None }),
            ..Resources::default()
        }),
        ..PodRequest::default()
    };
    if !on_host {
        request.hostname = specification.get("hostname").text()?.unwrap_or(id).to_owned();
        request.networks.insert(NETWORK, Network { aliases: vec![alias] });
        request.portmappings = ports(specification)?;
    } else {
        ports(specification)?; // they say where it listens
    }
    if specification.get("shareProcessNamespace").is_set()? {
        request.shared_namespaces = vec!["pid", "net", "ipc", "uts"];
    }
    for alias in specification.get("hostAliases").items() {
        let address = alias.get("ip");
        if address.needed()?.parse::<IpAddr>().is_err() {
            return address.problem("is no address");
        }
        let names = alias.get("hostnames").texts()?;
        request.hostadd.extend(
            names.into_iter().map(|name| format!("{name}:{}", address.value.as_str().unwrap_or_default())),
        );
    }
    names(specification, &mut request)?;
    for sysctl in specification.get("securityContext").get("sysctls").items() {
        let value = sysctl.get("value").text()?.unwrap_or_default();
        request.sysctl.insert(sysctl.get("name").needed()?.to_owned(), value.to_owned());
    }
    Ok(request)
}

/// Where it looks up names.
fn names(specification: &Part, request: &mut PodRequest) -> Result<(), Problem> {
    let config = specification.get("dnsConfig");
    request.dns_server = config.get("nameservers").texts()?;
    request.dns_search = config.get("searches").texts()?;
    for option in config.get("options").items() {
        let name = option.get("name").needed()?;
        request.dns_option.push(match option.get("value").text()? {
            Some(value) => format!("{name}:{value}"),
            None => name.to_owned(),
        });
    }
    let policy = specification.get("dnsPolicy");
    match policy.text()?.unwrap_or("ClusterFirst") {
        "ClusterFirst" | "ClusterFirstWithHostNet" | "Default" => Ok(()),
        "None" if request.dns_server.is_empty() => {
            policy.problem("is None: say the servers by dnsConfig.nameservers")
        }
        "None" => Ok(()),
        _ => policy.problem("must be ClusterFirst, ClusterFirstWithHostNet, Default or None"),
    }
}

/// Those that are published: only where their author says a port of the host.
fn ports(specification: &Part) -> Result<Vec<Port>, Problem> {
    let mut ports = Vec::new();
    for container in ["initContainers", "containers"].iter().flat_map(|list| specification.get(list).items())
    {
        for port in container.get("ports").items() {
            let number = |key: &str| -> Result<Option<u16>, Problem> {
                let part = port.get(key);
                match part.number()? {
                    None | Some(0) => Ok(None),
                    Some(number) => match u16::try_from(number) {
                        Ok(number) => Ok(Some(number)),
                        Err(_) => part.problem("must be from 1 to 65535"),
                    },
                }
            };
            let Some(container_port) = number("containerPort")? else {
                return port.problem_at("containerPort", "is missing");
            };
            let (written, address) = (port.get("protocol"), port.get("hostIP"));
            let protocol = match written.text()?.unwrap_or("TCP") {
                "TCP" => "tcp",
                "UDP" => "udp",
                "SCTP" => "sctp",
                _ => return written.problem("must be TCP, UDP or SCTP"),
            };
            let host_ip = address.text()?.unwrap_or_default().to_owned();
            if !host_ip.is_empty() && host_ip.parse::<IpAddr>().is_err() {
                return address.problem("is no address");
            }
            if let Some(host_port) = number("hostPort")? {
                ports.push(Port { container_port, host_port, protocol, host_ip });
            }
        }
    }
    Ok(ports)
}
