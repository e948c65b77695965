//! What a pod may be told about itself: `fieldRef` and `resourceFieldRef`.

use core::net::IpAddr;

use super::{
    facts::{Agent, Facts},
    part::{Part, Problem},
    resources,
};
use crate::agent::model::workload::{Content, Workload};

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) workload: &'a Workload,
    pub(super) agent: Agent<'a>,
    pub(super) facts: Facts,
    /// The whole specification.
    pub(super) specification: &'a Part<'a>,
}

impl Asking<'_> {
    /// The value of a `fieldRef`.
    pub(super) fn field(&self, reference: &Part) -> Result<String, Problem> {
        let path = reference.get("fieldPath");
        let Content { namespace, labels, annotations, .. } = &self.workload.content;
        Ok(match path.needed()? {
            "metadata.name" => self.workload.id.to_string(),
            "metadata.namespace" => namespace.clone(),
            "metadata.uid" => uid(&self.workload.hash),
            "metadata.labels" => lines(labels),
            "metadata.annotations" => lines(annotations),
            "spec.nodeName" => self.agent.device_id.to_owned(),
            "spec.serviceAccountName" => {
                self.specification.get("serviceAccountName").text()?.unwrap_or("default").to_owned()
            }
            "status.podIP" | "status.podIPs" => address(self.facts.address),
            "status.hostIP" | "status.hostIPs" => address(self.facts.host_address),
            other => {
                let of = |list: &str| other.strip_prefix(list)?.strip_prefix("['")?.strip_suffix("']");
                let value = |pairs: &[(String, String)], key: &str| {
                    let last = pairs.iter().rfind(|(its, _)| its == key);
                    last.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                match (of("metadata.labels"), of("metadata.annotations")) {
                    (Some(key), _) => value(labels, key),
                    (_, Some(key)) => value(annotations, key),
                    _ => return path.problem(format!("a pod on a device has no `{other}`")),
                }
            }
        })
    }

    /// The value of a `resourceFieldRef`; without a container's name it is about this one.
    pub(super) fn resource(&self, reference: &Part, container: Option<&Part>) -> Result<String, Problem> {
        let name = reference.get("containerName");
        let lists = ["containers", "initContainers"].map(|list| self.specification.get(list));
        let mut all = lists.iter().flat_map(Part::items);
        let named = match name.text()? {
            Some(wanted) => all.find(|one| one.value["name"] == wanted),
            None => container.cloned(),
        };
        let Some(container) = named else { return name.problem("there is no such container") };
        let resource = reference.get("resource");
        let (list, kind) = resource.needed()?.split_once('.').unwrap_or_default();
        let (given, unit) = match (list, kind) {
            ("limits" | "requests", "cpu") => (resources::cpu(&container, list)?, 1000),
            ("limits" | "requests", "memory") => (resources::memory(&container, list)?, 1),
            _ => {
                return resource
                    .problem("must be one of limits.cpu, limits.memory, requests.cpu, requests.memory");
            }
        };
        let whole = if kind == "cpu" { self.facts.cores * 1000 } else { self.facts.memory };
        // without a limit it is all that the device has
        let amount = given.unwrap_or(if list == "limits" { whole } else { 0 });
        let divisor = reference.get("divisor");
        let divisor = match resources::quantity(&divisor, kind == "cpu")?.filter(|divisor| *divisor > 0) {
            Some(divisor) => divisor,
            None => unit,
        };
        Ok(amount.div_ceil(divisor).to_string())
    }
}

fn address(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// As a UUID is written.
fn uid(hash: &str) -> String {
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// As Kubernetes writes them into a file, sorted.
fn lines(pairs: &[(String, String)]) -> String {
    let mut lines: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", serde_json::Value::from(value.as_str())))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}
