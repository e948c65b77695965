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
//! | what a container's end means | `verdict` |
//! | where a workload's pod can be | [`phase`] |
//! | from what is wanted to what is there | `reconcile` |
//! | pods that shall go | `leaving` |
//! | conditions that change too often | `flapping` |
//! | engines that don't answer, and the full look | `engines` |
//! | several sources made one | `sources` |
//! | which calls are made to the edge API, and when | `link` |
//! | what its answers lead to | `conversation` |
//! | what a heartbeat says | `heartbeat` |

mod book;
pub mod call;
mod conversation;
mod engines;
pub mod expression;
mod flapping;
mod heartbeat;
mod leaving;
mod link;
pub mod notice;
pub mod order;
pub mod phase;
pub mod profile;
mod random;
mod reconcile;
pub mod schedule;
mod slots;
mod sources;
#[cfg(test)]
pub(crate) mod tests;
pub mod time;
mod verdict;
pub mod workload;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use book::{Book, Turn};
use call::{Answer, Call, CallFailure, CallKind, Remembered};
use conversation::Server;
use engines::Engines;
use notice::{Notice, Reason};
use order::{Fact, Failure, Order, Outcome, PodSummary, Task, Ticket};
use phase::Phase;
use profile::{ConditionId, Conditions};
use reconcile::Tracked;
pub use slots::NextSlot;
use sources::{Merged, Source, Sources};
use time::{Now, Wake};
use workload::{Desired, Engine, WorkloadId};

/// A metric's newest value, as somebody on the device posted it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A name that an expression can mention.
    pub name: String,
    /// Finite; `None` unsets the metric.
    pub value: Option<f64>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Metrics were posted, oldest first.
    Metrics(Vec<Sample>),
    /// The manifests were read anew, and what they ask for has changed.
    Desired(Desired),
    /// A source or a worker has something to say.
    Notice(Notice),
    /// A process of this pod ended.
    Exited(Engine, WorkloadId),
    /// An order was carried out, or not.
    Done(Outcome),
    /// A call to the edge API was answered, or not.
    Answered(CallKind, Result<Answer, CallFailure>),
    /// What was to be kept over a restart was written, or could not be.
    Stored(Result<(), String>),
    /// Time passed.
    Tick,
    /// The process was asked to end; workloads stay.
    Terminate,
    /// The settings shall be read again.
    Reload,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// For an engine.
    Order(Order),
    /// For the edge API.
    Call(Call),
    /// For people.
    Tell(Notice),
    /// To be kept over a reboot: the workloads that finished and don't run again, with their exit codes.
    Remember(Finished),
    /// To be kept over a reboot: the configuration that is applied now, as the server wrote it.
    StoreConfiguration(Arc<[u8]>),
    /// The server unregistered this device. To be kept over a reboot ([`Remembered::disconnected`]); the device's
    /// identity and the stored configuration are to be forgotten.
    Disconnect,
}

/// The workloads that finished and don't run again, with their exit codes.
pub type Finished = BTreeMap<WorkloadId, i32>;

/// What the agent is told once, when it starts.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The engines of this device, as far as is known; others are added when a workload wants them.
    pub engines: Vec<Engine>,
    /// Between two full looks at an engine (`workloads_monitoring_interval`).
    pub interval: Duration,
    /// A metric older than this is unset.
    pub metrics_ttl: Option<Duration>,
    /// What was last given to [`Action::Remember`].
    pub finished: Finished,
    /// Whether there is a directory of manifests: nothing goes as an orphan before it was read.
    pub manifests: bool,
    /// What an earlier process left behind of its conversation with the edge API; `None`: there is no server.
    pub server: Option<Remembered>,
    /// How the device's time zone reads a cron schedule.
    pub next_slot: NextSlot,
    /// Any number: what randomness is made of.
    pub seed: u64,
}

/// The whole state of the agent.
#[derive(Debug)]
pub struct Agent {
    conditions: Conditions,
    engines: Engines,
    /// By the workload's name.
    tracked: BTreeMap<Arc<str>, Tracked>,
    /// For each workload with profiles, the conditions of each; one that the device lacks never holds.
    gates: BTreeMap<Arc<str>, Vec<Vec<ConditionId>>>,
    /// The workloads that list a condition.
    listed_by: BTreeMap<ConditionId, Vec<Arc<str>>>,
    sources: Sources,
    server: Option<Server>,
    /// Taken up with the first event.
    remembered: Option<Remembered>,
    /// Why nothing can be kept over a restart, as told.
    store_broken: Option<String>,
    /// What is wrong with the configuration, as told.
    problems: BTreeSet<String>,
    /// Workloads that something happened to.
    dirty: BTreeSet<Arc<str>>,
    deadlines: BTreeSet<(Duration, Arc<str>)>,
    deadline_of: BTreeMap<Arc<str>, Duration>,
    /// See [`revision`](Self::revision).
    revision: u64,
    book: Book,
}

impl Agent {
    /// An agent that knows nothing yet but its setup.
    pub fn new(setup: Setup) -> Self {
        Self {
            conditions: Conditions::new(setup.metrics_ttl),
            engines: Engines::new(&setup.engines, setup.interval),
            tracked: BTreeMap::new(),
            gates: BTreeMap::new(),
            listed_by: BTreeMap::new(),
            sources: Sources {
                server: setup.server.as_ref().map(|_| Source::default()),
                manifests: setup.manifests.then(Source::default),
            },
            server: None,
            remembered: setup.server,
            store_broken: None,
            problems: BTreeSet::new(),
            dirty: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            deadline_of: BTreeMap::new(),
            revision: 0,
            book: Book::new(setup.finished, setup.next_slot, setup.seed),
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
        let mut changed = Vec::new();
        if !matches!(event, Event::Metrics(_) | Event::Tick) {
            self.revision += 1;
        }
        match event {
            Event::Metrics(samples) => self.conditions.set(&samples, now.up, &mut changed),
            Event::Desired(desired) => {
                self.sources.manifests.get_or_insert_default().read(desired, Vec::new());
                self.want(now);
            }
            Event::Notice(notice) => self.book.tell(notice),
            Event::Exited(_, id) => self.exited(&id, now),
            Event::Done(outcome) => self.done(outcome, now),
            Event::Answered(kind, result) => self.answered(kind, result, now),
            Event::Stored(result) => self.stored(result),
            Event::Tick | Event::Terminate | Event::Reload => {}
        }
        self.conditions.expire(now.up, &mut changed);
        for condition in changed {
            if let Some(names) = self.listed_by.get(&condition) {
                self.dirty.extend(names.iter().cloned());
            }
        }
        self.advance(now);
        for engine in self.engines.due(now.up) {
            let ticket = self.book.order(engine, Task::List);
            self.engines.asked(engine, ticket);
        }
        if std::mem::take(&mut self.book.finished_changed) {
            self.book.actions.push(Action::Remember(self.book.finished.clone()));
        }
        let deadline = self.deadlines.first().map_or(Wake::Never, |(at, _)| Wake::At(*at));
        let wake = deadline.earlier(self.engines.wake()).earlier(self.conditions.next_expiry());
        let wake = wake.earlier(self.converse(now));
        (std::mem::take(&mut self.book.actions), wake)
    }

    /// Another number when phases or missing engines may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every workload name, and where its pod is.
    pub fn phases(&self) -> impl Iterator<Item = (&str, Phase)> {
        self.tracked.iter().map(|(name, tracked)| (&**name, tracked.phase))
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
            let allowed = self.allowed(&name);
            let Some(tracked) = self.tracked.get_mut(&name) else { continue };
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            let wake = tracked.advance(allowed, &mut turn);
            if tracked.is_over() {
                self.tracked.remove(&name);
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

    /// Whether every profile that the workload lists has a condition that holds.
    fn allowed(&self, name: &str) -> bool {
        let gates = self.gates.get(name).map_or(&[][..], Vec::as_slice);
        gates.iter().all(|profile| profile.iter().any(|condition| self.conditions.holds(*condition)))
    }

    /// What shall run may have changed.
    fn want(&mut self, now: Now) {
        let Merged { profiles, workloads: wanted, held, mut problems } = self.sources.merged();
        for error in self.conditions.define(&profiles, now.up) {
            problems.insert(error.to_string());
        }
        self.gates.clear();
        self.listed_by.clear();
        for name in held.iter().chain(wanted.keys()) {
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
                    gate.push(id);
                    self.listed_by.entry(id).or_default().push(name.clone());
                }
                gates.push(gate);
            }
            self.gates.insert(name.clone(), gates);
            self.engines.add(workload.content.engine, now.up);
        }
        for problem in problems.difference(&self.problems) {
            self.book.tell(Notice::warning(Reason::ConfigurationRejected, problem.clone()));
        }
        self.problems = problems;
        self.book.partial = !self.sources.all_known();
        if !self.book.partial && held.is_empty() {
            let before = self.book.finished.len();
            let ids: BTreeSet<&WorkloadId> = wanted.values().map(|workload| &workload.id).collect();
            self.book.finished.retain(|id, _| ids.contains(id));
            self.book.finished_changed |= self.book.finished.len() != before;
        }
        for (name, tracked) in &mut self.tracked {
            tracked.held = held.contains(name);
            let workload = wanted.get(name).cloned();
            let finished =
                workload.as_ref().and_then(|workload| self.book.finished.get(&workload.id).copied());
            let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
            tracked.want(workload, finished, &mut turn);
            self.dirty.insert(name.clone());
        }
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
        if let Some(name) = self.book.open.remove(&ticket) {
            if let Some(tracked) = self.tracked.get_mut(&name) {
                let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
                tracked.done(ticket, result, &mut turn);
                self.dirty.insert(name);
            }
            return;
        }
        let tells = self.engines.listed(engine, ticket);
        match result {
            Ok(Fact::Pods(pods)) if tells => self.listed(engine, ticket, &pods, now),
            Err(failure @ Failure::Engine(_)) | Err(failure @ Failure::Workload(_)) if tells => {
                let (Failure::Engine(cause) | Failure::Workload(cause)) = failure;
                let mut turn = Turn { now, book: &mut self.book, engines: &mut self.engines };
                turn.failed(engine, "", &Failure::Engine(cause));
            }
            _ => {}
        }
    }

    fn listed(&mut self, engine: Engine, ticket: Ticket, pods: &[PodSummary], now: Now) {
        if self.engines.answered(engine, now.up) {
            self.book.tell(Notice::info(Reason::EngineBack, format!("{engine} answers again")));
        }
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
