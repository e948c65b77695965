//! A device's events, as Kubernetes Events of its EdgeDevice: `kubectl describe edgedevice NAME` shows them.

use anyhow::{Context, Result};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
    core::ObjectMeta,
};
use serde_json::{Value, json};

use super::{known::Known, plans::fnv};

/// What the API server takes of a message.
const LONGEST: usize = 1024;

/// One thing that a device says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    reason: String,
    message: String,
    is_warning: bool,
}

impl Said {
    pub(crate) fn of(event: &Value) -> Self {
        let text = |key: &str, most: usize| {
            event[key].as_str().unwrap_or_default().chars().take(most).collect::<String>()
        };
        Self {
            reason: text("reason", 128),
            message: text("message", LONGEST),
            is_warning: event["type"] == "warn",
        }
    }

    /// The same text about the same device is the same Event, so that an event that is sent twice is counted, not
    /// stored twice.
    fn name(&self, device: &Known) -> String {
        let Self { reason, message, is_warning } = self;
        let text = format!("{} {is_warning} {reason} {message}", device.uid);
        format!("{}.{:016x}", device.name, fnv(&text))
    }
}

/// Stores it. After this it isn't lost.
pub(crate) async fn store(events: &Api<Event>, device: &Known, said: &Said, now: Time) -> Result<()> {
    let failed = || format!("failed to store an event of '{}'", device.name);
    let name = said.name(device);
    let event = Event {
        metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
        involved_object: ObjectReference {
            api_version: Some("management.project-flotta.io/v1alpha1".to_owned()),
            kind: Some("EdgeDevice".to_owned()),
            name: Some(device.name.clone()),
            namespace: Some(device.namespace.clone()),
            uid: Some(device.uid.clone()),
            ..ObjectReference::default()
        },
        reason: Some(said.reason.clone()),
        message: Some(said.message.clone()),
        type_: Some(if said.is_warning { "Warning" } else { "Normal" }.to_owned()),
        source: Some(EventSource {
            component: Some("flotta-edge-api".to_owned()),
            host: Some(device.name.clone()),
        }),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now.clone()),
        count: Some(1),
        ..Event::default()
    };
    match events.create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        created => return created.map(drop).with_context(failed),
    }
    let count = events.get(&name).await.with_context(failed)?.count.unwrap_or(1);
    let again = json!({"count": count.saturating_add(1), "lastTimestamp": now});
    events.patch(&name, &PatchParams::default(), &Patch::Merge(again)).await.with_context(failed)?;
    Ok(())
}
