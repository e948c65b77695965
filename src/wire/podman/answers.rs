//! What podman's API answers, as far as the agent reads it. Versions 4.3 to 6 differ in what they leave out or
//! send as `null`, so only what nothing can be done without is required.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::host_ports::HostPort;
use crate::agent::model::order::{ContainerState, normalize_cpu_quota};

/// A Go list or map that is empty comes as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// The innermost error.
    pub cause: String,
    /// The error with everything around it.
    pub message: String,
}

/// A pod, of `pods/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPod {
    /// podman's own for it: never used twice.
    pub id: Box<str>,
    /// Its name.
    pub name: String,
    /// The id of the container that only holds its namespaces.
    #[serde(default)]
    pub infra_id: String,
    /// Of the pod.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// With the infra container.
    #[serde(default, deserialize_with = "or_default")]
    pub containers: Vec<ListedPodContainer>,
}

impl ListedPod {
    /// Whether it has containers, and all of them run, and what holds its namespaces.
    pub fn is_running(&self) -> bool {
        let has_own = self.containers.iter().any(|container| container.id != self.infra_id);
        has_own && self.containers.iter().all(ListedPodContainer::is_running)
    }
}

/// A container in a list of pods.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedPodContainer {
    id: String,
    #[serde(default)]
    status: String,
}

impl ListedPodContainer {
    fn is_running(&self) -> bool {
        self.status == "running"
    }
}

/// A container of `containers/json`, which doesn't wait for what is done to its pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedContainer {
    /// Its names: one.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Vec<String>,
    /// Of the pod that it belongs to; empty: to none.
    #[serde(default)]
    pub pod_name: String,
    /// podman has seen its last run end.
    #[serde(default)]
    pub exited: bool,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<PublishedPort>,
}

#[derive(Debug, Deserialize)]
struct PublishedPort {
    #[serde(default)]
    host_port: u16,
    /// That many, from this one on.
    #[serde(default)]
    range: u16,
    #[serde(default)]
    protocol: String,
}

impl ListedContainer {
    /// Whether this port of the host leads to it.
    pub fn publishes(&self, port: &HostPort) -> bool {
        self.ports.iter().any(|it| {
            let last = it.host_port.saturating_add(it.range.saturating_sub(1));
            let is_udp = it.protocol.eq_ignore_ascii_case("udp");
            is_udp == port.is_udp && (it.host_port..=last).contains(&port.port)
        })
    }
}

/// A pod in full, of `pods/NAME/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedPod {
    /// podman's own for it: never used twice.
    pub id: Box<str>,
    /// Of the pod.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// The id of the container that only holds its namespaces.
    #[serde(default, rename = "InfraContainerID")]
    pub infra_id: String,
    /// Below a mount of control groups.
    #[serde(default)]
    pub cgroup_path: String,
    #[serde(default, deserialize_with = "or_default")]
    containers: Vec<InspectedPodContainer>,
}

impl InspectedPod {
    /// Its containers, without the one that only holds its namespaces.
    pub fn containers(&self) -> impl Iterator<Item = &InspectedPodContainer> {
        self.containers.iter().filter(|container| container.id != self.infra_id)
    }
}

/// A container in a pod's inspection.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedPodContainer {
    /// 64 hex digits.
    pub id: String,
    /// `<pod>-<name in the specification>`
    #[serde(default)]
    pub name: String,
}

/// A container in full, of `containers/ID/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedContainer {
    /// 64 hex digits.
    #[serde(default)]
    pub id: String,
    /// RFC 3339; a pod's containers are created in the order of its specification.
    #[serde(default)]
    pub created: String,
    /// Its image's id.
    #[serde(default)]
    pub image: String,
    /// What it does.
    pub state: InspectedState,
    #[serde(default)]
    host_config: HostConfig,
    #[serde(default)]
    config: ContainerConfig,
}

impl InspectedContainer {
    /// How long it may take to end once it was asked to.
    pub fn grace(&self) -> Option<Duration> {
        self.config.stop_timeout.map(Duration::from_secs)
    }

    /// How much memory it may have, if that is limited.
    pub fn memory_limit(&self) -> Option<u64> {
        self.host_config.memory.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0)
    }

    /// Its own CPU time in µs per 100,000 µs, if it was given a limit.
    pub fn cpu_limit(&self) -> Option<u64> {
        let HostConfig { cpu_period, cpu_quota, .. } = self.host_config;
        let quota = u64::try_from(cpu_quota?).ok().filter(|quota| *quota > 0)?;
        Some(normalize_cpu_quota(quota, cpu_period))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct HostConfig {
    memory: Option<i64>,
    cpu_period: Option<u64>,
    cpu_quota: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerConfig {
    stop_timeout: Option<u64>,
}

/// What a container does, in its inspection.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct InspectedState {
    /// `created`, `initialized`, `running`, `stopping`, `stopped`, `exited`, `paused`, `removing`, `unknown`.
    pub status: String,
    /// Of its first process, as podman sees it; 0 once that has ended.
    pub pid: i32,
    /// Of the process that waits for it.
    pub conmon_pid: i32,
    /// Meaningless before it has ended.
    pub exit_code: i32,
    /// `conmon` saw it run out of memory: with the newer control groups only.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// RFC 3339; year 1 if it never was.
    pub started_at: String,
    /// RFC 3339; year 1 if it never was.
    pub finished_at: String,
    /// Empty when the process isn't there, although podman may still call the container running.
    pub cgroup_path: String,
}

impl InspectedState {
    /// Whether podman says that its process is alive.
    pub fn is_running(&self) -> bool {
        // stopping: it was asked to end, and hasn't yet
        matches!(self.status.as_str(), "running" | "stopping")
    }

    /// In the agent's words.
    pub fn to_container_state(&self) -> ContainerState {
        if self.is_running() {
            return ContainerState::Running;
        }
        match (self.status.as_str(), self.times()) {
            ("exited" | "stopped", (Some(started), Some(at))) => {
                ContainerState::from_exit(self.exit_code, started, at)
            }
            ("exited" | "stopped", (Some(_), None)) => Self::cut_short(),
            ("exited" | "stopped", _) => ContainerState::Stuck("it never ran".into()),
            (status, _) => ContainerState::Stuck(format!("it is {status}")),
        }
    }

    /// Whether [`to_container_state`](Self::to_container_state) may take an earlier end for that of the last run: podman
    /// keeps it over a start, and 5 and 6 call all that ran when the device went down exited, with 0 (4.3: created). Or
    /// the clock was set back during the run.
    pub fn may_be_cut_short(&self) -> bool {
        let ended_before = matches!(self.times(), (Some(started), Some(at)) if at < started);
        !self.is_running() && self.exit_code == 0 && ended_before
    }

    /// Of a container whose last run has no end that podman knows of.
    pub fn cut_short() -> ContainerState {
        ContainerState::Stuck("it ran when the device went down".into())
    }

    fn times(&self) -> (Option<SystemTime>, Option<SystemTime>) {
        (parse_time(&self.started_at), parse_time(&self.finished_at))
    }
}

/// A volume in a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedVolume {
    /// Its name.
    pub name: String,
}

/// Bytes of memory, of what `containers/stats` tells of all containers that run. (These answers are long and little
/// of them is read: types for them would take more code than this.)
pub fn memory_usage(stats: &Value, container: &str) -> u64 {
    let mut stats = stats["Stats"].as_array().into_iter().flatten();
    stats
        .find(|stat| stat["ContainerID"] == container)
        .and_then(|stat| stat["MemUsage"].as_u64())
        .unwrap_or(0)
}

/// Bytes that this pod's containers wrote, and those of its volumes, of what `system/df` tells. Names begin with the
/// pod's own, or, of claims, with its workload's.
pub fn disk_usage(df: &Value, pod: &str) -> u64 {
    let workload = pod.rsplit_once('-').map_or(pod, |(name, _)| name);
    let is_own = |name: &str| name.strip_prefix(pod).is_some_and(|rest| rest.starts_with('-'));
    let belongs = |name: &str| name.split_once('_').is_some_and(|(own, _)| own == pod || own == workload);
    let sum = |list: &str, name: &str, size: &str, is_its: &dyn Fn(&str) -> bool| {
        let items = df[list].as_array().into_iter().flatten();
        let its = items.filter(|item| item[name].as_str().is_some_and(is_its));
        its.filter_map(|item| item[size].as_u64()).fold(0, u64::saturating_add)
    };
    let written = sum("Containers", "Names", "RWSize", &is_own);
    written.saturating_add(sum("Volumes", "VolumeName", "Size", &belongs))
}

/// Where podman keeps containers, images and volumes, of what `info` tells.
pub fn storage_root(info: &Value) -> Option<PathBuf> {
    info["store"]["graphRoot"].as_str().map(PathBuf::from)
}

/// A line of what `images/pull` answers: with status 200 even when it fails.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PullProgress {
    /// Why it failed; empty while it goes on.
    pub error: String,
    /// The image's id, in the last line of a pull that went well.
    pub id: String,
}

/// An image, of `images/NAME/json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedImage {
    /// podman's own for it.
    pub id: String,
}

/// A line of `events`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerEvent {
    /// The container's.
    pub id: String,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: u64,
}

/// podman's reasons for a failed play in one sentence, without the parts that say nothing.
pub fn plain_reason(reasons: &[String]) -> String {
    const NOISE_PREFIXES: [&str; 7] = [
        "playing YAML file: ",
        "playing kube YAML file: ",
        "starting ",
        "unable to read YAML as Kube Pod: ",
        "error unmarshaling JSON: ",
        "while decoding JSON: ",
        "json: ",
    ];
    let mut sentences: Vec<String> = Vec::new();
    for mut reason in reasons.iter().map(String::as_str) {
        for noise in NOISE_PREFIXES {
            reason = reason.strip_prefix(noise).unwrap_or(reason);
        }
        // crun's own words stand before it
        reason = reason.split(": OCI runtime").next().unwrap_or(reason);
        let is_consequence = reason.contains(": a dependency of container ");
        if !is_consequence || reasons.len() == 1 {
            sentences.push(reason.replace("crun: ", "").replace("runc: ", ""));
        }
    }
    sentences.join("; ")
}

/// Reads `2026-11-23T03:42:24.920935592Z`, with any offset; `None` for another text and for Go's zero time,
/// year 1, which says "never".
pub fn parse_time(text: &str) -> Option<SystemTime> {
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let marks = text.as_bytes();
    if marks[4] != b'-' || marks[7] != b'-' || marks[10] != b'T' || marks[13] != b':' || marks[16] != b':' {
        return None;
    }
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }

    let rest = &text[19..];
    let fraction: &str = rest.strip_prefix('.').map_or("", |rest| {
        &rest[..rest.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())]
    });
    let nanos = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let nanos = nanos.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    let zone = 19 + fraction.len() + usize::from(!fraction.is_empty());
    let offset = match (text.get(zone..zone + 1)?, text.len() - zone) {
        ("Z", 1) => 0,
        (sign @ ("+" | "-"), 6) => {
            let east = number(zone + 1, zone + 3)? * 3600 + number(zone + 4, zone + 6)? * 60;
            if sign == "-" { -east } else { east }
        }
        _ => return None,
    };

    // days since 1970 by Howard Hinnant's days_from_civil: years begin in March, so that leap days come last
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(u64::try_from(seconds).ok()?, nanos))
}
