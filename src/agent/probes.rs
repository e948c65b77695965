//! Whether the containers of a running pod are well: which probe is due when, and what its outcomes mean.
//!
//! The rules are Kubernetes': a container's liveness is not asked for before its startup probe went well once,
//! and only failures in a row count. A probe that podman could not make says nothing about the container.

use super::model::{
    order::{Container, ContainerState, Fact, Failure, Pod, Ticket},
    probe::{Probe, Probes},
    report::ProbeResult,
    time::Wake,
};
use std::{sync::Arc, time::Duration};

/// As much is kept of an answer for people, in characters.
const MAX_OUTPUT_CHARS: usize = 256;

/// What the probes of the present pod have told so far. All times are since boot.
#[derive(Debug, Default)]
pub(super) struct Health {
    containers: Vec<ProbedContainer>,
    /// The names of those that run and are to run on: of the others there is nothing to ask.
    running: Vec<String>,
}

#[derive(Debug)]
struct ProbedContainer {
    probes: Probes,
    /// What the second of the probes is called.
    liveness: &'static str,
    has_started: bool,
    /// It has run for as long as is known.
    since: Duration,
    due: Duration,
    /// In a row.
    failures: u32,
    /// The probe under way.
    asked: Option<Ticket>,
    /// Why it is unhealthy.
    cause: Option<String>,
    readiness: Readiness,
    /// The last answers: of what is asked first, and of readiness.
    told: [Option<(bool, Box<str>)>; 2],
}

/// Whether a container is ready for what others ask of it: nothing follows but that people are told.
#[derive(Debug, Default)]
struct Readiness {
    is_ready: bool,
    /// Answers in a row that speak for the contrary.
    against: u32,
    due: Duration,
    /// The probe under way.
    asked: Option<Ticket>,
    /// Why it isn't ready, as far as an answer told.
    cause: Option<String>,
    /// That it isn't, or is again, is news.
    is_news: bool,
    /// People heard that it isn't.
    told: bool,
}

impl Readiness {
    fn record_answer(&mut self, probe: &Probe, container: &str, healthy: bool, output: &str) {
        let threshold = if healthy { probe.success_threshold } else { probe.failure_threshold };
        self.against = if healthy == self.is_ready { 0 } else { self.against + 1 };
        if self.against >= threshold {
            (self.is_ready, self.against) = (healthy, 0);
            // what becomes ready for the first time is no news
            self.is_news |= !healthy || self.told;
            self.told = !healthy;
        }
        if healthy {
            self.cause = self.cause.take().filter(|_| !self.is_ready);
        } else if !self.is_ready {
            self.cause =
                Some(format!("container '{container}' is not ready: its readiness probe failed: {output}"));
        }
    }
}

impl ProbedContainer {
    fn new(container: &Container, probes: Option<&Probes>, now: Duration) -> Option<Self> {
        let mut own = probes.cloned().unwrap_or_else(|| Probes {
            container: container.name.clone(),
            startup: None,
            liveness: None,
            readiness: None,
        });
        let mut liveness = "liveness probe";
        if own.liveness.is_none() {
            (own.liveness, liveness) = (container.healthcheck.clone(), "image's HEALTHCHECK");
        }
        let has_started = own.startup.is_none();
        let is_asked = own.startup.is_some() || own.liveness.is_some() || own.readiness.is_some();
        let (since, due, failures, asked, cause) = (now, now, 0, None, None);
        let readiness = Readiness { is_ready: own.readiness.is_none(), ..Readiness::default() };
        is_asked.then_some(Self {
            probes: own,
            liveness,
            has_started,
            since,
            due,
            failures,
            asked,
            cause,
            readiness,
            told: [None, None],
        })
    }

    /// The probe whose turn it is.
    fn current_probe(&self) -> Option<&Arc<Probe>> {
        if self.has_started { self.probes.liveness.as_ref() } else { self.probes.startup.as_ref() }
    }
}

impl Health {
    /// The pod was looked at, and is to run on, but for containers that are being ended. One that is there, or there again,
    /// is asked from the beginning.
    pub(super) fn update_from_pod(
        &mut self,
        probes: &[Probes],
        pod: &Pod,
        is_ending: &dyn Fn(&str) -> bool,
        now: Duration,
    ) {
        let runs = |it: &&Container| it.state == ContainerState::Running && !is_ending(&it.name);
        for container in pod.containers.iter().filter(runs) {
            let name = &container.name;
            if self.running.contains(name) {
                continue;
            }
            self.containers.retain(|it| it.probes.container != *name);
            let own = probes.iter().find(|it| it.container == *name);
            self.containers.extend(ProbedContainer::new(container, own, now));
        }
        self.running = pod.containers.iter().filter(runs).map(|it| it.name.clone()).collect();
    }

    /// Gives every probe that is due to `ask`, and says when to be called again.
    pub(super) fn ask_due_probes(
        &mut self,
        now: Duration,
        mut ask: impl FnMut(&str, Arc<Probe>) -> Ticket,
    ) -> Wake {
        let mut wake = Wake::Never;
        let running = &self.running;
        for watched in self.containers.iter_mut().filter(|it| running.contains(&it.probes.container)) {
            let current = watched.current_probe().cloned();
            let readiness = watched.probes.readiness.clone().filter(|_| watched.has_started);
            let ProbedContainer { probes, since, due, asked, readiness: state, .. } = watched;
            for (probe, due, asked) in [(current, due, asked), (readiness, &mut state.due, &mut state.asked)]
            {
                let (Some(probe), None) = (probe, &asked) else { continue };
                let at = (*due).max(since.saturating_add(probe.initial_delay));
                if at <= now {
                    *due = now.saturating_add(probe.period);
                    *asked = Some(ask(&probes.container, probe));
                } else {
                    wake = wake.earlier(Wake::At(at));
                }
            }
        }
        wake
    }

    /// An order's outcome, which is a probe's of this pod or means nothing here.
    pub(super) fn record_outcome(&mut self, ticket: Ticket, result: &Result<Fact, Failure>) {
        let is_its = |it: &&mut ProbedContainer| [it.asked, it.readiness.asked].contains(&Some(ticket));
        let Some(watched) = self.containers.iter_mut().find(is_its) else { return };
        if let Ok(Fact::Probed { healthy, output }) = result {
            let end = output.char_indices().nth(MAX_OUTPUT_CHARS).map_or(output.len(), |(at, _)| at);
            let told = &mut watched.told[usize::from(watched.asked != Some(ticket))];
            if told.as_ref().is_none_or(|(was, said)| (*was, &**said) != (*healthy, &output[..end])) {
                *told = Some((*healthy, output[..end].into()));
            }
        }
        if watched.readiness.asked.take_if(|it| *it == ticket).is_some() {
            let ProbedContainer { probes, readiness, .. } = watched;
            if let (Some(probe), Ok(Fact::Probed { healthy, output })) = (&probes.readiness, result) {
                readiness.record_answer(probe, &probes.container, *healthy, output);
            }
            return;
        }
        watched.asked = None;
        let (Some(probe), Ok(Fact::Probed { healthy, output })) = (watched.current_probe(), result) else {
            return;
        };
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
            let times = if failures == 1 { String::new() } else { format!(" {failures} times") };
            let cause = format!("container '{container}' is unhealthy: its {kind} failed{times}: {output}");
            watched.cause = Some(cause);
        }
    }

    /// A container that has to end, and why: it isn't asked any more.
    pub(super) fn take_unhealthy(&mut self) -> Option<(String, String)> {
        let running = &self.running;
        let mut asked = self.containers.iter_mut().filter(|it| running.contains(&it.probes.container));
        let (container, cause) =
            asked.find_map(|it| Some((it.probes.container.clone(), it.cause.take()?)))?;
        self.running.retain(|name| *name != container);
        Some((container, cause))
    }

    /// Whether one that runs hasn't told yet whether it is ready, and the others are.
    pub(super) fn is_readiness_pending(&self) -> bool {
        let runs = |it: &&ProbedContainer| self.running.contains(&it.probes.container);
        let unready = |it: &&ProbedContainer| !it.has_started || !it.readiness.is_ready;
        let mut unready = self.containers.iter().filter(runs).filter(unready).peekable();
        unready.peek().is_some() && unready.all(|it| it.readiness.cause.is_none())
    }

    /// Those that run and aren't ready, and why, as far as that is known.
    pub(super) fn unready_reasons(&self) -> impl Iterator<Item = String> {
        let runs = |it: &&ProbedContainer| self.running.contains(&it.probes.container);
        self.containers.iter().filter(runs).filter_map(|it| {
            let container = &it.probes.container;
            match &it.readiness.cause {
                Some(cause) if !it.readiness.is_ready => Some(cause.clone()),
                _ if !it.has_started => Some(format!("container '{container}' is not ready: it is starting")),
                _ => (!it.readiness.is_ready)
                    .then(|| format!("container '{container}' is not ready: its probe has not said so yet")),
            }
        })
    }

    /// What each of those that run was asked, and answered last.
    pub(super) fn probe_results(&self) -> Vec<ProbeResult> {
        let runs = |it: &&ProbedContainer| self.running.contains(&it.probes.container);
        let shown = |it: &ProbedContainer| {
            let first = if it.has_started { it.liveness } else { "startup probe" };
            let asked = [it.current_probe().is_some(), it.probes.readiness.is_some()];
            let mut all = Vec::new();
            for ((probe, told), is_asked) in [first, "readiness probe"].into_iter().zip(&it.told).zip(asked) {
                let container = it.probes.container.clone();
                let output = told.as_ref().map(|it| it.1.to_string()).unwrap_or_default();
                let answer = ProbeResult { container, probe, healthy: told.as_ref().map(|it| it.0), output };
                all.extend(is_asked.then_some(answer));
            }
            all
        };
        self.containers.iter().filter(runs).flat_map(shown).collect()
    }

    /// What people should hear: whether it is good, and which container isn't ready, or is again.
    pub(super) fn next_unreported_readiness(&mut self) -> Option<(bool, String)> {
        let it = self.containers.iter_mut().find(|it| it.readiness.is_news)?;
        it.readiness.is_news = false;
        let is_ready = it.readiness.is_ready;
        let ready = || format!("container '{}' is ready again", it.probes.container);
        let message = it.readiness.cause.clone().filter(|_| !is_ready).unwrap_or_else(ready);
        Some((is_ready, message))
    }
}
