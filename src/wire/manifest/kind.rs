//! Which kind a document is, and who reads it.

use serde_json::Value;

use super::{
    config_map, edge_device, edge_workload, findings::Findings, kinds, resource::Resource, secret::Secret,
    strictness::Strictness,
};
use crate::wire::{field::Finding, podspec::nearest};

const FLOTTA_API_VERSION: &str = "management.project-flotta.io/v1alpha1";

/// The kinds that have readers of their own; the others are Kubernetes' objects.
const OWN_KINDS: [(&str, &str); 4] = [
    ("EdgeDevice", FLOTTA_API_VERSION),
    ("EdgeWorkload", FLOTTA_API_VERSION),
    ("ConfigMap", "v1"),
    ("Secret", "v1"),
];

/// The name of the workload that a document was meant to define, as far as it says so: also of a broken one.
pub(super) fn workload_name(document: &Value) -> Option<&str> {
    let kind = document["kind"].as_str()?;
    (kind == "EdgeWorkload" || kinds::is_workload(kind)).then(|| document["metadata"]["name"].as_str())?
}

/// Reads a document, and says what in it has no effect.
pub(super) fn read(document: Value, strictness: Strictness) -> Result<(Resource, Findings), Vec<Finding>> {
    let Some(kind) = document["kind"].as_str() else {
        let message = match document["services"].is_object() {
            true => COMPOSE_FILE_HINT,
            false => "is missing",
        };
        return Err(Finding::new(["kind"], message).into());
    };
    let known = OWN_KINDS.iter().copied().chain(kinds::known_kinds());
    let Some((kind, expected)) = known.clone().find(|(known, _)| *known == kind) else {
        return Err(Finding::new(["kind"], unknown_kind_message(kind, known.map(|it| it.0))).into());
    };
    match document["apiVersion"].as_str() {
        Some(version) if version == expected => {}
        Some(other) => {
            let message = format!("must be `{expected}` for this kind, not `{other}`");
            return Err(Finding::new(["apiVersion"], message).into());
        }
        None => return Err(Finding::new(["apiVersion"], format!("is missing: write `{expected}`")).into()),
    }
    let with = |warnings| Findings { warnings, ..Findings::default() };
    Ok(match kind {
        "EdgeDevice" => {
            let (device, findings) = edge_device::read(&document)?;
            (Resource::Device(device), with(findings))
        }
        "EdgeWorkload" => {
            let (mut manifest, warnings) = edge_workload::read(document, strictness)?;
            let notes = std::mem::take(&mut manifest.notes);
            (Resource::Workload(Box::new(manifest)), Findings { notes, ..with(warnings) })
        }
        "ConfigMap" => {
            let (map, findings) = config_map::read(document)?;
            (Resource::ConfigMap(map), with(findings))
        }
        "Secret" => {
            let (secret, findings) = Secret::read(&document)?;
            (Resource::Secret(secret), with(findings))
        }
        other => return kinds::read(other, document, strictness),
    })
}

const COMPOSE_FILE_HINT: &str = "is missing: this is a compose file, which isn't read here. Start it once by `podman-compose up`, \
                       then make a manifest of each pod: `podman generate kube POD > FILE`";

fn unknown_kind_message(kind: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    if let Some(why) = kinds::refusal_hint(kind) {
        return format!("`{kind}` can't be obeyed here: {why}");
    }
    match nearest::nearest_word(kind, known.clone()) {
        Some(near) => format!("`{kind}` is unknown here: did you mean `{near}`?"),
        None => format!(
            "`{kind}` is unknown here: {} are known",
            known.filter(|kind| !kinds::is_meaningless(kind)).collect::<Vec<_>>().join(", ")
        ),
    }
}
