//! Everything that can be set, valid.

use std::{path::PathBuf, time::Duration};

use super::{
    layers::SettingSource,
    value::{ListenAddress, Reserve},
};
use crate::wire::{manifest::UnknownFields, podman::limits::DefaultLimits};

/// Everything that can be set, valid.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// This device's name, lower-case DNS-1123.
    pub device_id: String,
    /// What to log.
    pub log_level: log::LevelFilter,
    /// The directory of manifests.
    pub manifests: Option<PathBuf>,
    /// What a field that nothing knows does to its workload.
    pub unknown_fields: UnknownFields,
    /// Where to listen for metrics; at least one.
    pub metrics_listen: Vec<ListenAddress>,
    /// How long a metric counts; `None`: until the next post.
    pub metrics_ttl: Option<Duration>,
    /// Whether there is a status page.
    pub status_page: bool,
    /// What must survive a reboot.
    pub state_dir: PathBuf,
    /// What must survive the process, but no reboot.
    pub runtime_dir: PathBuf,
    /// The memory to keep free.
    pub memory_reserve: Reserve,
    /// What to keep free of each disk.
    pub disk_reserve: Reserve,
    /// For containers whose author set none.
    pub limits: DefaultLimits,
    /// The API socket of the podman that isn't rootless.
    pub podman_socket: PathBuf,
    /// The API socket of the user's own podman.
    pub rootless_podman_socket: PathBuf,
    /// The edge API's URL: `https`, with a host.
    pub server: Option<String>,
    /// The name in the server's certificate, when it isn't the host of `server`.
    pub server_name: Option<String>,
    /// Whom to trust as the server's CA: a PEM file.
    pub ca_root: Option<PathBuf>,
    /// The bootstrap certificate: a PEM file.
    pub cert: Option<PathBuf>,
    /// Its key: a PEM file.
    pub key: Option<PathBuf>,
    /// The namespace to enrol into.
    pub namespace: String,
    /// The proxy's URL.
    pub proxy: Option<String>,
    /// The Kubernetes client's configuration.
    pub kubeconfig: Option<PathBuf>,
    /// The URL of the API server that a pod's environment names.
    pub in_cluster_server: Option<String>,
    /// Each setting as it is in force, for people.
    pub listing: Vec<Setting>,
}

/// A setting as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value; `none` when there is none.
    pub value: String,
    /// Where it was given.
    pub source: SettingSource,
}

impl Settings {
    /// The unix sockets that posts are taken at.
    pub fn metrics_sockets(&self) -> Vec<PathBuf> {
        let path = |address: &ListenAddress| match address {
            ListenAddress::Unix(path) => Some(path.clone()),
            ListenAddress::Tcp(_) => None,
        };
        self.metrics_listen.iter().filter_map(path).collect()
    }
}
