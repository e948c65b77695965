//! `EdgeDeviceSignedRequest`: a device that asks to be let in.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Free, anything, conditions};

/// What a device asks for, and what a person says to it.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "management.project-flotta.io",
    version = "v1alpha1",
    kind = "EdgeDeviceSignedRequest",
    doc = "A device that asks to be let in. `spec.approved: true` lets it in.",
    namespaced,
    status = "EdgeDeviceSignedRequestStatus",
    derive = "PartialEq",
    shortname = "edsr",
    printcolumn(name = "Approved", type_ = "boolean", json_path = ".spec.approved"),
    printcolumn(
        name = "Namespace",
        type_ = "string",
        json_path = ".spec.targetNamespace",
        description = "Where its EdgeDevice will be"
    ),
    printcolumn(name = "Set", type_ = "string", json_path = ".spec.targetSet"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EdgeDeviceSignedRequestSpec {
    /// Where its EdgeDevice will be.
    pub(crate) target_namespace: Option<String>,
    /// The EdgeDeviceSet that it will belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target_set: Option<String>,
    /// Whether it is let in.
    pub(crate) approved: bool,
    /// Whether it is not: it hears 400 from now on, and asks more rarely.
    pub(crate) refused: bool,
    /// How the device describes itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub(crate) features: Free,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct EdgeDeviceSignedRequestStatus {
    /// `Approved`: its EdgeDevice is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub(crate) conditions: Vec<Condition>,
}
