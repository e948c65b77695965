//! What documents say, once they are found valid.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{node::NodeConstraint, object_references::ObjectReference, secret::Secret, select::Selector};
use crate::{
    agent::model::{
        update::UpdateRules,
        workload::{Profile, Workload},
    },
    wire::{
        field::{FieldPath, Finding},
        podspec::{container::Protocol, values::PortNumberOrName},
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
    pub(super) uses: Vec<ObjectReference>,
    /// The `Secret` with the credentials for image registries.
    pub(super) registries: Option<ObjectReference>,
    /// Which device its pod is for.
    pub(super) node: Option<NodeConstraint>,
    /// What means nothing on one device.
    pub(super) notes: Vec<Finding>,
}

impl WorkloadManifest {
    /// From now on it names no `Secret` with credentials for image registries. Says where it did.
    pub(in crate::wire) fn take_pull_secret(&mut self) -> Option<FieldPath> {
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
    pub(super) ports: Vec<ServicePortMapping>,
}

/// A port of a [`Service`].
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServicePortMapping {
    /// Where clients ask on a cluster.
    pub(super) port: u16,
    pub(super) target: PortNumberOrName,
    pub(super) protocol: Protocol,
    /// Those of the device that lead there, too.
    pub(super) host_ports: Vec<u16>,
}
