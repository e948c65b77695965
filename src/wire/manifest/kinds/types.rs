//! The objects that hold a specification, or stand beside one, as Kubernetes has them. What becomes of each field
//! stands in the field tables.

#![allow(unreachable_pub)] // what the macros make is public

use std::collections::BTreeMap;

use serde_json::Value;

use super::annotations::is_agent_annotation;
#[cfg(test)]
use crate::wire::podspec::schema::{Schema, mapping_schema};
use crate::wire::{
    dns_names::{is_dns_subdomain, is_label_value},
    podspec::{
        PodSpec,
        container::{Protocol, ResourceRequirements},
        reader::{FindingClass, Read, ReadContext},
        types::{mapping, words},
        values::{Count, IanaServiceName, Label, Port, PortNumberOrName, Subdomain},
    },
};

mapping! {
    /// Whose an object is.
    ObjectMeta {
        name: Subdomain,
        namespace: Option<Label>,
        labels: Labels,
        annotations: Annotations,
    }
}

mapping! {
    /// What the pods of an object are marked with.
    TemplateMeta {
        labels: Labels,
        annotations: PodAnnotations,
    }
}

mapping! {
    /// The pods of an object.
    PodTemplate {
        metadata: TemplateMeta,
        spec: CheckedPodSpec,
    }
}

mapping! {
    /// Which pods are an object's: all must hold.
    LabelSelector {
        match_labels: Labels,
        match_expressions: Vec<LabelRequirement>,
    }
}

mapping! {
    /// What a label must be.
    LabelRequirement {
        key: String,
        operator: Operator,
        values: Vec<String>,
    }
}

words! {
    /// How a label is compared.
    Operator { In, NotIn, Exists, DoesNotExist, }
}

mapping! {
    /// `apps/v1` `Deployment`
    DeploymentSpec {
        replicas: Option<Count>,
        selector: LabelSelector,
        template: PodTemplate,
    }
}

mapping! {
    /// `apps/v1` `StatefulSet`
    StatefulSetSpec {
        replicas: Option<Count>,
        selector: LabelSelector,
        service_name: Option<Label>,
        template: PodTemplate,
        volume_claim_templates: Vec<ClaimTemplate>,
    }
}

mapping! {
    /// `apps/v1` `DaemonSet`
    DaemonSetSpec {
        selector: LabelSelector,
        template: PodTemplate,
    }
}

mapping! {
    /// `v1` `Service`
    ServiceSpec {
        cluster_ip: String = "clusterIP",
        ports: Vec<ServicePort>,
        selector: Labels,
        kind: ServiceType = "type",
    }
}

words! {
    /// From where a service is reached.
    ServiceType {
        ClusterIp = "ClusterIP",
        NodePort,
        LoadBalancer,
        ExternalName,
    }
}

mapping! {
    /// A port of a service, and where it leads to.
    ServicePort {
        name: IanaServiceName,
        node_port: Option<Port>,
        port: Port,
        protocol: Protocol,
        target_port: Option<PortNumberOrName>,
    }
}

mapping! {
    /// `v1` `PersistentVolumeClaim`
    ClaimSpec {
        access_modes: Vec<AccessMode>,
        resources: ResourceRequirements,
        volume_mode: VolumeMode,
    }
}

words! {
    /// How many may use a claim.
    AccessMode {
        Device = "ReadWriteOnce",
        Readers = "ReadOnlyMany",
        All = "ReadWriteMany",
        Pod = "ReadWriteOncePod",
    }
}

words! {
    /// What a claim is.
    VolumeMode { Filesystem, Block, }
}

/// An object's own part.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object<T> {
    /// Whose it is.
    pub metadata: ObjectMeta,
    /// What it asks for.
    pub spec: T,
}

impl<T: Read> Read for Object<T> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let fields = notes.expect_mapping(value, "Object");
        Self { metadata: notes.read_field(fields, "metadata"), spec: notes.read_field(fields, "spec") }
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        let fields = vec![("metadata", ObjectMeta::schema(schema)), ("spec", T::schema(schema))];
        mapping_schema("Object", fields)
    }
}

/// A claim within a `StatefulSet`.
pub type ClaimTemplate = Object<ClaimSpec>;

/// A specification, with what its shape alone doesn't say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CheckedPodSpec(pub PodSpec);

impl Read for CheckedPodSpec {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        if value.is_null() {
            return Self::default(); // it is missing, and that is said
        }
        Self(PodSpec::read_checked(value, notes))
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        PodSpec::schema(schema)
    }
}

/// Labels, their keys and values as the API server takes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(pub BTreeMap<String, String>);

impl Read for Labels {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let labels = BTreeMap::<String, String>::read(value, notes);
        for (key, value) in &labels {
            check_key(key, notes);
            if !value.is_empty() && !is_label_value(value) {
                let message = format!(
                    "`{value}` can't be a label's value: it takes at most 63 letters, digits, and inner `-`, `_` and `.`"
                );
                notes.add_at(key, FindingClass::Value, message);
            }
        }
        Self(labels)
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        BTreeMap::<String, String>::schema(schema)
    }
}

/// Annotations, their keys as the API server takes them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations(pub BTreeMap<String, String>);

impl Read for Annotations {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let annotations = BTreeMap::<String, String>::read(value, notes);
        annotations.keys().for_each(|key| check_key(key, notes));
        Self(annotations)
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        BTreeMap::<String, String>::schema(schema)
    }
}

/// Those of a pod that another object makes. What is said to the agent stands at the object: one place to look.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodAnnotations(pub BTreeMap<String, String>);

impl Read for PodAnnotations {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let Annotations(annotations) = Annotations::read(value, notes);
        for key in annotations.keys().filter(|key| is_agent_annotation(key)) {
            notes.add_at(key, FindingClass::Value, "belongs to `metadata.annotations` of the object itself");
        }
        Self(annotations)
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        BTreeMap::<String, String>::schema(schema)
    }
}

fn check_key(key: &str, notes: &mut ReadContext) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_dns_subdomain(prefix)) || !is_label_value(name) {
        let message = "can't be a key: it takes at most 63 letters, digits, and inner `-`, `_` and `.`, perhaps after \
                       a lower-case domain and `/`";
        notes.add_at(key, FindingClass::Value, message);
    }
}
