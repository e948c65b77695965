//! `PersistentVolumeClaim`: podman makes a volume for each claim that a pod names. What stands here is checked, and said.

use serde_json::Value;

use super::types::{ClaimSpec, Object, VolumeMode};
use crate::wire::{
    field::Finding,
    manifest::{
        findings::{self, Findings},
        metadata::namespace_or_default,
        resource::Resource,
        strictness::Strictness,
    },
    podspec::reader::{FindingClass, Read, ReadContext},
};

/// `v1` `PersistentVolumeClaim`
pub(super) fn read(
    document: &Value,
    mut notes: ReadContext,
    strictness: Strictness,
) -> Result<(Resource, Findings), Vec<Finding>> {
    let Object { metadata, spec } = Object::<ClaimSpec>::read(document, &mut notes);
    notes.at_child("spec", |notes| check(&spec, notes));
    let findings = findings::classify_for_object(notes.found, strictness)?;
    let namespace = namespace_or_default(metadata.namespace);
    Ok((Resource::Claim { name: metadata.name.0, namespace }, findings))
}

/// What the shape alone doesn't say.
pub(super) fn check(claim: &ClaimSpec, notes: &mut ReadContext) {
    if claim.volume_mode == VolumeMode::Block {
        let message = "must be `Filesystem`: mount the node of a block device as a `hostPath`";
        notes.add_at("volumeMode", FindingClass::Refused, message);
    }
    if claim.access_modes.is_empty() && !notes.has_any_below(&["accessModes"]) {
        notes.add_at("accessModes", FindingClass::Value, "must name one, as `ReadWriteOnce`");
    }
    notes.at_path(["resources".into(), "requests".into()], |notes| {
        match claim.resources.requests.get("storage") {
            Some(_) => {
                let message = "isn't kept to: a claim grows as the disk of podman's volumes lets it";
                notes.add_at("storage", FindingClass::Meaningless, message);
            }
            None if notes.has_any_below(&[]) => {}
            None => notes.add_at("storage", FindingClass::Value, "is missing"),
        }
    });
}
