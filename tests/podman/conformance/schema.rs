//! The JSON Schema in `packaging/schema` takes what the agent takes, and names what it refuses.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{run, table::Pod};
use crate::support::{Part, binary, repository, skip_without};

/// What a validator says of each document: nothing, or where and why it is wrong.
const VALIDATE: &str = "
import json, sys
try:
    from jsonschema import Draft7Validator
except ImportError:
    sys.exit(3)
schema = json.load(open(sys.argv[1]))
Draft7Validator.check_schema(schema)
def first(document):
    errors = sorted(Draft7Validator(schema).iter_errors(document), key=lambda it: -len(it.absolute_path))
    return errors and '/'.join(map(str, errors[0].absolute_path)) + ': ' + errors[0].message[:300] or None
json.dump([first(it) for it in json.load(sys.stdin)], sys.stdout)
";

/// `None` after saying by name which test was skipped.
fn verdicts(schema: &str, documents: &[Value]) -> Option<Vec<Option<String>>> {
    let mut python = Command::new("python3");
    let python = python.args(["-c", VALIDATE]).arg(repository("packaging/schema").join(schema));
    let mut python = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let input = serde_json::to_vec(documents).unwrap();
    let _ = python.stdin.take().unwrap().write_all(&input);
    let output = python.wait_with_output().unwrap();
    if output.status.code() == Some(3) {
        skip_without(Part::Found, "no python3 with jsonschema: `apt-get install python3-jsonschema`");
        return None;
    }
    assert!(output.status.success(), "{schema} is no schema");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// All documents of a text.
fn documents(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text).map(|it| Value::deserialize(it).unwrap());
    documents.filter(|it| !it.is_null()).collect()
}

/// Whether the agent takes it.
fn is_taken(document: &Value) -> bool {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("it.json"), document.to_string()).unwrap();
    let mut agent = binary();
    agent.env_clear().env("EDGE_DEVICE_MANIFESTS", directory.path()).env("EDGE_DEVICE_DEVICE_ID", "demo");
    agent.arg("--check").output().unwrap().status.success()
}

#[test]
fn the_schema_takes_every_pod_of_the_table_and_every_sample() {
    let words = ["dir", "socket", "block", "device"].map(|word| (word, Path::new("/somewhere")));
    let mut all = Vec::new();
    for entry in fs::read_dir(repository("samples/manifests")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        all.extend(documents(&text).into_iter().map(|it| (path.display().to_string(), it)));
    }
    for pod in Pod::all() {
        let rows: Vec<_> = pod.rows.iter().filter(|row| row.refused.is_none()).collect();
        if !rows.is_empty() {
            let filled = pod.manifests(&rows).into_iter().map(|(name, manifest)| {
                let text = run::filled(&manifest.to_string(), words, "3110");
                (name, serde_json::from_str(&text).unwrap())
            });
            all.extend(filled);
        }
    }
    assert!(all.len() > 60, "{}", all.len());
    let documents: Vec<Value> = all.iter().map(|it| it.1.clone()).collect();
    let Some(verdicts) = verdicts("manifest.schema.json", &documents) else { return };
    let wrong = all.iter().zip(verdicts).filter_map(|((name, _), verdict)| Some((name, verdict?)));
    assert_eq!(wrong.collect::<Vec<_>>(), []);
}

fn workload(spec: Value) -> Value {
    let mut spec = spec;
    spec["type"] = json!("pod");
    if spec["pod"].is_null() {
        spec["pod"] = json!({ "spec": { "containers": [{ "name": "a", "image": "i" }] } });
    }
    json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeWorkload",
        "metadata": { "name": "w" }, "spec": spec,
    })
}

fn pod(spec: Value) -> Value {
    let mut document =
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "w" }, "spec": spec });
    if document["spec"]["containers"].is_null() {
        document["spec"]["containers"] = json!([{ "name": "a", "image": "i" }]);
    }
    document
}

#[test]
fn schema_and_agent_agree_on_what_is_taken() {
    let with = |container: Value| {
        let mut all = json!({ "name": "a", "image": "i" });
        all.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
        pod(json!({ "containers": [all] }))
    };
    let device = |spec| {
        json!({
            "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
            "metadata": { "name": "demo" }, "spec": spec,
        })
    };
    let taken = [
        workload(json!({
            "device": "demo", "cron": "*/5 * * * *", "rootless": false,
            "deviceSelector": { "matchLabels": { "a": "b" }, "matchExpressions": [{ "key": "a", "operator": "Exists" }] },
            "profiles": [{ "name": "p", "conditions": ["low", { "name": "high", "cpu": 50_000 }, { "name": "x", "cpu": { "cpu": 50_000 } }] }],
        })),
        workload(json!({ "retry": { "constantBackoff": { "periodSeconds": 0.5 } }, "cron": null })),
        workload(
            json!({ "retry": { "exponentialBackoff": { "initialIntervalSeconds": 1, "multiplier": 2, "randomizationFactor": 0.5 } } }),
        ),
        device(
            json!({ "profiles": [{ "name": "p", "conditions": [{ "name": "low", "expression": "x < 3%" }] }] }),
        ),
        device(json!({ "heartbeat": { "periodSeconds": 60, "profiles": null } })),
        with(json!({ "resources": { "limits": { "cpu": 1, "memory": "64Mi" } }, "ports": null })),
        pod(json!({ "tolerations": [{ "operator": "Exists" }], "runtimeClassName": "" })),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "k": "v" } }),
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "k": "v" }, "type": "Opaque" }),
        json!({ "apiVersion": "v1", "kind": "List", "items": [pod(json!({}))] }),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "n" } }),
    ];
    let refused = [
        pod(json!({ "hostNetwrok": true })),
        pod(json!({ "runtimeClassName": "gvisor" })),
        pod(json!({ "hostNetwork": "true" })),
        pod(json!({ "restartPolicy": "Sometimes" })),
        pod(json!({ "containers": [{ "image": "i" }] })),
        with(json!({ "ports": [{ "containerPort": 70_000 }] })),
        with(json!({ "command": "sleep 5" })),
        with(json!({ "env": [{ "name": "A", "value": 5 }] })),
        with(json!({ "volumeMounts": [{ "name": "v", "mountPath": "data" }] })),
        workload(json!({ "retry": { "constantBackoff": { "periodSeconds": 0 } } })),
        workload(
            json!({ "retry": { "exponentialBackoff": { "initialIntervalSeconds": 1, "randomizationFactor": 2 } } }),
        ),
        workload(json!({ "profiles": [{ "name": "p", "conditions": [] }] })),
        workload(json!({ "profiles": [{ "name": "p", "conditions": [{ "name": "c", "cpu": 5 }] }] })),
        workload(
            json!({ "pod": { "spec": { "containers": [{ "name": "a", "image": "i", "imag": "i" }] } } }),
        ),
        json!({ "apiVersion": "apps/v1", "kind": "Pod", "metadata": { "name": "w" }, "spec": pod(json!({}))["spec"] }),
        json!({ "apiVersion": "v1", "kind": "Pood", "metadata": { "name": "w" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "k": 5 } }),
        json!({ "apiVersion": "v1", "kind": "List", "items": [pod(json!({ "hostNetwrok": true }))] }),
    ];
    let Some(verdicts) = verdicts("manifest.schema.json", &[&taken[..], &refused[..]].concat()) else {
        return;
    };
    let (good, bad) = verdicts.split_at(taken.len());
    for (document, verdict) in taken.iter().zip(good) {
        assert_eq!(*verdict, None, "{document}");
        assert!(is_taken(document), "the agent refuses {document}");
    }
    for (document, verdict) in refused.iter().zip(bad) {
        assert!(verdict.is_some(), "the schema takes {document}");
        assert!(!is_taken(document), "the agent takes {document}");
    }
}

#[test]
fn the_schema_of_settings_takes_the_sample_with_every_key_and_no_other() {
    let sample = fs::read_to_string(repository("config.yaml.sample")).unwrap();
    let uncommented: Vec<&str> = sample
        .lines()
        .map(|line| {
            line.strip_prefix('#').filter(|rest| rest.starts_with(char::is_uppercase)).unwrap_or(line)
        })
        .filter(|line| !line.starts_with('#'))
        .collect();
    let all = documents(&uncommented.join("\n"));
    assert!(all[0].as_object().unwrap().len() > 20, "{all:?}");
    let wrong =
        [json!({ "MANIFEST": "/m" }), json!({ "LOG_LEVEL": "loud" }), json!({ "STATUS_PAGE": "perhaps" })];
    let Some(verdicts) = verdicts("settings.schema.json", &[&all[..], &wrong[..]].concat()) else { return };
    assert_eq!(verdicts[0], None);
    assert!(verdicts[1..].iter().all(Option::is_some), "{verdicts:?}");
}
