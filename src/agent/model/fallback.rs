//! What a workload returns to when its update doesn't come up.

use std::{collections::BTreeMap, sync::Arc};

use super::workload::{Workload, WorkloadId};

/// What to return to.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// The content that came up last; its profiles and schedule are those of its day.
    pub good: Arc<Workload>,
    /// What is asked for, if it didn't come up and has been given up.
    pub failed: Option<FailedContent>,
}

impl Fallback {
    /// Whether this content isn't tried again.
    pub(in crate::agent) fn has_given_up(&self, id: &WorkloadId) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.id == *id)
    }

    /// What came up before, by the profiles and the schedule of today.
    pub(in crate::agent) fn replacement_for(&self, asked: &Workload) -> Arc<Workload> {
        with_rules_of(&self.good, asked)
    }
}

/// A content by the profiles, the schedule and the rules of updates of what is asked for now.
pub(in crate::agent) fn with_rules_of(content: &Workload, asked: &Workload) -> Arc<Workload> {
    Arc::new(Workload {
        profiles: asked.profiles.clone(),
        depends_on: asked.depends_on.clone(),
        schedule: asked.schedule.clone(),
        retries: asked.retries,
        update: asked.update.clone(),
        ..content.clone()
    })
}

/// By the workload's name, where a content of it has come up.
pub type Fallbacks = BTreeMap<Arc<str>, Fallback>;

/// By the workload's name, what ran before the content that came up last; none: it is wanted no more. The last counts.
pub type ReplacedContents = Vec<(Arc<str>, Option<Arc<Workload>>)>;

/// A content that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedContent {
    /// It isn't tried again.
    pub id: WorkloadId,
    /// Why it didn't come up.
    pub cause: String,
    /// It did, but a person wants what ran before.
    pub by_hand: bool,
}
