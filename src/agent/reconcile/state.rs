//! How a workload is, in a word: for people, and for the server.

use super::tracked::{Ready, Tracked};
use crate::agent::model::{call::WorkloadStatus, phase::Phase, report::State, time::Now};

impl Tracked {
    /// Takes down since when it has been as it is.
    pub(in crate::agent) fn note(&mut self, now: Now) {
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

    /// What can be told from here alone.
    pub(in crate::agent) fn state(&self) -> State {
        match (&self.wanted, self.phase) {
            (None, _) if self.unreadable => State::Rejected,
            (None, _) => State::Leaving,
            _ if self.evicted => State::Evicted,
            _ if self.is_ailing() => State::BackOff,
            (_, Phase::Running | Phase::Looking { adopting: false, .. }) => State::Running,
            (_, Phase::Pulling(_)) if self.content.ready == Ready::No => State::Pulling,
            (_, Phase::Pulling(_) | Phase::Starting(_)) => State::Starting,
            (_, Phase::Unknown | Phase::Looking { .. }) => State::Unknown,
            (_, Phase::Cancelling(_)) => State::Stopping,
            (_, Phase::Stopping(_)) if self.content.failures == 0 => State::Stopping,
            _ if self.has_failed() => State::Failed,
            (Some(wanted), Phase::Finished { .. }) if wanted.is_service() => State::Finished,
            (_, Phase::Inactive | Phase::Waiting { .. }) if !self.may_run => State::Inactive,
            (Some(wanted), Phase::Finished { .. } | Phase::Inactive) if !wanted.is_service() => {
                State::Scheduled
            }
            (_, Phase::Stopping(_) | Phase::Waiting { .. }) => State::BackOff,
            (_, Phase::Inactive | Phase::Finished { .. }) => State::Starting,
        }
    }

    /// The server's word for where a workload is.
    pub(in crate::agent) fn status(&self) -> WorkloadStatus {
        let is_service = self.wanted().is_some_and(|workload| workload.is_service());
        match self.phase {
            _ if self.has_failed() => WorkloadStatus::Crashed,
            _ if self.is_ailing() => WorkloadStatus::Crashed,
            Phase::Running | Phase::Looking { adopting: false, .. } => WorkloadStatus::Running,
            Phase::Finished { .. } => WorkloadStatus::Exited,
            Phase::Pulling(_) if self.content.failures > 0 => WorkloadStatus::Crashed, // and isn't known to do better now
            Phase::Unknown
            | Phase::Looking { adopting: true, .. }
            | Phase::Pulling(_)
            | Phase::Starting(_) => WorkloadStatus::Deploying,
            Phase::Inactive | Phase::Waiting { .. } | Phase::Cancelling(_) | Phase::Stopping(_)
                if !self.may_run =>
            {
                WorkloadStatus::Stopped
            }
            Phase::Inactive if !is_service => WorkloadStatus::Stopped, // until its next slot
            _ if self.content.failures > 0 => WorkloadStatus::Crashed,
            _ => WorkloadStatus::Deploying,
        }
    }
}
