//! The cluster as orders and the watch share it: how to get there, as whom, and from which point on to watch.

use std::sync::{Arc, Mutex};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    access::{self, ClusterConfigSource},
    api_server::ApiServerClient,
};
use crate::{
    io::{lock, tls::TrustedClock},
    wire::ownership::OWNER_LABEL,
};

/// What is known of the cluster before it is asked.
pub(super) struct Cluster {
    place: ClusterConfigSource,
    pub(super) owner: String,
    pub(super) device_id: String,
    clock: Arc<TrustedClock>,
    /// Made when first needed, and again when it wasn't accepted: files change.
    api: Mutex<Option<Arc<ApiServerClient>>>,
    pub(super) resume_version: ResumeVersion,
}

impl Cluster {
    pub(super) fn new(
        place: ClusterConfigSource,
        owner: String,
        device_id: String,
        clock: Arc<TrustedClock>,
    ) -> Self {
        let (api, resume_version) = (Mutex::default(), ResumeVersion::default());
        Self { place, owner, device_id, clock, api, resume_version }
    }

    pub(super) fn api(&self) -> Result<Arc<ApiServerClient>, String> {
        let mut api = lock(&self.api);
        if let Some(api) = &*api {
            return Ok(api.clone());
        }
        let new = Arc::new(ApiServerClient::new(access::read(&self.place)?, self.clock.clone())?);
        *api = Some(new.clone());
        Ok(new)
    }

    /// The credentials weren't accepted: perhaps others stand in their place by now.
    pub(super) fn reset_api(&self) {
        *lock(&self.api) = None;
    }

    /// The path of all Deployments of ours, in all namespaces.
    pub(super) fn own_deployments_path(&self) -> String {
        // the label's slash
        let label = OWNER_LABEL.replace('/', "%2F");
        format!("/apis/apps/v1/deployments?labelSelector={label}%3D{}", self.owner)
    }
}

/// Where the watch begins: the newest list's word for it.
pub(super) struct ResumeVersion {
    sender: Sender<String>,
    pub(super) receiver: Receiver<String>,
}

impl Default for ResumeVersion {
    fn default() -> Self {
        let (sender, receiver) = bounded(1);
        Self { sender, receiver }
    }
}

impl ResumeVersion {
    pub(super) fn set(&self, version: String) {
        let _ = self.receiver.try_recv(); // an older one that was not needed
        let _ = self.sender.try_send(version);
    }
}
