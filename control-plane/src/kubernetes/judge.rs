//! Whether a device can run a workload: the agent's own readers say so.

use std::sync::Arc;

use device_worker_ng::wire::manifest::{Budget, FileContents, Severity, assemble};
use serde_json::{Value, json};

use super::values;
use crate::configuration::{self, Resources};

/// More than this of a message is cut: it stands in a column.
const LONGEST: usize = 1000;

/// What there is to say of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_accepted: bool,
    /// In a word.
    pub(crate) reason: &'static str,
    /// Which field, and why.
    pub(crate) message: String,
}

impl Verdict {
    fn refused(reason: &'static str, message: &str) -> Self {
        Self { is_accepted: false, reason, message: message.chars().take(LONGEST).collect() }
    }
}

/// Judges it with the ConfigMaps and Secrets that it names, as a device would.
pub(crate) fn judge(workload: &Arc<Value>, resources: &impl Resources) -> Verdict {
    let namespace = workload["metadata"]["namespace"].as_str().unwrap_or("default");
    let device = configuration::Device { namespace, spec: &Value::Null, period: 60, ordered: true };
    let chosen = std::slice::from_ref(workload);
    // What a device would not even be sent.
    if let Err(error) = configuration::assemble(resources, chosen, &device) {
        return Verdict::refused("Missing", &format!("{error:#}"));
    }
    let names = values::named(&workload["spec"]["pod"]["spec"]);
    if let Some(error) = names.iter().find_map(|name| values::check(name).err()) {
        return Verdict::refused("Invalid", &format!("spec.pod.spec: {error}"));
    }
    let mut documents = vec![for_any_device(workload)];
    // What a device has can't be known here: something short and plain.
    let any: Vec<_> = names.into_iter().map(|name| (name, "x".to_owned())).collect();
    values::fill(&mut documents[0]["spec"]["pod"]["spec"], &any);
    for (kind, name) in configuration::named(workload) {
        let found = match kind {
            "ConfigMap" => resources.config_map(&name),
            _ => resources.secret(&name),
        };
        documents.extend(found.map(|object| resource(kind, &object)));
    }
    let text = documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n");
    let contents = FileContents::read(&"manifest".into(), text.as_bytes(), &Budget::default());
    let read: Vec<_> = contents.documents.iter().collect();
    let (_, further) = assemble(&read, &contents.broken, "device");
    let of = |severity| {
        let all =
            contents.problems.iter().chain(&further).filter(move |problem| problem.severity == severity);
        all.map(|problem| match problem.field.as_str() {
            "" => problem.message.clone(),
            field => format!("{field}: {}", problem.message),
        })
        .collect::<Vec<_>>()
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    match (errors.as_slice(), warnings.as_slice()) {
        ([], []) => {
            Verdict { is_accepted: true, reason: "Understood", message: "devices can run it".to_owned() }
        }
        ([], warnings) => {
            Verdict { is_accepted: true, reason: "Warnings", ..Verdict::refused("", &warnings.join("; ")) }
        }
        (errors, _) => Verdict::refused("Invalid", &errors.join("; ")),
    }
}

/// Which device it is for is no question here.
fn for_any_device(workload: &Value) -> Value {
    let mut spec = workload["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        for key in ["device", "deviceSelector", "rollout"] {
            spec.remove(key);
        }
    }
    let mut document = resource("EdgeWorkload", workload);
    document["apiVersion"] = "management.project-flotta.io/v1alpha1".into();
    document["spec"] = spec;
    document
}

/// As a person writes it: what the API server adds is not judged.
fn resource(kind: &str, object: &Value) -> Value {
    let mut document = json!({"apiVersion": "v1", "kind": kind, "metadata": {}});
    for key in ["name", "namespace", "labels", "annotations"] {
        if !object["metadata"][key].is_null() {
            document["metadata"][key] = object["metadata"][key].clone();
        }
    }
    for key in ["data", "binaryData", "stringData", "type"] {
        if !object[key].is_null() {
            document[key] = object[key].clone();
        }
    }
    document
}
