//! Updates that don't come up are taken back: the content that came up last returns, and the one that failed isn't
//! tried again until it changes. What came up last is remembered, whatever other contents are asked for meanwhile, until
//! one of them has come up, or nothing asks for the workload.
//!
//! A content has come up when all its containers ran for 10 s, or ended well. Pulling its images doesn't
//! count: until they are here the old pod runs. Neither does a time when its conditions don't hold or its engine
//! doesn't answer.

use super::{
    containers::ContainerRestarts,
    model::{
        order::{Container, ContainerState, Pod},
        phase::Phase,
        time::Wake,
        workload::Workload,
    },
};
use std::time::Duration;

/// From the first start of a new content until it must have come up.
pub(super) const TRIAL_LENGTH: Duration = Duration::from_secs(120);
/// How long all containers have to run until it has come up.
const MIN_UP_TIME: Duration = Duration::from_secs(10);

/// How far a content is from having come up.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// It was seen running, without an end since.
    running_since: Option<Duration>,
    /// It has come up.
    passed: bool,
    /// That was noted.
    remembered: bool,
    /// With something to return to: until when it must have come up.
    until: Option<Duration>,
}

/// What is to be thought of it at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialState {
    /// It has come up.
    Passed,
    /// Nothing can be said before this.
    Open(Wake),
    /// Its time is over.
    Failed,
}

impl Trial {
    /// The pod was ordered to start, or was found where an earlier process started it.
    pub(super) fn begin(&mut self, now: Duration) {
        if !self.passed {
            self.until.get_or_insert(now + TRIAL_LENGTH);
        }
    }

    /// No fault of the content's keeps it from coming up: its time begins anew with the next start.
    pub(super) fn suspend(&mut self) {
        self.until = None;
    }

    /// All containers run now, and did so since then.
    pub(super) fn note_running(&mut self, since: Duration) {
        self.running_since.get_or_insert(since);
    }

    /// It doesn't run any more as it should; `had_come_up`: until then it did, for long enough.
    pub(super) fn note_run_ended(&mut self, had_come_up: bool) {
        self.passed |= had_come_up;
        self.running_since = None;
    }

    /// Whether it is still to be remembered as what came up, once it has.
    pub(super) fn take_unremembered(&mut self) -> bool {
        !std::mem::replace(&mut self.remembered, true)
    }

    /// How it is now, in this phase.
    pub(super) fn evaluate(&mut self, phase: Phase, now: Duration) -> TrialState {
        let settled = match (phase, self.running_since) {
            (Phase::Finished { code: 0 }, _) => Some(Duration::ZERO),
            (Phase::Running, Some(since)) => Some(since + MIN_UP_TIME),
            _ => None,
        };
        self.passed |= settled.is_some_and(|at| at <= now);
        match (settled, self.until) {
            _ if self.passed => TrialState::Passed,
            // what it shows will tell, and soon: of a start, why it failed
            _ if matches!(phase, Phase::Looking { .. } | Phase::Starting(_)) => TrialState::Open(Wake::Never),
            (Some(at), _) => TrialState::Open(Wake::At(at)), // it runs: it gets its chance
            (None, Some(until)) if until <= now => TrialState::Failed,
            (None, Some(until)) => TrialState::Open(Wake::At(until)),
            (None, None) => TrialState::Open(Wake::Never),
        }
    }
}

/// Whether the pod had come up before the first of its containers ended badly; `None`: none has. What is wanted back has
/// ended badly, whatever it said; and what is unhealthy, or whose hook failed, shows nothing by how long it ran.
pub(super) fn had_come_up(workload: &Workload, pod: &Pod, known: &ContainerRestarts) -> Option<bool> {
    let outline = workload.content.specification.outline();
    let is_unhealthy = |it: &Container| known.is_unhealthy(&it.name);
    let ended_badly = |it: &Container| match it.state {
        ContainerState::Running => false,
        ContainerState::Stuck(_) => true,
        ContainerState::Exited { code, .. } => {
            code != 0
                || is_unhealthy(it)
                || outline.is_sidecar(&it.name)
                || workload.restarts_after_exit(&it.name, code)
        }
    };
    if pod.failed_starts.is_empty() && !pod.containers.iter().any(ended_badly) {
        return None;
    }
    let up_from = |it: &Container| match it.state {
        ContainerState::Running => pod.began?.checked_add(MIN_UP_TIME),
        ContainerState::Exited { at, ran, .. } => {
            let up_at = at.checked_sub(ran)?.checked_add(MIN_UP_TIME)?;
            Some(if ended_badly(it) { up_at } else { up_at.min(at) })
        }
        ContainerState::Stuck(_) => None,
    };
    let bad = pod.containers.iter().filter(|it| ended_badly(it));
    let first_end = bad.filter_map(|it| it.state.ended_at()).min();
    let is_up_by = |end| pod.containers.iter().all(|it| up_from(it).is_some_and(|at| at <= end));
    let shows_nothing = !pod.failed_starts.is_empty() || pod.containers.iter().any(is_unhealthy);
    Some(!shows_nothing && first_end.is_some_and(is_up_by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{model::workload::RestartPolicy, tests::workload};
    use ContainerState::{Exited, Running, Stuck};
    use RestartPolicy::{Always, Never, OnFailure};
    use std::time::SystemTime;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000 + second)
    }

    /// One that ran from this second to that one.
    fn ended(code: i32, from: u64, to: u64) -> ContainerState {
        Exited { code, at: at(to), ran: Duration::from_secs(to - from) }
    }

    fn judged(
        restart: RestartPolicy,
        began: u64,
        states: &[ContainerState],
        known: &ContainerRestarts,
    ) -> Option<bool> {
        let w = Workload { restart, ..workload("w", states.len()) };
        let container = |(state, name): (&ContainerState, char)| Container {
            name: name.into(),
            state: state.clone(),
            out_of_memory: None,
            healthcheck: None,
        };
        let containers = states.iter().zip('a'..).map(container).collect();
        had_come_up(&w, &Pod { containers, began: Some(at(began)), ..Pod::default() }, known)
    }

    #[test]
    fn a_pod_had_come_up_if_all_ran_together_for_long_enough_or_had_ended_well() {
        for (restart, began, states, expected) in [
            (Never, 0, vec![Running, ended(0, 0, 3)], None),
            (OnFailure, 0, vec![Running, ended(0, 0, 3)], None),
            (Always, 0, vec![Running, ended(0, 0, 3)], Some(false)), // it is wanted back
            (Always, 0, vec![Running, ended(0, 0, 10)], Some(true)),
            (Never, 0, vec![Running, ended(1, 0, 2)], Some(false)),
            (Never, 0, vec![Running, ended(1, 0, 12)], Some(true)),
            (OnFailure, 0, vec![Running, ended(1, 0, 9)], Some(false)),
            (Never, 0, vec![ended(0, 0, 15), ended(1, 0, 1)], Some(false)),
            (Never, 0, vec![ended(1, 0, 15), ended(1, 0, 1)], Some(false)),
            (Never, 0, vec![ended(1, 0, 15), ended(0, 0, 1)], Some(true)),
            (Never, 0, vec![ended(1, 0, 15), ended(2, 0, 11)], Some(true)),
            (Never, 0, vec![ended(1, 0, 11), ended(0, 8, 12)], Some(false)), // too late
            (Never, 0, vec![ended(1, 0, 11), ended(0, 8, 9)], Some(true)),
            (OnFailure, 30, vec![Running, ended(1, 0, 35)], Some(false)), // one was started again
            (OnFailure, 30, vec![Running, ended(1, 0, 40)], Some(true)),
            (OnFailure, 0, vec![ended(1, 0, 40), Stuck("created".into())], Some(false)),
        ] {
            let found = judged(restart, began, &states, &ContainerRestarts::default());
            assert_eq!(found, expected, "{restart:?} {states:?}");
        }
    }

    #[test]
    fn what_was_unhealthy_shows_nothing_by_how_long_it_ran() {
        let mut known = ContainerRestarts::default();
        known.mark_unhealthy("a", "its hook failed", Duration::ZERO);
        assert_eq!(judged(Always, 0, &[ended(0, 0, 60)], &known), Some(false));
        assert_eq!(judged(Never, 0, &[ended(0, 0, 60)], &known), Some(false));
    }
}
