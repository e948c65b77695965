//! The device comes first: when memory or disk runs short nothing new is pulled or started, and when that lasts
//! workloads go, one after the other, until it is over. They come back the same way.
//!
//! ```text
//! Fine ──► Low: nothing starts or is pulled ──► Critical: how much does each use? ──► one goes ──┐
//!   ▲ │                                          ▲                                             │
//!   │ └─ calm for a while: one comes back        └── still critical when its pod is gone ──────┘
//! ```

mod busy;
mod choice;

use std::{sync::Arc, time::Duration};

use super::{
    agenda::Agenda,
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{Fact, Failure, Task, Ticket},
        phase::Phase,
        pressure::{Level, Pressure, Resource},
        quantity::format_rounded,
        time::Wake,
        workload::WorkloadId,
    },
    reconcile::Workloads,
};
use busy::CpuContention;
use choice::{Candidate, choose};

pub(super) use busy::process_limit_notice;
pub(super) use choice::priority;

/// From when a pod is gone until its effect is seen: stalls count for ten seconds.
const SETTLE_TIME: Duration = Duration::from_secs(10);
/// A pod that doesn't go is waited for so long.
const MAX_STOP_WAIT: Duration = Duration::from_secs(60);
/// Until an engine that doesn't tell is asked again.
const USAGE_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// Until it is asked again when no workload could go.
const NO_CANDIDATE_RETRY_INTERVAL: Duration = Duration::from_secs(60);
/// How long everything is fine before one comes back, and then the next.
const READMISSION_CALM_TIME: Duration = Duration::from_secs(60);
/// How long the one that went stays away at least; doubled each time up to the longest.
const FIRST_EVICTION_TIME: Duration = Duration::from_secs(60);
const MAX_EVICTION_TIME: Duration = Duration::from_secs(3600);

/// How short everything is, and who had to go.
#[derive(Debug)]
pub(super) struct Evictions {
    /// What a container is limited to that says nothing.
    default_memory: Option<u64>,
    /// Each resource once, and from when on a workload may go for it.
    levels: Vec<(Pressure, Duration)>,
    /// The engines are telling how much each workload uses.
    asked: Option<UsageQuery>,
    /// Whose pod is going.
    going: Option<Arc<str>>,
    /// No workload goes before that.
    next: Duration,
    /// Since when all is fine, and none has come back.
    calm: Duration,
    evictions: Vec<Eviction>,
    /// It was told that no workload is left to go.
    helpless: bool,
    busy: CpuContention,
}

#[derive(Debug)]
struct UsageQuery {
    pressure: Pressure,
    tickets: Vec<Ticket>,
    uses: Vec<(WorkloadId, u64)>,
    /// An engine didn't tell.
    partial: bool,
}

#[derive(Debug)]
struct Eviction {
    name: Arc<str>,
    /// Another content is another try.
    id: WorkloadId,
    /// It doesn't come back before that.
    until: Duration,
    rest: Duration,
    /// It came back at this time.
    back: Option<Duration>,
    /// What the device was short of, and why it was this one.
    because: String,
}

impl Evictions {
    pub(super) fn new(default_memory: Option<u64>) -> Self {
        Self {
            default_memory,
            levels: Vec::new(),
            asked: None,
            going: None,
            next: Duration::ZERO,
            calm: Duration::ZERO,
            evictions: Vec::new(),
            helpless: false,
            busy: CpuContention::default(),
        }
    }

    fn is_fine(&self) -> bool {
        self.levels.iter().all(|(pressure, _)| pressure.level == Level::Fine)
    }

    fn level(&self, resource: Resource) -> Level {
        let told = self.levels.iter().find(|(pressure, _)| pressure.resource == resource);
        told.map_or(Level::Fine, |(pressure, _)| pressure.level)
    }

    /// What the device is short of.
    pub(super) fn shortages(&self) -> Vec<String> {
        let short = self.levels.iter().filter(|(pressure, _)| pressure.level != Level::Fine);
        short.map(|(pressure, _)| pressure.to_string()).collect()
    }

    /// Why a workload had to go, and when it may come back at the earliest.
    pub(super) fn why_evicted(&self, name: &str) -> Option<(&str, Duration)> {
        let eviction = self.evictions.iter().find(|it| *it.name == *name && it.back.is_none())?;
        let calm = if self.is_fine() { self.calm + READMISSION_CALM_TIME } else { Duration::ZERO };
        Some((&eviction.because, eviction.until.max(calm)))
    }

    /// How long it has to stay away now.
    fn eviction_time(&self, name: &str, now: Duration) -> Duration {
        match self.evictions.iter().find(|eviction| *eviction.name == *name) {
            // It went on as soon as it was back.
            Some(Eviction { rest, back: Some(back), .. }) if now < *back + MAX_EVICTION_TIME => {
                (*rest * 2).min(MAX_EVICTION_TIME)
            }
            _ => FIRST_EVICTION_TIME,
        }
    }
}

impl Evictions {
    /// A resource's level has changed, or how much is left.
    pub(super) fn on_pressure(
        &mut self,
        pressure: Pressure,
        workloads: &Workloads,
        agenda: &mut Agenda,
        turn: &mut Turn<'_>,
    ) {
        if pressure.resource == Resource::Cpu {
            return self.busy.on_cpu_pressure(&pressure, turn);
        }
        let same =
            |(it, _): &&mut (Pressure, _)| it.resource == pressure.resource && it.level == pressure.level;
        if let Some((known, _)) = self.levels.iter_mut().find(same) {
            *known = pressure; // only the amounts differ
            return;
        }
        let was_fine = self.level(pressure.resource) == Level::Fine;
        if pressure.level == Level::Fine && !was_fine {
            let left = format_rounded(pressure.available);
            let message = format!("there is enough {} again: {left} are left", pressure.resource);
            turn.tell(Notice::info(Reason::DeviceRecovered, message));
        } else if pressure.level != Level::Fine && was_fine {
            let message = format!("{pressure}; nothing new is pulled or started");
            turn.tell(Notice::warning(Reason::DeviceLow, message));
        }
        let is_critical = pressure.level == Level::Critical;
        self.helpless &= is_critical;
        if is_critical && pressure.resource == Resource::Memory && self.asked.take().is_some() {
            self.next = turn.now.up; // podman takes minutes to measure disks, and memory can't wait
        }
        self.levels.retain(|(it, _)| it.resource != pressure.resource);
        self.levels.push((pressure, turn.now.up));
        let short = !self.is_fine();
        if turn.context.short && !short {
            self.calm = turn.now.up;
            agenda.add_all(workloads.keys().cloned());
        }
        turn.context.short = short;
    }

    /// Another content starts with a clean slate, however it took the place of the one that had to go.
    fn forget_replaced_contents(&mut self, workloads: &Workloads) {
        let is_wanted =
            |it: &Eviction| workloads.get(&it.name).is_some_and(|tracked| tracked.is_wanted_id(&it.id));
        self.evictions.retain(is_wanted);
    }

    /// The outcome of an order. Gives it back if it was none of these.
    pub(super) fn on_usage_told(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        workloads: &mut Workloads,
        agenda: &mut Agenda,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.tickets.contains(&ticket)) else {
            return self.busy.on_cpu_usage_told(ticket, result, workloads, turn);
        };
        asked.tickets.retain(|it| *it != ticket);
        match result {
            Ok(Fact::Usage(uses)) => asked.uses.extend(uses),
            _ => asked.partial = true,
        }
        if asked.tickets.is_empty()
            && let Some(asked) = self.asked.take()
            && self.level(asked.pressure.resource) == Level::Critical
        {
            self.evict(&asked, workloads, agenda, turn);
        }
        None
    }

    fn evict(
        &mut self,
        UsageQuery { pressure, uses, partial, .. }: &UsageQuery,
        workloads: &mut Workloads,
        agenda: &mut Agenda,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.up;
        let candidates = workloads.values().filter_map(|tracked| {
            let workload = tracked.wanted_workload()?;
            // what an order is under way for has its turn later
            let can_go = tracked.may_run() && matches!(tracked.phase, Phase::Running | Phase::Waiting { .. });
            let (_, used) = uses.iter().find(|(id, _)| can_go && *id == workload.id)?;
            Candidate::new(workload, pressure.resource, *used, self.default_memory)
        });
        let Some(victim) = choose(candidates.collect()) else {
            if *partial {
                return; // and asked again
            }
            self.next = now;
            for (_, next) in self.levels.iter_mut().filter(|(it, _)| it.resource == pressure.resource) {
                *next = now + NO_CANDIDATE_RETRY_INTERVAL;
            }
            if !std::mem::replace(&mut self.helpless, true) {
                let message = format!("{pressure}; there is no workload that could make room");
                turn.tell(Notice::warning(Reason::DeviceLow, message));
            }
            return;
        };
        let Some(tracked) = workloads.get_mut(&victim.name) else { return };
        let Some(id) = tracked.wanted_workload().map(|workload| workload.id.clone()) else { return };
        tracked.content.evicted = true;
        let rest = self.eviction_time(&victim.name, now);
        let because = format!("{pressure}; {}", victim.choice_reason());
        let message = format!(
            "workload '{}' is stopped: {because}; it comes back when all is fine, but not within {} s",
            victim.name,
            rest.as_secs()
        );
        turn.tell(Notice::warning(Reason::Evicted, message));
        agenda.add(victim.name.clone());
        self.next = now + MAX_STOP_WAIT;
        self.going = Some(victim.name.clone());
        self.evictions.retain(|eviction| eviction.name != victim.name);
        let eviction = Eviction { name: victim.name, id, until: now + rest, rest, back: None, because };
        self.evictions.push(eviction);
    }

    /// Does what is due, and says when to be asked again.
    pub(super) fn advance(
        &mut self,
        workloads: &mut Workloads,
        agenda: &mut Agenda,
        turn: &mut Turn<'_>,
    ) -> Wake {
        let now = turn.now.up;
        self.forget_replaced_contents(workloads);
        if let Some(name) = &self.going
            && !workloads.get(name).is_some_and(|tracked| tracked.content.evicted && tracked.has_pod())
        {
            self.going = None;
            self.next = now + SETTLE_TIME;
        }
        if self.is_fine() {
            return self.readmit_one(workloads, agenda, turn);
        }
        let critical = self.levels.iter().filter(|(pressure, _)| pressure.level == Level::Critical);
        let first = critical.min_by_key(|(pressure, next)| ((*next).max(now), pressure.resource));
        let Some((pressure, next)) = first.filter(|_| self.asked.is_none()) else {
            return Wake::Never;
        };
        let next = self.next.max(*next);
        if now < next {
            return Wake::At(next);
        }
        let pressure = pressure.clone();
        // also those that don't answer: podman may not, for want of memory, and isn't asked for that
        let engines = turn.engines.all();
        let order = |engine| turn.context.issue_order(engine, Task::Usage(pressure.resource));
        let tickets: Vec<Ticket> = engines.into_iter().map(order).collect();
        self.next = now + USAGE_RETRY_INTERVAL;
        if tickets.is_empty() {
            return Wake::At(self.next);
        }
        self.asked = Some(UsageQuery { pressure, tickets, uses: Vec::new(), partial: false });
        Wake::Never
    }

    /// One workload comes back: the most important of those whose time is up.
    fn readmit_one(&mut self, workloads: &mut Workloads, agenda: &mut Agenda, turn: &mut Turn<'_>) -> Wake {
        let now = turn.now.up;
        let calm = self.calm + READMISSION_CALM_TIME;
        let away = self.evictions.iter().filter(|eviction| eviction.back.is_none());
        let Some(first) = away.map(|eviction| eviction.until.max(calm)).min() else {
            return Wake::Never;
        };
        if now < first {
            return Wake::At(first);
        }
        let priority = |eviction: &&mut Eviction| {
            let workload = workloads.get(&eviction.name).and_then(|tracked| tracked.wanted_workload());
            workload.and_then(|workload| priority(workload).ok()).unwrap_or_default()
        };
        let ready = |eviction: &&mut Eviction| eviction.back.is_none() && eviction.until <= now;
        let Some(eviction) = self.evictions.iter_mut().filter(ready).max_by_key(priority) else {
            return Wake::Never;
        };
        eviction.back = Some(now);
        let name = eviction.name.clone();
        if let Some(tracked) = workloads.get_mut(&name) {
            tracked.content.evicted = false;
        }
        let message = format!("workload '{name}' may run again: there has been enough of everything");
        turn.tell(Notice::info(Reason::EvictionOver, message));
        agenda.add(name);
        self.calm = now;
        self.readmit_one(workloads, agenda, turn)
    }
}
