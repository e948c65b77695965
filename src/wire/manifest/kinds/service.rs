//! `Service`: its name leads to the pods that its selector matches, and its ports may be the device's.

use serde_json::Value;

use super::types::{Object, ServicePort, ServiceSpec, ServiceType};
use crate::wire::{
    dns_names::is_dns_label,
    field::Finding,
    manifest::{
        findings::{self, Findings},
        metadata::namespace_or_default,
        resource::{Resource, Service, ServicePortMapping},
        strictness::Strictness,
    },
    podspec::{
        reader::{FindingClass, Read, ReadContext},
        values::PortNumberOrName,
    },
};

/// `v1` `Service`
pub(super) fn read(
    document: &Value,
    mut notes: ReadContext,
    strictness: Strictness,
) -> Result<(Resource, Findings), Vec<Finding>> {
    let Object { metadata, spec } = Object::<ServiceSpec>::read(document, &mut notes);
    let name = metadata.name.0;
    if !name.is_empty() && !is_dns_label(&name) {
        let message =
            format!("`{name}` can't name a Service: it takes 1 to 63 letters, digits and inner hyphens");
        notes.at_path(["metadata".into(), "name".into()], |notes| notes.add(FindingClass::Value, message));
    }
    let mut ports = Vec::new();
    notes.at_child("spec", |notes| {
        check(&spec, notes);
        for (index, port) in spec.ports.iter().enumerate() {
            notes.at_path(["ports".into(), index.into()], |notes| {
                ports.push(service_port(port, spec.kind, notes))
            });
        }
    });
    let findings = findings::classify_for_object(notes.found, strictness)?;
    let namespace = namespace_or_default(metadata.namespace);
    Ok((Resource::Service(Service { name, namespace, selector: spec.selector.0, ports }), findings))
}

fn check(spec: &ServiceSpec, notes: &mut ReadContext) {
    match spec.kind {
        ServiceType::ExternalName => {
            let message = "`ExternalName` can't be obeyed here: `hostAliases` of a pod names other machines";
            return notes.add_at("type", FindingClass::Refused, message);
        }
        _ if spec.selector.0.is_empty() && !notes.has_any_below(&["selector"]) => {
            let message = "is missing: without one nothing says where the Service leads to";
            notes.add_at("selector", FindingClass::Refused, message);
        }
        _ => {}
    }
    if !matches!(&*spec.cluster_ip, "" | "None") {
        let message = "means nothing on one device: the name leads to the pod's own address";
        notes.add_at("clusterIP", FindingClass::Meaningless, message);
    }
    if spec.ports.is_empty() && spec.cluster_ip != "None" && !notes.has_any_below(&["ports"]) {
        notes.add_at("ports", FindingClass::Value, "must list at least one port");
    }
}

/// What k3s does, too: the port of a load balancer is the device's.
fn service_port(port: &ServicePort, kind: ServiceType, notes: &mut ReadContext) -> ServicePortMapping {
    let node_port = port.node_port.map(|port| port.0);
    let host_ports = match (kind, node_port) {
        (ServiceType::NodePort, None) if !notes.has_any_below(&[]) => {
            let message = "is missing: nothing here chooses a port of the device";
            notes.add_at("nodePort", FindingClass::Refused, message);
            Vec::new()
        }
        (ServiceType::NodePort, port) => port.into_iter().collect(),
        (ServiceType::LoadBalancer, node_port) => [port.port.0].into_iter().chain(node_port).collect(),
        (_, Some(_)) => {
            notes.add_at("nodePort", FindingClass::Value, "is for the types `NodePort` and `LoadBalancer`");
            Vec::new()
        }
        (_, None) => Vec::new(),
    };
    let target = port.target_port.clone().unwrap_or(PortNumberOrName::Number(port.port.0));
    ServicePortMapping { port: port.port.0, target, protocol: port.protocol, host_ports }
}
