//! What a pod may be told about itself: `fieldRef` and `resourceFieldRef`.

use core::net::IpAddr;

use super::{
    host_info::{PodMaker, Surroundings},
    resources,
};
use crate::{
    agent::model::workload::{Content, Workload},
    wire::podspec::{
        PodSpec,
        container::Container,
        env::{ObjectFieldSelector, ResourceFieldSelector},
    },
};

/// For what podman is asked: a workload as this agent makes it, in these surroundings.
#[derive(Clone, Copy)]
pub(super) struct PodContext<'a> {
    pub(super) workload: &'a Workload,
    pub(super) agent: PodMaker<'a>,
    pub(super) surroundings: Surroundings,
    /// The workload's specification.
    pub(super) spec: &'a PodSpec,
}

impl PodContext<'_> {
    /// The value of a `fieldRef`.
    pub(super) fn resolve_field_ref(&self, reference: &ObjectFieldSelector) -> Result<String, String> {
        let Content { namespace, labels, annotations, .. } = &self.workload.content;
        Ok(match &*reference.field_path {
            "metadata.name" => self.workload.id.to_string(),
            "metadata.namespace" => namespace.clone(),
            "metadata.uid" => uuid_from_hash(&self.workload.hash),
            "metadata.labels" => format_key_values(labels),
            "metadata.annotations" => format_key_values(annotations),
            "spec.nodeName" => self.agent.device_id.to_owned(),
            "spec.serviceAccountName" => match &*self.spec.service_account_name {
                "" => "default".to_owned(),
                name => name.to_owned(),
            },
            "status.podIP" | "status.podIPs" => format_address(self.surroundings.address),
            "status.hostIP" | "status.hostIPs" => format_address(self.surroundings.host_address),
            other => {
                let of = |list: &str| other.strip_prefix(list)?.strip_prefix("['")?.strip_suffix("']");
                let value = |pairs: &[(String, String)], key: &str| {
                    let last = pairs.iter().rfind(|(its, _)| its == key);
                    last.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                match (of("metadata.labels"), of("metadata.annotations")) {
                    (Some(key), _) => value(labels, key),
                    (_, Some(key)) => value(annotations, key),
                    _ => return Err(format!("a pod on a device has no `{other}`")),
                }
            }
        })
    }

    /// The value of a `resourceFieldRef`; without a container's name it is about this one.
    pub(super) fn resolve_resource_ref(
        &self,
        reference: &ResourceFieldSelector,
        container: Option<&Container>,
    ) -> Result<String, String> {
        let ResourceFieldSelector { container_name, divisor, resource } = reference;
        let mut all = self.spec.containers.iter().chain(&self.spec.init_containers);
        let named = match &**container_name {
            "" => container,
            wanted => all.find(|one| one.name.0 == wanted),
        };
        let Some(container) = named else {
            return Err(format!("there is no container `{container_name}`"));
        };
        let (list, kind) = resource.split_once('.').unwrap_or_default();
        let amounts = match list {
            "limits" => &container.resources.limits,
            _ => &container.resources.requests,
        };
        let (given, divisor, all, unit) = match kind {
            "cpu" => {
                let divisor = divisor.as_ref().and_then(|it| it.thousandths());
                (resources::cpu_thousandths(amounts), divisor, self.surroundings.cores * 1000, 1000)
            }
            "memory" => {
                let divisor = divisor.as_ref().and_then(|it| it.bytes());
                (resources::memory(amounts), divisor, self.surroundings.memory, 1)
            }
            _ => return Err(format!("nothing is known of `{resource}` here")),
        };
        // without a limit it is all that the device has
        let amount = given.unwrap_or(if list == "limits" { all } else { 0 });
        Ok(amount.div_ceil(divisor.filter(|divisor| *divisor > 0).unwrap_or(unit)).to_string())
    }
}

fn format_address(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// As a UUID is written.
fn uuid_from_hash(hash: &str) -> String {
    let part = |from: usize, to: usize| hash.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// As Kubernetes writes them into a file, sorted.
fn format_key_values(pairs: &[(String, String)]) -> String {
    let mut lines: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("{key}={}", serde_json::Value::from(value.as_str())))
        .collect();
    lines.sort_unstable();
    lines.join("\n")
}
