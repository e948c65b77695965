//! `EdgeDeviceSet`: what devices of the label `flotta/member-of` have in common.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Free, anything,
    device::{Heartbeat, Mount, OsInformation, Profile},
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
