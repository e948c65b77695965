//! The resources a person writes, from JSON to valid types. Their shapes are those of Flotta's custom resource
//! definitions (`management.project-flotta.io/v1alpha1`).

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use super::{
    agent_part, findings,
    node::Node,
    profiles::{DeviceProfiles, WorkloadProfile},
    secret::Secret,
    select::Selector,
    strictness::Strictness,
    timing::{self, CronField, Retry},
    update::Update,
    uses::{self, Use},
};
use crate::{
    agent::model::{
        schedule::Backoff,
        update::UpdateRules,
        workload::{Content, DEFAULT_NAMESPACE, Engine, Profile, RestartPolicy, Workload},
    },
    wire::{
        dns_names::{Key, Label, Subdomain},
        field::{Field, Finding},
        podman::libpod::ObjectKind,
        podspec::{PodSpec, container::Protocol, nearest::nearest, values::PortName},
        strict,
    },
};

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Resource {
    Device(Device),
    Workload(Box<WorkloadManifest>),
    ConfigMap(ConfigMap),
    Secret(Secret),
    Service(Service),
    /// A `PersistentVolumeClaim`. podman makes what a pod names: there is nothing to know of it.
    Claim {
        name: String,
        namespace: String,
    },
    /// A kind that means nothing on one device.
    Meaningless {
        kind: &'static str,
        name: String,
        namespace: String,
    },
}

/// What this agent uses of an `EdgeDevice`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wire) struct Device {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(in crate::wire) profiles: Vec<Profile>,
    pub(in crate::wire) update: Option<Box<UpdateRules>>,
    /// What is wrong with their names.
    pub(in crate::wire) faults: Vec<Finding>,
    /// Conditions whose expressions can't be read, and why.
    pub(super) expressions: Vec<Finding>,
}

/// An `EdgeWorkload`, or another kind with a pod, which becomes a workload once its `ConfigMap`s and `Secret`s are found.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wire) struct WorkloadManifest {
    pub(super) kind: &'static str,
    /// Where the specification stands: names of fields.
    pub(super) at: &'static [&'static str],
    /// Nothing of it is to run, as its author says.
    pub(super) is_off: bool,
    pub(super) device: Option<String>,
    pub(super) selector: Option<Selector>,
    /// Still without them; shared with what is to run where nothing is added.
    pub(in crate::wire) workload: Arc<Workload>,
    pub(super) uses: Vec<Use>,
    /// The `Secret` with the credentials for image registries.
    pub(super) registries: Option<Use>,
    /// Which device its pod is for.
    pub(super) node: Option<Node>,
    /// What means nothing on one device.
    pub(super) notes: Vec<Finding>,
}

impl WorkloadManifest {
    /// From now on it names no `Secret` with credentials for image registries. Says where it did.
    pub(in crate::wire) fn without_registries(&mut self) -> Option<Field> {
        self.registries.take().map(|used| used.field)
    }
}

/// A `ConfigMap`, kept whole for podman.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wire) struct ConfigMap {
    pub(in crate::wire) name: String,
    pub(super) namespace: String,
    pub(super) whole: Value,
}

/// A `Service`: another name of the pods that it selects, and ports of the device that lead to them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) ports: Vec<Leading>,
}

/// A port of a [`Service`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leading {
    /// Where clients ask on a cluster.
    pub(super) port: u16,
    pub(super) target: PortName,
    pub(super) protocol: Protocol,
    /// Those of the device that lead there, too.
    pub(super) host_ports: Vec<u16>,
}

/// Where a workload names the `Secret` with its credentials for image registries.
const REGISTRIES: [&str; 4] = ["spec", "imageRegistries", "secretRef", "name"];

/// Deserializes a document; the findings are the fields that nothing knows. `read_elsewhere`: what is known beside those
/// of the type, as something else reads it, or it says nothing to this agent.
fn typed<'de, T: Deserialize<'de>>(
    document: &'de Value,
    read_elsewhere: &[&str],
) -> Result<(T, Vec<Finding>), Finding> {
    let (value, unknown) = strict::typed(document)?;
    Ok((value, without_effect(unknown, read_elsewhere)))
}

fn without_effect(mut unknown: Vec<Field>, read_elsewhere: &[&str]) -> Vec<Finding> {
    let is_known = |field: &str| {
        let is_below = |known: &&str| {
            field.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        read_elsewhere.iter().chain(&IGNORED_FIELDS).any(is_below)
    };
    unknown.retain(|field| !is_known(&field.to_string()));
    let finding = |field: Field| {
        let text = field.to_string();
        let given = text.rsplit('.').next().unwrap_or_default();
        let hint = nearest(given, FIELDS.into_iter()).filter(|near| *near != given);
        let hint = hint.map(|near| format!(": did you mean `{near}`?"));
        Finding { field, message: format!("unknown field: it has no effect{}", hint.unwrap_or_default()) }
    };
    unknown.into_iter().map(finding).collect()
}

/// What may have been meant by a field that nothing knows.
const FIELDS: [&str; 15] = [
    "conditions",
    "cron",
    "dependsOn",
    "deviceSelector",
    "device",
    "expression",
    "imageRegistries",
    "matchLabels",
    "matchExpressions",
    "profiles",
    "retry",
    "rootless",
    "secretRef",
    "update",
    "window",
];

/// Fields of every resource that are legal and say nothing to this agent.
const IGNORED_FIELDS: [&str; 17] = [
    "apiVersion",
    "kind",
    "status",
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.deletionGracePeriodSeconds",
    "metadata.deletionTimestamp",
    "metadata.finalizers",
    "metadata.generateName",
    "metadata.generation",
    "metadata.labels",
    "metadata.managedFields",
    "metadata.namespace",
    "metadata.ownerReferences",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
];

#[derive(Deserialize)]
struct Metadata<Name> {
    name: Name,
    namespace: Option<Label>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
}

pub(super) fn namespace(given: Option<Label>) -> String {
    given.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), |name| name.0)
}

#[derive(Deserialize)]
struct DeviceDocument {
    metadata: Metadata<Subdomain>,
    #[serde(default)]
    spec: Option<DeviceSpec>,
}

#[derive(Deserialize, Default)]
struct DeviceSpec {
    profiles: Option<DeviceProfiles>,
    update: Option<Update>,
    heartbeat: Option<Heartbeat>,
}

/// The model's README draws the profiles one level too deep: here.
#[derive(Deserialize)]
struct Heartbeat {
    profiles: Option<DeviceProfiles>,
}

pub(in crate::wire) fn read_device(document: &Value) -> Result<(Device, Vec<Finding>), Finding> {
    const READ_ELSEWHERE: [&str; 8] = [
        "spec.heartbeat.hardwareProfile",
        "spec.heartbeat.periodSeconds",
        "spec.logCollection",
        "spec.metrics",
        "spec.mounts",
        "spec.osInformation",
        "spec.requestTime",
        "spec.storage",
    ];
    let (DeviceDocument { metadata, spec }, mut findings) = typed(document, &READ_ELSEWHERE)?;
    let spec = spec.unwrap_or_default();
    let (above, below) = (Field::from(["spec", "profiles"]), Field::from(["spec", "heartbeat", "profiles"]));
    let update = spec.update.and_then(|update| update.0);
    let deeper = spec.heartbeat.and_then(|heartbeat| heartbeat.profiles);
    if spec.profiles.is_some() && deeper.is_some() {
        let message = "has no effect beside `spec.profiles`".to_owned();
        findings.push(Finding { field: below.clone(), message });
    }
    let (profiles, at) = if spec.profiles.is_some() { (spec.profiles, above) } else { (deeper, below) };
    let (mut faults, mut expressions) = (Vec::new(), Vec::new());
    let profiles = profiles.map(|it| it.usable(&at, &mut faults, &mut expressions)).unwrap_or_default();
    let (name, labels) = (metadata.name.0, metadata.labels.unwrap_or_default());
    Ok((Device { name, labels, profiles, update, faults, expressions }, findings))
}

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

/// What a Deployment can't have.
fn for_a_cluster(
    spec: &WorkloadSpec,
    has_cron: bool,
    pod: &PodSpec,
    findings: &mut Vec<Finding>,
) -> Result<(), Finding> {
    if agent_part::restart(pod) != RestartPolicy::Always {
        let field = Field::from(["spec", "pod", "spec", "restartPolicy"]);
        let message = "must be Always for `k8s`: a Deployment knows nothing else".to_owned();
        return Err(Finding { field, message });
    }
    let mut limits = spec.profiles.iter().flatten().flat_map(|profile| &profile.0.conditions);
    let useless = [
        ("cron", has_cron),
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
fn registry_credentials(written: Option<&Value>) -> Result<Option<Use>, Finding> {
    let is_empty = |written: &&Value| written.as_object().is_some_and(serde_json::Map::is_empty);
    let Some(registries) = written.filter(|written| !is_empty(written)) else { return Ok(None) };
    match registries["secretRef"]["name"].as_str() {
        Some(name) => {
            let (name, field) = (name.to_owned(), Field::from(REGISTRIES));
            Ok(Some(Use { kind: ObjectKind::Secret, name, optional: false, field, keys: Vec::new() }))
        }
        None => Err(Finding::new(REGISTRIES, "is missing: it names a Secret")),
    }
}

/// The `Secret` with the credentials that count: the workload's before its pod's.
fn effective_pull_secret(
    registries: Option<Use>,
    own: Option<Use>,
    surplus: Option<Finding>,
    pod: &Field,
    findings: &mut Vec<Finding>,
) -> Option<Use> {
    if own.is_some() && registries.is_some() {
        let message = "has no effect: `spec.imageRegistries` counts".to_owned();
        findings.push(Finding { field: pod.then("imagePullSecrets"), message });
    } else {
        findings.extend(surplus);
    }
    registries.or(own)
}

/// Reads and judges an `EdgeWorkload`. The findings are warnings; the errors are all that its specification has, or the
/// first one beside it.
pub(in crate::wire) fn read_workload(
    mut document: Value,
    strictness: Strictness,
) -> Result<(WorkloadManifest, Vec<Finding>), Vec<Finding>> {
    const READ_ELSEWHERE: [&str; 4] = ["spec.data", "spec.logCollection", "spec.metrics", "spec.pod.spec"];
    const POD_SPEC_PATH: [&str; 3] = ["spec", "pod", "spec"];
    let (WorkloadDocument { metadata, mut spec }, mut findings) = typed(&document, &READ_ELSEWHERE)?;
    let pod_field = Field::from(POD_SPEC_PATH);
    let cron = spec.cron.take().and_then(|cron| cron.0);
    let engine = match spec.kind {
        WorkloadKind::Pod => Engine::Podman { rootless: spec.rootless.unwrap_or(false) },
        WorkloadKind::Kubernetes => Engine::Kubernetes,
    };
    let (pod, found) = findings::read(&document["spec"]["pod"]["spec"], &pod_field, engine, strictness);
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    findings.extend(found.warnings);
    if engine == Engine::Kubernetes {
        for_a_cluster(&spec, cron.is_some(), &pod, &mut findings)?;
    }
    let cron = cron.filter(|_| engine != Engine::Kubernetes);
    let retry = spec.retry.map(|retry| retry.0);
    let places = (Field::from(["spec", "cron"]), Field::from(["spec", "retry"]));
    let schedule = timing::schedule(
        (cron, retry),
        (Backoff::default(), agent_part::retries_in_place(&pod)),
        places,
        &mut findings,
    );
    let mut registries = registry_credentials(spec.image_registries.as_ref())?;
    if engine != Engine::Kubernetes {
        let (own, surplus) = uses::pull_secret(&pod, &pod_field, strictness);
        registries = effective_pull_secret(registries, own, surplus, &pod_field, &mut findings);
    }
    // exactly as long as they are: they stay
    let profiles: Box<[_]> = spec.profiles.into_iter().flatten().map(|profile| profile.0).collect();
    let depends_on: Box<[_]> = spec.depends_on.into_iter().flatten().map(|name| name.0).collect();
    let specification = document.pointer_mut("/spec/pod/spec").map(Value::take).unwrap_or_default();
    let content = Content {
        namespace: namespace(metadata.namespace),
        labels: for_the_pod(metadata.labels),
        annotations: for_the_pod(metadata.annotations),
        ..Content::new(metadata.name.0, engine, specification)
    };
    let manifest = WorkloadManifest {
        kind: "EdgeWorkload",
        at: &POD_SPEC_PATH,
        is_off: false,
        device: spec.device.filter(|name| !name.is_empty()),
        selector: spec.device_selector,
        uses: uses::uses(&pod, &pod_field),
        notes: found.notes,
        registries,
        workload: Arc::new(Workload {
            schedule,
            profiles: profiles.into(),
            depends_on: depends_on.into(),
            update: spec.update.and_then(|update| update.0),
            ..agent_part::workload(&pod, content, &pod_field, &mut findings)
        }),
        node: Node::of(pod, strictness),
    };
    Ok((manifest, findings))
}

/// Only what carries the `podman/` prefix reaches the pod, and without it: as the server does it.
pub(super) fn for_the_pod(pairs: Option<BTreeMap<String, String>>) -> Vec<(String, String)> {
    let stripped = pairs.into_iter().flatten().filter_map(|(key, value)| {
        let key = key.strip_prefix("podman/").filter(|key| !key.is_empty())?;
        Some((key.to_owned(), value))
    });
    stripped.collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMapDocument {
    metadata: Metadata<Subdomain>,
    // read only to be checked: podman gets the document as it is
    #[serde(rename = "data")]
    _data: Option<BTreeMap<Key, String>>,
    #[serde(rename = "binaryData")]
    _binary_data: Option<BTreeMap<Key, String>>,
}

pub(in crate::wire) fn read_config_map(document: Value) -> Result<(ConfigMap, Vec<Finding>), Finding> {
    let (ConfigMapDocument { metadata, .. }, findings) = typed(&document, &["immutable"])?;
    let (name, namespace) = (metadata.name.0, namespace(metadata.namespace));
    Ok((ConfigMap { name, namespace, whole: document }, findings))
}
