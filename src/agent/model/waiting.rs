//! Contents that wait until they may take the place of what runs.

use std::sync::Arc;

use super::workload::{Workload, WorkloadId};

/// A content that waits until it may take the place of one that runs, or that may and has not come up yet.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitingContent {
    /// The workload's name.
    pub name: Arc<str>,
    /// What is asked for.
    pub to: WorkloadId,
    /// Since when an update waits, in seconds since 1970; `None` where the clock was wrong.
    pub since: Option<u64>,
    /// What runs meanwhile; none of a Deployment, and none once it was let through.
    pub runs: Option<Arc<Workload>>,
    /// It was let through: there is no way back but a failure.
    pub passed: bool,
}

/// At most one of each name. They are few.
pub type WaitingContents = Vec<WaitingContent>;
