//! Which device a pod says that it is for.

use std::collections::BTreeMap;

use super::strictness::Strictness;
use crate::wire::{
    field::{FieldPath, Finding},
    podspec::PodSpec,
};

/// What a specification says of its node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NodeConstraint {
    pub(super) name: String,
    pub(super) selector: BTreeMap<String, String>,
}

impl NodeConstraint {
    /// What `was_accepted` before isn't asked again.
    pub(super) fn from_pod_spec(pod: PodSpec, strictness: Strictness) -> Option<Self> {
        (!strictness.was_accepted).then_some(Self { name: pod.node_name, selector: pod.node_selector })
    }

    /// Whether it is this device, of which only some labels are known where a server chose.
    pub(super) fn check_device(
        &self,
        device_id: &str,
        labels: Option<&BTreeMap<String, String>>,
        at: &FieldPath,
    ) -> Result<(), Finding> {
        if !self.name.is_empty() && self.name != device_id {
            let message = format!("is `{}`, and this device is `{device_id}`", self.name);
            return Err(Finding { field: at.child("nodeName"), message });
        }
        for (key, wanted) in &self.selector {
            let own = match key.as_str() {
                "kubernetes.io/hostname" => Some(device_id),
                "kubernetes.io/os" => Some("linux"),
                "kubernetes.io/arch" => Some(ARCHITECTURE),
                other => labels.and_then(|labels| labels.get(other)).map(String::as_str),
            };
            let message = match own {
                Some(own) if own == wanted => continue,
                Some(own) => format!("this device has `{own}`, not `{wanted}`"),
                None if labels.is_none() => {
                    "the control plane doesn't say which labels this device has: use `spec.deviceSelector`"
                        .to_owned()
                }
                None => "this device has no such label: its EdgeDevice takes `metadata.labels`".to_owned(),
            };
            return Err(Finding { field: at.child("nodeSelector").child(key.as_str()), message });
        }
        Ok(())
    }
}

/// As Go calls it.
const ARCHITECTURE: &str = match std::env::consts::ARCH.as_bytes() {
    b"x86_64" => "amd64",
    b"aarch64" => "arm64",
    b"x86" => "386",
    _ => std::env::consts::ARCH,
};
