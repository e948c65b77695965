//! The device configuration: from the server's answer to what shall run.

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use crate::{
    agent::{
        call::{Hardware, ServerConfiguration},
        workload::{Content, Desired, Engine, Profile, Workload},
    },
    wire::manifest::{
        Finding, assemble,
        names::Label,
        pod::Pod,
        profiles::{DeviceProfile, WorkloadProfile},
        resource::{self, Parts},
        timing::{CronField, FlatRetry},
        yaml::{self, Field},
    },
};

/// What all YAML in one configuration may grow to, in bytes.
const LARGEST: usize = 32 << 20;
/// More workloads or profiles than this are taken for an accident.
const MOST: usize = 1_000;
/// Where the server says nothing of a period, or 0.
const PERIOD: Duration = Duration::from_secs(60);
/// Longer periods than this are cut: a typing mistake must not silence a device for years.
const LONGEST_PERIOD: Duration = Duration::from_secs(86_400);

/// A configuration as it came, and as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// To be kept: [`configuration`] understands it again in an envelope `{"content": …}`.
    pub content: Value,
    /// What it means.
    pub meaning: ServerConfiguration,
}

impl Configuration {
    /// What shall be there after a restart: this content, but what was kept before of each workload that could
    /// not be understood this time.
    pub fn to_keep(&self, before: Option<&Value>) -> Value {
        let mut content = self.content.clone();
        let before = before.and_then(|before| before["workloads"].as_array()).map_or(&[][..], Vec::as_slice);
        for workload in content["workloads"].as_array_mut().into_iter().flatten() {
            let name = workload["name"].as_str().unwrap_or_default();
            if self.meaning.desired.held.iter().any(|held| held == name)
                && let Some(before) = before.iter().find(|before| before["name"] == name)
            {
                *workload = before.clone();
            }
        }
        content
    }
}

/// Understands the answer to a request for the configuration. One bad workload or profile is skipped with a
/// sentence about it; the rest counts.
///
/// # Errors
/// Why none of it counts: it isn't JSON, isn't for this device, or what should be a list is something else.
pub fn configuration(body: &[u8], device: &str) -> Result<Configuration, String> {
    let content = Answer::content(body)?;
    if content["device_id"].is_null() && content["workloads"].is_null() {
        // an empty list of workloads is an order to remove them all, so it has to come from somebody who means it
        return Err("has neither a device_id nor workloads".to_owned());
    }
    if let Some(other) = content["device_id"].as_str().filter(|id| *id != device) {
        return Err(format!("is the configuration of device '{other}'"));
    }
    let workloads = list(&content, &["workloads"])?;
    let settings = &content["configuration"];
    let mut problems = Vec::new();
    let profiles = match list(settings, &["profiles"]) {
        Ok(list) => profiles(list, &mut problems),
        Err(problem) => {
            problems.push(format!("the configuration {problem}"));
            Vec::new()
        }
    };
    let mut desired = Desired { profiles, ..Desired::default() };
    let mut names = BTreeMap::new();
    let budget = Cell::new(LARGEST);
    for (index, value) in workloads.iter().enumerate() {
        let name = value["name"].as_str().unwrap_or_default();
        let subject = match name {
            "" => format!("workloads[{index}]"),
            name => format!("workload '{name}'"),
        };
        if !name.is_empty() && names.insert(name, index).is_some() {
            problems.push(format!("{subject} is there twice: the first counts"));
            continue;
        }
        match workload(value, &budget, &mut |warning| problems.push(format!("{subject}: {warning}"))) {
            Ok(workload) => desired.workloads.push(Arc::new(workload)),
            Err(problem) => {
                problems.push(format!("{subject} is left as it is: {problem}"));
                desired.held.extend((!name.is_empty()).then(|| name.to_owned()));
            }
        }
    }
    let heartbeat = &settings["heartbeat"];
    let meaning = ServerConfiguration {
        raw: Arc::default(),
        version: match &content["version"] {
            Value::String(version) => version.clone(),
            Value::Number(version) => version.to_string(),
            _ => String::new(),
        },
        desired,
        problems,
        period: seconds(&heartbeat["period_seconds"]).unwrap_or(PERIOD),
        hardware: match &heartbeat["hardware_profile"] {
            profile if profile["include"] != true => Hardware::Left,
            profile if profile["scope"] == "delta" => Hardware::Delta,
            _ => Hardware::Full,
        },
        monitoring_interval: seconds(&content["workloads_monitoring_interval"]),
    };
    Ok(Configuration { content, meaning })
}

fn list<'a>(value: &'a Value, path: &[&str]) -> Result<&'a [Value], String> {
    let name = path.join(".");
    match path.iter().fold(value, |value, key| &value[key]) {
        Value::Null => Ok(&[]),
        Value::Array(items) if items.len() <= MOST => Ok(items),
        Value::Array(items) => Err(format!("has {} {name}: at most {MOST} are taken", items.len())),
        _ => Err(format!("has no list in {name}")),
    }
}

/// A number of seconds that says something.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds >= 1.0)?;
    Some(Duration::from_secs_f64(seconds.min(LONGEST_PERIOD.as_secs_f64())))
}

fn profiles(list: &[Value], problems: &mut Vec<String>) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for (index, value) in list.iter().enumerate() {
        match resource::typed::<DeviceProfile>(value, &[]) {
            Ok((profile, _)) => profiles.push(profile.into()),
            Err(finding) => {
                let subject = match value["name"].as_str() {
                    Some(name) => format!("profile '{name}'"),
                    None => format!("profiles[{index}]"),
                };
                problems.push(format!("{subject} is skipped: {}", sentence(&finding)));
            }
        }
    }
    profiles
}

#[derive(Deserialize)]
struct WorkloadMessage {
    name: Label,
    kind: Option<String>,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    specification: String,
    configmaps: Option<Vec<String>>,
    cron: Option<CronField>,
    rootless: Option<bool>,
    retry: Option<FlatRetry>,
    profiles: Option<Vec<WorkloadProfile>>,
    // as any value: an error about it must not quote what may be a password
    #[serde(rename = "imageRegistries")]
    image_registries: Option<Value>,
}

fn workload(value: &Value, budget: &Cell<usize>, warn: &mut dyn FnMut(&str)) -> Result<Workload, String> {
    let (message, _) =
        resource::typed::<WorkloadMessage>(value, &[]).map_err(|finding| sentence(&finding))?;
    match message.kind.as_deref() {
        None | Some("" | "pod") => {}
        Some("k8s") => return Err("its kind `k8s` is not supported yet: only `pod` is".to_owned()),
        Some(other) => return Err(format!("its kind must be `pod`, not `{other}`")),
    }
    let text = &message.specification;
    let within = |finding: &Finding| {
        format!("specification, line {}: {}", yaml::line_of(text, &finding.field), sentence(finding))
    };
    let specification =
        yaml::parse_within(text, budget).map_err(|error| format!("specification: {error}"))?;
    let (pod, _) = resource::typed::<Pod>(&specification, &[]).map_err(|finding| within(&finding))?;
    let root = Field::default();
    if let Some((name, field)) = pod.secret(&root) {
        let message = format!("needs the Secret `{name}`, and Secrets are not supported yet");
        return Err(within(&Finding { field, message }));
    }
    if message.image_registries.is_some_and(|registries| !registries["authFile"].is_null()) {
        warn(&format!("imageRegistries: {}", resource::NO_CREDENTIALS));
    }
    let namespace = message.namespace.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".into());
    let mut maps = BTreeMap::new();
    for (index, text) in message.configmaps.iter().flatten().enumerate() {
        let document = yaml::parse_within(text, budget);
        let document = document.map_err(|error| format!("configmaps[{index}]: {error}"))?;
        let (map, _) = resource::read_config_map(document)
            .map_err(|finding| format!("configmaps[{index}]: {}", sentence(&finding)))?;
        maps.insert(map.name.clone(), map);
    }
    let parts = Parts {
        content: Content {
            name: message.name.0,
            namespace: namespace.clone(),
            engine: Engine::Podman { rootless: message.rootless.unwrap_or(false) },
            labels: message.labels.into_iter().flatten().collect(),
            annotations: message.annotations.into_iter().flatten().collect(),
            config_maps: Vec::new(),
            specification,
        },
        pod,
        cron: message.cron,
        retry: message.retry.map(|retry| retry.0),
        profiles: message.profiles,
    };
    let mut findings = Vec::new();
    let manifest = parts.manifest(&root, &root, &mut findings).map_err(|finding| within(&finding))?;
    for finding in findings {
        warn(&sentence(&finding));
    }
    // they were chosen for this workload, whatever namespace they name
    let maps = maps.iter().map(|(name, map)| ((namespace.as_str(), name.as_str()), map)).collect();
    assemble::finish(&manifest, &maps).map_err(|finding| within(&finding))
}

fn sentence(finding: &Finding) -> String {
    match finding.field.to_string() {
        field if field.is_empty() => finding.message.clone(),
        field => format!("{field}: {}", finding.message),
    }
}
