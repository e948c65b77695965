//! Workloads that are Deployments on a Kubernetes cluster. The cluster runs, probes and restarts their pods; what is
//! left for the agent is what is to be there, and how that goes:
//!
//! ```text
//! content, profiles ─► wanted ─┐                      refused: again after the back-off
//!                              ├─ differ ─► Apply ──► found ─► progressing ─► available
//! list, watch ───────► found ──┘                      │            └─► failed, with the reason
//!                        └─ not wanted  ────► Delete ┘
//! ```
//!
//! At most one order per workload is under way. What stands beside a Deployment for an earlier content goes by one more
//! Apply, once it is available.

use super::{
    block_reason::BlockReason,
    context::{Context, Turn},
    engines::Engines,
    flapping::Flapping,
    held_deployments::update_wait,
    model::{
        call::ServerWorkloadStatus,
        deployment::{Deployment, DeploymentFact, DeploymentTask, DeploymentWatchEvent, Rollout},
        gather::gather,
        notice::{Notice, Reason},
        order::{Failure, Ticket},
        report::WorkloadState,
        schedule::{Backoff, Schedule},
        time::Wake,
        workload::{Engine, Workload},
    },
    profiles::Allowance,
    terminating::REMOVAL_RETRY_DELAY,
    update_gate::Permit,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What others change is put right, but not more often than this: a controller may want something else.
const REAPPLY_INTERVAL: Duration = Duration::from_secs(30);
/// Scaling up has no deadline of Kubernetes' own.
const SCALE_UP_TIMEOUT: Duration = Duration::from_secs(120);

/// All Deployments that are wanted, or found to be ours.
#[derive(Debug, Default)]
pub(super) struct Deployments {
    /// By the workload's name.
    pub(super) all: BTreeMap<Arc<str>, ManagedDeployment>,
    /// Workloads that could not be understood: nothing of them changes.
    pub(super) unreadable: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct ManagedDeployment {
    pub(super) wanted: Option<Arc<Workload>>,
    /// One, but where a workload's namespace has changed.
    pub(super) found: Vec<Deployment>,
    pub(super) under_way: Option<PendingOrder>,
    /// A list asked for before the last order says nothing of what is absent.
    pub(super) last: Ticket,
    /// It was wanted by this process, and isn't any more.
    pub(super) dismissed: bool,
    pub(super) applied: Option<Applied>,
    /// Why it was not applied, and how often in a row.
    pub(super) refusal: Option<String>,
    pub(super) failures: u32,
    pub(super) apply_after: Duration,
    pub(super) delete_after: Duration,
    pub(super) flapping: Flapping,
    pub(super) may_run: bool,
    /// Something that it depends on isn't ready: it isn't applied anew.
    pub(super) waits: bool,
    /// It has been available since it was last changed.
    pub(super) came_up: bool,
    /// When it was last changed, or first seen.
    pub(super) since: Option<Duration>,
    pub(super) status: ServerWorkloadStatus,
    /// Since when it has been so.
    pub(super) status_since: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum PendingOrder {
    Apply { hash: String, replicas: u32 },
    Delete { uid: String },
}

/// What was last applied by this process.
#[derive(Debug)]
pub(super) struct Applied {
    hash: String,
    replicas: u32,
    generation: u64,
    at: Duration,
}

impl Deployments {
    /// Takes in what was seen between two lists. Answers whose Deployment it was; of none: a list is wanted.
    pub(super) fn on_watch_event(&mut self, watched: DeploymentWatchEvent) -> Option<Arc<str>> {
        let name: Arc<str> = match watched {
            DeploymentWatchEvent::Lost => return None,
            DeploymentWatchEvent::Seen(seen) => {
                let name: Arc<str> = Arc::from(&*seen.name);
                self.all.entry(name.clone()).or_default().update_found(*seen);
                name
            }
            DeploymentWatchEvent::Gone(gone) => {
                let name: Arc<str> = Arc::from(&*gone.name);
                if let Some(managed) = self.all.get_mut(&name) {
                    managed.found.retain(|it| it.uid != gone.uid);
                }
                name
            }
        };
        Some(name)
    }

    pub(super) fn all_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all.keys()
    }

    /// What is to run under this name.
    pub(super) fn wanted_workload(&self, name: &str) -> Option<&Arc<Workload>> {
        self.all.get(name)?.wanted.as_ref()
    }

    /// The server's word for how a wanted one is.
    pub(super) fn server_status(&self, name: &str) -> Option<ServerWorkloadStatus> {
        self.all.get(name).filter(|it| it.wanted.is_some()).map(|it| it.status)
    }

    /// Whether a wanted one is available.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.server_status(name) == Some(ServerWorkloadStatus::Running)
    }

    pub(super) fn server_statuses(&self) -> impl Iterator<Item = ServerWorkloadStatus> + '_ {
        self.all.values().filter(|it| it.wanted.is_some()).map(|it| it.status)
    }

    /// How each is, in a word.
    pub(super) fn states(&self, context: &Context, engines: &Engines) -> impl Iterator<Item = WorkloadState> {
        let is_heard = engines.is_ready(Engine::Kubernetes);
        self.all.iter().map(move |(name, managed)| managed.state(name, context, is_heard))
    }

    /// The configuration asks for these from now on. Answers whether there are any.
    pub(super) fn set_wanted<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a Arc<str>, &'a Arc<Workload>)>,
        unreadable: &BTreeSet<Arc<str>>,
    ) -> bool {
        self.unreadable.clone_from(unreadable);
        let mut wanted: BTreeMap<_, _> = gather(wanted);
        let is_any = !wanted.is_empty();
        for (name, managed) in &mut self.all {
            managed.set_wanted(wanted.remove(name).cloned());
        }
        for (name, workload) in wanted {
            self.all.entry(name.clone()).or_default().set_wanted(Some(workload.clone()));
        }
        is_any
    }

    /// A list asked for by `listed` was whole.
    pub(super) fn on_listed(&mut self, listed: Ticket, found: Vec<Deployment>) {
        for managed in self.all.values_mut().filter(|managed| managed.last < listed) {
            managed.found.retain(|old| found.iter().any(|it| it.uid == old.uid));
        }
        for it in found {
            self.all.entry(Arc::from(&*it.name)).or_default().update_found(it);
        }
    }

    /// The outcome of one of this workload's orders.
    pub(super) fn on_order_done(
        &mut self,
        name: &Arc<str>,
        result: Result<DeploymentFact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(managed) = self.all.get_mut(name)
            && let Some(doing) = managed.under_way.take()
        {
            managed.on_order_done(name, doing, result, turn);
        }
    }

    /// Does all that can be done now for a workload, and says when it wants to be asked again.
    pub(super) fn advance(&mut self, name: &Arc<str>, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let Some(managed) = self.all.get_mut(name) else { return Wake::Never };
        managed.waits = !allowance.starts;
        let mut wake = managed.update_may_run(name, allowance.runs, turn);
        if managed.under_way.is_none() && turn.is_engine_ready(Engine::Kubernetes) {
            wake =
                wake.earlier(managed.reconcile(name, self.unreadable.contains(name), allowance.update, turn));
        }
        wake = wake.earlier(managed.update_status(name, turn));
        if managed.wanted.is_none() && managed.found.is_empty() && managed.under_way.is_none() {
            self.all.remove(name);
        }
        wake
    }
}

impl ManagedDeployment {
    fn set_wanted(&mut self, wanted: Option<Arc<Workload>>) {
        let id = |it: &Option<Arc<Workload>>| it.as_ref().map(|it| it.id.clone());
        if id(&self.wanted) != id(&wanted) {
            self.dismissed |= wanted.is_none();
            (self.came_up, self.since, self.may_run) = (false, None, false);
            self.status_since = self.status_since.filter(|_| self.wanted.is_some() == wanted.is_some());
            self.flapping = Flapping::default();
            self.reset_failures();
        }
        self.wanted = wanted;
    }

    fn reset_failures(&mut self) {
        (self.refusal, self.failures, self.apply_after) = (None, 0, Duration::ZERO);
    }

    /// Takes in how a Deployment is, unless something newer is known.
    fn update_found(&mut self, seen: Deployment) {
        match self.found.iter_mut().find(|it| it.namespace == seen.namespace) {
            Some(known) if known.uid == seen.uid && known.version > seen.version => {}
            Some(known) => *known = seen,
            None => self.found.push(seen),
        }
    }

    /// The one that the workload is.
    pub(super) fn current_deployment(&self) -> Option<&Deployment> {
        let place = &self.wanted.as_ref()?.content.namespace;
        self.found.iter().find(|it| it.namespace == *place)
    }

    /// How it is, in a word. `is_heard`: the cluster answers.
    pub(super) fn state(&self, name: &str, context: &Context, is_heard: bool) -> WorkloadState {
        match self.status {
            _ if self.wanted.is_none() => WorkloadState::Leaving,
            _ if !is_heard => WorkloadState::Unknown,
            ServerWorkloadStatus::Running => WorkloadState::Running,
            ServerWorkloadStatus::Deploying if context.waiting.is_waiting(name) => WorkloadState::Running,
            ServerWorkloadStatus::Deploying => WorkloadState::Starting,
            ServerWorkloadStatus::Stopped | ServerWorkloadStatus::Exited
                if context.stops.is_stopped(name) =>
            {
                WorkloadState::Stopped
            }
            ServerWorkloadStatus::Stopped | ServerWorkloadStatus::Exited => WorkloadState::Inactive,
            ServerWorkloadStatus::Crashed => WorkloadState::BackOff,
        }
    }

    /// What the profiles say.
    fn update_may_run(&mut self, name: &str, is_open: bool, turn: &mut Turn<'_>) -> Wake {
        if self.wanted.is_none() {
            return Wake::Never;
        }
        let is_stopped = turn.context.stops.is_stopped(name);
        let (may_run, wake) = self.flapping.may_run_unless_stopped(is_stopped, is_open, turn.now.up);
        self.flapping.take_rest_notice(name).into_iter().for_each(|it| turn.tell(it));
        if self.may_run != may_run {
            self.reset_failures(); // what it is now wasn't refused yet
        }
        self.may_run = may_run;
        wake
    }

    /// Deletes one that is not to be, and says when to ask again.
    fn delete_stray(&mut self, name: &Arc<str>, is_unreadable: bool, turn: &mut Turn<'_>) -> Wake {
        let place = self.wanted.as_ref().map(|it| &it.content.namespace);
        let stray = self.found.iter().find(|it| !it.terminating && Some(&it.namespace) != place);
        let may_go = place.is_some() || turn.context.may_remove_unwanted(is_unreadable, self.dismissed);
        match stray.filter(|_| may_go) {
            None => Wake::Never,
            Some(_) if turn.now.up < self.delete_after => Wake::At(self.delete_after),
            Some(stray) => {
                self.under_way = Some(PendingOrder::Delete { uid: stray.uid.clone() });
                self.last =
                    turn.issue_deployment_order(name, DeploymentTask::Delete(Box::new(stray.clone())));
                Wake::Never
            }
        }
    }

    fn reconcile(
        &mut self,
        name: &Arc<str>,
        is_unreadable: bool,
        permit: Option<Permit>,
        turn: &mut Turn<'_>,
    ) -> Wake {
        let wake = self.delete_stray(name, is_unreadable, turn);
        let Some(workload) = self.wanted.clone().filter(|_| self.under_way.is_none()) else { return wake };
        let now = turn.now.up;
        let (hash, replicas) = (workload.hash.clone(), u32::from(self.may_run));
        let before = self.applied.as_ref().filter(|it| it.hash == hash && it.replicas == replicas);
        let (mut dependents, mut settled) = (Vec::new(), false);
        let runs = match self.current_deployment() {
            None if replicas == 0 => return wake,
            None => false,
            Some(it) if it.terminating => return wake, // told when it is gone
            Some(it) => {
                if let Some(later) =
                    update_wait(name, &workload, it, permit.filter(|_| replicas > 0), !self.waits, turn)
                {
                    return wake.earlier(later);
                }
                let is_changed = before.is_some_and(|before| it.generation > before.generation);
                let is_right = it.replicas == replicas && (it.hash == hash || replicas == 0);
                // until then a pod of an earlier content may be the one that works
                settled = is_right && it.hash == hash && it.rollout == Rollout::Available;
                if is_right && !is_changed && !(settled && it.has_former) {
                    return wake;
                }
                dependents.clone_from(&it.dependents);
                it.replicas > 0
            }
        };
        if replicas > 0 && self.waits && !settled {
            return wake; // told when that is ready
        }
        let at = before.map_or(Duration::ZERO, |it| it.at + REAPPLY_INTERVAL).max(self.apply_after);
        if now < at {
            return wake.earlier(Wake::At(at));
        }
        if runs && replicas == 0 {
            let is_stopped = turn.context.stops.is_stopped(name);
            let why = BlockReason::of(false, is_stopped, self.flapping.resting_until(now).is_some());
            let message = format!("workload '{name}' is scaled to 0: {}", why.block_message());
            turn.tell(Notice::info(Reason::Inactive, message));
        }
        let task = DeploymentTask::Apply { workload, replicas, dependents, settled };
        self.last = turn.issue_deployment_order(name, task);
        self.under_way = Some(PendingOrder::Apply { hash, replicas });
        wake
    }

    fn on_order_done(
        &mut self,
        name: &str,
        doing: PendingOrder,
        result: Result<DeploymentFact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        match (doing, result) {
            (_, Err(failure @ Failure::Engine(_))) => turn.on_order_failed(Engine::Kubernetes, "", &failure),
            (PendingOrder::Apply { hash, replicas }, Ok(DeploymentFact::Applied(now))) => {
                self.reset_failures();
                let at = turn.now.up;
                // not what was seen last: the change may have been seen before this outcome came
                if self.applied.as_ref().is_none_or(|before| before.generation != now.generation) {
                    (self.came_up, self.since) = (false, Some(at));
                }
                self.applied = Some(Applied { hash, replicas, generation: now.generation, at });
                self.update_found(*now);
            }
            (PendingOrder::Apply { hash, .. }, Err(Failure::Workload(cause))) => {
                let Some(wanted) = self.wanted.clone().filter(|it| it.hash == hash) else { return };
                let backoff = match &wanted.schedule {
                    Schedule::Service(backoff) => *backoff,
                    Schedule::Cron(..) => Backoff::default(), // a Deployment has none
                };
                self.apply_after = turn.now.up + backoff.delay(self.failures, turn.random());
                self.failures = self.failures.saturating_add(1);
                if self.refusal.as_ref() != Some(&cause) {
                    let message = format!("workload '{name}': {cause}; it is tried again");
                    turn.tell(Notice::warning(Reason::BackOff, message));
                }
                self.refusal = Some(cause);
            }
            (PendingOrder::Delete { uid }, Ok(_)) => {
                for it in self.found.iter_mut().filter(|it| it.uid == uid) {
                    it.terminating = true;
                    let message = format!("Deployment '{}/{name}' is removed", it.namespace);
                    turn.tell(Notice::info(Reason::Removed, message));
                }
            }
            (PendingOrder::Delete { .. }, Err(failure)) => {
                turn.on_order_failed(
                    Engine::Kubernetes,
                    &format!("failed to remove Deployment '{name}'"),
                    &failure,
                );
                self.delete_after = turn.now.up + REMOVAL_RETRY_DELAY;
            }
            (PendingOrder::Apply { .. }, Ok(_)) => {} // no answer to that
        }
    }

    /// Says how the workload is, and when that changes without anything happening.
    fn update_status(&mut self, name: &str, turn: &mut Turn<'_>) -> Wake {
        let now = turn.now.up;
        self.status_since.get_or_insert(now);
        let Some(wanted) = &self.wanted else { return Wake::Never };
        let late = self.since.unwrap_or(now) + SCALE_UP_TIMEOUT;
        let (mut wake, mut cause) = (Wake::Never, String::new());
        let status = match self.current_deployment() {
            _ if self.refusal.is_some() => ServerWorkloadStatus::Crashed,
            _ if !self.may_run => ServerWorkloadStatus::Stopped,
            None => ServerWorkloadStatus::Deploying,
            Some(it) if it.hash != wanted.hash || it.replicas == 0 || it.terminating => {
                ServerWorkloadStatus::Deploying
            }
            Some(it) => match &it.rollout {
                Rollout::Available => ServerWorkloadStatus::Running,
                Rollout::Unavailable(_) if !self.came_up && now < late => {
                    wake = Wake::At(late);
                    ServerWorkloadStatus::Deploying
                }
                Rollout::Progressing => ServerWorkloadStatus::Deploying,
                Rollout::Unavailable(why) | Rollout::Failed(why) => {
                    cause.clone_from(why);
                    ServerWorkloadStatus::Crashed
                }
            },
        };
        if status == ServerWorkloadStatus::Stopped {
            (self.came_up, self.since) = (false, None); // when it is scaled up it has to come up anew
        } else if self.current_deployment().is_some() {
            self.since.get_or_insert(now);
        }
        self.came_up |= status == ServerWorkloadStatus::Running;
        if std::mem::replace(&mut self.status, status) == status {
            return wake;
        }
        self.status_since = Some(now);
        let place = &wanted.content.namespace;
        match status {
            ServerWorkloadStatus::Running if self.applied.is_none() => turn.tell(Notice::info(
                Reason::Adopted,
                format!("workload '{name}' runs already: Deployment '{place}/{name}'"),
            )),
            ServerWorkloadStatus::Running => turn.tell(Notice::info(
                Reason::Started,
                format!("workload '{name}' is available: Deployment '{place}/{name}'"),
            )),
            ServerWorkloadStatus::Crashed if self.refusal.is_none() => turn.tell(Notice::warning(
                Reason::Failed,
                format!("workload '{name}': Deployment '{place}/{name}' fails: {cause}"),
            )),
            _ => {}
        }
        wake
    }
}
