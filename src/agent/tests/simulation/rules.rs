//! What must always hold, as an account of the agent's life that knows nothing of how the agent decides.

mod back_off;
mod by_hand;
mod dependencies;
mod orders;
mod outcomes;
mod remembering;
mod returns;
mod tries;
mod updates;

use super::{
    model::pressure::{Level, Resource},
    podman::{Pending, about, sentence},
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
    /// What may be wanted isn't removed before all was read.
    Unread,
    /// No foreign pod is named in an order.
    Foreign,
    /// A failure is followed by a wait, and the wait ends.
    BackOff,
    /// Of a pod that goes on, the container that ended is started again, as its policy says and when its wait is over, and
    /// nothing else.
    Restarts,
    /// What a person stopped neither starts nor runs on, and what a person lets run again does; a run is one run.
    ByHand,
    /// Conditions that change all the time bring rest.
    Flapping,
    /// A cron workload runs once a slot.
    Cron,
    /// What fails in its run is tried again, as often as is allowed.
    Tries,
    /// What has finished doesn't run again.
    Finished,
    /// A running pod has the smallest limit that a condition which holds gives.
    Limits,
    /// A pod has the time that it may be active, and no more, and its own time to end; and sidecars don't outlast what
    /// they are for.
    Ends,
    /// An update that was taken back isn't started again before it changes, and had its time.
    RolledBack,
    /// What came up last is what is returned to, whatever was asked for since.
    Remembers,
    /// An update waits until it is allowed, but not longer than its deadline; and nothing else waits.
    Updates,
    /// What runs stays until what is to take its place is known to be able to start.
    Stays,
    /// No workload waits for another that it doesn't depend on.
    Waits,
    /// Nothing is started before what it depends on is ready.
    Depends,
    /// A condition is true when its expression was for long enough: neither earlier nor later.
    Lasts,
    /// An image that is needed stays, and one that isn't goes.
    Images,
    /// While the device is short of something nothing is pulled or started, and who was evicted stays away.
    Pressure,
    /// A sick pod is replaced, and one that was stopped isn't asked.
    Probes,
    /// A container whose hook failed, or was cut off, is ended; and none holds up the end of its pod.
    Hooks,
    /// The agent doesn't want to be woken again and again at the same time.
    BusyLoop,
    /// When faults stop, all that is to run does, and nothing else, in bounded time.
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
    /// The one before.
    before: Option<Spec>,
    /// It was wanted, and isn't any more.
    dismissed: bool,
    allowed: Option<bool>,
    changes: Vec<Duration>,
    rests_until: Duration,
    /// How long that rest is, and whether people were told.
    rest: Duration,
    told_of_rest: bool,
    /// Since when it runs without a break.
    runs_since: Option<Duration>,
    /// It is known that it could start.
    rehearsed: bool,
    /// The last rehearsal.
    rehearsal: Option<Ticket>,
    /// In a row; rather too few than too many.
    failures: u32,
    /// It isn't started earlier.
    not_before: Duration,
    /// The end of the wait that was looked at last.
    until: Duration,
    /// A slot must have come since then; `None`: it may have come already.
    slot_since: Option<SystemTime>,
    /// When its last pod was started, by a clock that was not set back since the one before.
    begun: Option<SystemTime>,
    /// How late it was since then, before the clock was set.
    reached: Option<SystemTime>,
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
    /// Containers of it that are sick for good, and what says so.
    sick: BTreeMap<String, Invariant>,
    /// Containers of it that have ended, as told last.
    ended: BTreeSet<String>,
    /// Containers of it that could not be started, and have not run since.
    refused: BTreeSet<String>,
    /// Containers of it that ended once and were missed.
    missed: BTreeMap<String, Missed>,
    /// Some of them ended badly, and aren't wanted back; how long the first of them ran.
    lacks: Option<Duration>,
    /// How many ran, as told last.
    running: usize,
    /// Containers of it whose probe failed, and which have not run anew since.
    killed: BTreeSet<String>,
    /// Since when the pod is there.
    pod_since: Option<Duration>,
    /// A container of it was missed before its schedule became one of another kind: it wasn't looked at since.
    unjudged: bool,
    /// The container whose readiness is asked for is ready: so often it said the contrary since.
    ready: Option<u32>,
    /// There is a reason to make the whole pod anew.
    remake: bool,
    /// When the present pod's time is over; none before it is known to run.
    ends: Option<Duration>,
    /// That was told: what is started next is another run, with a time of its own.
    is_over: bool,
    /// Only sidecars of the pod run.
    lingers: bool,
    /// The agent was told of an end.
    alarmed: Duration,
    /// This process started this content first.
    started: Option<Duration>,
    /// Since when it must stay away.
    evicted: Option<Duration>,
    /// That a person asked for.
    run: by_hand::Run,
    /// The next try of the run of a slot.
    next_try: by_hand::Run,
    /// So many tries of it were told of.
    tried: u32,
    /// Of these, when another schedule came, which may allow fewer.
    tried_before: u32,
    /// So many failures that are told of next are no tries.
    uncounted: u32,
    /// By engine: a list of one tells all about it, whatever the other does meanwhile.
    last_order: [Ticket; 2],
}

/// A container that ended in a pod that goes on.
#[derive(Debug)]
struct Missed {
    /// Its last end that counted.
    at: SystemTime,
    /// In a row.
    failures: u32,
    /// It isn't started earlier, and no later.
    not_before: Duration,
    by: Duration,
    waits: bool,
    order: Option<Ticket>,
}

#[derive(Debug, Default)]
pub(super) struct Told {
    /// A list was whole, and no order found the engine missing since.
    pub(super) sound: bool,
    /// It didn't answer when it was asked last.
    pub(super) missing: bool,
    /// The newest order when its socket went: a list asked for until then may not count, as nothing needed it.
    left: Ticket,
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
    /// Pods that a person removed, paused or started: what has finished there may run again.
    pub(super) meddled: BTreeSet<WorkloadId>,
    /// What to return to, as kept.
    fallbacks: Fallbacks,
    updates: updates::Updates,
    /// By name, what was asked for and was taken back.
    failed: [Option<WorkloadId>; NAMES.len()],
    /// By name: it was ready for others before or after the event.
    ready: [bool; NAMES.len()],
    /// What conditions remember.
    remembered: [remembering::Remembered; wishes::REMEMBERING],
    /// By name: what is stopped by hand.
    halted: [by_hand::Halted; NAMES.len()],
    returns: returns::Returns,
    /// Of each resource; for want of the processor nothing is held, and no workload goes.
    pub(super) levels: [Level; 3],
    /// Since when all is fine.
    fine_since: Duration,
    /// A workload had to go, in any process.
    pub(super) evicts: bool,
    /// Pods whose removal was ordered last.
    stopped: BTreeSet<WorkloadId>,
    /// Images that the agent was told it pulled; and those of them that podman wouldn't part from.
    pulled: PulledImages,
    pub(super) clinging: PulledImages,
}

/// The index of an engine.
pub(super) fn podman_index(engine: Engine) -> usize {
    match engine {
        Engine::Podman { rootless } => usize::from(rootless),
        Engine::Kubernetes => unreachable!("no workload of these lives wants it"),
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
            updates: updates::Updates::default(),
            failed: Default::default(),
            ready: Default::default(),
            remembered: Default::default(),
            halted: Default::default(),
            returns: Default::default(),
            levels: [Level::Fine; 3],
            fine_since: Duration::ZERO,
            evicts: false,
            stopped: BTreeSet::new(),
            pulled: PulledImages::new(),
            clinging: PulledImages::new(),
        }
    }

    /// Whether a pod of this spec, which is a service, ends when its time is over.
    pub(super) fn ends(&self, spec: Spec) -> bool {
        spec.deadline().is_some() && matches!(spec.schedule(), Schedule::Service(_))
    }

    /// A new process knows what it is given: metrics and what the server said last.
    pub(super) fn restarted(&mut self, wanted: Wanted, now: Now) {
        self.updates.restarted(std::array::from_fn(|name| self.ran(name)));
        let slots = self.accounts.each_ref().map(|account| (account.spec, account.slot_since));
        (self.wanted, self.accounts, self.engines) = (wanted, Default::default(), Default::default());
        self.known.clear();
        self.stopped.clear();
        self.forget_watch();
        let _ = self.compare(now);
        for (account, (spec, slot)) in self.accounts.iter_mut().zip(slots) {
            if spec.is_some_and(|spec| account.spec == Some(spec)) {
                account.slot_since = slot;
            }
        }
    }

    pub(super) fn post(&mut self, heat: bool, value: Option<f64>, now: Now) -> Holds {
        self.remember(now)?;
        let metric = if heat { &mut self.posted.heat } else { &mut self.posted.x };
        *metric = value.map(|value| (value, now.up));
        Ok(())
    }

    /// The posted values that count, by name.
    pub(super) fn metrics(&self, now: Now) -> Metrics {
        let fresh = |it: &(f64, Duration)| self.ttl.is_none_or(|ttl| now.up < it.1 + ttl);
        let held = self.remembered.each_ref().map(|it| it.holds);
        Metrics { x: self.posted.x.filter(fresh), heat: self.posted.heat.filter(fresh), held }
    }

    pub(super) fn spec(&self, name: usize) -> Option<Spec> {
        self.accounts[name].spec
    }

    pub(super) fn allows(&self, spec: Spec, now: Now) -> bool {
        !self.halts(spec.name) && self.wanted.allows(spec, &self.metrics(now))
    }

    /// A source speaks. Answers with what was wanted before.
    pub(super) fn hear(&mut self, server: bool, wishes: &Wishes) {
        let source = if server { &mut self.wanted.server } else { &mut self.wanted.manifests };
        source.get_or_insert_default().hear(wishes);
    }

    /// The server has nothing to say any more.
    pub(super) fn disconnected(&mut self) {
        self.lets_go();
        let mut empty = Heard::default();
        empty.hear(&Wishes { definition: 3, ..Wishes::default() });
        self.wanted.server = Some(empty);
    }

    /// What the sources ask for, come up or not.
    pub(super) fn asked(&self, name: usize) -> Option<Spec> {
        self.wanted.spec(name)
    }

    /// What is to run for what is asked.
    fn effective(&self, name: usize) -> Option<Spec> {
        let asked = self.meant(name)?;
        let runs = self.updates.runs(name).and_then(|id| self.catalogue.of(id));
        Some(runs.map_or(asked, |runs| Spec { schedule: asked.schedule, condition: asked.condition, ..runs }))
    }

    /// The same, if nothing has to wait.
    fn meant(&self, name: usize) -> Option<Spec> {
        let asked = self.asked(name)?;
        let fallback = self
            .fallbacks
            .get(NAMES[name])
            .filter(|it| it.failed.as_ref().is_some_and(|failed| failed.id == *self.catalogue.id(asked)));
        let good = fallback.and_then(|it| self.catalogue.of(&it.good.id));
        Some(good.map_or(asked, |good| Spec { schedule: asked.schedule, condition: asked.condition, ..good }))
    }

    /// Whether this limit was ordered for the present pod of the name.
    pub(super) fn is_latest_limit(&self, name: usize, ticket: Ticket) -> bool {
        self.accounts[name].limit == Some(ticket)
    }

    pub(super) fn pressed(&mut self, resource: Resource, level: Level, now: Now) {
        let was_fine = self.is_fine();
        self.levels[resource as usize] = level;
        if !was_fine && self.is_fine() {
            self.fine_since = now.up;
        }
    }

    fn is_fine(&self) -> bool {
        self.levels[..2] == [Level::Fine; 2]
    }

    /// The socket of this engine is gone.
    pub(super) fn went(&mut self, engine: Engine) {
        let told = &mut self.engines[podman_index(engine)];
        (told.missing, told.left) = (true, self.newest);
    }

    pub(super) fn alarmed(&mut self, name: usize, now: Now) {
        self.accounts[name].alarmed = now.up;
    }

    /// The agent tells people who has to go, and who may come back.
    pub(super) fn told(&mut self, notice: &Notice, now: Now) -> Holds {
        let name = notice.message.split('\'').nth(1);
        let name = NAMES.iter().position(|it| Some(*it) == name);
        let Some(account) = name.map(|name| &mut self.accounts[name]) else { return Ok(()) };
        account.remake |= notice.reason == Reason::DeadlineExceeded;
        let is_over = account.has_had_its_time(now);
        account.tried(notice, now)?;
        match notice.reason {
            Reason::BackOff | Reason::ImagePullFailed | Reason::Failed | Reason::DeadlineExceeded
                if account.run.is_owed =>
            {
                account.run.is_owed = false;
            }
            // what was told in this moment is about the content before
            Reason::UpdateAllowed | Reason::RolledBack => account.forget_tries(),
            Reason::Restarted => {
                account.remake = true;
                (account.failures, account.not_before, account.may_finish_again) = (0, Duration::ZERO, true)
            }
            Reason::DeadlineExceeded if !is_over => {
                return broken(Invariant::Ends, format!("it has more time: {notice}"));
            }
            Reason::Flapping => {
                let rest = format!("rests for {} s", account.rest.as_secs());
                if std::mem::replace(&mut account.told_of_rest, true) || !notice.message.ends_with(&rest) {
                    return broken(
                        Invariant::Flapping,
                        format!("{notice}; it {rest}, and that is told once"),
                    );
                }
            }
            Reason::Evicted => {
                account.evicted = Some(now.up);
                self.evicts = true;
                if !self.levels[..2].contains(&Level::Critical) {
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

    pub(super) fn compare(&mut self, now: Now) -> Holds {
        self.end_halts();
        let effective: [_; NAMES.len()] = std::array::from_fn(|name| self.effective(name));
        for (name, after) in effective.iter().enumerate() {
            self.may_switch(name, *after, now).and_then(|()| self.may_begin(name, *after, now))?;
        }
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let asked = self.wanted.spec(name).map(|spec| self.catalogue.id(spec));
            let is_gone = asked.is_none() && self.wanted.all_known() && !self.wanted.is_unreadable(name);
            if asked.is_some() && asked != self.failed[name].as_ref() || is_gone {
                self.failed[name] = None;
            }
            let (before, after) = (account.spec, effective[name]);
            account.spec = after;
            let ids = [before, after].map(|spec| spec.map(|spec| self.catalogue.id(spec)));
            self.known.extend(ids[1].into_iter().chain(asked).cloned());
            if ids[0] != ids[1] {
                let dismissed = account.dismissed || before.is_some();
                *account = Account {
                    spec: after,
                    before,
                    dismissed,
                    remake: dismissed, // its own pod may be on its way out
                    slot_since: Some(now.utc),
                    removal_refused: account.removal_refused,
                    last_order: account.last_order,
                    ..Account::default()
                };
            } else if let (Some(before), Some(after)) = (before, after)
                && before.schedule() != after.schedule()
            {
                let is_service = |spec: Spec| matches!(spec.schedule(), Schedule::Service(_));
                (account.slot_since, account.tried_before) = (None, account.tried);
                if is_service(before) != is_service(after) {
                    (account.slot_since, account.begun) = (Some(now.utc), None);
                    (account.failures, account.not_before) = (0, Duration::ZERO);
                    (account.may_finish_again, account.remake) = (true, true);
                    (account.run, account.next_try) = Default::default();
                    account.unjudged |= account.missed.values().any(|it| it.waits);
                    account.missed.values_mut().for_each(|it| it.waits = false);
                }
            }
        }
        self.updates.judged();
        Ok(())
    }

    /// The wall clock, which showed this, is set: a slot that was due stays due.
    pub(super) fn clock_set(&mut self, was: SystemTime) {
        self.updates.clock_set();
        for account in &mut self.accounts {
            (account.slot_since, account.reached) = (None, account.reached.max(Some(was)));
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
            // while it is stopped by hand they cost nothing, too
            let allowed = match &self.halted[name] {
                Some(_) => account.allowed.unwrap_or_default(),
                None => self.wanted.allows(spec, &metrics),
            };
            if account.allowed.replace(allowed).is_some_and(|before| before != allowed) {
                changed.push((name, allowed));
                if now.up < account.rests_until {
                    continue; // they cost nothing
                }
                account.changes.retain(|at| now.up - *at < 60 * S);
                account.changes.push(now.up);
                if account.changes.len() > 5 {
                    account.changes.clear();
                    let again = !account.rest.is_zero() && now.up < account.rests_until + 300 * S;
                    account.rest = if again { (account.rest * 2).min(300 * S) } else { 30 * S };
                    account.rests_until = now.up + account.rest;
                    account.told_of_rest = false;
                }
            }
            let tracked = agent.workloads.get(NAMES[name]);
            if tracked.is_none_or(|tracked| !tracked.may_run()) {
                let is_at_rest = |phase| matches!(phase, Phase::Inactive | Phase::Finished { .. });
                account.ends = account.ends.filter(|_| !tracked.is_some_and(|it| is_at_rest(it.phase)));
                (account.failures, account.not_before) = (0, Duration::ZERO);
                account.run.is_owed = false;
                (account.next_try, account.tried) = Default::default();
            }
        }
        changed
    }

    /// The agent has nothing to do now. Whatever is under way for one workload, no other waits for it; and what runs
    /// for a while is remembered as what came up.
    pub(super) fn moves(&mut self, agent: &Agent, pending: &[Pending], now: Now) -> Holds {
        self.are_in_time(now)?;
        let sound = self.wanted.any_known() && self.engines.iter().all(|told| told.sound);
        let (metrics, is_fine) = (self.metrics(now), self.is_fine());
        let (ready, ails) = (self.ready(agent), |it: &Account| {
            it.unjudged
                || !it.sick.is_empty()
                || !it.killed.is_empty()
                || it.missed.values().any(|it| it.waits)
        });
        let ails = self.accounts.each_ref().map(ails);
        for (name, account) in self.accounts.iter_mut().enumerate() {
            let tracked = agent.workloads.get(NAMES[name]);
            let phase = tracked.map(|tracked| tracked.phase);
            let Some(spec) = account.spec else { continue };
            let ends = |it: &Pending| matches!(&it.order.task, Task::End { id, .. } if id == self.catalogue.id(spec));
            let is_ailing = !account.sick.is_empty()
                || pending.iter().any(ends)
                || !account.killed.is_empty()
                || account.unjudged
                || account.lacks.is_some()
                || account.missed.values().any(|it| it.waits);
            if phase != Some(Phase::Running) || is_ailing {
                account.runs_since = None;
            } else if now.up >= *account.runs_since.get_or_insert(now.up) + 10 * S
                && self.fallbacks.get(NAMES[name]).is_none_or(|it| it.good.id != *self.catalogue.id(spec))
            {
                return broken(Invariant::Remembers, format!("{spec} has come up, and isn't remembered"));
            }
            let loses = matches!(phase, None | Some(Phase::Unknown | Phase::Looking { .. }))
                || tracked.is_some_and(|it| !it.may_run());
            account.run.is_owed &= !loses;
            account.next_try.is_owed &= !loses;
            let is_due = match phase {
                Some(Phase::Finished { .. }) => account.run.is_owed || account.next_try.is_owed,
                Some(Phase::Inactive) => true,
                Some(Phase::Waiting { until }) => until <= now.up,
                _ => false,
            };
            let is_own = |it: &Pending| {
                about(&it.order.task).1.is_some_and(|id| self.catalogue.name(id) == Some(name))
            };
            let is_held_up = account.evicted.is_some()
                || now.up < account.rests_until
                || account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN)
                || self.engines.iter().flat_map(|told| told.pods.values()).any(|(of, _)| *of == name)
                || pending.iter().any(is_own)
                || spec.depends_on().is_some_and(|name| !ready[name] || ails[name]);
            let is_service = matches!(spec.schedule(), Schedule::Service(_));
            let is_halted = self.halted[name].is_some();
            let is_owed = !is_halted
                && self.wanted.allows(spec, &metrics)
                && (is_service || account.run.is_owed || account.next_try.is_owed);
            if sound && is_fine && is_due && !is_held_up && is_owed {
                return broken(Invariant::Waits, format!("{spec} is {phase:?}, and nothing is done for it"));
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
            // What has finished is left to a person who starts it by hand; a pod that is there against all the agent knows
            // is dealt with after the next full look.
            let phase = agent.workloads.get(NAMES[*name]).map(|tracked| tracked.phase);
            let is_stuck = account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN);
            if is_stuck || !runs {
                continue;
            }
            if account.lingers && account.spec.is_some_and(|spec| self.catalogue.id(spec) == id) {
                return broken(Invariant::Ends, format!("only the sidecars of {id} run on"));
            }
            if matches!(phase, Some(Phase::Finished { .. })) {
                continue;
            }
            if account.spec.is_some() {
                self.is_not_halted(*name, || format!("{id} runs on"))?;
            }
            let wrong = match account.spec {
                Some(_) if account.evicted.is_some() => "it was evicted",
                Some(spec) if !self.allows(spec, now) => "its conditions are false",
                None if self.wanted.is_unreadable(*name) => continue,
                None if self.wanted.all_known() => "it isn't wanted",
                _ => continue,
            };
            return broken(Invariant::Conditions, format!("{id} runs on, and {wrong}"));
        }
        self.wait_for_something(agent, now)?;
        self.is_as_told(agent, now)
    }

    /// What runs has its limit, and is well.
    fn is_as_told(&self, agent: &Agent, now: Now) -> Holds {
        let metrics = self.metrics(now);
        for (name, account) in self.accounts.iter().enumerate() {
            let phase = agent.workloads.get(NAMES[name]).map(|tracked| tracked.phase);
            let (Some(spec), Some(Phase::Running)) = (account.spec, phase) else { continue };
            if account.ends.is_some_and(|at| at <= now.up)
                && account.removal_refused.is_none_or(|at| at + REMOVE_AGAIN <= now.up)
            {
                return broken(Invariant::Ends, format!("{spec} runs on, and its time is over"));
            }
            if now.up < account.alarmed + LATE_LOOK || !self.allows(spec, now) {
                continue;
            }
            let is_stuck = account.removal_refused.is_some_and(|at| now.up < at + REMOVE_AGAIN);
            let mut sick = account.sick.iter().filter(|(it, _)| !account.ended.contains(*it) && !is_stuck);
            if let Some((container, invariant)) = sick.next() {
                return broken(*invariant, format!("'{container}' of {spec} is sick, and runs on"));
            }
            let late = |(_, it): &(&String, &Missed)| it.waits && it.by <= now.up;
            if let Some((container, it)) = account.missed.iter().find(late).filter(|_| self.is_fine()) {
                let what = format!("'{container}' of {spec} was to be started again until {:?}", it.by);
                return broken(Invariant::Restarts, what);
            }
            let (id, wanted) = (self.catalogue.id(spec), self.wanted.cpu(spec, &metrics));
            let found = self.engines[podman_index(spec.engine())].limits.get(id);
            if found.is_some_and(|found| *found != wanted) && account.denied != Some(wanted) {
                return broken(Invariant::Limits, format!("{id} has {found:?} and not {wanted:?}"));
            }
        }
        Ok(())
    }
}
