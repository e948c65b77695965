//! What must always hold, as an account of the agent's life that knows nothing of how the agent decides.

use super::{
    podman::{Pending, about, sentence},
    shed::{Level, Resource},
    wishes::{Catalogue, Heard, Metrics, NAMES, Spec, Wanted, Wishes},
    *,
};

/// An end that turns out to be none is looked into after this time, at the latest.
const LATE_LOOK: Duration = Duration::from_secs(64);
/// How long all must be fine before an evicted workload comes back.
const CALM: Duration = Duration::from_secs(60);
/// An update gets this much time from its first start.
const TRIAL: Duration = Duration::from_secs(120);
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
    /// A running pod has the smallest limit that a condition which holds gives.
    Limits,
    /// An update that was taken back isn't started again before it changes, and had its time.
    RolledBack,
    /// An image that is needed stays, and one that isn't goes.
    Images,
    /// While the device is short of something nothing is pulled or started, and who was evicted stays away.
    Pressure,
    /// A sick pod is replaced, and one that was stopped isn't asked.
    Probes,
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
    /// The same of the last limit.
    limit: Option<Ticket>,
    /// The limit that podman denied last.
    denied: Option<Option<u64>>,
    /// Of the present pod: the containers that are being asked, and how often in a row they were sick.
    probes: BTreeMap<String, (Option<Ticket>, u32)>,
    /// A container of it is sick for good.
    sick: Option<String>,
    /// Containers of it that have ended, as told last.
    ended: BTreeSet<String>,
    /// The agent was told of an end.
    alarmed: Duration,
    /// This process started this content first.
    started: Option<Duration>,
    /// Since when it must stay away.
    evicted: Option<Duration>,
    last_order: Ticket,
}

#[derive(Debug, Default)]
pub(super) struct Told {
    /// A list was whole, and no order found the engine missing since.
    pub(super) sound: bool,
    /// It didn't answer when it was asked last.
    pub(super) missing: bool,
    /// The list under way is older than a failure.
    void: bool,
    /// The agent was told that there are these pods; and whether something in them runs.
    pods: BTreeMap<WorkloadId, (usize, bool)>,
    /// And which limits they have.
    limits: BTreeMap<WorkloadId, Option<u64>>,
}

/// The account, and the catalogue by which it reads ids.
pub(super) struct Rules<'a> {
    catalogue: &'a Catalogue,
    ttl: Option<Duration>,
    pub(super) wanted: Wanted,
    posted: Metrics,
    accounts: [Account; NAMES.len()],
    newest: Ticket,
    pub(super) engines: [Told; 2],
    /// Pods that the agent may name.
    known: BTreeSet<WorkloadId>,
    /// Pods that somebody else removed, paused or started: what has finished there may run again.
    pub(super) meddled: BTreeSet<WorkloadId>,
    /// What to return to, as kept.
    fallbacks: Fallbacks,
    /// By name, what was asked for and was taken back.
    failed: [Option<WorkloadId>; NAMES.len()],
    /// Of each resource.
    pub(super) levels: [Level; 2],
    /// Since when all is fine.
    fine_since: Duration,
    /// Somebody had to go, in any process.
    pub(super) evicts: bool,
    /// Pods whose removal was ordered last.
    stopped: BTreeSet<WorkloadId>,
    /// Images that the agent was told it pulled; and those of them that podman wouldn't part from.
    pulled: Pulled,
    pub(super) clinging: Pulled,
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
            newest: Ticket::default(),
            engines: Default::default(),
            known: BTreeSet::new(),
            meddled: BTreeSet::new(),
            fallbacks: Fallbacks::new(),
            failed: Default::default(),
            levels: [Level::Fine; 2],
            fine_since: Duration::ZERO,
            evicts: false,
            stopped: BTreeSet::new(),
            pulled: Pulled::new(),
            clinging: Pulled::new(),
        }
    }

    /// A new process knows what it is given: metrics and what the server said last.
    pub(super) fn restarted(&mut self, wanted: Wanted, now: Now) {
        let slots = self.accounts.each_ref().map(|account| (account.spec, account.slot_since));
        (self.wanted, self.accounts, self.engines) = (wanted, Default::default(), Default::default());
        self.known.clear();
        self.stopped.clear();
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

    /// What the sources ask for, come up or not.
    pub(super) fn asked(&self, name: usize) -> Option<Spec> {
        self.wanted.spec(name)
    }

    /// What shall run for what is asked.
    fn effective(&self, name: usize) -> Option<Spec> {
        let asked = self.asked(name)?;
        let fallback =
            self.fallbacks.get(NAMES[name]).filter(|it| it.failed.as_ref() == Some(self.catalogue.id(asked)));
        let good = fallback.and_then(|it| self.catalogue.of(&it.good.id));
        Some(good.map_or(asked, |good| Spec { schedule: asked.schedule, gate: asked.gate, ..good }))
    }

    /// The agent keeps other fallbacks from now on.
    pub(super) fn fall_back(&mut self, fallbacks: &Fallbacks, now: Now) -> Holds {
        self.fallbacks.clone_from(fallbacks);
        for (name, fallback) in fallbacks {
            let (Some(at), Some(failed)) = (NAMES.iter().position(|it| *it == &**name), &fallback.failed)
            else {
                continue;
            };
            let account = &self.accounts[at];
            if self.failed[at].as_ref() == Some(failed) {
                continue;
            }
            let is_it = account.spec.is_some_and(|spec| self.catalogue.id(spec) == failed);
            if let Some(started) = account.started.filter(|started| is_it && now.up < *started + TRIAL) {
                let what = format!("{failed} is taken back {:?} after its start", now.up - started);
                return broken(Invariant::RolledBack, what);
            }
            self.failed[at] = Some(failed.clone());
        }
        self.compare(now);
        Ok(())
    }

    /// Whether this limit was ordered for the present pod of the name.
    pub(super) fn is_latest_limit(&self, name: usize, ticket: Ticket) -> bool {
        self.accounts[name].limit == Some(ticket)
    }

    /// Whether an update is under way: a content that has something to return to, and isn't given up.
    pub(super) fn is_on_trial(&self, name: usize) -> bool {
        self.fallbacks.get(NAMES[name]).is_some_and(|it| it.failed.is_none())
    }

    pub(super) fn pressed(&mut self, resource: Resource, level: Level, now: Now) {
        let was_fine = self.is_fine();
        self.levels[resource as usize] = level;
        if !was_fine && self.is_fine() {
            self.fine_since = now.up;
        }
    }

    fn is_fine(&self) -> bool {
        self.levels == [Level::Fine; 2]
    }

    pub(super) fn alarmed(&mut self, name: usize, now: Now) {
        self.accounts[name].alarmed = now.up;
    }

    /// The agent tells people who has to go, and who may come back.
    pub(super) fn told(&mut self, notice: &Notice, now: Now) -> Holds {
        let name = notice.message.split('\'').nth(1);
        let name = NAMES.iter().position(|it| Some(*it) == name);
        let Some(account) = name.map(|name| &mut self.accounts[name]) else { return Ok(()) };
        match notice.reason {
            Reason::Evicted => {
                account.evicted = Some(now.up);
                self.evicts = true;
                if !self.levels.contains(&Level::Critical) {
                    return broken(Invariant::Pressure, format!("nothing is critical, and {notice}"));
                }
            }
            Reason::EvictionOver => {
                let since = account.evicted.take().unwrap_or_default().max(self.fine_since);
                if !self.is_fine() || now.up < since + CALM {
                    return broken(Invariant::Pressure, format!("too early: {notice}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn compare(&mut self, now: Now) {
        let effective: [_; NAMES.len()] = std::array::from_fn(|name| self.effective(name));
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let asked = self.wanted.spec(name).map(|spec| self.catalogue.id(spec));
            let is_gone = asked.is_none() && self.wanted.all_known() && !self.wanted.is_held(name);
            if asked.is_some() && asked != self.failed[name].as_ref() || is_gone {
                self.failed[name] = None;
            }
            let (before, after) = (account.spec, effective[name]);
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
        self.newest = order.ticket;
        let told = &mut self.engines[index(order.engine)];
        let (verb, Some(id)) = about(&order.task) else {
            let twice =
                pending.iter().any(|it| it.order.task == order.task && it.order.engine == order.engine);
            match &order.task {
                Task::Discard(image) => return self.may_discard(image, order, twice),
                Task::Usage(_) => return Ok(()), // memory can't wait for the disks to be measured
                _ => told.void = false,
            }
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
        match &order.task {
            Task::Limit { .. } | Task::Probe { .. } => return self.may_ask(name, id, order, pending),
            Task::Pull(_) => {} // changes nothing that a list shows
            _ => self.accounts[name].last_order = order.ticket,
        }
        let others = || pending.iter().filter_map(|it| Some((it, about(&it.order.task).1?)));
        let pulls = verb == "pull";
        for (other, _) in others().filter(|(_, other)| *other == id) {
            let is_aside =
                matches!(other.order.task, Task::Pull(_) | Task::Limit { .. } | Task::Probe { .. });
            if !pulls && !is_aside || pulls && self.accounts[name].pull == Some(other.order.ticket) {
                let both =
                    format!("{}, while this is under way: {}", sentence(order), sentence(&other.order));
                return broken(Invariant::OneOrder, both);
            }
        }
        if pulls {
            self.accounts[name].pull = Some(order.ticket);
        }
        match &order.task {
            Task::Remove { id, grace } => {
                self.stopped.insert(id.clone());
                let account = &mut self.accounts[name];
                if account.spec.is_some_and(|spec| self.catalogue.id(spec) == id) {
                    account.sick = None; // if it stays it is asked anew
                    account.probes.clear();
                }
                if grace.is_zero() && self.accounts[name].evicted.is_none() {
                    return broken(Invariant::Pressure, format!("{} is killed for nothing", sentence(order)));
                }
                self.may_remove(name, order)
            }
            Task::Start(_) => {
                self.stopped.remove(id);
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
            _ => Ok(()),
        }
    }

    fn may_discard(&self, image: &str, order: &Order, twice: bool) -> Holds {
        if !self.wanted.any_known() {
            return broken(Invariant::Unread, format!("{}, and nothing was read yet", sentence(order)));
        }
        if twice {
            return broken(Invariant::OneOrder, format!("{}, which is under way", sentence(order)));
        }
        let image = (order.engine, image.to_owned());
        if self.needed().contains(&image) {
            return broken(Invariant::Images, format!("{}, which is needed", sentence(order)));
        }
        if !self.pulled.contains(&image) {
            return broken(Invariant::Images, format!("{}, which isn't the agent's", sentence(order)));
        }
        Ok(())
    }

    /// The images of all that shall run, or may come back.
    fn needed(&self) -> Pulled {
        let good = self.fallbacks.values().filter_map(|it| self.catalogue.of(&it.good.id));
        let specs = self.accounts.iter().filter_map(|it| it.spec).chain(good);
        specs.flat_map(|it| it.images().iter().map(move |image| (it.engine(), (*image).to_owned()))).collect()
    }

    /// Images that the agent knows of and nobody needs, but for those that podman wouldn't part from.
    pub(super) fn unneeded(&self) -> impl Iterator<Item = &(Engine, String)> {
        let needed = self.needed();
        self.pulled.iter().filter(move |it| !needed.contains(it) && !self.clinging.contains(it))
    }

    /// A pod is limited, or asked whether it is well: at its side, whatever else happens to it.
    fn may_ask(&mut self, name: usize, id: &WorkloadId, order: &Order, pending: &[Pending]) -> Holds {
        let account = &mut self.accounts[name];
        if account.spec.is_none_or(|spec| self.catalogue.id(spec) != id) {
            return broken(Invariant::Probes, format!("{}, which nobody wants", sentence(order)));
        }
        if self.stopped.contains(id) {
            return broken(Invariant::Probes, format!("{}, which was stopped", sentence(order)));
        }
        let before = match &order.task {
            Task::Probe { container, .. } => {
                account.probes.entry(container.clone()).or_default().0.replace(order.ticket)
            }
            _ => account.limit.replace(order.ticket),
        };
        if pending.iter().any(|it| Some(it.order.ticket) == before) {
            return broken(Invariant::OneOrder, format!("{}, while that is under way", sentence(order)));
        }
        Ok(())
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
        if !self.is_fine() || account.evicted.is_some() {
            let what = format!("{}, and the device is short, or it was evicted", sentence(order));
            return broken(Invariant::Pressure, what);
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
        if self.failed[name].as_ref() == Some(id) {
            return broken(Invariant::RolledBack, format!("{}, which was taken back", sentence(order)));
        }
        for (other, (of, _)) in self.engines.iter().flat_map(|told| &told.pods) {
            if *of == name && other != id {
                return broken(Invariant::OnePod, format!("{}, while {other} is there", sentence(order)));
            }
        }
        let account = &mut self.accounts[name];
        account.started.get_or_insert(now.up);
        account.probes.clear();
        (account.sick, account.ended) = (None, BTreeSet::new());
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
        let is_aside = matches!(order.task, Task::Probe { .. } | Task::Usage(_) | Task::Discard(_));
        if matches!(result, Err(Failure::Engine(_))) && !is_aside || is_list && result.is_err() {
            (told.sound, told.missing) = (false, true);
            told.void |= lists && !is_list;
        }
        if let (true, Ok(Fact::Pods(pods))) = (is_list, result) {
            self.known.extend(pods.iter().map(|pod| pod.id.clone()));
            if std::mem::take(&mut told.void) {
                told.pods.clear(); // the agent may have passed it over, or not: it can't be said what it knows
                return;
            }
            (told.sound, told.missing) = (true, false);
            let accounts = &self.accounts;
            let newer = |name: usize| accounts[name].last_order >= order.ticket;
            // One that an outcome told of since the list was asked for may be there all the same.
            told.pods.retain(|_, (name, _)| newer(*name));
            for pod in pods {
                let Some(name) = self.catalogue.name(&pod.id) else { continue };
                if !newer(name) {
                    told.pods.insert(pod.id.clone(), (name, pod.running));
                }
            }
            return;
        }
        if let (Task::Discard(image), result) = (&order.task, result) {
            let image = (order.engine, image.clone());
            if result.is_ok() {
                self.clinging.remove(&image);
                self.pulled.remove(&image);
            } else {
                self.clinging.insert(image);
            }
            return;
        }
        if let Ok(Fact::Pulled { fetched, .. }) = result {
            for Fetched { image, before } in fetched {
                let image = (order.engine, image.clone());
                if before.is_none() || self.pulled.contains(&image) {
                    self.pulled.insert(image);
                    self.pulled.extend(before.iter().map(|id| (order.engine, id.clone())));
                }
            }
        }
        let Some(id) = about(&order.task).1 else { return };
        let Some(name) = self.catalogue.name(id) else { return };
        if matches!(order.task, Task::Start(_) | Task::Look(_) | Task::Remove { .. }) {
            self.accounts[name].last_order = self.newest;
        }
        match (&order.task, result) {
            (Task::Probe { container, probe, .. }, result) => {
                self.asked_container(name, order.ticket, container, probe, result);
            }
            // one for an earlier pod of this name comes as it likes
            (Task::Limit { .. }, _) if self.accounts[name].limit != Some(order.ticket) => {
                told.limits.remove(id);
            }
            (Task::Limit { cpu, .. }, Ok(Fact::Limited)) => drop(told.limits.insert(id.clone(), *cpu)),
            (Task::Limit { cpu, .. }, result) => {
                told.limits.remove(id);
                if !matches!(result, Err(Failure::Engine(_))) {
                    self.accounts[name].denied = Some(*cpu);
                }
            }
            (Task::Start(_) | Task::Look(_), Ok(Fact::Pod(pod))) => {
                told.limits.insert(id.clone(), pod.cpu);
                self.stopped.remove(id);
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
            (Task::Look(_), Err(_)) => drop(told.pods.remove(id)),
            // The removal of a sick one that shall not run again may get lost: it is started again then.
            (Task::Remove { .. }, Err(Failure::Engine(_))) => {
                self.meddled.insert(id.clone());
                self.accounts[name].removal_refused = Some(now.up);
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

    fn asked_container(
        &mut self,
        name: usize,
        ticket: Ticket,
        container: &str,
        probe: &health::Probe,
        result: &Result<Fact, Failure>,
    ) {
        let account = &mut self.accounts[name];
        let Some((asked, failures)) = account.probes.get_mut(container) else { return };
        if *asked != Some(ticket) {
            return;
        }
        *asked = None;
        let Ok(Fact::Probed { healthy, .. }) = result else { return };
        *failures = if *healthy { 0 } else { *failures + 1 };
        if *failures >= probe.failure_threshold {
            account.sick = Some(container.to_owned());
        }
    }

    fn judged(&mut self, name: usize, pod: &Pod, now: Now) {
        let account = &mut self.accounts[name];
        account.denied = None;
        account.started.get_or_insert(now.up); // found, and perhaps started by an earlier process
        let ended = pod.containers.iter().filter(|it| it.state != ContainerState::Running);
        account.ended = ended.map(|it| it.name.clone()).collect();
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
            account.sick = None; // that it was sick as well is no second failure
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
            if account.sick.take().is_some() {
                account.probes.clear();
                let shortest = match spec.schedule() {
                    Schedule::Service(Backoff::Constant(wait)) => wait,
                    Schedule::Service(Backoff::Exponential { initial, randomization, .. }) => {
                        initial.mul_f64(1.0 - randomization)
                    }
                    Schedule::Cron(_) => Duration::ZERO,
                };
                account.failures = 1; // rather too few than too many
                account.not_before = now.up + shortest;
            }
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
            let waits = matches!(phase, Some(Phase::Finished { .. }))
                || account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN);
            if waits || !runs {
                continue;
            }
            let wrong = match account.spec {
                Some(_) if account.evicted.is_some() => "it was evicted",
                Some(spec) if !self.allows(spec, now) => "its conditions are false",
                None if self.wanted.is_held(*name) => continue,
                None if self.wanted.all_known() => "nobody wants it",
                _ => continue,
            };
            return broken(Invariant::Conditions, format!("{id} runs on, and {wrong}"));
        }
        self.is_as_told(agent, now)
    }

    /// What runs has its limit, and is well.
    fn is_as_told(&self, agent: &Agent, now: Now) -> Holds {
        let metrics = self.metrics(now);
        for (name, account) in self.accounts.iter().enumerate() {
            let phase = agent.tracked.get(NAMES[name]).map(|tracked| tracked.phase);
            let (Some(spec), Some(Phase::Running)) = (account.spec, phase) else { continue };
            if now.up < account.alarmed + LATE_LOOK || !self.wanted.allows(spec, &metrics) {
                continue;
            }
            if let Some(container) = account.sick.as_ref().filter(|it| !account.ended.contains(*it)) {
                return broken(Invariant::Probes, format!("'{container}' of {spec} is sick, and runs on"));
            }
            let (id, wanted) = (self.catalogue.id(spec), self.wanted.cpu(spec, &metrics));
            let found = self.engines[index(spec.engine())].limits.get(id);
            if found.is_some_and(|found| *found != wanted) && account.denied != Some(wanted) {
                return broken(Invariant::Limits, format!("{id} has {found:?} and not {wanted:?}"));
            }
        }
        Ok(())
    }
}
