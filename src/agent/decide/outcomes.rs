//! What engines answer, and tell by themselves.

use super::Agent;
use crate::agent::{
    context::Turn,
    model::{
        deployment::{DeploymentFact, DeploymentOutcome},
        order::{Fact, Failure, Outcome, Task},
        time::Now,
        workload::{Engine, WorkloadId},
    },
    port_conflicts, reconcile,
};

impl Agent {
    pub(super) fn on_process_exited(&mut self, id: &WorkloadId, now: Now) {
        if let Some((name, tracked)) = self.workloads.iter_mut().find(|(_, tracked)| tracked.is_wanted_id(id))
        {
            tracked.on_process_exited(id, now.up);
            self.agenda.add(name.clone());
        }
    }

    pub(super) fn on_order_done(&mut self, Outcome { engine, ticket, result }: Outcome, now: Now) {
        if let Ok(Fact::Pulled { fetched, .. } | Fact::Fit { fetched, .. }) = &result {
            // the workload may not want them any more: they are here, and it was us
            fetched.iter().for_each(|image| self.context.images.add_pulled(engine, image.clone()));
        }
        if let Some(name) = self.context.open.remove(&ticket) {
            let result = port_conflicts::refuse_taken_port(&name, result, &self.workloads);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                tracked.on_order_done(engine, ticket, result, &mut turn!(self, now));
                self.agenda.add(name);
            }
            return;
        }
        if self.context.images.on_removal_done(ticket, &result) {
            return;
        }
        let turn = &mut turn!(self, now);
        let result =
            self.evictions.on_usage_told(ticket, result, &mut self.workloads, &mut self.agenda, turn);
        let Some(result) = result else { return };
        let tells = turn.engines.end_list(engine, ticket);
        match result {
            Ok(Fact::Pods(pods)) if tells => {
                turn.on_engine_answered(engine);
                reconcile::on_pods_listed(&mut self.workloads, engine, ticket, &pods, turn);
                self.enqueue_all_pods();
            }
            Err(failure) if tells => self.on_list_failed(engine, failure, now),
            _ => {}
        }
    }

    pub(super) fn on_deployment_outcome(
        &mut self,
        DeploymentOutcome { ticket, result }: DeploymentOutcome,
        now: Now,
    ) {
        if let Some(name) = self.context.open.remove(&ticket) {
            self.deployments.on_order_done(&name, result, &mut turn!(self, now));
            self.agenda.add(name);
            return;
        }
        let engine = Engine::Kubernetes;
        let tells = self.engines.end_list(engine, ticket);
        match result {
            Ok(DeploymentFact::Listed(found)) if tells => {
                turn!(self, now).on_engine_answered(engine);
                self.deployments.on_listed(ticket, found);
                self.enqueue_all_deployments();
            }
            Err(failure) if tells => self.on_list_failed(engine, failure, now),
            _ => {}
        }
    }

    /// The engine did not say what it has.
    fn on_list_failed(&mut self, engine: Engine, failure: Failure, now: Now) {
        let (Failure::Engine(cause) | Failure::Workload(cause)) = failure;
        turn!(self, now).on_order_failed(engine, "", &Failure::Engine(cause));
        self.enqueue_all_pods(); // who waited to hear of it waits no more
    }

    /// Orders the removal of images that nothing needs any more.
    pub(super) fn discard_images(&mut self) {
        let is_known = !self.context.partial && self.sources.any_known();
        if !is_known || self.workloads.values().any(|it| it.unreadable || it.is_terminating()) {
            return; // what is needed isn't known, or is about to change: another look will come
        }
        let wanted = self
            .workloads
            .values()
            .flat_map(|it| it.wanted_workload().into_iter().chain(it.waiting_update()));
        let kept = self.context.fallbacks.values().map(|it| &it.good);
        let contents = wanted.chain(kept).map(|workload| &workload.content);
        for image in self.context.images.unused(contents) {
            let ticket = self.context.issue_order(image.0, Task::Discard(image.1.clone()));
            self.context.images.mark_ordered(ticket, image);
        }
    }
}
