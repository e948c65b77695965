//! `EdgeDeviceSet`: what devices of the label `flotta/member-of` have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Free, anything,
    device::{Heartbeat, Mount, OsInformation, Profile},
    update::Update,
};

/// What devices have in common. What a set gives wins over the device's own.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "management.project-flotta.io",
    version = "v1alpha1",
    kind = "EdgeDeviceSet",
    doc = "What the devices have in common whose label `flotta/member-of` names it.",
    namespaced,
    derive = "PartialEq",
    printcolumn(
        name = "Period",
        type_ = "integer",
        json_path = ".spec.heartbeat.periodSeconds",
        description = "Seconds between two heartbeats"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeDeviceSetSpec {
    /// How often they say how they are, and whether they describe their hardware.
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Lists of conditions over what programs on the devices measure.
    pub(crate) profiles: Option<Vec<Profile>>,
    /// When their workloads may be updated, beside what each says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<Update>,
    /// Devices that ask are let in at once, into this set, if all that is given here fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approve: Option<Approve>,
    /// Handed on. The agent leaves mounts to workloads.
    pub(crate) mounts: Option<Vec<Mount>>,
    /// Handed on. The agent leaves the operating system alone.
    pub(crate) os_information: Option<OsInformation>,
    /// Taken without effect: the agent leaves storage to workloads.
    #[schemars(schema_with = "anything")]
    pub(crate) storage: Free,
    /// Taken without effect: the agent leaves metrics to workloads.
    #[schemars(schema_with = "anything")]
    pub(crate) metrics: Free,
    /// Taken without effect: the agent leaves logs to workloads.
    #[schemars(schema_with = "anything")]
    pub(crate) log_collection: Free,
}

/// Who is let in without a person. Names and hardware are what the device says: who has the bootstrap certificate can
/// say anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("minProperties" = 1))]
pub(crate) struct Approve {
    /// Its name is one of these, in which `*` stands for any characters and `?` for one.
    pub(crate) names: Option<Vec<String>>,
    /// Its EdgeDeviceSignedRequest has these labels; an empty one takes all.
    pub(crate) selector: Option<LabelSelector>,
}
