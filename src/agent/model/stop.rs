//! What a person at the device stopped by hand.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::workload::WorkloadId;

/// A workload that was stopped by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualStop {
    /// When, in seconds since 1970; `None` where the clock was wrong.
    pub since: Option<u64>,
    /// It is over when something else is asked for than this.
    pub until_not: Option<WorkloadId>,
}

/// By the workload's name.
pub type ManualStops = BTreeMap<Arc<str>, ManualStop>;
