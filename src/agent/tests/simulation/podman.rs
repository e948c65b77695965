//! A podman that fails, lies, stalls, does by halves and does too late.

use super::{script::How, wishes::Catalogue, *};

/// One of the device's two engines.
#[derive(Debug, Default)]
pub(super) struct Podman {
    /// It doesn't answer.
    pub(super) gone: bool,
    /// The agent's.
    pub(super) pods: BTreeMap<WorkloadId, SimPod>,
    /// Somebody else's pods, by names that the agent's could have.
    pub(super) foreign: BTreeSet<WorkloadId>,
}

#[derive(Debug, Clone)]
pub(super) struct SimPod {
    /// The index of the workload's name.
    pub(super) name: usize,
    pub(super) containers: Vec<Container>,
    /// The agent can't know of it: it was made for a dead agent, too late, or podman denied having made it.
    pub(super) excused: bool,
}

impl SimPod {
    pub(super) fn runs(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(|it| it.state == ContainerState::Running)
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
}

/// The verb of an order, and the pod that it is about.
pub(super) fn about(task: &Task) -> (&'static str, Option<&WorkloadId>) {
    match task {
        Task::List => ("list", None),
        Task::Pull(workload) => ("pull", Some(&workload.id)),
        Task::Start(workload) => ("start", Some(&workload.id)),
        Task::Look(id) => ("look at", Some(id)),
        Task::Remove { id, .. } => ("remove", Some(id)),
    }
}

pub(super) fn sentence(order: &Order) -> String {
    let (verb, id) = about(&order.task);
    let id = id.map(|id| format!(" {id}")).unwrap_or_default();
    format!("{verb}{id} on {} (#{})", order.engine, order.ticket.0)
}

impl Podman {
    /// Does what the order asks, or not. One that nobody waits for any more is a ghost's.
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
            Task::Pull(_) => match how {
                How::Refused | How::DoneButRefused => refused(),
                How::Half => Ok(Fact::Pulled { stale: vec!["an old image is used".into()] }),
                _ => Ok(Fact::Pulled { stale: Vec::new() }),
            },
            Task::Start(workload) if self.foreign.contains(&workload.id) => squatted(&workload.id),
            Task::Start(workload) => {
                self.pods.remove(&workload.id); // as left from a start that was cut off
                if matches!(how, How::Refused | How::Vanished) {
                    return if how == How::Refused { refused() } else { Ok(Fact::Gone) };
                }
                let name = catalogue.name(&workload.id).unwrap_or(usize::MAX);
                let excused = ghost || how == How::DoneButRefused;
                let pod = SimPod { name, containers: made(workload, how, now), excused };
                self.pods.insert(workload.id.clone(), pod);
                self.look(&workload.id)
            }
            Task::Look(id) if self.foreign.contains(id) => squatted(id),
            Task::Look(_) if how == How::Refused => refused(),
            Task::Look(id) => self.look(id),
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

    fn list(&self) -> Vec<PodSummary> {
        let summary = |(id, pod): (&WorkloadId, &SimPod)| PodSummary {
            id: id.clone(),
            workload: wishes::NAMES[pod.name].into(),
            running: pod.runs(),
        };
        self.pods.iter().map(summary).collect()
    }

    fn look(&self, id: &WorkloadId) -> Result<Fact, Failure> {
        let pod = |pod: &SimPod| Fact::Pod(Pod { containers: pod.containers.clone() });
        Ok(self.pods.get(id).map_or(Fact::Gone, pod))
    }
}

fn made(workload: &Workload, how: How, now: Now) -> Vec<Container> {
    let state = match how {
        How::Stuck => ContainerState::Stuck("created".into()),
        How::Ended(code) => ContainerState::Exited { code, at: now.utc, ran: Duration::ZERO },
        _ => ContainerState::Running,
    };
    let count = workload.content.specification["containers"].as_array().map_or(0, Vec::len);
    let count = if how == How::Half { count - 1 } else { count };
    ('a'..).take(count).map(|name| Container { name: name.into(), state: state.clone() }).collect()
}
