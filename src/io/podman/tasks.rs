//! What each order asks of podman, in which sequence, and what its answers mean.

mod hooks;
mod limits;
mod look;
mod making;
mod mending;
mod rehearsal;
mod seen;
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
    event_stream::{EventStream, Listener},
    forks::Forks,
    images,
    probes::{Prober, end_monitors},
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
        exits::{Exits, Process},
        outputs::Outputs,
        pressure::Disks,
        unix::Hangup,
    },
    wire::{
        ownership::{OWNER_LABEL, WORKLOAD_LABEL},
        podman::{
            answers::{InspectedPod, ListedPod, Volume, storage},
            hooks::HOOKS_LABEL,
            limits::Limits,
            names::own_prefix,
        },
    },
};
use seen::{Found, KnownPod};

/// For what podman does at once.
const LIMIT: Duration = Duration::from_secs(30);
/// For the start of one container.
const START_LIMIT: Duration = Duration::from_secs(120);
/// For the containers of a pod that could not be made, or has to go because the device is short of something.
const SHORT_GRACE: Duration = Duration::from_secs(1);

/// Knows how to carry out orders, and who we are.
pub(super) struct Tasks {
    client: Arc<PodmanClient>,
    socket: PathBuf,
    owner: String,
    device_id: String,
    limits: Limits,
    disks: Disks,
    /// Whether podman has told where it keeps things.
    storage_known: AtomicBool,
    /// The pods that were seen to be ours, as they were looked at last: these can be stopped without another look.
    ours: Mutex<BTreeMap<WorkloadId, Own>>,
    /// What those consist of that were looked at: as long as all of it is there, it is the same pod.
    looked: Mutex<BTreeMap<WorkloadId, KnownPod>>,
    /// The control groups of the pods that were looked at, and the CPU limit that each is to have.
    cgroups: Mutex<BTreeMap<WorkloadId, (Cgroup, CpuLimit)>>,
    /// The graces of the stops under way: podman's list of pods, and a look at one of these, waits for them.
    graces: Mutex<Vec<Duration>>,
    /// The starts that were ordered and are not over, and how to cut each short.
    starts: Mutex<BTreeMap<WorkloadId, Hangup>>,
    /// The pods that are made to see whether they can be.
    rehearsals: Mutex<BTreeSet<WorkloadId>>,
    exits: Exits,
    forks: Forks,
    event_stream: EventStream,
    prober: Prober,
    volumes: Volumes,
    outputs: Outputs,
    events: Sender<Event>,
}

/// A pod of ours.
#[derive(Clone)]
struct Own {
    /// podman's own for it.
    id: Box<str>,
    /// What its containers ask for after their start and before their stop, as its label says it.
    hooks: Option<Box<str>>,
}

/// An order's result, and the processes to watch from now on.
pub(super) struct Done {
    pub(super) result: Result<Fact, Failure>,
    pub(super) running: Option<(WorkloadId, Vec<Process>)>,
}

impl From<Result<Fact, Failure>> for Done {
    fn from(result: Result<Fact, Failure>) -> Self {
        Self { result, running: None }
    }
}

impl Tasks {
    pub(super) fn start(config: PodmanConfig, events: Sender<Event>) -> io::Result<Self> {
        let PodmanConfig { engine, socket, owner, device_id, limits, disks, volumes, outputs } = config;
        let client = Arc::new(PodmanClient::new(&socket));
        let exits = Exits::start(engine, events.clone())?;
        let forks = Forks::start(engine, events.clone())?;
        let listener = Listener {
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

    pub(super) fn exits(&self) -> &Exits {
        &self.exits
    }

    /// After the pod was looked at.
    pub(super) fn watch_forks(&self, pod: &WorkloadId) {
        self.forks.watch(pod, usage::pids_groups(&self.exits, pod));
    }

    pub(super) fn carry_out(&self, task: &Task) -> Done {
        let seen = match task {
            Task::List => return self.list().into(),
            Task::Usage(resource) => return self.usage(*resource).into(),
            Task::Pull(workload) => {
                return images::pull(&self.client, workload).into();
            }
            Task::Rehearse { workload, moves } => return self.rehearse(workload, *moves).into(),
            Task::Discard(image) => return images::discard(&self.client, image).into(),
            Task::Limit { id, cpu } => return self.limit(id, *cpu).into(),
            Task::Remove { id, grace } => {
                return self.stop_and_remove(id, *grace).map(|()| Fact::Gone).into();
            }
            Task::Probe { id, container, probe } => return self.prober.probe(id, container, probe).into(),
            Task::End { id, container, grace } => return self.end(id, container, *grace).into(),
            Task::Look(id) => self.look(id).map(|seen| (id, seen)),
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
            Ok((id, Some(Found { seen, made, torn, failed_starts }))) => {
                let running = seen.iter().filter(|seen| seen.process.is_some());
                let began = running.filter_map(|seen| seen.began).max();
                let (containers, processes): (_, Vec<_>) =
                    seen.into_iter().map(|seen| (seen.container, seen.process)).unzip();
                let running = Some((id.clone(), processes.into_iter().flatten().collect()));
                let cpu = lock(&self.cgroups).get(id).and_then(|(cgroup, _)| cgroup.cpu());
                Done {
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
        let pods: Vec<ListedPod> = self.wait_for("pods/json", &[("filters", &filters)])?.json()?;
        // (the filter is podman's word alone, and what isn't ours is never touched)
        let pods = pods.into_iter().filter(|pod| self.is_ours(&pod.labels));
        self.keep_limits();
        self.forks.look(true);
        let mut ours = lock(&self.ours);
        let mut before = std::mem::take(&mut *ours);
        let summary = |mut pod: ListedPod| {
            let id = WorkloadId::from_pod_name(&pod.name);
            // of one that was replaced the agent knows nothing but the name until it was looked at
            let new =
                || Own { id: pod.id.clone(), hooks: pod.labels.get(HOOKS_LABEL).map(|it| (**it).into()) };
            let known = before.remove(&id).unwrap_or_else(new);
            let replaced = known.id != pod.id;
            let running = pod.runs() && !replaced;
            ours.insert(id.clone(), known);
            let workload = pod.labels.remove(WORKLOAD_LABEL).unwrap_or_default();
            PodSummary { id, workload, running, replaced }
        };
        let rehearsals = lock(&self.rehearsals);
        let is_kept = |pod: &ListedPod| !rehearsals.contains(&WorkloadId::from_pod_name(&pod.name));
        let pods = pods.filter(is_kept).map(summary).collect();
        drop(rehearsals);
        drop(ours);
        self.volumes.tidy(&|id| self.has_pod(id));
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
        match self.client.get("info", &[], LIMIT).and_then(|answer| answer.json()) {
            Ok(info) => storage(&info).into_iter().for_each(|path| self.disks.add(path)),
            Err(_) => self.storage_known.store(false, Ordering::Relaxed),
        }
    }

    /// Also if podman doesn't say.
    fn has_pod(&self, id: &WorkloadId) -> bool {
        lock(&self.ours).contains_key(id)
            || !self
                .client
                .get(&format!("pods/{id}/exists"), &[], LIMIT)
                .is_ok_and(|answer| answer.is_missing())
    }

    /// The pod, if there is one; a failure if it isn't this agent's.
    fn inspect(&self, id: &WorkloadId) -> Result<Option<InspectedPod>, Failure> {
        let answer = self.wait_for(&format!("pods/{id}/json"), &[])?;
        if answer.is_missing() {
            return Ok(None);
        }
        let pod: InspectedPod = answer.json()?;
        if !self.is_ours(&pod.labels) {
            return Err(Failure::Workload(format!("a pod named '{id}' is here that isn't this agent's")));
        }
        let hooks = pod.labels.get(HOOKS_LABEL).map(|it| (**it).into());
        lock(&self.ours).insert(id.clone(), Own { id: pod.id.clone(), hooks });
        self.found_group(id, &pod.cgroup_path);
        Ok(Some(pod))
    }

    /// Whether a pod with these labels is this agent's. Others are never touched.
    fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.get(OWNER_LABEL) == Some(&self.owner)
    }

    /// The control group of a pod, by podman's word; whether it is seen from here.
    fn found_group(&self, id: &WorkloadId, path: &str) -> bool {
        let Some(cgroup) = Cgroup::find(path, &self.socket) else { return false };
        let mut cgroups = lock(&self.cgroups);
        if cgroups.get(id).is_none_or(|(known, _)| *known != cgroup) {
            let cpu = cgroup.cpu();
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
                self.exits.end(id, SHORT_GRACE);
                SHORT_GRACE
            }
        };
        self.remove(id, left)
    }

    fn remove(&self, id: &WorkloadId, grace: Duration) -> Result<(), Failure> {
        self.exits.forget(id);
        self.prober.forget(id);
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
            Failure::Engine(format!("failed to remove '{}': {error}", self.volumes.of(id).display()))
        })
    }

    /// Whether there was such a pod.
    fn remove_pod(&self, id: &WorkloadId, pod: &str, grace: Duration) -> Result<bool, Failure> {
        self.stop(pod, grace)?;
        let ids = |known: &KnownPod| known.containers.iter().map(|it| it.listed.id.clone()).collect();
        let containers: Vec<String> = lock(&self.looked).get(id).map(ids).unwrap_or_default();
        end_monitors(&containers);
        let answer =
            self.client.delete(&format!("pods/{pod}"), &[("force", "true"), ("timeout", "0")], LIMIT)?;
        if answer.is_missing() {
            return Ok(false);
        }
        answer.done()?;
        Ok(true)
    }

    /// Nothing to a pod that doesn't run. A stop before the removal is faster than a removal by force; what it
    /// can't stop, that can.
    fn stop(&self, pod: &str, grace: Duration) -> Result<(), Failure> {
        // podman takes 0 for its own 10 s
        let seconds = grace.as_secs().max(1).to_string();
        let (path, limit) = (format!("pods/{pod}/stop"), grace.saturating_add(LIMIT));
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
    fn wait_for(&self, path: &str, query: Query) -> Result<PodmanAnswer, Error> {
        let limit = self.patience();
        match self.client.get(path, query, limit) {
            Err(Error::Late(_)) if self.patience() > limit => self.client.get(path, query, self.patience()),
            answer => answer,
        }
    }

    fn patience(&self) -> Duration {
        let stop = lock(&self.graces).iter().max().copied().unwrap_or_default();
        LIMIT.saturating_add(stop) // a grace is its author's
    }

    /// They stay behind when it goes.
    fn remove_volumes(&self, id: &WorkloadId) -> Result<(), Failure> {
        let own = own_prefix(id);
        let filters = json!({ "name": [format!("^{own}")] }).to_string();
        let volumes: Option<Vec<Volume>> =
            self.client.get("volumes/json", &[("filters", &filters)], LIMIT)?.json()?;
        for Volume { name } in volumes.into_iter().flatten().filter(|it| it.name.starts_with(&own)) {
            let answer = self.client.delete(&format!("volumes/{name}"), &[], LIMIT)?;
            if !answer.is_missing() {
                answer.done()?;
            }
        }
        Ok(())
    }
}
