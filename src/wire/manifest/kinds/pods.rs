//! From what an object says of its pod to a workload, as an `EdgeWorkload` becomes one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    annotations::{self, Own},
    types::ObjectMeta,
};
use crate::{
    agent::model::{
        gather::gather,
        schedule::{Backoff, Cron},
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{Field, Finding},
        manifest::{
            agent_part,
            findings::{self, Findings},
            metadata::{for_the_pod, namespace},
            node::Node,
            resource::{Resource, WorkloadManifest},
            strictness::Strictness,
            timing, update, uses,
        },
        podspec::{
            PodSpec,
            reader::{Class, Notes},
        },
    },
};

/// What an object says of the one pod that a device runs of it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) kind: &'static str,
    pub(super) metadata: ObjectMeta,
    /// The pod's own.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
    /// Where that stands.
    pub(super) at: &'static [&'static str],
    pub(super) restart: RestartPolicy,
    pub(super) deadline: Option<Duration>,
    /// How often a failed run is tried again.
    pub(super) retries: Option<u32>,
    pub(super) cron: Option<Cron>,
    /// Other names by which pods reach it.
    pub(super) aliases: Vec<String>,
    /// Nothing of it is to run.
    pub(super) is_off: bool,
}

impl Described {
    /// Of an object with a pod like this, which stands at a field.
    pub(super) fn new(
        kind: &'static str,
        metadata: ObjectMeta,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        spec: PodSpec,
        at: &'static [&'static str],
    ) -> Self {
        let (restart, deadline) = (agent_part::restart(&spec), agent_part::deadline(&spec));
        Self {
            kind,
            metadata,
            labels,
            annotations,
            spec,
            at,
            restart,
            deadline,
            retries: None,
            cron: None,
            aliases: Vec::new(),
            is_off: false,
        }
    }

    fn cron_at(&self) -> Field {
        match self.cron {
            Some(_) => Field::from(["spec", "schedule"]),
            None => annotation("flotta/cron"),
        }
    }

    /// The workload. `document`: where the specification is taken from.
    pub(super) fn workload(
        self,
        mut document: Value,
        mut notes: Notes,
        strictness: Strictness,
    ) -> Result<(Resource, Findings), Vec<Finding>> {
        let at = Field::from(self.at);
        let mut own = Own::default();
        notes.at(["metadata".into(), "annotations".into()], |notes| {
            own = Own::read(&self.metadata.annotations.0, self.kind, notes);
        });
        let (registries, surplus) = uses::pull_secret(&self.spec, &at, strictness);
        notes.found.extend(surplus.map(|it| (Class::Ignored, it)));
        let engine = Engine::Podman { rootless: own.rootless };
        let mut findings = findings::sorted(notes.found, &Field::default(), engine, strictness.unknown);
        if strictness.was_accepted && !self.spec.containers.is_empty() {
            findings = Findings::default();
        }
        if !findings.errors.is_empty() {
            return Err(findings.errors);
        }
        let usual = if self.retries.is_some() { Backoff::OF_RUNS } else { Backoff::default() };
        let places = (self.cron_at(), annotation("flotta/retry"));
        let given = (self.cron.or(own.cron), own.retry);
        let tries = self.retries.is_some() || agent_part::retries_in_place(&self.spec);
        let schedule = timing::schedule(given, (usual, tries), places, &mut findings.warnings);
        let window_at = annotation("flotta/update-window");
        let update = update::annotated(own.update, window_at, &mut findings.warnings);
        let specification =
            document.pointer_mut(&format!("/{}", self.at.join("/"))).map(Value::take).unwrap_or_default();
        let content = Content {
            namespace: namespace(self.metadata.namespace),
            labels: carried(self.metadata.labels.0, self.labels),
            annotations: carried(self.metadata.annotations.0, self.annotations),
            aliases: self.aliases,
            ..Content::new(self.metadata.name.0, engine, specification)
        };
        let manifest = WorkloadManifest {
            kind: self.kind,
            device: own.device,
            selector: None,
            uses: uses::uses(&self.spec, &at),
            registries,
            is_off: self.is_off,
            workload: Arc::new(Workload {
                restart: self.restart,
                deadline: self.deadline,
                retries: self.retries,
                schedule,
                profiles: own.profiles,
                depends_on: own.depends_on,
                update,
                ..agent_part::workload(&self.spec, content, &at, &mut findings.warnings)
            }),
            node: Node::of(self.spec, strictness),
            at: self.at,
            notes: Vec::new(),
        };
        Ok((Resource::Workload(Box::new(manifest)), findings))
    }
}

/// Where an annotation of the object stands.
fn annotation(key: &str) -> Field {
    Field::from(["metadata", "annotations", key])
}

/// The labels or annotations that the pod has: its own, and those of its object with the prefix that an `EdgeWorkload`
/// has for the purpose.
fn carried(objects: BTreeMap<String, String>, own: BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = gather(for_the_pod(Some(objects)));
    let plain = own.iter().filter(|(key, _)| !key.starts_with("podman/") && is_the_pods(key));
    let plain: Vec<_> = plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    all.extend(for_the_pod(Some(own)));
    all.extend(plain);
    all.into_iter().collect()
}

/// Not what is said to the agent, and not what `kubectl` notes for itself.
fn is_the_pods(key: &str) -> bool {
    !annotations::is_own(key) && key != "kubectl.kubernetes.io/last-applied-configuration"
}
