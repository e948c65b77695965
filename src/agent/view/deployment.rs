//! A Deployment as people see it.

use super::report::View;
use crate::agent::{
    deployments::{Deployments, Managed},
    model::{
        deployment::Rollout,
        report::{self, State},
        workload::Engine,
    },
    not_allowed::NotAllowed,
};

impl Deployments {
    /// How the workload of this name is, if it is one of these.
    pub(in crate::agent) fn shown(&self, name: &str, view: &View<'_>) -> Option<report::Workload> {
        let managed = self.all.get(name)?;
        let mut shown = managed.shown(name, view);
        shown.notes.extend(view.notes());
        view.waits(name, None, &mut shown);
        Some(shown)
    }
}

impl Managed {
    fn shown(&self, name: &str, view: &View<'_>) -> report::Workload {
        let since = self.status_since.map(|since| view.now.up.saturating_sub(since).as_secs());
        let silent = view.engines.why_not(Engine::Kubernetes);
        let state = self.state(name, view.context, silent.is_none());
        let well = matches!(state, State::Leaving | State::Running | State::Inactive | State::Stopped);
        let mut shown = report::Workload { state, well, since, ..report::Workload::default() };
        if state == State::Leaving {
            shown.cause = Some("it is not asked for any more; its Deployment is being removed".to_owned());
            return shown;
        }
        shown.failure.clone_from(&self.refusal);
        if let Some(why) = silent {
            shown.cause = Some(why);
            shown.remedy =
                Some("check the setting KUBECONFIG, and whether the API server can be reached".into());
            shown.notes.extend(view.context.stops.why(name).map(|(why, _)| why));
            return shown;
        }
        match state {
            State::Starting => {
                shown.cause = Some("its pods are not available yet".to_owned());
                let is_there = self.here().is_some_and(|it| it.replicas > 0);
                if let Some((cause, remedy)) = view.unready_dependency.clone().filter(|_| !is_there) {
                    (shown.cause, shown.remedy) = (Some(cause), Some(remedy));
                }
            }
            State::Stopped | State::Inactive => {
                if let Some((cause, remedy)) = view.context.stops.why(name).or_else(|| view.closed()) {
                    (shown.cause, shown.remedy) = (Some(cause), Some(remedy));
                } else if let Some(until) = self.flapping.rests(view.now.up) {
                    shown.cause = Some(NotAllowed::Rests.why().to_owned());
                    shown.next = view.until(until);
                }
            }
            State::BackOff => {
                let rollout = self.here().and_then(|it| match &it.rollout {
                    Rollout::Unavailable(why) | Rollout::Failed(why) => Some(why.clone()),
                    _ => None,
                });
                shown.cause = self.refusal.clone().or(rollout);
                shown.next = self.refusal.as_ref().and_then(|_| view.until(self.apply_after));
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
