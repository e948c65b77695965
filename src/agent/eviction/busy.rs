//! Which workload keeps the processor busy, and which wants too many processes. That is no reason to stop one, as each has a
//! share of the one and a limit of the other: it is said once, as long as that lasts.

use std::time::Duration;

use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{Fact, Failure, Task, Ticket},
        pressure::{Level, Pressure, Resource},
        workload::WorkloadId,
    },
    reconcile::{self, TrackedWorkload, Workloads},
};

/// Per cent of the whole processor: who uses less is not the one that others wait for.
const MIN_CPU_PERCENT: u128 = 50;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct CpuContention {
    /// The engines are telling how much each pod has used.
    asked: Vec<Ticket>,
    /// How much each had used when that was told last, and when.
    before: Vec<(WorkloadId, u64, Duration)>,
    /// It has lasted: per cent of the time in which others waited.
    stalled: Option<u8>,
    /// Who used most since: per cent of the processor, and for how long.
    most: Option<(u128, WorkloadId, Duration)>,
    /// Who was named, since others began to wait.
    named: Vec<WorkloadId>,
}

impl CpuContention {
    /// Others begin to wait for the processor, have waited for long, still do, or don't any more.
    pub(super) fn on_cpu_pressure(
        &mut self,
        Pressure { level, stalled, .. }: &Pressure,
        turn: &mut Turn<'_>,
    ) {
        match level {
            Level::Fine => return *self = Self::default(),
            Level::Low => *self = Self::default(),
            Level::Critical => (self.stalled, self.most) = (Some(*stalled), None),
        }
        let engines = turn.engines.all();
        let order = |engine| turn.context.issue_order(engine, Task::Usage(Resource::Cpu));
        self.asked = engines.into_iter().map(order).collect();
    }

    /// The outcome of an order. Gives it back if it was none of these.
    pub(super) fn on_cpu_usage_told(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        workloads: &Workloads,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let Some(place) = self.asked.iter().position(|it| *it == ticket) else { return Some(result) };
        self.asked.swap_remove(place);
        let uses = if let Ok(Fact::Usage(uses)) = result { uses } else { Vec::new() };
        for (id, used) in uses {
            let known = self.before.iter().position(|(it, ..)| *it == id);
            if let Some((_, before, since)) = known.map(|place| self.before.swap_remove(place)) {
                let time = turn.now.up.saturating_sub(since);
                let share = u128::from(used.saturating_sub(before)) * 100 / time.as_micros().max(1);
                if share >= MIN_CPU_PERCENT && self.most.as_ref().is_none_or(|(most, ..)| share > *most) {
                    self.most = Some((share, id.clone(), time));
                }
            }
            self.before.push((id, used, turn.now.up));
        }
        if self.asked.is_empty()
            && let Some(stalled) = self.stalled
            && let Some((share, id, time)) = self.most.take().filter(|(_, id, _)| !self.named.contains(id))
            && let Some(tracked) = reconcile::find_by_id(workloads, &id)
        {
            self.named.push(id);
            let (name, time) = (tracked.name(), time.as_secs());
            let message = format!(
                "workload '{name}' keeps the processor busy: it used {share} % of it for {time} s, and processes \
                 waited for it {stalled} % of the time; it goes on, with its share"
            );
            turn.tell(Notice::warning(Reason::CpuBusy, message));
        }
        None
    }
}

/// A pod wants more processes than it may have, and so can do no harm.
pub(in crate::agent) fn process_limit_notice(tracked: &TrackedWorkload, limit: Option<u64>) -> Notice {
    let limit = limit.map(|limit| format!("the {limit} ")).unwrap_or_default();
    let name = tracked.name();
    let message = format!("workload '{name}' wants more processes than {limit}it may have: they are refused");
    Notice::warning(Reason::ProcessLimit, message)
}
