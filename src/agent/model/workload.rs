//! What a workload is, once it has been read and found valid, and the id that its content gives it.

pub use super::outline::RestartPolicy;
use super::{
    canonical::canonical,
    confidential::Confidential,
    gather::{gather, sorted_by_view},
    probe::Probes,
    schedule::Schedule,
    specification::Specification,
    update::UpdateRules,
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

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

/// The namespace of what names none.
pub const DEFAULT_NAMESPACE: &str = "default";

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
            namespace: DEFAULT_NAMESPACE.into(),
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
            whole["aliases"] = sorted_by_view(&self.aliases, Clone::clone).into();
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
    /// Names of the workloads that must be ready before it is started.
    pub depends_on: Vec<String>,
    /// Of the containers that have any.
    pub probes: Vec<Probes>,
    /// When another content may take its place while it runs.
    pub update: Option<Box<UpdateRules>>,
}

impl Workload {
    /// The longest part of a name that an id shows.
    const MAX_NAME_IN_ID: usize = 50;
    /// How long a container may take to end where its author says nothing.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// Puts the parts together and gives the workload the id of its content.
    pub fn new(content: Content) -> Self {
        let hash = content.hash();
        let shown: String = content.name.chars().take(Self::MAX_NAME_IN_ID).collect();
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
            depends_on: Vec::new(),
            probes: Vec::new(),
            update: None,
        }
    }

    /// The same with another content, and the id that this gives it.
    #[must_use]
    pub fn with_content(&self, content: Content) -> Self {
        let Self { id, hash, content, .. } = Self::new(content);
        Self { id, hash, content, ..self.clone() }
    }

    /// Whether it always runs, and not only at certain times.
    pub fn is_service(&self) -> bool {
        matches!(self.schedule, Schedule::Service(_))
    }

    /// Whether this container, which ended with this exit code, is wanted back in its pod. Of a run only what failed is,
    /// and only where its author says so.
    pub fn restarts_after_exit(&self, container: &str, code: i32) -> bool {
        match self.content.specification.outline().container_restart_policy(container).unwrap_or(self.restart)
        {
            RestartPolicy::Always => self.is_service(),
            RestartPolicy::OnFailure => code != 0,
            RestartPolicy::Never => false,
        }
    }

    /// Whether this container is started again if it fails.
    pub fn restarts_on_failure(&self, container: &str) -> bool {
        self.content.specification.outline().is_sidecar(container) || self.restarts_after_exit(container, 1)
    }

    /// Whether any of its containers is, sidecars aside.
    pub fn any_restarts_on_failure(&self) -> bool {
        self.content.specification.outline().containers.iter().any(|it| self.restarts_after_exit(it, 1))
    }

    /// Whether it runs to its end, and not again.
    pub fn runs_once(&self) -> bool {
        self.is_service() && (self.restart == RestartPolicy::Never || self.retries.is_some())
    }

    /// Whether the other one asks for the same, in whatever order.
    fn is_equivalent_to(&self, other: &Self) -> bool {
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
            depends_on,
            probes,
            update,
        } = self;
        let listed = |profiles: &[ListedProfile]| {
            sorted_by_view(profiles, |profile| ListedProfile {
                conditions: sorted_by_view(&profile.conditions, Clone::clone),
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
            && *update == other.update
            && listed(profiles) == listed(&other.profiles)
            && sorted_by_view(depends_on, Clone::clone) == sorted_by_view(&other.depends_on, Clone::clone)
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Condition {
    /// Its name, unique in its profile.
    pub name: String,
    /// The text of its expression, which may turn out not to parse.
    pub expression: String,
    /// How long that has to be true without a break before the condition is.
    pub hold: Duration,
    /// The text of what ends it; without it, that the expression isn't true any more.
    pub until: Option<String>,
}

/// Everything one source wants on this device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DesiredState {
    /// What the device defines.
    pub profiles: Vec<Profile>,
    /// When contents may be replaced, whichever workload's; beside what each says of itself.
    pub update: Option<Box<UpdateRules>>,
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

impl DesiredState {
    /// Whether the other one asks for the same, in whatever order: a server may make its lists of maps.
    pub fn is_equivalent_to(&self, other: &Self) -> bool {
        let Self { profiles, update, workloads, unreadable, partial, elsewhere } = self;
        let defined = |profiles: &[Profile]| {
            sorted_by_view(profiles, |profile| Profile {
                conditions: sorted_by_view(&profile.conditions, Clone::clone),
                ..profile.clone()
            })
        };
        let named = |workloads: &[Arc<Workload>]| -> BTreeMap<String, Arc<Workload>> {
            gather(workloads.iter().map(|workload| (workload.name().to_owned(), workload.clone())))
        };
        let (mine, others) = (named(workloads), named(&other.workloads));
        *partial == other.partial
            && *update == other.update
            && sorted_by_view(elsewhere, Clone::clone) == sorted_by_view(&other.elsewhere, Clone::clone)
            && sorted_by_view(unreadable, Clone::clone) == sorted_by_view(&other.unreadable, Clone::clone)
            && mine.len() == others.len()
            && mine
                .iter()
                .zip(&others)
                .all(|((name, it), (its_name, other))| name == its_name && it.is_equivalent_to(other))
            && defined(profiles) == defined(&other.profiles)
    }
}
