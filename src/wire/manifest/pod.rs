//! What the agent itself must know of a pod specification; the specification reaches podman as it is written.

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;

use super::{
    Finding,
    names::{Filled, Label, Subdomain},
    yaml::Field,
};
use crate::agent::workload::RestartPolicy;

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
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Label,
    #[serde(rename = "image")]
    _image: Filled,
    #[serde(rename = "command")]
    _command: Option<Vec<String>>,
    #[serde(rename = "args")]
    _args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    env_from: Option<Vec<Variables>>,
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
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variables {
    config_map_ref: Option<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    #[serde(rename = "name")]
    _name: Label,
    config_map: Option<Reference>,
    projected: Option<Projected>,
}

#[derive(Debug, Deserialize)]
struct Projected {
    sources: Option<Vec<ProjectedSource>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProjectedSource {
    config_map: Option<Reference>,
}

#[derive(Debug, Deserialize)]
struct Reference {
    name: Subdomain,
    optional: Option<bool>,
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

/// A `ConfigMap` that the specification names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigMapUse {
    pub(super) name: String,
    /// It may be missing.
    pub(super) optional: bool,
    /// Where it is named.
    pub(super) field: Field,
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

    /// Every use of a `ConfigMap`, in the order in which they are written.
    pub(super) fn config_maps(&self, at: &Field) -> Vec<ConfigMapUse> {
        let mut uses = Vec::new();
        let mut add = |reference: &Option<Reference>, field: &dyn Fn() -> Field| {
            if let Some(Reference { name, optional }) = reference {
                let optional = optional.unwrap_or(false);
                uses.push(ConfigMapUse { name: name.0.clone(), optional, field: field() });
            }
        };
        for (container, field) in self.all_containers(at) {
            for (index, variable) in container.env.iter().flatten().enumerate() {
                if let Some(from) = &variable.value_from {
                    let field = || field.then("env").then(index).then("valueFrom").then("configMapKeyRef");
                    add(&from.config_map_key_ref, &field);
                }
            }
            for (index, variables) in container.env_from.iter().flatten().enumerate() {
                add(&variables.config_map_ref, &|| field.then("envFrom").then(index).then("configMapRef"));
            }
        }
        for (index, volume) in self.volumes.iter().flatten().enumerate() {
            let field = at.then("volumes").then(index);
            add(&volume.config_map, &|| field.then("configMap"));
            let sources = volume.projected.iter().flat_map(|projected| &projected.sources).flatten();
            for (index, source) in sources.enumerate() {
                let field = || field.then("projected").then("sources").then(index).then("configMap");
                add(&source.config_map, &field);
            }
        }
        uses
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
