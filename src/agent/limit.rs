//! The CPU limit of a running pod: the smallest that a condition which holds gives, applied to the whole pod,
//! at once and without a restart; when none gives one, the pod has its own again.

use super::model::{
    order::{CpuLimit, Ticket},
    workload::WorkloadId,
};

/// How far a pod's limit is from the wanted one.
#[derive(Debug, Default)]
pub(super) struct CpuLimitState {
    /// What the pod has, as last read.
    present: CpuLimit,
    /// An order was given whose outcome isn't known: it may have another.
    uncertain: bool,
    under_way: Option<LimitOrder>,
    /// A pod was seen since that order was given, which may have met none before.
    seen: bool,
    /// What this pod can't be given: not tried again.
    refused: Option<CpuLimit>,
    /// People know that limits don't work for this workload.
    told: bool,
}

#[derive(Debug)]
struct LimitOrder {
    ticket: Ticket,
    id: WorkloadId,
    limit: CpuLimit,
}

impl CpuLimitState {
    /// The pod is new, or was looked at: this is what it has.
    pub(super) fn set_found(&mut self, present: CpuLimit) {
        (self.present, self.refused, self.seen) = (present, None, true);
        self.uncertain = self.under_way.is_some();
    }

    /// A pod is made, with this limit as far as that goes.
    pub(super) fn reset_for_new_pod(&mut self, limit: CpuLimit) {
        self.set_found(limit);
        self.seen = false;
    }

    /// This content is wanted from now on. An order under way may still meet its pod, if it was wanted before.
    pub(super) fn reset(&mut self, id: &WorkloadId) {
        let under_way = self.under_way.take().filter(|order| order.id == *id);
        *self = Self { uncertain: under_way.is_some(), under_way, ..Self::default() };
    }

    /// What the pod has, as far as is known.
    pub(super) fn present_limit(&self) -> CpuLimit {
        self.present
    }

    /// Whether an order is to be given for this.
    pub(super) fn needs_order(&self, wanted: CpuLimit) -> bool {
        self.under_way.is_none() && (self.uncertain || self.present != wanted) && self.refused != Some(wanted)
    }

    /// The order was given.
    pub(super) fn mark_ordered(&mut self, ticket: Ticket, id: WorkloadId, limit: CpuLimit) {
        (self.under_way, self.uncertain, self.seen) = (Some(LimitOrder { ticket, id, limit }), true, false);
    }

    /// Whether this was the order, which is over now.
    pub(super) fn take_ended_order(&mut self, ticket: Ticket) -> Option<CpuLimit> {
        self.under_way.take_if(|order| order.ticket == ticket).map(|order| order.limit)
    }

    /// It was applied.
    pub(super) fn mark_applied(&mut self, limit: CpuLimit) {
        (self.present, self.told, self.uncertain) = (limit, false, false);
    }

    /// There was no pod: not tried again before one is seen.
    pub(super) fn mark_no_pod(&mut self, limit: CpuLimit) {
        if !self.seen {
            self.refused = Some(limit);
        }
    }

    /// It can't be had here. Answers whether that is news.
    pub(super) fn mark_refused(&mut self, limit: CpuLimit) -> bool {
        (self.refused, self.uncertain) = (Some(limit), false);
        !std::mem::replace(&mut self.told, true)
    }
}
