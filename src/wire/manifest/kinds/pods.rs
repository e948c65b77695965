//! From what an object says of its pod to a workload, as an `EdgeWorkload` becomes one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    annotations::{self, WorkloadAnnotations},
    types::ObjectMeta,
};
use crate::{
    agent::model::{
        gather::gather,
        schedule::{Backoff, Cron},
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        field::{FieldPath, Finding},
        manifest::{
            agent_part,
            findings::{self, Findings},
            metadata::{namespace_or_default, strip_podman_prefix},
            node::NodeConstraint,
            object_references,
            resource::{Resource, WorkloadManifest},
            strictness::Strictness,
            timing, update,
        },
        podspec::{
            PodSpec,
            reader::{FindingClass, ReadContext},
        },
    },
};

/// What an object says of the one pod that a device runs of it.
#[derive(Debug)]
pub(super) struct PodDescription {
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

impl PodDescription {
    /// Of an object with a pod like this, which stands at a field.
    pub(super) fn new(
        kind: &'static str,
        metadata: ObjectMeta,
        labels: BTreeMap<String, String>,
        annotations: BTreeMap<String, String>,
        spec: PodSpec,
        at: &'static [&'static str],
    ) -> Self {
        let (restart, deadline) = (agent_part::to_restart_policy(&spec), agent_part::active_deadline(&spec));
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

    fn cron_field(&self) -> FieldPath {
        match self.cron {
            Some(_) => FieldPath::from(["spec", "schedule"]),
            None => annotation_field("flotta/cron"),
        }
    }

    /// The workload. `document`: where the specification is taken from.
    pub(super) fn into_workload(
        self,
        mut document: Value,
        mut notes: ReadContext,
        strictness: Strictness,
    ) -> Result<(Resource, Findings), Vec<Finding>> {
        let at = FieldPath::from(self.at);
        let mut own = WorkloadAnnotations::default();
        notes.at_path(["metadata".into(), "annotations".into()], |notes| {
            own = WorkloadAnnotations::read(&self.metadata.annotations.0, self.kind, notes);
        });
        let (registries, surplus) = object_references::pull_secret(&self.spec, &at, strictness);
        notes.found.extend(surplus.map(|it| (FindingClass::Ignored, it)));
        let engine = Engine::Podman { rootless: own.rootless };
        let mut findings = findings::classify(notes.found, &FieldPath::default(), engine, strictness.unknown);
        if strictness.was_accepted && !self.spec.containers.is_empty() {
            findings = Findings::default();
        }
        if !findings.errors.is_empty() {
            return Err(findings.errors);
        }
        let usual = if self.retries.is_some() { Backoff::RUN_BACKOFF } else { Backoff::default() };
        let places = (self.cron_field(), annotation_field("flotta/retry"));
        let given = (self.cron.or(own.cron), own.retry);
        let tries = self.retries.is_some() || agent_part::retries_in_place(&self.spec);
        let schedule = timing::schedule(given, (usual, tries), places, &mut findings.warnings);
        let window_at = annotation_field("flotta/update-window");
        let update = update::annotated(own.update, window_at, &mut findings.warnings);
        let specification =
            document.pointer_mut(&format!("/{}", self.at.join("/"))).map(Value::take).unwrap_or_default();
        let content = Content {
            namespace: namespace_or_default(self.metadata.namespace),
            labels: merge_pod_metadata(self.metadata.labels.0, self.labels),
            annotations: merge_pod_metadata(self.metadata.annotations.0, self.annotations),
            aliases: self.aliases,
            ..Content::new(self.metadata.name.0, engine, specification)
        };
        let manifest = WorkloadManifest {
            kind: self.kind,
            device: own.device,
            selector: None,
            uses: object_references::object_references(&self.spec, &at),
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
            node: NodeConstraint::from_pod_spec(self.spec, strictness),
            at: self.at,
            notes: Vec::new(),
        };
        Ok((Resource::Workload(Box::new(manifest)), findings))
    }
}

/// Where an annotation of the object stands.
fn annotation_field(key: &str) -> FieldPath {
    FieldPath::from(["metadata", "annotations", key])
}

/// The labels or annotations that the pod has: its own, and those of its object with the prefix that an `EdgeWorkload`
/// has for the purpose.
fn merge_pod_metadata(
    objects: BTreeMap<String, String>,
    own: BTreeMap<String, String>,
) -> Vec<(String, String)> {
    let mut all: BTreeMap<String, String> = gather(strip_podman_prefix(Some(objects)));
    let plain = own.iter().filter(|(key, _)| !key.starts_with("podman/") && is_passed_to_pod(key));
    let plain: Vec<_> = plain.map(|(key, value)| (key.clone(), value.clone())).collect();
    all.extend(strip_podman_prefix(Some(own)));
    all.extend(plain);
    all.into_iter().collect()
}

/// Not what is said to the agent, and not what `kubectl` notes for itself.
fn is_passed_to_pod(key: &str) -> bool {
    !annotations::is_agent_annotation(key) && key != "kubectl.kubernetes.io/last-applied-configuration"
}
