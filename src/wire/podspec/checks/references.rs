//! Fields of the pod, and limits and requests of its containers, that variables and files refer to.

use crate::wire::podspec::{
    env::{ObjectFieldSelector, ResourceFieldSelector},
    reader::{Class, Notes, joined_by_or},
};

/// What a variable can say of its pod.
pub(super) const VARIABLES: [&str; 9] = [
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
pub(super) const FILES: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

pub(super) fn field(reference: &ObjectFieldSelector, known: &[&str], notes: &mut Notes) {
    let path = &*reference.field_path;
    if !matches!(&*reference.api_version, "" | "v1") {
        notes.add_at("apiVersion", Class::Value, "must be `v1`");
    }
    let is_one = ["metadata.labels['", "metadata.annotations['"].iter().any(|it| path.starts_with(it));
    if path.is_empty() || known.contains(&path) || is_one && path.ends_with("']") {
        return;
    }
    let hint = match notes.hint(path, known.iter().copied()) {
        hint if hint.is_empty() => format!(": it takes {}", joined_by_or(known)),
        hint => hint,
    };
    notes.add_at("fieldPath", Class::Value, format!("`{path}` is no field here{hint}"));
}

pub(super) fn resource(reference: &ResourceFieldSelector, notes: &mut Notes) {
    const KNOWN: [&str; 6] = [
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
    ];
    let resource = &*reference.resource;
    let is_known = KNOWN.contains(&resource) || resource.contains(".hugepages-");
    if !resource.is_empty() && !is_known {
        let message = format!("must be {}, not `{resource}`", joined_by_or(&KNOWN));
        notes.add_at("resource", Class::Value, message);
    }
}
