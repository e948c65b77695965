//! A document as a type, and the fields of it that nothing knows.

use serde::Deserialize;
use serde_json::Value;

use crate::wire::{
    field::{FieldPath, Finding},
    podspec::nearest::nearest_word,
    strict,
};

/// Deserializes a document; the findings are the fields that nothing knows. `read_elsewhere`: what is known beside those
/// of the type, as something else reads it, or it says nothing to this agent.
pub(super) fn deserialize_reporting<'de, T: Deserialize<'de>>(
    document: &'de Value,
    read_elsewhere: &[&str],
) -> Result<(T, Vec<Finding>), Finding> {
    let (value, unknown) = strict::deserialize_strict(document)?;
    Ok((value, unknown_field_findings(unknown, read_elsewhere)))
}

fn unknown_field_findings(mut unknown: Vec<FieldPath>, read_elsewhere: &[&str]) -> Vec<Finding> {
    let is_known = |field: &str| {
        let is_below = |known: &&str| {
            field.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        read_elsewhere.iter().chain(&IGNORED_FIELDS).any(is_below)
    };
    unknown.retain(|field| !is_known(&field.to_string()));
    let finding = |field: FieldPath| {
        let text = field.to_string();
        let given = text.rsplit('.').next().unwrap_or_default();
        let hint = nearest_word(given, SUGGESTED_FIELDS.into_iter()).filter(|near| *near != given);
        let hint = hint.map(|near| format!(": did you mean `{near}`?"));
        Finding { field, message: format!("unknown field: it has no effect{}", hint.unwrap_or_default()) }
    };
    unknown.into_iter().map(finding).collect()
}

/// What may have been meant by a field that nothing knows.
const SUGGESTED_FIELDS: [&str; 15] = [
    "conditions",
    "cron",
    "dependsOn",
    "deviceSelector",
    "device",
    "expression",
    "imageRegistries",
    "matchLabels",
    "matchExpressions",
    "profiles",
    "retry",
    "rootless",
    "secretRef",
    "update",
    "window",
];

/// Fields of every resource that are legal and say nothing to this agent.
const IGNORED_FIELDS: [&str; 17] = [
    "apiVersion",
    "kind",
    "status",
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.deletionGracePeriodSeconds",
    "metadata.deletionTimestamp",
    "metadata.finalizers",
    "metadata.generateName",
    "metadata.generation",
    "metadata.labels",
    "metadata.managedFields",
    "metadata.namespace",
    "metadata.ownerReferences",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
];
