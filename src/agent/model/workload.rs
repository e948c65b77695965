//! What a workload is, once it has been read and found valid, and the id that its content gives it.

use super::gather::{gather, in_order};
use super::{confidential::Confidential, outline::Outline, probe::Probes, schedule::Schedule};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// What runs a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Engine {
    /// A pod on podman: root's, or the agent's user's.
    Podman {
        /// Without root's rights, on the user's own podman.
        rootless: bool,
    },
    /// A Deployment on a Kubernetes cluster.
    Kubernetes,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Podman { rootless: false } => "podman",
            Engine::Podman { rootless: true } => "rootless podman",
            Engine::Kubernetes => "kubernetes",
        })
    }
}

/// `<name, cut to 50>-<12 hex digits>`: the same content has the same id in any process on any day.
/// It is the pod's name as well, and so never longer than 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkloadId(Arc<str>);

impl WorkloadId {
    /// The id that a pod's name says; the caller knows from the pod's labels that it is one of ours.
    pub fn from_pod_name(name: &str) -> Self {
        Self(name.into())
    }

    /// As text: the pod's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pod specification as its author wrote it. Kept as text, as most of it is read only when a pod is made: a tree of
/// maps takes several times the memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Value", into = "Value")]
pub struct Specification {
    text: Box<str>,
    /// Of one whose pod was looked at.
    outline: OnceLock<Box<Outline>>,
}

impl PartialEq for Specification {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl From<Value> for Specification {
    fn from(value: Value) -> Self {
        Self { text: value.to_string().into(), outline: OnceLock::new() }
    }
}

impl From<Specification> for Value {
    fn from(specification: Specification) -> Self {
        specification.value()
    }
}

impl Specification {
    /// What it says.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default() // it came from a value
    }

    /// The little of it that rules need, read the first time.
    pub fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| Box::new(Outline::of(&self.value())))
    }

    /// Whether these words are in it somewhere: it need not be read for what they would say if not.
    pub fn mentions(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    /// The same with a change.
    #[cfg(test)]
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        let mut value = self.value();
        change(&mut value);
        *self = value.into();
    }
}

/// What shapes the running thing, and therefore the id. Profiles and schedule are not in it:
/// changing them never restarts a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The workload's name: a DNS-1123 subdomain.
    pub name: String,
    /// Kubernetes' namespace; `default` when the author gave none.
    pub namespace: String,
    /// What runs it.
    pub engine: Engine,
    /// For the pod; the `podman/` prefix is stripped already.
    pub labels: Vec<(String, String)>,
    /// For the pod; the `podman/` prefix is stripped already.
    pub annotations: Vec<(String, String)>,
    /// The `ConfigMap` documents that the specification names.
    pub config_maps: Vec<Value>,
    /// The `Secret`s that the specification names: `{name: {key: base64}}`, or null.
    #[serde(default)]
    pub secrets: Confidential,
    /// Credentials for image registries, the text of a docker `config.json`; or null.
    #[serde(default)]
    pub auth: Confidential,
    /// By which names other pods reach it, beside its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What runs.
    pub specification: Specification,
}

impl Content {
    /// Of a workload that names nothing but what runs.
    pub fn new(name: impl Into<String>, engine: Engine, specification: Value) -> Self {
        Self {
            name: name.into(),
            namespace: "default".into(),
            engine,
            labels: Vec::new(),
            annotations: Vec::new(),
            config_maps: Vec::new(),
            secrets: Confidential::default(),
            auth: Confidential::default(),
            aliases: Vec::new(),
            specification: specification.into(),
        }
    }

    /// The containers of the specification, init containers too.
    pub fn containers(&self) -> impl Iterator<Item = Value> {
        let mut specification = self.specification.value();
        let lists = ["initContainers", "containers"].into_iter();
        lists
            .filter_map(move |list| specification.get_mut(list)?.as_array_mut().map(std::mem::take))
            .flatten()
    }

    /// The images that it needs, some perhaps more than once.
    pub fn images(&self) -> impl Iterator<Item = String> {
        let specification = self.specification.value();
        let of = |list: &str, path: &str| {
            let items = specification[list].as_array().into_iter().flatten();
            let images = items.filter_map(|item| Some(item.pointer(path)?.as_str()?.to_owned()));
            images.collect::<Vec<_>>()
        };
        let lists = [("initContainers", "/image"), ("containers", "/image"), ("volumes", "/image/reference")];
        lists.map(|(list, path)| of(list, path)).into_iter().flatten()
    }

    /// The hex SHA-256 over the content: sorted, by value, without what is empty. A server sends a manifest
    /// through typed structures, which add empty objects and default protocols that change nothing.
    pub fn hash(&self) -> String {
        let pairs = |list: &[(String, String)]| -> Map<String, Value> {
            gather(list.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))))
        };
        let mut maps: Vec<String> = self
            .config_maps
            .iter()
            .map(|map| {
                json!([map["metadata"]["name"], canonical(&map["data"]), canonical(&map["binaryData"])])
                    .to_string()
            })
            .collect();
        maps.sort_unstable();
        let mut whole = json!({
            "name": self.name,
            "namespace": self.namespace,
            "engine": self.engine.to_string(),
            "labels": pairs(&self.labels),
            "annotations": pairs(&self.annotations),
            "configmaps": maps,
            "specification": canonical(&self.specification.value()),
        });
        for (part, Confidential(value)) in [("secrets", &self.secrets), ("auth", &self.auth)] {
            if !value.is_null() {
                whole[part] = value.clone();
            }
        }
        if !self.aliases.is_empty() {
            whole["aliases"] = in_order(&self.aliases, Clone::clone).into();
        }
        // serde_json keeps objects sorted by key, as long as its feature `preserve_order` is off
        hex(digest(&SHA256, whole.to_string().as_bytes()).as_ref())
    }
}

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The value without its nulls and empty parts, and without a port's default protocol.
fn canonical(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let is_port = fields.contains_key("containerPort");
            let kept = fields
                .iter()
                .filter(|(key, value)| !(is_port && *key == "protocol" && *value == "TCP"))
                .map(|(key, value)| (key.clone(), canonical(value)))
                .filter(|(_, value)| !is_empty(value));
            Value::Object(gather(kept))
        }
        other => other.clone(),
    }
}

/// What happens when a container of the pod ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum RestartPolicy {
    /// Start it again after any exit.
    #[default]
    Always,
    /// Start it again after an exit code that isn't 0.
    OnFailure,
    /// Leave it as it ended.
    Never,
}

/// A condition as a workload lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedCondition {
    /// The condition's name in the device's profile.
    pub name: String,
    /// CPU time of the whole pod, in µs per 100,000 µs, while this condition holds.
    pub cpu: Option<u64>,
}

/// A profile as a workload lists it: it holds while at least one of its listed conditions does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedProfile {
    /// The profile's name on the device.
    pub name: String,
    /// At least one.
    pub conditions: Vec<ListedCondition>,
}

/// A valid workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// From the content's hash.
    pub id: WorkloadId,
    /// The hash itself: 64 hex digits.
    pub hash: String,
    /// What shapes the pod.
    pub content: Content,
    /// What a container's end leads to.
    pub restart: RestartPolicy,
    /// When to run, and when to run again.
    pub schedule: Schedule,
    /// How long a container may take to end once it was asked to.
    pub grace: Duration,
    /// The CPU time of its pod as a whole that its author allows, in µs per 100,000 µs.
    pub cpu: Option<u64>,
    /// How long its pod may be active; `None`: for ever. With `retries`: all of them together.
    pub deadline: Option<Duration>,
    /// How often a run that failed is tried again, of what runs to its end; `None`: never.
    pub retries: Option<u32>,
    /// Every one must hold for the workload to run; none: it always may.
    pub profiles: Vec<ListedProfile>,
    /// Of the containers that have any.
    pub probes: Vec<Probes>,
}

impl Workload {
    /// The longest part of a name that an id shows.
    const NAME_IN_ID: usize = 50;
    /// How long a container may take to end where its author says nothing.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// Puts the parts together and gives the workload the id of its content.
    pub fn new(content: Content) -> Self {
        let hash = content.hash();
        let shown: String = content.name.chars().take(Self::NAME_IN_ID).collect();
        let id = WorkloadId(format!("{}-{}", shown.trim_end_matches(['-', '.']), &hash[..12]).into());
        Self {
            id,
            hash,
            content,
            restart: RestartPolicy::default(),
            schedule: Schedule::default(),
            grace: Self::DEFAULT_GRACE,
            cpu: None,
            deadline: None,
            retries: None,
            profiles: Vec::new(),
            probes: Vec::new(),
        }
    }

    /// The same with another content, and the id that this gives it.
    #[must_use]
    pub fn with(&self, content: Content) -> Self {
        let Self { id, hash, content, .. } = Self::new(content);
        Self {
            id,
            hash,
            content,
            restart: self.restart,
            schedule: self.schedule.clone(),
            grace: self.grace,
            cpu: self.cpu,
            deadline: self.deadline,
            retries: self.retries,
            profiles: self.profiles.clone(),
            probes: self.probes.clone(),
        }
    }

    /// Whether it always runs, and not only at certain times.
    pub fn is_service(&self) -> bool {
        matches!(self.schedule, Schedule::Service(_))
    }

    /// Whether the other one asks for the same, in whatever order.
    fn asks_the_same(&self, other: &Self) -> bool {
        let Self {
            id: _,
            hash,
            content: _,
            restart,
            schedule,
            grace,
            cpu,
            deadline,
            retries,
            profiles,
            probes,
        } = self;
        let listed = |profiles: &[ListedProfile]| {
            in_order(profiles, |profile| ListedProfile {
                conditions: in_order(&profile.conditions, Clone::clone),
                ..profile.clone()
            })
        };
        *hash == other.hash
            && *restart == other.restart
            && *schedule == other.schedule
            && *grace == other.grace
            && *cpu == other.cpu
            && *deadline == other.deadline
            && *retries == other.retries
            && *probes == other.probes
            && listed(profiles) == listed(&other.profiles)
    }

    /// The workload's name, by which people and servers know it.
    pub fn name(&self) -> &str {
        &self.content.name
    }
}

/// A profile as the device defines it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Its conditions.
    pub conditions: Vec<Condition>,
}

/// A condition as the device defines it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Its name, unique in its profile.
    pub name: String,
    /// The text of its expression, which may turn out not to parse.
    pub expression: String,
}

/// Everything one source wants on this device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Desired {
    /// What the device defines.
    pub profiles: Vec<Profile>,
    /// What is to run; names are unique.
    pub workloads: Vec<Arc<Workload>>,
    /// Names of workloads that could not be understood this time: whatever they were before, they stay.
    pub unreadable: Vec<String>,
    /// Names of workloads that are for other devices.
    pub elsewhere: Vec<String>,
    /// Part of the source could not be read, and what it said before isn't known either: no pod may be removed
    /// because nothing here names it.
    pub partial: bool,
}

impl Desired {
    /// Whether the other one asks for the same, in whatever order: a server may make its lists of maps.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let Self { profiles, workloads, unreadable, partial, elsewhere } = self;
        let defined = |profiles: &[Profile]| {
            in_order(profiles, |profile| Profile {
                conditions: in_order(&profile.conditions, Clone::clone),
                ..profile.clone()
            })
        };
        let named = |workloads: &[Arc<Workload>]| -> BTreeMap<String, Arc<Workload>> {
            gather(workloads.iter().map(|workload| (workload.name().to_owned(), workload.clone())))
        };
        let (mine, others) = (named(workloads), named(&other.workloads));
        *partial == other.partial
            && in_order(elsewhere, Clone::clone) == in_order(&other.elsewhere, Clone::clone)
            && in_order(unreadable, Clone::clone) == in_order(&other.unreadable, Clone::clone)
            && mine.len() == others.len()
            && mine
                .iter()
                .zip(&others)
                .all(|((name, it), (its_name, other))| name == its_name && it.asks_the_same(other))
            && defined(profiles) == defined(&other.profiles)
    }
}
