//! A Deployment as people see it.

use super::report::WorkloadContext;
use crate::agent::{
    block_reason::BlockReason,
    deployments::{Deployments, ManagedDeployment},
    model::{
        deployment::Rollout,
        report::{self, WorkloadState},
        workload::Engine,
    },
};

impl Deployments {
    /// How the workload of this name is, if it is one of these.
    pub(in crate::agent) fn workload_report(
        &self,
        name: &str,
        view: &WorkloadContext<'_>,
    ) -> Option<report::Workload> {
        let managed = self.all.get(name)?;
        let mut shown = managed.workload_report(name, view);
        shown.notes.extend(view.complaint_notes());
        view.add_waiting_update(name, None, &mut shown);
        Some(shown)
    }
}

impl ManagedDeployment {
    fn workload_report(&self, name: &str, view: &WorkloadContext<'_>) -> report::Workload {
        let since = self.status_since.map(|since| view.now.up.saturating_sub(since).as_secs());
        let silent = view.engines.unready_reason(Engine::Kubernetes);
        let state = self.state(name, view.context, silent.is_none());
        let well = matches!(
            state,
            WorkloadState::Leaving
                | WorkloadState::Running
                | WorkloadState::Inactive
                | WorkloadState::Stopped
        );
        let mut shown = report::Workload { state, well, since, ..report::Workload::default() };
        if state == WorkloadState::Leaving {
            shown.cause = Some("it is not asked for any more; its Deployment is being removed".to_owned());
            return shown;
        }
        shown.failure.clone_from(&self.refusal);
        if let Some(why) = silent {
            shown.cause = Some(why);
            shown.remedy =
                Some("check the setting KUBECONFIG, and whether the API server can be reached".into());
            shown.notes.extend(view.context.stops.stop_reason_and_remedy(name).map(|(why, _)| why));
            return shown;
        }
        match state {
            WorkloadState::Starting => {
                shown.cause = Some("its pods are not available yet".to_owned());
                let is_there = self.current_deployment().is_some_and(|it| it.replicas > 0);
                if let Some((cause, remedy)) = view.unready_dependency.clone().filter(|_| !is_there) {
                    (shown.cause, shown.remedy) = (Some(cause), Some(remedy));
                }
            }
            WorkloadState::Stopped | WorkloadState::Inactive => {
                if let Some((cause, remedy)) =
                    view.context.stops.stop_reason_and_remedy(name).or_else(|| view.unmet_profile())
                {
                    (shown.cause, shown.remedy) = (Some(cause), Some(remedy));
                } else if let Some(until) = self.flapping.resting_until(view.now.up) {
                    shown.cause = Some(BlockReason::Rests.block_message().to_owned());
                    shown.next = view.seconds_until(until);
                }
            }
            WorkloadState::BackOff => {
                let rollout = self.current_deployment().and_then(|it| match &it.rollout {
                    Rollout::Unavailable(why) | Rollout::Failed(why) => Some(why.clone()),
                    _ => None,
                });
                shown.cause = self.refusal.clone().or(rollout);
                shown.next = self.refusal.as_ref().and_then(|_| view.seconds_until(self.apply_after));
                shown.remedy = self.wanted.as_ref().map(|it| {
                    let name = it.name();
                    format!("see 'kubectl describe deployment {name}' and its output: 'kubectl logs deployment/{name}'")
                });
            }
            _ => {}
        }
        shown
    }
}
