//! The resources that people write and read with `kubectl`. Group, version and fields are those of Flotta's operator, so
//! that YAML written for it applies as it is; what this server adds is beside them.
//!
//! What is written for a device is passed on as it is written, so most of it is free-form here: what a device can't do
//! is said in a resource's status, by the agent's own readers.

// each column of a table has a name and a type
#![allow(clippy::duplicated_attributes)]

mod device;
mod request;
mod set;
mod update;
mod workload;

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::CustomResourceExt;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

pub(crate) use device::{EdgeDevice, EdgeDeviceSpec, EdgeDeviceStatus, WorkloadState};
pub(crate) use request::{
    EdgeDeviceSignedRequest, EdgeDeviceSignedRequestSpec, EdgeDeviceSignedRequestStatus,
};
pub(crate) use set::EdgeDeviceSet;
pub(crate) use workload::{EdgeWorkload, EdgeWorkloadStatus, RolloutStatus};

/// The label by which a device belongs to a set.
pub(crate) const MEMBER_OF: &str = "flotta/member-of";

/// Every definition.
pub(crate) fn definitions() -> Vec<CustomResourceDefinition> {
    let mut all =
        vec![EdgeDevice::crd(), EdgeDeviceSet::crd(), EdgeDeviceSignedRequest::crd(), EdgeWorkload::crd()];
    for definition in &mut all {
        for version in &mut definition.spec.versions {
            // kube leaves an empty list; nothing to show beside what there is
            if version.additional_printer_columns.as_ref().is_some_and(Vec::is_empty) {
                version.additional_printer_columns = None;
            }
            // a device of which nothing is said is one
            let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
            if let Some(schema) = schema {
                schema.required = None;
            }
        }
    }
    all
}

/// The definitions as YAML: for each the name of its file, and the text.
pub(crate) fn documents() -> anyhow::Result<Vec<(String, String)>> {
    let written = |definition: CustomResourceDefinition| {
        let plural = &definition.spec.names.plural;
        let text = serde_yaml::to_string(&definition)?;
        Ok((
            format!("{plural}.yaml"),
            format!(
                "# Written by `flotta-edge-api crds`: change control-plane/src/kubernetes/resources.\n{text}"
            ),
        ))
    };
    definitions().into_iter().map(written).collect()
}

/// An object of which nothing is known here: it is kept as it is written.
fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// The same, or nothing.
fn anything_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true})
}

/// A number, or a share of something.
fn number_or_text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

/// A list of what may be an object or a name.
fn objects_or_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true}})
}

/// A whole number, or one with a fraction.
fn number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "number"})
}

/// Conditions as all of Kubernetes has them, one of each type.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {"type": "string", "description": "What it is about."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it is so."},
                "reason": {"type": "string", "description": "Why, in a word."},
                "message": {"type": "string", "description": "Why, in a sentence."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "Since when."},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "Of which generation of the resource."}
            }
        }
    })
}

/// A condition that holds from now on, unless it is held already: then since when it was.
pub(crate) fn condition(
    before: &[Condition],
    kind: &str,
    is_so: bool,
    (reason, message): (&str, &str),
    generation: Option<i64>,
) -> Condition {
    let status = if is_so { "True" } else { "False" };
    let same = before.iter().find(|condition| condition.type_ == kind && condition.status == status);
    Condition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: same
            .map_or_else(super::now, |condition| condition.last_transition_time.clone()),
        observed_generation: generation,
    }
}

/// What an optional object says.
type Free = Option<Value>;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use serde::Deserialize;
    use serde_json::Value;

    use super::documents;

    #[test]
    fn the_definitions_that_are_checked_in_are_those_of_the_types() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/crds");
        for (name, text) in documents().unwrap() {
            let kept = fs::read_to_string(dir.join(&name)).unwrap_or_default();
            assert!(kept == text, "deploy/crds/{name} is old: run `flotta-edge-api crds deploy/crds`");
        }
    }

    /// `self.a.b` and so on in a rule of CEL: those inside `has()`, and those elsewhere.
    fn fields(rule: &str) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut asked, mut used) = (BTreeSet::new(), BTreeSet::new());
        for (at, _) in rule.match_indices("self.") {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.';
            let rest = &rule[at + "self.".len()..];
            let field = rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())].to_owned();
            let of = if rule[..at].ends_with("has(") { &mut asked } else { &mut used };
            of.insert(field);
        }
        (asked, used)
    }

    /// No API server at hand has rules, but each can be read: where it goes to, and of which fields it speaks.
    #[test]
    fn the_rules_for_newer_clusters_fit_the_definitions_and_ask_for_nothing_that_may_be_missing() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rules");
        let read = |name: &str| -> Value {
            serde_yaml::from_str(&fs::read_to_string(dir.join(name)).unwrap()).unwrap()
        };
        let patches = read("kustomization.yaml")["patches"].as_array().unwrap().clone();
        let named: BTreeSet<_> =
            patches.iter().map(|patch| patch["path"].as_str().unwrap().to_owned()).collect();
        let there = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        assert_eq!(named, there.filter(|name| name != "kustomization.yaml").collect());
        for patch in patches {
            let file = patch["path"].as_str().unwrap();
            let documents = documents().unwrap();
            let (_, text) =
                documents.iter().find(|(name, _)| name == file).expect("a definition of this name");
            assert!(!text.contains("x-kubernetes-validations"), "older clusters have no rules");
            let definition: Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(patch["target"]["kind"], "CustomResourceDefinition");
            assert_eq!(patch["target"]["name"], definition["metadata"]["name"]);
            for operation in Vec::<Value>::deserialize(read(file)).unwrap() {
                let path = operation["path"].as_str().unwrap();
                let parent = path.strip_suffix("/x-kubernetes-validations").unwrap();
                let schema =
                    definition.pointer(parent).unwrap_or_else(|| panic!("{file}: there is no {parent}"));
                assert_eq!(
                    (&operation["op"], &schema["type"]),
                    (&"add".into(), &"object".into()),
                    "{file}: {path}"
                );
                for rule in operation["value"].as_array().unwrap() {
                    let message = rule["message"].as_str().unwrap();
                    let rule = rule["rule"].as_str().unwrap();
                    assert!(!message.is_empty() && rule.matches('\'').count().is_multiple_of(2), "{rule}");
                    assert_eq!(rule.matches('(').count(), rule.matches(')').count(), "{rule}");
                    let (asked, used) = fields(rule);
                    for field in asked.union(&used) {
                        let pointer: String =
                            field.split('.').map(|part| format!("/properties/{part}")).collect();
                        assert!(schema.pointer(&pointer).is_some(), "{file}: {rule}: there is no {field}");
                    }
                    let unguarded: Vec<_> = used.difference(&asked).collect();
                    assert!(unguarded.is_empty(), "{file}: {rule}: {unguarded:?} may be missing");
                    let part = |field: &String| {
                        field.rsplit_once('.').is_none_or(|(before, _)| asked.contains(before))
                    };
                    assert!(
                        asked.iter().all(part),
                        "{file}: {rule}: what is before the last dot may be missing"
                    );
                }
            }
        }
    }
}
