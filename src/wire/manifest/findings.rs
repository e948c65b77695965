//! What is wrong with a pod specification, and what that means for its workload on its engine.

use serde_json::Value;

use super::strictness::{Strictness, UnknownFields};
use crate::{
    agent::model::workload::Engine,
    wire::{
        field::{Field, Finding},
        podspec::{self, PodSpec, reader::Class},
    },
};

/// What is wrong with a specification, apart.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
    /// What means nothing on one device.
    pub(super) notes: Vec<Finding>,
}

/// Reads the specification that stands at a field of a document. A cluster judges its own: it may know more.
/// Nothing is said of what `was_accepted` before.
pub(super) fn read(
    specification: &Value,
    at: &Field,
    engine: Engine,
    strictness: Strictness,
) -> (PodSpec, Findings) {
    let (spec, found) = podspec::read(specification);
    let is_accepted = strictness.was_accepted && !spec.containers.is_empty();
    let findings =
        if is_accepted { Findings::default() } else { sorted(found, at, engine, strictness.unknown) };
    (spec, findings)
}

/// What the findings mean for a workload on this engine, as seen from the document.
pub(super) fn sorted(
    found: Vec<(Class, Finding)>,
    at: &Field,
    engine: Engine,
    unknown: UnknownFields,
) -> Findings {
    let mut findings = Findings::default();
    for (class, mut finding) in found {
        finding.field.0.splice(0..0, at.0.iter().cloned());
        match (class, engine) {
            (Class::Unknown, Engine::Podman { .. }) if unknown == UnknownFields::Warn => {
                findings.warnings.push(finding);
            }
            (Class::Shape, _) | (Class::Value | Class::Unknown | Class::Refused, Engine::Podman { .. }) => {
                findings.errors.push(finding);
            }
            (Class::Value | Class::Unknown, Engine::Kubernetes) | (Class::Ignored, Engine::Podman { .. }) => {
                findings.warnings.push(finding);
            }
            (Class::Meaningless, Engine::Podman { .. }) => findings.notes.push(finding),
            (Class::Refused | Class::Ignored | Class::Meaningless, Engine::Kubernetes) => {}
        }
    }
    findings
}

/// What the findings mean for an object without a pod. It is taken all the same if it `was_accepted` before.
///
/// # Errors
/// What makes it unusable.
pub(super) fn of_object(
    found: Vec<(Class, Finding)>,
    strictness: Strictness,
) -> Result<Findings, Vec<Finding>> {
    let findings = sorted(found, &Field::default(), Engine::Podman { rootless: false }, strictness.unknown);
    if !findings.errors.is_empty() && !strictness.was_accepted {
        return Err(findings.errors);
    }
    Ok(findings)
}
