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
            node::Node,
            pod::{self, Findings},
            resource::{Resource, WorkloadManifest, for_the_pod},
            strictness::Strictness,
            timing,
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
        let (restart, deadline) = (pod::restart(&spec), pod::deadline(&spec));
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
        let registries = registries(&self.spec, &at, &mut notes);
        let engine = Engine::Podman { rootless: own.rootless };
        let mut findings = pod::sorted(notes.found, &Field::default(), engine, strictness.unknown);
        if strictness.was_accepted && !self.spec.containers.is_empty() {
            findings = Findings::default();
        }
        if !findings.errors.is_empty() {
            return Err(findings.errors);
        }
        let usual = if self.retries.is_some() { Backoff::OF_RUNS } else { Backoff::default() };
        let cron_at = match self.cron {
            Some(_) => Field::from(["spec", "schedule"]),
            None => annotation("flotta/cron"),
        };
        let places = (cron_at, annotation("flotta/retry"));
        let given = (self.cron.or(own.cron), own.retry);
        let schedule = timing::schedule(given, usual, places, &mut findings.warnings);
        let probes = pod::probes(&self.spec, &at, own.rootless, &mut findings.warnings);
        let specification =
            document.pointer_mut(&format!("/{}", self.at.join("/"))).map(Value::take).unwrap_or_default();
        let content = Content {
            namespace: self.metadata.namespace.map_or_else(|| "default".to_owned(), |name| name.0),
            labels: carried(self.metadata.labels.0, self.labels),
            annotations: carried(self.metadata.annotations.0, self.annotations),
            aliases: self.aliases,
            ..Content::new(self.metadata.name.0, engine, specification)
        };
        let manifest = WorkloadManifest {
            kind: self.kind,
            device: own.device,
            selector: None,
            uses: pod::uses(&self.spec, &at),
            registries,
            is_off: self.is_off,
            workload: Arc::new(Workload {
                restart: self.restart,
                grace: pod::grace(&self.spec),
                cpu: pod::cpu(&self.spec),
                deadline: self.deadline,
                retries: self.retries,
                schedule,
                profiles: own.profiles,
                probes,
                ..Workload::new(content)
            }),
            node: (!strictness.was_accepted)
                .then_some(Node { name: self.spec.node_name, selector: self.spec.node_selector }),
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

/// The `Secret` with credentials, and where it is named.
fn registries(spec: &PodSpec, at: &Field, notes: &mut Notes) -> Option<(String, Field)> {
    // it is obeyed here, where no field of an `EdgeWorkload` stands beside it
    let field = at.then("imagePullSecrets");
    notes.found.retain(|(class, finding)| *class != Class::Ignored || finding.field != field);
    let first = spec.image_pull_secrets.first()?;
    if let Some(more) = spec.image_pull_secrets.len().checked_sub(1).filter(|more| *more > 0) {
        let message = format!("the first one counts, {more} more have no effect: put all into one Secret");
        notes.found.push((Class::Ignored, Finding { field: field.clone(), message }));
    }
    Some((first.name.0.clone(), field.then(0).then("name")))
}
