//! Another content of a workload that runs, which may not take its place yet.

use std::{sync::Arc, time::Duration};

use crate::agent::model::{order::Ticket, workload::Workload};

/// The content that waits.
#[derive(Debug)]
pub(in crate::agent) struct WaitingUpdate {
    pub(super) workload: Arc<Workload>,
    pub(super) images: ImagePullState,
    pub(super) failures: u32,
    /// Why its images could not be pulled.
    pub(super) pull_error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImagePullState {
    /// Not before this time since boot.
    Due(Duration),
    UnderWay(Ticket),
    Here,
}

impl WaitingUpdate {
    /// Whether its images could not be pulled.
    pub(super) fn is_pull_failing(&self) -> bool {
        self.images != ImagePullState::Here && self.failures > 0
    }

    /// Why its images aren't here.
    pub(in crate::agent) fn missing_images_reason(&self) -> Option<String> {
        match (&self.pull_error, self.images) {
            (_, ImagePullState::Here) => None,
            (Some(cause), _) => Some(cause.clone()),
            (None, _) => Some("its images are being pulled".to_owned()),
        }
    }
}
