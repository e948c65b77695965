//! Who goes first: the order of Kubernetes' kubelet.
//!
//! 1. What uses more than it asked for; who asked for nothing always does.
//! 2. The lowest priority.
//! 3. The largest user.

use std::{cmp::Reverse, sync::Arc};

use crate::agent::model::{pressure::Resource, quantity::format_rounded, workload::Workload};

/// The annotation with a workload's priority: a whole number, 0 if there is none. In a manifest it carries the
/// prefix `podman/`, as all that reach the device; the whole must have no second slash to be valid in Kubernetes.
pub(in crate::agent) const PRIORITY_ANNOTATION: &str = "priority";
/// Who uses less gains the device nothing by going.
const NEGLIGIBLE_BYTES: u64 = 1 << 20;

/// A workload that could go.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) name: Arc<str>,
    pub(super) priority: i64,
    used: u64,
    asked: u64,
}

impl Candidate {
    /// `default`: what a container that says nothing is limited to.
    pub(super) fn new(
        workload: &Workload,
        resource: Resource,
        used: u64,
        default: Option<u64>,
    ) -> Option<Self> {
        (used >= NEGLIGIBLE_BYTES).then(|| Self {
            name: workload.name().into(),
            priority: priority(workload).unwrap_or_default(),
            used,
            asked: workload.content.specification.outline().requested_bytes(resource, default.unwrap_or(0)),
        })
    }

    fn exceeds_request(&self) -> bool {
        self.used > self.asked
    }

    /// Why this one.
    pub(super) fn choice_reason(&self) -> String {
        let (used, asked) = (format_rounded(self.used), format_rounded(self.asked));
        let against = match (self.asked, self.exceeds_request()) {
            (0, _) => format!("it uses {used} and requests none"),
            (_, true) => format!("it uses {used}, more than the {asked} it may"),
            (_, false) => format!("it uses {used} of the {asked} it may, and none uses more than that"),
        };
        format!("{against}; its priority is {}", self.priority)
    }
}

/// The one that goes.
pub(super) fn choose(candidates: Vec<Candidate>) -> Option<Candidate> {
    candidates.into_iter().min_by_key(|it| (!it.exceeds_request(), it.priority, Reverse(it.used)))
}

/// As the author wrote it.
///
/// # Errors
/// What was written is no whole number.
pub(in crate::agent) fn priority(workload: &Workload) -> Result<i64, String> {
    let written = workload.content.annotations.iter().find(|(key, _)| key == PRIORITY_ANNOTATION);
    let Some((_, text)) = written else { return Ok(0) };
    text.trim().parse().map_err(|_| {
        format!("the annotation {PRIORITY_ANNOTATION}, '{text}', is no whole number, so its priority is 0")
    })
}
