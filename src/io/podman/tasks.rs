//! What each order asks of podman, in which sequence, and what its answers mean.

mod found_pod;
mod hooks;
mod limits;
mod look;
mod making;
mod mending;
mod rehearsal;
mod start;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::Sender;
use serde_json::json;

use super::{
    api::{Error, PodmanAnswer, PodmanClient, Query},
    cgroup::Cgroup,
    config::PodmanConfig,
    event_stream::{EventListener, EventStream},
    fork_limits::ForkLimitWatcher,
    images,
    probes::{Prober, kill_exec_monitors},
    usage,
    volumes::Volumes,
};
use crate::io::lock;
use crate::{
    agent::{
        Event,
        model::{
            order::{CpuLimit, Fact, Failure, Grace, Pod, PodSummary, Task},
            pressure::Resource,
            workload::WorkloadId,
        },
    },
    io::{
        exits::{ContainerProcesses, ExitWatcher},
        outputs::ContainerOutputs,
        pressure::WatchedDisks,
        unix::CancelHandle,
    },
    wire::{
        ownership::{OWNER_LABEL, WORKLOAD_LABEL},
        podman::{
            answers::{InspectedPod, ListedPod, ListedVolume, storage_root},
            hooks::HOOKS_LABEL,
            limits::DefaultLimits,
            names::pod_name_prefix,
        },
    },
};
use found_pod::{FoundPod, KnownPod};

/// For what podman does at once.
const PODMAN_TIMEOUT: Duration = Duration::from_secs(30);
/// For the start of one container.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// For the containers of a pod that could not be made, or has to go because the device is short of something.
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// Knows how to carry out orders, and who we are.
pub(super) struct TaskRunner {
    client: Arc<PodmanClient>,
    socket: PathBuf,
    owner: String,
    device_id: String,
    limits: DefaultLimits,
    disks: WatchedDisks,
    /// Whether podman has told where it keeps things.
    storage_known: AtomicBool,
    /// The pods that were seen to be ours, as they were looked at last: these can be stopped without another look.
    ours: Mutex<BTreeMap<WorkloadId, OwnPod>>,
    /// What those consist of that were looked at: as long as all of it is there, it is the same pod.
    looked: Mutex<BTreeMap<WorkloadId, KnownPod>>,
    /// The control groups of the pods that were looked at, and the CPU limit that each is to have.
    cgroups: Mutex<BTreeMap<WorkloadId, (Cgroup, CpuLimit)>>,
    /// The graces of the stops under way: podman's list of pods, and a look at one of these, waits for them.
    graces: Mutex<Vec<Duration>>,
    /// The starts that were ordered and are not over, and how to cut each short.
    starts: Mutex<BTreeMap<WorkloadId, CancelHandle>>,
    /// The pods that are made to see whether they can be.
    rehearsals: Mutex<BTreeSet<WorkloadId>>,
    exits: ExitWatcher,
    forks: ForkLimitWatcher,
    event_stream: EventStream,
    prober: Prober,
    volumes: Volumes,
    outputs: ContainerOutputs,
    events: Sender<Event>,
}

/// A pod of ours.
#[derive(Clone)]
struct OwnPod {
    /// podman's own for it.
    id: Box<str>,
    /// What its containers ask for after their start and before their stop, as its label says it.
    hooks: Option<Box<str>>,
}

/// An order's result, and the processes to watch from now on.
pub(super) struct TaskOutcome {
    pub(super) result: Result<Fact, Failure>,
    pub(super) running: Option<(WorkloadId, Vec<ContainerProcesses>)>,
}

impl From<Result<Fact, Failure>> for TaskOutcome {
    fn from(result: Result<Fact, Failure>) -> Self {
        Self { result, running: None }
    }
}

impl TaskRunner {
    pub(super) fn start(config: PodmanConfig, events: Sender<Event>) -> io::Result<Self> {
        let PodmanConfig { engine, socket, owner, device_id, limits, disks, volumes, outputs } = config;
        let client = Arc::new(PodmanClient::new(&socket));
        let exits = ExitWatcher::start(engine, events.clone())?;
        let forks = ForkLimitWatcher::start(engine, events.clone())?;
        let listener = EventListener {
            engine,
            client: client.clone(),
            owner: owner.clone(),
            exits: exits.clone(),
            events: events.clone(),
        };
        let prober = Prober::new(client.clone());
        let volumes = Volumes::new(volumes, socket.clone());
        Ok(Self {
            client,
            socket,
            owner,
            device_id,
            limits,
            disks,
            storage_known: AtomicBool::new(false),
            ours: Mutex::default(),
            looked: Mutex::default(),
            cgroups: Mutex::default(),
            graces: Mutex::default(),
            starts: Mutex::default(),
            rehearsals: Mutex::default(),
            exits,
            forks,
            event_stream: EventStream::new(listener),
            prober,
            volumes,
            outputs,
            events,
        })
    }

    pub(super) fn exits(&self) -> &ExitWatcher {
        &self.exits
    }

    /// After the pod was looked at.
    pub(super) fn watch_forks(&self, pod: &WorkloadId) {
        self.forks.watch(pod, usage::pids_groups(&self.exits, pod));
    }

    pub(super) fn carry_out(&self, task: &Task) -> TaskOutcome {
        let seen = match task {
            Task::List => return self.list().into(),
            Task::Usage(resource) => return self.usage(*resource).into(),
            Task::Pull(workload) => {
                return images::pull(&self.client, workload).into();
            }
            Task::Rehearse { workload, moves } => return self.rehearse(workload, *moves).into(),
            Task::Discard(image) => return images::discard(&self.client, image).into(),
            Task::Limit { id, cpu } => return self.limit_cpu(id, *cpu).into(),
            Task::Remove { id, grace } => {
                return self.stop_and_remove(id, *grace).map(|()| Fact::Gone).into();
            }
            Task::Probe { id, container, probe } => return self.prober.probe(id, container, probe).into(),
            Task::End { id, container, grace } => return self.end_container(id, container, *grace).into(),
            Task::Look(id) => self.observe_pod(id).map(|seen| (id, seen)),
            Task::Restart { id, container, ended } => {
                self.restart(id, container, *ended).map(|seen| (id, seen))
            }
            Task::Cancel(id) => {
                self.cancel(id);
                return Ok(Fact::Gone).into();
            }
            Task::Start(workload, cpu) => self.start_pod(workload, *cpu).map(|seen| (&workload.id, seen)),
        };
        match seen {
            Ok((id, Some(FoundPod { seen, made, torn, failed_starts }))) => {
                let running = seen.iter().filter(|seen| seen.process.is_some());
                let began = running.filter_map(|seen| seen.began).max();
                let (containers, processes): (_, Vec<_>) =
                    seen.into_iter().map(|seen| (seen.container, seen.process)).unzip();
                let running = Some((id.clone(), processes.into_iter().flatten().collect()));
                let cpu = lock(&self.cgroups).get(id).and_then(|(cgroup, _)| cgroup.cpu_limit());
                TaskOutcome {
                    result: Ok(Fact::Pod(Pod { containers, cpu, began, made, torn, failed_starts })),
                    running,
                }
            }
            Ok((id, None)) => {
                self.exits.forget(id);
                Ok(Fact::Gone).into()
            }
            Err(failure) => Err(failure).into(),
        }
    }

    fn list(&self) -> Result<Fact, Failure> {
        let filters = json!({ "label": [format!("{OWNER_LABEL}={}", self.owner)] }).to_string();
        let pods: Vec<ListedPod> = self.get_after_stops("pods/json", &[("filters", &filters)])?.json()?;
        // (the filter is podman's word alone, and what isn't ours is never touched)
        let pods = pods.into_iter().filter(|pod| self.is_ours(&pod.labels));
        self.reapply_limits();
        self.forks.check_counters(true);
        let mut ours = lock(&self.ours);
        let mut before = std::mem::take(&mut *ours);
        let summary = |mut pod: ListedPod| {
            let id = WorkloadId::from_pod_name(&pod.name);
            // of one that was replaced the agent knows nothing but the name until it was looked at
            let new =
                || OwnPod { id: pod.id.clone(), hooks: pod.labels.get(HOOKS_LABEL).map(|it| (**it).into()) };
            let known = before.remove(&id).unwrap_or_else(new);
            let replaced = known.id != pod.id;
            let running = pod.is_running() && !replaced;
            ours.insert(id.clone(), known);
            let workload = pod.labels.remove(WORKLOAD_LABEL).unwrap_or_default();
            PodSummary { id, workload, running, replaced }
        };
        let rehearsals = lock(&self.rehearsals);
        let is_kept = |pod: &ListedPod| !rehearsals.contains(&WorkloadId::from_pod_name(&pod.name));
        let pods = pods.filter(is_kept).map(summary).collect();
        drop(rehearsals);
        drop(ours);
        self.volumes.remove_orphans(&|id| self.has_pod(id));
        Ok(Fact::Pods(pods))
    }

    fn usage(&self, resource: Resource) -> Result<Fact, Failure> {
        let uses = match resource {
            Resource::Memory => usage::memory(&self.client, &self.exits)?,
            Resource::Cpu => usage::cpu(&self.exits),
            Resource::Disk => {
                usage::disk(&self.client, &self.exits, lock(&self.ours).keys().cloned().collect())?
            }
        };
        Ok(Fact::Usage(uses))
    }

    /// Asks podman once where it keeps things. It is well, as it has just answered; if not, there will be a next time.
    pub(super) fn find_storage(&self) {
        if self.storage_known.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.client.get("info", &[], PODMAN_TIMEOUT).and_then(|answer| answer.json()) {
            Ok(info) => storage_root(&info).into_iter().for_each(|path| self.disks.add(path)),
            Err(_) => self.storage_known.store(false, Ordering::Relaxed),
        }
    }

    /// Also if podman doesn't say.
    fn has_pod(&self, id: &WorkloadId) -> bool {
        lock(&self.ours).contains_key(id)
            || !self
                .client
                .get(&format!("pods/{id}/exists"), &[], PODMAN_TIMEOUT)
                .is_ok_and(|answer| answer.is_missing())
    }

    /// The pod, if there is one; a failure if it isn't this agent's.
    fn inspect(&self, id: &WorkloadId) -> Result<Option<InspectedPod>, Failure> {
        let answer = self.get_after_stops(&format!("pods/{id}/json"), &[])?;
        if answer.is_missing() {
            return Ok(None);
        }
        let pod: InspectedPod = answer.json()?;
        if !self.is_ours(&pod.labels) {
            return Err(Failure::Workload(format!("a pod named '{id}' is here that isn't this agent's")));
        }
        let hooks = pod.labels.get(HOOKS_LABEL).map(|it| (**it).into());
        lock(&self.ours).insert(id.clone(), OwnPod { id: pod.id.clone(), hooks });
        self.remember_cgroup(id, &pod.cgroup_path);
        Ok(Some(pod))
    }

    /// Whether a pod with these labels is this agent's. Others are never touched.
    fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(OWNER_LABEL) == Some(&self.owner)
    }

    /// The control group of a pod, by podman's word; whether it is seen from here.
    fn remember_cgroup(&self, id: &WorkloadId, path: &str) -> bool {
        let Some(cgroup) = Cgroup::find(path, &self.socket) else { return false };
        let mut cgroups = lock(&self.cgroups);
        if cgroups.get(id).is_none_or(|(known, _)| *known != cgroup) {
            let cpu = cgroup.cpu_limit();
            cgroups.insert(id.clone(), (cgroup, cpu));
        }
        true
    }

    /// Removes a pod once it has done what it asks for before its end, if there is time for it.
    fn stop_and_remove(&self, id: &WorkloadId, grace: Grace) -> Result<(), Failure> {
        self.cancel(id); // a container that is started meanwhile, too
        let left = match grace {
            Grace::Given(grace) => self.stop_with_hooks(id, grace)?,
            Grace::Own => self.stop_with_hooks(id, self.own_grace(id)?)?,
            Grace::Shortest => {
                self.exits.terminate(id, SHORT_GRACE);
                SHORT_GRACE
            }
        };
        self.remove(id, left)
    }

    fn remove(&self, id: &WorkloadId, grace: Duration) -> Result<(), Failure> {
        self.exits.forget(id);
        self.prober.forget_address(id);
        let known = lock(&self.ours).remove(id);
        // A known id may be out of date: then the name tells.
        if !known.is_some_and(|pod| self.remove_pod(id, &pod.id, grace).is_ok_and(|found| found))
            && let Some(pod) = self.inspect(id)?
        {
            self.remove_pod(id, &pod.id, grace)?;
        }
        self.exits.forget(id);
        lock(&self.ours).remove(id);
        lock(&self.looked).remove(id);
        lock(&self.cgroups).remove(id);
        self.remove_volumes(id)?;
        self.volumes.remove(id).map_err(|error| {
            Failure::Engine(format!("failed to remove '{}': {error}", self.volumes.pod_dir(id).display()))
        })
    }

    /// Whether there was such a pod.
    fn remove_pod(&self, id: &WorkloadId, pod: &str, grace: Duration) -> Result<bool, Failure> {
        self.stop(pod, grace)?;
        let ids = |known: &KnownPod| known.containers.iter().map(|it| it.listed.id.clone()).collect();
        let containers: Vec<String> = lock(&self.looked).get(id).map(ids).unwrap_or_default();
        kill_exec_monitors(&containers);
        let answer = self.client.delete(
            &format!("pods/{pod}"),
            &[("force", "true"), ("timeout", "0")],
            PODMAN_TIMEOUT,
        )?;
        if answer.is_missing() {
            return Ok(false);
        }
        answer.check_success()?;
        Ok(true)
    }

    /// Nothing to a pod that doesn't run. A stop before the removal is faster than a removal by force; what it
    /// can't stop, that can.
    fn stop(&self, pod: &str, grace: Duration) -> Result<(), Failure> {
        // podman takes 0 for its own 10 s
        let seconds = grace.as_secs().max(1).to_string();
        let (path, limit) = (format!("pods/{pod}/stop"), grace.saturating_add(PODMAN_TIMEOUT));
        self.while_stopping(grace, || self.client.post(&path, &[("t", &seconds)], "", limit))?;
        Ok(())
    }

    /// What podman is asked meanwhile may have to wait for so long.
    fn while_stopping<T>(&self, grace: Duration, stop: impl FnOnce() -> T) -> T {
        lock(&self.graces).push(grace);
        let stopped = stop();
        let mut graces = lock(&self.graces);
        if let Some(place) = graces.iter().position(|other| *other == grace) {
            graces.swap_remove(place);
        }
        drop(graces);
        stopped
    }

    /// Asks what podman may answer only after a stop that is under way, or begins meanwhile.
    fn get_after_stops(&self, path: &str, query: Query) -> Result<PodmanAnswer, Error> {
        let limit = self.answer_timeout();
        match self.client.get(path, query, limit) {
            Err(Error::Late(_)) if self.answer_timeout() > limit => {
                self.client.get(path, query, self.answer_timeout())
            }
            answer => answer,
        }
    }

    fn answer_timeout(&self) -> Duration {
        let stop = lock(&self.graces).iter().max().copied().unwrap_or_default();
        PODMAN_TIMEOUT.saturating_add(stop) // a grace is its author's
    }

    /// They stay behind when it goes.
    fn remove_volumes(&self, id: &WorkloadId) -> Result<(), Failure> {
        let own = pod_name_prefix(id);
        let filters = json!({ "name": [format!("^{own}")] }).to_string();
        let volumes: Option<Vec<ListedVolume>> =
            self.client.get("volumes/json", &[("filters", &filters)], PODMAN_TIMEOUT)?.json()?;
        for ListedVolume { name } in volumes.into_iter().flatten().filter(|it| it.name.starts_with(&own)) {
            let answer = self.client.delete(&format!("volumes/{name}"), &[], PODMAN_TIMEOUT)?;
            if !answer.is_missing() {
                answer.check_success()?;
            }
        }
        Ok(())
    }
}
