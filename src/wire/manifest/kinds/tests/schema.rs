//! The JSON Schema of manifests says what the types and the field tables say.

use std::fs;

use serde_json::{Value, json};

use crate::wire::{
    manifest::kinds::{
        MEANINGLESS_KINDS, PODLESS_KINDS, WORKLOAD_KINDS,
        jobs::{CronJobSpec, JobSpec},
        types::*,
    },
    podspec::{
        PodSpec,
        reader::Read,
        schema::{Schema, mapping_schema, or_null},
    },
};

const FLOTTA: &str = "management.project-flotta.io/v1alpha1";

fn words() -> Value {
    json!({ "type": ["object", "null"], "additionalProperties": { "type": "string" } })
}

/// A mapping of a resource of Flotta's or a `ConfigMap`: a field that nothing knows has no effect there, and editors say so.
fn mapping(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "additionalProperties": false, "properties": properties })
}

fn list(items: Value) -> Value {
    or_null(json!({ "type": "array", "items": items }))
}

fn number(least: f64, most: f64) -> Value {
    json!({ "type": "number", "minimum": least, "maximum": most })
}

/// `spec.update`.
fn update() -> Value {
    let text = json!({ "type": "string" });
    let window = mapping(&["cron", "duration"], json!({ "cron": text, "duration": text }));
    let all = json!({ "when": or_null(text.clone()), "window": or_null(window), "deadline": or_null(text.clone()) });
    or_null(mapping(&[], all))
}

/// `spec` of an `EdgeDevice`.
fn device() -> Value {
    let text = json!({ "type": "string" });
    let condition = mapping(
        &["name"],
        json!({ "name": text, "expression": or_null(text.clone()), "for": or_null(text.clone()), "until": or_null(text.clone()) }),
    );
    let profile = mapping(&["name"], json!({ "name": text, "conditions": list(condition) }));
    let any = json!({ "description": "no effect on the device" });
    let heartbeat = json!({ "profiles": list(profile.clone()), "periodSeconds": {}, "hardwareProfile": {} });
    or_null(mapping(
        &[],
        json!({
            "profiles": list(profile),
            "update": update(),
            "heartbeat": or_null(mapping(&[], heartbeat)),
            "logCollection": any, "metrics": any, "mounts": any, "osInformation": any, "requestTime": any, "storage": any,
        }),
    ))
}

/// `spec` of an `EdgeWorkload`.
fn workload(schema: &mut Schema) -> Value {
    let text = json!({ "type": "string" });
    let cpu = json!({ "type": "integer", "minimum": 1_000, "maximum": 1_000_000_000 });
    let quota =
        json!({ "anyOf": [cpu, mapping(&[], json!({ "cpu": or_null(cpu.clone()) })), { "type": "null" }] });
    let condition = json!({ "anyOf": [text, mapping(&["name"], json!({ "name": text, "cpu": quota }))] });
    let conditions = json!({ "type": "array", "items": condition, "minItems": 1 });
    let profile = mapping(&["name", "conditions"], json!({ "name": text, "conditions": conditions }));
    let seconds = number(0.1, 86_400.0);
    let constant = mapping(&["periodSeconds"], json!({ "periodSeconds": seconds }));
    let exponential = json!({
        "initialIntervalSeconds": seconds,
        "multiplier": or_null(number(1.0, 100.0)),
        "randomizationFactor": or_null(number(0.0, 1.0)),
    });
    let retry = json!({
        "constantBackoff": or_null(constant),
        "exponentialBackoff": or_null(mapping(&["initialIntervalSeconds"], exponential)),
    });
    let secret = mapping(&["name"], json!({ "name": text }));
    let any = json!({ "description": "no effect on the device" });
    mapping(
        &["type", "pod"],
        json!({
            "type": { "enum": ["pod", "k8s"] },
            "device": or_null(text.clone()),
            "deviceSelector": or_null(LabelSelector::schema(schema)),
            "pod": mapping(&["spec"], json!({ "spec": PodSpec::schema(schema) })),
            "cron": or_null(text.clone()),
            "rootless": or_null(json!({ "type": "boolean" })),
            "retry": or_null(mapping(&[], retry)),
            "profiles": list(profile),
            "update": update(),
            "dependsOn": list(text.clone()),
            "imageRegistries": or_null(mapping(&[], json!({ "secretRef": or_null(secret) }))),
            "data": any, "logCollection": any, "metrics": any,
        }),
    )
}

/// All kinds, each with its version and what it is like.
fn kinds(schema: &mut Schema) -> Vec<(&'static str, &'static str, Value)> {
    let metadata = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "labels": words(), "annotations": words() },
    });
    let own =
        |spec| json!({ "required": ["metadata"], "properties": { "metadata": metadata, "spec": spec } });
    let mut workload = own(workload(schema));
    workload["required"] = json!(["metadata", "spec"]);
    let values = json!({
        "required": ["metadata"], "additionalProperties": false,
        "properties": {
            "apiVersion": {}, "kind": {}, "metadata": metadata, "data": words(), "binaryData": words(), "immutable": {},
        },
    });
    let mut secret = values.clone();
    let properties = &mut secret["properties"];
    properties.as_object_mut().unwrap().remove("binaryData");
    (properties["stringData"], properties["type"]) = (words(), json!({}));
    let mut all = vec![
        ("EdgeDevice", FLOTTA, own(device())),
        ("EdgeWorkload", FLOTTA, workload),
        ("ConfigMap", "v1", values),
        ("Secret", "v1", secret),
    ];
    for (kind, version) in WORKLOAD_KINDS.into_iter().chain(PODLESS_KINDS) {
        all.push((
            kind,
            version,
            match kind {
                "Pod" => Object::<CheckedPodSpec>::schema(schema),
                "Deployment" => Object::<DeploymentSpec>::schema(schema),
                "StatefulSet" => Object::<StatefulSetSpec>::schema(schema),
                "DaemonSet" => Object::<DaemonSetSpec>::schema(schema),
                "Job" => Object::<JobSpec>::schema(schema),
                "CronJob" => Object::<CronJobSpec>::schema(schema),
                "Service" => Object::<ServiceSpec>::schema(schema),
                "PersistentVolumeClaim" => Object::<ClaimSpec>::schema(schema),
                other => panic!("{other} has no type here"),
            },
        ));
    }
    for (kind, version, why) in MEANINGLESS_KINDS {
        all.push((kind, version, json!({ "description": format!("means nothing on one device: {why}") })));
    }
    all
}

fn whole() -> Value {
    let mut schema = Schema::default();
    let all = kinds(&mut schema);
    let mut names: Vec<&str> = all.iter().map(|it| it.0).collect();
    names.push("List");
    let cases: Vec<Value> = all
        .iter()
        .map(|(kind, version, form)| {
            let with_version = json!({ "properties": { "apiVersion": { "const": version } } });
            json!({
                "if": { "required": ["kind"], "properties": { "kind": { "const": kind } } },
                "then": { "allOf": [with_version, form] },
            })
        })
        .chain([json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": "List" } } },
            "then": { "properties": {
                "apiVersion": { "const": "v1" },
                "items": or_null(json!({ "type": "array", "items": { "$ref": "#" } })),
            } },
        })])
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A manifest of device-worker-ng",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": { "apiVersion": { "type": "string" }, "kind": { "enum": names } },
        "allOf": cases,
        "definitions": schema.definitions,
    })
}

#[test]
fn the_schema_of_manifests_is_that_of_the_types() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/schema/manifest.schema.json");
    let expected = serde_json::to_string(&whole()).unwrap() + "\n";
    if fs::read_to_string(path).unwrap_or_default() != expected {
        let new = concat!(env!("CARGO_MANIFEST_DIR"), "/target/manifest.schema.json");
        fs::write(new, expected).unwrap();
        panic!("packaging/schema/manifest.schema.json is not what the types say: take {new}");
    }
}

#[test]
fn a_field_that_is_refused_may_only_say_nothing() {
    let form = mapping_schema("PodSpec", Vec::new());
    let refused = &form["properties"]["runtimeClassName"];
    assert!(refused["description"].as_str().unwrap().starts_with("refused: "), "{refused}");
    assert_eq!(refused["enum"], json!([null, false, 0, "", []]));
    assert_eq!(form["required"], json!(["containers"]));
}
