//! The orders given and the actions to give, and what one workload sees of them while it is its turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    engines::Engines,
    manual_stops::StoppedByHand,
    model::{
        deployment::{DeploymentOrder, DeploymentTask},
        event::{Action, Setup},
        fallback::{FailedContent, Fallback, Fallbacks, ReplacedContents},
        notice::{Notice, Reason},
        order::{Failure, Order, Task, Ticket},
        question::{Asker, Reply},
        random::Random,
        record::Record,
        run::{FinishedRuns, Run},
        schedule::{LocalTimeFn, NextSlotFn},
        time::Now,
        workload::{Engine, Workload, WorkloadId},
    },
    unused_images::ImageCleanup,
    update_lock::UpdateLock,
    waiting::WaitingRegistry,
    wrong_clock,
};

/// The orders given and the actions to give.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) actions: Vec<Action>,
    /// They follow what is to be kept: who is told that something is done can rely on it.
    replies: Vec<Action>,
    pub(super) last: Ticket,
    /// Whose orders are under way.
    pub(super) open: BTreeMap<Ticket, Arc<str>>,
    pub(super) finished: FinishedRuns,
    pub(super) finished_changed: bool,
    pub(super) images: ImageCleanup,
    pub(super) fallbacks: Fallbacks,
    pub(super) fallbacks_changed: bool,
    /// What is to be kept of what ran before.
    replaced: ReplacedContents,
    pub(super) stops: StoppedByHand,
    pub(super) waiting: WaitingRegistry,
    pub(super) update_lock: UpdateLock,
    /// The server let go of this device in this step: of these names alone contents are kept.
    disconnected: Option<BTreeSet<Arc<str>>>,
    /// Not all that is to run is known: a pod of ours that seems to belong to nothing may be wanted.
    pub(super) partial: bool,
    /// The device is short of something: nothing new is pulled or started.
    pub(super) short: bool,
    pub(super) device_id: Arc<str>,
    pub(super) next_slot: NextSlotFn,
    pub(super) local: LocalTimeFn,
    /// Before that the wall clock is wrong.
    pub(super) not_before: SystemTime,
    pub(super) random: Random,
}

impl Context {
    pub(super) fn new(setup: &mut Setup) -> Self {
        Self {
            actions: Vec::new(),
            replies: Vec::new(),
            last: Ticket::default(),
            open: BTreeMap::new(),
            finished: std::mem::take(&mut setup.finished),
            finished_changed: false,
            images: ImageCleanup::new(std::mem::take(&mut setup.images)),
            fallbacks: std::mem::take(&mut setup.fallbacks),
            fallbacks_changed: false,
            replaced: ReplacedContents::new(),
            stops: StoppedByHand::new(std::mem::take(&mut setup.stops)),
            waiting: WaitingRegistry::new(std::mem::take(&mut setup.updates)),
            update_lock: UpdateLock::new(setup.update_lock),
            disconnected: None,
            partial: false,
            short: false,
            device_id: setup.device_id.clone(),
            next_slot: setup.next_slot,
            local: setup.local,
            not_before: setup.not_before,
            random: Random::new(setup.seed),
        }
    }

    /// How far the wall clock is behind what it must show at least, if it is.
    pub(super) fn clock_lag(&self, now: Now) -> Option<Duration> {
        wrong_clock::clock_lag(self.not_before, now.utc)
    }

    /// Whether what nothing asks for may go: all that is to run is known, or this process `dismissed` it. What could not
    /// be understood this time stays.
    pub(super) fn may_remove_unwanted(&self, is_unreadable: bool, dismissed: bool) -> bool {
        !is_unreadable && (dismissed || !self.partial)
    }

    /// What else has finished, or came up once, is wanted no more.
    pub(super) fn forget_all_but(&mut self, wanted: Vec<&Arc<Workload>>) {
        let before = self.finished.len();
        self.finished.retain(|id, _| wanted.iter().any(|it| it.id == *id));
        self.finished_changed |= self.finished.len() != before;
        self.forget_fallbacks(|name| wanted.iter().any(|it| it.name() == name));
    }

    fn forget_fallbacks(&mut self, is_kept: impl Fn(&str) -> bool) {
        let before = self.fallbacks.len();
        self.fallbacks.retain(|name, _| {
            let is_kept = is_kept(name);
            if !is_kept {
                self.replaced.push((name.clone(), None));
            }
            is_kept
        });
        self.fallbacks_changed |= self.fallbacks.len() != before;
    }

    /// The server let go of this device. Only these names are known to be none of its own: all other contents may hold
    /// its secrets, and are forgotten, also where not all manifests are known.
    pub(super) fn disconnect(&mut self, names: BTreeSet<Arc<str>>) {
        self.forget_contents(&names);
        self.disconnected = Some(names);
    }

    /// Whether what ran of this workload may have been the server's, which let go of it in this step.
    pub(super) fn is_let_go(&self, name: &str) -> bool {
        self.disconnected.as_ref().is_some_and(|names| !names.contains(name))
    }

    fn forget_contents(&mut self, but: &BTreeSet<Arc<str>>) {
        self.forget_fallbacks(|name| but.contains(name));
        self.waiting.retain_wanted(|name| but.contains(name));
    }

    /// This content has come up: the workload of this name returns to it, until another has.
    pub(super) fn record_came_up(&mut self, name: &Arc<str>, content: &Arc<Workload>) {
        self.waiting.end_passed(name, &content.id);
        match self.fallbacks.get(name) {
            Some(it) if it.good.id == content.id || it.has_given_up(&content.id) => return,
            Some(it) => self.replaced.push((name.clone(), Some(it.good.clone()))),
            None => {}
        }
        self.set_fallback(name, Fallback { good: content.clone(), failed: None });
    }

    /// A person gives this content up: from now on the workload returns to what ran before, which is what came up last,
    /// or, if that is this, what came up before.
    ///
    /// # Errors
    /// Why that can't be.
    pub(super) fn reject_content(
        &mut self,
        wanted: &Workload,
        before: Option<Arc<Workload>>,
    ) -> Result<Arc<Workload>, &'static str> {
        let name = Arc::from(wanted.name());
        if self.waiting.is_waiting(&name) {
            return Err("an update of it waits, and what runs is what ran before that");
        }
        let good = match self.fallbacks.get(&name) {
            Some(Fallback { failed: Some(_), .. }) => {
                return Err("its newest content is taken back already, and isn't tried until it changes");
            }
            Some(it) if it.good.id != wanted.id => Some(it.good.clone()),
            _ => before.filter(|it| it.id != wanted.id && it.name() == wanted.name()),
        };
        let good = good.ok_or("nothing else ran before, as far as is known")?;
        let failed = Some(FailedContent { id: wanted.id.clone(), cause: String::new(), by_hand: true });
        self.set_fallback(&name, Fallback { good: good.clone(), failed });
        Ok(good)
    }

    /// What the workload of this name returns to from now on.
    pub(super) fn set_fallback(&mut self, name: &Arc<str>, to: Fallback) {
        if let Some(failed) = &to.failed {
            self.waiting.end_passed(name, &failed.id);
        }
        if self.fallbacks.get(name) != Some(&to) {
            self.fallbacks.insert(name.clone(), to);
            self.fallbacks_changed = true;
            self.images.request_cleanup();
        }
    }

    /// Whether there is something else to return to, should this content of the workload not come up.
    pub(super) fn can_roll_back(&self, content: &Workload) -> bool {
        self.fallbacks.get(content.name()).is_some_and(|it| it.good.id != content.id)
    }

    /// This content waits to be let through, and that one runs meanwhile. Answers whether that is news, which is told.
    pub(super) fn record_waiting_update(
        &mut self,
        name: &Arc<str>,
        to: &WorkloadId,
        runs: Option<&Arc<Workload>>,
        now: Now,
    ) -> bool {
        let is_right = self.clock_lag(now).is_none();
        let is_news = self.waiting.add_waiting(name, to, runs, now, is_right);
        if is_news {
            let message = format!("workload '{name}': an update waits until it is allowed");
            self.tell(Notice::info(Reason::UpdateWaits, message));
        }
        is_news
    }

    /// How long the update of this workload has waited.
    pub(super) fn update_wait_time(&mut self, name: &str, now: Now) -> Duration {
        let is_right = self.clock_lag(now).is_none();
        self.waiting.measure_wait(name, now, is_right)
    }

    /// The one that waited is let through.
    pub(super) fn announce_update(&mut self, name: &str, why: &str) {
        let message = format!("workload '{name}': its update goes ahead: {why}");
        self.tell(Notice::info(Reason::UpdateAllowed, message));
        self.images.request_cleanup(); // no pod of what is replaced need be there to go
    }

    /// Whether no program holds updates back; if that isn't known it will be told.
    pub(super) fn ask_updates_unlocked(&mut self) -> bool {
        if self.update_lock == UpdateLock::Unknown {
            self.update_lock = UpdateLock::Asked;
            self.actions.push(Action::AskUpdateLock);
        }
        matches!(self.update_lock, UpdateLock::Missing | UpdateLock::Free)
    }

    /// Asks for what has changed to be kept over a reboot, and replies.
    pub(super) fn push_records_and_replies(&mut self) {
        let disconnected = self.disconnected.take();
        if let Some(names) = &disconnected {
            self.forget_contents(names); // also what was found in this step to have come up
        }
        if std::mem::take(&mut self.finished_changed) {
            self.actions.push(Action::Keep(Record::Finished(self.finished.clone())));
        }
        if !self.replaced.is_empty() {
            // first: should nothing more be written, what came up last is still what ran before
            self.actions.push(Action::Keep(Record::Replaced(std::mem::take(&mut self.replaced))));
        }
        if std::mem::take(&mut self.fallbacks_changed) {
            self.actions.push(Action::Keep(Record::Fallbacks(self.fallbacks.clone())));
        }
        self.actions.extend(self.stops.take_changed().map(Record::Stops).map(Action::Keep));
        self.actions.extend(self.waiting.take_changed().map(Record::Updates).map(Action::Keep));
        self.actions.extend(self.images.take_changed().map(Record::Images).map(Action::Keep));
        if disconnected.is_some() {
            // last: until then the next process would hear of it again, and forget all this again
            self.actions.push(Action::Keep(Record::Disconnected));
        }
        self.actions.append(&mut self.replies);
    }

    pub(super) fn issue_order(&mut self, engine: Engine, task: Task) -> Ticket {
        let ticket = self.next_ticket();
        self.actions.push(Action::Order(Order { engine, ticket, task }));
        ticket
    }

    pub(super) fn issue_deployment_order(&mut self, task: DeploymentTask) -> Ticket {
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
        self.replies.push(Action::Reply(asker, reply));
    }
}

/// What one workload sees of the rest while it is its turn.
pub(super) struct Turn<'a> {
    pub(super) now: Now,
    pub(super) context: &'a mut Context,
    pub(super) engines: &'a mut Engines,
}

impl Turn<'_> {
    pub(super) fn issue_order(&mut self, name: &Arc<str>, engine: Engine, task: Task) -> Ticket {
        let ticket = self.context.issue_order(engine, task);
        self.context.open.insert(ticket, name.clone());
        ticket
    }

    pub(super) fn issue_deployment_order(&mut self, name: &Arc<str>, task: DeploymentTask) -> Ticket {
        let ticket = self.context.issue_deployment_order(task);
        self.context.open.insert(ticket, name.clone());
        ticket
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.context.tell(notice);
    }

    pub(super) fn is_engine_ready(&self, engine: Engine) -> bool {
        self.engines.is_ready(engine)
    }

    /// The engine has told all that it has.
    pub(super) fn on_engine_answered(&mut self, engine: Engine) {
        self.context.images.retry_lost();
        if self.engines.mark_answered(engine, self.now.up) {
            self.tell(Notice::info(Reason::EngineBack, format!("{engine} answers again")));
        }
    }

    /// An order failed after which its workload doesn't wait. An engine that failed counts as lost.
    pub(super) fn on_order_failed(&mut self, engine: Engine, what: &str, failure: &Failure) {
        match failure {
            Failure::Workload(cause) => {
                self.tell(Notice::warning(Reason::Failed, format!("{what}: {cause}")))
            }
            Failure::Engine(cause) => {
                if self.engines.mark_lost(engine, cause, self.now.up) {
                    let message = format!("{engine} doesn't answer; it is tried again: {cause}");
                    self.tell(Notice::warning(Reason::EngineMissing, message));
                }
            }
        }
    }

    pub(super) fn remember_run(&mut self, id: &WorkloadId, run: Run) {
        self.context.finished_changed |= self.context.finished.insert(id.clone(), run) != Some(run);
    }

    pub(super) fn forget_run(&mut self, id: &WorkloadId) {
        self.context.finished_changed |= self.context.finished.remove(id).is_some();
    }

    /// 0 to 1: spreads retries.
    pub(super) fn random(&mut self) -> f64 {
        self.context.random.next_fraction()
    }
}
