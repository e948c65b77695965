//! Whether the containers of a running pod are well: which probe is due when, and what its outcomes mean.
//!
//! The rules are Kubernetes': a container's liveness is not asked for before its startup probe went well once,
//! and only failures in a row count. A probe that podman could not make says nothing about the container.

use std::{sync::Arc, time::Duration};

use super::{
    order::{ContainerState, Fact, Failure, Pod, Ticket},
    time::Wake,
};

/// A question to a container, and when to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The question.
    pub check: Check,
    /// Not before the container has run for this long.
    pub initial_delay: Duration,
    /// From one question to the next; at least a second.
    pub period: Duration,
    /// An answer that takes longer is a failure; at least a second.
    pub timeout: Duration,
    /// As many failures in a row make the container unhealthy; at least 1.
    pub failure_threshold: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A command in the container: well if it ends with exit code 0.
    Exec(Vec<String>),
    /// A GET request: well if the status is from 200 to 399.
    Http {
        /// Where to.
        host: Host,
        /// Where to.
        port: u16,
        /// With its query; begins with `/`.
        path: String,
        /// Beside the usual ones.
        headers: Vec<(String, String)>,
    },
    /// Well if the port takes a connection.
    Tcp {
        /// Where to.
        host: Host,
        /// Where to.
        port: u16,
    },
}

/// Whom a [`Check`] over the network asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The pod's own address, which podman knows.
    Pod,
    /// As the device itself calls it.
    Named(String),
}

/// The probes of one container: one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// Its name in the specification.
    pub container: String,
    /// Comes first, until it goes well once.
    pub startup: Option<Arc<Probe>>,
    /// Comes then, for as long as the container runs.
    pub liveness: Option<Arc<Probe>>,
}

/// What the probes of the present pod have told so far. All times are since boot.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// The pod has run for as long as is known; `None` before it is asked for the first time.
    since: Option<Duration>,
    /// As many as there are [`Probes`], in their order.
    containers: Vec<Watched>,
    /// The names of those that ended as their policy wants: there is nobody to ask.
    ended: Vec<String>,
}

#[derive(Debug)]
struct Watched {
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
    /// The probe whose turn it is.
    fn current<'a>(&self, probes: &'a Probes) -> Option<&'a Arc<Probe>> {
        if self.has_started { probes.liveness.as_ref() } else { probes.startup.as_ref() }
    }
}

impl Health {
    /// Gives every probe that is due to `ask`, and says when to be called again.
    pub(super) fn advance(
        &mut self,
        probes: &[Probes],
        now: Duration,
        mut ask: impl FnMut(&Probes, &Arc<Probe>) -> Ticket,
    ) -> Wake {
        let since = *self.since.get_or_insert_with(|| {
            let watched = |probes: &Probes| {
                let has_started = probes.startup.is_none();
                Watched { has_started, due: now, failures: 0, asked: None, cause: None }
            };
            self.containers = probes.iter().map(watched).collect();
            now
        });
        let mut wake = Wake::Never;
        for (watched, probes) in self.containers.iter_mut().zip(probes) {
            let (Some(probe), None) = (watched.current(probes), watched.asked) else { continue };
            if self.ended.contains(&probes.container) {
                continue;
            }
            let due = watched.due.max(since + probe.initial_delay);
            if due <= now {
                watched.asked = Some(ask(probes, probe));
                watched.due = now + probe.period;
            } else {
                wake = wake.earlier(Wake::At(due));
            }
        }
        wake
    }

    /// An order's outcome, which is a probe's of this pod or means nothing here.
    pub(super) fn done(&mut self, probes: &[Probes], ticket: Ticket, result: &Result<Fact, Failure>) {
        let mut asked = self.containers.iter_mut().zip(probes);
        let Some((watched, probes)) = asked.find(|(watched, _)| watched.asked == Some(ticket)) else {
            return;
        };
        watched.asked = None;
        let (Some(probe), Ok(Fact::Probed { healthy, output })) = (watched.current(probes), result) else {
            return;
        };
        if *healthy {
            if !watched.has_started {
                watched.due = Duration::ZERO; // liveness need not wait for the end of startup's period
            }
            (watched.has_started, watched.failures) = (true, 0);
            return;
        }
        watched.failures += 1;
        if watched.failures >= probe.failure_threshold {
            let kind = if watched.has_started { "liveness" } else { "startup" };
            let (container, failures) = (&probes.container, watched.failures);
            watched.cause = Some(format!(
                "container '{container}' is unhealthy: its {kind} probe failed {failures} times: {output}"
            ));
        }
    }

    /// The pod was looked at, and shall run on.
    pub(super) fn seen(&mut self, pod: &Pod) {
        let ended = pod.containers.iter().filter(|container| container.state != ContainerState::Running);
        self.ended = ended.map(|container| container.name.clone()).collect();
    }

    /// Why the pod is to be replaced, and how long it has run; the next pod begins anew.
    pub(super) fn unhealthy(&mut self, probes: &[Probes], now: Duration) -> Option<(String, Duration)> {
        let mut watched = self.containers.iter_mut().zip(probes);
        let (watched, _) = watched
            .find(|(watched, probes)| watched.cause.is_some() && !self.ended.contains(&probes.container))?;
        let cause = watched.cause.take()?;
        let ran = now.saturating_sub(std::mem::take(self).since.unwrap_or(now));
        Some((cause, ran))
    }
}
