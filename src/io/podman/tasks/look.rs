//! What became of a pod's containers: told by their processes where that will do, and by podman where it has to be.

use super::{
    LIMIT, Tasks,
    seen::{Found, Inspected, InspectedPod, Known, KnownContainer, Life, Seen, short_name},
};
use crate::{
    agent::model::{
        order::{Container, ContainerState, Failure, OutOfMemory},
        workload::WorkloadId,
    },
    io::{
        exits::{Process, Unwatchable},
        lock,
    },
    wire::podman::answers::{InspectedContainer, InspectedPodContainer, parse_time},
};

/// The exit code of what SIGKILL ends.
const KILLED: i32 = 137;

impl Tasks {
    /// All of the pod's containers, in the order of its specification; nothing if there is no such pod.
    pub(super) fn look(&self, id: &WorkloadId) -> Result<Option<Found>, Failure> {
        if let Some(seen) = self.after_exit(id) {
            return Ok(Some(Found { seen, made: None, torn: false, failed: Vec::new() }));
        }
        Ok(self.ask(id)?.map(Found::from))
    }

    /// If one of them has failed, and how it is with each is plain without podman. That may be slow to answer: it goes on
    /// with its clean-up, and those of its processes that find its database taken try again after 50 ms.
    fn after_exit(&self, id: &WorkloadId) -> Option<Vec<Seen>> {
        let ended = self.exits.ended(id);
        if ended.is_empty() || !ended.iter().all(|(_, exit)| exit.is_own_failure()) {
            return None;
        }
        let mut looked = lock(&self.looked);
        let known = &mut looked.get_mut(id)?.containers;
        let now = |one: &KnownContainer| {
            let end = ended.iter().find(|(container, _)| *container == one.listed.id).map(|(_, end)| *end);
            one.life.as_ref()?.now(&one.listed, end)
        };
        let seen: Vec<Seen> = known.iter().map(now).collect::<Option<_>>()?;
        for (known, seen) in known.iter_mut().zip(&seen) {
            // it may be started again: then podman tells
            known.life.take_if(|_| seen.process.is_none());
        }
        Some(seen)
    }

    /// podman is asked for the pod itself only where its containers aren't known: that takes longer than to ask for each
    /// of them, and waits for whatever it does with the pod.
    pub(super) fn ask(&self, id: &WorkloadId) -> Result<Option<InspectedPod>, Failure> {
        let known = lock(&self.looked).remove(id).map(|known| {
            let listed = known.containers.into_iter().map(|one| one.listed).collect::<Vec<_>>();
            (known.infra, listed)
        });
        let found = match &known {
            Some((_, containers)) => self.ask_for_all(id, containers)?,
            None => Vec::new(),
        };
        let (infra, mut all) = match known {
            Some((infra, containers)) if found.len() == containers.len() => (infra, found),
            _ => {
                let Some(pod) = self.inspect(id)? else { return Ok(None) };
                let containers: Vec<_> = pod.containers().cloned().collect();
                (pod.infra_id, self.ask_for_all(id, &containers)?)
            }
        };
        let torn = !self.holds(&infra)?;
        // podman lists them by id, and made them in the order of the specification
        all.sort_unstable_by_key(|one| parse_time(&one.answer.created));
        let known = all.iter().map(|one| KnownContainer { listed: one.listed.clone(), life: Life::of(one) });
        let known = Known { infra, containers: known.collect() };
        lock(&self.looked).insert(id.clone(), known);
        Ok(Some(InspectedPod { all, torn }))
    }

    /// Whether what holds a pod's namespaces runs; podman can make pods without.
    fn holds(&self, infra: &str) -> Result<bool, Failure> {
        if infra.is_empty() {
            return Ok(true);
        }
        let answer = self.client.get(&format!("containers/{infra}/json"), &[], LIMIT)?;
        if answer.is_missing() {
            return Ok(false);
        }
        let infra: InspectedContainer = answer.json()?;
        Ok(infra.state.runs())
    }

    /// Those that are there.
    fn ask_for_all(
        &self,
        id: &WorkloadId,
        containers: &[InspectedPodContainer],
    ) -> Result<Vec<Inspected>, Failure> {
        let found = containers.iter().map(|listed| self.ask_for(id, listed));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// One container; nothing if it is gone.
    fn ask_for(&self, id: &WorkloadId, listed: &InspectedPodContainer) -> Result<Option<Inspected>, Failure> {
        let mut may_have_ended = true;
        loop {
            let answer = self.client.get(&format!("containers/{}/json", listed.id), &[], LIMIT)?;
            if answer.is_missing() {
                return Ok(None);
            }
            let answer: InspectedContainer = answer.json()?;
            let now = &answer.state;
            let (state, process) = if !now.runs() {
                (now.meaning(), None)
            } else {
                match Process::open(&listed.id, now.pid, now.conmon_pid) {
                    Ok(process) => (ContainerState::Running, Some(process)),
                    Err(_) if may_have_ended => {
                        // since podman looked, that is
                        may_have_ended = false;
                        continue;
                    }
                    // its conmon was killed, and so podman never learns that it has ended
                    Err(Unwatchable::Gone) if now.cgroup_path.is_empty() => {
                        (ContainerState::Stuck("its process is gone, and podman doesn't know".into()), None)
                    }
                    Err(_) => {
                        self.deaths.listen(&now.started_at);
                        (ContainerState::Running, Some(Process::elsewhere(&listed.id)))
                    }
                }
            };
            let began = parse_time(&now.started_at);
            let healthcheck = process.as_ref().and_then(|_| self.prober.healthcheck(&answer.image));
            let out_of_memory = self.out_of_memory(&listed.id, &answer, &state);
            let name = short_name(id, listed).into();
            let container = Container { name, state, out_of_memory, healthcheck };
            let (listed, seen) = (listed.clone(), Seen { container, process, began });
            return Ok(Some(Inspected { listed, seen, answer }));
        }
    }
}

impl Tasks {
    /// podman can't tell where the control groups are the older ones, and the kernel not for long.
    fn out_of_memory(
        &self,
        container: &str,
        answer: &InspectedContainer,
        state: &ContainerState,
    ) -> Option<OutOfMemory> {
        let is_killed = matches!(state, ContainerState::Exited { code: KILLED, .. });
        let is_out = is_killed && (answer.state.oom_killed || self.exits.ran_out(container));
        is_out.then(|| OutOfMemory { limit: answer.memory_limit() })
    }
}
