//! The agent as a whole: every event comes in here, and each rule has its say in turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    agenda::Agenda,
    conditions::{ConditionId, Conditions},
    context::{Context, Turn},
    control_plane::conversation::Conversation,
    dependencies::{AllWorkloads, Dependencies},
    dependency_cycles::find_dependency_cycles,
    deployments::Deployments,
    engines::Engines,
    eviction::{self, Evictions},
    failed_subsystems::FailedSubsystems,
    history::NoticeHistory,
    model::{
        call::{Answer, CallFailure, CallKind, PersistedLinkState},
        deployment::DeploymentTask,
        event::{Action, Event, Sample, Setup},
        notice::{Notice, Problem, Reason},
        order::Task,
        question::{Asker, Question, Reply},
        record::Record,
        subsystem::{Storage, Subsystem},
        time::{Now, Wake},
        workload::{Engine, Workload},
    },
    profiles::{Allowance, WorkloadProfiles},
    reconcile::{self, TrackedWorkload, Workloads},
    redact_events::EventRedactor,
    sources::{MergedSources, Sources},
    update_gate,
    wishes::WishHandler,
    wrong_clock::ClockState,
};

/// What a workload sees of the agent while it is its turn.
macro_rules! turn {
    ($agent:ident, $now:expr) => {
        Turn { now: $now, context: &mut $agent.context, engines: &mut $agent.engines }
    };
}

mod outcomes;
mod report_inputs;
mod times;

/// The whole state of the agent.
#[derive(Debug)]
pub struct Agent {
    conditions: Conditions,
    profiles: WorkloadProfiles,
    dependencies: Dependencies,
    engines: Engines,
    pub(super) workloads: Workloads,
    pub(super) deployments: Deployments,
    sources: Sources,
    server: Option<Conversation>,
    pub(super) evictions: Evictions,
    /// Taken up with the first event.
    remembered: Option<PersistedLinkState>,
    failed_subsystems: FailedSubsystems,
    past: NoticeHistory,
    /// What is wrong with the configuration, as told.
    problems: BTreeSet<String>,
    clock: ClockState,
    /// What is wrong with the manifests, which their reader has told.
    manifest_problems: Vec<Problem>,
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
        conditions.restore_built_in_metrics(&setup.built_in_metrics);
        conditions.restore_hysteresis(std::mem::take(&mut setup.lasting));
        Self {
            conditions,
            profiles: WorkloadProfiles::default(),
            dependencies: Dependencies::default(),
            engines: Engines::new(&setup.engines, setup.interval),
            workloads: BTreeMap::new(),
            deployments: Deployments::default(),
            sources: Sources::new(&mut setup),
            server: None,
            evictions: Evictions::new(setup.default_memory),
            remembered: setup.server,
            failed_subsystems: FailedSubsystems::default(),
            past: NoticeHistory::new(setup.history),
            problems: BTreeSet::new(),
            clock: ClockState::default(),
            manifest_problems: Vec::new(),
            agenda: Agenda::default(),
            event_redactor: EventRedactor::default(),
            revision: 0,
            changed: Vec::new(),
            context,
        }
    }

    /// Takes in the metrics that an earlier process was given, each with its time since boot.
    pub fn restore_metrics(&mut self, metrics: &[(Sample, Duration)]) {
        for (sample, posted) in metrics {
            self.conditions.set(std::slice::from_ref(sample), *posted, &mut Vec::new());
        }
    }

    /// Takes in one event and says what to do now, and when to be called again at the latest.
    pub fn decide(&mut self, mut event: Event, now: Now) -> (Vec<Action>, Wake) {
        if let Some(remembered) = self.remembered.take() {
            self.resume_server_link(remembered, now);
        }
        self.event_redactor.redact(&mut event);
        if !matches!(event, Event::Metrics(_) | Event::Tick | Event::Asked(..)) {
            self.revision += 1;
        }
        self.conditions.expire(now.up, &mut self.changed);
        if let Event::Metrics(samples) = &event {
            self.conditions.set(samples, now.up, &mut self.changed);
        }
        self.enqueue_affected_workloads();
        self.handle_event(event, now);
        self.look_at_clock(now);
        let time = self.update_time_metrics(now);
        let (look, hardware) = self.conditions.take_due_hardware(now.up);
        self.context.actions.extend(look.map(Action::LookAt));
        let evictions = self.evictions.advance(&mut self.workloads, &mut self.agenda, &mut turn!(self, now));
        self.advance_workloads(now);
        self.context.update_lock.expire_free();
        for engine in self.engines.engines_to_list(now.up) {
            let ticket = match engine {
                Engine::Kubernetes => self.context.issue_deployment_order(DeploymentTask::List),
                Engine::Podman { .. } => self.context.issue_order(engine, Task::List),
            };
            self.engines.mark_list_ordered(engine, ticket);
        }
        if self.context.images.is_due() {
            self.discard_images();
        }
        self.context.actions.extend(
            self.conditions.take_changed_built_in_metrics().map(Record::BuiltInMetrics).map(Action::Keep),
        );
        self.context
            .actions
            .extend(self.conditions.take_changed_hysteresis().map(Record::Hysteresis).map(Action::Keep));
        self.context.push_records_and_replies();
        let wake = self
            .agenda
            .next_wake()
            .earlier(self.engines.next_wake())
            .earlier(self.conditions.next_expiry())
            .earlier(time)
            .earlier(hardware);
        let wake = wake.earlier(self.make_due_calls(now)).earlier(evictions);
        self.past.record_notices(&mut self.context.actions, now);
        (std::mem::take(&mut self.context.actions), wake)
    }

    fn handle_event(&mut self, event: Event, now: Now) {
        match event {
            Event::Desired(desired) => {
                self.sources.manifests.get_or_insert_default().set_desired(desired, Vec::new());
                self.apply_configuration(now);
            }
            Event::Notice(notice) => self.context.tell(notice),
            Event::Problems(problems) => self.manifest_problems = problems,
            Event::Asked(asker, question) => self.reply(asker, &question, now),
            Event::Exited(_, id) => self.on_process_exited(&id, now),
            Event::Refused(_, id, limit) => {
                if let Some(tracked) = reconcile::find_by_id(&self.workloads, &id) {
                    self.context.tell(eviction::process_limit_notice(tracked, limit));
                }
            }
            Event::Socket(engine, is_there)
                if is_there || self.workloads.values().any(|it| it.uses_engine(engine)) =>
            {
                self.engines.add(engine, now.up); // there may be orphans on it
            }
            Event::Socket(engine, _) => {
                self.engines.remove(engine);
                self.enqueue_all_pods(); // who waited to hear of it waits no more
            }
            Event::Watched(watched) => match self.deployments.on_watch_event(watched) {
                Some(name) => self.agenda.add(name),
                None => self.engines.request_list(Engine::Kubernetes, now.up),
            },
            Event::Done(outcome) => self.on_order_done(outcome, now),
            Event::Deployed(outcome) => self.on_deployment_outcome(outcome, now),
            Event::Answered(kind, result) => self.on_call_answered(kind, result, now),
            Event::Pressure(pressure) => {
                let turn = &mut turn!(self, now);
                self.evictions.on_pressure(pressure, &self.workloads, &mut self.agenda, turn);
            }
            Event::Clock => self.on_clock_change(now),
            Event::NotBefore(time) => self.context.not_before = self.context.not_before.max(time),
            Event::Hardware(found) => {
                self.conditions.set_found_hardware(&found, now.up, &mut self.changed);
                self.enqueue_affected_workloads();
            }
            Event::UpdateLock(held) => {
                self.context.update_lock.set_held(held);
                self.agenda.add_all(self.context.waiting.waiting_names());
            }
            Event::Stored(what, result) => {
                self.handle_event(Event::Works(Subsystem::Storage(what), result), now)
            }
            Event::Works(part, result) => self.failed_subsystems.set(part, result, &mut self.context),
            Event::Metrics(_) | Event::Tick | Event::Terminate | Event::Reload => {}
        }
    }

    fn advance_workloads(&mut self, now: Now) {
        self.revision += u64::from(self.agenda.enqueue_due(now.up));
        if !self.sources.any_known() || self.conditions.is_hardware_unknown() {
            return; // what runs may be wanted, and may run: nothing is touched before that is known
        }
        while let Some(name) = self.agenda.next() {
            let (runs, cpu) = self.profiles.evaluate(&name, &self.conditions);
            let waits =
                self.context.waiting.is_waiting(&name) || self.deployments.wanted_workload(&name).is_some();
            let gate = waits.then(|| self.profiles.update_gate(&name)).flatten();
            let update = gate.map(|gate| gate.permit(&self.conditions, &self.context, now));
            let starts = self.dependencies.are_ready(&name, &self.all_workloads());
            let allowance = Allowance { runs, starts, cpu, update };
            let mut turn = turn!(self, now);
            let mut wake = self.deployments.advance(&name, allowance, &mut turn);
            if let Some(tracked) = self.workloads.get_mut(&name) {
                wake = wake.earlier(tracked.advance(allowance, &mut turn));
                tracked.note_state(now);
                if tracked.is_forgettable() {
                    self.workloads.remove(&name);
                }
            }
            self.notify_dependents(&name, now);
            self.agenda.reschedule(name, wake);
        }
    }

    fn all_workloads(&self) -> AllWorkloads<'_> {
        AllWorkloads { workloads: &self.workloads, deployments: &self.deployments }
    }

    /// Others may depend on how this workload is now.
    fn notify_dependents(&mut self, name: &str, now: Now) {
        let others = AllWorkloads { workloads: &self.workloads, deployments: &self.deployments };
        self.agenda.add_all(self.dependencies.take_changed_dependents(name, &others).iter().cloned());
        let (is_partial, is_listed) = (self.context.partial, self.engines.is_ready(Engine::Kubernetes));
        let metrics = || others.workload_metrics(name, is_partial, is_listed);
        self.conditions.set_workload_metrics(name, metrics, now.up, &mut self.changed);
        self.enqueue_affected_workloads();
    }

    /// The workloads that list conditions which changed may be due.
    fn enqueue_affected_workloads(&mut self) {
        for condition in self.changed.drain(..) {
            self.agenda.add_all(self.profiles.workloads_listing(condition).cloned());
        }
    }

    fn enqueue_all_pods(&mut self) {
        self.agenda.add_all(self.workloads.keys().cloned());
    }

    fn enqueue_all_deployments(&mut self) {
        self.agenda.add_all(self.deployments.all_names().cloned());
    }

    /// What is wanted may have changed.
    fn apply_configuration(&mut self, now: Now) {
        let kept = self.context.fallbacks.values().map(|it| &it.good.content);
        let kept = kept.chain(self.context.waiting.running_contents());
        self.event_redactor.update_contents(self.sources.contents().chain(kept));
        let MergedSources { mut profiles, update, workloads: wanted, unreadable, mut problems } =
            self.sources.merged();
        let rules = wanted.values().filter_map(|it| it.update.as_deref()).chain(update.as_deref());
        profiles.extend(update_gate::as_profile(rules));
        for error in self.conditions.define(&profiles, now.up) {
            problems.insert(error.to_string());
        }
        let circles = find_dependency_cycles(&wanted, &self.conditions).into_iter();
        problems.extend(circles.map(|(name, why)| format!("workload '{name}' {why}; it isn't started")));
        self.profiles = WorkloadProfiles::new(&wanted, update.as_deref(), &self.conditions, &mut problems);
        self.dependencies = Dependencies::new(&wanted, &unreadable, &mut problems);
        for problem in problems.difference(&self.problems) {
            self.context.tell(Notice::warning(Reason::ConfigurationRejected, problem.clone()));
        }
        self.problems = problems;
        self.context.partial = !self.sources.all_known();
        self.context.images.request_cleanup();
        for notice in
            self.context.stops.end_obsolete_stops(&wanted, !self.context.partial && unreadable.is_empty())
        {
            self.context.tell(notice);
        }
        let is_pod = |workload: &Workload| workload.content.engine != Engine::Kubernetes;
        let pods = wanted.iter().filter(|(_, workload)| is_pod(workload)).map(|(name, _)| name);
        for name in unreadable.iter().chain(pods) {
            self.workloads.entry(name.clone()).or_insert_with_key(|name| TrackedWorkload::new(name.clone()));
        }
        for (name, tracked) in &mut self.workloads {
            tracked.unreadable = unreadable.contains(name);
            let is_gated = self.profiles.update_gate(name).is_some() && !self.context.is_let_go(name);
            let asked = wanted.get(name).filter(|it| is_pod(it)).cloned();
            tracked.follow_configuration(asked, is_gated, &mut turn!(self, now));
            if let Some(workload) = tracked.wanted_workload() {
                self.engines.add(workload.content.engine, now.up);
            }
        }
        let deployed = wanted.iter().filter(|(_, workload)| !is_pod(workload));
        if self.deployments.set_wanted(deployed, &unreadable) {
            self.engines.add(Engine::Kubernetes, now.up);
        }
        self.enqueue_all_pods();
        self.enqueue_all_deployments();
        if !self.context.partial && unreadable.is_empty() {
            self.context
                .forget_all_but(self.workloads.values().filter_map(|it| it.wanted_workload()).collect());
            self.context.waiting.retain_wanted(|name| wanted.contains_key(name));
        }
        if !self.context.partial {
            self.conditions.forget_unreferenced();
        }
        for name in self.conditions.referenced_workloads() {
            self.notify_dependents(&name, now);
        }
    }

    /// Replies at once, or to a wish as soon as it is known whether it can be fulfilled.
    fn reply(&mut self, asker: Asker, question: &Question, now: Now) {
        let reply = match question {
            Question::Report => Some(Reply::Report(Box::new(self.report(now)))),
            Question::History => Some(Reply::History(self.past.all().clone())),
            _ => self.fulfil_wish(asker, question, now),
        };
        if let (Question::RollBack(..), Some(Reply::Done(_))) = (question, &reply) {
            self.apply_configuration(now);
        }
        reply.into_iter().for_each(|reply| self.context.reply(asker, reply));
    }

    fn fulfil_wish(&mut self, asker: Asker, question: &Question, now: Now) -> Option<Reply> {
        let turn = &mut turn!(self, now);
        let Self { workloads, deployments, conditions, evictions, agenda, .. } = self;
        WishHandler { workloads, deployments, conditions, evictions, agenda, turn }.answer(asker, question)
    }

    fn resume_server_link(&mut self, remembered: PersistedLinkState, now: Now) {
        let (server, is_known) = Conversation::resume(remembered, &mut self.sources, &mut turn!(self, now));
        self.server = Some(server);
        if is_known {
            self.apply_configuration(now);
        }
    }

    /// A call was answered, or not.
    fn on_call_answered(&mut self, kind: CallKind, result: Result<Answer, CallFailure>, now: Now) {
        let store = self.failed_subsystems.has(&Subsystem::Storage(Storage::State));
        let turn = &mut turn!(self, now);
        if let Some(server) = &mut self.server
            && let Some(notices) = server.on_call_answered(kind, result, store, &mut self.sources, turn)
        {
            self.apply_configuration(now);
            notices.into_iter().for_each(|notice| self.context.tell(notice));
        }
    }

    /// Makes the calls that are due, and says when the next is.
    fn make_due_calls(&mut self, now: Now) -> Wake {
        let Some(mut server) = self.server.take() else { return Wake::Never };
        server.collect_notices(&self.context.actions);
        if server.should_compare_status(self.revision) {
            server.hurry_if_status_changed(
                &self.reported_status(&server, now),
                now.up,
                &mut self.context.random,
            );
        }
        let due = server.take_due_calls(now);
        let said = due.contains(&CallKind::Heartbeat).then(|| self.reported_status(&server, now));
        let wake = server.push_calls(due, said, now.up, &mut self.context);
        self.server = Some(server);
        wake
    }
}
