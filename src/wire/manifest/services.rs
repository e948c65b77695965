//! What `Service`s add to the workloads that they select: names, and ports of the device.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    document::Document,
    problem::{Problem, Severity},
    resource::{Service, ServicePortMapping, WorkloadManifest},
};
use crate::{
    agent::model::workload::{Content, Engine, Workload},
    wire::{
        field::{FieldPath, Finding},
        json::{items, set},
        podspec::{container::Protocol, reader::parse_bool, values::PortNumberOrName},
    },
};

/// The `Service`s of a directory, and which of them lead somewhere.
pub(super) struct ServiceMatcher<'a> {
    services: &'a [(&'a Document, &'a Service)],
    lead: BTreeSet<usize>,
}

/// By which names pods ask for a service of a namespace on a cluster.
pub(super) fn service_dns_names(service: &str, namespace: &str) -> [String; 4] {
    let short = format!("{service}.{namespace}");
    let (middle, long) = (format!("{short}.svc"), format!("{short}.svc.cluster.local"));
    [service.to_owned(), short, middle, long]
}

impl<'a> ServiceMatcher<'a> {
    pub(super) fn new(services: &'a [(&'a Document, &'a Service)]) -> Self {
        Self { services, lead: BTreeSet::new() }
    }

    /// The workload's content with what all `Service`s add that select it; none, if none does.
    pub(super) fn apply_services(
        &mut self,
        manifest: &WorkloadManifest,
        problems: &mut Vec<Problem>,
    ) -> Option<Content> {
        let written = &manifest.workload.content;
        if written.engine == Engine::Kubernetes {
            return None; // the cluster has Services of its own
        }
        let mut served: Option<(Content, Value)> = None;
        for (index, (document, service)) in self.services.iter().enumerate() {
            if !selects(service, written) {
                continue;
            }
            self.lead.insert(index);
            let (with, specification) =
                served.get_or_insert_with(|| (written.clone(), written.specification.value()));
            with.aliases.extend(service_dns_names(&service.name, &service.namespace));
            let mut say = |severity, field: FieldPath, message| {
                problems.push(document.problem(severity, Finding { field, message }));
            };
            let name = &written.name;
            if parse_bool(&specification["hostNetwork"]) == Some(true) {
                let message = format!(
                    "workload `{name}` is in the device's network, where this name doesn't lead to it"
                );
                say(Severity::Warning, FieldPath::from(["spec", "selector"]), message);
            }
            for (index, port) in service.ports.iter().enumerate() {
                let at = FieldPath::from(["spec", "ports"]).child(index);
                match publish(port, specification) {
                    Ok(target) if target != port.port => {
                        let message = format!(
                            "nothing leads from port {} to {target} here: other pods ask for `{}:{target}`",
                            port.port, service.name
                        );
                        say(Severity::Warning, at.child("port"), message);
                    }
                    Ok(_) => {}
                    Err(why) => say(Severity::Error, at, format!("workload `{name}` {why}")),
                }
            }
        }
        let (mut with, specification) = served?;
        with.aliases.sort_unstable();
        with.aliases.dedup();
        with.specification = specification.into();
        Some(with)
    }

    /// What is to be said when all workloads are known.
    pub(super) fn warn_of_unused_services(self, workloads: &[Arc<Workload>], problems: &mut Vec<Problem>) {
        for (index, (document, service)) in self.services.iter().enumerate() {
            let mut warn = |field: FieldPath, message| {
                problems.push(document.problem(Severity::Warning, Finding { field, message }));
            };
            if !self.lead.contains(&index) {
                let message =
                    "selects no workload: it compares the labels of pods, `template.metadata.labels`";
                warn(FieldPath::from(["spec", "selector"]), message.to_owned());
            }
            let other = workloads
                .iter()
                .find(|it| it.name() == service.name && !it.content.aliases.contains(&service.name));
            if other.is_some() && self.lead.contains(&index) {
                let message = format!("workload `{}` has this name, too: it leads to both", service.name);
                warn(FieldPath::from(["metadata", "name"]), message);
            }
        }
    }
}

fn selects(service: &Service, content: &Content) -> bool {
    let has = |key: &str, value: &str| content.labels.iter().any(|(k, v)| k == key && v == value);
    service.namespace == content.namespace && service.selector.iter().all(|(key, value)| has(key, value))
}

/// Publishes the ports of the device that lead to a port of the pod. Gives the port of the pod.
fn publish(port: &ServicePortMapping, specification: &mut Value) -> Result<u16, String> {
    let is_host = parse_bool(&specification["hostNetwork"]) == Some(true);
    let protocol = match port.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    let is_meant = |it: &Value| {
        it["protocol"].as_str().filter(|it| !it.is_empty()).unwrap_or("TCP") == protocol
            && match &port.target {
                PortNumberOrName::Number(number) => it["containerPort"] == *number,
                PortNumberOrName::Name(name) => it["name"] == **name,
            }
    };
    let mut containers: Vec<&mut Value> = items(specification, "containers").collect();
    let ports = |container: &Value| container["ports"].as_array().cloned().unwrap_or_default();
    let found = containers
        .iter()
        .enumerate()
        .find_map(|(index, it)| Some((index, ports(it).into_iter().find(|it| is_meant(it))?)));
    let (index, target) = match (found, &port.target) {
        (Some((index, it)), _) => {
            (index, it["containerPort"].as_u64().and_then(|it| u16::try_from(it).ok()).unwrap_or_default())
        }
        (None, PortNumberOrName::Number(number)) => (0, *number),
        (None, PortNumberOrName::Name(name)) => return Err(format!("has no {protocol} port named `{name}`")),
    };
    for host_port in &port.host_ports {
        if is_host && *host_port != target {
            return Err(format!(
                "is in the device's network: nothing leads from port {host_port} to {target}"
            ));
        }
        let Some(container) = containers.get_mut(index) else { break };
        let mut all = ports(container);
        if is_host || all.iter().any(|it| is_meant(it) && it["hostPort"] == *host_port) {
            continue;
        }
        let is_free = |it: &Value| it["hostPort"].as_u64().unwrap_or(0) == 0;
        match all.iter_mut().find(|it| is_meant(it) && is_free(it)) {
            Some(free) => set(free, "hostPort", json!(host_port)),
            None => {
                all.push(json!({ "containerPort": target, "hostPort": host_port, "protocol": protocol }));
            }
        }
        set(container, "ports", all.into());
    }
    Ok(target)
}
