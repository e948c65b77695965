//! The device configuration: from the server's answer to what is to run.

use std::{cell::Cell, collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Value, json};

use super::answer::ServerMessage;
use crate::{
    agent::model::{
        call::{DEFAULT_CALL_PERIOD, HardwareScope, ServerConfiguration},
        confidential::Confidential,
        gather::gather,
        notice::Problem,
        update::UpdateRules,
        workload::{Content, DesiredState, Profile, Workload},
    },
    wire::{
        field::{FieldPath, Finding, PathSegment},
        json::set,
        manifest::{
            Strictness, UnknownFields, assemble, config_map, edge_device, edge_workload, resource::ConfigMap,
            secret::Secret,
        },
        podman::registry,
        yaml,
    },
};

/// What all YAML in one configuration may grow to, in bytes.
const MAX_YAML_BYTES: usize = 32 << 20;
/// More workloads or profiles than this are taken for an accident.
const MAX_LIST_ITEMS: usize = 1_000;
/// Seconds before a workload is started again, where its back-off has no initial interval.
const DEFAULT_BACKOFF_SECONDS: u64 = 20;

/// A configuration as it came, and as it was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// To be kept: [`configuration`] understands it again in an envelope `{"content": …}`.
    pub content: Value,
    /// What it means.
    pub meaning: ServerConfiguration,
}

/// Marks a kept workload of which no version could be understood.
const UNREADABLE_KEY: &str = "unreadable";

impl Configuration {
    /// What is there after a restart: this content, but what was kept before of each workload that could
    /// not be understood this time.
    pub fn to_cached(&self, before: Option<&Value>) -> Value {
        let mut content = self.content.clone();
        let before = before.and_then(|before| before["workloads"].as_array()).map_or(&[][..], Vec::as_slice);
        for workload in content.get_mut("workloads").and_then(Value::as_array_mut).into_iter().flatten() {
            let name = workload["name"].as_str().unwrap_or_default();
            if self.meaning.desired.unreadable.iter().any(|unreadable| unreadable == name) {
                match before.iter().find(|before| before["name"] == name) {
                    Some(before) => *workload = before.clone(),
                    None => set(workload, UNREADABLE_KEY, true.into()),
                }
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
pub fn configuration(body: &[u8], device: &str, unknown: UnknownFields) -> Result<Configuration, String> {
    parse_configuration(body, device, Strictness { was_accepted: false, unknown })
}

/// The same of one that was kept: what ran isn't judged anew.
///
/// # Errors
/// As for any.
pub fn cached_configuration(body: &[u8], device: &str) -> Result<Configuration, String> {
    parse_configuration(body, device, Strictness { was_accepted: true, ..Strictness::default() })
}

fn parse_configuration(body: &[u8], device: &str, strictness: Strictness) -> Result<Configuration, String> {
    let mut content = ServerMessage::content(body)?;
    sort_lists(&mut content);
    if content["device_id"].is_null() && content["workloads"].is_null() {
        // an empty list of workloads is an order to remove them all, so it has to be meant
        return Err("has neither a device_id nor workloads".to_owned());
    }
    if let Some(other) = content["device_id"].as_str().filter(|id| *id != device) {
        // what is refused is said on one line
        return Err(format!("is the configuration of device '{}'", other.escape_debug()));
    }
    let workloads = list_at(&content, &["workloads"])?;
    let settings = &content["configuration"];
    let mut problems = Vec::new();
    let profiles = match list_at(settings, &["profiles"]) {
        Ok(list) => profiles(list, &mut problems),
        Err(problem) => {
            problems.push(format!("the configuration {problem}").into());
            Vec::new()
        }
    };
    let update = parse_update_rules(&settings["update"], &mut problems);
    let mut desired = DesiredState { profiles, update, ..DesiredState::default() };
    let secrets = secrets(list_at(&content, &["secrets"])?, &mut problems);
    let secrets: Vec<&Secret> = secrets.iter().collect();
    all_workloads(workloads, (device, strictness), &secrets, &mut desired, &mut problems);
    for (name, why) in desired.set_aside_dependency_cycles() {
        let message = format!("workload '{name}' is left as it is: it {why}");
        problems.push(Problem { workload: Some(name), message });
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
        period: seconds(&heartbeat["period_seconds"]).unwrap_or(DEFAULT_CALL_PERIOD),
        hardware: match &heartbeat["hardware_profile"] {
            profile if profile["include"] != true => HardwareScope::Omit,
            profile if profile["scope"] == "delta" => HardwareScope::IfChanged,
            _ => HardwareScope::Full,
        },
        monitoring_interval: seconds(&content["workloads_monitoring_interval"]),
    };
    Ok(Configuration { content, meaning })
}

/// The server makes these lists of maps, so that they come in another order each time. Sorted, the first of two and
/// the place in a list are the same for the same content.
fn sort_lists(content: &mut Value) {
    for workload in content.get_mut("workloads").and_then(Value::as_array_mut).into_iter().flatten() {
        sort(workload.get_mut("configmaps"));
    }
    sort(content.get_mut("workloads"));
    sort(content.get_mut("secrets"));
}

fn sort(list: Option<&mut Value>) {
    let Some(list) = list.and_then(Value::as_array_mut) else { return };
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    list.sort_unstable_by(|a, b| name(a).cmp(&name(b)).then_with(|| a.to_string().cmp(&b.to_string())));
}

fn list_at<'a>(value: &'a Value, path: &[&str]) -> Result<&'a [Value], String> {
    let name = path.join(".");
    match path.iter().fold(value, |value, key| &value[key]) {
        Value::Null => Ok(&[]),
        Value::Array(items) if items.len() <= MAX_LIST_ITEMS => Ok(items),
        Value::Array(items) => Err(format!("has {} {name}: at most {MAX_LIST_ITEMS} are taken", items.len())),
        _ => Err(format!("has no list in {name}")),
    }
}

/// A number of seconds that says something. How long a period may be is for the agent to judge.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds >= 1.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn profiles(list: &[Value], problems: &mut Vec<Problem>) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for (index, value) in list.iter().enumerate() {
        let device = json!({"metadata": {"name": "device"}, "spec": {"profiles": [value]}});
        match edge_device::read(&device) {
            Ok((device, _)) => {
                for fault in device.faults.iter().take(20) {
                    problems.push(format!("profiles[{index}]: {}", format_without_prefix(3, fault)).into());
                }
                profiles.extend(device.profiles);
            }
            Err(finding) => {
                let subject = match value["name"].as_str() {
                    Some(name) => format!("profile '{name}'"),
                    None => format!("profiles[{index}]"),
                };
                problems.push(format!("{subject} is skipped: {}", format_without_prefix(3, &finding)).into());
            }
        }
    }
    profiles
}

/// One that can't be understood lets no update through by itself.
fn parse_update_rules(value: &Value, problems: &mut Vec<Problem>) -> Option<Box<UpdateRules>> {
    let device = json!({"metadata": {"name": "device"}, "spec": {"update": value}});
    match edge_device::read(&device) {
        Ok((device, findings)) => {
            let told = |it| format!("the configuration's {}", format_without_prefix(1, it)).into();
            problems.extend(findings.iter().map(told));
            device.update
        }
        Err(finding) => {
            let finding = format_without_prefix(1, &finding);
            problems
                .push(format!("the configuration's {finding}: updates wait until that is corrected").into());
            Some(Box::new(UpdateRules { when: Some(String::new()), ..UpdateRules::default() }))
        }
    }
}

fn secrets(list: &[Value], problems: &mut Vec<Problem>) -> Vec<Secret> {
    let mut secrets = Vec::new();
    for (index, value) in list.iter().enumerate() {
        match Secret::from_server(value) {
            Ok(secret) => secrets.push(secret),
            Err(why) => {
                let name = value["name"].as_str();
                let name = name.map_or_else(|| format!("[{index}]"), |name| format!("'{name}'"));
                problems.push(format!("secret {name} is skipped: {why}").into());
            }
        }
    }
    secrets
}

fn all_workloads(
    list: &[Value],
    device: (&str, Strictness),
    secrets: &[&Secret],
    desired: &mut DesiredState,
    problems: &mut Vec<Problem>,
) {
    let mut names = BTreeMap::new();
    let budget = Cell::new(MAX_YAML_BYTES);
    for (index, value) in list.iter().enumerate() {
        let name = value["name"].as_str().unwrap_or_default();
        let subject = match name {
            "" => format!("workloads[{index}]"),
            name => format!("workload '{name}'"),
        };
        if !name.is_empty() && names.insert(name, index).is_some() {
            problems.push(format!("{subject} is there twice: the first counts").into());
            continue;
        }
        let mut warn = |warning: &str| problems.push(format!("{subject}: {warning}").into());
        match workload(value, device, secrets, &budget, &mut warn) {
            Ok(workload) => desired.workloads.push(workload),
            Err(problem) => {
                let workload = (!name.is_empty()).then(|| name.to_owned());
                desired.unreadable.extend(workload.clone());
                let message = format!("{subject} is left as it is: {problem}");
                problems.push(Problem { workload, message });
            }
        }
    }
}

/// Reads a workload by way of the manifest that says the same: one shape to check, and one id whatever the source.
fn workload(
    value: &Value,
    (device, strictness): (&str, Strictness),
    secrets: &[&Secret],
    budget: &Cell<usize>,
    warn: &mut dyn FnMut(&str),
) -> Result<Arc<Workload>, String> {
    let text = value["specification"].as_str().ok_or("specification: is no text")?;
    let specification =
        yaml::parse_within(text, budget).map_err(|error| format!("specification: {error}"))?;
    let say = |finding: &Finding| match finding.field.0.strip_prefix(&*steps(["spec", "pod", "spec"])) {
        Some(steps) => {
            let line = yaml::line_of(text, &FieldPath(steps.to_vec()));
            format!("specification, line {line}: {}", format_without_prefix(3, finding))
        }
        None => format_without_prefix(1, finding),
    };
    let was_accepted = strictness.was_accepted && value[UNREADABLE_KEY] != true;
    let strictness = Strictness { was_accepted, ..strictness };
    let document = to_manifest(value, &specification)?;
    let (mut manifest, mut findings) = edge_workload::read(document, strictness).map_err(|found| {
        // the first ones tell enough
        let told: Vec<String> = found.iter().take(3).map(&say).collect();
        told.join("; ")
    })?;
    let auth = &value["imageRegistries"]["authFile"];
    let mut changed = None;
    let has_none = auth.is_null() || auth == "";
    // the server has the Secret, and sends its content
    if let Some(field) = manifest.take_pull_secret().filter(|_| has_none && !was_accepted) {
        let message = "has no effect: the server sent no credentials with it".to_owned();
        findings.push(Finding { field, message });
    }
    if !has_none {
        let checked =
            auth.as_str().map_or_else(|| Err("is no text".to_owned()), registry::check_docker_config);
        checked.map_err(|why| format!("imageRegistries.authFile: {why}"))?;
        changed = Some(Content { auth: Confidential(auth.clone()), ..manifest.workload.content.clone() });
    }
    for finding in &findings {
        warn(&say(finding));
    }
    let maps = config_maps(value, budget)?;
    // they were chosen for this workload, whatever namespace they name
    let namespace = manifest.workload.content.namespace.as_str();
    let maps = gather(maps.iter().map(|(name, map)| ((namespace, name.as_str()), map)));
    assemble::assemble_workload(&manifest, changed, &maps, secrets, (device, None))
        .map_err(|finding| say(&finding))
}

/// The manifest that says the same.
fn to_manifest(value: &Value, specification: &Value) -> Result<Value, String> {
    Ok(json!({
        "metadata": {
            "name": value["name"],
            "namespace": if value["namespace"] == "" { &Value::Null } else { &value["namespace"] },
            "labels": with_podman_prefix(&value["labels"]),
            "annotations": with_podman_prefix(&value["annotations"]),
        },
        "spec": {
            "type": match value["kind"].as_str() {
                None | Some("") => "pod",
                Some(kind) => kind,
            },
            "cron": value["cron"],
            "rootless": value["rootless"],
            "retry": to_manifest_retry(&value["retry"])?,
            "profiles": value["profiles"],
            "update": value["update"],
            "dependsOn": value["dependsOn"],
            "pod": {"spec": specification},
        },
    }))
}

/// Those that come with a workload, by their names.
fn config_maps(value: &Value, budget: &Cell<usize>) -> Result<BTreeMap<String, ConfigMap>, String> {
    let mut maps = BTreeMap::new();
    for (index, text) in list_at(value, &["configmaps"])?.iter().enumerate() {
        let wrong = |why: String| format!("configmaps[{index}]: {why}");
        let text = text.as_str().ok_or_else(|| wrong("is no text".to_owned()))?;
        let document = yaml::parse_within(text, budget).map_err(|error| wrong(error.to_string()))?;
        let (map, _) =
            config_map::read(document).map_err(|finding| wrong(format_without_prefix(0, &finding)))?;
        maps.insert(map.name.clone(), map);
    }
    Ok(maps)
}

/// As a person writes what is to reach the pod; the server has stripped the prefix.
fn with_podman_prefix(pairs: &Value) -> Value {
    let Some(pairs) = pairs.as_object() else { return pairs.clone() };
    Value::Object(gather(pairs.iter().map(|(key, value)| (format!("podman/{key}"), value.clone()))))
}

/// As a person writes it: with its kind as a key. A 0 is Go's way of saying nothing.
fn to_manifest_retry(flat: &Value) -> Result<Value, String> {
    let given = |key: &str| Some(flat[key].clone()).filter(|value| !value.is_null() && *value != 0);
    match flat["backoff"].as_str() {
        Some("exponentialBackoff") => Ok(json!({"exponentialBackoff": {
            "initialIntervalSeconds": given("initialIntervalSeconds").unwrap_or(DEFAULT_BACKOFF_SECONDS.into()),
            "multiplier": given("multiplier"),
            "randomizationFactor": flat["randomizationFactor"],
        }})),
        None | Some("" | "constantBackoff") => Ok(match given("periodSeconds") {
            Some(seconds) => json!({"constantBackoff": {"periodSeconds": seconds}}),
            None => Value::Null,
        }),
        Some(other) => Err(format!("retry: must be constantBackoff or exponentialBackoff, not `{other}`")),
    }
}

fn steps<const N: usize>(keys: [&str; N]) -> Vec<PathSegment> {
    keys.map(PathSegment::from).into()
}

/// The finding in a sentence, its field without the first steps, which only this file took.
fn format_without_prefix(steps: usize, finding: &Finding) -> String {
    match FieldPath(finding.field.0.iter().skip(steps).cloned().collect()).to_string() {
        field if field.is_empty() => finding.message.clone(),
        field => format!("{field}: {}", finding.message),
    }
}
