//! The pod itself: its network, names and limits.

use std::collections::BTreeMap;

use super::{
    fields::PodContext,
    request::{Dns, NamespaceMode, Network, PodRequest, Port},
    resources,
};
use crate::{
    agent::model::{gather::gather, order::CpuLimit},
    wire::{
        ownership::{HASH_LABEL, OWNER_LABEL, WORKLOAD_LABEL, short_name},
        podman::{hooks::HOOKS_LABEL, host_ports::published_ports, names::infra_name},
        podspec::{
            PodSpec,
            container::Protocol,
            pod::{HostAlias, PodDnsOption},
        },
    },
};

/// The network of all pods that have none of their own, by the name that podman's own plays give it: what they made
/// and what the agent makes reach each other.
pub const DEFAULT_NETWORK: &str = "podman-default-kube-network";

/// The author's labels, and the agent's own.
pub(super) fn labels(context: &PodContext) -> BTreeMap<String, String> {
    let workload = context.workload;
    let mut labels: BTreeMap<_, _> = gather(workload.content.labels.iter().cloned());
    let hash = workload.hash.get(..32).unwrap_or(&workload.hash);
    labels.remove(HOOKS_LABEL);
    labels.insert(HASH_LABEL.into(), hash.into());
    labels.insert(OWNER_LABEL.into(), context.agent.owner.into());
    labels.insert(WORKLOAD_LABEL.into(), workload.name().into());
    labels
}

pub(super) fn request(context: &PodContext, cpu: CpuLimit, hooks: Option<&str>) -> PodRequest {
    let spec = context.spec;
    let id = context.workload.id.as_str();
    let mut request = PodRequest {
        name: id.to_owned(),
        infra_name: infra_name(id),
        labels: labels(context),
        exit_policy: "continue",
        netns: if spec.host_network { NamespaceMode::HOST } else { NamespaceMode { nsmode: "bridge" } },
        resource_limits: resources::pod_resources(&spec.resources, cpu),
        dns: dns(spec),
        ..PodRequest::default()
    };
    request.labels.extend(hooks.map(|hooks| (HOOKS_LABEL.to_owned(), hooks.to_owned())));
    if !spec.host_network {
        request.hostname = if spec.hostname.is_empty() { id.to_owned() } else { spec.hostname.clone() };
        let mut aliases = vec![short_name(context.workload).into_owned()];
        let others = context.workload.content.aliases.iter().filter(|it| **it != aliases[0]).cloned();
        aliases.extend(others.collect::<Vec<_>>());
        request.networks.insert(DEFAULT_NETWORK, Network { aliases });
    }
    for port in published_ports(spec) {
        request.portmappings.push(Port {
            container_port: port.container_port.0,
            host_port: port.host_port.0,
            protocol: match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Sctp => "sctp",
            },
            host_ip: port.host_ip.map(|it| it.0.to_string()).unwrap_or_default(),
        });
    }
    if spec.share_process_namespace {
        request.shared_namespaces = vec!["pid", "net", "ipc", "uts"];
    }
    let sysctls = spec.security_context.sysctls.iter();
    request.sysctl = gather(sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())));
    request
}

/// As its author wrote it.
pub(super) fn dns(spec: &PodSpec) -> Dns {
    let dns = &spec.dns_config;
    let names = |alias: &HostAlias| {
        let address = alias.ip.0;
        alias.hostnames.iter().map(|name| format!("{name}:{address}")).collect::<Vec<_>>()
    };
    let option = |option: &PodDnsOption| match &option.value {
        Some(value) => format!("{}:{value}", option.name),
        None => option.name.clone(),
    };
    Dns {
        hostadd: spec.host_aliases.iter().flat_map(names).collect(),
        dns_server: dns.nameservers.iter().map(|it| it.0.to_string()).collect(),
        dns_search: dns.searches.clone(),
        dns_option: dns.options.iter().map(option).collect(),
    }
}
