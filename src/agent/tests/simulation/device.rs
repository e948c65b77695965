//! The device: the agent, its engines, its server and its clock, and how each [`Step`] happens to them.

use super::{
    coverage::{Coverage, Kind, row},
    hands::Lock,
    model::pressure::{Level, Resource},
    podman::{Pending, Podman, SimPod, about, sentence},
    rules::{Holds, Invariant, Rules, broken, podman_index},
    script::{Fate, Heed, How, Options, SURELY, Step},
    shown::shown,
    wishes::{Catalogue, Heard, NAMES, Wanted, Wishes},
    *,
};

pub(super) struct Device<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) options: Options,
    pub(super) agent: Agent,
    pub(super) now: Now,
    pub(super) wake: Wake,
    pub(super) pending: Vec<Pending>,
    /// Orders that podman carries out although they are not waited for.
    pub(super) ghosts: Vec<Order>,
    pub(super) engines: [Podman; 2],
    pub(super) calls: Vec<Call>,
    pub(super) edge: Edge,
    pub(super) kept: PersistedLinkState,
    pub(super) remembered: FinishedRuns,
    pub(super) fallbacks: Fallbacks,
    /// What ran before those.
    pub(super) befores: ReplacedContents,
    pulled: PulledImages,
    pub(super) stops: ManualStops,
    updates: waiting::WaitingContents,
    pub(super) lock: Lock,
    built_in_metrics: record::BuiltInMetrics,
    lasting: Vec<hysteresis::HysteresisState>,
    /// The last reply to a person.
    pub(super) replied: Option<question::Reply>,
    /// What the configurations of the server asked for, by version.
    pub(super) versions: Vec<Wishes>,
    /// What the manifests say now.
    pub(super) manifests: Wishes,
    pub(super) rules: Rules<'a>,
    pub(super) coverage: Coverage,
    /// Lists, looks, other orders, and probes.
    pub(super) ordered: [u64; 4],
    /// Lists are as expected: there is no need to read of them.
    pub(super) is_still: bool,
    /// All that happened, for people; `None`: it isn't read.
    pub(super) story: Option<Vec<String>>,
}

impl<'a> Device<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, options: Options, tells: bool) -> Self {
        let now = Now { up: 1000 * S, utc: SystemTime::UNIX_EPOCH + 10_000_000 * S };
        let kept = PersistedLinkState::default();
        let mut edge = Edge::default();
        edge.configuration = configuration("0", &[]);
        edge.configuration.desired = catalogue.desired(&Wishes::default());
        let wanted = Wanted {
            server: options.server.then(Heard::default),
            manifests: options.manifests.then(Heard::default),
        };
        Self {
            catalogue,
            options,
            agent: Self::agent(options, options.server.then(|| kept.clone()), 0),
            now,
            wake: Wake::At(now.up),
            pending: Vec::new(),
            ghosts: Vec::new(),
            engines: Default::default(),
            calls: Vec::new(),
            edge,
            kept,
            remembered: FinishedRuns::new(),
            fallbacks: Fallbacks::new(),
            befores: ReplacedContents::new(),
            pulled: PulledImages::new(),
            stops: ManualStops::new(),
            updates: waiting::WaitingContents::new(),
            lock: Lock::default(),
            built_in_metrics: record::BuiltInMetrics::new(),
            lasting: Vec::new(),
            replied: None,
            versions: vec![Wishes::default()],
            manifests: Wishes::default(),
            rules: Rules::new(catalogue, options.ttl, wanted),
            coverage: Coverage::default(),
            ordered: [0; 4],
            is_still: false,
            story: tells.then(Vec::new),
        }
    }

    fn agent(options: Options, server: Option<PersistedLinkState>, events: u64) -> Agent {
        Agent::new(Self::fresh(options, server, events))
    }

    /// What an agent is told that starts where none ran before.
    fn fresh(options: Options, server: Option<PersistedLinkState>, events: u64) -> Setup {
        Setup {
            engines: vec![PODMAN, ROOTLESS],
            metrics_ttl: options.ttl,
            manifests: options.manifests,
            update_lock: true,
            server,
            seed: options.seed ^ events << 32,
            ..first_setup()
        }
    }

    pub(super) fn say(&mut self, sentence: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let up = self.now.up.as_secs_f64() - 1000.0;
            story.push(format!("[{up:9.1} s] {}", sentence()));
        }
    }

    /// But for what goes on and on when all is well.
    fn say_unless_still(&mut self, usual: bool, sentence: impl FnOnce() -> String) {
        if !self.is_still || !usual {
            self.say(sentence);
        }
    }

    /// The agent takes in an event and does what follows from it.
    pub(super) fn decide(&mut self, event: Event, met: &[(Option<usize>, Kind)]) -> Holds {
        let rows = NAMES.map(|name| self.agent.workloads.get(name).map(|tracked| row(tracked.phase)));
        self.rules.note_ready(&self.agent, true);
        let (actions, wake) = self.agent.decide(event, self.now);
        self.rules.note_ready(&self.agent, false);
        self.wake = wake;
        self.coverage.events += 1;
        super::hands::is_kept_first(&actions)?;
        for action in &actions {
            // first: what is let through may have come up at once
            if let Action::Keep(Record::Updates(updates)) = action {
                self.updates.clone_from(updates);
                self.rules.waiting(updates, self.now);
            }
        }
        for action in &actions {
            if let Action::Keep(Record::Replaced(replaced)) = action {
                self.befores.extend(replaced.clone());
            }
            if let Action::Keep(Record::Fallbacks(fallbacks)) = action {
                self.fallbacks.clone_from(fallbacks);
                self.rules.fall_back(fallbacks, self.now)?;
            }
        }
        self.rules.compare(self.now)?;
        self.rules.kept()?;
        self.rules.release(None);
        self.rules.remember(self.now)?;
        let changed = self.rules.watch(&self.agent, self.now);
        let changed = changed
            .iter()
            .map(|(name, allowed)| (Some(*name), if *allowed { Kind::Allowed } else { Kind::Forbidden }));
        for (about, kind) in met.iter().copied().chain(changed) {
            for (_, row) in
                rows.iter().enumerate().filter(|(name, _)| about.is_none_or(|about| about == *name))
            {
                if let Some(row) = row {
                    self.coverage.visit(*row, kind);
                }
            }
        }
        let before = self.remembered.clone();
        for action in actions {
            self.act(action, &before)?;
        }
        if std::mem::take(&mut self.lock.asked) {
            self.lock.told = self.lock.held;
            return self.decide(Event::UpdateLock(self.lock.held), &[]);
        }
        self.rules.waits(&self.agent, self.now)?;
        if self.wake > Wake::At(self.now.up) {
            self.rules.starts_are_wanted(&self.pending, self.now)?;
            self.rules.stalls(&self.agent, &self.pending, self.now)?;
            self.rules.moves(&self.agent, &self.pending, self.now)?;
        }
        if self.pending.is_empty() && self.wake > Wake::At(self.now.up) {
            self.rules.at_rest(&self.agent, self.now)?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action, finished: &FinishedRuns) -> Holds {
        match action {
            Action::Reply(_, reply) => self.replied = Some(reply),
            Action::AskUpdateLock => self.lock.asked = true,
            Action::LookAt(names) => return broken(Invariant::Sane, format!("nothing asks for {names:?}")),
            Action::Deploy(order) => {
                return broken(Invariant::Foreign, format!("{:?} on a device without a cluster", order.task));
            }
            Action::Order(order) => {
                let is_usual = matches!(order.task, Task::List | Task::Probe { .. });
                self.say_unless_still(is_usual, || format!("    the agent orders: {}", sentence(&order)));
                self.rules.ordered(&order, &self.pending, finished, self.now)?;
                if let Task::Start(workload, _) = &order.task {
                    self.is_only_pod(&workload.id)?;
                }
                let recurs = self.is_still && self.rules.recurs(&order);
                self.ordered[match order.task {
                    _ if recurs => 1,
                    Task::List => 0,
                    Task::Look(_) => 1,
                    Task::Probe { .. } => 3,
                    _ => 2,
                }] += 1;
                let is_its_start = |it: &&mut Pending| match (&order.task, &it.order.task) {
                    (Task::Cancel(id), Task::Start(workload, _)) => workload.id == *id,
                    _ => false,
                };
                self.pending.iter_mut().filter(is_its_start).for_each(|start| start.cancelled = true);
                self.pending.push(Pending { order, result: None, haunts: false, cancelled: false });
            }
            Action::Call(call) => {
                let kind = call.kind();
                self.say_unless_still(true, || format!("    the agent calls: {kind:?}"));
                if self.calls.iter().any(|it| it.kind() == kind) {
                    return broken(Invariant::OneOrder, format!("two calls of {kind:?} at once"));
                }
                self.calls.push(call);
            }
            Action::Tell(notice) => {
                self.say(|| format!("    the agent says: {notice}"));
                if self.options.server && !self.kept.disconnected {
                    self.edge.told(&notice);
                }
                self.rules.told(&notice, self.now)?;
            }
            Action::Keep(Record::Finished(finished)) => self.remembered = finished,
            Action::Keep(Record::Fallbacks(_)) => {} // taken in before the orders that follow from it
            Action::Keep(Record::Replaced(_)) => {}  // the same
            Action::Keep(Record::Images(images)) => self.pulled = images,
            Action::Keep(Record::Stops(stops)) => self.stops = stops,
            Action::Keep(Record::Updates(_)) => {} // likewise
            Action::Keep(Record::History(_)) => {}
            Action::Keep(Record::BuiltInMetrics(own)) => self.built_in_metrics = own,
            Action::Keep(Record::Hysteresis(lasting)) => self.lasting = lasting,
            Action::Keep(Record::Undelivered(unheard)) => self.kept.unheard = unheard,
            Action::Keep(Record::Configuration(raw)) => self.kept.configuration = self.edge.read(&raw),
            Action::Keep(Record::Disconnected) => {
                self.kept = PersistedLinkState { disconnected: true, ..PersistedLinkState::default() };
            }
        }
        Ok(())
    }

    pub(super) fn happen(&mut self, step: &Step) -> Holds {
        match *step {
            Step::Manifests(_) | Step::Read if !self.options.manifests => Ok(()),
            Step::Manifests(ref wishes) => {
                self.manifests = wishes.clone();
                self.read_manifests()
            }
            Step::Read => self.read_manifests(),
            Step::Server(ref wishes) => {
                self.serve(wishes.clone(), 60 * S);
                Ok(())
            }
            Step::Post { heat, value } => {
                let (name, value) = (if heat { "heat" } else { "x" }, value.map(f64::from));
                self.say(|| format!("{name} = {value:?} is posted"));
                self.rules.post(heat, value, self.now)?;
                self.decide(Event::Metrics(vec![Sample { name: name.into(), value }]), &[])
            }
            Step::Answer(nth, how) => match self.nth(nth) {
                Some(nth) => self.answer(nth, how),
                None => Ok(()),
            },
            Step::CarryOut(nth, how) => match self.nth(nth) {
                Some(nth) => self.carry_out(nth, how),
                None => Ok(()),
            },
            Step::Haunt(nth) => self.haunt(nth),
            Step::Call(nth, heed) if !self.calls.is_empty() => self.call(nth % self.calls.len(), heed),
            Step::Call(..) => Ok(()),
            Step::Fate(fate) => self.fate(fate),
            Step::Engine { rootless, gone } => {
                let engine = Engine::Podman { rootless };
                self.say(|| format!("{engine} {}", if gone { "stops answering" } else { "answers" }));
                self.set_gone(engine, gone)
            }
            Step::Exit { pod, all, code, ran, told } => self.exit(pod, all, code, ran, told),
            Step::FalseAlarm(name) => {
                let Some(spec) = self.rules.spec(name % NAMES.len()) else { return Ok(()) };
                let id = self.catalogue.id(spec).clone();
                self.say(|| format!("the agent is told that a process of {id} ended"));
                self.rules.alarmed(spec.name, self.now);
                self.decide(Event::Exited(spec.engine(), id), &[(Some(spec.name), Kind::Exited)])
            }
            Step::Vanish(pod) => self.vanish(pod),
            Step::Wish(name, wish) => self.wish(name, wish),
            Step::RollBack(name) => self.roll_back(name),
            Step::Pause(pod) => self.set(pod, "pauses", true, &ContainerState::Stuck("paused".into())),
            Step::Sicken(nth, sick) => {
                let Some((engine, id)) = self.pod(nth) else { return Ok(()) };
                self.say(|| format!("{id} {}", if sick { "falls sick" } else { "gets well" }));
                self.engines[engine].pods.entry(id).and_modify(|pod| pod.sick = sick);
                Ok(())
            }
            Step::Doom(spec, doomed) => {
                // what is wanted, if there is such a thing
                let spec = self.rules.asked(spec.name).unwrap_or(spec);
                let id = self.catalogue.id(spec).clone();
                let of_engine = &mut self.engines[podman_index(spec.engine())].doomed;
                let changed = if doomed { of_engine.insert(id.clone()) } else { of_engine.remove(&id) };
                if changed {
                    self.say(|| format!("each {id} ends at once{}", if doomed { "" } else { " no more" }));
                }
                Ok(())
            }
            Step::Press(resource, level) => self.press(resource, level),
            Step::Lock(held) => self.lock(held),
            Step::Tear(nth) => {
                let Some((engine, id)) = self.pod(nth) else { return Ok(()) };
                self.say(|| format!("what holds the namespaces of {id} ends"));
                self.engines[engine].pods.entry(id).and_modify(|pod| pod.torn = true);
                Ok(())
            }
            Step::Revive(pod) => self.set(pod, "starts the containers of", false, &ContainerState::Running),
            Step::Squat(spec, stays) => {
                let id = self.catalogue.id(spec).clone();
                let engine = &mut self.engines[podman_index(spec.engine())];
                if stays && !engine.pods.contains_key(&id) {
                    engine.foreign.insert(id.clone());
                    self.say(|| format!("another program makes a pod with the name {id}"));
                } else if engine.foreign.remove(&id) {
                    self.say(|| format!("the foreign pod {id} goes"));
                }
                Ok(())
            }
            Step::Wait(seconds) => self.wait(S * seconds),
            Step::Sleep(seconds) => {
                self.say(|| format!("the device is suspended for {seconds} s"));
                self.step(self.now.up + S * seconds);
                self.rules.slept(self.now);
                self.tick(Kind::Tick)
            }
            Step::Clock(seconds) => {
                self.say(|| format!("the clock is set by {seconds} s"));
                let change = S * seconds.unsigned_abs();
                self.rules.clock_set(self.now.utc);
                self.now.utc = if seconds < 0 { self.now.utc - change } else { self.now.utc + change };
                self.tick(if seconds < 0 { Kind::Back } else { Kind::Forward })
            }
            Step::Crash { haunting, registers } => self.crash(haunting, registers),
            Step::Stored(what, well) => {
                self.say(|| format!("{what:?} {}", if well { "is written" } else { "can't be written" }));
                let result = if well { Ok(()) } else { Err("the disk is full".into()) };
                self.decide(Event::Stored(what, result), &[])
            }
            Step::Calm { empty } => self.calm(empty),
        }
    }

    /// An order under way. One that was cut short is seldom chosen: else there would hardly be time for anything to
    /// happen meanwhile.
    fn nth(&self, nth: usize) -> Option<usize> {
        let count = self.pending.len();
        let chosen = (nth % SURELY).checked_rem(count)?;
        let is_slow =
            self.pending[chosen].cancelled && nth < SURELY && !self.coverage.events.is_multiple_of(8);
        (!is_slow).then_some(chosen)
    }

    pub(super) fn read_manifests(&mut self) -> Holds {
        let wishes = self.manifests.clone();
        self.say(|| format!("the manifests are read: {wishes}"));
        let before = self.specs();
        self.rules.hear(false, &wishes);
        let met = self.changes(before);
        self.decide(Event::Desired(self.catalogue.desired(&wishes)), &met)
    }

    /// The server has this to say from now on.
    pub(super) fn serve(&mut self, wishes: Wishes, period: Duration) {
        self.say(|| format!("the server wants: {wishes}"));
        let version = self.versions.len().to_string();
        self.edge.configuration = ServerConfiguration {
            period,
            raw: version.as_bytes().into(),
            desired: self.catalogue.desired(&wishes),
            ..configuration(&version, &[])
        };
        self.versions.push(wishes);
    }

    pub(super) fn carry_out(&mut self, nth: usize, how: How) -> Holds {
        let Pending { order, result: None, cancelled, .. } = &self.pending[nth] else { return Ok(()) };
        let (order, cancelled) = (order.clone(), *cancelled && how == How::Well);
        let engine = podman_index(order.engine);
        self.say_unless_still(matches!(order.task, Task::List | Task::Probe { .. }), || {
            format!(
                "podman {}: {} ({how:?})",
                if cancelled { "drops" } else { "carries out" },
                sentence(&order)
            )
        });
        let result = if cancelled {
            about(&order.task).1.iter().for_each(|id| drop(self.engines[engine].pods.remove(id)));
            Ok(Fact::Gone)
        } else {
            self.engines[engine].carry_out(&order.task, how, false, self.now, self.catalogue)
        };
        if let Task::Limit { id, .. } = &order.task
            && let Some(name) = self.catalogue.name(id)
            && !self.rules.is_latest_limit(name, order.ticket)
            && let Some(pod) = self.engines[engine].pods.get_mut(id)
        {
            pod.stubborn = true; // it was meant for an earlier pod of this name
        }
        let pending = &mut self.pending[nth];
        (pending.result, pending.haunts) = (Some(result), how == How::Late && order.task != Task::List);
        Ok(())
    }

    /// When a pod is to be made, there is no other of its workload that the agent could know of.
    fn is_only_pod(&self, id: &WorkloadId) -> Holds {
        let name = self.catalogue.name(id);
        // one that doesn't answer, or isn't there, may never do again
        let all = self.engines.iter().zip(&self.rules.engines).zip([PODMAN, ROOTLESS]);
        for ((engine, _), _) in all.filter(|((_, told), engine)| !told.missing && self.has_socket(*engine)) {
            for (other, pod) in
                engine.pods.iter().filter(|(other, pod)| Some(pod.name) == name && *other != id)
            {
                if !pod.excused {
                    return broken(Invariant::OnePod, format!("{id} and {other}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, nth: usize, how: How) -> Holds {
        self.carry_out(nth, how)?;
        let Pending { order, result, haunts, cancelled } = self.pending.swap_remove(nth);
        let Some(result) = result else { return Ok(()) };
        if haunts {
            self.ghosts.push(order.clone());
        }
        self.say_unless_still(matches!(order.task, Task::List | Task::Probe { .. }), || match &result {
            Ok(fact) => format!("podman answers #{}: {}", order.ticket.0, shown(fact)),
            Err(failure) => format!("podman answers #{}: {failure:?}", order.ticket.0),
        });
        if let (Task::Start(..) | Task::Restart { .. }, Some(id)) = (&order.task, about(&order.task).1) {
            let pod = self.engines[podman_index(order.engine)].pods.get_mut(id);
            pod.into_iter().for_each(|pod| pod.in_hook = None);
        }
        let name = about(&order.task).1.and_then(|id| self.catalogue.name(id));
        let phase = name.and_then(|name| self.agent.workloads.get(NAMES[name])).map(|tracked| tracked.phase);
        let own = match phase {
            Some(
                Phase::Pulling(at)
                | Phase::Starting(at)
                | Phase::Cancelling(at)
                | Phase::Stopping(at)
                | Phase::Looking { ticket: at, .. },
            ) => at == order.ticket,
            Some(Phase::Running) => matches!(order.task, Task::Restart { .. } | Task::End { .. }),
            _ => false,
        };
        if let (Some(Phase::Looking { adopting: true, .. }), true, Some(name)) = (phase, own, name)
            && let Ok(Fact::Pod(pod)) = &result
        {
            self.rules.adopted(name, pod);
        }
        let met = self.outcome(&order, own, &result);
        let lists =
            self.pending.iter().any(|it| it.order.task == Task::List && it.order.engine == order.engine);
        self.rules.answered(&order, own, cancelled, &result, lists, self.now);
        let outcome = Outcome { engine: order.engine, ticket: order.ticket, result };
        self.decide(Event::Done(outcome), &met)
    }

    pub(super) fn haunt(&mut self, nth: usize) -> Holds {
        if self.ghosts.is_empty() {
            return Ok(());
        }
        let order = self.ghosts.swap_remove(nth % self.ghosts.len());
        self.say(|| format!("podman carries out at last what is not waited for: {}", sentence(&order)));
        if !matches!(order.task, Task::Limit { .. } | Task::Probe { .. } | Task::Restart { .. }) {
            self.rules.meddled.extend(about(&order.task).1.cloned());
        }
        let engine = &mut self.engines[podman_index(order.engine)];
        // what is there already is in the way of a late start
        if !matches!(&order.task, Task::Start(workload, _) if engine.pods.contains_key(&workload.id)) {
            let _ = engine.carry_out(&order.task, How::Well, true, self.now, self.catalogue);
        }
        Ok(())
    }

    pub(super) fn call(&mut self, nth: usize, heed: Heed) -> Holds {
        let call = self.calls.swap_remove(nth);
        let status =
            |status, retry_after| Err(CallFailure::Refused { status, message: String::new(), retry_after });
        let result = match heed {
            Heed::Well => self.edge.answer(&call, self.now),
            Heed::DoneButLost if !matches!(call, Call::Heartbeat(_)) => {
                let _ = self.edge.answer(&call, self.now);
                Err(CallFailure::Unreachable("reset by peer".into()))
            }
            Heed::DoneButLost | Heed::Unreachable => Err(CallFailure::Unreachable("timed out".into())),
            Heed::Untrusted => Err(CallFailure::Untrusted("another name".into())),
            Heed::Nonsense => Err(CallFailure::Nonsense("no JSON".into())),
            Heed::Local => Err(CallFailure::Local("the disk is full".into())),
            Heed::Status(code) => status(code, None),
            Heed::Busy => status(503, Some(30 * S)),
        };
        self.say_unless_still(true, || match &result {
            Ok(_) => format!("the server answers to {:?}", call.kind()),
            Err(failure) => format!("the server answers to {:?}: {failure:?}", call.kind()),
        });
        let before = self.specs();
        match &result {
            _ if self.kept.disconnected => {}
            Ok(Answer::Registered { expires }) => self.kept.certificate = Some((self.now.utc, *expires)),
            Ok(Answer::Configured(configuration)) => {
                let version: usize = configuration.version.parse().unwrap_or_default();
                let wishes = self.versions[version].clone();
                self.rules.hear(true, &wishes);
            }
            Ok(Answer::Controlled { disconnect: true }) => self.rules.disconnected(),
            _ => {}
        }
        let met = self.changes(before);
        self.decide(Event::Answered(call.kind(), result), &met)
    }

    fn fate(&mut self, fate: Fate) -> Holds {
        self.say(|| format!("the server: {fate:?}"));
        let edge = &mut self.edge;
        match fate {
            Fate::Away => edge.broken = Some(CallFailure::Unreachable("connection refused".into())),
            Fate::Back => edge.broken = None,
            Fate::Forgets => edge.known = false,
            Fate::Knows => edge.known = true,
            Fate::CertificateEnds => edge.certificate = edge.certificate.map(|_| self.now.utc),
            Fate::CertificatesLast(seconds) => edge.life = S * seconds,
            Fate::Unregisters => edge.disconnects = true,
            Fate::Approves(approves) => edge.approves = approves,
        }
        Ok(())
    }

    /// Any pod of ours.
    pub(super) fn pod(&self, nth: usize) -> Option<(usize, WorkloadId)> {
        let count: usize = self.engines.iter().map(|engine| engine.pods.len()).sum();
        let all =
            self.engines.iter().zip(0..).flat_map(|(engine, at)| engine.pods.keys().map(move |id| (at, id)));
        all.cycle().nth(nth % count.max(1)).map(|(engine, id)| (engine, id.clone()))
    }

    fn exit(&mut self, nth: usize, all: bool, code: i32, ran: u32, told: bool) -> Holds {
        let Some((engine, id)) = self.pod(nth) else { return Ok(()) };
        let ended = ContainerState::Exited { code, at: self.now.utc, ran: S * ran };
        let Some(SimPod { name, containers, .. }) = self.engines[engine].pods.get_mut(&id) else {
            return Ok(());
        };
        let name = *name;
        let running = containers.iter_mut().filter(|it| it.state == ContainerState::Running);
        let mut any = false;
        for container in running.skip(if all { 0 } else { nth % 2 }).take(if all { usize::MAX } else { 1 }) {
            (container.state, any) = (ended.clone(), true);
        }
        if !any {
            return Ok(());
        }
        let how_many = if all { "all containers" } else { "a container" };
        self.say(|| {
            format!(
                "{how_many} of {id} ended with {code} after {ran} s{}",
                if told { "" } else { ", unseen" }
            )
        });
        if !told {
            return Ok(());
        }
        self.rules.alarmed(name, self.now);
        self.decide(
            Event::Exited(Engine::Podman { rootless: engine == 1 }, id),
            &[(Some(name), Kind::Exited)],
        )
    }

    pub(super) fn step(&mut self, at: Duration) {
        self.now.utc += at - self.now.up;
        self.now.up = at;
    }

    pub(super) fn tick(&mut self, kind: Kind) -> Holds {
        self.decide(Event::Tick, &[(None, kind)])
    }

    /// Time passes, and nothing is answered.
    fn wait(&mut self, time: Duration) -> Holds {
        self.say(|| format!("{time:?} pass"));
        let end = self.now.up + time;
        let mut idle = 0;
        while let Wake::At(at) = self.wake
            && at <= end
        {
            idle = if at > self.now.up { 0 } else { idle + 1 };
            self.is_idle(idle)?;
            self.step(at.max(self.now.up));
            self.tick(Kind::Tick)?;
        }
        self.step(end);
        Ok(())
    }

    /// The agent was woken so many times, and no time passed.
    pub(super) fn is_idle(&self, times: usize) -> Holds {
        match times {
            0..10 => Ok(()),
            _ => broken(Invariant::BusyLoop, "it wants to be woken at once, again and again"),
        }
    }

    fn crash(&mut self, haunting: u32, registers: bool) -> Holds {
        self.say(|| "the agent dies, and starts again".into());
        let mut bits = haunting;
        for pending in self.pending.drain(..) {
            let open = pending.result.is_none() || pending.haunts;
            let task = &pending.order.task;
            let lasts = matches!(
                task,
                Task::Start(..)
                    | Task::Remove { .. }
                    | Task::Limit { .. }
                    | Task::Discard(_)
                    | Task::End { .. }
                    | Task::Restart { .. }
            );
            if open && lasts && bits & 1 == 1 {
                self.ghosts.push(pending.order);
            }
            bits >>= 1;
        }
        for name in NAMES {
            if let Some(tracked) = self.agent.workloads.get(name) {
                self.coverage.visit(row(tracked.phase), Kind::Crash);
            }
        }
        self.calls.clear();
        (self.lock.asked, self.lock.told) = (false, false);
        for engine in &mut self.engines {
            engine.looked.clear();
            for pod in engine.pods.values_mut().filter(|pod| pod.in_hook.is_some()) {
                pod.cut_off = pod.in_hook.take();
            }
        }
        if registers && self.kept.disconnected {
            self.edge.expect_nothing();
        }
        if registers {
            self.kept.disconnected = false;
            self.edge.disconnects = false;
        }
        let mut wanted = Wanted {
            server: self.options.server.then(Heard::default),
            manifests: self.options.manifests.then(Heard::default),
        };
        if let (Some(server), Some(configuration)) = (&mut wanted.server, &self.kept.configuration) {
            let version: usize = configuration.version.parse().unwrap_or_default();
            server.hear(&self.versions[version]);
        }
        if let (Some(server), true) = (&mut wanted.server, self.kept.disconnected) {
            server.hear(&Wishes { definition: 3, ..Wishes::default() });
        }
        let server = self.options.server.then(|| self.kept.clone());
        self.agent = Agent::new(Setup {
            finished: self.remembered.clone(),
            fallbacks: self.fallbacks.clone(),
            images: self.pulled.clone(),
            stops: self.stops.clone(),
            updates: self.updates.clone(),
            built_in_metrics: self.built_in_metrics.clone(),
            lasting: self.lasting.clone(),
            engines: [PODMAN, ROOTLESS].into_iter().filter(|it| self.has_socket(*it)).collect(),
            ..Self::fresh(self.options, server, self.coverage.events)
        });
        let metrics = self.rules.metrics(self.now);
        let posted = [("x", metrics.x), ("heat", metrics.heat)];
        let sample = |(name, it): (&str, Option<(f64, Duration)>)| {
            it.map(|(value, at)| (Sample { name: name.into(), value: Some(value) }, at))
        };
        self.agent.restore_metrics(&posted.into_iter().filter_map(sample).collect::<Vec<_>>());
        self.rules.restarted(wanted, self.now);
        let levels = std::mem::replace(&mut self.rules.levels, [Level::Fine; 3]);
        for (resource, level) in [Resource::Memory, Resource::Disk, Resource::Cpu].into_iter().zip(levels) {
            self.press(resource, level)?; // as it is watched from the start
        }
        self.tick(Kind::Tick)
    }
}
