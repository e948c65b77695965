//! A workload becomes what podman plays: the specification as its author wrote it, also the parts that the
//! agent knows nothing about, except for the rewrites here. There are no others.
//!
//! podman shares the names of volumes host-wide, and calls the volume of an `emptyDir`, a `ConfigMap` or a claim
//! just like it. So these names become the workload's own: two workloads never see each other's files. Of `Secret`s
//! podman hears nothing: see [`secrets`].

#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    fmt::{self, Write},
    net::IpAddr,
    path::Path,
};

use serde_json::{Map, Value, json};

use super::secrets;
use crate::{
    agent::model::{
        quantity,
        workload::{Workload, WorkloadId},
    },
    wire::{
        json::{items, strings},
        ownership::{OWNER_LABEL, WORKLOAD_LABEL, fitted, name_containers, short_name, tell_device},
    },
};

/// The label with the content's hash, cut to 32 digits.
pub const HASH_LABEL: &str = "project-flotta.io";
/// `<this>/<container>` bounds the number of a container's processes.
const PIDS_LIMIT: &str = "io.podman.annotations.pids-limit";
/// Whether init containers run at each start of a pod, and stay; ours run once, as a pod is started once.
const INIT_CONTAINER_TYPE: &str = "io.podman.annotations.init.container.type";

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

impl Limits {
    /// Gives a container's `resources` the limits that its author left out; no less than was requested.
    fn fill(&self, container: &mut Map<String, Value>) {
        let cpu = self.cpu.map(|cpu| format!("{cpu}m"));
        let limits = [("memory", self.memory.map(|bytes| bytes.to_string())), ("cpu", cpu)];
        for (name, limit) in limits {
            let Some(limit) = limit else { continue };
            let resources = container.entry("resources").or_insert_with(|| json!({}));
            let requested = resources["requests"][name].clone();
            let limit = if amount(&requested) > amount(&json!(limit)) { requested } else { limit.into() };
            let Some(resources) = resources.as_object_mut() else { continue };
            let limits = resources.entry("limits").or_insert_with(|| json!({}));
            if let Some(limits) = limits.as_object_mut() {
                limits.entry(name).or_insert(limit);
            }
        }
    }
}

/// Of a quantity, which is a text or a number, in thousandths.
fn amount(quantity: &Value) -> Option<u64> {
    let text = match quantity {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    quantity::thousandths(&text)
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

/// The documents to play: the `ConfigMap`s, then the pod. Each is JSON, which is YAML, too, and leaves no
/// doubt about what is a string. The volumes with `Secret`s are in `volumes`.
pub fn documents(
    workload: &Workload,
    owner: &str,
    device_id: &str,
    limits: &Limits,
    volumes: &Path,
) -> String {
    let names = Names { own: own_prefix(&workload.id), claims: format!("{}_", short_name(workload)) };
    let mut body = String::new();
    for map in &workload.content.config_maps {
        let mut map = map.clone();
        names.own(map.pointer_mut("/metadata/name"));
        body.push_str(&map.to_string());
        body.push_str("\n---\n");
    }
    let mut spec = workload.content.specification.value();
    secrets::resolve(&workload.content, &volumes.to_string_lossy(), &mut spec);
    body.push_str(&pod(workload, owner, device_id, limits, &names, spec).to_string());
    body.push('\n');
    readable(&body)
}

/// What is fine in JSON, and YAML refuses or takes for the end of a line.
fn readable(json: &str) -> String {
    let is_bad = |c: char| {
        matches!(c, '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_bad(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

fn pod(
    workload: &Workload,
    owner: &str,
    device_id: &str,
    limits: &Limits,
    names: &Names,
    mut spec: Value,
) -> Value {
    let content = &workload.content;
    if let Some(fields) = spec.as_object_mut() {
        // the agent restarts: podman's own restarts know no back-off and no end
        fields.insert("restartPolicy".into(), "Never".into());
    }
    let mut annotations = strings(&content.annotations);
    annotations.remove(INIT_CONTAINER_TYPE);
    name_containers(&mut spec, container_name);
    for volume in items(&mut spec, "volumes") {
        names.volume(volume);
    }
    let empty_dirs: Vec<Value> = content.specification.value()["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| volume.get("emptyDir").is_some())
        .map(|volume| volume["name"].clone())
        .collect();
    for list in ["initContainers", "containers"] {
        for container in items(&mut spec, list) {
            if let (Some(name), Some(pids)) = (container["name"].as_str(), limits.pids) {
                let limit = annotations.entry(pids_limit_annotation(name));
                limit.or_insert_with(|| pids.to_string().into());
            }
            names.container(container, &empty_dirs);
            rewrite_container(container, device_id, limits);
        }
    }
    let mut labels = strings(&content.labels);
    labels.insert(HASH_LABEL.into(), workload.hash.get(..32).unwrap_or(&workload.hash).into());
    labels.insert(OWNER_LABEL.into(), owner.into());
    labels.insert(WORKLOAD_LABEL.into(), workload.name().into());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": workload.id.as_str(), "labels": labels, "annotations": annotations },
        "spec": spec,
    })
}

fn rewrite_container(container: &mut Value, device_id: &str, limits: &Limits) {
    let Some(fields) = container.as_object_mut() else { return };
    limits.fill(fields);
    // pulled already, as the author's policy says; and a device without network boots
    fields.insert("imagePullPolicy".into(), "Never".into());
    // podman would act on them by itself, and kill the pod
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        fields.remove(probe);
    }
    tell_device(container, device_id);
}

/// How the workload's own names begin.
struct Names {
    /// For what goes with the pod.
    own: String,
    /// For what outlives it: claims keep their data when the workload's content changes.
    claims: String,
}

impl Names {
    fn own(&self, name: Option<&mut Value>) {
        prepend(&self.own, name);
    }

    fn volume(&self, volume: &mut Value) {
        if volume.get("emptyDir").is_some() {
            self.own(volume.get_mut("name"));
        }
        self.own(volume.pointer_mut("/configMap/name"));
        prepend(&self.claims, volume.pointer_mut("/persistentVolumeClaim/claimName"));
    }

    fn container(&self, container: &mut Value, empty_dirs: &[Value]) {
        for mount in items(container, "volumeMounts") {
            if empty_dirs.contains(&mount["name"]) {
                self.own(mount.get_mut("name"));
            }
        }
        for source in items(container, "envFrom") {
            self.own(source.pointer_mut("/configMapRef/name"));
        }
        for variable in items(container, "env") {
            self.own(variable.pointer_mut("/valueFrom/configMapKeyRef/name"));
        }
    }
}

fn prepend(prefix: &str, name: Option<&mut Value>) {
    if let Some(Value::String(name)) = name {
        name.insert_str(0, prefix);
    }
}
