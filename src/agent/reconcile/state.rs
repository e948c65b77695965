//! How a workload is, in a word: for people, and for the server.

use super::tracked::{Ready, Tracked, Verdict};
use crate::agent::{
    conditions::own::WorkloadMetrics,
    context::Context,
    engines::Engines,
    model::{call::WorkloadStatus, phase::Phase, report::State, time::Now},
};

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

    /// It does what others need it for: it runs, and its containers are ready; or it has ended well.
    pub(in crate::agent) fn is_ready(&self) -> bool {
        match self.state() {
            State::Running => self.content.health.unready().next().is_none(),
            State::Finished => true,
            _ => false,
        }
    }

    /// How it is, for conditions; none: it isn't wanted.
    pub(in crate::agent) fn metrics(&self) -> Option<WorkloadMetrics> {
        self.wanted.as_ref()?;
        let is_known = !matches!(self.phase, Phase::Unknown | Phase::Looking { adopting: true, .. });
        let number = |is: bool| is_known.then(|| f64::from(u8::from(is)));
        let runs = self.state() == State::Running;
        // before a probe has said so it is as it was: a pod that runs on was ready, and a new one wasn't
        let ready = number(self.is_ready()).filter(|_| !runs || !self.content.health.is_open());
        let last_exit = self.content.runs.first().map(|run| f64::from(run.code));
        Some([ready, number(runs), last_exit])
    }

    /// What can be told from here alone.
    pub(in crate::agent) fn state(&self) -> State {
        match (&self.wanted, self.phase) {
            (None, _) if self.unreadable => State::Rejected,
            (None, _) => State::Leaving,
            (_, Phase::Waiting { .. }) if self.is_stopped() && self.present => State::Stopping,
            (_, Phase::Inactive | Phase::Waiting { .. } | Phase::Finished { .. } | Phase::Pulling(_))
                if self.is_stopped() =>
            {
                State::Stopped
            }
            _ if self.content.evicted => State::Evicted,
            _ if self.is_ailing() => State::BackOff,
            (_, Phase::Running | Phase::Looking { adopting: false, .. }) => State::Running,
            (_, Phase::Pulling(_)) if self.content.ready == Ready::No => State::Pulling,
            (_, Phase::Pulling(_) | Phase::Starting(_)) => State::Starting,
            (_, Phase::Unknown | Phase::Looking { .. }) => State::Unknown,
            (_, Phase::Cancelling(_)) => State::Stopping,
            (_, Phase::Stopping(_)) if self.content.failures == 0 => State::Stopping,
            _ if self.has_failed() => State::Failed,
            (Some(wanted), Phase::Finished { .. }) if wanted.is_service() => State::Finished,
            (_, Phase::Inactive | Phase::Waiting { .. }) if !self.may_run() => State::Inactive,
            (Some(wanted), Phase::Finished { .. } | Phase::Inactive) if !wanted.is_service() => {
                State::Scheduled
            }
            (_, Phase::Stopping(_) | Phase::Waiting { .. }) => State::BackOff,
            (_, Phase::Inactive | Phase::Finished { .. }) => State::Starting,
        }
    }

    /// The same, by what is known beside it: what nothing asks for may be asked for by what wasn't read yet, and on a
    /// device that is short of something nothing starts.
    pub(in crate::agent) fn state_on(&self, context: &Context, engines: &Engines) -> State {
        match (self.state(), &self.wanted) {
            (State::Leaving, _) if !self.dismissed && context.partial => State::Unknown,
            (State::Starting, Some(wanted))
                if context.short && self.phase == Phase::Inactive && engines.ready(wanted.content.engine) =>
            {
                State::Held
            }
            (state, _) => state,
        }
    }

    /// The server's word for where a workload is.
    pub(in crate::agent) fn status(&self) -> WorkloadStatus {
        let is_service = self.wanted().is_some_and(|workload| workload.is_service());
        match self.phase {
            _ if self.state() == State::Stopped => WorkloadStatus::Stopped,
            _ if self.has_failed() => WorkloadStatus::Crashed,
            _ if self.is_ailing() => WorkloadStatus::Crashed,
            Phase::Running | Phase::Looking { adopting: false, .. } => match &self.waiting_update {
                None => WorkloadStatus::Running,
                // what is asked for isn't here yet: who updates many devices goes no further
                Some(update) if update.fails() => WorkloadStatus::Crashed,
                Some(_) => WorkloadStatus::Deploying,
            },
            Phase::Finished { .. } => WorkloadStatus::Exited,
            _ if !self.may_run() && self.verdict != Verdict::Open => WorkloadStatus::Stopped,
            Phase::Pulling(_) if self.content.failures > 0 => WorkloadStatus::Crashed, // and isn't known to do better now
            Phase::Unknown
            | Phase::Looking { adopting: true, .. }
            | Phase::Pulling(_)
            | Phase::Starting(_) => WorkloadStatus::Deploying,
            Phase::Inactive if !is_service => WorkloadStatus::Stopped, // until its next slot
            _ if self.content.failures > 0 => WorkloadStatus::Crashed,
            _ => WorkloadStatus::Deploying,
        }
    }
}
