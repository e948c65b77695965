//! The resources a person writes, from JSON to valid types. Their shapes are those of Flotta's custom resource
//! definitions (`management.project-flotta.io/v1alpha1`).

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use super::{
    node::Node,
    pod::{self, Use},
    profiles::{DeviceProfiles, WorkloadProfile},
    secret::Secret,
    select::Selector,
    strictness::Strictness,
    timing::{self, CronField, Retry},
};
use crate::{
    agent::model::{
        schedule::Backoff,
        workload::{Content, Engine, Profile, RestartPolicy, Workload},
    },
    wire::{
        field::{Field, Finding},
        names::{Key, Label, Subdomain},
        podspec::{PodSpec, container::Protocol, values::PortName},
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
    /// The `Secret` with the credentials for image registries, and where it is named.
    pub(super) registries: Option<(String, Field)>,
    /// Which device its pod is for.
    pub(super) node: Option<Node>,
    /// What means nothing on one device.
    pub(super) notes: Vec<Finding>,
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

/// Deserializes a document; the findings are the fields that nothing knows.
fn typed<'de, T: Deserialize<'de>>(
    document: &'de Value,
    left: &[&str],
) -> Result<(T, Vec<Finding>), Finding> {
    let (value, unknown) = strict::typed(document)?;
    Ok((value, without_effect(unknown, left)))
}

fn without_effect(mut unknown: Vec<Field>, left: &[&str]) -> Vec<Finding> {
    let is_known = |field: &str| {
        let is_below = |known: &&str| {
            field.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        left.iter().chain(&COMMON).any(is_below)
    };
    unknown.retain(|field| !is_known(&field.to_string()));
    let message = "unknown field: it has no effect";
    unknown.into_iter().map(|field| Finding { field, message: message.to_owned() }).collect()
}

/// Fields of every resource that are legal and say nothing to this agent.
const COMMON: [&str; 17] = [
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

fn namespace(given: Option<Label>) -> String {
    given.map_or_else(|| "default".to_owned(), |name| name.0)
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
    heartbeat: Option<Heartbeat>,
}

/// The model's README draws the profiles one level too deep: here.
#[derive(Deserialize)]
struct Heartbeat {
    profiles: Option<DeviceProfiles>,
}

pub(in crate::wire) fn read_device(document: &Value) -> Result<(Device, Vec<Finding>), Finding> {
    const LEFT: [&str; 8] = [
        "spec.heartbeat.hardwareProfile",
        "spec.heartbeat.periodSeconds",
        "spec.logCollection",
        "spec.metrics",
        "spec.mounts",
        "spec.osInformation",
        "spec.requestTime",
        "spec.storage",
    ];
    let (DeviceDocument { metadata, spec }, mut findings) = typed(document, &LEFT)?;
    let spec = spec.unwrap_or_default();
    let (above, below) = (Field::from(["spec", "profiles"]), Field::from(["spec", "heartbeat", "profiles"]));
    let deeper = spec.heartbeat.and_then(|heartbeat| heartbeat.profiles);
    if spec.profiles.is_some() && deeper.is_some() {
        let message = "has no effect beside `spec.profiles`".to_owned();
        findings.push(Finding { field: below.clone(), message });
    }
    let (profiles, at) = if spec.profiles.is_some() { (spec.profiles, above) } else { (deeper, below) };
    let (mut faults, mut expressions) = (Vec::new(), Vec::new());
    let profiles = profiles.map(|it| it.usable(&at, &mut faults, &mut expressions)).unwrap_or_default();
    let (name, labels) = (metadata.name.0, metadata.labels.unwrap_or_default());
    Ok((Device { name, labels, profiles, faults, expressions }, findings))
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
    kind: Kind,
    device: Option<String>,
    device_selector: Option<Selector>,
    #[serde(rename = "pod")]
    _pod: Template,
    cron: Option<CronField>,
    rootless: Option<bool>,
    retry: Option<Retry>,
    profiles: Option<Vec<WorkloadProfile>>,
    image_registries: Option<Value>,
}

/// What is in it has a reader of its own.
#[derive(Deserialize)]
struct Template {}

#[derive(Deserialize)]
#[serde(try_from = "String")]
enum Kind {
    Pod,
    Kubernetes,
}

impl TryFrom<String> for Kind {
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
    if pod::restart(pod) != RestartPolicy::Always {
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
fn registries(written: Option<&Value>) -> Result<Option<String>, Finding> {
    let is_empty = |written: &&Value| written.as_object().is_some_and(serde_json::Map::is_empty);
    let Some(registries) = written.filter(|written| !is_empty(written)) else { return Ok(None) };
    match registries["secretRef"]["name"].as_str() {
        Some(name) => Ok(Some(name.to_owned())),
        None => Err(Finding::new(REGISTRIES, "is missing: it names a Secret")),
    }
}

/// `was_accepted`: what it says ran before, perhaps by a version that judged less; it isn't judged anew.
pub(in crate::wire) fn read_workload(
    mut document: Value,
    strictness: Strictness,
) -> Result<(WorkloadManifest, Vec<Finding>), Vec<Finding>> {
    const LEFT: [&str; 4] = ["spec.data", "spec.logCollection", "spec.metrics", "spec.pod.spec"];
    let (WorkloadDocument { metadata, mut spec }, mut findings) = typed(&document, &LEFT)?;
    const AT: [&str; 3] = ["spec", "pod", "spec"];
    let pod_field = Field::from(AT);
    let mut cron = spec.cron.take().and_then(|cron| cron.0);
    let has_cron = cron.is_some();
    let engine = match spec.kind {
        Kind::Pod => Engine::Podman { rootless: spec.rootless.unwrap_or(false) },
        Kind::Kubernetes => Engine::Kubernetes,
    };
    let (pod, found) = pod::read(&document["spec"]["pod"]["spec"], &pod_field, engine, strictness);
    if !found.errors.is_empty() {
        return Err(found.errors);
    }
    findings.extend(found.warnings);
    if engine == Engine::Kubernetes {
        for_a_cluster(&spec, has_cron, &pod, &mut findings)?;
        cron = None;
    }
    let retry = spec.retry.map(|retry| retry.0);
    let places = (Field::from(["spec", "cron"]), Field::from(["spec", "retry"]));
    let schedule = timing::schedule((cron, retry), Backoff::default(), places, &mut findings);
    let registries = registries(spec.image_registries.as_ref())?;
    // exactly as long as they are: they stay
    let profiles: Box<[_]> = spec.profiles.into_iter().flatten().map(|profile| profile.0).collect();
    let rootless = spec.rootless.unwrap_or(false);
    let probes = pod::probes(&pod, &pod_field, rootless, &mut findings);
    let specification = document.pointer_mut("/spec/pod/spec").map(Value::take).unwrap_or_default();
    let content = Content {
        namespace: namespace(metadata.namespace),
        labels: for_the_pod(metadata.labels),
        annotations: for_the_pod(metadata.annotations),
        ..Content::new(metadata.name.0, engine, specification)
    };
    let manifest = WorkloadManifest {
        kind: "EdgeWorkload",
        at: &AT,
        is_off: false,
        device: spec.device.filter(|name| !name.is_empty()),
        selector: spec.device_selector,
        uses: pod::uses(&pod, &pod_field),
        notes: found.notes,
        registries: registries.map(|name| (name, Field::from(REGISTRIES))),
        workload: Arc::new(Workload {
            restart: pod::restart(&pod),
            grace: pod::grace(&pod),
            cpu: pod::cpu(&pod),
            deadline: pod::deadline(&pod),
            schedule,
            profiles: profiles.into(),
            probes,
            ..Workload::new(content)
        }),
        node: (!strictness.was_accepted).then_some(Node { name: pod.node_name, selector: pod.node_selector }),
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
