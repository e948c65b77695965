//! What the agent itself takes from a pod specification, beside the pod that an engine makes of it.

use std::{sync::Arc, time::Duration};

use serde::de::Error;

use crate::{
    agent::model::{
        probe::{Probe, Probes},
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{Field, Finding},
        podman::{
            asked::{ProbeTarget, probe},
            libpod::resources,
            names::fitted_name,
        },
        podspec::{PodSpec, container::RestartPolicy as Written},
    },
};

/// The workload of a content that was read before; the schedule and the profiles are its configuration's.
///
/// # Errors
/// The specification is none.
pub(in crate::wire) fn from_kept(content: Content) -> Result<Workload, serde_json::Error> {
    let specification = content.specification.value();
    if !specification.is_object() {
        return Err(serde_json::Error::custom("the specification is no mapping"));
    }
    Ok(workload(&PodSpec::of(&specification), content, &Field::default(), &mut Vec::new()))
}

/// The workload of a content, with all that the agent itself takes from its specification, which stands at a field.
pub(super) fn workload(pod: &PodSpec, content: Content, at: &Field, findings: &mut Vec<Finding>) -> Workload {
    let rootless = content.engine == Engine::Podman { rootless: true };
    let probes = probes(pod, at, rootless, findings);
    let (restart, grace, deadline) = (restart(pod), grace(pod), deadline(pod));
    let cpu = cpu(pod);
    Workload { restart, grace, cpu, deadline, probes, ..Workload::new(content) }
}

pub(super) fn restart(pod: &PodSpec) -> RestartPolicy {
    match pod.restart_policy {
        Written::Always => RestartPolicy::Always,
        Written::OnFailure => RestartPolicy::OnFailure,
        Written::Never => RestartPolicy::Never,
    }
}

/// Whether a container of it that fails in a run is started again.
pub(super) fn retries_in_place(pod: &PodSpec) -> bool {
    restart(pod) == RestartPolicy::OnFailure
        || pod.containers.iter().any(|it| it.restart_policy == Some(Written::OnFailure))
}

/// Podman and the kernel know nothing shorter than a second.
fn grace(pod: &PodSpec) -> Duration {
    pod.termination_grace_period_seconds.map_or(Workload::DEFAULT_GRACE, |grace| {
        Duration::from_secs(u64::try_from(grace.0).unwrap_or(0).max(1))
    })
}

/// The CPU time of the pod as a whole.
fn cpu(pod: &PodSpec) -> Option<u64> {
    resources::quota(&pod.resources)
}

/// How long the pod may be active.
pub(super) fn deadline(pod: &PodSpec) -> Option<Duration> {
    pod.active_deadline_seconds.and_then(|limit| u64::try_from(limit.0).ok()).map(Duration::from_secs)
}

/// The probes of its containers; findings are about those that have no effect.
fn probes(pod: &PodSpec, at: &Field, rootless: bool, findings: &mut Vec<Finding>) -> Vec<Probes> {
    let mut all = Vec::new();
    // of the init containers only sidecars may have any
    for (place, container) in pod.all_containers() {
        let field = || Field(at.0.iter().chain(&place.0).cloned().collect());
        let asked = ProbeTarget { host_network: pod.host_network, rootless, ports: &container.ports };
        let mut read = |written: &Option<Box<_>>, key: &str| -> Option<Arc<Probe>> {
            probe(written.as_ref()?, &field().then(key), asked, findings)
        };
        let startup = read(&container.startup_probe, "startupProbe");
        let liveness = read(&container.liveness_probe, "livenessProbe");
        let readiness = read(&container.readiness_probe, "readinessProbe");
        if startup.is_some() || liveness.is_some() || readiness.is_some() {
            let container = fitted_name(&container.name.0).into_owned();
            all.push(Probes { container, startup, liveness, readiness });
        }
    }
    all
}
