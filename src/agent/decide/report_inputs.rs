//! What can be seen of the agent.

use std::sync::Arc;

use super::Agent;
use crate::agent::{
    control_plane::{
        conversation::Conversation,
        heartbeat::{self, ReportedStatus},
    },
    model::{
        report::{Report, WorkloadState},
        time::Now,
        workload::Engine,
    },
    redact::Redactor,
    view::report::ReportInputs,
};

impl Agent {
    /// Another number when states, missing engines or the link may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How each workload is, in a word.
    pub fn workload_states(&self) -> impl Iterator<Item = WorkloadState> {
        let pods =
            self.workloads.values().map(|tracked| tracked.state_in_context(&self.context, &self.engines));
        pods.chain(self.deployments.states(&self.context, &self.engines))
    }

    /// The engines that don't answer.
    pub fn missing_engines(&self) -> impl Iterator<Item = Engine> + '_ {
        self.engines.missing()
    }

    /// How things are with the edge API, in a few words for people; none where none is talked to.
    pub fn link_summary(&self) -> Option<&'static str> {
        self.server.as_ref().map(|server| server.link.summary())
    }

    /// Takes the values of `Secret`s out of texts: those of what is wanted, of what it may return to, and of what was
    /// wanted until the last change, some of which still runs.
    pub fn redactor(&self) -> &Arc<Redactor> {
        self.event_redactor.redactor()
    }

    /// How everything is.
    pub fn report(&self, now: Now) -> Report {
        self.report_inputs(now).report()
    }

    /// What the server is to hear.
    pub(super) fn reported_status(&self, server: &Conversation, now: Now) -> ReportedStatus {
        let everything = ReportInputs { server: Some(server), ..self.report_inputs(now) };
        heartbeat::reported_status(
            everything.is_degraded(),
            &self.sources,
            &self.workloads,
            &self.deployments,
        )
    }

    pub(super) fn report_inputs(&self, now: Now) -> ReportInputs<'_> {
        ReportInputs {
            now,
            context: &self.context,
            engines: &self.engines,
            evictions: &self.evictions,
            failed_subsystems: &self.failed_subsystems,
            sources: &self.sources,
            conditions: &self.conditions,
            profiles: &self.profiles,
            workloads: &self.workloads,
            deployments: &self.deployments,
            server: self.server.as_ref(),
            clock_behind: self.clock.is_behind(),
            problems: &self.problems,
            manifest_problems: &self.manifest_problems,
        }
    }
}
