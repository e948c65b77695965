//! What the agent itself must know of a pod specification; the specification reaches podman as it is written.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, de::Error};
use serde_json::Value;

use super::probe::{self, Asked};
use crate::{
    agent::model::{
        probe::Probes,
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{Field, Finding},
        names::{Below, Filled, Key, Label, Shown, Subdomain},
        podman::pod::container_name,
        strict,
    },
};

/// The part of a `PodSpec` that matters here. Fields with an underscore are read only to be checked: podman
/// would find the mistake as well, but it has no line to show.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pod {
    containers: Vec<Container>,
    init_containers: Option<Vec<Container>>,
    restart_policy: Option<Restart>,
    termination_grace_period_seconds: Option<Grace>,
    volumes: Option<Vec<Volume>>,
    host_network: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Shown,
    #[serde(rename = "image")]
    _image: Filled,
    #[serde(rename = "command")]
    _command: Option<Vec<String>>,
    #[serde(rename = "args")]
    _args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    env_from: Option<Vec<Variables>>,
    #[serde(default)]
    ports: Value,
    #[serde(default)]
    startup_probe: Value,
    #[serde(default)]
    liveness_probe: Value,
    #[serde(default)]
    readiness_probe: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable {
    #[serde(rename = "name")]
    _name: Filled,
    #[serde(rename = "value")]
    _value: Option<String>,
    value_from: Option<ValueFrom>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueFrom {
    config_map_key_ref: Option<Reference>,
    secret_key_ref: Option<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variables {
    config_map_ref: Option<Reference>,
    secret_ref: Option<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    #[serde(rename = "name")]
    _name: Label,
    config_map: Option<Reference>,
    secret: Option<SecretVolume>,
    projected: Option<Projected>,
    #[serde(rename = "downwardAPI")]
    _downward: Option<DownwardItems>,
}

/// Which keys become files, and where.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(rename = "key")]
    _key: Key,
    #[serde(rename = "path")]
    _path: Below,
}

#[derive(Debug, Deserialize)]
struct DownwardItems {
    #[serde(rename = "items")]
    _items: Option<Vec<DownwardItem>>,
}

#[derive(Debug, Deserialize)]
struct DownwardItem {
    #[serde(rename = "path")]
    _path: Below,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretVolume {
    secret_name: Subdomain,
    optional: Option<bool>,
    #[serde(rename = "items")]
    _items: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize)]
struct Projected {
    sources: Option<Vec<ProjectedSource>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProjectedSource {
    config_map: Option<Reference>,
    secret: Option<Reference>,
    #[serde(rename = "downwardAPI")]
    _downward: Option<DownwardItems>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    name: Subdomain,
    optional: Option<bool>,
    #[serde(rename = "items")]
    _items: Option<Vec<Item>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Restart {
    Always,
    OnFailure,
    Never,
}

/// Podman and the kernel know nothing shorter than a second.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
struct Grace(Duration);

impl TryFrom<i64> for Grace {
    type Error = String;

    fn try_from(seconds: i64) -> Result<Self, String> {
        match u64::try_from(seconds) {
            Ok(seconds @ 0..=86_400) => Ok(Self(Duration::from_secs(seconds.max(1)))),
            _ => Err(format!("must be from 0 to 86400 seconds, not {seconds}")),
        }
    }
}

/// What a [`Reference`] refers to.
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
}

/// The workload of a content that was read before; the schedule and the profiles are its configuration's.
///
/// # Errors
/// The specification is none.
pub(in crate::wire) fn restored(content: Content) -> Result<Workload, serde_json::Error> {
    let (pod, _): (Pod, _) = strict::typed(&content.specification.value())
        .map_err(|finding| serde_json::Error::custom(finding.message))?;
    let rootless = content.engine == Engine::Podman { rootless: true };
    let probes = pod.probes(&Field::default(), rootless, &mut Vec::new()).unwrap_or_default();
    Ok(Workload { restart: pod.restart(), grace: pod.grace(), probes, ..Workload::new(content) })
}

impl Pod {
    /// What the shape alone doesn't say.
    pub(super) fn check(&self, at: &Field) -> Result<(), Finding> {
        if self.containers.is_empty() {
            let field = at.then("containers");
            return Err(Finding { field, message: "must list at least one container".to_owned() });
        }
        let mut seen = BTreeSet::new();
        for (container, field) in self.all_containers(at) {
            if !seen.insert(&container.name.0) {
                let message = format!("`{}` names two containers", container.name.0);
                return Err(Finding { field: field.then("name"), message });
            }
        }
        Ok(())
    }

    pub(super) fn restart(&self) -> RestartPolicy {
        match self.restart_policy {
            None | Some(Restart::Always) => RestartPolicy::Always,
            Some(Restart::OnFailure) => RestartPolicy::OnFailure,
            Some(Restart::Never) => RestartPolicy::Never,
        }
    }

    pub(super) fn grace(&self) -> Duration {
        self.termination_grace_period_seconds.map_or(Duration::from_secs(10), |grace| grace.0)
    }

    /// The probes of its containers; findings are about those that have no effect.
    pub(super) fn probes(
        &self,
        at: &Field,
        rootless: bool,
        findings: &mut Vec<Finding>,
    ) -> Result<Vec<Probes>, Finding> {
        let mut all = Vec::new();
        for (index, container) in self.containers.iter().enumerate() {
            let field = at.then("containers").then(index);
            let host_network = self.host_network.unwrap_or(false);
            let asked = Asked { host_network, rootless, ports: &container.ports };
            let mut read = |probe, key: &str| probe::read(probe, field.then(key), asked, findings);
            let startup = read(&container.startup_probe, "startupProbe")?;
            let liveness = read(&container.liveness_probe, "livenessProbe")?;
            if !container.readiness_probe.is_null() {
                let message = "has no effect: nothing on a device waits for a container to be ready";
                findings.push(Finding { field: field.then("readinessProbe"), message: message.to_owned() });
            }
            if startup.is_some() || liveness.is_some() {
                all.push(Probes {
                    container: container_name(&container.name.0).into_owned(),
                    startup,
                    liveness,
                });
            }
        }
        Ok(all)
    }

    /// Every use of a `ConfigMap` or `Secret`.
    pub(super) fn uses(&self, at: &Field) -> Vec<Use> {
        let mut uses = Vec::new();
        self.visit(at, &mut |kind, Reference { name, optional, .. }, field| {
            uses.push(Use { kind, name: name.0.clone(), optional: optional.unwrap_or(false), field });
        });
        uses
    }

    fn visit(&self, at: &Field, visit: &mut dyn FnMut(Kind, &Reference, Field)) {
        let mut add = |kind, reference: &Option<Reference>, field: &Field, key: &str| {
            if let Some(reference) = reference {
                visit(kind, reference, field.then(key).then("name"));
            }
        };
        for (container, field) in self.all_containers(at) {
            for (index, variable) in container.env.iter().flatten().enumerate() {
                if let Some(from) = &variable.value_from {
                    let field = field.then("env").then(index).then("valueFrom");
                    add(Kind::ConfigMap, &from.config_map_key_ref, &field, "configMapKeyRef");
                    add(Kind::Secret, &from.secret_key_ref, &field, "secretKeyRef");
                }
            }
            for (index, variables) in container.env_from.iter().flatten().enumerate() {
                let field = field.then("envFrom").then(index);
                add(Kind::ConfigMap, &variables.config_map_ref, &field, "configMapRef");
                add(Kind::Secret, &variables.secret_ref, &field, "secretRef");
            }
        }
        for (index, volume) in self.volumes.iter().flatten().enumerate() {
            let field = at.then("volumes").then(index);
            add(Kind::ConfigMap, &volume.config_map, &field, "configMap");
            let sources = volume.projected.iter().flat_map(|projected| &projected.sources).flatten();
            for (index, source) in sources.enumerate() {
                let field = field.then("projected").then("sources").then(index);
                add(Kind::ConfigMap, &source.config_map, &field, "configMap");
                add(Kind::Secret, &source.secret, &field, "secret");
            }
        }
        for (index, volume) in self.volumes.iter().flatten().enumerate() {
            if let Some(SecretVolume { secret_name, optional, .. }) = &volume.secret {
                let reference = Reference { name: secret_name.clone(), optional: *optional, _items: None };
                let field = at.then("volumes").then(index).then("secret").then("secretName");
                visit(Kind::Secret, &reference, field);
            }
        }
    }

    fn all_containers(&self, at: &Field) -> impl Iterator<Item = (&Container, Field)> {
        let list = |list: Field, containers| {
            let numbered = <[Container]>::iter(containers).enumerate();
            numbered.map(move |(index, container)| (container, list.then(index)))
        };
        let init = list(at.then("initContainers"), self.init_containers.as_deref().unwrap_or_default());
        init.chain(list(at.then("containers"), &self.containers))
    }
}
