//! Fields of the pod, and limits and requests of its containers, that variables and files refer to.

use crate::wire::podspec::{
    env::{ObjectFieldSelector, ResourceFieldSelector},
    reader::{FindingClass, ReadContext, joined_by_or},
};

/// What a variable can say of its pod.
pub(super) const ENV_FIELD_PATHS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// What a file can say of it.
pub(super) const VOLUME_FIELD_PATHS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

pub(super) fn check_field_ref(reference: &ObjectFieldSelector, known: &[&str], notes: &mut ReadContext) {
    let path = &*reference.field_path;
    if !matches!(&*reference.api_version, "" | "v1") {
        notes.add_at("apiVersion", FindingClass::Value, "must be `v1`");
    }
    let is_one = ["metadata.labels['", "metadata.annotations['"].iter().any(|it| path.starts_with(it));
    if path.is_empty() || known.contains(&path) || is_one && path.ends_with("']") {
        return;
    }
    let hint = match notes.spelling_hint(path, known.iter().copied()) {
        hint if hint.is_empty() => format!(": it takes {}", joined_by_or(known)),
        hint => hint,
    };
    notes.add_at("fieldPath", FindingClass::Value, format!("`{path}` is no field here{hint}"));
}

pub(super) fn check_resource_field_ref(reference: &ResourceFieldSelector, notes: &mut ReadContext) {
    const KNOWN_RESOURCES: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = &*reference.resource;
    let is_known = KNOWN_RESOURCES.contains(&resource) || resource.contains(".hugepages-");
    if !resource.is_empty() && !is_known {
        let message = format!("must be {}, not `{resource}`", joined_by_or(&KNOWN_RESOURCES));
        notes.add_at("resource", FindingClass::Value, message);
    }
}
