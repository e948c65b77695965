//! Pods that have to go: of earlier contents of a workload, or of no workload at all.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{Fact, Failure, Grace, Task, Ticket},
        time::Wake,
        workload::{Engine, Workload, WorkloadId},
    },
};

/// After a removal that failed.
pub(super) const REMOVAL_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The terminating pods of one workload name.
#[derive(Debug, Default)]
pub(super) struct TerminatingPods(BTreeMap<WorkloadId, TerminatingPod>);

#[derive(Debug)]
struct TerminatingPod {
    engine: Engine,
    grace: Grace,
    state: RemovalState,
}

/// How far a pod's removal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RemovalState {
    /// Not before this time since boot.
    Due(Duration),
    /// An order from when the pod was still wanted has to come to its end.
    After(Ticket),
    /// It is being removed.
    UnderWay(Ticket),
}

impl TerminatingPods {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one is there that nothing was done to yet.
    pub(super) fn has_removal_due(&self) -> bool {
        self.0.values().any(|pod| matches!(pod.state, RemovalState::Due(_)))
    }

    /// Whether one of another engine is there.
    pub(super) fn is_elsewhere(&self, engine: Engine) -> bool {
        self.0.values().any(|pod| pod.engine != engine)
    }

    /// Whether one of this engine is there.
    pub(super) fn has_pod_on(&self, engine: Engine) -> bool {
        self.0.values().any(|pod| pod.engine == engine)
    }

    /// A pod of `workload` has to go.
    pub(super) fn add(&mut self, workload: &Workload, state: RemovalState) {
        let (engine, grace) = (workload.content.engine, Grace::Given(workload.grace));
        let pod = TerminatingPod { engine, grace, state };
        self.0.insert(workload.id.clone(), pod);
    }

    /// A pod was found that is not wanted; nothing new if it is known to leave.
    pub(super) fn add_found(&mut self, id: &WorkloadId, engine: Engine, now: Duration) {
        let state = RemovalState::Due(now);
        self.0.entry(id.clone()).or_insert(TerminatingPod { engine, grace: Grace::Own, state });
    }

    /// How far the pod's removal is, if it is terminating.
    pub(super) fn removal_state(&self, id: &WorkloadId) -> Option<RemovalState> {
        self.0.get(id).map(|pod| pod.state)
    }

    /// The pod is wanted again.
    pub(super) fn take_back(&mut self, id: &WorkloadId) {
        self.0.remove(id);
    }

    /// A list shows no pods of this engine but the `ids`.
    pub(super) fn forget_unlisted(&mut self, engine: Engine, ids: &[&WorkloadId]) {
        self.0.retain(|id, pod| {
            pod.engine != engine || !matches!(pod.state, RemovalState::Due(_)) || ids.contains(&id)
        });
    }

    /// The outcome of an order. Gives it back if it is about none of these.
    pub(super) fn on_removal_done(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let about = |pod: &TerminatingPod| matches!(pod.state, RemovalState::After(at) | RemovalState::UnderWay(at) if at == ticket);
        let Some((id, pod)) = self.0.iter_mut().find(|(_, pod)| about(pod)) else { return Some(result) };
        match (pod.state, result) {
            (RemovalState::UnderWay(_), Ok(Fact::Gone)) => {
                let id = id.clone();
                turn.tell(Notice::info(Reason::Removed, format!("pod '{id}' is gone")));
                self.0.remove(&id);
            }
            (RemovalState::UnderWay(_), Err(failure)) => {
                pod.state = RemovalState::Due(turn.now.up + REMOVAL_RETRY_DELAY);
                turn.on_order_failed(pod.engine, &format!("failed to remove pod '{id}'"), &failure);
            }
            _ => pod.state = RemovalState::Due(turn.now.up),
        }
        None
    }

    /// Removes what is due, and says when to ask again.
    pub(super) fn advance(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) -> Wake {
        let mut wake = Wake::Never;
        for (id, pod) in &mut self.0 {
            let RemovalState::Due(at) = pod.state else { continue };
            if turn.now.up < at {
                wake = wake.earlier(Wake::At(at));
            } else if turn.is_engine_ready(pod.engine) {
                let task = Task::Remove { id: id.clone(), grace: pod.grace };
                let ticket = turn.issue_order(name, pod.engine, task);
                pod.state = RemovalState::UnderWay(ticket);
            }
        }
        wake
    }
}
