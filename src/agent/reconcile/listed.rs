//! What lists of an engine, and ends of processes, tell of a workload's pods. One that runs already is looked at here, and
//! adopted by `outcomes`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::tracked::{TrackedWorkload, Workloads};
use crate::agent::{
    context::Turn,
    model::{
        order::{PodSummary, Ticket},
        phase::Phase,
        time::Now,
        workload::{Engine, WorkloadId},
    },
    terminating::RemovalState,
};

/// A list asked for by `listed` was whole, and shows these pods of `engine`.
pub(in crate::agent) fn on_pods_listed(
    workloads: &mut Workloads,
    engine: Engine,
    listed: Ticket,
    pods: &[PodSummary],
    turn: &mut Turn<'_>,
) {
    let is_wanted = |pod: &&PodSummary| {
        workloads.get(&*pod.workload).is_some_and(|tracked| tracked.is_wanted_on(engine, &pod.id))
    };
    let (wanted, others): (Vec<_>, Vec<_>) = pods.iter().partition(is_wanted);
    let mut ids: BTreeMap<&str, Vec<&WorkloadId>> = BTreeMap::new();
    // A wanted one may be looked at, and then the list is too old to tell of the others of its workload.
    for pod in others.into_iter().chain(wanted) {
        ids.entry(&pod.workload).or_default().push(&pod.id);
        let name = Arc::from(&*pod.workload);
        let tracked = workloads.entry(name).or_insert_with_key(|name| TrackedWorkload::new(name.clone()));
        tracked.on_pod_listed(listed, engine, pod, turn);
    }
    for (name, tracked) in workloads {
        let ids = ids.get(&**name).map_or(&[][..], Vec::as_slice);
        tracked.on_other_pods_unlisted(listed, engine, ids, turn);
    }
}

impl TrackedWorkload {
    /// Whether a list is older than what is known of this workload.
    fn is_list_stale(&self, listed: Ticket, engine: Engine, turn: &mut Turn<'_>) -> bool {
        let is_old = self.last.get(&engine).is_some_and(|last| listed <= *last);
        if let (true, Phase::Unknown, Some(wanted)) = (is_old, self.phase, &self.wanted) {
            turn.engines.request_list(wanted.content.engine, turn.now.up); // it waits for one
        }
        is_old
    }

    /// A list asked for by `listed` shows this pod with the workload's name.
    fn on_pod_listed(&mut self, listed: Ticket, engine: Engine, pod: &PodSummary, turn: &mut Turn<'_>) {
        let &PodSummary { ref id, running, replaced, .. } = pod;
        if self.is_list_stale(listed, engine, turn) {
            return;
        }
        let is_wanted = self.is_wanted_on(engine, id);
        match self.terminating.removal_state(id) {
            // Wanted again before its removal began.
            Some(RemovalState::Due(_)) if is_wanted && self.phase == Phase::Unknown => {
                self.terminating.take_back(id);
            }
            Some(_) => return,
            None => {}
        }
        if !is_wanted {
            self.terminating.add_found(id, engine, turn.now.up);
            return;
        }
        self.present = true;
        match self.phase {
            Phase::Unknown | Phase::Inactive => self.order_look(true, turn),
            Phase::Finished { .. } if running || replaced => {
                self.content.over = true; // its end was cut short, or a lost start came about
                self.phase = Phase::Waiting { until: turn.now.up };
            }
            Phase::Running
                if !(running && self.content.whole)
                    && self.content.look_at.is_none()
                    && !self.content.containers.any_starting() =>
            {
                self.order_look(false, turn)
            }
            _ => {}
        }
    }

    /// A list asked for by `listed` was whole, and shows no pod of `engine` but the `ids`.
    fn on_other_pods_unlisted(
        &mut self,
        listed: Ticket,
        engine: Engine,
        ids: &[&WorkloadId],
        turn: &mut Turn<'_>,
    ) {
        if self.is_list_stale(listed, engine, turn) {
            return;
        }
        self.terminating.forget_unlisted(engine, ids);
        let Some(wanted) = self.wanted.clone() else { return };
        if wanted.content.engine != engine || ids.contains(&&wanted.id) {
            return;
        }
        match self.phase {
            Phase::Unknown if self.content.failures > 0 && !self.content.over => {
                self.begin_wait(turn.now.up, turn)
            }
            Phase::Unknown => {
                let finished = turn.context.finished.get(&wanted.id);
                self.phase = finished.map_or(Phase::Inactive, |run| Phase::Finished { code: run.code });
            }
            Phase::Running => self.fail_and_back_off("its pod is gone", turn.now.up, turn),
            Phase::Waiting { .. } | Phase::Finished { .. } => {}
            _ => return, // an order is under way and knows better
        }
        self.present = false;
    }

    /// The wall clock was set, or the time zone may have changed.
    pub(in crate::agent) fn on_clock_change(&mut self, now: Now) {
        self.content.cron_runs.on_clock_change(now);
    }

    /// A process of the pod ended.
    pub(in crate::agent) fn on_process_exited(&mut self, id: &WorkloadId, now: Duration) {
        if self.phase == Phase::Running && self.is_wanted_id(id) {
            // Believed at once, but not for ever: see `false_alarms`.
            let wait = match self.content.false_alarms {
                0 | 1 => Duration::ZERO,
                many => Duration::from_secs(1 << many.min(6)),
            };
            self.content.look_at = Some(now + wait);
            self.content.alarmed = true;
        }
    }
}
