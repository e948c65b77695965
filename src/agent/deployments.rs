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
    context::{Context, Turn},
    engines::Engines,
    flapping::Flapping,
    held_deployments::held_back,
    model::{
        call::WorkloadStatus,
        deployment::{Deployment, DeploymentFact, DeploymentTask, Rollout, Watched},
        gather::gather,
        notice::{Notice, Reason},
        order::{Failure, Ticket},
        report::State,
        schedule::{Backoff, Schedule},
        time::Wake,
        workload::{Engine, Workload},
    },
    not_allowed::NotAllowed,
    profiles::Allowance,
    terminating::REMOVE_AGAIN,
    update_gate::Permit,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// What others change is put right, but not more often than this: a controller that wants something else would
/// never be done.
const RIGHT_AGAIN: Duration = Duration::from_secs(30);
/// Scaling up has no deadline of Kubernetes' own.
const UP: Duration = Duration::from_secs(120);

/// All Deployments that are wanted, or found to be ours.
#[derive(Debug, Default)]
pub(super) struct Deployments {
    /// By the workload's name.
    pub(super) all: BTreeMap<Arc<str>, Managed>,
    /// Workloads that could not be understood: nothing of them changes.
    pub(super) unreadable: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
pub(super) struct Managed {
    pub(super) wanted: Option<Arc<Workload>>,
    /// One, but where a workload's namespace has changed.
    pub(super) found: Vec<Deployment>,
    pub(super) under_way: Option<Doing>,
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
    pub(super) status: WorkloadStatus,
    /// Since when it has been so.
    pub(super) status_since: Option<Duration>,
}

#[derive(Debug)]
pub(super) enum Doing {
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
    pub(super) fn watched(&mut self, watched: Watched) -> Option<Arc<str>> {
        let name: Arc<str> = match watched {
            Watched::Lost => return None,
            Watched::Seen(seen) => {
                let name: Arc<str> = Arc::from(&*seen.name);
                self.all.entry(name.clone()).or_default().take_in(*seen);
                name
            }
            Watched::Gone(gone) => {
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
    pub(super) fn wanted(&self, name: &str) -> Option<&Arc<Workload>> {
        self.all.get(name)?.wanted.as_ref()
    }

    /// The server's word for how a wanted one is.
    pub(super) fn status(&self, name: &str) -> Option<WorkloadStatus> {
        self.all.get(name).filter(|it| it.wanted.is_some()).map(|it| it.status)
    }

    /// Whether a wanted one is available.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.status(name) == Some(WorkloadStatus::Running)
    }

    pub(super) fn statuses(&self) -> impl Iterator<Item = WorkloadStatus> + '_ {
        self.all.values().filter(|it| it.wanted.is_some()).map(|it| it.status)
    }

    /// How each is, in a word.
    pub(super) fn states(&self, context: &Context, engines: &Engines) -> impl Iterator<Item = State> {
        let is_heard = engines.ready(Engine::Kubernetes);
        self.all.iter().map(move |(name, managed)| managed.state(name, context, is_heard))
    }

    /// The configuration asks for these from now on. Answers whether there are any.
    pub(super) fn want<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a Arc<str>, &'a Arc<Workload>)>,
        unreadable: &BTreeSet<Arc<str>>,
    ) -> bool {
        self.unreadable.clone_from(unreadable);
        let mut wanted: BTreeMap<_, _> = gather(wanted);
        let is_any = !wanted.is_empty();
        for (name, managed) in &mut self.all {
            managed.want(wanted.remove(name).cloned());
        }
        for (name, workload) in wanted {
            self.all.entry(name.clone()).or_default().want(Some(workload.clone()));
        }
        is_any
    }

    /// A list asked for by `listed` was whole.
    pub(super) fn listed(&mut self, listed: Ticket, found: Vec<Deployment>) {
        for managed in self.all.values_mut().filter(|managed| managed.last < listed) {
            managed.found.retain(|old| found.iter().any(|it| it.uid == old.uid));
        }
        for it in found {
            self.all.entry(Arc::from(&*it.name)).or_default().take_in(it);
        }
    }

    /// The outcome of one of this workload's orders.
    pub(super) fn done(
        &mut self,
        name: &Arc<str>,
        result: Result<DeploymentFact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        if let Some(managed) = self.all.get_mut(name)
            && let Some(doing) = managed.under_way.take()
        {
            managed.done(name, doing, result, turn);
        }
    }

    /// Does all that can be done now for a workload, and says when it wants to be asked again.
    pub(super) fn advance(&mut self, name: &Arc<str>, allowance: Allowance, turn: &mut Turn<'_>) -> Wake {
        let Some(managed) = self.all.get_mut(name) else { return Wake::Never };
        managed.waits = !allowance.starts;
        let mut wake = managed.allow(name, allowance.runs, turn);
        if managed.under_way.is_none() && turn.ready(Engine::Kubernetes) {
            wake = wake.earlier(managed.act(name, self.unreadable.contains(name), allowance.update, turn));
        }
        wake = wake.earlier(managed.judge(name, turn));
        if managed.wanted.is_none() && managed.found.is_empty() && managed.under_way.is_none() {
            self.all.remove(name);
        }
        wake
    }
}

impl Managed {
    fn want(&mut self, wanted: Option<Arc<Workload>>) {
        let id = |it: &Option<Arc<Workload>>| it.as_ref().map(|it| it.id.clone());
        if id(&self.wanted) != id(&wanted) {
            self.dismissed |= wanted.is_none();
            (self.came_up, self.since, self.may_run) = (false, None, false);
            self.status_since = self.status_since.filter(|_| self.wanted.is_some() == wanted.is_some());
            self.flapping = Flapping::default();
            self.forgive();
        }
        self.wanted = wanted;
    }

    fn forgive(&mut self) {
        (self.refusal, self.failures, self.apply_after) = (None, 0, Duration::ZERO);
    }

    /// Takes in how a Deployment is, unless something newer is known.
    fn take_in(&mut self, seen: Deployment) {
        match self.found.iter_mut().find(|it| it.namespace == seen.namespace) {
            Some(known) if known.uid == seen.uid && known.version > seen.version => {}
            Some(known) => *known = seen,
            None => self.found.push(seen),
        }
    }

    /// The one that the workload is.
    pub(super) fn here(&self) -> Option<&Deployment> {
        let place = &self.wanted.as_ref()?.content.namespace;
        self.found.iter().find(|it| it.namespace == *place)
    }

    /// How it is, in a word. `is_heard`: the cluster answers.
    pub(super) fn state(&self, name: &str, context: &Context, is_heard: bool) -> State {
        match self.status {
            _ if self.wanted.is_none() => State::Leaving,
            _ if !is_heard => State::Unknown,
            WorkloadStatus::Running => State::Running,
            WorkloadStatus::Deploying if context.waiting.waits(name) => State::Running,
            WorkloadStatus::Deploying => State::Starting,
            WorkloadStatus::Stopped | WorkloadStatus::Exited if context.stops.is_stopped(name) => {
                State::Stopped
            }
            WorkloadStatus::Stopped | WorkloadStatus::Exited => State::Inactive,
            WorkloadStatus::Crashed => State::BackOff,
        }
    }

    /// What the profiles say.
    fn allow(&mut self, name: &str, is_open: bool, turn: &mut Turn<'_>) -> Wake {
        if self.wanted.is_none() {
            return Wake::Never;
        }
        let is_stopped = turn.context.stops.is_stopped(name);
        let (may_run, wake) = self.flapping.may_run_unless_stopped(is_stopped, is_open, turn.now.up);
        self.flapping.news(name).into_iter().for_each(|it| turn.tell(it));
        if self.may_run != may_run {
            self.forgive(); // what it is now wasn't refused yet
        }
        self.may_run = may_run;
        wake
    }

    /// Deletes one that is not to be, and says when to ask again.
    fn delete_stray(&mut self, name: &Arc<str>, is_unreadable: bool, turn: &mut Turn<'_>) -> Wake {
        let place = self.wanted.as_ref().map(|it| &it.content.namespace);
        let stray = self.found.iter().find(|it| !it.terminating && Some(&it.namespace) != place);
        let may_go = place.is_some() || turn.context.lets_go(is_unreadable, self.dismissed);
        match stray.filter(|_| may_go) {
            None => Wake::Never,
            Some(_) if turn.now.up < self.delete_after => Wake::At(self.delete_after),
            Some(stray) => {
                self.under_way = Some(Doing::Delete { uid: stray.uid.clone() });
                self.last = turn.deploy(name, DeploymentTask::Delete(Box::new(stray.clone())));
                Wake::Never
            }
        }
    }

    fn act(
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
        let (mut companions, mut settled) = (Vec::new(), false);
        let runs = match self.here() {
            None if replicas == 0 => return wake,
            None => false,
            Some(it) if it.terminating => return wake, // told when it is gone
            Some(it) => {
                if let Some(later) =
                    held_back(name, &workload, it, permit.filter(|_| replicas > 0), !self.waits, turn)
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
                companions.clone_from(&it.companions);
                it.replicas > 0
            }
        };
        if replicas > 0 && self.waits && !settled {
            return wake; // told when that is ready
        }
        let at = before.map_or(Duration::ZERO, |it| it.at + RIGHT_AGAIN).max(self.apply_after);
        if now < at {
            return wake.earlier(Wake::At(at));
        }
        if runs && replicas == 0 {
            let is_stopped = turn.context.stops.is_stopped(name);
            let why = NotAllowed::of(false, is_stopped, self.flapping.rests(now).is_some());
            let message = format!("workload '{name}' is scaled to 0: {}", why.why());
            turn.tell(Notice::info(Reason::Inactive, message));
        }
        let task = DeploymentTask::Apply { workload, replicas, companions, settled };
        self.last = turn.deploy(name, task);
        self.under_way = Some(Doing::Apply { hash, replicas });
        wake
    }

    fn done(
        &mut self,
        name: &str,
        doing: Doing,
        result: Result<DeploymentFact, Failure>,
        turn: &mut Turn<'_>,
    ) {
        match (doing, result) {
            (_, Err(failure @ Failure::Engine(_))) => turn.failed(Engine::Kubernetes, "", &failure),
            (Doing::Apply { hash, replicas }, Ok(DeploymentFact::Applied(now))) => {
                self.forgive();
                let at = turn.now.up;
                // not what was seen last: the change may have been seen before this outcome came
                if self.applied.as_ref().is_none_or(|before| before.generation != now.generation) {
                    (self.came_up, self.since) = (false, Some(at));
                }
                self.applied = Some(Applied { hash, replicas, generation: now.generation, at });
                self.take_in(*now);
            }
            (Doing::Apply { hash, .. }, Err(Failure::Workload(cause))) => {
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
            (Doing::Delete { uid }, Ok(_)) => {
                for it in self.found.iter_mut().filter(|it| it.uid == uid) {
                    it.terminating = true;
                    let message = format!("Deployment '{}/{name}' is removed", it.namespace);
                    turn.tell(Notice::info(Reason::Removed, message));
                }
            }
            (Doing::Delete { .. }, Err(failure)) => {
                turn.failed(Engine::Kubernetes, &format!("failed to remove Deployment '{name}'"), &failure);
                self.delete_after = turn.now.up + REMOVE_AGAIN;
            }
            (Doing::Apply { .. }, Ok(_)) => {} // no answer to that
        }
    }

    /// Says how the workload is, and when that changes without anything happening.
    fn judge(&mut self, name: &str, turn: &mut Turn<'_>) -> Wake {
        let now = turn.now.up;
        self.status_since.get_or_insert(now);
        let Some(wanted) = &self.wanted else { return Wake::Never };
        let late = self.since.unwrap_or(now) + UP;
        let (mut wake, mut cause) = (Wake::Never, String::new());
        let status = match self.here() {
            _ if self.refusal.is_some() => WorkloadStatus::Crashed,
            _ if !self.may_run => WorkloadStatus::Stopped,
            None => WorkloadStatus::Deploying,
            Some(it) if it.hash != wanted.hash || it.replicas == 0 || it.terminating => {
                WorkloadStatus::Deploying
            }
            Some(it) => match &it.rollout {
                Rollout::Available => WorkloadStatus::Running,
                Rollout::Unavailable(_) if !self.came_up && now < late => {
                    wake = Wake::At(late);
                    WorkloadStatus::Deploying
                }
                Rollout::Progressing => WorkloadStatus::Deploying,
                Rollout::Unavailable(why) | Rollout::Failed(why) => {
                    cause.clone_from(why);
                    WorkloadStatus::Crashed
                }
            },
        };
        if status == WorkloadStatus::Stopped {
            (self.came_up, self.since) = (false, None); // when it is scaled up it has to come up anew
        } else if self.here().is_some() {
            self.since.get_or_insert(now);
        }
        self.came_up |= status == WorkloadStatus::Running;
        if std::mem::replace(&mut self.status, status) == status {
            return wake;
        }
        self.status_since = Some(now);
        let place = &wanted.content.namespace;
        match status {
            WorkloadStatus::Running if self.applied.is_none() => turn.tell(Notice::info(
                Reason::Adopted,
                format!("workload '{name}' runs already: Deployment '{place}/{name}'"),
            )),
            WorkloadStatus::Running => turn.tell(Notice::info(
                Reason::Started,
                format!("workload '{name}' is available: Deployment '{place}/{name}'"),
            )),
            WorkloadStatus::Crashed if self.refusal.is_none() => turn.tell(Notice::warning(
                Reason::Failed,
                format!("workload '{name}': Deployment '{place}/{name}' fails: {cause}"),
            )),
            _ => {}
        }
        wake
    }
}
