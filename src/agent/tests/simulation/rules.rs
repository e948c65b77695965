//! What must always hold, as an account of the agent's life that knows nothing of how the agent decides.

use super::{
    podman::{Pending, about, sentence},
    wishes::{Catalogue, Heard, Metrics, NAMES, Spec, Wanted, Wishes},
    *,
};

/// After a removal that failed nothing is tried for this long.
const REMOVE_AGAIN: Duration = Duration::from_secs(5);

/// What must always hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Invariant {
    /// Never two pods of one workload.
    OnePod,
    /// Nothing is ordered twice without an outcome between.
    OneOrder,
    /// Nothing is started, or runs on, that isn't wanted or whose conditions are false.
    Conditions,
    /// What somebody may want isn't removed before all was read.
    Unread,
    /// Nobody else's pod is named in an order.
    Foreign,
    /// A failure is followed by a wait, and the wait ends.
    BackOff,
    /// Conditions that change all the time bring rest.
    Flapping,
    /// A cron workload runs once a slot.
    Cron,
    /// What has finished doesn't run again.
    Finished,
    /// The agent doesn't want to be woken again and again at the same time.
    BusyLoop,
    /// When faults stop, all that shall run does, and nothing else, in bounded time.
    Converges,
    /// Then nothing is done any more but to look.
    Rests,
    /// A configuration with nothing in it leaves nothing.
    Empties,
    /// No panic, neither the agent's nor the server's: each event comes once.
    Sane,
}

/// An invariant that didn't hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Broken {
    pub(super) invariant: Invariant,
    pub(super) what: String,
}

pub(super) type Holds = Result<(), Broken>;

pub(super) fn broken(invariant: Invariant, what: impl Into<String>) -> Holds {
    Err(Broken { invariant, what: what.into() })
}

/// What is known of one workload name; all of it but the spec is this process's.
#[derive(Debug, Default)]
struct Account {
    spec: Option<Spec>,
    /// It was wanted, and isn't any more.
    dismissed: bool,
    allowed: Option<bool>,
    changes: Vec<Duration>,
    rests_until: Duration,
    /// In a row; rather too few than too many.
    failures: u32,
    /// It isn't started earlier.
    not_before: Duration,
    /// The end of the wait that was looked at last.
    until: Duration,
    /// A slot must have come since then; `None`: it may have come already.
    slot_since: Option<SystemTime>,
    removal_refused: Option<Duration>,
    /// It was a cron workload in between: it may run again.
    may_finish_again: bool,
    /// The last pull for this wish. One for an earlier wish may be under way too: it does no harm.
    pull: Option<Ticket>,
    last_order: Ticket,
}

#[derive(Debug, Default)]
pub(super) struct Told {
    /// A list was whole, and no order found the engine missing since.
    pub(super) sound: bool,
    /// The list under way is older than a failure.
    void: bool,
    /// The agent was told that there are these pods; and whether something in them runs.
    pods: BTreeMap<WorkloadId, (usize, bool)>,
}

/// The account, and the catalogue by which it reads ids.
pub(super) struct Rules<'a> {
    catalogue: &'a Catalogue,
    ttl: Option<Duration>,
    pub(super) wanted: Wanted,
    posted: Metrics,
    accounts: [Account; NAMES.len()],
    pub(super) engines: [Told; 2],
    /// Pods that the agent may name.
    known: BTreeSet<WorkloadId>,
    /// Pods that a list told of, or didn't, which was older than what the agent had heard since: it may not know of
    /// them.
    pub(super) passed_over: BTreeSet<WorkloadId>,
    /// Pods that somebody else removed, paused or started, or that podman denied a look at: what has finished there
    /// may run again.
    pub(super) meddled: BTreeSet<WorkloadId>,
}

/// The index of an engine.
pub(super) fn index(engine: Engine) -> usize {
    match engine {
        Engine::Podman { rootless } => usize::from(rootless),
    }
}

impl<'a> Rules<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, ttl: Option<Duration>, wanted: Wanted) -> Self {
        Self {
            catalogue,
            ttl,
            wanted,
            posted: Metrics::default(),
            accounts: Default::default(),
            engines: Default::default(),
            known: BTreeSet::new(),
            passed_over: BTreeSet::new(),
            meddled: BTreeSet::new(),
        }
    }

    /// A new process knows what it is given: metrics and what the server said last.
    pub(super) fn restarted(&mut self, wanted: Wanted, now: Now) {
        let slots = self.accounts.each_ref().map(|account| (account.spec, account.slot_since));
        (self.wanted, self.accounts, self.engines) = (wanted, Default::default(), Default::default());
        self.known.clear();
        self.passed_over.clear();
        self.compare(now);
        for (account, (spec, slot)) in self.accounts.iter_mut().zip(slots) {
            if spec.is_some_and(|spec| account.spec == Some(spec)) {
                account.slot_since = slot;
            }
        }
    }

    pub(super) fn post(&mut self, heat: bool, value: Option<f64>, now: Now) {
        let metric = if heat { &mut self.posted.heat } else { &mut self.posted.x };
        *metric = value.map(|value| (value, now.up));
    }

    /// The posted values that count, by name.
    pub(super) fn metrics(&self, now: Now) -> Metrics {
        let fresh = |it: &(f64, Duration)| self.ttl.is_none_or(|ttl| now.up < it.1 + ttl);
        Metrics { x: self.posted.x.filter(fresh), heat: self.posted.heat.filter(fresh) }
    }

    pub(super) fn spec(&self, name: usize) -> Option<Spec> {
        self.accounts[name].spec
    }

    pub(super) fn allows(&self, spec: Spec, now: Now) -> bool {
        self.wanted.allows(spec, &self.metrics(now))
    }

    /// A source speaks. Answers with what was wanted before.
    pub(super) fn hear(&mut self, server: bool, wishes: &Wishes, now: Now) {
        let source = if server { &mut self.wanted.server } else { &mut self.wanted.manifests };
        source.get_or_insert_default().hear(wishes);
        self.compare(now);
    }

    /// The server has nothing to say any more.
    pub(super) fn disconnected(&mut self, now: Now) {
        let mut empty = Heard::default();
        empty.hear(&Wishes { definition: 3, ..Wishes::default() });
        self.wanted.server = Some(empty);
        self.compare(now);
    }

    fn compare(&mut self, now: Now) {
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let (before, after) = (account.spec, self.wanted.spec(name));
            account.spec = after;
            let ids = [before, after].map(|spec| spec.map(|spec| self.catalogue.id(spec)));
            self.known.extend(ids[1].cloned());
            if ids[0] != ids[1] {
                let dismissed = account.dismissed || before.is_some();
                *account = Account {
                    spec: after,
                    dismissed,
                    slot_since: Some(now.utc),
                    removal_refused: account.removal_refused,
                    last_order: account.last_order,
                    ..Account::default()
                };
            } else if let (Some(before), Some(after)) = (before, after)
                && before.schedule() != after.schedule()
            {
                let is_service = |spec: Spec| matches!(spec.schedule(), Schedule::Service(_));
                account.slot_since = None;
                if is_service(before) != is_service(after) {
                    account.slot_since = Some(now.utc);
                    (account.failures, account.not_before) = (0, Duration::ZERO);
                    account.may_finish_again = true;
                }
            }
        }
    }

    /// The wall clock is set: a slot that was due stays due.
    pub(super) fn clock_set(&mut self) {
        for account in &mut self.accounts {
            account.slot_since = None;
        }
    }

    /// What the agent sees of the conditions after an event: names whose conditions changed.
    pub(super) fn watch(&mut self, agent: &Agent, now: Now) -> Vec<(usize, bool)> {
        let mut changed = Vec::new();
        if !self.wanted.any_known() {
            return changed;
        }
        let metrics = self.metrics(now);
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let Some(spec) = account.spec else { continue };
            let allowed = self.wanted.allows(spec, &metrics);
            if account.allowed.replace(allowed).is_some_and(|before| before != allowed) {
                changed.push((name, allowed));
                account.changes.retain(|at| now.up - *at < 60 * S);
                account.changes.push(now.up);
                if account.changes.len() > 5 {
                    account.changes.clear();
                    account.rests_until = now.up + 30 * S;
                }
            }
            if agent.tracked.get(NAMES[name]).is_none_or(|tracked| !tracked.may_run) {
                (account.failures, account.not_before) = (0, Duration::ZERO);
            }
        }
        changed
    }

    /// The agent gives an order; `pending` are those without an outcome.
    pub(super) fn ordered(
        &mut self,
        order: &Order,
        pending: &[Pending],
        finished: &Finished,
        now: Now,
    ) -> Holds {
        let told = &mut self.engines[index(order.engine)];
        let (verb, Some(id)) = about(&order.task) else {
            told.void = false;
            let twice =
                pending.iter().any(|it| it.order.task == Task::List && it.order.engine == order.engine);
            return if twice { broken(Invariant::OneOrder, "two lists at once") } else { Ok(()) };
        };
        if !self.known.contains(id) {
            return broken(
                Invariant::Foreign,
                format!("{} names a pod that it wasn't told of", sentence(order)),
            );
        }
        let Some(name) = self.catalogue.name(id) else {
            return broken(Invariant::Foreign, format!("{} names a foreign pod", sentence(order)));
        };
        if !self.wanted.any_known() {
            return broken(Invariant::Unread, format!("{}, and nothing was read yet", sentence(order)));
        }
        self.accounts[name].last_order = order.ticket;
        let others = || pending.iter().filter_map(|it| Some((it, about(&it.order.task).1?)));
        let pulls = verb == "pull";
        for (other, _) in others().filter(|(_, other)| *other == id) {
            let is_pull = matches!(other.order.task, Task::Pull(_));
            if !pulls && !is_pull || pulls && self.accounts[name].pull == Some(other.order.ticket) {
                let both =
                    format!("{}, while this is under way: {}", sentence(order), sentence(&other.order));
                return broken(Invariant::OneOrder, both);
            }
        }
        if pulls {
            self.accounts[name].pull = Some(order.ticket);
        }
        match &order.task {
            Task::Remove { .. } => self.may_remove(name, order),
            Task::Start(_) => {
                for (other, id) in others() {
                    let touches = matches!(other.order.task, Task::Start(_) | Task::Remove { .. });
                    if touches && self.catalogue.name(id) == Some(name) {
                        let both =
                            format!("{}, before this is done: {}", sentence(order), sentence(&other.order));
                        return broken(Invariant::OnePod, both);
                    }
                }
                self.may_start(name, id, order, finished, now)
            }
            Task::Pull(_) => self.is_wanted(name, id, order, now),
            Task::List | Task::Look(_) => Ok(()),
        }
    }

    fn may_remove(&self, name: usize, order: &Order) -> Holds {
        let account = &self.accounts[name];
        let is_held = self.wanted.is_held(name);
        if account.spec.is_none() && (is_held || !self.wanted.all_known() && !account.dismissed) {
            return broken(Invariant::Unread, format!("{}, which may be wanted", sentence(order)));
        }
        Ok(())
    }

    fn is_wanted(&self, name: usize, id: &WorkloadId, order: &Order, now: Now) -> Holds {
        let account = &self.accounts[name];
        let Some(spec) = account.spec.filter(|spec| self.catalogue.id(*spec) == id) else {
            return broken(Invariant::Conditions, format!("{}, which nobody wants", sentence(order)));
        };
        if !self.allows(spec, now) {
            return broken(
                Invariant::Conditions,
                format!("{}, and its conditions are false", sentence(order)),
            );
        }
        if now.up < account.rests_until {
            let rest = account.rests_until - now.up;
            return broken(
                Invariant::Flapping,
                format!("{}, which should rest for {rest:?}", sentence(order)),
            );
        }
        Ok(())
    }

    fn may_start(
        &mut self,
        name: usize,
        id: &WorkloadId,
        order: &Order,
        finished: &Finished,
        now: Now,
    ) -> Holds {
        self.is_wanted(name, id, order, now)?;
        for (other, (of, _)) in self.engines.iter().flat_map(|told| &told.pods) {
            if *of == name && other != id {
                return broken(Invariant::OnePod, format!("{}, while {other} is there", sentence(order)));
            }
        }
        let account = &mut self.accounts[name];
        if now.up < account.not_before {
            let early = account.not_before - now.up;
            let failures = account.failures;
            let what = format!("{}, {early:?} too early after {failures} failures", sentence(order));
            return broken(Invariant::BackOff, what);
        }
        match account.spec.map(Spec::schedule) {
            Some(Schedule::Cron(cron)) => {
                let slot = account
                    .slot_since
                    .map(|since| next_slot(&cron, since).is_some_and(|slot| slot <= now.utc));
                account.slot_since = Some(now.utc);
                if slot == Some(false) {
                    return broken(Invariant::Cron, format!("{}, and no slot has come", sentence(order)));
                }
            }
            _ if finished.contains_key(id) && !account.may_finish_again && !self.meddled.contains(id) => {
                return broken(Invariant::Finished, format!("{}, which has finished", sentence(order)));
            }
            _ => {}
        }
        Ok(())
    }

    /// An order's outcome comes. `own`: the workload waits for it.
    pub(super) fn answered(
        &mut self,
        order: &Order,
        own: bool,
        result: &Result<Fact, Failure>,
        lists: bool,
        now: Now,
    ) {
        let told = &mut self.engines[index(order.engine)];
        let is_list = order.task == Task::List;
        if matches!(result, Err(Failure::Engine(_))) || is_list && result.is_err() {
            (told.sound, told.void) = (false, told.void || lists && !is_list);
        }
        if let (true, Ok(Fact::Pods(pods))) = (is_list, result) {
            self.known.extend(pods.iter().map(|pod| pod.id.clone()));
            if std::mem::take(&mut told.void) {
                told.pods.clear(); // the agent may have passed it over, or not: it can't be said what it knows
                return;
            }
            told.sound = true;
            let accounts = &self.accounts;
            let newer = |name: usize| accounts[name].last_order > order.ticket;
            // One that an outcome told of since the list was asked for may be there all the same.
            let gone = |it: &(&WorkloadId, &(usize, bool))| !newer(it.1.0);
            self.passed_over.extend(told.pods.iter().filter(gone).map(|(id, _)| id.clone()));
            told.pods.retain(|_, (name, _)| newer(*name));
            for pod in pods {
                let Some(name) = self.catalogue.name(&pod.id) else { continue };
                if newer(name) {
                    self.passed_over.insert(pod.id.clone());
                } else {
                    self.passed_over.remove(&pod.id);
                    told.pods.insert(pod.id.clone(), (name, pod.running));
                }
            }
            return;
        }
        let Some(id) = about(&order.task).1 else { return };
        let Some(name) = self.catalogue.name(id) else { return };
        match (&order.task, result) {
            (Task::Start(_) | Task::Look(_), Ok(Fact::Pod(pod))) => {
                let runs = pod.containers.iter().any(|it| it.state == ContainerState::Running);
                told.pods.insert(id.clone(), (name, runs));
                if own {
                    self.judged(name, pod, now);
                }
            }
            (_, Ok(Fact::Gone)) | (Task::Start(_), Err(_)) => {
                told.pods.remove(id);
            }
            // a list will tell again
            (Task::Look(_), Err(_)) => {
                told.pods.remove(id);
                self.meddled.insert(id.clone());
            }
            (Task::Remove { .. }, Err(_)) => self.accounts[name].removal_refused = Some(now.up),
            _ => {}
        }
        if own
            && matches!(order.task, Task::Start(_) | Task::Pull(_))
            && matches!(result, Err(Failure::Workload(_)))
        {
            self.failed(name, now.up);
        }
    }

    fn judged(&mut self, name: usize, pod: &Pod, now: Now) {
        let account = &mut self.accounts[name];
        let Some(spec) = account.spec else { return };
        let is_stuck = |it: &Container| matches!(it.state, ContainerState::Stuck(_));
        if pod.containers.len() < spec.containers() || pod.containers.iter().any(is_stuck) {
            account.not_before = Duration::ZERO;
            if matches!(spec.schedule(), Schedule::Cron(_)) {
                let id = self.catalogue.id(spec); // left until its next slot, or until a list tells of it
                self.engines[index(spec.engine())].pods.remove(id);
            }
            return;
        }
        let failed = pod.containers.iter().filter_map(|it| match it.state {
            ContainerState::Exited { code, at, ran } => match spec.restart() {
                RestartPolicy::Always => Some((at, ran)),
                RestartPolicy::OnFailure => (code != 0).then_some((at, ran)),
                RestartPolicy::Never => None,
            },
            _ => None,
        });
        if let Some((at, ran)) = failed.min_by_key(|(at, _)| *at) {
            if ran >= Backoff::CAP {
                account.failures = 0;
            }
            let since = now.utc.duration_since(at).unwrap_or_default();
            self.failed(name, now.up.saturating_sub(since));
        }
    }

    fn failed(&mut self, name: usize, at: Duration) {
        let account = &mut self.accounts[name];
        let wait = match account.spec.map(Spec::schedule) {
            Some(Schedule::Service(Backoff::Constant(wait))) => wait,
            Some(Schedule::Service(Backoff::Exponential { initial, multiplier, randomization })) => {
                let grown = initial.as_secs_f64() * multiplier.powi(account.failures.min(1000) as i32);
                Duration::from_secs_f64(grown.min(300.0) * (1.0 - randomization))
            }
            _ => Duration::ZERO,
        };
        account.failures += 1;
        account.not_before = at + wait;
    }

    /// A wait that begins must end in time.
    pub(super) fn waits(&mut self, agent: &Agent, now: Now) -> Holds {
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let Some(spec) = account.spec else { continue };
            let Some(Phase::Waiting { until }) = agent.tracked.get(NAMES[name]).map(|it| it.phase) else {
                continue;
            };
            if std::mem::replace(&mut account.until, until) == until {
                continue;
            }
            let longest = match spec.schedule() {
                Schedule::Service(Backoff::Constant(wait)) => wait.max(REMOVE_AGAIN),
                Schedule::Service(Backoff::Exponential { .. }) => Backoff::CAP,
                Schedule::Cron(_) => REMOVE_AGAIN,
            };
            if until > now.up + longest {
                let wait = until - now.up;
                return broken(Invariant::BackOff, format!("'{}' waits for {wait:?}", NAMES[name]));
            }
        }
        Ok(())
    }

    /// The agent has nothing under way and nothing to do now: then nothing runs, as far as it was told, that must
    /// not.
    pub(super) fn at_rest(&self, agent: &Agent, now: Now) -> Holds {
        if !self.wanted.any_known() || self.engines.iter().any(|told| !told.sound) {
            return Ok(());
        }
        for (id, (name, runs)) in self.engines.iter().flat_map(|told| &told.pods) {
            let account = &self.accounts[*name];
            // What has finished is left to whoever starts it by hand; a pod that is there against all the agent knows
            // is dealt with after the next full look.
            let phase = agent.tracked.get(NAMES[*name]).map(|tracked| tracked.phase);
            let waits = matches!(phase, Some(Phase::Finished { .. } | Phase::Inactive))
                || account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN);
            if waits || !runs {
                continue;
            }
            let wrong = match account.spec {
                Some(spec) if !self.allows(spec, now) => "its conditions are false",
                None if self.wanted.is_held(*name) => continue,
                None if self.wanted.all_known() => "nobody wants it",
                _ => continue,
            };
            return broken(Invariant::Conditions, format!("{id} runs on, and {wrong}"));
        }
        Ok(())
    }
}
