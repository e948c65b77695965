//! `EdgeDevice`: a device that was let in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Free, anything, conditions, update::Update};

/// What a device is told of itself.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "management.project-flotta.io",
    version = "v1alpha1",
    kind = "EdgeDevice",
    doc = "A device that was let in.",
    namespaced,
    status = "EdgeDeviceStatus",
    derive = "PartialEq",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(
        name = "Running",
        type_ = "string",
        json_path = ".status.running",
        description = "Workloads that run, of all that it has"
    ),
    printcolumn(
        name = "Set",
        type_ = "string",
        json_path = ".metadata.labels['flotta/member-of']",
        priority = 1
    ),
    printcolumn(name = "Last seen", type_ = "date", json_path = ".status.lastSeenTime"),
    printcolumn(
        name = "Certificate",
        type_ = "string",
        json_path = ".status.certificate.notAfter",
        description = "When its certificate ends",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeDeviceSpec {
    /// How often it says how it is, and whether it describes its hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Lists of conditions over what programs on the device measure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profiles: Option<Vec<Profile>>,
    /// When its workloads may be updated, beside what each says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<Update>,
    /// Handed on. The agent leaves mounts to workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mounts: Option<Vec<Mount>>,
    /// Handed on. The agent leaves the operating system alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) os_information: Option<OsInformation>,
    /// Taken without effect: the agent leaves storage to workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) storage: Free,
    /// Taken without effect: the agent leaves metrics to workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) metrics: Free,
    /// Taken without effect: the agent leaves logs to workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) log_collection: Free,
    /// When it asked to be let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_time: Option<Time>,
}

/// How often a device says how it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Heartbeat {
    /// Seconds between two heartbeats.
    #[schemars(range(min = 1))]
    pub(crate) period_seconds: Option<i64>,
    /// Whether it describes its hardware.
    pub(crate) hardware_profile: Option<HardwareProfile>,
    /// The same as `spec.profiles`, which goes first.
    pub(crate) profiles: Option<Vec<Profile>>,
}

/// Whether a device describes its hardware.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct HardwareProfile {
    /// Whether it does.
    pub(crate) include: Option<bool>,
    /// `full`: each time; `delta`: when it changed.
    pub(crate) scope: Option<String>,
}

/// A named list of conditions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Profile {
    /// Unique on the device.
    pub(crate) name: Option<String>,
    /// What workloads name to depend on.
    pub(crate) conditions: Option<Vec<ProfileCondition>>,
}

/// An expression over metrics, with a name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct ProfileCondition {
    /// Unique in the profile.
    pub(crate) name: Option<String>,
    /// For example `cpu < 25%`.
    pub(crate) expression: Option<String>,
    /// How long it has to be true without a break, for example `30s`.
    #[serde(rename = "for")]
    pub(crate) hold: Option<String>,
    /// What ends the condition, for example `cpu > 40%`; without it, that the expression is false.
    pub(crate) until: Option<String>,
}

/// Something to mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Mount {
    /// The block device's path.
    pub(crate) device: Option<String>,
    /// The directory onto which.
    pub(crate) folder: Option<String>,
    /// The file system: `ext4`.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// For example `ro`.
    pub(crate) options: Option<String>,
}

/// An image of the operating system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct OsInformation {
    /// Whether it is put onto the device.
    pub(crate) automatically_upgrade: Option<bool>,
    /// Of the image.
    #[serde(rename = "commitID")]
    pub(crate) commit_id: Option<String>,
    /// Where images are served.
    #[serde(rename = "hostedObjectsURL")]
    pub(crate) hosted_objects_url: Option<String>,
}

/// What a device says of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeDeviceStatus {
    /// `Approved`: it was let in. `Registered`: it has a certificate. `Up` or `Degraded`: as it says. `Silent`: it says
    /// nothing any more. `Leaving`: it is being deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    /// Workloads that run, of all that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running: Option<String>,
    /// When it was last heard of. It is written with other changes, and else now and then: the more devices, the rarer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen_time: Option<Time>,
    /// The version of the configuration that it applied last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_synced_resource_version: Option<String>,
    /// When it said so first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_synced_time: Option<Time>,
    /// `Connected`: it is heard of. `Configured`: what is meant for it can be sent; there when it could not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub(crate) conditions: Vec<Condition>,
    /// Its workloads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) workloads: Option<Vec<WorkloadState>>,
    /// Its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<Certificate>,
    /// Its hardware, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) hardware: Free,
    /// How its upgrade went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) upgrade_information: Free,
    /// Written by Flotta's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_obc: Option<String>,
}

/// How a workload is on a device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WorkloadState {
    /// Its EdgeWorkload's name.
    pub(crate) name: String,
    /// As the device says: `Running`, `Deploying`, `Crashed`, `Stopped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_transition_time: Option<Time>,
    /// What the device last said of it, in its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The revision of it that the device took back, as it didn't come up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rolled_back: Option<String>,
    /// Written by Flotta's operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_data_upload: Option<Time>,
}

/// What a device's certificate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificate {
    /// Its serial number, hexadecimal.
    pub(crate) serial: String,
    /// When it ends.
    pub(crate) not_after: Time,
    /// Which CA signed it: another value than on devices that registered lately is that of a former one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// That of the first certificate, and of all that it was renewed by: no other one is the device's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<String>,
    /// Whether one of them was used. Until then the device may register again with another key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) used: bool,
}
