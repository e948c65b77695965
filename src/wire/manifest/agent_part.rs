//! What the agent itself takes from a pod specification, beside the pod that an engine makes of it.

use std::{sync::Arc, time::Duration};

use serde::de::Error;

use crate::{
    agent::model::{
        probe::{Probe, Probes},
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{FieldPath, Finding},
        podman::{
            libpod::resources,
            names::podman_safe_name,
            probe_checks::{ProbeTarget, to_probe},
        },
        podspec::{PodSpec, container::RestartPolicy as Written},
    },
};

/// The workload of a content that was read before; the schedule and the profiles are its configuration's.
///
/// # Errors
/// The specification is none.
pub(in crate::wire) fn from_stored_content(content: Content) -> Result<Workload, serde_json::Error> {
    let specification = content.specification.value();
    if !specification.is_object() {
        return Err(serde_json::Error::custom("the specification is no mapping"));
    }
    Ok(workload(&PodSpec::read_accepted(&specification), content, &FieldPath::default(), &mut Vec::new()))
}

/// The workload of a content, with all that the agent itself takes from its specification, which stands at a field.
pub(super) fn workload(
    pod: &PodSpec,
    content: Content,
    at: &FieldPath,
    findings: &mut Vec<Finding>,
) -> Workload {
    let rootless = content.engine == Engine::Podman { rootless: true };
    let probes = probes(pod, at, rootless, findings);
    let (restart, grace, deadline) =
        (to_restart_policy(pod), termination_grace_period(pod), active_deadline(pod));
    let cpu = cpu_quota(pod);
    Workload { restart, grace, cpu, deadline, probes, ..Workload::new(content) }
}

pub(super) fn to_restart_policy(pod: &PodSpec) -> RestartPolicy {
    match pod.restart_policy {
        Written::Always => RestartPolicy::Always,
        Written::OnFailure => RestartPolicy::OnFailure,
        Written::Never => RestartPolicy::Never,
    }
}

/// Whether a container of it that fails in a run is started again.
pub(super) fn retries_in_place(pod: &PodSpec) -> bool {
    to_restart_policy(pod) == RestartPolicy::OnFailure
        || pod.containers.iter().any(|it| it.restart_policy == Some(Written::OnFailure))
}

/// Podman and the kernel know nothing shorter than a second.
fn termination_grace_period(pod: &PodSpec) -> Duration {
    pod.termination_grace_period_seconds.map_or(Workload::DEFAULT_GRACE, |grace| {
        Duration::from_secs(u64::try_from(grace.0).unwrap_or(0).max(1))
    })
}

/// The CPU time of the pod as a whole.
fn cpu_quota(pod: &PodSpec) -> Option<u64> {
    resources::cpu_quota(&pod.resources)
}

/// How long the pod may be active.
pub(super) fn active_deadline(pod: &PodSpec) -> Option<Duration> {
    pod.active_deadline_seconds.and_then(|limit| u64::try_from(limit.0).ok()).map(Duration::from_secs)
}

/// The probes of its containers; findings are about those that have no effect.
fn probes(pod: &PodSpec, at: &FieldPath, rootless: bool, findings: &mut Vec<Finding>) -> Vec<Probes> {
    let mut all = Vec::new();
    // of the init containers only sidecars may have any
    for (place, container) in pod.all_containers() {
        let field = || FieldPath(at.0.iter().chain(&place.0).cloned().collect());
        let asked = ProbeTarget { host_network: pod.host_network, rootless, ports: &container.ports };
        let mut read = |written: &Option<Box<_>>, key: &str| -> Option<Arc<Probe>> {
            to_probe(written.as_ref()?, &field().child(key), asked, findings)
        };
        let startup = read(&container.startup_probe, "startupProbe");
        let liveness = read(&container.liveness_probe, "livenessProbe");
        let readiness = read(&container.readiness_probe, "readinessProbe");
        if startup.is_some() || liveness.is_some() || readiness.is_some() {
            let container = podman_safe_name(&container.name.0).into_owned();
            all.push(Probes { container, startup, liveness, readiness });
        }
    }
    all
}
