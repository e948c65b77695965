//! Containers that ended in a pod that goes on: when each is started again.
//!
//! As on Kubernetes each has a back-off of its own, which counts from its end. A run that was long enough forgives those
//! before it. One whose probe or hook failed is ended first, and then counts as any other.

use std::time::{Duration, SystemTime};

use super::model::{
    notice::Reason,
    order::{ContainerState, Pod, Ticket},
    report::ContainerFailure,
    schedule::Backoff,
    time::{Now, Wake},
};

/// Those containers of the present pod that ended, or are to end. Others have no place here.
#[derive(Debug, Default)]
pub(super) struct ContainerRestarts {
    restarts: Vec<ContainerRestart>,
    /// How many ran when the pod was looked at last.
    running: usize,
}

#[derive(Debug)]
struct ContainerRestart {
    name: String,
    /// In a row.
    failures: u32,
    /// The end that was counted last, by the wall clock.
    ended: Option<SystemTime>,
    /// Its probe failed: so it is missed, whatever its exit code says.
    unhealthy: bool,
    /// It could not be started again.
    start_failed: bool,
    /// The last failure.
    why: (Reason, String),
    next: NextStep,
}

/// What is to be done with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextStep {
    Nothing,
    /// To end it, at this time since boot.
    End(Duration),
    Ending(Ticket),
    /// It was ended, and what became of the pod is not known yet.
    Ended,
    /// To start it, at this time since boot.
    Start(Duration),
    Starting(Ticket),
}

/// A container that ended and is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContainerToRestart {
    pub(super) container: String,
    /// Which container, and how it ended.
    pub(super) cause: String,
    /// When, by the wall clock; not known of one that could not be started again.
    pub(super) at: Option<SystemTime>,
    /// How long it ran.
    pub(super) ran: Duration,
}

/// What is due of a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DueStep {
    End(String),
    /// The one that ended at this time.
    Start(String, SystemTime),
}

/// Whose outcome it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OrderedStep {
    End(String),
    Start(String),
}

impl ContainerRestarts {
    fn get(&self, name: &str) -> Option<&ContainerRestart> {
        self.restarts.iter().find(|it| it.name == name)
    }

    fn entry(&mut self, name: &str) -> &mut ContainerRestart {
        let known = self.restarts.iter().position(|it| it.name == name);
        let place = known.unwrap_or_else(|| {
            self.restarts.push(ContainerRestart {
                name: name.to_owned(),
                failures: 0,
                ended: None,
                unhealthy: false,
                start_failed: false,
                why: (Reason::BackOff, String::new()),
                next: NextStep::Nothing,
            });
            self.restarts.len() - 1
        });
        &mut self.restarts[place]
    }

    /// Whether its probe failed, and it has not run anew since.
    pub(super) fn is_unhealthy(&self, name: &str) -> bool {
        self.get(name).is_some_and(|it| it.unhealthy)
    }

    /// Whether it could not be started again, and that is tried on.
    pub(super) fn has_failed_start(&self, name: &str) -> bool {
        self.get(name).is_some_and(|it| it.start_failed)
    }

    /// Whether it is to be started again after this end, or is being started.
    pub(super) fn is_to_start(&self, name: &str, ended: SystemTime) -> bool {
        self.get(name).is_some_and(|it| match it.next {
            NextStep::Start(_) => it.ended == Some(ended),
            NextStep::Starting(_) => true, // its outcome tells
            _ => false,
        })
    }

    /// Whether it is to be ended, or is being ended.
    pub(super) fn is_ending(&self, name: &str) -> bool {
        self.get(name).is_some_and(|it| matches!(it.next, NextStep::End(_) | NextStep::Ending(_)))
    }

    /// Whether one ran when the pod was looked at last.
    pub(super) fn any_running(&self) -> bool {
        self.running > 0
    }

    /// Whether one is being started.
    pub(super) fn any_starting(&self) -> bool {
        self.restarts.iter().any(|it| matches!(it.next, NextStep::Starting(_)))
    }

    /// Whether there is one that should run, and doesn't.
    pub(super) fn any_pending(&self) -> bool {
        self.restarts.iter().any(|it| it.next != NextStep::Nothing)
    }

    /// Why those that should run don't.
    pub(super) fn failure_cause(&self) -> Option<(Reason, String)> {
        let mut pending = self.restarts.iter().filter(|it| it.next != NextStep::Nothing);
        let (reason, mut causes) = pending.next().map(|it| it.why.clone())?;
        for it in pending {
            causes = format!("{causes}; {}", it.why.1);
        }
        Some((reason, causes))
    }

    /// Those that failed, for people.
    pub(super) fn container_failures(&self) -> Vec<ContainerFailure> {
        let failed = self.restarts.iter().filter(|it| it.failures > 0);
        let shown = |it: &ContainerRestart| ContainerFailure {
            container: it.name.clone(),
            failures: it.failures,
            cause: it.why.1.clone(),
        };
        failed.map(shown).collect()
    }

    /// When the next of them is started, since boot.
    pub(super) fn next_start(&self) -> Option<Duration> {
        let start = |it: &ContainerRestart| if let NextStep::Start(at) = it.next { Some(at) } else { None };
        self.restarts.iter().filter_map(start).min()
    }

    /// The pod was looked at: what runs again has nothing to wait for.
    pub(super) fn update_from_pod(&mut self, pod: &Pod) {
        self.running = 0;
        for container in &pod.containers {
            let runs = container.state == ContainerState::Running;
            self.running += usize::from(runs);
            let Some(it) = self.restarts.iter_mut().find(|it| it.name == container.name) else { continue };
            match it.next {
                NextStep::Start(_) | NextStep::Nothing | NextStep::Ended if runs => {
                    (it.next, it.unhealthy, it.start_failed) = (NextStep::Nothing, false, false);
                }
                NextStep::End(_) | NextStep::Ended if !runs => it.next = NextStep::Nothing,
                // it ran anew, however briefly
                NextStep::Nothing if it.ended.is_some() && container.state.ended_at() != it.ended => {
                    it.unhealthy = false;
                }
                _ => {}
            }
        }
    }

    /// Of those that ended no others are missed: the others ended as they should, and wait for nothing.
    pub(super) fn cancel_other_starts(&mut self, missed: &[ContainerToRestart]) {
        for it in &mut self.restarts {
            let is_missed = missed.iter().any(|missed| missed.container == it.name);
            it.next =
                if matches!(it.next, NextStep::Start(_)) && !is_missed { NextStep::Nothing } else { it.next };
        }
    }

    /// This one is missed since then, by the clock since boot. Says how long it waits from now if that is news.
    pub(super) fn schedule_restart(
        &mut self,
        missed: ContainerToRestart,
        backoff: &Backoff,
        now: Duration,
        since: Duration,
        random: f64,
    ) -> Option<(Duration, bool)> {
        let ContainerToRestart { container, cause, at, ran } = missed;
        let it = self.entry(&container);
        match it.next {
            NextStep::Ending(_) | NextStep::Starting(_) => return None, // its outcome tells
            NextStep::Start(_) if at.is_none() || it.ended == at => return None,
            _ => {}
        }
        // what was started, as podman said, and has not run since, is waited for from now
        let from = if at.is_none() || it.ended == at { now } else { since };
        if Backoff::resets_failures(ran) {
            it.failures = 0;
        }
        let until = from + backoff.delay(it.failures, random);
        it.failures = it.failures.saturating_add(1);
        it.ended = at.or(it.ended);
        if !it.unhealthy {
            it.why = (Reason::BackOff, cause);
        }
        it.next = NextStep::Start(until);
        Some((until.saturating_sub(now), it.unhealthy))
    }

    /// Its probe failed: it is to be ended at this time since boot.
    pub(super) fn mark_unhealthy(&mut self, name: &str, cause: &str, at: Duration) {
        let it = self.entry(name);
        (it.unhealthy, it.why) = (true, (Reason::Unhealthy, cause.to_owned()));
        it.next = NextStep::End(at);
    }

    /// One thing that is due, and when to ask again. One at a time is started; `holds`: none is.
    pub(super) fn next_due_step(&self, now: Duration, holds: bool) -> (Option<DueStep>, Wake) {
        let mut wake = Wake::Never;
        let may_start = !holds && !self.any_starting();
        for it in &self.restarts {
            let (at, due) = match (it.next, it.ended) {
                (NextStep::End(at), _) => (at, DueStep::End(it.name.clone())),
                (NextStep::Start(at), Some(ended)) if may_start => {
                    (at, DueStep::Start(it.name.clone(), ended))
                }
                _ => continue,
            };
            if at <= now {
                return (Some(due), Wake::Never);
            }
            wake = wake.earlier(Wake::At(at));
        }
        (None, wake)
    }

    /// That was ordered.
    pub(super) fn mark_ordered(&mut self, due: &DueStep, ticket: Ticket) {
        let (name, next) = match due {
            DueStep::End(name) => (name, NextStep::Ending(ticket)),
            DueStep::Start(name, _) => (name, NextStep::Starting(ticket)),
        };
        self.entry(name).next = next;
    }

    /// Whose order of these has ended, if it was one.
    pub(super) fn take_ended_order(&mut self, ticket: Ticket) -> Option<OrderedStep> {
        let is_its = |it: &&mut ContainerRestart| {
            [NextStep::Ending(ticket), NextStep::Starting(ticket)].contains(&it.next)
        };
        let it = self.restarts.iter_mut().find(is_its)?;
        let name = it.name.clone();
        if let NextStep::Ending(_) = it.next {
            it.next = NextStep::Ended;
            return Some(OrderedStep::End(name));
        }
        it.next = NextStep::Nothing;
        Some(OrderedStep::Start(name))
    }

    /// It is to be ended, or started, at this time all the same.
    pub(super) fn retry_at(&mut self, ordered: &OrderedStep, at: Duration) {
        let (name, next) = match ordered {
            OrderedStep::End(name) => (name, NextStep::End(at)),
            OrderedStep::Start(name) => (name, NextStep::Start(at)),
        };
        self.entry(name).next = next;
    }

    /// It could not be started. Says how long it waits, or nothing if nothing runs beside it; and how often it failed.
    pub(super) fn note_failed_start(
        &mut self,
        name: &str,
        cause: &str,
        backoff: &Backoff,
        now: Now,
        random: f64,
    ) -> (Option<Duration>, u32) {
        let alone = self.running == 0;
        let it = self.entry(name);
        let delay = backoff.delay(it.failures, random);
        it.failures = it.failures.saturating_add(1);
        it.why = (Reason::BackOff, cause.to_owned());
        if alone {
            return (None, it.failures);
        }
        (it.start_failed, it.next) = (true, NextStep::Start(now.up + delay));
        it.ended.get_or_insert(now.utc); // of one that never ran: what was made by now may be started
        (Some(delay), it.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::order::Container;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn one_that_was_unhealthy_and_ran_anew_is_judged_by_its_own_end() {
        let pod = |at: u64| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            let state = ContainerState::Exited { code: 0, at, ran: Duration::ZERO };
            let container = Container { name: "a".into(), state, out_of_memory: None, healthcheck: None };
            Pod { containers: vec![container], ..Pod::default() }
        };
        let mut containers = ContainerRestarts::default();
        containers.mark_unhealthy("a", "its probe failed", S);
        containers.mark_ordered(&DueStep::End("a".into()), Ticket(1));
        containers.take_ended_order(Ticket(1));
        containers.update_from_pod(&pod(5));
        assert!(containers.is_unhealthy("a"), "it was ended for that");
        let at = pod(5).ended_at();
        let missed = ContainerToRestart { container: "a".into(), cause: "it ended".into(), at, ran: S };
        containers.schedule_restart(missed, &Backoff::Constant(S), 6 * S, 5 * S, 0.0);
        containers.mark_ordered(&DueStep::Start("a".into(), at.unwrap()), Ticket(2));
        containers.take_ended_order(Ticket(2));
        containers.update_from_pod(&pod(5));
        assert!(containers.is_unhealthy("a"), "it did not run");
        containers.update_from_pod(&pod(7));
        assert!(!containers.is_unhealthy("a"));
    }

    #[test]
    fn what_was_to_be_started_and_has_ended_well_meanwhile_waits_for_nothing() {
        let mut containers = ContainerRestarts::default();
        let missed = |name: &str| {
            let (container, at) = (name.to_owned(), Some(SystemTime::UNIX_EPOCH));
            ContainerToRestart { container, cause: "it ended".into(), at, ran: S }
        };
        for name in ["a", "b"] {
            let wait =
                containers.schedule_restart(missed(name), &Backoff::Constant(3 * S), 10 * S, 9 * S, 0.0);
            assert_eq!(wait, Some((2 * S, false)));
        }
        assert_eq!(containers.next_due_step(11 * S, false), (None, Wake::At(12 * S)));
        containers.cancel_other_starts(&[missed("b")]);
        let due = Some(DueStep::Start("b".into(), SystemTime::UNIX_EPOCH));
        assert_eq!(containers.next_due_step(12 * S, false), (due, Wake::Never));
        assert_eq!(containers.next_due_step(12 * S, true), (None, Wake::Never), "while the device is short");
        containers.cancel_other_starts(&[]);
        assert!(!containers.any_pending());
    }
}
