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
    reconcile, rivals,
};

impl Agent {
    pub(super) fn exited(&mut self, id: &WorkloadId, now: Now) {
        if let Some((name, tracked)) = self.workloads.iter_mut().find(|(_, tracked)| tracked.wants(id)) {
            tracked.exited(id, now.up);
            self.agenda.add(name.clone());
        }
    }

    pub(super) fn done(&mut self, Outcome { engine, ticket, result }: Outcome, now: Now) {
        if let Ok(Fact::Pulled { fetched, .. } | Fact::Fit { fetched, .. }) = &result {
            // the workload may not want them any more: they are here, and it was us
            fetched.iter().for_each(|image| self.context.images.fetched(engine, image.clone()));
        }
        if let Some(name) = self.context.open.remove(&ticket) {
            let result = rivals::refuse_taken_port(&name, result, &self.workloads);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                tracked.take_outcome(engine, ticket, result, &mut turn!(self, now));
                self.agenda.add(name);
            }
            return;
        }
        if self.context.images.done(ticket, &result) {
            return;
        }
        let turn = &mut turn!(self, now);
        let result = self.evictions.take_use(ticket, result, &mut self.workloads, &mut self.agenda, turn);
        let Some(result) = result else { return };
        let tells = turn.engines.listed(engine, ticket);
        match result {
            Ok(Fact::Pods(pods)) if tells => {
                turn.answered(engine);
                reconcile::listed(&mut self.workloads, engine, ticket, &pods, turn);
                self.all_pods_are_due();
            }
            Err(failure) if tells => self.list_failed(engine, failure, now),
            _ => {}
        }
    }

    pub(super) fn deployed(&mut self, DeploymentOutcome { ticket, result }: DeploymentOutcome, now: Now) {
        if let Some(name) = self.context.open.remove(&ticket) {
            self.deployments.done(&name, result, &mut turn!(self, now));
            self.agenda.add(name);
            return;
        }
        let engine = Engine::Kubernetes;
        let tells = self.engines.listed(engine, ticket);
        match result {
            Ok(DeploymentFact::Listed(found)) if tells => {
                turn!(self, now).answered(engine);
                self.deployments.listed(ticket, found);
                self.all_deployments_are_due();
            }
            Err(failure) if tells => self.list_failed(engine, failure, now),
            _ => {}
        }
    }

    /// The engine did not say what it has.
    fn list_failed(&mut self, engine: Engine, failure: Failure, now: Now) {
        let (Failure::Engine(cause) | Failure::Workload(cause)) = failure;
        turn!(self, now).failed(engine, "", &Failure::Engine(cause));
        self.all_pods_are_due(); // who waited to hear of it waits no more
    }

    /// Orders the removal of images that nothing needs any more.
    pub(super) fn discard_images(&mut self) {
        let is_known = !self.context.partial && self.sources.any_known();
        if !is_known || self.workloads.values().any(|it| it.unreadable || it.is_terminating()) {
            return; // what is needed isn't known, or is about to change: another look will come
        }
        let wanted =
            self.workloads.values().flat_map(|it| it.wanted().into_iter().chain(it.waiting_update()));
        let kept = self.context.fallbacks.values().map(|it| &it.good);
        let contents = wanted.chain(kept).map(|workload| &workload.content);
        for image in self.context.images.unused(contents) {
            let ticket = self.context.order(image.0, Task::Discard(image.1.clone()));
            self.context.images.ordered(ticket, image);
        }
    }
}
