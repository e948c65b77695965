//! `EdgeWorkload`: what devices should run.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    super::place::Place, Free, anything, anything_or_null, conditions, number, number_or_text,
    objects_or_names, update::Update,
};

/// What devices should run, and which.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "management.project-flotta.io",
    version = "v1alpha1",
    kind = "EdgeWorkload",
    doc = "What devices should run.",
    namespaced,
    status = "EdgeWorkloadStatus",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].status"#
    ),
    printcolumn(
        name = "Desired",
        type_ = "integer",
        json_path = ".status.desired",
        description = "Devices that should run it"
    ),
    printcolumn(name = "Running", type_ = "integer", json_path = ".status.running"),
    printcolumn(name = "Failing", type_ = "integer", json_path = ".status.failing"),
    printcolumn(
        name = "Updated",
        type_ = "integer",
        json_path = ".status.updated",
        description = "Devices that have applied all that is meant for them"
    ),
    printcolumn(name = "Rollout", type_ = "string", json_path = ".status.rollout.phase"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Accepted")].message"#,
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeWorkloadSpec {
    /// `pod`: on podman; `k8s`: a Deployment in a cluster that the device knows.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Only for the device of this name.
    pub(crate) device: Option<String>,
    /// Only for devices with these labels; an empty one: for all. Without this and `device`: for none.
    pub(crate) device_selector: Option<LabelSelector>,
    /// The pod.
    pub(crate) pod: Option<Pod>,
    /// Runs once at each slot of this schedule instead of always: five fields.
    pub(crate) cron: Option<String>,
    /// Whether it runs on the podman of a user without rights.
    pub(crate) rootless: Option<bool>,
    /// How long a container waits after its end.
    pub(crate) retry: Option<Retry>,
    /// Runs only while these hold.
    pub(crate) profiles: Option<Vec<ProfileReference>>,
    /// When another content of it may take the place of one that runs on a device.
    pub(crate) update: Option<Update>,
    /// Is not started before these workloads of the device are ready.
    pub(crate) depends_on: Option<Vec<String>>,
    /// Credentials for registries.
    pub(crate) image_registries: Option<ImageRegistries>,
    /// An update reaches devices one after the other. Without it all have it at once.
    pub(crate) rollout: Option<Rollout>,
    /// Taken without effect: the agent leaves data to workloads.
    #[schemars(schema_with = "anything")]
    pub(crate) data: Free,
    /// Taken without effect: the agent leaves metrics to workloads.
    #[schemars(schema_with = "anything")]
    pub(crate) metrics: Free,
    /// Taken without effect: the agent leaves logs to workloads.
    pub(crate) log_collection: Option<String>,
}

/// A pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Pod {
    /// A PodSpec of Kubernetes. It is kept whole: what of it a device can't do is in the condition `Accepted`.
    #[schemars(schema_with = "anything")]
    pub(crate) spec: serde_json::Value,
    /// What else is written for the pod, such as `metadata`, which has no effect.
    #[serde(flatten)]
    pub(crate) others: BTreeMap<String, serde_json::Value>,
}

/// How long a container waits after its end: one of both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Retry {
    /// Always the same time.
    pub(crate) constant_backoff: Option<ConstantBackoff>,
    /// Longer with each failure.
    pub(crate) exponential_backoff: Option<ExponentialBackoff>,
}

/// How an update reaches devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rollout {
    /// Devices that may have it without running it yet: a number, or a share (`10%`, the default).
    #[schemars(schema_with = "number_or_text")]
    pub(crate) max_unavailable: Option<serde_json::Value>,
    /// Devices with these labels have it first, one wave after the other; then all others.
    pub(crate) waves: Option<Vec<LabelSelector>>,
    /// Whether it waits for a person when a device fails with it (it does, unless this is `false`). A new value of the
    /// annotation `flotta/resume` lets it go on.
    pub(crate) pause_on_failure: Option<bool>,
    /// Seconds for which it has to run on a device before the next one has it; 15 by default.
    #[schemars(range(min = 0))]
    pub(crate) min_ready_seconds: Option<i64>,
}

/// Always the same time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ConstantBackoff {
    /// 0.1 to 86400.
    #[schemars(schema_with = "number")]
    pub(crate) period_seconds: Option<serde_json::Number>,
}

/// Longer with each failure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ExponentialBackoff {
    /// The first wait: 0.1 to 86400.
    #[schemars(schema_with = "number")]
    pub(crate) initial_interval_seconds: Option<serde_json::Number>,
    /// By how much it grows: 1 to 100.
    #[schemars(schema_with = "number")]
    pub(crate) multiplier: Option<serde_json::Number>,
    /// By which share of it the wait varies: 0 to 1.
    #[schemars(schema_with = "number")]
    pub(crate) randomization_factor: Option<serde_json::Number>,
}

/// Conditions of a device's profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProfileReference {
    /// The profile's.
    pub(crate) name: Option<String>,
    /// One of which must hold: `{name, cpu}`, where `cpu` limits CPU time while it does, or only the name.
    #[schemars(schema_with = "objects_or_names")]
    pub(crate) conditions: Option<Vec<serde_json::Value>>,
}

/// Credentials for registries.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ImageRegistries {
    /// A Secret of type `kubernetes.io/dockerconfigjson`.
    pub(crate) secret_ref: Option<SecretReference>,
}

/// A Secret in the same namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SecretReference {
    /// Its name.
    pub(crate) name: String,
}

/// How it is on the devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeWorkloadStatus {
    /// Of which generation this speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    /// `Accepted`: a device of this agent can run it. If not: why, and which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub(crate) conditions: Vec<Condition>,
    /// Devices that should run it.
    pub(crate) desired: i64,
    /// Devices that say it runs.
    pub(crate) running: i64,
    /// Devices that say it fails.
    pub(crate) failing: i64,
    /// Devices that should run it and have applied all that is meant for them.
    pub(crate) updated: i64,
    /// How far the present update has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rollout: Option<RolloutStatus>,
}

/// How far an update has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RolloutStatus {
    /// Of the content that devices are to have.
    pub(crate) revision: String,
    /// `Progressing`, `Paused` or `Complete`.
    pub(crate) phase: String,
    /// How many devices have it, or why it is paused.
    pub(crate) message: Option<String>,
    /// The last device in the order that has it.
    pub(crate) released: Option<Place>,
    /// The annotation `flotta/resume` when it was last looked at.
    pub(crate) resumed: Option<String>,
    /// Failures that there were then.
    pub(crate) tolerated: i64,
    /// The content that all devices had last.
    #[schemars(schema_with = "anything_or_null")]
    pub(crate) stable: Free,
}
