//! The agent as a whole: every event comes in here, and each rule has its say in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    agenda::Agenda,
    clock::Clock,
    conditions::Conditions,
    context::{Context, Turn},
    control_plane::conversation::{self, Conversation, Said},
    deployments::Deployments,
    engines::Engines,
    eviction::{self, Evictions},
    foreign::Confidences,
    hindered::Hindered,
    listings::Listings,
    model::{
        call::{Answer, CallFailure, CallKind, Remembered},
        deployment::{DeploymentFact, DeploymentOutcome, DeploymentTask},
        event::{Action, Event, Sample, Setup},
        gather::gather,
        notice::{Notice, Problem, Reason},
        order::{Fact, Failure, Outcome, Task},
        part::{Kept, Part},
        phase::Phase,
        question::{Asker, Question, Reply},
        report::Report,
        time::{Now, Wake},
        workload::{Engine, Workload, WorkloadId},
    },
    reconcile::{self, Tracked, Workloads},
    redact::Redactor,
    rivals,
    sources::{Merged, Sources},
    view::report::Everything,
};

/// The whole state of the agent.
#[derive(Debug)]
pub struct Agent {
    conditions: Conditions,
    listings: Listings,
    engines: Engines,
    pub(super) workloads: Workloads,
    pub(super) deployments: Deployments,
    sources: Sources,
    server: Option<Conversation>,
    pub(super) evictions: Evictions,
    /// Taken up with the first event.
    remembered: Option<Remembered>,
    hindered: Hindered,
    /// What is wrong with the configuration, as told.
    problems: BTreeSet<String>,
    clock: Clock,
    /// What is wrong with the manifests, which their reader has told.
    complaints: Vec<Problem>,
    agenda: Agenda,
    confidences: Confidences,
    /// See [`revision`](Self::revision).
    revision: u64,
    pub(super) context: Context,
}

/// What a workload sees of the agent while it is its turn.
macro_rules! turn {
    ($agent:ident, $now:expr) => {
        Turn { now: $now, context: &mut $agent.context, engines: &mut $agent.engines }
    };
}

impl Agent {
    /// An agent that knows nothing yet but its setup.
    pub fn new(mut setup: Setup) -> Self {
        let context = Context::new(&mut setup);
        Self {
            conditions: Conditions::new(setup.metrics_ttl),
            listings: Listings::default(),
            engines: Engines::new(&setup.engines, setup.interval),
            workloads: BTreeMap::new(),
            deployments: Deployments::default(),
            sources: Sources::new(&mut setup),
            server: None,
            evictions: Evictions::new(setup.default_memory),
            remembered: setup.server,
            hindered: Hindered::default(),
            problems: BTreeSet::new(),
            clock: Clock::default(),
            complaints: Vec::new(),
            agenda: Agenda::default(),
            confidences: Confidences::default(),
            revision: 0,
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
    pub fn decide(&mut self, event: Event, now: Now) -> (Vec<Action>, Wake) {
        if let Some(remembered) = self.remembered.take() {
            self.resume(remembered, now);
        }
        let event = self.confidences.fit(event);
        if !matches!(event, Event::Metrics(_) | Event::Tick | Event::Asked(..)) {
            self.revision += 1;
        }
        let mut changed = Vec::new();
        if let Event::Metrics(samples) = event {
            self.conditions.set(&samples, now.up, &mut changed);
        } else {
            self.take_in(event, now);
        }
        self.look_at_clock(now);
        self.conditions.expire(now.up, &mut changed);
        for condition in changed {
            self.agenda.extend(self.listings.of(condition).cloned());
        }
        let evictions = self.evictions.advance(&mut self.workloads, &mut self.agenda, &mut turn!(self, now));
        self.advance(now);
        for engine in self.engines.due(now.up) {
            let ticket = match engine {
                Engine::Kubernetes => self.context.deploy(DeploymentTask::List),
                Engine::Podman { .. } => self.context.order(engine, Task::List),
            };
            self.engines.asked(engine, ticket);
        }
        if self.context.images.is_due() {
            self.discard_images();
        }
        self.context.keep();
        let wake = self.agenda.wake().earlier(self.engines.wake()).earlier(self.conditions.next_expiry());
        let wake = wake.earlier(self.converse(now)).earlier(evictions);
        (std::mem::take(&mut self.context.actions), wake)
    }

    /// Another number when phases, missing engines or the link may have changed.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Every workload name, and where its pod is.
    pub fn phases(&self) -> impl Iterator<Item = (&str, Phase)> {
        let pods = self.workloads.iter().map(|(name, tracked)| (&**name, tracked.phase));
        pods.chain(self.deployments.phases())
    }

    /// The engines that don't answer.
    pub fn missing_engines(&self) -> impl Iterator<Item = Engine> + '_ {
        self.engines.missing()
    }

    /// How things are with the edge API, in a few words for people; none where none is talked to.
    pub fn link(&self) -> Option<&'static str> {
        self.server.as_ref().map(|server| server.link.summary())
    }

    /// Takes the values of `Secret`s out of texts: those of what is wanted, of what it may return to, and of what was
    /// wanted until the last change, some of which still runs.
    pub fn redactor(&self) -> &Arc<Redactor> {
        self.confidences.redactor()
    }

    /// How everything is.
    pub fn report(&self, now: Now) -> Report {
        self.everything(now).report()
    }

    fn everything(&self, now: Now) -> Everything<'_> {
        Everything {
            now,
            context: &self.context,
            engines: &self.engines,
            evictions: &self.evictions,
            hindered: &self.hindered,
            sources: &self.sources,
            conditions: &self.conditions,
            workloads: &self.workloads,
            deployments: &self.deployments,
            server: self.server.as_ref(),
            clock_behind: self.clock.is_behind(),
            problems: &self.problems,
            complaints: &self.complaints,
        }
    }

    fn take_in(&mut self, event: Event, now: Now) {
        match event {
            Event::Desired(desired) => {
                self.sources.manifests.get_or_insert_default().read(desired, Vec::new());
                self.want(now);
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
            Event::Watched(watched) => match self.deployments.watched(watched) {
                Some(name) => self.agenda.add(name),
                None => self.engines.ask(Engine::Kubernetes, now.up),
            },
            Event::Done(outcome) => self.done(outcome, now),
            Event::Deployed(outcome) => self.deployed(outcome, now),
            Event::Answered(kind, result) => self.answered(kind, result, now),
            Event::Pressure(pressure) => {
                let turn = &mut turn!(self, now);
                self.evictions.pressed(pressure, &self.workloads, &mut self.agenda, turn);
            }
            Event::Clock => self.clock_changed(now),
            Event::Stored(what, result) => self.take_in(Event::Works(Part::Storage(what), result), now),
            Event::Works(part, result) => self.hindered.set(part, result, &mut self.context),
            Event::Metrics(_) | Event::Tick | Event::Terminate | Event::Reload => {}
        }
    }

    fn advance(&mut self, now: Now) {
        self.revision += u64::from(self.agenda.look(now.up));
        if !self.sources.any_known() {
            return; // what runs may be wanted: nothing is touched before that is known
        }
        while let Some(name) = self.agenda.next() {
            let allowance = self.listings.allowance(&name, &self.conditions);
            let mut turn = turn!(self, now);
            let mut wake = self.deployments.advance(&name, allowance.runs, &mut turn);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                wake = wake.earlier(tracked.advance(allowance, &mut turn));
                tracked.note(now);
                if tracked.is_over() {
                    self.workloads.remove(&name);
                }
            }
            self.agenda.advanced(name, wake);
        }
    }

    /// What is wanted may have changed.
    fn want(&mut self, now: Now) {
        let kept = self.context.fallbacks.values().map(|it| &it.good.content);
        self.confidences.keep(self.sources.contents().chain(kept));
        let Merged { profiles, workloads: wanted, unreadable, mut problems } = self.sources.merged();
        for error in self.conditions.define(&profiles, now.up) {
            problems.insert(error.to_string());
        }
        self.listings = Listings::new(&wanted, &self.conditions, &mut problems);
        for problem in problems.difference(&self.problems) {
            self.context.tell(Notice::warning(Reason::ConfigurationRejected, problem.clone()));
        }
        self.problems = problems;
        self.context.partial = !self.sources.all_known();
        self.context.images.look();
        let is_pod = |workload: &Workload| workload.content.engine != Engine::Kubernetes;
        let pods = wanted.iter().filter(|(_, workload)| is_pod(workload)).map(|(name, _)| name);
        for name in unreadable.iter().chain(pods) {
            self.workloads.entry(name.clone()).or_insert_with_key(|name| Tracked::new(name.clone()));
        }
        for (name, tracked) in &mut self.workloads {
            tracked.unreadable = unreadable.contains(name);
            tracked.want(wanted.get(name).filter(|it| is_pod(it)).cloned(), &mut turn!(self, now));
            if let Some(workload) = tracked.wanted() {
                self.engines.add(workload.content.engine, now.up);
            }
            self.agenda.add(name.clone());
        }
        let deployed = wanted.iter().filter(|(_, workload)| !is_pod(workload));
        if self.deployments.want(deployed, &unreadable) {
            self.engines.add(Engine::Kubernetes, now.up);
        }
        self.agenda.extend(self.deployments.names());
        if !self.context.partial && unreadable.is_empty() {
            self.context.forget_all_but(self.workloads.values().filter_map(|it| it.wanted()).collect());
        }
        self.evictions.pardon(&mut self.workloads);
    }

    fn exited(&mut self, id: &WorkloadId, now: Now) {
        if let Some((name, tracked)) = self.workloads.iter_mut().find(|(_, tracked)| tracked.wants(id)) {
            tracked.exited(id, now.up);
            self.agenda.add(name.clone());
        }
    }

    fn done(&mut self, Outcome { engine, ticket, result }: Outcome, now: Now) {
        if let Ok(Fact::Pulled { fetched, .. } | Fact::Fit { fetched, .. }) = &result {
            // the workload may not want them any more: they are here, and it was us
            fetched.iter().for_each(|image| self.context.images.fetched(engine, image.clone()));
        }
        if let Some(name) = self.context.open.remove(&ticket) {
            let result = rivals::settle(&name, result, &self.workloads);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                tracked.done(engine, ticket, result, &mut turn!(self, now));
                self.agenda.add(name);
            }
            return;
        }
        if self.context.images.done(ticket, &result) {
            return;
        }
        let turn = &mut turn!(self, now);
        let result = self.evictions.weighed(ticket, result, &mut self.workloads, &mut self.agenda, turn);
        let Some(result) = result else { return };
        let tells = turn.engines.listed(engine, ticket);
        match result {
            Ok(Fact::Pods(pods)) if tells => {
                turn.answers(engine);
                reconcile::listed(&mut self.workloads, engine, ticket, &pods, turn);
                self.agenda.extend(self.workloads.keys().cloned());
            }
            Err(failure) if tells => self.unlisted(engine, failure, now),
            _ => {}
        }
    }

    fn deployed(&mut self, DeploymentOutcome { ticket, result }: DeploymentOutcome, now: Now) {
        if let Some(name) = self.context.open.remove(&ticket) {
            self.deployments.done(&name, result, &mut turn!(self, now));
            self.agenda.add(name);
            return;
        }
        let engine = Engine::Kubernetes;
        let tells = self.engines.listed(engine, ticket);
        match result {
            Ok(DeploymentFact::Listed(found)) if tells => {
                turn!(self, now).answers(engine);
                self.deployments.listed(ticket, found);
                self.agenda.extend(self.deployments.names());
            }
            Err(failure) if tells => self.unlisted(engine, failure, now),
            _ => {}
        }
    }

    /// The engine did not say what it has.
    fn unlisted(&mut self, engine: Engine, failure: Failure, now: Now) {
        let (Failure::Engine(cause) | Failure::Workload(cause)) = failure;
        turn!(self, now).failed(engine, "", &Failure::Engine(cause));
        self.agenda.extend(self.workloads.keys().cloned()); // who waited to hear of it waits no more
    }

    /// The wall clock was set, or the time zone may have changed: cron slots are other ones now.
    fn clock_changed(&mut self, now: Now) {
        for (name, tracked) in &mut self.workloads {
            if tracked.wanted().is_some_and(|wanted| !wanted.is_service()) {
                tracked.clock_changed(now);
                self.agenda.add(name.clone());
            }
        }
    }

    fn look_at_clock(&mut self, now: Now) {
        if let Some(news) = self.clock.look(self.context.clock_behind(now)) {
            self.revision += 1;
            self.clock_changed(now);
            self.context.tell(news);
        }
    }

    /// Orders the removal of images that nothing needs any more.
    fn discard_images(&mut self) {
        let is_known = !self.context.partial && self.sources.any_known();
        if !is_known || self.workloads.values().any(|it| it.unreadable || it.is_terminating()) {
            return; // what is needed isn't known, or is about to change: another look will come
        }
        let wanted = self.workloads.values().filter_map(|it| it.wanted());
        let kept = self.context.fallbacks.values().map(|it| &it.good);
        let contents = wanted.chain(kept).map(|workload| &workload.content);
        let used = gather(contents.flat_map(|it| it.images().map(|image| (it.engine, image))));
        for image in self.context.images.unused(&used) {
            let ticket = self.context.order(image.0, Task::Discard(image.1.clone()));
            self.context.images.ordered(ticket, image);
        }
    }

    /// Replies at once, or to a wish as soon as it is known whether it can be fulfilled.
    fn reply(&mut self, asker: Asker, question: &Question, now: Now) {
        let reply = match question {
            Question::Report => Some(Reply::Report(Box::new(self.report(now)))),
            Question::Restart(name) => self.restart(asker, name, now),
        };
        reply.into_iter().for_each(|reply| self.context.reply(asker, reply));
    }

    fn restart(&mut self, asker: Asker, name: &str, now: Now) -> Option<Reply> {
        if self.deployments.wanted(name).is_some() {
            let engine = Engine::Kubernetes;
            return Some(Reply::Refused(format!(
                "it runs on {engine}: use 'kubectl rollout restart deployment/{name}'"
            )));
        }
        let Some(tracked) = self.workloads.get_mut(name).filter(|it| it.wanted().is_some()) else {
            return Some(Reply::Unknown);
        };
        if self.context.short {
            let shortages = self.evictions.shortages().join("; ");
            return Some(Reply::Refused(format!("nothing new is started: {shortages}")));
        }
        self.agenda.add(name.into());
        tracked.restart(asker, &mut turn!(self, now)).err().map(Reply::Refused)
    }

    fn resume(&mut self, remembered: Remembered, now: Now) {
        let (server, is_known) = Conversation::resume(remembered, &mut self.sources, &mut turn!(self, now));
        self.server = Some(server);
        if is_known {
            self.want(now);
        }
    }

    /// A call was answered, or not.
    fn answered(&mut self, kind: CallKind, result: Result<Answer, CallFailure>, now: Now) {
        let store = self.hindered.has(&Part::Storage(Kept::State));
        let turn = &mut turn!(self, now);
        if let Some(server) = &mut self.server
            && let Some(notices) = server.answered(kind, result, store, &mut self.sources, turn)
        {
            self.want(now);
            notices.into_iter().for_each(|notice| self.context.tell(notice));
        }
    }

    /// Makes the calls that are due, and says when the next is.
    fn converse(&mut self, now: Now) -> Wake {
        let Some(mut server) = self.server.take() else { return Wake::Never };
        server.listen(&self.context.actions);
        if server.is_to_compare(self.revision) {
            server.compare(&self.said(&server, now), now.up, &mut self.context.random);
        }
        let due = server.due(now);
        let said = due.contains(&CallKind::Heartbeat).then(|| self.said(&server, now));
        let wake = server.call(due, said, now.up, &mut self.context);
        self.server = Some(server);
        wake
    }

    fn said(&self, server: &Conversation, now: Now) -> Said {
        let degraded = self.everything(now).is_degraded() || server.is_stuck();
        conversation::said(degraded, &self.sources, &self.workloads, &self.deployments)
    }
}
