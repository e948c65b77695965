//! What became of a pod's containers: told by their processes where that will do, and by podman where it has to be.

use std::time::Duration;

use serde_json::json;

use super::{
    PODMAN_TIMEOUT, TaskRunner,
    found_pod::{
        ContainerInspection, ContainerLife, FoundPod, KnownContainer, KnownPod, PodInspection, SeenContainer,
        short_name,
    },
};
use crate::{
    agent::model::{
        order::{Container, ContainerState, Failure, OutOfMemory},
        run::KILLED_EXIT_CODE,
        workload::{Workload, WorkloadId},
    },
    io::{
        exits::{ContainerProcesses, WatchError},
        lock,
    },
    wire::podman::answers::{
        InspectedContainer, InspectedPodContainer, InspectedState, ListedContainer, parse_time,
    },
};

impl TaskRunner {
    /// All of the pod's containers, in the order of its specification; nothing if there is no such pod.
    pub(super) fn observe_pod(&self, id: &WorkloadId) -> Result<Option<FoundPod>, Failure> {
        if let Some(seen) = self.containers_after_exit(id) {
            return Ok(Some(FoundPod { seen, made: None, torn: false, failed_starts: Vec::new() }));
        }
        let Some(asked) = self.inspect_all(id)? else { return Ok(None) };
        let failed_starts = self.interrupted_hooks(id, &asked);
        Ok(Some(FoundPod { failed_starts, ..asked.into() }))
    }

    /// If one of them has failed, and how it is with each is plain without podman. That may be slow to answer: it goes on
    /// with its clean-up, and those of its processes that find its database taken try again after 50 ms.
    fn containers_after_exit(&self, id: &WorkloadId) -> Option<Vec<SeenContainer>> {
        let ended = self.exits.take_exits(id);
        if ended.is_empty() || !ended.iter().all(|(_, exit)| exit.is_own_failure()) {
            return None;
        }
        let mut looked = lock(&self.looked);
        let known = &mut looked.get_mut(id)?.containers;
        let now = |one: &KnownContainer| {
            let end = ended.iter().find(|(container, _)| *container == one.listed.id).map(|(_, end)| *end);
            one.life.as_ref()?.current_state(&one.listed, end)
        };
        let seen: Vec<SeenContainer> = known.iter().map(now).collect::<Option<_>>()?;
        for (known, seen) in known.iter_mut().zip(&seen) {
            // it may be started again: then podman tells
            known.life.take_if(|_| seen.process.is_none());
        }
        Some(seen)
    }

    /// podman is asked for the pod itself only where its containers aren't known: that takes longer than to ask for each
    /// of them, and waits for whatever it does with the pod.
    pub(super) fn inspect_all(&self, id: &WorkloadId) -> Result<Option<PodInspection>, Failure> {
        self.inspect_with(id, |infra| Ok(!self.is_infra_running(infra)?))
    }

    /// The same of a pod that was just started: what holds its namespaces runs, or its containers would not.
    pub(super) fn inspect_started(&self, id: &WorkloadId) -> Result<Option<PodInspection>, Failure> {
        let Some(asked) = self.inspect_with(id, |_| Ok(false))? else { return Ok(None) };
        let known = lock(&self.ours).get(id).map(|own| own.id.clone()).unwrap_or_default();
        let place = asked.all.iter().find_map(|it| pod_cgroup_path(&it.answer.state.cgroup_path, &known));
        if !place.is_some_and(|place| self.remember_cgroup(id, place)) {
            self.inspect(id)?;
        }
        Ok(Some(asked))
    }

    fn inspect_with(
        &self,
        id: &WorkloadId,
        is_torn: impl FnOnce(&str) -> Result<bool, Failure>,
    ) -> Result<Option<PodInspection>, Failure> {
        let known = lock(&self.looked).remove(id).map(|known| {
            let listed = known.containers.into_iter().map(|one| one.listed).collect::<Vec<_>>();
            (known.infra, listed)
        });
        let found = match &known {
            Some((_, containers)) => self.inspect_containers(id, containers)?,
            None => Vec::new(),
        };
        let (infra, mut all) = match known {
            Some((infra, containers)) if found.len() == containers.len() => (infra, found),
            _ => {
                let Some(pod) = self.inspect(id)? else { return Ok(None) };
                let containers: Vec<_> = pod.containers().cloned().collect();
                (pod.infra_id, self.inspect_containers(id, &containers)?)
            }
        };
        let torn = is_torn(&infra)?;
        // podman lists them by id, and made them in the order of the specification
        all.sort_unstable_by_key(|one| parse_time(&one.answer.created));
        let known = all.iter().map(|one| KnownContainer {
            listed: one.listed.clone(),
            life: ContainerLife::from_inspection(one),
        });
        let known = KnownPod { infra, containers: known.collect() };
        lock(&self.looked).insert(id.clone(), known);
        Ok(Some(PodInspection { all, torn }))
    }

    /// How long the pod's containers may take to end, as podman was told when it made them. A pod that can't be looked at
    /// goes all the same.
    pub(super) fn own_grace(&self, id: &WorkloadId) -> Result<Duration, Failure> {
        let asked = match self.inspect_with(id, |_| Ok(false)) {
            Err(Failure::Workload(_)) => None,
            asked => asked?,
        };
        let graces = asked.iter().flat_map(|pod| &pod.all).filter_map(|it| it.answer.grace());
        Ok(graces.max().unwrap_or(Workload::DEFAULT_GRACE))
    }

    /// Whether what holds a pod's namespaces runs; podman can make pods without.
    fn is_infra_running(&self, infra: &str) -> Result<bool, Failure> {
        if infra.is_empty() {
            return Ok(true);
        }
        let answer = self.client.get(&format!("containers/{infra}/json"), &[], PODMAN_TIMEOUT)?;
        if answer.is_missing() {
            return Ok(false);
        }
        let infra: InspectedContainer = answer.json()?;
        Ok(infra.state.is_running())
    }

    /// Whether podman has seen the end of its last run, which its inspection doesn't tell.
    fn has_exited(&self, container: &str) -> Result<bool, Failure> {
        let filters = json!({ "id": [container] }).to_string();
        let query = [("all", "true"), ("filters", filters.as_str())];
        let listed: Vec<ListedContainer> =
            self.client.get("containers/json", &query, PODMAN_TIMEOUT)?.json()?;
        Ok(listed.iter().any(|it| it.exited))
    }

    /// Those that are there.
    fn inspect_containers(
        &self,
        id: &WorkloadId,
        containers: &[InspectedPodContainer],
    ) -> Result<Vec<ContainerInspection>, Failure> {
        let found = containers.iter().map(|listed| self.inspect_container(id, listed));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// One container; nothing if it is gone.
    fn inspect_container(
        &self,
        id: &WorkloadId,
        listed: &InspectedPodContainer,
    ) -> Result<Option<ContainerInspection>, Failure> {
        let mut may_have_ended = true;
        loop {
            let answer = self.client.get(&format!("containers/{}/json", listed.id), &[], PODMAN_TIMEOUT)?;
            if answer.is_missing() {
                return Ok(None);
            }
            let answer: InspectedContainer = answer.json()?;
            let now = &answer.state;
            let (state, process) = if now.may_be_cut_short() && !self.has_exited(&listed.id)? {
                (InspectedState::cut_short(), None)
            } else if !now.is_running() {
                (now.to_container_state(), None)
            } else {
                match ContainerProcesses::open(&listed.id, now.pid, now.conmon_pid) {
                    Ok(process) => (ContainerState::Running, Some(process)),
                    Err(_) if may_have_ended => {
                        // since podman looked, that is
                        may_have_ended = false;
                        continue;
                    }
                    // its conmon was killed, and so podman never learns that it has ended
                    Err(WatchError::Gone) if now.cgroup_path.is_empty() => {
                        (ContainerState::Stuck("its process is gone, and podman doesn't know".into()), None)
                    }
                    Err(_) => {
                        self.event_stream.listen(&now.started_at);
                        (ContainerState::Running, Some(ContainerProcesses::watched_elsewhere(&listed.id)))
                    }
                }
            };
            let began = parse_time(&now.started_at);
            let healthcheck = process.as_ref().and_then(|_| self.prober.healthcheck(&answer.image));
            let out_of_memory = self.out_of_memory(&listed.id, &answer, &state);
            let name = short_name(id, listed).into();
            let container = Container { name, state, out_of_memory, healthcheck };
            let (listed, seen) = (listed.clone(), SeenContainer { container, process, began });
            return Ok(Some(ContainerInspection { listed, seen, answer }));
        }
    }
}

/// Of a pod, by that of one of its containers.
fn pod_cgroup_path<'a>(container: &'a str, pod: &str) -> Option<&'a str> {
    let start = container.find(pod).filter(|_| !pod.is_empty())?;
    let end = container[start..].find('/')?;
    container.get(..start + end)
}

impl TaskRunner {
    /// podman can't tell where the control groups are the older ones, and the kernel not for long.
    fn out_of_memory(
        &self,
        container: &str,
        answer: &InspectedContainer,
        state: &ContainerState,
    ) -> Option<OutOfMemory> {
        let is_killed = matches!(state, ContainerState::Exited { code: KILLED_EXIT_CODE, .. });
        let is_out = is_killed && (answer.state.oom_killed || self.exits.was_oom_killed(container));
        is_out.then(|| OutOfMemory { limit: answer.memory_limit() })
    }
}
