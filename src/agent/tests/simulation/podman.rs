//! A podman that fails, lies, stalls, does by halves and does too late.

use super::{
    script::How,
    wishes::{BUILT_IN, Catalogue, Spec},
    *,
};

/// One of the device's two engines.
#[derive(Debug)]
pub(super) struct Podman {
    /// It doesn't answer.
    pub(super) gone: bool,
    /// The agent's.
    pub(super) pods: BTreeMap<WorkloadId, SimPod>,
    /// Foreign pods, by names that the agent's could have.
    pub(super) foreign: BTreeSet<WorkloadId>,
    /// By name, or by id if they have none any more.
    pub(super) images: BTreeSet<String>,
    /// What is made of these contents ends at once.
    pub(super) doomed: BTreeSet<WorkloadId>,
    /// How many images lost their name to a newer one.
    renamed: u32,
    /// How many pods were made.
    made: u32,
    /// Which pods this process of the agent looked at last.
    pub(super) looked: BTreeMap<WorkloadId, u32>,
}

impl Default for Podman {
    fn default() -> Self {
        Self {
            gone: false,
            pods: BTreeMap::new(),
            foreign: BTreeSet::new(),
            images: [BUILT_IN.to_string()].into(),
            doomed: BTreeSet::new(),
            renamed: 0,
            made: 0,
            looked: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct SimPod {
    /// No other one has this number.
    number: u32,
    /// The index of the workload's name.
    pub(super) name: usize,
    pub(super) containers: Vec<Container>,
    images: Vec<String>,
    pub(super) cpu: Option<u64>,
    /// Its limit isn't what the agent may expect: podman denied one, or did what is not waited for.
    pub(super) stubborn: bool,
    /// What held its namespaces has ended.
    pub(super) torn: bool,
    /// Its probes fail.
    pub(super) sick: bool,
    /// The container whose hook is under way.
    pub(super) in_hook: Option<String>,
    /// The one whose hook was under way when its agent died.
    pub(super) cut_off: Option<String>,
    /// The agent can't know of it: it was made for a dead agent, too late, or podman denied having made it.
    pub(super) excused: bool,
}

impl SimPod {
    pub(super) fn runs(&self) -> bool {
        !self.torn
            && !self.containers.is_empty()
            && self.containers.iter().all(|it| it.state == ContainerState::Running)
    }

    pub(super) fn some_run(&self) -> bool {
        self.containers.iter().any(|it| it.state == ContainerState::Running)
    }
}

/// An order that has no outcome yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) order: Order,
    /// It is carried out already.
    pub(super) result: Option<Result<Fact, Failure>>,
    /// Podman does it after it has said that it doesn't answer.
    pub(super) haunts: bool,
    /// It is to be cut short, which comes too late if something befalls it.
    pub(super) cancelled: bool,
}

/// The verb of an order, and the pod that it is about.
pub(super) fn about(task: &Task) -> (&'static str, Option<&WorkloadId>) {
    match task {
        Task::List => ("list", None),
        Task::Pull(workload) => ("pull", Some(&workload.id)),
        Task::Rehearse { workload, .. } => ("rehearse", Some(&workload.id)),
        Task::Start(workload, _) => ("start", Some(&workload.id)),
        Task::Cancel(id) => ("cancel the start of", Some(id)),
        Task::Look(id) => ("look at", Some(id)),
        Task::Limit { id, .. } => ("limit", Some(id)),
        Task::Remove { id, .. } => ("remove", Some(id)),
        Task::Probe { id, .. } => ("probe", Some(id)),
        Task::End { id, .. } => ("end a container of", Some(id)),
        Task::Restart { id, .. } => ("start a container again of", Some(id)),
        Task::Discard(_) => ("discard an image", None),
        Task::Usage(_) => ("measure", None),
    }
}

pub(super) fn sentence(order: &Order) -> String {
    let (verb, id) = about(&order.task);
    let id = id.map(|id| format!(" {id}")).unwrap_or_default();
    let more = match &order.task {
        Task::Limit { cpu, .. } => format!(" to {cpu:?}"),
        Task::Discard(image) => format!(" '{image}'"),
        Task::Probe { container, .. } | Task::End { container, .. } | Task::Restart { container, .. } => {
            format!(" '{container}'")
        }
        Task::Usage(resource) => format!(" {resource}"),
        _ => String::new(),
    };
    format!("{verb}{id}{more} on {} (#{})", order.engine, order.ticket.0)
}

impl Podman {
    /// Does what the order asks, or not. One that is not waited for any more is a ghost's.
    pub(super) fn carry_out(
        &mut self,
        task: &Task,
        how: How,
        ghost: bool,
        now: Now,
        catalogue: &Catalogue,
    ) -> Result<Fact, Failure> {
        let lost = Err(Failure::Engine("the connection broke".into()));
        let refused = || Err(Failure::Workload("podman won't".into()));
        if self.gone && !ghost || matches!(how, How::Lost | How::Late) {
            return lost;
        }
        let squatted =
            |id: &WorkloadId| Err(Failure::Workload(format!("a pod named '{id}' isn't this agent's")));
        let done = match task {
            Task::List if how == How::Refused => refused(),
            Task::List => Ok(Fact::Pods(self.list())),
            Task::Pull(_) if how == How::Refused => refused(),
            Task::Pull(workload) => self.pull(workload, how),
            Task::Rehearse { .. } if how == How::Refused => refused(),
            Task::Rehearse { workload, .. } => self.rehearse(workload, how, catalogue),
            Task::Start(workload, _) if self.foreign.contains(&workload.id) => squatted(&workload.id),
            Task::Start(workload, cpu) => {
                self.pods.remove(&workload.id); // as left from a start that was cut off
                if matches!(how, How::Refused | How::Vanished) {
                    return if how == How::Refused { refused() } else { Ok(Fact::Gone) };
                }
                let images: Vec<String> = workload.content.images().collect();
                if let Some(image) = images.iter().find(|image| !self.images.contains(*image)) {
                    return Err(Failure::Workload(format!("there is no image '{image}'")));
                }
                let Some(spec) = catalogue.of(&workload.id) else { return refused() };
                // a job, or the only one but for those that are there for it
                if how == How::Partly && !spec.may_start_partly() {
                    return refused();
                }
                let doomed = self.doomed.contains(&workload.id) && how == How::Well;
                self.made += 1;
                let pod = SimPod {
                    number: self.made,
                    name: spec.name,
                    containers: made(spec, if doomed { How::Ended(1) } else { how }, now),
                    images,
                    cpu: cpu.filter(|_| how == How::Well), // it can't be had everywhere
                    stubborn: false,
                    torn: false,
                    sick: false,
                    in_hook: first(spec).filter(|_| how == How::Unhooked),
                    cut_off: None,
                    excused: ghost || how == How::DoneButRefused,
                };
                self.pods.insert(workload.id.clone(), pod);
                if ghost {
                    Ok(Fact::Gone)
                } else {
                    self.look(&workload.id).map(|fact| come_up(spec, how, fact))
                }
            }
            Task::Cancel(_) => return Ok(Fact::Gone), // what it is about is another order
            Task::Look(id) if self.foreign.contains(id) => squatted(id),
            Task::Look(_) if how == How::Refused => refused(),
            Task::Look(id) => self.look(id).map(|fact| self.cut_off(id, fact)),
            Task::Limit { id, cpu } => match self.pods.get_mut(id) {
                None => Ok(Fact::Gone),
                Some(pod) if how == How::Refused => {
                    pod.stubborn = true;
                    refused()
                }
                Some(pod) => {
                    (pod.cpu, pod.stubborn) = (*cpu, ghost || how == How::DoneButRefused);
                    Ok(Fact::Limited)
                }
            },
            Task::Probe { .. } if how == How::Refused => refused(),
            Task::Probe { id, container, .. } => self.probe(id, container, how),
            Task::End { .. } | Task::Restart { .. } if how == How::Refused => refused(),
            Task::End { id, container, .. } => {
                self.end(id, container, how, now);
                Ok(Fact::Ended)
            }
            Task::Restart { id, container, ended } => self.restart(id, container, *ended, how, now),
            Task::Usage(_) if how == How::Refused => refused(),
            Task::Usage(_) => Ok(Fact::Usage(self.usage(how))),
            Task::Discard(_) if how == How::Refused => refused(),
            Task::Discard(image) if self.pods.values().any(|pod| pod.images.contains(image)) => {
                Err(Failure::Workload(format!("the image '{image}' is in use")))
            }
            Task::Discard(image) => {
                self.images.remove(image);
                Ok(Fact::Gone)
            }
            Task::Remove { id, .. } if self.foreign.contains(id) => squatted(id),
            Task::Remove { .. } if how == How::Refused => refused(),
            Task::Remove { id, .. } if how == How::Half => {
                for container in self.pods.get_mut(id).into_iter().flat_map(|pod| &mut pod.containers) {
                    container.state = ContainerState::Exited { code: 143, at: now.utc, ran: 5 * S };
                }
                refused()
            }
            Task::Remove { id, .. } => {
                self.pods.remove(id);
                Ok(Fact::Gone)
            }
        };
        match how {
            How::DoneButLost => lost,
            How::DoneButRefused if *task != Task::List => refused(),
            _ => done,
        }
    }

    fn list(&mut self) -> Vec<PodSummary> {
        let Self { pods, looked, .. } = self;
        looked.retain(|id, _| pods.contains_key(id));
        let summary = |(id, pod): (&WorkloadId, &SimPod)| {
            let replaced = *looked.entry(id.clone()).or_insert(pod.number) != pod.number;
            let workload = wishes::NAMES[pod.name].into();
            PodSummary { id: id.clone(), workload, running: pod.runs() && !replaced, replaced }
        };
        pods.iter().map(summary).collect()
    }

    fn look(&mut self, id: &WorkloadId) -> Result<Fact, Failure> {
        if let Some(pod) = self.pods.get(id) {
            self.looked.insert(id.clone(), pod.number);
        }
        let pod = |pod: &SimPod| {
            Fact::Pod(Pod {
                containers: pod.containers.clone(),
                cpu: pod.cpu,
                torn: pod.torn,
                ..Pod::default()
            })
        };
        Ok(self.pods.get(id).map_or(Fact::Gone, pod))
    }

    /// With the container whose hook an agent left that died.
    fn cut_off(&self, id: &WorkloadId, fact: Fact) -> Fact {
        let Fact::Pod(mut pod) = fact else { return fact };
        let cut_off = self.pods.get(id).and_then(|pod| pod.cut_off.clone());
        let runs = |name: &String| {
            pod.containers.iter().any(|it| it.name == *name && it.state == ContainerState::Running)
        };
        pod.failed_starts =
            cut_off.filter(runs).map(|name| (name, "its hook was cut off".into())).into_iter().collect();
        Fact::Pod(pod)
    }

    /// What is missing comes in; `Half`: a newer image is there and can't be had, `Stuck`: it can.
    fn pull(&mut self, workload: &Workload, how: How) -> Result<Fact, Failure> {
        let (mut fetched, mut stale) = (Vec::new(), Vec::new());
        for image in workload.content.images() {
            if self.images.insert(image.clone()) {
                fetched.push(PulledImage { image, before: None });
            } else if how == How::Half {
                stale.push(format!("an old image '{image}' is used"));
            } else if how == How::Stuck {
                self.renamed += 1;
                let before = format!("id-{}", self.renamed);
                for pod in self.pods.values_mut() {
                    pod.images.iter_mut().filter(|it| **it == image).for_each(|it| it.clone_from(&before));
                }
                self.images.insert(before.clone());
                fetched.push(PulledImage { image, before: Some(before) });
            }
        }
        Ok(Fact::Pulled { fetched, stale })
    }

    /// `Half`: a pod of another workload has a port that this one wants.
    fn rehearse(&mut self, workload: &Workload, how: How, catalogue: &Catalogue) -> Result<Fact, Failure> {
        let Ok(Fact::Pulled { fetched, .. }) = self.pull(workload, How::Well) else { unreachable!() };
        let others = self.pods.keys().filter(|id| catalogue.name(id) != catalogue.name(&workload.id));
        let holder = others.filter(|_| how == How::Half).map(|id| ("80/tcp".to_owned(), id.clone())).next();
        Ok(Fact::Fit { fetched, holders: holder.into_iter().collect() })
    }

    fn probe(&self, id: &WorkloadId, container: &str, how: How) -> Result<Fact, Failure> {
        let runs = |it: &&Container| it.name == container && it.state == ContainerState::Running;
        let pod = self.pods.get(id).filter(|pod| pod.containers.iter().any(|it| runs(&it)));
        let Some(pod) = pod else { return Err(Failure::Workload("there is nothing to ask".into())) };
        let healthy = !pod.sick && !matches!(how, How::Half | How::Ended(_));
        Ok(Fact::Probed { healthy, output: "exit code 1".into() })
    }

    /// `Half`: it says so, and doesn't.
    fn end(&mut self, id: &WorkloadId, container: &str, how: How, now: Now) {
        let code = if let How::Ended(code) = how { code } else { 143 };
        let mut all = self.pods.get_mut(id).into_iter().flat_map(|pod| &mut pod.containers);
        let its = |it: &&mut Container| it.name == container && it.state == ContainerState::Running;
        if let Some(container) = all.find(its).filter(|_| how != How::Half) {
            container.state = ContainerState::Exited { code, at: now.utc, ran: 5 * S };
        }
    }

    /// `Half`: it says so, and doesn't.
    fn restart(
        &mut self,
        id: &WorkloadId,
        container: &str,
        ended: SystemTime,
        how: How,
        now: Now,
    ) -> Result<Fact, Failure> {
        if how == How::Vanished {
            self.pods.remove(id);
        }
        let is_doomed = self.doomed.contains(id);
        let Some(pod) = self.pods.get_mut(id).filter(|pod| !pod.torn) else { return self.look(id) };
        let is_it = |it: &&mut Container| {
            it.name == container
                && match &it.state {
                    ContainerState::Exited { at, .. } => *at == ended,
                    state => *state == unstarted(),
                }
        };
        let Some(container) = pod.containers.iter_mut().find(is_it) else { return self.look(id) };
        pod.sick &= how == How::Half; // what runs anew is well
        let before = container.state.clone();
        container.state = match how {
            How::Stuck => unstarted(),
            How::Ended(code) => ContainerState::Exited { code, at: now.utc, ran: Duration::ZERO },
            How::Well if is_doomed => ContainerState::Exited { code: 1, at: now.utc, ran: Duration::ZERO },
            _ => ContainerState::Running,
        };
        let name = container.name.clone();
        pod.cut_off.take_if(|it| *it == name);
        pod.in_hook = (how == How::Unhooked).then(|| name.clone());
        let told = self.look(id).map(|fact| match fact {
            Fact::Pod(pod) if how == How::Unhooked => {
                Fact::Pod(Pod { failed_starts: vec![(name.clone(), HOOK.into())], ..pod })
            }
            fact => fact,
        });
        if let (How::Half, Some(pod)) = (how, self.pods.get_mut(id)) {
            pod.containers.iter_mut().filter(|it| it.name == name).for_each(|it| it.state = before.clone());
        }
        told
    }

    fn usage(&self, how: How) -> Vec<(WorkloadId, u64)> {
        let running = self.pods.iter().filter(|(_, pod)| pod.some_run());
        let uses = running.map(|(id, pod)| (id.clone(), (1 + pod.name as u64) << 20));
        uses.skip(usize::from(how == How::Half)).collect()
    }
}

const HOOK: &str = "its postStart hook failed";

/// Made, and never started.
fn unstarted() -> ContainerState {
    ContainerState::Stuck("created".into())
}

/// What a start tells beside what a look does.
fn come_up(spec: Spec, how: How, fact: Fact) -> Fact {
    let Fact::Pod(mut pod) = fact else { return fact };
    let why = match how {
        How::Unhooked => HOOK,
        How::Partly => "no such command",
        _ => return Fact::Pod(pod),
    };
    pod.failed_starts = first(spec).map(|name| (name, why.into())).into_iter().collect();
    Fact::Pod(pod)
}

/// The container to which something happens when a pod starts.
fn first(spec: Spec) -> Option<String> {
    let mut names = ('a'..).take(spec.containers()).map(String::from);
    names.find(|name| !spec.is_sidecar(name))
}

fn made(spec: Spec, how: How, now: Now) -> Vec<Container> {
    let state = match how {
        How::Stuck => unstarted(),
        How::Ended(code) => ContainerState::Exited { code, at: now.utc, ran: Duration::ZERO },
        _ => ContainerState::Running,
    };
    let count = spec.containers() - usize::from(how == How::Half);
    let container = |name: char| Container {
        name: name.into(),
        state: state.clone(),
        out_of_memory: None,
        healthcheck: spec.healthcheck(&name.to_string()),
    };
    let mut made: Vec<_> = ('a'..).take(count).map(container).collect();
    if how == How::Partly {
        made.iter_mut().take(1).for_each(|it| it.state = unstarted()); // no sidecar
    }
    made
}
