//! From manifests to a device's configuration, field by field as the edge API does it. Values are passed on as they
//! are written, bad ones too: what a device makes of them is worth a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::{Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::yaml;

/// What is in a device's namespace, as it was written.
pub(crate) trait Resources {
    /// Each EdgeWorkload.
    fn workloads(&self) -> Vec<Arc<Value>>;
    fn config_map(&self, name: &str) -> Option<Arc<Value>>;
    fn secret(&self, name: &str) -> Option<Arc<Value>>;
}

/// Of whom the configuration is.
pub(crate) struct Device<'a> {
    pub(crate) namespace: &'a str,
    /// Its EdgeDevice's.
    pub(crate) spec: &'a Value,
    /// Seconds between heartbeats where that has none.
    pub(crate) period: i64,
    /// Lists that come from maps are always in the same order.
    pub(crate) ordered: bool,
}

/// The labels of a resource, which win over those there are.
pub(crate) fn add_labels(labels: &mut BTreeMap<String, String>, resource: &Value) {
    let own = strings(&resource["metadata"]["labels"]);
    labels.extend(own.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

/// The workloads that are meant for a device.
pub(crate) fn choose(
    resources: &impl Resources,
    id: &str,
    labels: &BTreeMap<String, String>,
) -> Vec<Arc<Value>> {
    let mut chosen = resources.workloads();
    chosen.retain(|workload| is_for(&workload["spec"], id, labels));
    chosen
}

/// The `content` of the answer with these workloads, but for the device's id and the version.
///
/// # Errors
/// A ConfigMap or Secret that a workload needs is missing: the edge API answers 500 then.
pub(crate) fn assemble(
    resources: &impl Resources,
    chosen: &[Arc<Value>],
    device: &Device<'_>,
) -> Result<Value> {
    let mut content = Fields::new();
    let shuffled = |mut list: Vec<Value>| {
        if !device.ordered {
            list.sort_by_cached_key(|_| Uuid::new_v4());
        }
        list
    };
    content.put("configuration", configuration(device.spec, device.period));
    let workloads: Result<Vec<Value>> =
        chosen.iter().map(|resource| workload(resources, resource, device, &shuffled)).collect();
    // Go's `omitempty`: an empty list is no field at all.
    content.put("workloads", shuffled(workloads?));
    content.put("secrets", shuffled(secrets(resources, chosen)?));
    Ok(content.into())
}

/// As the cluster does: neither a device nor a selector selects none, an empty selector all.
pub(crate) fn is_for(spec: &Value, id: &str, labels: &BTreeMap<String, String>) -> bool {
    if let Some(device) = spec["device"].as_str().filter(|name| !name.is_empty()) {
        return device == id;
    }
    spec["deviceSelector"].is_object() && matches(&spec["deviceSelector"], labels)
}

/// Whether a label selector takes who has these labels.
pub(crate) fn matches(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let holds = |rule: &Value| {
        let value = labels.get(rule["key"].as_str().unwrap_or_default());
        let listed = value.is_some_and(|value| items(&rule["values"]).iter().any(|item| item == value));
        match rule["operator"].as_str() {
            Some("In") => listed,
            Some("NotIn") => !listed,
            Some("Exists") => value.is_some(),
            Some("DoesNotExist") => value.is_none(),
            _ => false,
        }
    };
    let has = |(key, value): (&str, &str)| labels.get(key).is_some_and(|own| own == value);
    strings(&selector["matchLabels"]).all(has) && items(&selector["matchExpressions"]).iter().all(holds)
}

fn configuration(spec: &Value, period: i64) -> Value {
    let heartbeat = &spec["heartbeat"];
    // The model's README draws the profiles below `heartbeat`.
    let profiles = if spec["profiles"].is_null() { &heartbeat["profiles"] } else { &spec["profiles"] };
    let mounts: Vec<Value> = items(&spec["mounts"])
        .iter()
        .map(|mount| renamed(mount, &["device", "folder:directory", "type", "options"]))
        .collect();
    let mut all = Fields::new();
    all.put(
        "heartbeat",
        json!({
            "hardware_profile": renamed(&heartbeat["hardwareProfile"], &["include", "scope"]),
            "period_seconds": if heartbeat["periodSeconds"].is_null() { json!(period) } else { heartbeat["periodSeconds"].clone() },
        }),
    );
    all.put("metrics", json!({"receiver": {"request_num_samples": 30000, "timeout_seconds": 10}}));
    all.keep("mounts", mounts);
    let os = [
        "commitID:commit_id",
        "hostedObjectsURL:hosted_objects_url",
        "automaticallyUpgrade:automatically_upgrade",
    ];
    all.put("os", renamed(&spec["osInformation"], &os));
    let mut profiles = Value::from(items(profiles));
    leave_out_empty_texts(&mut profiles);
    all.keep("profiles", profiles);
    all.keep_given("update", &spec["update"]);
    all.into()
}

fn workload(
    resources: &impl Resources,
    resource: &Value,
    device: &Device<'_>,
    shuffled: &dyn Fn(Vec<Value>) -> Vec<Value>,
) -> Result<Value> {
    let (metadata, spec) = (&resource["metadata"], &resource["spec"]);
    let mut pod = spec["pod"]["spec"].clone();
    complete(&mut pod);
    leave_out_empty_texts(&mut pod);
    let mut all = Fields::new();
    all.put("annotations", podman(&metadata["annotations"]));
    all.put("configmaps", shuffled(config_maps(resources, &pod)?));
    all.put("cron", spec["cron"].clone());
    all.put("data", spec["data"].clone());
    all.put("dependsOn", items(&spec["dependsOn"]));
    all.put("imageRegistries", registries(resources, spec)?);
    all.put("kind", spec["type"].clone());
    all.put("labels", podman(&metadata["labels"]));
    all.put("log_collection", spec["logCollection"].clone());
    all.put("name", metadata["name"].clone());
    all.put("namespace", device.namespace);
    all.keep("profiles", items(&spec["profiles"]).iter().map(profile).collect::<Vec<_>>());
    all.put("retry", retry(&spec["retry"]));
    all.put("rootless", spec["rootless"].clone());
    all.put("specification", yaml::write(&pod));
    all.keep_given("update", &spec["update"]);
    Ok(all.into())
}

/// Go's `omitempty` again, for texts in typed structures: what a map has stays, and what every object must have.
fn leave_out_empty_texts(value: &mut Value) {
    const MAPS: [&str; 4] = ["annotations", "labels", "matchLabels", "nodeSelector"];
    match value {
        Value::Array(items) => items.iter_mut().for_each(leave_out_empty_texts),
        Value::Object(fields) => {
            fields.retain(|key, value| *value != "" || key == "mountPath" || key == "name");
            let typed = fields.iter_mut().filter(|(key, _)| !MAPS.contains(&key.as_str()));
            typed.for_each(|(_, value)| leave_out_empty_texts(value));
        }
        _ => {}
    }
}

/// A container without resources is written with empty ones: they are no pointer in Go.
fn complete(pod: &mut Value) {
    for kind in ["containers", "initContainers"] {
        for container in pod.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container.entry("resources").or_insert_with(|| json!({}));
            }
        }
    }
}

fn profile(profile: &Value) -> Value {
    let conditions: Vec<Value> = items(&profile["conditions"])
        .iter()
        .map(|condition| match condition {
            Value::String(name) => json!({"name": name}),
            // A plain number is wrapped, as the edge API's own structure has it.
            Value::Object(given) if given.get("cpu").is_some_and(Value::is_number) => {
                json!({"name": given.get("name"), "cpu": {"cpu": given.get("cpu")}})
            }
            other => other.clone(),
        })
        .collect();
    json!({"name": profile["name"], "conditions": conditions})
}

fn retry(spec: &Value) -> Value {
    for backoff in ["constantBackoff", "exponentialBackoff"] {
        if let Value::Object(given) = &spec[backoff] {
            let mut all = given.clone();
            all.insert("backoff".to_owned(), backoff.into());
            return all.into();
        }
    }
    Value::Null
}

/// The content of the docker configuration in the Secret.
fn registries(resources: &impl Resources, spec: &Value) -> Result<Value> {
    let Some((name, is_optional)) = registry_secret(spec) else { return Ok(Value::Null) };
    let secret = resources.secret(name);
    let secret = match secret.as_deref() {
        None if is_optional => return Ok(Value::Null),
        secret => secret.unwrap_or(&Value::Null),
    };
    let key = ".dockerconfigjson";
    let text = match (&secret["stringData"][key], &secret["data"][key]) {
        (Value::String(text), _) => text.clone(),
        (_, Value::String(encoded)) => {
            String::from_utf8_lossy(&BASE64_STANDARD.decode(encoded)?).into_owned()
        }
        _ => bail!("the Secret '{name}' with {key}, for a registry, is missing"),
    };
    Ok(json!({"authFile": text}))
}

/// The Secret with the credentials. One that the pod names, as on a cluster, may be missing: the device says so.
fn registry_secret(spec: &Value) -> Option<(&str, bool)> {
    if let Some(name) = spec["imageRegistries"]["secretRef"]["name"].as_str() {
        return Some((name, false));
    }
    let name = spec["pod"]["spec"]["imagePullSecrets"][0]["name"].as_str()?;
    (spec["type"] != "k8s").then_some((name, true))
}

fn config_map_names(pod: &Value) -> BTreeMap<String, bool> {
    let mut names = references(pod, "configMapRef", "configMapKeyRef");
    names.extend(items(&pod["volumes"]).iter().flat_map(|volume| in_volume(volume, "configMap", "name")));
    wanted(names)
}

/// The edge API that this one replaces doesn't look at volumes for these; devices do.
fn secret_names(pod: &Value) -> BTreeMap<String, bool> {
    let mut names = references(pod, "secretRef", "secretKeyRef");
    names.extend(items(&pod["volumes"]).iter().flat_map(|volume| in_volume(volume, "secret", "secretName")));
    wanted(names)
}

/// What a volume is made of, alone or as a part of a projected one.
fn in_volume(volume: &Value, kind: &str, name: &str) -> Vec<(String, bool)> {
    let parts = items(&volume["projected"]["sources"]).iter().map(|part| (&part[kind], "name"));
    let all = std::iter::once((&volume[kind], name)).chain(parts);
    all.filter_map(|(reference, name)| Some((reference[name].as_str()?.to_owned(), is_optional(reference))))
        .collect()
}

/// Those that containers and volumes name, whole.
fn config_maps(resources: &impl Resources, pod: &Value) -> Result<Vec<Value>> {
    let mut texts = Vec::new();
    for (name, optional) in config_map_names(pod) {
        let Some(map) = resources.config_map(&name) else {
            if optional {
                continue;
            }
            bail!("the ConfigMap '{name}' is missing");
        };
        let mut all = Fields::new();
        all.put("apiVersion", "v1");
        all.put("binaryData", map["binaryData"].clone());
        all.put("data", map["data"].clone());
        all.put("kind", "ConfigMap");
        all.keep("metadata", json!({"creationTimestamp": null, "name": name}));
        texts.push(yaml::write(&all.into()).into());
    }
    Ok(texts)
}

/// Kind and name of each ConfigMap and Secret that a workload names.
pub(crate) fn named(workload: &Value) -> Vec<(&'static str, String)> {
    let pod = &workload["spec"]["pod"]["spec"];
    let maps = config_map_names(pod).into_keys().map(|name| ("ConfigMap", name));
    let secrets = secret_names(pod).into_keys().map(|name| ("Secret", name));
    let registry = registry_secret(&workload["spec"]);
    maps.chain(secrets).chain(registry.map(|(name, _)| ("Secret", name.to_owned()))).collect()
}

/// Those that containers and volumes name.
fn secrets(resources: &impl Resources, workloads: &[Arc<Value>]) -> Result<Vec<Value>> {
    let pods = workloads.iter().map(|workload| &workload["spec"]["pod"]["spec"]);
    let mut all = Vec::new();
    for (name, optional) in wanted(pods.flat_map(secret_names)) {
        let Some(secret) = resources.secret(&name) else {
            if optional {
                continue;
            }
            bail!("the Secret '{name}' is missing");
        };
        let mut data: BTreeMap<&str, String> =
            strings(&secret["data"]).map(|(key, encoded)| (key, encoded.to_owned())).collect();
        data.extend(strings(&secret["stringData"]).map(|(key, text)| (key, BASE64_STANDARD.encode(text))));
        all.push(json!({"data": serde_json::to_string(&data)?, "name": name}));
    }
    Ok(all)
}

/// Names in `env` and `envFrom`, and whether each may be missing.
fn references(pod: &Value, from: &str, key: &str) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    for container in items(&pod["containers"]).iter().chain(items(&pod["initContainers"])) {
        let whole = items(&container["envFrom"]).iter().map(|source| &source[from]);
        let single = items(&container["env"]).iter().map(|variable| &variable["valueFrom"][key]);
        for reference in whole.chain(single) {
            names.extend(reference["name"].as_str().map(|name| (name.to_owned(), is_optional(reference))));
        }
    }
    names
}

/// Each once; it may be missing only if that is allowed.
fn wanted(names: impl IntoIterator<Item = (String, bool)>) -> BTreeMap<String, bool> {
    let names: BTreeSet<(String, bool)> = names.into_iter().collect();
    // `false` sorts first: the reverse lets it win.
    names.into_iter().rev().collect()
}

fn is_optional(reference: &Value) -> bool {
    reference["optional"] == true
}

/// Those with the `podman/` prefix, without it.
fn podman(map: &Value) -> Value {
    let stripped = strings(map).filter_map(|(key, value)| Some((key.strip_prefix("podman/")?, value)));
    stripped.map(|(key, value)| (key.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

/// The listed fields; `old:new` takes another name on the way.
fn renamed(from: &Value, fields: &[&str]) -> Value {
    let mut all = Fields::new();
    for field in fields {
        let (old, new) = field.split_once(':').unwrap_or((field, field));
        all.put(new, from[old].clone());
    }
    all.into()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn strings(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    value.as_object().into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// An object as Go writes it: with `omitempty` for almost every field.
struct Fields(Map<String, Value>);

impl Fields {
    fn new() -> Self {
        Self(Map::new())
    }

    /// One that is empty says something, too.
    fn keep_given(&mut self, key: &str, value: &Value) {
        if !value.is_null() {
            self.keep(key, value.clone());
        }
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        let value = value.into();
        let empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        if !empty {
            self.keep(key, value);
        }
    }

    fn keep(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}
