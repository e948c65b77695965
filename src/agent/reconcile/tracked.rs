//! All that is known of one workload name, and what of that is about one content alone.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::agent::{
    containers::ContainerRestarts,
    cron_runs::CronRuns,
    flapping::Flapping,
    limit::CpuLimitState,
    model::{
        notice::Reason,
        order::Ticket,
        phase::Phase,
        question::Asker,
        report::WorkloadState,
        run::Run,
        vec_map::VecMap,
        workload::{Engine, Workload, WorkloadId},
    },
    probes::Health,
    terminating::TerminatingPods,
    trial::Trial,
};

use super::waiting_update::WaitingUpdate;

/// What is known to be here before a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(in crate::agent) enum Prepared {
    #[default]
    Nothing,
    Images,
    /// All that can be known before what runs has to go.
    All,
}

/// Whether it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RunVerdict {
    /// That was not judged yet.
    #[default]
    Open,
    /// Its conditions don't allow it, it rests from their flapping, or it had to go.
    No,
    /// A person stopped it.
    Stopped,
    Yes,
}

/// All that is known of one workload name.
#[derive(Debug, Default)]
pub(in crate::agent) struct TrackedWorkload {
    pub(in crate::agent) name: Arc<str>,
    /// What is to run; `None` when everything of this name is terminating.
    pub(in crate::agent) wanted: Option<Arc<Workload>>,
    /// What is asked for instead, and waits.
    pub(in crate::agent) waiting_update: Option<Box<WaitingUpdate>>,
    /// It could not be understood this time: nothing of it changes.
    pub(in crate::agent) unreadable: bool,
    /// It was wanted by this process, and isn't any more: its pods are no riddle.
    pub(in crate::agent) dismissed: bool,
    pub(in crate::agent) phase: Phase,
    /// Whether a pod of the wanted content is, or may be, on the engine.
    pub(super) present: bool,
    pub(super) verdict: RunVerdict,
    /// Something that it depends on isn't ready: it isn't started.
    pub(in crate::agent) waits: bool,
    /// What was last seen of `phase`, and since when, since boot.
    pub(in crate::agent) state: (WorkloadState, Duration),
    /// The pod's removal failed: it isn't tried again before this time since boot.
    pub(super) stop_after: Duration,
    pub(in crate::agent) limit: CpuLimitState,
    pub(in crate::agent) content: ContentState,
    pub(in crate::agent) terminating: TerminatingPods,
    /// Up to these, lists of an engine say nothing: it did something to a pod of this workload since they were asked
    /// for.
    pub(super) last: VecMap<Engine, Ticket>,
}

/// What is known of the wanted content: with another one all of it begins anew.
#[derive(Debug, Default)]
pub(in crate::agent) struct ContentState {
    /// Containers of its pod that ended, or have to.
    pub(in crate::agent) containers: ContainerRestarts,
    /// It had to go because the device is short of something.
    pub(in crate::agent) evicted: bool,
    /// Whether all its containers ran when they were looked at last.
    pub(super) whole: bool,
    /// What is known to be here of what it needs.
    pub(in crate::agent) ready: Prepared,
    /// A new pod was asked for.
    pub(super) restart: Option<PendingRestart>,
    /// Failures of the pod as a whole, in a row.
    pub(in crate::agent) failures: u32,
    /// Since when its pod runs, as far as is known.
    pub(super) runs_since: Option<Duration>,
    /// How often the present run was tried again.
    pub(super) retried: u32,
    /// The last one, and what kind it was.
    pub(in crate::agent) failure: Option<(Reason, String)>,
    /// The last runs that ended by themselves, newest first.
    pub(in crate::agent) runs: Vec<Run>,
    /// Of the pod or a container of it, by this process, after failures.
    pub(in crate::agent) restarts: u32,
    /// A process of the pod ended, as was told, and it was not looked at since.
    pub(super) alarmed: bool,
    /// Exits that turned out to be none, in a row: how long to wait before believing the next one.
    pub(super) false_alarms: u32,
    /// When its pod has to end, since boot: of its last start.
    pub(super) deadline: Option<Duration>,
    /// Its run has ended although its pod was there to go on: there is no other start by itself.
    pub(super) over: bool,
    /// When to look at the running pod again.
    pub(super) look_at: Option<Duration>,
    pub(in crate::agent) flapping: Flapping,
    pub(in crate::agent) cron_runs: CronRuns,
    pub(super) trial: Trial,
    pub(in crate::agent) health: Health,
}

impl ContentState {
    /// What follows starts at once, without a back-off.
    pub(super) fn forget_failures(&mut self) {
        (self.failures, self.retried) = (0, 0);
    }
}

/// It is being found out whether a new pod could start.
#[derive(Debug)]
pub(super) struct PendingRestart {
    pub(super) ticket: Ticket,
    /// Who has heard nothing yet, and when to tell them.
    pub(super) asker: Option<(Asker, Duration)>,
}

/// By the workload's name. Boxed, as a tree's nodes are half empty.
pub(in crate::agent) type Workloads = BTreeMap<Arc<str>, Box<TrackedWorkload>>;

/// The workload whose wanted content has this id.
pub(in crate::agent) fn find_by_id<'a>(
    workloads: &'a Workloads,
    id: &WorkloadId,
) -> Option<&'a TrackedWorkload> {
    workloads.values().map(Box::as_ref).find(|tracked| tracked.is_wanted_id(id))
}

impl TrackedWorkload {
    pub(in crate::agent) fn new(name: Arc<str>) -> Box<Self> {
        Box::new(Self { name, ..Self::default() })
    }

    pub(in crate::agent) fn name(&self) -> &str {
        &self.name
    }

    /// What is to run.
    pub(in crate::agent) fn wanted_workload(&self) -> Option<&Arc<Workload>> {
        self.wanted.as_ref()
    }

    /// What is asked for instead, and waits.
    pub(in crate::agent) fn waiting_update(&self) -> Option<&Arc<Workload>> {
        self.waiting_update.as_ref().map(|update| &update.workload)
    }

    /// Whether its wanted content has this id.
    pub(in crate::agent) fn is_wanted_id(&self, id: &WorkloadId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.id == *id)
    }

    /// Whether its wanted content has this id, and its pod belongs on this engine.
    pub(super) fn is_wanted_on(&self, engine: Engine, id: &WorkloadId) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.id == *id && wanted.content.engine == engine)
    }

    /// Its conditions allow it, it doesn't rest from their flapping, no person stopped it, and the device can afford it.
    pub(in crate::agent) fn may_run(&self) -> bool {
        self.verdict == RunVerdict::Yes
    }

    pub(in crate::agent) fn is_stopped(&self) -> bool {
        self.verdict == RunVerdict::Stopped
    }

    /// Whether it has or gets pods on this engine.
    pub(in crate::agent) fn uses_engine(&self, engine: Engine) -> bool {
        self.wanted_workload().into_iter().chain(self.waiting_update()).any(|it| it.content.engine == engine)
            || self.terminating.has_pod_on(engine)
    }

    /// Whether pods of it are on their way out.
    pub(in crate::agent) fn is_terminating(&self) -> bool {
        !self.terminating.is_empty()
    }

    /// Whether a pod of the wanted content is, or may be, on the engine.
    pub(in crate::agent) fn has_pod(&self) -> bool {
        self.present
    }

    /// Whether nothing is left to know or do.
    pub(in crate::agent) fn is_forgettable(&self) -> bool {
        self.wanted.is_none() && self.terminating.is_empty() && !self.unreadable
    }
}
