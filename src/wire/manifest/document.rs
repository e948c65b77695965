//! A document that was read and is valid.

use std::sync::Arc;

use super::{
    problem::{Problem, Severity},
    resource::Resource,
    source::Source,
};
use crate::wire::field::{Field, Finding};

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    pub(super) file: Arc<str>,
    pub(super) source: Source,
    pub(super) resource: Resource,
}

impl Document {
    /// Its text and where it stands.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Kind, namespace and name: what makes it the same resource in another version of the file.
    pub fn key(&self) -> (&'static str, &str, &str) {
        match &self.resource {
            Resource::Device(device) => ("EdgeDevice", "", &device.name),
            Resource::Workload(workload) => ("EdgeWorkload", "", &workload.content.name),
            Resource::ConfigMap(map) => ("ConfigMap", &map.namespace, &map.name),
            Resource::Secret(secret) => ("Secret", &secret.namespace, &secret.name),
        }
    }

    pub(super) fn problem(&self, severity: Severity, finding: Finding) -> Problem {
        let mut problem = self.source.problem(&self.file, severity, finding);
        if let Resource::Workload(workload) = &self.resource {
            problem.workload = Some(workload.content.name.clone());
        }
        problem
    }

    /// For people: `web.yaml, line 7`.
    pub(super) fn place(&self) -> String {
        let line = self.source.line(&Field::from(["kind"]));
        format!("{}, line {line}", self.file)
    }
}
