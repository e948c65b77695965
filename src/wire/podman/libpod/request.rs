//! What podman is asked for. It accepts fields that it doesn't know without a word: whether one has an effect, only
//! the inside of a container tells.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::wire::podman::limits::LOG_SIZE;

/// Memory that the containers of a pod share.
const SHM_PATH: &str = "/dev/shm";

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn is_empty<K, V>(map: &BTreeMap<K, V>) -> bool {
    map.is_empty()
}

/// `pods/create`
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct PodRequest {
    pub(super) name: String,
    pub(super) infra_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) hostname: String,
    pub(super) labels: BTreeMap<String, String>,
    /// What ends in it is for the agent to see to.
    pub(super) exit_policy: &'static str,
    pub(super) netns: NamespaceMode,
    #[serde(rename = "Networks", skip_serializing_if = "is_empty")]
    pub(super) networks: BTreeMap<&'static str, Network>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) portmappings: Vec<Port>,
    #[serde(flatten)]
    pub(super) dns: Dns,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) sysctl: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) shared_namespaces: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource_limits: Option<Resources>,
}

/// Where names are looked up.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Dns {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hostadd: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dns_server: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dns_search: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) dns_option: Vec<String>,
}

/// Of a namespace.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct NamespaceMode {
    pub(super) nsmode: &'static str,
}

impl NamespaceMode {
    pub(super) const HOST: Self = Self { nsmode: "host" };
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Network {
    pub(super) aliases: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Port {
    pub(super) container_port: u16,
    pub(super) host_port: u16,
    pub(super) protocol: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) host_ip: String,
}

/// As the runtimes of containers call them.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pids: Option<Pids>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quota: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shares: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reservation: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Pids {
    pub(super) limit: u32,
}

/// `containers/create`
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct ContainerRequest {
    pub(super) name: String,
    pub(super) pod: String,
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) work_dir: String,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) create_working_dir: bool,
    pub(super) env: BTreeMap<String, String>,
    pub(super) unsetenv: [&'static str; 1],
    pub(super) restart_policy: NoRestart,
    pub(super) stop_timeout: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_signal: Option<u32>,
    pub(super) log_configuration: LogConfig,
    /// The image's HEALTHCHECK is the agent's to ask.
    pub(super) healthconfig: NoHealthcheck,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) terminal: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) stdin: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) groups: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) privileged: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) no_new_privileges: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(super) read_only_filesystem: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cap_add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cap_drop: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) seccomp_profile_path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) apparmor_profile: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) selinux_opts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unmask: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pidns: Option<NamespaceMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ipcns: Option<NamespaceMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utsns: Option<NamespaceMode>,
    /// Empty where it comes with the pod's network.
    #[serde(flatten)]
    pub(super) dns: Dns,
    pub(super) resource_limits: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oom_score_adj: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mounts: Vec<BindMount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volumes: Vec<VolumeMount>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) devices: Vec<HostDeviceNode>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) image_volumes: Vec<ImageMount>,
}

impl ContainerRequest {
    /// Whether podman 5 would take away its shared memory, too.
    pub fn lacks_shared_memory(&self) -> bool {
        let taken = |dest: &str| dest.trim_end_matches('/') == SHM_PATH;
        self.read_only_filesystem
            && !self.mounts.iter().any(|mount| taken(&mount.destination))
            && !self.volumes.iter().any(|volume| taken(&volume.dest))
    }

    /// Gives it the shared memory of its pod, which is there.
    pub fn mount_shared_memory(&mut self, source: String) {
        let options = vec!["rbind".to_owned(), "rw".to_owned()];
        self.mounts.push(BindMount { kind: "bind", source, destination: SHM_PATH.to_owned(), options });
    }
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct LogConfig {
    pub(super) size: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { size: LOG_SIZE }
    }
}

/// The agent restarts: podman's own restarts know no back-off and no end.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) enum NoRestart {
    #[default]
    #[serde(rename = "no")]
    No,
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct NoHealthcheck {
    #[serde(rename = "Test")]
    test: [&'static str; 1],
}

impl Default for NoHealthcheck {
    fn default() -> Self {
        Self { test: ["NONE"] }
    }
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct BindMount {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) options: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct VolumeMount {
    pub(super) name: String,
    pub(super) dest: String,
    pub(super) options: Vec<String>,
}

/// Of an image, for reading.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ImageMount {
    pub(super) source: String,
    pub(super) destination: String,
    pub(super) read_write: bool,
}

/// One of the host, and where it is in the container.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct HostDeviceNode {
    pub(super) path: String,
}

/// `volumes/create`
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeRequest {
    /// What podman calls it, for all its pods.
    pub name: String,
    /// Whether all users may write into it.
    #[serde(skip)]
    pub is_open: bool,
    pub(super) driver: &'static str,
    pub(super) options: BTreeMap<&'static str, String>,
}

impl VolumeRequest {
    /// The same, as podman makes it by itself: for the user of the first container that mounts it. `None`: it is for
    /// one user or group, or in memory.
    pub fn without_options(&self) -> Option<Self> {
        let is_any = self.options.len() == 1 && self.options.get("o").is_some_and(|ids| ids == "uid=0,gid=0");
        let (name, driver, options) = (self.name.clone(), self.driver, BTreeMap::new());
        is_any.then_some(Self { name, is_open: false, driver, options })
    }
}
