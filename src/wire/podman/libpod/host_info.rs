//! What has to be known beside the specification: about the agent, podman, the device and the pod.

use core::net::IpAddr;

use crate::wire::podman::limits::DefaultLimits;

/// Who makes the pod.
#[derive(Debug, Clone, Copy)]
pub struct PodMaker<'a> {
    /// Whose pods are ours: [`owner`](crate::wire::ownership::owner).
    pub owner: &'a str,
    /// Told to every container.
    pub device_id: &'a str,
    /// For containers that say nothing.
    pub limits: &'a DefaultLimits,
    /// Where the trees of this pod are; `None`: in volumes of podman's, as it can't come near the agent's directories.
    pub trees_dir: Option<&'a str>,
}

/// What is known of podman, the device and the pod.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// podman's version.
    pub major: u32,
    /// The pod's, once it has one.
    pub address: Option<IpAddr>,
    /// The device's.
    pub host_address: Option<IpAddr>,
    /// Of the processor.
    pub cores: u64,
    /// Bytes.
    pub memory: u64,
}

/// What is known of an image.
#[derive(Debug, Clone, Default)]
pub struct ImageUser {
    /// Its user, and perhaps a group after a colon; empty: root.
    pub user: String,
}

impl ImageUser {
    fn user_name(&self) -> &str {
        self.user.split(':').next().unwrap_or_default()
    }

    pub(super) fn runs_as_root(&self) -> bool {
        matches!(self.user_name(), "" | "0" | "root")
    }

    pub(super) fn has_numeric_user(&self) -> bool {
        self.user_name().bytes().all(|byte| byte.is_ascii_digit())
    }
}
