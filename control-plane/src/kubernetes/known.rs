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
        // One that another program wrote otherwise counts as none.
        let mut status: EdgeDeviceStatus = serde_json::from_value(status).unwrap_or_default();
        status.workloads.iter_mut().for_each(Vec::shrink_to_fit);
        Self {
            annotations,
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            finalizers: metadata.finalizers.unwrap_or_default(),
            deleted: metadata.deletion_timestamp.map(|time| time.0),
            spec: data.get_mut("spec").map(Value::take).unwrap_or_default(),
            status,
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
            chain: self.status.certificate.as_ref().and_then(|it| it.chain.clone()),
            // (one without a chain is from a server that knew none)
            is_used: self.status.certificate.as_ref().is_some_and(|it| it.used || it.chain.is_none()),
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
    add(value, &mut hasher);
    hasher.finish()
}

fn add(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Array(items) => {
            items.len().hash(hasher);
            items.iter().for_each(|item| add(item, hasher));
        }
        Value::Object(fields) => {
            fields.len().hash(hasher);
            for (key, value) in fields {
                key.hash(hasher);
                add(value, hasher);
            }
        }
        // A device says 1500.0, and the API server gives back 1500.
        Value::Number(number) => number.as_f64().unwrap_or_default().to_bits().hash(hasher),
        Value::String(text) => text.hash(hasher),
        Value::Bool(is_so) => is_so.hash(hasher),
        Value::Null => 0_u8.hash(hasher),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::fingerprint;

    #[test]
    fn what_the_api_server_writes_otherwise_is_the_same() {
        let said = json!({"cpu": {"frequency": 1500.0, "count": 4}, "disks": []});
        let kept = json!({"cpu": {"count": 4, "frequency": 1500}, "disks": []});
        assert_eq!(fingerprint(&said), fingerprint(&kept));
        assert_ne!(
            fingerprint(&said),
            fingerprint(&json!({"cpu": {"frequency": 1500.5, "count": 4}, "disks": []}))
        );
        assert_ne!(fingerprint(&json!([[1], 2])), fingerprint(&json!([[1, 2]])));
    }
}
