//! Reads an `EdgeWorkload`, as Flotta's custom resource definition has it: from its document to a type, and from that to
//! what it means.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{
    agent_part, findings,
    metadata::{Metadata, namespace_or_default, strip_podman_prefix},
    node::NodeConstraint,
    object_references::{self, ObjectReference},
    profiles::WorkloadProfile,
    resource::WorkloadManifest,
    select::Selector,
    strictness::Strictness,
    timing::{self, CronField, Retry},
    typed::deserialize_reporting,
    update::{self, Update},
};
use crate::{
    agent::model::{
        schedule::Backoff,
        workload::{Content, Engine, RestartPolicy, Workload},
    },
    wire::{
        dns_names::Subdomain,
        field::{FieldPath, Finding},
        podman::libpod::ObjectKind,
        podspec::PodSpec,
    },
};

/// Where its specification stands.
const POD_SPEC_PATH: [&str; 3] = ["spec", "pod", "spec"];

/// Where it names the `Secret` with its credentials for image registries.
const PULL_SECRET_PATH: [&str; 4] = ["spec", "imageRegistries", "secretRef", "name"];

#[derive(Deserialize)]
struct WorkloadDocument {
    metadata: Metadata<Subdomain>,
    spec: WorkloadSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadSpec {
    #[serde(rename = "type")]
    kind: WorkloadKind,
    device: Option<String>,
    device_selector: Option<Selector>,
    #[serde(rename = "pod")]
    _pod: Template,
    cron: Option<CronField>,
    rootless: Option<bool>,
    retry: Option<Retry>,
    profiles: Option<Vec<WorkloadProfile>>,
    update: Option<Update>,
    depends_on: Option<Vec<Subdomain>>,
    image_registries: Option<Value>,
}

/// What is in it has a reader of its own.
#[derive(Deserialize)]
struct Template {}

#[derive(Deserialize)]
#[serde(try_from = "String")]
enum WorkloadKind {
    Pod,
    Kubernetes,
}

impl TryFrom<String> for WorkloadKind {
    type Error = String;

    fn try_from(kind: String) -> Result<Self, String> {
        match kind.as_str() {
            "pod" => Ok(Self::Pod),
            "k8s" => Ok(Self::Kubernetes),
            other => Err(format!("must be `pod` or `k8s`, not `{other}`")),
        }
    }
}

impl WorkloadSpec {
    fn engine(&self) -> Engine {
        match self.kind {
            WorkloadKind::Pod => Engine::Podman { rootless: self.rootless.unwrap_or(false) },
            WorkloadKind::Kubernetes => Engine::Kubernetes,
        }
    }
}

/// What a Deployment can't have.
fn check_for_cluster(spec: &WorkloadSpec, pod: &PodSpec, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    if agent_part::to_restart_policy(pod) != RestartPolicy::Always {
        let field = FieldPath::from(["spec", "pod", "spec", "restartPolicy"]);
        let message = "must be Always for `k8s`: a Deployment knows nothing else".to_owned();
        return Err(Finding { field, message });
    }
    let mut limits = spec.profiles.iter().flatten().flat_map(|profile| &profile.0.conditions);
    let useless = [
        ("cron", spec.cron.as_ref().is_some_and(|cron| cron.0.is_some())),
        ("rootless", spec.rootless == Some(true)),
        ("profiles", limits.any(|condition| condition.cpu.is_some())),
    ];
    for (key, _) in useless.into_iter().filter(|(_, is_given)| *is_given) {
        let what = if key == "profiles" { "a condition's `cpu` has" } else { "has" };
        findings.push(Finding::new(["spec", key], format!("{what} no effect for `k8s`")));
    }
    Ok(())
}

/// The `Secret` with the credentials for them.
fn registry_credentials(written: Option<&Value>) -> Result<Option<ObjectReference>, Finding> {
    let is_empty = |written: &&Value| written.as_object().is_some_and(serde_json::Map::is_empty);
    let Some(registries) = written.filter(|written| !is_empty(written)) else { return Ok(None) };
    match registries["secretRef"]["name"].as_str() {
        Some(name) => {
            let (name, field) = (name.to_owned(), FieldPath::from(PULL_SECRET_PATH));
            Ok(Some(ObjectReference {
                kind: ObjectKind::Secret,
                name,
                optional: false,
                field,
                keys: Vec::new(),
            }))
        }
        None => Err(Finding::new(PULL_SECRET_PATH, "is missing: it names a Secret")),
    }
}

/// The `Secret` with the credentials that count: the workload's before its pod's.
fn effective_pull_secret(
    registries: Option<ObjectReference>,
    own: Option<ObjectReference>,
    surplus: Option<Finding>,
    pod: &FieldPath,
    findings: &mut Vec<Finding>,
) -> Option<ObjectReference> {
    if own.is_some() && registries.is_some() {
        let message = "has no effect: `spec.imageRegistries` counts".to_owned();
        findings.push(Finding { field: pod.child("imagePullSecrets"), message });
    } else {
        findings.extend(surplus);
    }
    registries.or(own)
}

/// Reads and judges an `EdgeWorkload`. The findings are warnings; the errors are all that its specification has, or the
/// first one beside it.
pub(in crate::wire) fn read(
    mut document: Value,
    strictness: Strictness,
) -> Result<(WorkloadManifest, Vec<Finding>), Vec<Finding>> {
    const READ_ELSEWHERE: [&str; 4] = ["spec.data", "spec.logCollection", "spec.metrics", "spec.pod.spec"];
    let (written, mut findings): (WorkloadDocument, _) = deserialize_reporting(&document, &READ_ELSEWHERE)?;
    let (at, engine) = (FieldPath::from(POD_SPEC_PATH), written.spec.engine());
    let (pod, found) = findings::read(&document["spec"]["pod"]["spec"], &at, engine, strictness);
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    findings.extend(found.warnings);
    let specification = document.pointer_mut("/spec/pod/spec").map(Value::take).unwrap_or_default();
    let manifest = written.into_manifest(pod, specification, strictness, &mut findings)?;
    Ok((WorkloadManifest { notes: found.notes, ..manifest }, findings))
}

impl WorkloadDocument {
    /// What it means, with the pod that its specification describes.
    fn into_manifest(
        self,
        pod: PodSpec,
        specification: Value,
        strictness: Strictness,
        findings: &mut Vec<Finding>,
    ) -> Result<WorkloadManifest, Finding> {
        let Self { metadata, spec } = self;
        let (at, engine) = (FieldPath::from(POD_SPEC_PATH), spec.engine());
        if engine == Engine::Kubernetes {
            check_for_cluster(&spec, &pod, findings)?;
        }
        let cron = spec.cron.and_then(|cron| cron.0).filter(|_| engine != Engine::Kubernetes);
        let given = (cron, spec.retry.map(|retry| retry.0));
        let usual = (Backoff::default(), agent_part::retries_in_place(&pod));
        let places = (FieldPath::from(["spec", "cron"]), FieldPath::from(["spec", "retry"]));
        let schedule = timing::schedule(given, usual, places, findings);
        let mut registries = registry_credentials(spec.image_registries.as_ref())?;
        if engine != Engine::Kubernetes {
            let (own, surplus) = object_references::pull_secret(&pod, &at, strictness);
            registries = effective_pull_secret(registries, own, surplus, &at, findings);
        }
        // exactly as long as they are: they stay
        let profiles: Box<[_]> = spec.profiles.into_iter().flatten().map(|profile| profile.0).collect();
        let depends_on: Box<[_]> = spec.depends_on.into_iter().flatten().map(|name| name.0).collect();
        let content = Content {
            namespace: namespace_or_default(metadata.namespace),
            labels: strip_podman_prefix(metadata.labels),
            annotations: strip_podman_prefix(metadata.annotations),
            ..Content::new(metadata.name.0, engine, specification)
        };
        Ok(WorkloadManifest {
            kind: "EdgeWorkload",
            at: &POD_SPEC_PATH,
            is_off: false,
            device: spec.device.filter(|name| !name.is_empty()),
            selector: spec.device_selector,
            uses: object_references::object_references(&pod, &at),
            notes: Vec::new(),
            registries,
            workload: Arc::new(Workload {
                schedule,
                profiles: profiles.into(),
                depends_on: depends_on.into(),
                update: update::rules(spec.update, findings),
                ..agent_part::workload(&pod, content, &at, findings)
            }),
            node: NodeConstraint::from_pod_spec(pod, strictness),
        })
    }
}
