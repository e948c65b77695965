//! What of a heartbeat is worth a write: what changed, and now and then that the device was heard of at all.

use std::time::Duration;

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::{SignedDuration, Timestamp},
};
use serde_json::{Map, Value, json};

use super::{
    known::{Known, fingerprint},
    resources::{WorkloadState, condition},
};

/// Of all devices together, so many writes a second only say that they were heard of.
const SEEN_PER_SECOND: usize = 3;
/// It is not said more often than this.
const SEEN_LEAST: Duration = Duration::from_secs(30);
/// A longer reason of a workload is cut.
const LONGEST_REASON: usize = 300;

/// How old "last seen" may become, with so many devices.
pub(crate) fn seen_every(devices: usize) -> Duration {
    SEEN_LEAST.max(Duration::from_secs((devices / SEEN_PER_SECOND) as u64))
}

/// The revision of a workload that the device was given.
pub(crate) type Given<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The merge patch for the status, if one is worth it.
pub(crate) fn patch(
    known: &Known,
    content: &Value,
    now: Timestamp,
    devices: usize,
    given: Given<'_>,
) -> Option<Value> {
    let before = &known.status;
    let mut changes = Map::new();
    let mut change = |key: &str, old: Value, new: Value| {
        if old != new {
            changes.insert(key.to_owned(), new);
        }
    };
    let phase = match content["status"].as_str() {
        Some("degraded") => "Degraded",
        _ => "Up",
    };
    change("phase", json!(before.phase), json!(phase));
    if let Some(version) = content["version"].as_str() {
        let old = before.last_synced_resource_version.as_deref();
        change("lastSyncedResourceVersion", json!(old), json!(version));
        if old != Some(version) {
            change("lastSyncedTime", Value::Null, json!(seconds(now)));
        }
    }
    if content["workloads"].is_array() {
        let workloads = workloads(known, content, now, given);
        let running = workloads.iter().filter(|workload| is_running(workload)).count();
        change("running", json!(before.running), json!(format!("{running}/{}", workloads.len())));
        change("workloads", json!(before.workloads), json!(workloads));
    }
    if content["hardware"].is_object() {
        let hardware = camel(&content["hardware"]);
        if fingerprint(&hardware) != known.hardware {
            change("hardware", Value::Null, hardware);
        }
    }
    if content["upgrade"].is_object() {
        change("upgradeInformation", json!(before.upgrade_information), camel(&content["upgrade"]));
    }
    let connected = before.conditions.iter().any(|it| it.type_ == "Connected" && it.status == "True");
    if !connected {
        let mut conditions: Vec<_> =
            before.conditions.iter().filter(|it| it.type_ != "Connected").cloned().collect();
        conditions.push(condition(
            &before.conditions,
            "Connected",
            true,
            ("Heard", "it sends heartbeats"),
            None,
        ));
        change("conditions", Value::Null, json!(conditions));
    }
    let seen = before.last_seen_time.as_ref().map(|time| time.0);
    let age = seen.map(|seen| now.duration_since(seen));
    let is_old =
        age.is_none_or(|age| age >= SignedDuration::try_from(seen_every(devices)).unwrap_or_default());
    if changes.is_empty() && !is_old {
        return None;
    }
    changes.insert("lastSeenTime".to_owned(), json!(seconds(now)));
    Some(changes.into())
}

/// Times in resources have no fractions: what is read back is what was written.
pub(crate) fn seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Whether the device says that it runs.
pub(crate) fn is_running(workload: &WorkloadState) -> bool {
    workload.phase.as_ref().is_some_and(|phase| phase.eq_ignore_ascii_case("running"))
}

/// Whether the device says that it fails.
pub(crate) fn is_failing(workload: &WorkloadState) -> bool {
    workload.phase.as_ref().is_some_and(|phase| phase.eq_ignore_ascii_case("crashed"))
}

fn workloads(known: &Known, content: &Value, now: Timestamp, given: Given<'_>) -> Vec<WorkloadState> {
    let before = known.status.workloads.as_deref().unwrap_or_default();
    let said = content["workloads"].as_array().into_iter().flatten();
    let mut all: Vec<_> = said
        .filter_map(|workload| {
            let name = workload["name"].as_str()?;
            let phase = workload["status"].as_str().map(str::to_owned);
            let old = before.iter().find(|old| old.name == name);
            let mut new = WorkloadState { name: name.to_owned(), phase, ..old.cloned().unwrap_or_default() };
            if old.is_none_or(|old| old.phase != new.phase) {
                new.last_transition_time = Some(seconds(now));
                new.reason = None;
            }
            let said = reason(name, content);
            let is_back = said.as_ref().is_some_and(|said| said.starts_with("RolledBack"));
            if is_back {
                new.rolled_back = given(name);
            }
            if is_back || !is_running(&new) {
                new.reason = said.or(new.reason);
            }
            Some(new)
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What the device says of a workload in this heartbeat's events, the last time. That it stopped is in its phase: why
/// says more.
fn reason(workload: &str, content: &Value) -> Option<String> {
    let name = format!("'{workload}'");
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = content["events"].as_array()?;
    let about = events.iter().filter(|event| text(event, "message").contains(&name));
    let weight = |event: &Value| match event["reason"].as_str() {
        Some("RolledBack") => 2,
        Some("Stopped" | "Started") => 0,
        _ => 1,
    };
    let event = about.max_by_key(|event| weight(event))?;
    let text = format!("{}: {}", text(event, "reason"), text(event, "message"));
    Some(text.chars().take(LONGEST_REASON).collect())
}

/// The edge API says `model_name`, resources say `modelName`.
pub(crate) fn camel(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(camel).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (camel_key(key), camel(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

fn camel_key(key: &str) -> String {
    let mut parts = key.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut all, part| {
        let mut letters = part.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all + letters.as_str()
    })
}
