//! What an executor must know of its podman.

use std::path::PathBuf;

use crate::{
    agent::model::workload::Engine,
    io::{outputs::ContainerOutputs, pressure::WatchedDisks},
    wire::podman::limits::DefaultLimits,
};

/// Which podman, and as whom.
#[derive(Debug, Clone)]
pub struct PodmanConfig {
    /// What orders and events call it.
    pub engine: Engine,
    /// Its API socket; need not exist yet.
    pub socket: PathBuf,
    /// Whose pods are ours: [`owner`](crate::wire::ownership::owner).
    pub owner: String,
    /// Told to every container.
    pub device_id: String,
    /// For containers that say nothing.
    pub limits: DefaultLimits,
    /// Told where podman keeps things.
    pub disks: WatchedDisks,
    /// Where the files of `ConfigMap`s and `Secret`s are: of this podman alone, and in memory.
    pub volumes: PathBuf,
    /// Takes what containers printed whose pod could not be started.
    pub outputs: ContainerOutputs,
}
