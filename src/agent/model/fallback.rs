//! What a workload returns to when its update doesn't come up.

use std::{collections::BTreeMap, sync::Arc};

use super::workload::{Workload, WorkloadId};

/// What to return to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// The content that came up last; its profiles and schedule are those of its day.
    pub good: Arc<Workload>,
    /// What is asked for, if it didn't come up and has been given up.
    pub failed: Option<Failed>,
}

impl Fallback {
    /// What came up before, by the profiles and the schedule of today.
    pub(in crate::agent) fn instead_of(&self, asked: &Workload) -> Arc<Workload> {
        Arc::new(Workload {
            profiles: asked.profiles.clone(),
            schedule: asked.schedule.clone(),
            retries: asked.retries,
            ..Workload::clone(&self.good)
        })
    }
}

/// By the workload's name, where a content of it has come up.
pub type Fallbacks = BTreeMap<Arc<str>, Fallback>;

/// A content that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// It isn't tried again.
    pub id: WorkloadId,
    /// Why it didn't come up.
    pub cause: String,
}
