//! The agent as a whole: every event comes in here, and each rule has its say in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    agenda::Agenda,
    circles::circles,
    conditions::{ConditionId, Conditions},
    context::{Context, Turn},
    control_plane::conversation::Conversation,
    dependencies::{AllWorkloads, Dependencies},
    deployments::Deployments,
    engines::Engines,
    eviction::{self, Evictions},
    hindered::Hindered,
    history::Past,
    model::{
        call::{Answer, CallFailure, CallKind, Remembered},
        deployment::DeploymentTask,
        event::{Action, Event, Sample, Setup},
        notice::{Notice, Problem, Reason},
        order::Task,
        part::{Part, Storage},
        question::{Asker, Question, Reply},
        record::Record,
        time::{Now, Wake},
        workload::{Engine, Workload},
    },
    profiles::{Allowance, Profiles},
    reconcile::{self, Tracked, Workloads},
    redact_events::EventRedactor,
    sources::{Merged, Sources},
    update_gate,
    wishes::Wishes,
    wrong_clock::Clock,
};

/// What a workload sees of the agent while it is its turn.
macro_rules! turn {
    ($agent:ident, $now:expr) => {
        Turn { now: $now, context: &mut $agent.context, engines: &mut $agent.engines }
    };
}

mod outcomes;
mod shown;
mod times;

/// The whole state of the agent.
#[derive(Debug)]
pub struct Agent {
    conditions: Conditions,
    profiles: Profiles,
    dependencies: Dependencies,
    engines: Engines,
    pub(super) workloads: Workloads,
    pub(super) deployments: Deployments,
    sources: Sources,
    server: Option<Conversation>,
    pub(super) evictions: Evictions,
    /// Taken up with the first event.
    remembered: Option<Remembered>,
    hindered: Hindered,
    past: Past,
    /// What is wrong with the configuration, as told.
    problems: BTreeSet<String>,
    clock: Clock,
    /// What is wrong with the manifests, which their reader has told.
    complaints: Vec<Problem>,
    agenda: Agenda,
    event_redactor: EventRedactor,
    /// See [`revision`](Self::revision).
    revision: u64,
    /// Conditions that changed in this step; empty after it, and kept for its memory.
    changed: Vec<ConditionId>,
    pub(super) context: Context,
}

impl Agent {
    /// An agent that knows nothing yet but its setup.
    pub fn new(mut setup: Setup) -> Self {
        let context = Context::new(&mut setup);
        let mut conditions = Conditions::new(setup.metrics_ttl);
        conditions.remember(&setup.own_metrics);
        conditions.recall(std::mem::take(&mut setup.lasting));
        Self {
            conditions,
            profiles: Profiles::default(),
            dependencies: Dependencies::default(),
            engines: Engines::new(&setup.engines, setup.interval),
            workloads: BTreeMap::new(),
            deployments: Deployments::default(),
            sources: Sources::new(&mut setup),
            server: None,
            evictions: Evictions::new(setup.default_memory),
            remembered: setup.server,
            hindered: Hindered::default(),
            past: Past::new(setup.history),
            problems: BTreeSet::new(),
            clock: Clock::default(),
            complaints: Vec::new(),
            agenda: Agenda::default(),
            event_redactor: EventRedactor::default(),
            revision: 0,
            changed: Vec::new(),
            context,
        }
    }

    /// Takes in the metrics that an earlier process was given, each with its time since boot.
    pub fn restore(&mut self, metrics: &[(Sample, Duration)]) {
        for (sample, posted) in metrics {
            self.conditions.set(std::slice::from_ref(sample), *posted, &mut Vec::new());
        }
    }

    /// Takes in one event and says what to do now, and when to be called again at the latest.
    pub fn decide(&mut self, mut event: Event, now: Now) -> (Vec<Action>, Wake) {
        if let Some(remembered) = self.remembered.take() {
            self.resume(remembered, now);
        }
        self.event_redactor.redact(&mut event);
        if !matches!(event, Event::Metrics(_) | Event::Tick | Event::Asked(..)) {
            self.revision += 1;
        }
        self.conditions.expire(now.up, &mut self.changed);
        if let Event::Metrics(samples) = &event {
            self.conditions.set(samples, now.up, &mut self.changed);
        }
        self.conditions_changed();
        self.take_in(event, now);
        self.look_at_clock(now);
        let time = self.look_at_time(now);
        let (look, hardware) = self.conditions.look_at_hardware(now.up);
        self.context.actions.extend(look.map(Action::LookAt));
        let evictions = self.evictions.advance(&mut self.workloads, &mut self.agenda, &mut turn!(self, now));
        self.advance(now);
        self.context.update_lock.forget();
        for engine in self.engines.due(now.up) {
            let ticket = match engine {
                Engine::Kubernetes => self.context.deploy(DeploymentTask::List),
                Engine::Podman { .. } => self.context.order(engine, Task::List),
            };
            self.engines.list_ordered(engine, ticket);
        }
        if self.context.images.is_due() {
            self.discard_images();
        }
        self.context.actions.extend(self.conditions.news().map(Record::OwnMetrics).map(Action::Keep));
        self.context.actions.extend(self.conditions.lasting_news().map(Record::Lasting).map(Action::Keep));
        self.context.keep();
        let wake = self
            .agenda
            .wake()
            .earlier(self.engines.wake())
            .earlier(self.conditions.next_expiry())
            .earlier(time)
            .earlier(hardware);
        let wake = wake.earlier(self.converse(now)).earlier(evictions);
        self.past.listen(&mut self.context.actions, now);
        (std::mem::take(&mut self.context.actions), wake)
    }

    fn take_in(&mut self, event: Event, now: Now) {
        match event {
            Event::Desired(desired) => {
                self.sources.manifests.get_or_insert_default().read(desired, Vec::new());
                self.apply_configuration(now);
            }
            Event::Notice(notice) => self.context.tell(notice),
            Event::Problems(problems) => self.complaints = problems,
            Event::Asked(asker, question) => self.reply(asker, &question, now),
            Event::Exited(_, id) => self.exited(&id, now),
            Event::Refused(_, id, limit) => {
                if let Some(tracked) = reconcile::of(&self.workloads, &id) {
                    self.context.tell(eviction::process_limit(tracked, limit));
                }
            }
            Event::Socket(engine, is_there)
                if is_there || self.workloads.values().any(|it| it.uses(engine)) =>
            {
                self.engines.add(engine, now.up); // there may be orphans on it
            }
            Event::Socket(engine, _) => {
                self.engines.remove(engine);
                self.all_pods_are_due(); // who waited to hear of it waits no more
            }
            Event::Watched(watched) => match self.deployments.watched(watched) {
                Some(name) => self.agenda.add(name),
                None => self.engines.list_now(Engine::Kubernetes, now.up),
            },
            Event::Done(outcome) => self.done(outcome, now),
            Event::Deployed(outcome) => self.deployed(outcome, now),
            Event::Answered(kind, result) => self.answered(kind, result, now),
            Event::Pressure(pressure) => {
                let turn = &mut turn!(self, now);
                self.evictions.pressed(pressure, &self.workloads, &mut self.agenda, turn);
            }
            Event::Clock => self.clock_changed(now),
            Event::NotBefore(time) => self.context.not_before = self.context.not_before.max(time),
            Event::Hardware(found) => {
                self.conditions.found(&found, now.up, &mut self.changed);
                self.conditions_changed();
            }
            Event::UpdateLock(held) => {
                self.context.update_lock.told(held);
                self.agenda.add_all(self.context.waiting.names());
            }
            Event::Stored(what, result) => self.take_in(Event::Works(Part::Storage(what), result), now),
            Event::Works(part, result) => self.hindered.set(part, result, &mut self.context),
            Event::Metrics(_) | Event::Tick | Event::Terminate | Event::Reload => {}
        }
    }

    fn advance(&mut self, now: Now) {
        self.revision += u64::from(self.agenda.look(now.up));
        if !self.sources.any_known() || self.conditions.is_hardware_unknown() {
            return; // what runs may be wanted, and may run: nothing is touched before that is known
        }
        while let Some(name) = self.agenda.next() {
            let (runs, cpu) = self.profiles.allow(&name, &self.conditions);
            let waits = self.context.waiting.waits(&name) || self.deployments.wanted(&name).is_some();
            let gate = waits.then(|| self.profiles.update_gate(&name)).flatten();
            let update = gate.map(|gate| gate.permit(&self.conditions, &self.context, now));
            let starts = self.dependencies.are_ready(&name, &self.others());
            let allowance = Allowance { runs, starts, cpu, update };
            let mut turn = turn!(self, now);
            let mut wake = self.deployments.advance(&name, allowance, &mut turn);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                wake = wake.earlier(tracked.advance(allowance, &mut turn));
                tracked.note(now);
                if tracked.is_over() {
                    self.workloads.remove(&name);
                }
            }
            self.tell_others(&name, now);
            self.agenda.advanced(name, wake);
        }
    }

    fn others(&self) -> AllWorkloads<'_> {
        AllWorkloads { workloads: &self.workloads, deployments: &self.deployments }
    }

    /// Others may depend on how this workload is now.
    fn tell_others(&mut self, name: &str, now: Now) {
        let others = AllWorkloads { workloads: &self.workloads, deployments: &self.deployments };
        self.agenda.add_all(self.dependencies.changed(name, &others).iter().cloned());
        let (is_partial, is_listed) = (self.context.partial, self.engines.ready(Engine::Kubernetes));
        let metrics = || others.metrics(name, is_partial, is_listed);
        self.conditions.know(name, metrics, now.up, &mut self.changed);
        self.conditions_changed();
    }

    /// The workloads that list conditions which changed may be due.
    fn conditions_changed(&mut self) {
        for condition in self.changed.drain(..) {
            self.agenda.add_all(self.profiles.of(condition).cloned());
        }
    }

    fn all_pods_are_due(&mut self) {
        self.agenda.add_all(self.workloads.keys().cloned());
    }

    fn all_deployments_are_due(&mut self) {
        self.agenda.add_all(self.deployments.all_names().cloned());
    }

    /// What is wanted may have changed.
    fn apply_configuration(&mut self, now: Now) {
        let kept = self.context.fallbacks.values().map(|it| &it.good.content);
        let kept = kept.chain(self.context.waiting.contents());
        self.event_redactor.keep(self.sources.contents().chain(kept));
        let Merged { mut profiles, update, workloads: wanted, unreadable, mut problems } =
            self.sources.merged();
        let rules = wanted.values().filter_map(|it| it.update.as_deref()).chain(update.as_deref());
        profiles.extend(update_gate::as_profile(rules));
        for error in self.conditions.define(&profiles, now.up) {
            problems.insert(error.to_string());
        }
        let circles = circles(&wanted, &self.conditions).into_iter();
        problems.extend(circles.map(|(name, why)| format!("workload '{name}' {why}; it isn't started")));
        self.profiles = Profiles::new(&wanted, update.as_deref(), &self.conditions, &mut problems);
        self.dependencies = Dependencies::new(&wanted, &unreadable, &mut problems);
        for problem in problems.difference(&self.problems) {
            self.context.tell(Notice::warning(Reason::ConfigurationRejected, problem.clone()));
        }
        self.problems = problems;
        self.context.partial = !self.sources.all_known();
        self.context.images.look();
        for notice in self.context.stops.asked(&wanted, !self.context.partial && unreadable.is_empty()) {
            self.context.tell(notice);
        }
        let is_pod = |workload: &Workload| workload.content.engine != Engine::Kubernetes;
        let pods = wanted.iter().filter(|(_, workload)| is_pod(workload)).map(|(name, _)| name);
        for name in unreadable.iter().chain(pods) {
            self.workloads.entry(name.clone()).or_insert_with_key(|name| Tracked::new(name.clone()));
        }
        for (name, tracked) in &mut self.workloads {
            tracked.unreadable = unreadable.contains(name);
            let is_gated = self.profiles.update_gate(name).is_some() && !self.context.is_let_go(name);
            let asked = wanted.get(name).filter(|it| is_pod(it)).cloned();
            tracked.follow_configuration(asked, is_gated, &mut turn!(self, now));
            if let Some(workload) = tracked.wanted() {
                self.engines.add(workload.content.engine, now.up);
            }
        }
        let deployed = wanted.iter().filter(|(_, workload)| !is_pod(workload));
        if self.deployments.want(deployed, &unreadable) {
            self.engines.add(Engine::Kubernetes, now.up);
        }
        self.all_pods_are_due();
        self.all_deployments_are_due();
        if !self.context.partial && unreadable.is_empty() {
            self.context.forget_all_but(self.workloads.values().filter_map(|it| it.wanted()).collect());
            self.context.waiting.only(|name| wanted.contains_key(name));
        }
        if !self.context.partial {
            self.conditions.forget_unasked();
        }
        for name in self.conditions.workloads() {
            self.tell_others(&name, now);
        }
    }

    /// Replies at once, or to a wish as soon as it is known whether it can be fulfilled.
    fn reply(&mut self, asker: Asker, question: &Question, now: Now) {
        let reply = match question {
            Question::Report => Some(Reply::Report(Box::new(self.report(now)))),
            Question::History => Some(Reply::History(self.past.all().clone())),
            _ => self.wish(asker, question, now),
        };
        if let (Question::RollBack(..), Some(Reply::Done(_))) = (question, &reply) {
            self.apply_configuration(now);
        }
        reply.into_iter().for_each(|reply| self.context.reply(asker, reply));
    }

    fn wish(&mut self, asker: Asker, question: &Question, now: Now) -> Option<Reply> {
        let turn = &mut turn!(self, now);
        let Self { workloads, deployments, conditions, evictions, agenda, .. } = self;
        Wishes { workloads, deployments, conditions, evictions, agenda, turn }.answer(asker, question)
    }

    fn resume(&mut self, remembered: Remembered, now: Now) {
        let (server, is_known) = Conversation::resume(remembered, &mut self.sources, &mut turn!(self, now));
        self.server = Some(server);
        if is_known {
            self.apply_configuration(now);
        }
    }

    /// A call was answered, or not.
    fn answered(&mut self, kind: CallKind, result: Result<Answer, CallFailure>, now: Now) {
        let store = self.hindered.has(&Part::Storage(Storage::State));
        let turn = &mut turn!(self, now);
        if let Some(server) = &mut self.server
            && let Some(notices) = server.answered(kind, result, store, &mut self.sources, turn)
        {
            self.apply_configuration(now);
            notices.into_iter().for_each(|notice| self.context.tell(notice));
        }
    }

    /// Makes the calls that are due, and says when the next is.
    fn converse(&mut self, now: Now) -> Wake {
        let Some(mut server) = self.server.take() else { return Wake::Never };
        server.listen(&self.context.actions);
        if server.is_to_compare(self.revision) {
            server.compare(&self.told_status(&server, now), now.up, &mut self.context.random);
        }
        let due = server.due(now);
        let said = due.contains(&CallKind::Heartbeat).then(|| self.told_status(&server, now));
        let wake = server.call(due, said, now.up, &mut self.context);
        self.server = Some(server);
        wake
    }
}
