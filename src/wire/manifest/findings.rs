//! What is wrong with a pod specification, and what that means for its workload on its engine.

use serde_json::Value;

use super::strictness::{Strictness, UnknownFields};
use crate::{
    agent::model::workload::Engine,
    wire::{
        field::{FieldPath, Finding},
        podspec::{self, PodSpec, reader::FindingClass},
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
    at: &FieldPath,
    engine: Engine,
    strictness: Strictness,
) -> (PodSpec, Findings) {
    let (spec, found) = podspec::read(specification);
    let is_accepted = strictness.was_accepted && !spec.containers.is_empty();
    let findings =
        if is_accepted { Findings::default() } else { classify(found, at, engine, strictness.unknown) };
    (spec, findings)
}

/// What the findings mean for a workload on this engine, as seen from the document.
pub(super) fn classify(
    found: Vec<(FindingClass, Finding)>,
    at: &FieldPath,
    engine: Engine,
    unknown: UnknownFields,
) -> Findings {
    let mut findings = Findings::default();
    for (class, mut finding) in found {
        finding.field.0.splice(0..0, at.0.iter().cloned());
        match (class, engine) {
            (FindingClass::Unknown, Engine::Podman { .. }) if unknown == UnknownFields::Warn => {
                findings.warnings.push(finding);
            }
            (FindingClass::Shape, _)
            | (FindingClass::Value | FindingClass::Unknown | FindingClass::Refused, Engine::Podman { .. }) => {
                findings.errors.push(finding);
            }
            (FindingClass::Value | FindingClass::Unknown, Engine::Kubernetes)
            | (FindingClass::Ignored, Engine::Podman { .. }) => {
                findings.warnings.push(finding);
            }
            (FindingClass::Meaningless, Engine::Podman { .. }) => findings.notes.push(finding),
            (
                FindingClass::Refused | FindingClass::Ignored | FindingClass::Meaningless,
                Engine::Kubernetes,
            ) => {}
        }
    }
    findings
}

/// What the findings mean for an object without a pod. It is taken all the same if it `was_accepted` before.
///
/// # Errors
/// What makes it unusable.
pub(super) fn classify_for_object(
    found: Vec<(FindingClass, Finding)>,
    strictness: Strictness,
) -> Result<Findings, Vec<Finding>> {
    let findings =
        classify(found, &FieldPath::default(), Engine::Podman { rootless: false }, strictness.unknown);
    if !findings.errors.is_empty() && !strictness.was_accepted {
        return Err(findings.errors);
    }
    Ok(findings)
}
