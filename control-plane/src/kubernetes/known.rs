//! What of a device counts here: small, as there may be many.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use k8s_openapi::jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::Value;

use super::resources::EdgeDeviceStatus;
use crate::store::{Device, Stage};

/// Keeps an EdgeDevice that is deleted until the device was told.
pub(crate) const FINALIZER: &str = "management.project-flotta.io/disconnect";

/// A device, as its EdgeDevice has it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Those that people write.
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) finalizers: Vec<String>,
    /// Since when it is being deleted.
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) spec: Value,
    /// Without the hardware.
    pub(crate) status: EdgeDeviceStatus,
    /// Of the hardware.
    pub(crate) hardware: u64,
}

impl Known {
    pub(crate) fn of(object: DynamicObject) -> Self {
        let DynamicObject { metadata, mut data, .. } = object;
        let mut status = data.get_mut("status").map(Value::take).unwrap_or_default();
        let hardware = status.get_mut("hardware").map(Value::take).unwrap_or_default();
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.retain(|key, _| !key.starts_with("kubectl.kubernetes.io/"));
        Self {
            annotations,
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            deleted: metadata.deletion_timestamp.map(|time| time.0),
            spec: data.get_mut("spec").map(Value::take).unwrap_or_default(),
            // One that another program wrote otherwise counts as none.
            status: serde_json::from_value(status).unwrap_or_default(),
            hardware: fingerprint(&hardware),
        }
    }

    pub(crate) fn stage(&self) -> Stage {
        match (&self.deleted, &self.status.certificate) {
            (Some(_), _) => Stage::Leaving,
            (None, Some(_)) => Stage::Registered,
            (None, None) => Stage::Approved,
        }
    }

    pub(crate) fn device(&self) -> Device {
        Device {
            id: self.name.clone(),
            namespace: self.namespace.clone(),
            stage: self.stage(),
            uid: Some(self.uid.clone()),
        }
    }

    /// Whether something here holds it back from being deleted.
    pub(crate) fn is_held(&self) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
    }
}

/// Tells one value from another, while this process runs.
pub(crate) fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}
