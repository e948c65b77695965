//! All faults stop. From any state the device must come to what is wanted of it, in bounded time, and to rest.

use super::{
    coverage::Kind,
    device::Device,
    model::pressure::{Level, Resource},
    podman::SimPod,
    rules::{Holds, Invariant, broken, podman_index},
    script::{Heed, How},
    wishes::{Heard, NAMES, Spec, Wanted, Wishes},
    *,
};

/// How long it may take, podman alone: back-off and rest of five minutes each, a slot, a full look.
const PATIENCE: Duration = Duration::from_secs(25 * 60);
/// Who was evicted often stays away for so long.
const LONGEST_REST: Duration = Duration::from_secs(3600);
/// With a server that has forgotten the device: ten registrations in vain, five minutes apart.
const PATIENCE_WITH_SERVER: Duration = Duration::from_secs(3 * 3600);

impl Device<'_> {
    pub(super) fn calm(&mut self, empty: bool) -> Holds {
        self.say(|| "all faults stop".into());
        for engine in [PODMAN, ROOTLESS] {
            self.set_gone(engine, false)?;
            self.engines[podman_index(engine)].foreign.clear();
        }
        while !self.ghosts.is_empty() {
            self.haunt(0)?;
        }
        self.edge.broken = None;
        self.edge.approves = true;
        self.edge.disconnects &= self.kept.disconnected;
        self.edge.life = 30 * 86_400 * S;
        for what in [Storage::State, Storage::Identity, Storage::Unheard, Storage::History] {
            self.decide(Event::Stored(what, Ok(())), &[])?;
        }
        for resource in [Resource::Memory, Resource::Disk, Resource::Cpu] {
            self.press(resource, Level::Fine)?;
        }
        self.start_most()?;
        self.lock(false)?;
        let plain = |wishes: &Wishes| Wishes { unreadable: Vec::new(), partial: false, ..wishes.clone() };
        let served = plain(&self.versions[self.versions.len() - 1]);
        self.manifests = plain(&self.manifests);
        self.everything_is_said(&served)?;
        let patience = if self.options.server { PATIENCE_WITH_SERVER } else { PATIENCE };
        let patience = if self.rules.evicts { patience + LONGEST_REST } else { patience };
        self.converges(patience, &served, Invariant::Converges)?;
        self.rests()?;
        if empty {
            self.say(|| "nothing is wanted any more".into());
            self.manifests = Wishes::default();
            self.everything_is_said(&Wishes::default())?;
            self.converges(300 * S, &Wishes::default(), Invariant::Empties)?;
            if self.engines.iter().any(|engine| !engine.pods.is_empty()) {
                return broken(Invariant::Empties, "pods are left");
            }
            if !self.stops.is_empty() {
                return broken(Invariant::Empties, "a stop is left");
            }
        }
        self.edge.came.clear();
        self.edge.beats.clear();
        Ok(())
    }

    fn everything_is_said(&mut self, served: &Wishes) -> Holds {
        if self.options.server {
            self.serve(served.clone(), 60 * S);
        }
        if self.options.manifests {
            self.read_manifests()?;
        }
        self.settle()
    }

    /// Podman and the server do all they are told, without time passing.
    fn settle(&mut self) -> Holds {
        for _ in 0..2000 {
            if !self.pending.is_empty() {
                self.answer(0, How::Well)?;
            } else if !self.calls.is_empty() {
                self.call(0, Heed::Well)?;
            } else {
                return Ok(());
            }
        }
        broken(Invariant::BusyLoop, "it never settles")
    }

    /// To the agent's next deadline, or to `end`.
    fn pass(&mut self, end: Duration, idle: &mut usize) -> Holds {
        self.settle()?;
        match self.wake {
            Wake::At(at) if at <= end => {
                *idle = if at > self.now.up { 0 } else { *idle + 1 };
                self.is_idle(*idle)?;
                self.step(at.max(self.now.up));
                self.tick(Kind::Tick)?;
            }
            _ => self.step(end),
        }
        self.settle()
    }

    fn converges(&mut self, patience: Duration, served: &Wishes, invariant: Invariant) -> Holds {
        let (end, mut idle) = (self.now.up + patience, 0);
        loop {
            self.spare(served);
            let Some(wrong) = self.wrong(served, end - patience) else { return Ok(()) };
            if self.now.up >= end {
                return broken(invariant, format!("{wrong}, {patience:?} after faults stopped"));
            }
            self.pass(end, &mut idle)?;
        }
    }

    /// What the sources say together.
    fn wanted(&self, served: &Wishes) -> Wanted {
        let hears = |wishes: &Wishes| {
            let mut heard = Heard::default();
            heard.hear(wishes);
            heard
        };
        let talks = self.options.server && !self.kept.disconnected;
        Wanted {
            server: talks.then(|| hears(served)),
            manifests: self.options.manifests.then(|| hears(&self.manifests)),
        }
    }

    /// Only an update that can be taken back may come to nothing.
    fn spare(&mut self, served: &Wishes) {
        let wanted = self.wanted(served);
        for engine in &mut self.engines {
            engine.doomed.retain(|id| {
                let Some(name) = self.catalogue.name(id) else { return false };
                let is_asked = wanted.spec(name).is_some_and(|spec| self.catalogue.id(spec) == id);
                is_asked && self.fallbacks.get(NAMES[name]).is_some_and(|it| it.good.id != *id)
            });
        }
    }

    /// The first thing that isn't as it is wanted.
    fn wrong(&self, served: &Wishes, since: Duration) -> Option<String> {
        let talks = self.options.server && !self.kept.disconnected;
        let wanted = self.wanted(served);
        let metrics = self.rules.metrics(self.now);
        if self.options.ttl.is_some() && (metrics.x.is_some() || metrics.heat.is_some()) {
            return Some("a metric ends soon".into());
        }
        let mut pods = self.engines.iter().flat_map(|engine| &engine.pods);
        if let Some((id, _)) = pods.find(|(id, pod)| !self.rules.was_told_of(id, pod.runs())) {
            return Some(format!("no list told of {id} yet"));
        }
        if self.rules.is_any_pending() {
            return Some("a condition becomes true soon".into());
        }
        // a run that failed may have been the last for long
        let degraded = self.fallbacks.values().any(|it| it.failed.as_ref().is_some_and(|it| !it.by_hand))
            || self.agent.workloads.values().any(|it| it.has_failed() && !it.is_stopped());
        if talks && self.edge.beats.last().is_none_or(|it| it.degraded != degraded || self.edge.unheard() > 0)
        {
            return Some("the server doesn't know whether the device is well, or what happened".into());
        }
        (0..NAMES.len())
            .find_map(|name| {
                let spec = wanted.spec(name);
                if self.rules.asked(name) != spec {
                    return Some(format!("the agent doesn't know that '{}' is to be {spec:?}", NAMES[name]));
                }
                if self.rules.is_update_waiting(name) {
                    return Some(format!("an update of '{}' waits", NAMES[name]));
                }
                let spec = self.rules.spec(name);
                let allowed =
                    !self.rules.halts(name) && spec.is_some_and(|spec| wanted.allows(spec, &metrics));
                // one that was found finished stays on trial, one that finished here for two minutes
                let tracked = self.agent.workloads.get(NAMES[name]);
                let is_over = tracked.is_some_and(|it| matches!(it.phase, Phase::Finished { .. }))
                    && self.now.up > since + 130 * S;
                let needs =
                    spec.and_then(Spec::depends_on).and_then(|it| self.agent.workloads.get(NAMES[it]));
                let waits = tracked.is_some_and(|it| it.phase == Phase::Inactive)
                    && spec.and_then(Spec::depends_on).is_some()
                    && needs.is_none_or(|it| !it.is_ready());
                if allowed && waits {
                    return None;
                }
                if allowed && self.rules.is_on_trial(name) && !is_over {
                    return Some(format!("it is not known whether the update of '{}' comes up", NAMES[name]));
                }
                let is_ready =
                    |name: usize| self.agent.workloads.get(NAMES[name]).is_some_and(|it| it.is_ready());
                let is_needed = |it: usize| self.rules.spec(it).and_then(Spec::depends_on) == Some(name);
                let phase = self.agent.workloads.get(NAMES[name]).map(|tracked| tracked.phase);
                if phase == Some(Phase::Running) && !is_ready(name) && (0..NAMES.len()).any(is_needed) {
                    return Some(format!("'{}' is needed, and not ready yet", NAMES[name]));
                }
                if phase == Some(Phase::Running) && spec.is_some_and(|spec| self.rules.ends(spec)) {
                    return Some(format!("the time of '{}' is not over", NAMES[name]));
                }
                let is_still = match phase {
                    None => true,
                    Some(Phase::Finished { .. }) => {
                        !allowed || spec.is_some_and(|spec| matches!(spec.schedule(), Schedule::Service(_)))
                    }
                    Some(Phase::Running) => allowed,
                    Some(Phase::Inactive) => !allowed,
                    _ => false,
                };
                if !is_still {
                    return Some(format!("'{}' is still {phase:?}", NAMES[name]));
                }
                let finished = matches!(phase, Some(Phase::Finished { .. }));
                let cpu = spec.and_then(|spec| wanted.cpu(spec, &metrics));
                self.wrong_with(name, spec, allowed, finished, cpu)
            })
            .or_else(|| {
                let gone = |name: &&Arc<str>| {
                    NAMES.iter().position(|it| *it == &***name).is_none_or(|name| wanted.spec(name).is_none())
                };
                let name = self.fallbacks.keys().find(gone)?;
                Some(format!("what '{name}' would return to is still remembered"))
            })
            .or_else(|| self.left())
    }

    /// An image that isn't needed.
    fn left(&self) -> Option<String> {
        if self.agent.workloads.values().any(|it| it.waits && it.is_terminating()) {
            return None; // what runs until then has images, too
        }
        let (engine, image) = self.rules.unneeded().next()?;
        Some(format!("the image '{image}' of {engine} isn't needed"))
    }

    fn wrong_with(
        &self,
        name: usize,
        spec: Option<Spec>,
        allowed: bool,
        finished: bool,
        cpu: Option<u64>,
    ) -> Option<String> {
        let id = spec.map(|spec| self.catalogue.id(spec));
        let mut pods =
            self.engines.iter().flat_map(|engine| &engine.pods).filter(|(_, pod)| pod.name == name);
        if let Some((other, _)) = pods.clone().find(|(other, _)| Some(*other) != id) {
            return Some(format!("{other} is there"));
        }
        let spec = spec?;
        let pod = pods.next().map(|(_, pod)| pod);
        let is_cron = matches!(spec.schedule(), Schedule::Cron(..));
        let wrong = match pod {
            // the pod of a run that has ended stays for its logs
            _ if finished && (!is_cron || !allowed) => return None,
            Some(_) if !allowed => "is there, and its conditions are false",
            Some(pod) if !is_well(spec, pod) => "isn't well",
            Some(pod) if pod.cpu != cpu && !pod.stubborn => "has another limit",
            None if allowed => "isn't there",
            _ => return None,
        };
        Some(format!("the pod of {spec} {wrong}"))
    }

    /// Ten minutes: full looks, and nothing else.
    fn rests(&mut self) -> Holds {
        self.say(|| "it has converged; from here on lists and calls aren't told".into());
        self.is_still = true;
        let mut idle = 0;
        // what podman denied to have removed is removed again, and an engine that was missed is asked every 30 s
        let end = self.now.up + 36 * S;
        while self.now.up < end {
            self.pass(end, &mut idle)?;
        }
        let (before, end) = (self.ordered, self.now.up + 600 * S);
        while self.now.up < end {
            self.pass(end, &mut idle)?;
        }
        self.is_still = false;
        let [lists, others] = [0, 2].map(|at| self.ordered[at] - before[at]);
        if others > 0 || !(18..=22).contains(&lists) {
            return broken(
                Invariant::Rests,
                format!("{lists} lists and {others} other orders in ten minutes"),
            );
        }
        Ok(())
    }
}

fn is_well(spec: Spec, pod: &SimPod) -> bool {
    let is_cron = matches!(spec.schedule(), Schedule::Cron(..));
    let tolerated = |container: &Container| match container.state {
        ContainerState::Running => true,
        ContainerState::Stuck(_) => false,
        ContainerState::Exited { code, .. } => match spec.restart() {
            _ if is_cron => true,
            _ if spec.is_sidecar(&container.name) => false,
            RestartPolicy::Always => false,
            RestartPolicy::OnFailure => code == 0,
            RestartPolicy::Never => true,
        },
    };
    let is_asked = |it: &Container| it.name == spec.probed() && it.state == ContainerState::Running;
    let is_sick = pod.sick && pod.containers.iter().any(is_asked);
    !pod.torn
        && pod.containers.len() == spec.containers()
        && pod.containers.iter().all(tolerated)
        && pod.containers.iter().any(|it| it.state == ContainerState::Running && !spec.is_sidecar(&it.name))
        && !is_sick
}
