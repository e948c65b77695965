//! Objects of Kubernetes, as people have them: each with the one pod that a device runs of it, or beside one.
//!
//! `types`: their shapes; what becomes of each field stands in the field tables · `annotations`: what an `EdgeWorkload`
//! has fields for · `controllers`, `jobs`: from an object to its pod · `pods`: from a pod to a workload · `service`,
//! `claim`: beside a pod

mod annotations;
mod claim;
mod controllers;
mod jobs;
mod pods;
mod service;
#[cfg(test)]
mod tests;
mod types;

use serde_json::Value;

use super::{findings::Findings, resource::Resource, strictness::Strictness};
use crate::wire::{field::Finding, podspec::reader::ReadContext};

/// Those with a pod, and their versions.
const WORKLOAD_KINDS: [(&str, &str); 6] = [
    ("Pod", "v1"),
    ("Deployment", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// Those beside a pod.
const PODLESS_KINDS: [(&str, &str); 2] = [("Service", "v1"), ("PersistentVolumeClaim", "v1")];

const NO_CLUSTER_REASON: &str = "there is no cluster to share";
const NO_API_SERVER_REASON: &str = "there is no API server to authenticate to";
const NO_SCHEDULER_REASON: &str = "nothing chooses between devices or copies here";

/// Those that have nothing to say to a single device, and why.
const MEANINGLESS_KINDS: [(&str, &str, &str); 10] = [
    ("Namespace", "v1", NO_CLUSTER_REASON),
    ("ServiceAccount", "v1", NO_API_SERVER_REASON),
    ("Role", "rbac.authorization.k8s.io/v1", NO_API_SERVER_REASON),
    ("RoleBinding", "rbac.authorization.k8s.io/v1", NO_API_SERVER_REASON),
    ("ClusterRole", "rbac.authorization.k8s.io/v1", NO_API_SERVER_REASON),
    ("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", NO_API_SERVER_REASON),
    ("HorizontalPodAutoscaler", "autoscaling/v2", NO_SCHEDULER_REASON),
    ("PodDisruptionBudget", "policy/v1", NO_SCHEDULER_REASON),
    ("PriorityClass", "scheduling.k8s.io/v1", "the annotation `podman/priority` orders eviction"),
    ("StorageClass", "storage.k8s.io/v1", "podman keeps all claims on the disk of its volumes"),
];

/// All that are read, with their versions.
pub(super) fn known_kinds() -> impl Iterator<Item = (&'static str, &'static str)> + Clone {
    let meaningless = MEANINGLESS_KINDS.into_iter().map(|(kind, version, _)| (kind, version));
    WORKLOAD_KINDS.into_iter().chain(PODLESS_KINDS).chain(meaningless)
}

/// Whether it says nothing to a single device.
pub(super) fn is_meaningless(kind: &str) -> bool {
    MEANINGLESS_KINDS.iter().any(|(known, ..)| *known == kind)
}

/// Whether an object of this kind has a pod.
pub(super) fn is_workload(kind: &str) -> bool {
    WORKLOAD_KINDS.iter().any(|(known, _)| *known == kind)
}

/// What to do instead, of a kind that people have and a device can't obey.
pub(super) fn refusal_hint(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Ingress" => "a container's `hostPort` opens a port of the device",
        "NetworkPolicy" => "pods of a device reach each other: the device's firewall bounds the rest",
        "PersistentVolume" => "a pod's `hostPath` is a directory of the device",
        "ReplicaSet" | "ReplicationController" => "a Deployment is",
        _ => return None,
    })
}

/// Reads an object of a known kind, and says what in it has no effect.
pub(super) fn read(
    kind: &str,
    mut document: Value,
    strictness: Strictness,
) -> Result<(Resource, Findings), Vec<Finding>> {
    if let Some((kind, _, why)) = MEANINGLESS_KINDS.into_iter().find(|(known, ..)| *known == kind) {
        let text = |key: &str| document["metadata"][key].as_str().unwrap_or_default().to_owned();
        let note = Finding::new(["kind"], format!("`{kind}` means nothing on one device: {why}"));
        let findings = Findings { notes: vec![note], ..Findings::default() };
        let (name, namespace) = (text("name"), text("namespace"));
        return Ok((Resource::Meaningless { kind, name, namespace }, findings));
    }
    let mut notes = ReadContext::default();
    let described = match kind {
        "Pod" => controllers::lone_pod(&document, &mut notes),
        "Deployment" => controllers::deployment(&document, &mut notes),
        "DaemonSet" => controllers::daemon_set(&document, &mut notes),
        "StatefulSet" => controllers::stateful_set(&mut document, &mut notes),
        "Job" => jobs::job(&document, &mut notes),
        "CronJob" => jobs::cron_job(&document, &mut notes),
        "Service" => return service::read(&document, notes, strictness),
        _ => return claim::read(&document, notes, strictness),
    };
    described.into_workload(document, notes, strictness)
}
