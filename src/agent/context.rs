//! The orders given and the actions to give, and what one workload sees of them while it is its turn.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    engines::Engines,
    images::Images,
    model::{
        deployment::{DeploymentOrder, DeploymentTask},
        event::{Action, Setup},
        fallback::{Fallback, Fallbacks},
        notice::{Notice, Reason},
        order::{Failure, Order, Task, Ticket},
        question::{Asker, Reply},
        random::Random,
        record::Record,
        run::{Finished, Run},
        schedule::NextSlot,
        time::Now,
        workload::{Engine, Workload, WorkloadId},
    },
};

/// The orders given and the actions to give.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) actions: Vec<Action>,
    pub(super) last: Ticket,
    /// Whose orders are under way.
    pub(super) open: BTreeMap<Ticket, Arc<str>>,
    pub(super) finished: Finished,
    pub(super) finished_changed: bool,
    pub(super) images: Images,
    pub(super) fallbacks: Fallbacks,
    pub(super) fallbacks_changed: bool,
    /// Not all that is to run is known: a pod of ours that seems to belong to nothing may be wanted.
    pub(super) partial: bool,
    /// The device is short of something: nothing new is pulled or started.
    pub(super) short: bool,
    pub(super) device_id: Arc<str>,
    pub(super) next_slot: NextSlot,
    /// Before that the wall clock is wrong.
    pub(super) not_before: SystemTime,
    pub(super) random: Random,
}

impl Context {
    pub(super) fn new(setup: &mut Setup) -> Self {
        Self {
            actions: Vec::new(),
            last: Ticket::default(),
            open: BTreeMap::new(),
            finished: std::mem::take(&mut setup.finished),
            finished_changed: false,
            images: Images::new(std::mem::take(&mut setup.images)),
            fallbacks: std::mem::take(&mut setup.fallbacks),
            fallbacks_changed: false,
            partial: false,
            short: false,
            device_id: setup.device_id.clone(),
            next_slot: setup.next_slot,
            not_before: setup.not_before,
            random: Random::new(setup.seed),
        }
    }

    /// How far the wall clock is behind what it must show at least, if it is.
    pub(super) fn clock_behind(&self, now: Now) -> Option<Duration> {
        self.not_before.duration_since(now.utc).ok().filter(|behind| !behind.is_zero())
    }

    /// What else has finished, or came up once, is wanted no more.
    pub(super) fn forget_all_but(&mut self, wanted: Vec<&Arc<Workload>>) {
        let before = (self.finished.len(), self.fallbacks.len());
        self.finished.retain(|id, _| wanted.iter().any(|it| it.id == *id));
        self.fallbacks.retain(|name, _| wanted.iter().any(|it| it.name() == &**name));
        self.finished_changed |= self.finished.len() != before.0;
        self.fallbacks_changed |= self.fallbacks.len() != before.1;
    }

    /// This content has come up: the workload of this name returns to it, until another has.
    pub(super) fn came_up(&mut self, name: &Arc<str>, content: &Arc<Workload>) {
        if self.fallbacks.get(name).is_none_or(|it| it.good.id != content.id) {
            self.fall_back(name, Fallback { good: content.clone(), failed: None });
        }
    }

    /// What the workload of this name returns to from now on.
    pub(super) fn fall_back(&mut self, name: &Arc<str>, to: Fallback) {
        if self.fallbacks.get(name) != Some(&to) {
            self.fallbacks.insert(name.clone(), to);
            self.fallbacks_changed = true;
            self.images.look();
        }
    }

    /// Whether there is something else to return to, should this content of the workload not come up.
    pub(super) fn is_on_trial(&self, content: &Workload) -> bool {
        self.fallbacks.get(content.name()).is_some_and(|it| it.good.id != content.id)
    }

    /// Asks for what has changed to be kept over a reboot.
    pub(super) fn keep(&mut self) {
        if std::mem::take(&mut self.finished_changed) {
            self.actions.push(Action::Keep(Record::Finished(self.finished.clone())));
        }
        if std::mem::take(&mut self.fallbacks_changed) {
            self.actions.push(Action::Keep(Record::Fallbacks(self.fallbacks.clone())));
        }
        self.actions.extend(self.images.changed().map(Record::Images).map(Action::Keep));
    }

    pub(super) fn order(&mut self, engine: Engine, task: Task) -> Ticket {
        let ticket = self.next_ticket();
        self.actions.push(Action::Order(Order { engine, ticket, task }));
        ticket
    }

    pub(super) fn deploy(&mut self, task: DeploymentTask) -> Ticket {
        let ticket = self.next_ticket();
        self.actions.push(Action::Deploy(DeploymentOrder { ticket, task }));
        ticket
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last.0 += 1;
        self.last
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.actions.push(Action::Tell(notice));
    }

    pub(super) fn reply(&mut self, asker: Asker, reply: Reply) {
        self.actions.push(Action::Reply(asker, reply));
    }
}

/// What one workload sees of the rest while it is its turn.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) context: &'a mut Context,
    pub(super) engines: &'a mut Engines,
}

impl Turn<'_> {
    pub(super) fn order(&mut self, name: &Arc<str>, engine: Engine, task: Task) -> Ticket {
        let ticket = self.context.order(engine, task);
        self.context.open.insert(ticket, name.clone());
        ticket
    }

    pub(super) fn deploy(&mut self, name: &Arc<str>, task: DeploymentTask) -> Ticket {
        let ticket = self.context.deploy(task);
        self.context.open.insert(ticket, name.clone());
        ticket
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.context.tell(notice);
    }

    pub(super) fn ready(&self, engine: Engine) -> bool {
        self.engines.ready(engine)
    }

    /// The engine has told all that it has.
    pub(super) fn answers(&mut self, engine: Engine) {
        self.context.images.answered();
        if self.engines.answered(engine, self.now.up) {
            self.tell(Notice::info(Reason::EngineBack, format!("{engine} answers again")));
        }
    }

    /// Something could not be done for a workload, and it isn't the workload's turn to wait.
    pub(super) fn failed(&mut self, engine: Engine, what: &str, failure: &Failure) {
        match failure {
            Failure::Workload(cause) => {
                self.tell(Notice::warning(Reason::Failed, format!("{what}: {cause}")))
            }
            Failure::Engine(cause) => {
                if self.engines.lost(engine, cause, self.now.up) {
                    let message = format!("{engine} doesn't answer; it is tried again: {cause}");
                    self.tell(Notice::warning(Reason::EngineMissing, message));
                }
            }
        }
    }

    pub(super) fn finished(&mut self, id: &WorkloadId, run: Run) {
        self.context.finished_changed |= self.context.finished.insert(id.clone(), run) != Some(run);
    }

    pub(super) fn forget(&mut self, id: &WorkloadId) {
        self.context.finished_changed |= self.context.finished.remove(id).is_some();
    }

    /// 0 to 1: spreads retries.
    pub(super) fn random(&mut self) -> f64 {
        self.context.random.share()
    }
}
