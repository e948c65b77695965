//! What of a request to be let in counts here: small once it is done, as each device has one for ever.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use serde_json::Value;

/// A device that asks, or asked, to be let in.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) uid: String,
    pub(crate) stage: AskedStage,
    /// Where it wants to be.
    pub(crate) target_namespace: Option<String>,
}

/// How far a request is.
#[derive(Debug)]
pub(crate) enum AskedStage {
    Waiting(Box<Waiting>),
    Refused,
    /// A person, or a policy, lets it in; nothing was done for that yet.
    Approved(Box<Approved>),
    /// Its EdgeDevice was made, or the request is being deleted.
    Done,
}

/// By what it may be let in without a person.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) labels: BTreeMap<String, String>,
    /// The set that was chosen for it already.
    pub(crate) target_set: Option<String>,
    pub(crate) version: Option<String>,
}

/// What its EdgeDevice is made of.
#[derive(Debug)]
pub(crate) struct Approved {
    pub(crate) target_set: Option<String>,
    pub(crate) hardware: Value,
    pub(crate) generation: Option<i64>,
    /// The conditions of its status.
    pub(crate) before: Vec<Condition>,
}

impl Asked {
    pub(crate) fn of(object: DynamicObject) -> Self {
        let DynamicObject { metadata, mut data, .. } = object;
        let spec = data.get_mut("spec").map(Value::take).unwrap_or_default();
        let conditions = data["status"].get_mut("conditions").map(Value::take).unwrap_or_default();
        let before: Vec<Condition> = serde_json::from_value(conditions).unwrap_or_default();
        let is_done = before.iter().any(|it| it.type_ == "Approved" && it.status == "True");
        let is_going = metadata.deletion_timestamp.is_some();
        let text = |key: &str| spec[key].as_str().map(str::to_owned);
        let stage = if spec["refused"] == true {
            AskedStage::Refused
        } else if is_done || is_going {
            AskedStage::Done
        } else if spec["approved"] == true {
            AskedStage::Approved(Box::new(Approved {
                target_set: text("targetSet"),
                hardware: spec["features"]["hardware"].clone(),
                generation: metadata.generation,
                before,
            }))
        } else {
            AskedStage::Waiting(Box::new(Waiting {
                labels: metadata.labels.unwrap_or_default(),
                target_set: text("targetSet"),
                version: metadata.resource_version,
            }))
        };
        Self {
            target_namespace: text("targetNamespace"),
            id: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            stage,
        }
    }
}
