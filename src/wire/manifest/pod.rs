//! What the agent itself takes from a pod specification, beside the pod that an engine makes of it.

use std::{sync::Arc, time::Duration};

use serde::de::Error;
use serde_json::Value;

use super::strictness::{Strictness, UnknownFields};
use crate::{
    agent::model::{
        probe::{Probe, Probes},
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{Field, Finding, Step},
        podman::{
            asked::{ProbeTarget, probe},
            libpod::resources,
            pod::container_name,
        },
        podspec::{
            self, PodSpec,
            container::{Container, RestartPolicy as Written},
            reader::Class,
            values::Key,
            volumes::KeyToPath,
        },
    },
};

/// What is wrong with a specification, apart.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// What means nothing on one device.
    pub(super) notes: Vec<Finding>,
}

/// Reads the specification that stands at a field of a document. A cluster judges its own: it may know more.
/// Nothing is said of what `was_accepted` before.
pub(super) fn read(
    specification: &Value,
    at: &Field,
    engine: Engine,
    strictness: Strictness,
) -> (PodSpec, Findings) {
    let (spec, found) = podspec::read(specification);
    let is_accepted = strictness.was_accepted && !spec.containers.is_empty();
    let findings =
        if is_accepted { Findings::default() } else { sorted(found, at, engine, strictness.unknown) };
    (spec, findings)
}

/// What the findings mean for a workload on this engine, as seen from the document.
pub(super) fn sorted(
    found: Vec<(Class, Finding)>,
    at: &Field,
    engine: Engine,
    unknown: UnknownFields,
) -> Findings {
    let mut findings = Findings::default();
    for (class, mut finding) in found {
        finding.field.0.splice(0..0, at.0.iter().cloned());
        match (class, engine) {
            (Class::Unknown, Engine::Podman { .. }) if unknown == UnknownFields::Warn => {
                findings.warnings.push(finding);
            }
            (Class::Shape, _) | (Class::Value | Class::Unknown | Class::Refused, Engine::Podman { .. }) => {
                findings.errors.push(finding);
            }
            (Class::Value | Class::Unknown, Engine::Kubernetes) | (Class::Ignored, Engine::Podman { .. }) => {
                findings.warnings.push(finding);
            }
            (Class::Meaningless, Engine::Podman { .. }) => findings.notes.push(finding),
            (Class::Refused | Class::Ignored | Class::Meaningless, Engine::Kubernetes) => {}
        }
    }
    findings
}

/// What a [`Use`] refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

/// A `ConfigMap` or `Secret` that the specification names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// It may be missing.
    pub(super) optional: bool,
    /// Where it is named.
    pub(super) field: Field,
    /// What must be in it, and where that is said.
    pub(super) keys: Vec<(String, Field)>,
}

/// The workload of a content that was read before; the schedule and the profiles are its configuration's.
///
/// # Errors
/// The specification is none.
pub(in crate::wire) fn restored(content: Content) -> Result<Workload, serde_json::Error> {
    let specification = content.specification.value();
    if !specification.is_object() {
        return Err(serde_json::Error::custom("the specification is no mapping"));
    }
    let pod = PodSpec::of(&specification);
    let rootless = content.engine == Engine::Podman { rootless: true };
    let probes = probes(&pod, &Field::default(), rootless, &mut Vec::new());
    let (restart, grace, deadline) = (restart(&pod), grace(&pod), deadline(&pod));
    let cpu = cpu(&pod);
    Ok(Workload { restart, grace, cpu, deadline, probes, ..Workload::new(content) })
}

pub(super) fn restart(pod: &PodSpec) -> RestartPolicy {
    match pod.restart_policy {
        Written::Always => RestartPolicy::Always,
        Written::OnFailure => RestartPolicy::OnFailure,
        Written::Never => RestartPolicy::Never,
    }
}

/// Podman and the kernel know nothing shorter than a second.
pub(super) fn grace(pod: &PodSpec) -> Duration {
    pod.termination_grace_period_seconds.map_or(Workload::DEFAULT_GRACE, |grace| {
        Duration::from_secs(u64::try_from(grace.0).unwrap_or(0).max(1))
    })
}

/// The CPU time of the pod as a whole.
pub(super) fn cpu(pod: &PodSpec) -> Option<u64> {
    resources::quota(&pod.resources)
}

/// How long the pod may be active.
pub(super) fn deadline(pod: &PodSpec) -> Option<Duration> {
    pod.active_deadline_seconds.and_then(|limit| u64::try_from(limit.0).ok()).map(Duration::from_secs)
}

/// The probes of its containers; findings are about those that have no effect.
pub(super) fn probes(pod: &PodSpec, at: &Field, rootless: bool, findings: &mut Vec<Finding>) -> Vec<Probes> {
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
            let container = container_name(&container.name.0).into_owned();
            all.push(Probes { container, startup, liveness, readiness });
        }
    }
    all
}

/// Every use of a `ConfigMap` or `Secret`.
pub(super) fn uses(pod: &PodSpec, at: &Field) -> Vec<Use> {
    let mut uses = Uses { at, all: Vec::new() };
    for (list, containers) in [("initContainers", &pod.init_containers), ("containers", &pod.containers)] {
        for (index, container) in containers.iter().enumerate() {
            uses.of_container(container, &[list.into(), index.into()]);
        }
    }
    for (index, volume) in pod.volumes.iter().enumerate() {
        let steps = ["volumes".into(), index.into()];
        if let Some(map) = &volume.config_map {
            uses.add(Kind::ConfigMap, &map.name.0, map.optional, &steps, &["configMap", "name"]);
            uses.items(&map.items);
        }
        if let Some(secret) = &volume.secret {
            let name = &secret.secret_name.0;
            uses.add(Kind::Secret, name, secret.optional, &steps, &["secret", "secretName"]);
        }
        for (inner, source) in volume.projected.iter().flat_map(|projected| &projected.sources).enumerate() {
            let mut steps = steps.to_vec();
            steps.extend(["projected".into(), "sources".into(), inner.into()]);
            for (kind, key, keys) in
                [(Kind::ConfigMap, "configMap", &source.config_map), (Kind::Secret, "secret", &source.secret)]
            {
                if let Some(keys) = keys {
                    uses.add(kind, &keys.name.0, keys.optional, &steps, &[key, "name"]);
                    uses.items(&keys.items);
                }
            }
        }
    }
    uses.all
}

struct Uses<'a> {
    at: &'a Field,
    all: Vec<Use>,
}

impl Uses<'_> {
    fn add(&mut self, kind: Kind, name: &str, optional: bool, steps: &[Step], keys: &[&str]) {
        let mut field = self.at.clone();
        field.0.extend(steps.iter().cloned().chain(keys.iter().map(|key| Step::from(*key))));
        self.all.push(Use { kind, name: name.to_owned(), optional, field, keys: Vec::new() });
    }

    /// Of the last one.
    fn key(&mut self, key: &Key, steps: &[Step]) {
        if let Some(last) = self.all.last_mut() {
            let (_, source) = last.field.0.split_last().unwrap_or((&Step::Index(0), &[]));
            let field = source.iter().chain(steps).cloned().collect();
            last.keys.push((key.0.clone(), Field(field)));
        }
    }

    fn items(&mut self, items: &[KeyToPath]) {
        for (index, item) in items.iter().enumerate() {
            self.key(&item.key, &["items".into(), index.into(), "key".into()]);
        }
    }

    fn of_container(&mut self, container: &Container, steps: &[Step]) {
        for (index, variable) in container.env.iter().enumerate() {
            let Some(from) = &variable.value_from else { continue };
            let mut steps = steps.to_vec();
            steps.extend(["env".into(), index.into(), "valueFrom".into()]);
            for (kind, key, reference) in [
                (Kind::ConfigMap, "configMapKeyRef", &from.config_map_key_ref),
                (Kind::Secret, "secretKeyRef", &from.secret_key_ref),
            ] {
                if let Some(reference) = reference {
                    self.add(kind, &reference.name.0, reference.optional, &steps, &[key, "name"]);
                    self.key(&reference.key, &["key".into()]);
                }
            }
        }
        for (index, source) in container.env_from.iter().enumerate() {
            let mut steps = steps.to_vec();
            steps.extend(["envFrom".into(), index.into()]);
            for (kind, key, reference) in [
                (Kind::ConfigMap, "configMapRef", &source.config_map_ref),
                (Kind::Secret, "secretRef", &source.secret_ref),
            ] {
                if let Some(reference) = reference {
                    self.add(kind, &reference.name.0, reference.optional, &steps, &[key, "name"]);
                }
            }
        }
    }
}
