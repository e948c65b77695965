//! Whether the containers of a running pod are well: which probe is due when, and what its outcomes mean.
//!
//! The rules are Kubernetes': a container's liveness is not asked for before its startup probe went well once,
//! and only failures in a row count. A probe that podman could not make says nothing about the container.

use super::model::{
    order::{Container, ContainerState, Fact, Failure, Pod, Ticket},
    probe::{Probe, Probes},
    time::Wake,
};
use std::{sync::Arc, time::Duration};

/// What the probes of the present pod have told so far. All times are since boot.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The pod has run for as long as is known; `None` before it was seen.
    since: Option<Duration>,
    containers: Vec<Watched>,
    /// The names of those that ended as their policy wants: there is nothing to ask.
    ended: Vec<String>,
}

#[derive(Debug)]
struct Watched {
    probes: Probes,
    /// What the second of the probes is called.
    liveness: &'static str,
    has_started: bool,
    due: Duration,
    /// In a row.
    failures: u32,
    /// The probe under way.
    asked: Option<Ticket>,
    /// Why it is unhealthy.
    cause: Option<String>,
}

impl Watched {
    fn new(container: &Container, probes: Option<&Probes>, now: Duration) -> Option<Self> {
        let mut own = probes.cloned().unwrap_or_else(|| Probes {
            container: container.name.clone(),
            startup: None,
            liveness: None,
        });
        let mut liveness = "liveness probe";
        if own.liveness.is_none() {
            (own.liveness, liveness) = (container.healthcheck.clone(), "image's HEALTHCHECK");
        }
        let has_started = own.startup.is_none();
        let is_asked = own.startup.is_some() || own.liveness.is_some();
        let (due, failures, asked, cause) = (now, 0, None, None);
        is_asked.then_some(Self { probes: own, liveness, has_started, due, failures, asked, cause })
    }

    /// The probe whose turn it is.
    fn current(&self) -> Option<&Arc<Probe>> {
        if self.has_started { self.probes.liveness.as_ref() } else { self.probes.startup.as_ref() }
    }
}

impl Health {
    /// The pod was looked at, and is to run on.
    pub(super) fn seen(&mut self, probes: &[Probes], pod: &Pod, now: Duration) {
        if self.since.is_none() {
            self.since = Some(now);
            let watched = |container: &Container| {
                Watched::new(container, probes.iter().find(|it| it.container == container.name), now)
            };
            self.containers = pod.containers.iter().filter_map(watched).collect();
        }
        let ended = pod.containers.iter().filter(|container| container.state != ContainerState::Running);
        self.ended = ended.map(|container| container.name.clone()).collect();
    }

    /// Gives every probe that is due to `ask`, and says when to be called again.
    pub(super) fn advance(&mut self, now: Duration, mut ask: impl FnMut(&str, Arc<Probe>) -> Ticket) -> Wake {
        let (mut wake, since) = (Wake::Never, self.since.unwrap_or(now));
        for watched in &mut self.containers {
            let (Some(probe), None) = (watched.current(), watched.asked) else { continue };
            if self.ended.contains(&watched.probes.container) {
                continue;
            }
            let due = watched.due.max(since.saturating_add(probe.initial_delay));
            if due <= now {
                let period = probe.period;
                watched.asked = Some(ask(&watched.probes.container, probe.clone()));
                watched.due = now.saturating_add(period);
            } else {
                wake = wake.earlier(Wake::At(due));
            }
        }
        wake
    }

    /// An order's outcome, which is a probe's of this pod or means nothing here.
    pub(super) fn done(&mut self, ticket: Ticket, result: &Result<Fact, Failure>) {
        let Some(watched) = self.containers.iter_mut().find(|it| it.asked == Some(ticket)) else { return };
        watched.asked = None;
        let (Some(probe), Ok(Fact::Probed { healthy, output })) = (watched.current(), result) else { return };
        if *healthy {
            if !watched.has_started {
                watched.due = Duration::ZERO; // liveness need not wait for the end of startup's period
            }
            (watched.has_started, watched.failures) = (true, 0);
            return;
        }
        let threshold = probe.failure_threshold;
        watched.failures += 1;
        if watched.failures >= threshold {
            let kind = if watched.has_started { watched.liveness } else { "startup probe" };
            let (container, failures) = (&watched.probes.container, watched.failures);
            let cause =
                format!("container '{container}' is unhealthy: its {kind} failed {failures} times: {output}");
            watched.cause = Some(cause);
        }
    }

    /// Why the pod is to be replaced, and how long it has run; the next pod begins anew.
    pub(super) fn unhealthy(&mut self, now: Duration) -> Option<(String, Duration)> {
        let ended = &self.ended;
        let mut asked = self.containers.iter_mut().filter(|it| !ended.contains(&it.probes.container));
        let cause = asked.find_map(|watched| watched.cause.take())?;
        let ran = now.saturating_sub(std::mem::take(self).since.unwrap_or(now));
        Some((cause, ran))
    }
}
