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
pub(super) struct Containers {
    ailing: Vec<Ailing>,
    /// How many ran when the pod was looked at last.
    running: usize,
}

#[derive(Debug)]
struct Ailing {
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
    next: Next,
}

/// What is to be done with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
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
pub(super) struct Missed {
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
pub(super) enum Due {
    End(String),
    /// The one that ended at this time.
    Start(String, SystemTime),
}

/// Whose outcome it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    End(String),
    Start(String),
}

impl Containers {
    fn of(&self, name: &str) -> Option<&Ailing> {
        self.ailing.iter().find(|it| it.name == name)
    }

    fn entry(&mut self, name: &str) -> &mut Ailing {
        let known = self.ailing.iter().position(|it| it.name == name);
        let place = known.unwrap_or_else(|| {
            self.ailing.push(Ailing {
                name: name.to_owned(),
                failures: 0,
                ended: None,
                unhealthy: false,
                start_failed: false,
                why: (Reason::BackOff, String::new()),
                next: Next::Nothing,
            });
            self.ailing.len() - 1
        });
        &mut self.ailing[place]
    }

    /// Whether its probe failed, and it has not run anew since.
    pub(super) fn is_unhealthy(&self, name: &str) -> bool {
        self.of(name).is_some_and(|it| it.unhealthy)
    }

    /// Whether it could not be started again, and that is tried on.
    pub(super) fn has_failed_start(&self, name: &str) -> bool {
        self.of(name).is_some_and(|it| it.start_failed)
    }

    /// Whether it is to be started again after this end, or is being started.
    pub(super) fn is_to_start(&self, name: &str, ended: SystemTime) -> bool {
        self.of(name).is_some_and(|it| match it.next {
            Next::Start(_) => it.ended == Some(ended),
            Next::Starting(_) => true, // its outcome tells
            _ => false,
        })
    }

    /// Whether it is to be ended, or is being ended.
    pub(super) fn is_ending(&self, name: &str) -> bool {
        self.of(name).is_some_and(|it| matches!(it.next, Next::End(_) | Next::Ending(_)))
    }

    /// Whether one ran when the pod was looked at last.
    pub(super) fn any_runs(&self) -> bool {
        self.running > 0
    }

    /// Whether one is being started.
    pub(super) fn any_starts(&self) -> bool {
        self.ailing.iter().any(|it| matches!(it.next, Next::Starting(_)))
    }

    /// Whether there is one that should run, and doesn't.
    pub(super) fn are_ailing(&self) -> bool {
        self.ailing.iter().any(|it| it.next != Next::Nothing)
    }

    /// Why those that should run don't.
    pub(super) fn why(&self) -> Option<(Reason, String)> {
        let mut ailing = self.ailing.iter().filter(|it| it.next != Next::Nothing);
        let (reason, mut causes) = ailing.next().map(|it| it.why.clone())?;
        for it in ailing {
            causes = format!("{causes}; {}", it.why.1);
        }
        Some((reason, causes))
    }

    /// Those that failed, for people.
    pub(super) fn shown(&self) -> Vec<ContainerFailure> {
        let failed = self.ailing.iter().filter(|it| it.failures > 0);
        let shown = |it: &Ailing| ContainerFailure {
            container: it.name.clone(),
            failures: it.failures,
            cause: it.why.1.clone(),
        };
        failed.map(shown).collect()
    }

    /// When the next of them is started, since boot.
    pub(super) fn next_start(&self) -> Option<Duration> {
        let start = |it: &Ailing| if let Next::Start(at) = it.next { Some(at) } else { None };
        self.ailing.iter().filter_map(start).min()
    }

    /// The pod was looked at: what runs again has nothing to wait for.
    pub(super) fn seen(&mut self, pod: &Pod) {
        self.running = 0;
        for container in &pod.containers {
            let runs = container.state == ContainerState::Running;
            self.running += usize::from(runs);
            let Some(it) = self.ailing.iter_mut().find(|it| it.name == container.name) else { continue };
            match it.next {
                Next::Start(_) | Next::Nothing | Next::Ended if runs => {
                    (it.next, it.unhealthy, it.start_failed) = (Next::Nothing, false, false);
                }
                Next::End(_) | Next::Ended if !runs => it.next = Next::Nothing,
                // it ran anew, however briefly
                Next::Nothing if it.ended.is_some() && container.state.ended() != it.ended => {
                    it.unhealthy = false;
                }
                _ => {}
            }
        }
    }

    /// Of those that ended no others are missed: the others ended as they should, and wait for nothing.
    pub(super) fn only(&mut self, missed: &[Missed]) {
        for it in &mut self.ailing {
            let is_missed = missed.iter().any(|missed| missed.container == it.name);
            it.next = if matches!(it.next, Next::Start(_)) && !is_missed { Next::Nothing } else { it.next };
        }
    }

    /// This one is missed since then, by the clock since boot. Says how long it waits from now if that is news.
    pub(super) fn missed(
        &mut self,
        missed: Missed,
        backoff: &Backoff,
        now: Duration,
        since: Duration,
        random: f64,
    ) -> Option<(Duration, bool)> {
        let Missed { container, cause, at, ran } = missed;
        let it = self.entry(&container);
        match it.next {
            Next::Ending(_) | Next::Starting(_) => return None, // its outcome tells
            Next::Start(_) if at.is_none() || it.ended == at => return None,
            _ => {}
        }
        // what was started, as podman said, and has not run since, is waited for from now
        let from = if at.is_none() || it.ended == at { now } else { since };
        if Backoff::forgives(ran) {
            it.failures = 0;
        }
        let until = from + backoff.delay(it.failures, random);
        it.failures = it.failures.saturating_add(1);
        it.ended = at.or(it.ended);
        if !it.unhealthy {
            it.why = (Reason::BackOff, cause);
        }
        it.next = Next::Start(until);
        Some((until.saturating_sub(now), it.unhealthy))
    }

    /// Its probe failed: it is to be ended at this time since boot.
    pub(super) fn sicken(&mut self, name: &str, cause: &str, at: Duration) {
        let it = self.entry(name);
        (it.unhealthy, it.why) = (true, (Reason::Unhealthy, cause.to_owned()));
        it.next = Next::End(at);
    }

    /// One thing that is due, and when to ask again. One at a time is started; `holds`: none is.
    pub(super) fn due(&self, now: Duration, holds: bool) -> (Option<Due>, Wake) {
        let mut wake = Wake::Never;
        let may_start = !holds && !self.any_starts();
        for it in &self.ailing {
            let (at, due) = match (it.next, it.ended) {
                (Next::End(at), _) => (at, Due::End(it.name.clone())),
                (Next::Start(at), Some(ended)) if may_start => (at, Due::Start(it.name.clone(), ended)),
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
    pub(super) fn ordered(&mut self, due: &Due, ticket: Ticket) {
        let (name, next) = match due {
            Due::End(name) => (name, Next::Ending(ticket)),
            Due::Start(name, _) => (name, Next::Starting(ticket)),
        };
        self.entry(name).next = next;
    }

    /// Whose order of these has ended, if it was one.
    pub(super) fn order_ended(&mut self, ticket: Ticket) -> Option<Ordered> {
        let is_its = |it: &&mut Ailing| [Next::Ending(ticket), Next::Starting(ticket)].contains(&it.next);
        let it = self.ailing.iter_mut().find(is_its)?;
        let name = it.name.clone();
        if let Next::Ending(_) = it.next {
            it.next = Next::Ended;
            return Some(Ordered::End(name));
        }
        it.next = Next::Nothing;
        Some(Ordered::Start(name))
    }

    /// It is to be ended, or started, at this time all the same.
    pub(super) fn again(&mut self, ordered: &Ordered, at: Duration) {
        let (name, next) = match ordered {
            Ordered::End(name) => (name, Next::End(at)),
            Ordered::Start(name) => (name, Next::Start(at)),
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
        (it.start_failed, it.next) = (true, Next::Start(now.up + delay));
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
        let mut containers = Containers::default();
        containers.sicken("a", "its probe failed", S);
        containers.ordered(&Due::End("a".into()), Ticket(1));
        containers.order_ended(Ticket(1));
        containers.seen(&pod(5));
        assert!(containers.is_unhealthy("a"), "it was ended for that");
        let at = pod(5).ended();
        let missed = Missed { container: "a".into(), cause: "it ended".into(), at, ran: S };
        containers.missed(missed, &Backoff::Constant(S), 6 * S, 5 * S, 0.0);
        containers.ordered(&Due::Start("a".into(), at.unwrap()), Ticket(2));
        containers.order_ended(Ticket(2));
        containers.seen(&pod(5));
        assert!(containers.is_unhealthy("a"), "it did not run");
        containers.seen(&pod(7));
        assert!(!containers.is_unhealthy("a"));
    }

    #[test]
    fn what_was_to_be_started_and_has_ended_well_meanwhile_waits_for_nothing() {
        let mut containers = Containers::default();
        let missed = |name: &str| {
            let (container, at) = (name.to_owned(), Some(SystemTime::UNIX_EPOCH));
            Missed { container, cause: "it ended".into(), at, ran: S }
        };
        for name in ["a", "b"] {
            let wait = containers.missed(missed(name), &Backoff::Constant(3 * S), 10 * S, 9 * S, 0.0);
            assert_eq!(wait, Some((2 * S, false)));
        }
        assert_eq!(containers.due(11 * S, false), (None, Wake::At(12 * S)));
        containers.only(&[missed("b")]);
        let due = Some(Due::Start("b".into(), SystemTime::UNIX_EPOCH));
        assert_eq!(containers.due(12 * S, false), (due, Wake::Never));
        assert_eq!(containers.due(12 * S, true), (None, Wake::Never), "while the device is short");
        containers.only(&[]);
        assert!(!containers.are_ailing());
    }
}
