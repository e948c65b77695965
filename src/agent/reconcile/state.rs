//! How a workload is, in a word: for people, and for the server.

use super::tracked::{Prepared, RunVerdict, TrackedWorkload};
use crate::agent::{
    conditions::built_in_metrics::WorkloadMetrics,
    context::Context,
    engines::Engines,
    model::{call::ServerWorkloadStatus, phase::Phase, report::WorkloadState, time::Now},
};

impl TrackedWorkload {
    /// Takes down since when it has been as it is.
    pub(in crate::agent) fn note_state(&mut self, now: Now) {
        let state = self.state();
        if self.state.0 != state || self.state.1.is_zero() {
            self.state = (state, now.up);
        }
    }

    /// Its last run was no good, and nothing is started for it before its next slot, if ever.
    pub(in crate::agent) fn has_failed(&self) -> bool {
        match (&self.wanted, self.phase) {
            (Some(_), Phase::Finished { code }) => code != 0,
            (Some(wanted), Phase::Inactive) => {
                !wanted.is_service() && !self.content.cron_runs.is_due() && self.content.failure.is_some()
            }
            _ => false,
        }
    }

    /// It does what others need it for: it runs, and its containers are ready; or it has ended well.
    pub(in crate::agent) fn is_ready(&self) -> bool {
        match self.state() {
            WorkloadState::Running => self.content.health.unready_reasons().next().is_none(),
            WorkloadState::Finished => true,
            _ => false,
        }
    }

    /// How it is, for conditions; none: it isn't wanted.
    pub(in crate::agent) fn workload_metrics(&self) -> Option<WorkloadMetrics> {
        self.wanted.as_ref()?;
        let is_known = !matches!(self.phase, Phase::Unknown | Phase::Looking { adopting: true, .. });
        let number = |is: bool| is_known.then(|| f64::from(u8::from(is)));
        let runs = self.state() == WorkloadState::Running;
        // before a probe has said so it is as it was: a pod that runs on was ready, and a new one wasn't
        let ready = number(self.is_ready()).filter(|_| !runs || !self.content.health.is_readiness_pending());
        let last_exit = self.content.runs.first().map(|run| f64::from(run.code));
        Some([ready, number(runs), last_exit])
    }

    /// What can be told from here alone.
    pub(in crate::agent) fn state(&self) -> WorkloadState {
        match (&self.wanted, self.phase) {
            (None, _) if self.unreadable => WorkloadState::Rejected,
            (None, _) => WorkloadState::Leaving,
            (_, Phase::Waiting { .. }) if self.is_stopped() && self.present => WorkloadState::Stopping,
            (_, Phase::Inactive | Phase::Waiting { .. } | Phase::Finished { .. } | Phase::Pulling(_))
                if self.is_stopped() =>
            {
                WorkloadState::Stopped
            }
            _ if self.content.evicted => WorkloadState::Evicted,
            _ if self.has_container_down() => WorkloadState::BackOff,
            (_, Phase::Running | Phase::Looking { adopting: false, .. }) => WorkloadState::Running,
            (_, Phase::Pulling(_)) if self.content.ready == Prepared::Nothing => WorkloadState::Pulling,
            (_, Phase::Pulling(_) | Phase::Starting(_)) => WorkloadState::Starting,
            (_, Phase::Unknown | Phase::Looking { .. }) => WorkloadState::Unknown,
            (_, Phase::Cancelling(_)) => WorkloadState::Stopping,
            (_, Phase::Stopping(_)) if self.content.failures == 0 => WorkloadState::Stopping,
            _ if self.has_failed() => WorkloadState::Failed,
            (Some(wanted), Phase::Finished { .. }) if wanted.is_service() => WorkloadState::Finished,
            (_, Phase::Inactive | Phase::Waiting { .. }) if !self.may_run() => WorkloadState::Inactive,
            (Some(wanted), Phase::Finished { .. } | Phase::Inactive) if !wanted.is_service() => {
                WorkloadState::Scheduled
            }
            (_, Phase::Stopping(_) | Phase::Waiting { .. }) => WorkloadState::BackOff,
            (_, Phase::Inactive | Phase::Finished { .. }) => WorkloadState::Starting,
        }
    }

    /// The same, by what is known beside it: what nothing asks for may be asked for by what wasn't read yet, and on a
    /// device that is short of something nothing starts.
    pub(in crate::agent) fn state_in_context(&self, context: &Context, engines: &Engines) -> WorkloadState {
        match (self.state(), &self.wanted) {
            (WorkloadState::Leaving, _) if !self.dismissed && context.partial => WorkloadState::Unknown,
            (WorkloadState::Starting, Some(wanted))
                if context.short
                    && self.phase == Phase::Inactive
                    && engines.is_ready(wanted.content.engine) =>
            {
                WorkloadState::Held
            }
            (state, _) => state,
        }
    }

    /// The server's word for where a workload is.
    pub(in crate::agent) fn server_status(&self) -> ServerWorkloadStatus {
        let is_service = self.wanted_workload().is_some_and(|workload| workload.is_service());
        match self.phase {
            _ if self.state() == WorkloadState::Stopped => ServerWorkloadStatus::Stopped,
            _ if self.has_failed() => ServerWorkloadStatus::Crashed,
            _ if self.has_container_down() => ServerWorkloadStatus::Crashed,
            Phase::Running | Phase::Looking { adopting: false, .. } => match &self.waiting_update {
                None => ServerWorkloadStatus::Running,
                // what is asked for isn't here yet: who updates many devices goes no further
                Some(update) if update.is_pull_failing() => ServerWorkloadStatus::Crashed,
                Some(_) => ServerWorkloadStatus::Deploying,
            },
            Phase::Finished { .. } => ServerWorkloadStatus::Exited,
            _ if !self.may_run() && self.verdict != RunVerdict::Open => ServerWorkloadStatus::Stopped,
            Phase::Pulling(_) if self.content.failures > 0 => ServerWorkloadStatus::Crashed, // and isn't known to do better now
            Phase::Unknown
            | Phase::Looking { adopting: true, .. }
            | Phase::Pulling(_)
            | Phase::Starting(_) => ServerWorkloadStatus::Deploying,
            Phase::Inactive if !is_service => ServerWorkloadStatus::Stopped, // until its next slot
            _ if self.content.failures > 0 => ServerWorkloadStatus::Crashed,
            _ => ServerWorkloadStatus::Deploying,
        }
    }
}
