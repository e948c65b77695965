//! **Decides.** Events and the time come in, actions and the next deadline come out: no I/O, clock, thread or
//! randomness here, so that every rule can be tested in microseconds.
//!
//! | rule | where |
//! |---|---|
//! | what an expression means | [`expression`] |
//! | which conditions hold, given the metrics | [`profile`] |
//! | what a workload is, and its id | [`workload`] |
//! | how long to wait after a failure, when a cron slot comes | [`schedule`] |
//! | whether a cron slot has come | `slots` |
//! | a wall clock that is wrong, or was set | `clock` |
//! | how a run ended | [`run`] |
//! | what a container's end means | `verdict` |
//! | where a workload's pod can be | [`phase`] |
//! | from what is wanted to what is there | `reconcile` |
//! | pods that shall go | `leaving` |
//! | conditions that change too often | `flapping` |
//! | how much CPU time a pod may have | [`limit`] |
//! | updates that don't come up | [`update`] |
//! | pods that want the same of the host | `rivals` |
//! | images that nothing needs any more | [`images`] |
//! | whether containers are well | [`health`] |
//! | workloads that are Deployments on a Kubernetes cluster | [`deployments`] |
//! | engines that don't answer, and the full look | `engines` |
//! | who goes when memory or disk runs short, and who keeps the processor busy | [`shed`] |
//! | several sources made one | `sources` |
//! | which calls are made to the edge API, and when | `link` |
//! | what its answers lead to | `conversation` |
//! | what a heartbeat says | `heartbeat` |
//! | what people are told who ask: states, causes, remedies | [`report`] |
//! | parts of the agent that can't do their work | [`part`] |
//! | what people may ask for | [`asked`] |
//! | text of others made fit to be shown | [`legible`], `foreign` |
//! | values of `Secret`s that must not be shown | [`redact`] |
//! | sorted collections in little code | [`mod@gather`] |

pub mod asked;
mod book;
pub mod call;
mod clock;
pub mod confidential;
mod conversation;
pub mod deployments;
mod engines;
mod events;
pub mod expression;
mod flapping;
mod foreign;
pub mod gather;
pub mod health;
mod heartbeat;
pub mod images;
mod leaving;
pub mod legible;
pub mod limit;
mod link;
pub mod mounts;
pub mod notice;
pub mod order;
pub mod part;
pub mod phase;
pub mod profile;
pub mod quantity;
mod random;
mod reconcile;
pub mod redact;
pub mod report;
mod rivals;
pub mod run;
pub mod schedule;
pub mod shed;
mod slots;
mod sources;
#[cfg(test)]
pub(crate) mod tests;
pub mod time;
pub mod update;
mod verdict;
pub mod workload;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use book::{Book, Turn};
use call::Remembered;
use conversation::Server;
use deployments::Deployments;
use engines::Engines;
pub use events::{Action, Event, Finished, Kept, Sample, Setup};
use foreign::Confidences;
use limit::CpuLimit;
use notice::{Notice, Problem, Reason};
use order::{Fact, Failure, Outcome, PodSummary, Task, Ticket};
use part::{Hindered, Part};
use phase::Phase;
use profile::{ConditionId, Conditions};
use reconcile::Tracked;
use shed::Shed;
pub use slots::NextSlot;
use sources::{Merged, Sources};
use time::{Now, Wake};
use workload::{Engine, Workload, WorkloadId};

/// What a workload's profiles say at this moment.
#[derive(Debug, Clone, Copy)]
struct Gate {
    /// Every profile has a condition that holds.
    is_open: bool,
    /// The smallest limit that a condition which holds gives.
    cpu: CpuLimit,
}

/// The whole state of the agent.
#[derive(Debug)]
pub struct Agent {
    conditions: Conditions,
    engines: Engines,
    /// By the workload's name.
    tracked: BTreeMap<Arc<str>, Tracked>,
    deployments: Deployments,
    /// For each workload with profiles, the conditions of each, with the CPU limit that each gives; one that the
    /// device lacks never holds.
    gates: BTreeMap<Arc<str>, Vec<Vec<(ConditionId, CpuLimit)>>>,
    /// The workloads that list a condition.
    listed_by: BTreeMap<ConditionId, Vec<Arc<str>>>,
    sources: Sources,
    server: Option<Server>,
    shed: Shed,
    /// Taken up with the first event.
    remembered: Option<Remembered>,
    hindered: Hindered,
    /// What is wrong with the configuration, as told.
    problems: BTreeSet<String>,
    /// The wall clock is behind, as told.
    clock_behind: bool,
    /// What is wrong with the manifests, which their reader has told.
    complaints: Vec<Problem>,
    /// Workloads that something happened to.
    dirty: BTreeSet<Arc<str>>,
    deadlines: BTreeSet<(Duration, Arc<str>)>,
    deadline_of: BTreeMap<Arc<str>, Duration>,
    confidences: Confidences,
    /// See [`revision`](Self::revision).
    revision: u64,
    book: Book,
}

impl Agent {
    /// An agent that knows nothing yet but its setup.
    pub fn new(mut setup: Setup) -> Self {
        let book = Book::new(&mut setup);
        Self {
            conditions: Conditions::new(setup.metrics_ttl),
            engines: Engines::new(&setup.engines, setup.interval),
            tracked: BTreeMap::new(),
            deployments: Deployments::default(),
            gates: BTreeMap::new(),
            listed_by: BTreeMap::new(),
            sources: Sources::new(&mut setup),
            server: None,
            shed: Shed::new(setup.default_memory),
            remembered: setup.server,
            hindered: Hindered::default(),
            problems: BTreeSet::new(),
            clock_behind: false,
            complaints: Vec::new(),
            dirty: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
            confidences: Confidences::default(),
            revision: 0,
            book,
        }
    }

    /// Takes in the metrics that an earlier process was given, each with its time since boot.
    pub fn restore(&mut self, metrics: &[(Sample, Duration)]) {
        for (sample, posted) in metrics {
            self.conditions.set(std::slice::from_ref(sample), *posted, &mut Vec::new());
        }
    }

    /// Takes in one event and says what to do now, and when to be called again at the latest.
    pub fn decide(&mut self, event: Event, now: Now) -> (Vec<Action>, Wake) {
        if let Some(remembered) = self.remembered.take() {
            self.resume(remembered, now);
        }
        let event = self.fit(event);
        let mut changed = Vec::new();
        if !matches!(event, Event::Metrics(_) | Event::Tick | Event::Asked(..)) {
            self.revision += 1;
        }
        match event {
            Event::Metrics(samples) => self.conditions.set(&samples, now.up, &mut changed),
            Event::Desired(desired) => {
                self.sources.manifests.get_or_insert_default().read(desired, Vec::new());
                self.want(now);
            }
            Event::Notice(notice) => self.book.tell(notice),
            Event::Problems(problems) => self.complaints = problems,
            Event::Asked(asker, question) => {
                self.reply(asker, &question, now);
            }
            Event::Exited(_, id) => self.exited(&id, now),
            Event::Refused(_, id, limit) => self.refused(&id, limit),
            Event::Watched(watched) => self.watched(watched, now),
            Event::Done(outcome) => self.done(outcome, now),
            Event::Answered(kind, result) => self.answered(kind, result, now),
            Event::Pressure(pressure) => self.pressed(pressure, now),
            Event::Clock => self.clock_changed(now),
            Event::Stored(what, result) => self.hindered.set(Part::Keeper(what), result, &mut self.book),
            Event::Works(part, result) => self.hindered.set(part, result, &mut self.book),
            Event::Tick | Event::Terminate | Event::Reload => {}
        }
        self.look_at_clock(now);
        self.conditions.expire(now.up, &mut changed);
        for condition in changed {
            if let Some(names) = self.listed_by.get(&condition) {
                self.dirty.extend(names.iter().cloned());
            }
        }
        let shed = self.shed(now);
        self.advance(now);
        for engine in self.engines.due(now.up) {
            let ticket = self.book.order(engine, Task::List);
            self.engines.asked(engine, ticket);
        }
        if std::mem::take(&mut self.book.finished_changed) {
            self.book.actions.push(Action::Remember(self.book.finished.clone()));
        }
        if std::mem::take(&mut self.book.fallbacks_changed) {
            self.book.actions.push(Action::RememberFallbacks(self.book.fallbacks.clone()));
        }
        if self.book.images.is_due() {
            self.discard_images();
        }
        if let Some(images) = self.book.images.changed() {
            self.book.actions.push(Action::RememberImages(images));
        }
        let deadline = self.deadlines.first().map_or(Wake::Never, |(at, _)| Wake::At(*at));
        let wake = deadline.earlier(self.engines.wake()).earlier(self.conditions.next_expiry());
        let wake = wake.earlier(self.converse(now)).earlier(shed);
        (std::mem::take(&mut self.book.actions), wake)
    }

    /// Another number when phases, missing engines or the link may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every workload name, and where its pod is.
    pub fn phases(&self) -> impl Iterator<Item = (&str, Phase)> {
        let pods = self.tracked.iter().map(|(name, tracked)| (&**name, tracked.phase));
        pods.chain(self.deployments.phases())
    }

    /// The engines that don't answer.
    pub fn missing_engines(&self) -> impl Iterator<Item = Engine> + '_ {
        self.engines.missing()
    }

    fn advance(&mut self, now: Now) {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now.up
            && let Some((_, name)) = self.deadlines.pop_first()
        {
            self.deadline_of.remove(&name);
            self.dirty.insert(name);
        }
        self.revision += u64::from(!self.dirty.is_empty());
        if !self.sources.any_known() {
            return; // what runs may be wanted: nothing is touched before that is known
        }
        while let Some(name) = self.dirty.pop_first() {
            let gate = self.gate(&name);
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            let mut wake = self.deployments.advance(&name, gate.is_open, &mut turn);
            if let Some(tracked) = self.tracked.get_mut(&name) {
                wake = wake.earlier(tracked.advance(gate, &mut turn));
                tracked.note(now);
                if tracked.is_over() {
                    self.tracked.remove(&name);
                }
            }
            if let Some(at) = self.deadline_of.remove(&name) {
                self.deadlines.remove(&(at, name.clone()));
            }
            if let Wake::At(at) = wake {
                self.deadlines.insert((at, name.clone()));
                self.deadline_of.insert(name, at);
            }
        }
    }

    /// What the profiles that the workload lists say.
    fn gate(&self, name: &str) -> Gate {
        let mut gate = Gate { is_open: true, cpu: None };
        for profile in self.gates.get(name).into_iter().flatten() {
            let holding = || profile.iter().filter(|(condition, _)| self.conditions.holds(*condition));
            gate.is_open &= holding().next().is_some();
            gate.cpu = holding().filter_map(|(_, cpu)| *cpu).chain(gate.cpu).min();
        }
        gate
    }

    /// What shall run may have changed.
    fn want(&mut self, now: Now) {
        self.keep_confidential();
        let Merged { profiles, workloads: wanted, held, mut problems } = self.sources.merged();
        for error in self.conditions.define(&profiles, now.up) {
            problems.insert(error.to_string());
        }
        self.gates.clear();
        self.listed_by.clear();
        let is_pod = |workload: &Workload| workload.content.engine != Engine::Kubernetes;
        let pods = wanted.iter().filter(|(_, workload)| is_pod(workload)).map(|(name, _)| name);
        for name in held.iter().chain(pods) {
            self.tracked.entry(name.clone()).or_insert_with_key(|name| Tracked::new(name.clone()));
        }
        for (name, workload) in &wanted {
            let mut gates = Vec::new();
            for profile in &workload.profiles {
                let mut gate = Vec::new();
                for condition in &profile.conditions {
                    let Some(id) = self.conditions.find(&profile.name, &condition.name) else {
                        problems.insert(format!(
                            "workload '{name}': the device has no condition '{}' in a profile '{}', so it is false",
                            condition.name, profile.name
                        ));
                        continue;
                    };
                    gate.push((id, condition.cpu));
                    self.listed_by.entry(id).or_default().push(name.clone());
                }
                gates.push(gate);
            }
            self.gates.insert(name.clone(), gates);
        }
        for problem in problems.difference(&self.problems) {
            self.book.tell(Notice::warning(Reason::ConfigurationRejected, problem.clone()));
        }
        self.problems = problems;
        self.book.partial = !self.sources.all_known();
        self.book.images.look();
        for (name, tracked) in &mut self.tracked {
            tracked.held = held.contains(name);
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            tracked.want(wanted.get(name).filter(|workload| is_pod(workload)).cloned(), &mut turn);
            if let Some(workload) = tracked.wanted() {
                self.engines.add(workload.content.engine, now.up);
            }
            self.dirty.insert(name.clone());
        }
        let deployed = wanted.iter().filter(|(_, workload)| !is_pod(workload));
        if self.deployments.want(deployed, &held) {
            self.engines.add(Engine::Kubernetes, now.up);
        }
        self.dirty.extend(self.deployments.names());
        if !self.book.partial && held.is_empty() {
            self.book.forget_all_but(self.tracked.values().filter_map(Tracked::wanted).collect());
        }
        self.pardon();
    }

    fn exited(&mut self, id: &WorkloadId, now: Now) {
        let owner =
            self.tracked.iter_mut().find(|(_, tracked)| tracked.wanted().is_some_and(|it| it.id == *id));
        if let Some((name, tracked)) = owner {
            tracked.exited(id, now.up);
            self.dirty.insert(name.clone());
        }
    }

    fn done(&mut self, outcome: Outcome, now: Now) {
        let Outcome { engine, ticket, result } = outcome;
        if let Ok(Fact::Pulled { fetched, .. } | Fact::Fit { fetched, .. }) = &result {
            // whoever wanted them may not do so any more: they are here, and it was us
            fetched.iter().for_each(|image| self.book.images.fetched(engine, image.clone()));
        }
        if let Some(name) = self.book.open.remove(&ticket) {
            let result = self.without_rivals(&name, result);
            if engine == Engine::Kubernetes {
                let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
                self.deployments.done(&name, result, &mut turn);
                self.dirty.insert(name);
            } else if let Some(tracked) = self.tracked.get_mut(&name) {
                let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
                tracked.done(engine, ticket, result, &mut turn);
                self.dirty.insert(name);
            }
            return;
        }
        if self.book.images.done(ticket, matches!(result, Ok(Fact::Gone))) {
            return;
        }
        let Some(result) = self.weighed(ticket, result, now) else { return };
        let tells = self.engines.listed(engine, ticket);
        match result {
            Ok(Fact::Pods(pods)) if tells => self.listed(engine, ticket, &pods, now),
            Ok(Fact::Deployments(found)) if tells => {
                self.answers(engine, now);
                self.deployments.listed(ticket, found);
                self.dirty.extend(self.deployments.names());
            }
            Err(failure @ Failure::Engine(_)) | Err(failure @ Failure::Workload(_)) if tells => {
                let (Failure::Engine(cause) | Failure::Workload(cause)) = failure;
                let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
                turn.failed(engine, "", &Failure::Engine(cause));
                self.dirty.extend(self.tracked.keys().cloned()); // who waited to hear of it waits no more
            }
            _ => {}
        }
    }

    fn listed(&mut self, engine: Engine, ticket: Ticket, pods: &[PodSummary], now: Now) {
        self.answers(engine, now);
        let is_wanted = |pod: &&PodSummary| {
            let tracked = self.tracked.get(&*pod.workload);
            tracked.and_then(Tracked::wanted).is_some_and(|wanted| wanted.id == pod.id)
        };
        let (wanted, others): (Vec<_>, Vec<_>) = pods.iter().partition(is_wanted);
        let mut ids: BTreeMap<&str, Vec<&WorkloadId>> = BTreeMap::new();
        // A wanted one may be looked at, and then the list is too old to tell of the others of its workload.
        for pod in others.into_iter().chain(wanted) {
            ids.entry(&pod.workload).or_default().push(&pod.id);
            let name = Arc::from(&*pod.workload);
            let tracked = self.tracked.entry(name).or_insert_with_key(|name| Tracked::new(name.clone()));
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            tracked.seen(ticket, engine, &pod.id, pod.running, &mut turn);
        }
        for (name, tracked) in &mut self.tracked {
            let ids = ids.get(&**name).map_or(&[][..], Vec::as_slice);
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            tracked.unseen(ticket, engine, ids, &mut turn);
            self.dirty.insert(name.clone());
        }
    }
}
