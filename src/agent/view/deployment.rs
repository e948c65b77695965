//! A Deployment as people see it.

use super::report::View;
use crate::agent::{
    deployments::{Deployments, Managed},
    model::{
        call::WorkloadStatus,
        deployment::Rollout,
        report::{self, State},
        workload::Engine,
    },
};

impl Deployments {
    /// How the workload of this name is, if it is one of these.
    pub(in crate::agent) fn shown(&self, name: &str, view: &View<'_>) -> Option<report::Workload> {
        let managed = self.all.get(name)?;
        let mut shown = managed.shown(view);
        shown.notes.extend(view.notes());
        Some(shown)
    }
}

impl Managed {
    fn shown(&self, view: &View<'_>) -> report::Workload {
        let since = self.status_since.map(|since| view.now.up.saturating_sub(since).as_secs());
        let mut shown = report::Workload { since, ..report::Workload::default() };
        if self.wanted.is_none() {
            shown.cause = Some("it is not asked for any more; its Deployment is being removed".to_owned());
            (shown.state, shown.well) = (State::Leaving, true);
            return shown;
        }
        shown.failure.clone_from(&self.refusal);
        if let Some(why) = view.engines.why_not(Engine::Kubernetes) {
            shown.cause = Some(why);
            shown.remedy =
                Some("check the setting KUBECONFIG, and whether the API server can be reached".into());
            return shown;
        }
        match self.status {
            WorkloadStatus::Running => (shown.state, shown.well) = (State::Running, true),
            WorkloadStatus::Deploying => {
                shown.state = State::Starting;
                shown.cause = Some("its pods are not available yet".to_owned());
            }
            WorkloadStatus::Stopped | WorkloadStatus::Exited => {
                (shown.state, shown.well) = (State::Inactive, true);
                if let Some((cause, remedy)) = view.closed() {
                    (shown.cause, shown.remedy) = (Some(cause), Some(remedy));
                } else if let Some(until) = self.flapping.rests(view.now.up) {
                    shown.cause = Some("its conditions changed too often, so it rests".to_owned());
                    shown.next = view.until(until);
                }
            }
            WorkloadStatus::Crashed => {
                shown.state = State::BackOff;
                let rollout = self.here().and_then(|it| match &it.rollout {
                    Rollout::Unavailable(why) | Rollout::Failed(why) => Some(why.clone()),
                    _ => None,
                });
                shown.cause = self.refusal.clone().or(rollout);
                shown.next = self.refusal.as_ref().and_then(|_| view.until(self.apply_after));
                shown.remedy = Some("see 'kubectl describe' of the Deployment and its pods".to_owned());
            }
        }
        shown
    }
}
