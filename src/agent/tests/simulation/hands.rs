//! What people do by hand.

use super::{
    device::Device,
    model::question::{Asker, Question, Reply, Wish},
    rules::{Holds, Invariant, broken, podman_index},
    wishes::NAMES,
    *,
};

/// Who is told that something is done can rely on it.
pub(super) fn is_kept_first(actions: &[Action]) -> Holds {
    let mut later = actions.iter().skip_while(|it| !matches!(it, Action::Reply(..)));
    let is_kept = |it: &&Action| {
        let Action::Keep(record) = it else { return false };
        matches!(record, Record::Stops(_) | Record::Fallbacks(_) | Record::Updates(_) | Record::Finished(_))
    };
    match later.find(is_kept) {
        Some(late) => broken(Invariant::ByHand, format!("it was told as done before {late:?}")),
        None => Ok(()),
    }
}

/// The lock by which programs hold updates back.
#[derive(Default)]
pub(super) struct Lock {
    pub(super) held: bool,
    /// The agent wants to know.
    pub(super) asked: bool,
    /// It was told that it is held, and is to be told when it isn't any more.
    pub(super) told: bool,
}

impl Device<'_> {
    /// The socket of rootless podman is there while that answers; the other one's always.
    pub(super) fn has_socket(&self, engine: Engine) -> bool {
        engine == PODMAN || !self.engines[podman_index(engine)].gone
    }

    /// A podman stops answering, or answers again.
    pub(super) fn set_gone(&mut self, engine: Engine, gone: bool) -> Holds {
        let before = self.has_socket(engine);
        self.engines[podman_index(engine)].gone = gone;
        if !self.has_socket(engine) {
            self.rules.went(engine);
        }
        match self.has_socket(engine) {
            is_there if is_there != before => self.decide(Event::Socket(engine, is_there), &[]),
            _ => Ok(()),
        }
    }

    /// A person removes a pod behind the agent's back.
    pub(super) fn vanish(&mut self, pod: usize) -> Holds {
        let Some((engine, id)) = self.pod(pod) else { return Ok(()) };
        self.say(|| format!("a person removes {id}"));
        self.engines[engine].pods.remove(&id);
        self.rules.meddled.insert(id);
        Ok(())
    }

    /// A person changes the state of a pod's containers that are, or are not, running.
    pub(super) fn set(&mut self, nth: usize, does: &str, running: bool, state: &ContainerState) -> Holds {
        let Some((engine, id)) = self.pod(nth) else { return Ok(()) };
        self.say(|| format!("a person {does} {id}"));
        self.rules.meddled.insert(id.clone());
        for container in
            self.engines[engine].pods.get_mut(&id).into_iter().flat_map(|pod| &mut pod.containers)
        {
            if (container.state == ContainerState::Running) == running {
                container.state = state.clone();
            }
        }
        Ok(())
    }

    /// A person asks the agent to do something with a workload.
    pub(super) fn wish(&mut self, name: usize, wish: Wish) -> Holds {
        let name = name % NAMES.len();
        self.say(|| format!("a person wants of '{}': {wish:?}", NAMES[name]));
        let run = (wish == Wish::Run).then(|| self.rules.wants_run(name));
        match wish {
            Wish::Stop { until_changed } => self.rules.halt(name, until_changed),
            Wish::Start => self.rules.unhalt(name),
            Wish::Update => self.rules.release(Some(name)),
            Wish::Restart | Wish::Run => {}
        }
        self.replied = None;
        self.decide(Event::Asked(Asker(0), Question::Wish(NAMES[name].into(), wish)), &[])?;
        if let Some(before) = run {
            self.rules.gets_run(name, matches!(self.replied, Some(Reply::Done(_))), before);
        }
        Ok(())
    }

    /// What is kept of what ran before.
    fn before(&self, name: &str) -> Option<Arc<Workload>> {
        self.befores.iter().rev().find(|it| &*it.0 == name)?.1.clone()
    }

    /// A person lets a workload return to what ran before.
    pub(super) fn roll_back(&mut self, name: usize) -> Holds {
        let name = name % NAMES.len();
        self.say(|| format!("a person rolls '{}' back", NAMES[name]));
        let before = self.before(NAMES[name]);
        self.replied = None;
        self.rules.ask_back(Some(name));
        self.decide(Event::Asked(Asker(0), Question::RollBack(NAMES[name].into(), before)), &[])?;
        self.rules.ask_back(None);
        if matches!(self.replied, Some(Reply::Done(_))) && !self.rules.is_taken_back(name) {
            return broken(Invariant::ByHand, format!("'{}' was to return, and doesn't", NAMES[name]));
        }
        Ok(())
    }

    /// A person starts what is stopped, but for the first.
    pub(super) fn start_most(&mut self) -> Holds {
        for name in (1..NAMES.len()).filter(|name| self.rules.halts(*name)).collect::<Vec<_>>() {
            self.wish(name, Wish::Start)?;
        }
        Ok(())
    }

    /// A program takes the lock of updates, or gives it back.
    pub(super) fn lock(&mut self, held: bool) -> Holds {
        self.say(|| format!("a program {} the lock", if held { "takes" } else { "gives back" }));
        self.lock.held = held;
        self.rules.lock(held);
        let is_news = !held && std::mem::take(&mut self.lock.told);
        if is_news { self.decide(Event::UpdateLock(false), &[]) } else { Ok(()) }
    }
}
