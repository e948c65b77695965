//! A document that was read and is valid.

use std::sync::Arc;

use super::{
    problem::{Problem, Severity},
    resource::Resource,
    source::SourceText,
};
use crate::wire::field::{FieldPath, Finding};

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) file: Arc<str>,
    pub(super) source: SourceText,
    /// Of an item of a list: the list, and where in it.
    pub(super) within: Option<(Arc<SourceText>, FieldPath)>,
    pub(super) resource: Resource,
}

impl Document {
    /// Its text and where it stands.
    pub fn source(&self) -> &SourceText {
        &self.source
    }

    /// Kind, namespace and name: what makes it the same resource in another version of the file. All kinds of workloads
    /// are one here, as a device has one workload of a name.
    pub fn key(&self) -> (&'static str, &str, &str) {
        match &self.resource {
            Resource::Device(device) => ("EdgeDevice", "", &device.name),
            Resource::Workload(workload) => ("EdgeWorkload", "", workload.workload.name()),
            Resource::ConfigMap(map) => ("ConfigMap", &map.namespace, &map.name),
            Resource::Secret(secret) => ("Secret", &secret.namespace, &secret.name),
            Resource::Service(service) => ("Service", &service.namespace, &service.name),
            Resource::Claim { name, namespace } => ("PersistentVolumeClaim", namespace, name),
            Resource::Meaningless { kind, name, namespace } => (kind, namespace, name),
        }
    }

    /// What its author calls it.
    pub fn kind(&self) -> &'static str {
        match &self.resource {
            Resource::Workload(workload) => workload.kind,
            _ => self.key().0,
        }
    }

    pub(super) fn problem(&self, severity: Severity, finding: Finding) -> Problem {
        let mut problem = match &self.within {
            Some((list, at)) => list.problem(&self.file, severity, finding.with_path_prefix(at)),
            None => self.source.problem(&self.file, severity, finding),
        };
        if let Resource::Workload(workload) = &self.resource {
            problem.workload = Some(workload.workload.name().to_owned());
        }
        problem
    }

    /// For people: `web.yaml, line 7`.
    pub(super) fn place(&self) -> String {
        let line = match &self.within {
            Some((list, at)) => list.line(&at.child("kind")),
            None => self.source.line(&FieldPath::from(["kind"])),
        };
        format!("{}, line {line}", self.file)
    }
}
