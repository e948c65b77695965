//! How one container of a pod is ended, or started again, and nothing else of it.

use std::time::{Duration, SystemTime};

use super::{
    START_TIMEOUT, TaskRunner,
    found_pod::{ContainerInspection, FoundPod, PodInspection, short_name},
};
use crate::{
    agent::model::{
        order::{ContainerState, Fact, Failure},
        workload::WorkloadId,
    },
    io::{
        lock,
        podman::{
            api::Error,
            cgroup::{self, Cgroup},
        },
    },
    wire::podman::answers::{parse_time, plain_reason},
};

/// The same end, told by its process and told by podman.
const EXIT_TIME_TOLERANCE: Duration = Duration::from_secs(2);

impl TaskRunner {
    /// Ends a container; it stays where it is.
    pub(super) fn end_container(
        &self,
        id: &WorkloadId,
        container: &str,
        grace: Duration,
    ) -> Result<Fact, Failure> {
        let hooks = self.hooks(id).unwrap_or_default();
        let known = lock(&self.looked).get(id).filter(|_| hooks.is_empty()).and_then(|pod| {
            let it = pod.containers.iter().find(|it| short_name(id, &it.listed) == container)?;
            Some(it.listed.id.clone())
        });
        let known = match known {
            None => self.inspect_all(id)?.and_then(|asked| {
                let it = find_container(&asked, container)?;
                (it.seen.container.state == ContainerState::Running).then(|| it.listed.id.clone())
            }),
            known => known,
        };
        let Some(known) = known else { return Ok(Fact::Ended) };
        self.stop_container(id, &hooks, container, &known, grace)?;
        Ok(Fact::Ended)
    }

    /// Starts a container again that ended then. One that runs, or ended at another time, is left as it is; and so is all
    /// of a pod that has lost its namespaces: podman would give it others.
    pub(super) fn restart(
        &self,
        id: &WorkloadId,
        container: &str,
        ended: SystemTime,
    ) -> Result<Option<FoundPod>, Failure> {
        let Some(asked) = self.inspect_all(id)? else { return Ok(None) };
        let Some(it) = find_container(&asked, container).filter(|it| !asked.torn && ended_then(it, ended))
        else {
            return Ok(Some(asked.into()));
        };
        let podmans = it.listed.id.clone();
        let bounded = self.lift_cpu_limit(id, &asked);
        let start = || {
            let started = self.client.post(&format!("containers/{podmans}/start"), &[], "", START_TIMEOUT);
            if let Some((cgroup, cpu)) = bounded
                && let Err(error) = cgroup.set_cpu_limit(Some(cpu), &|| own_limits(&asked))
            {
                log::debug!("pod '{id}' has lost its CPU limit: {error}");
            }
            // podman 5 sets a pod's own limit anew at each start of a container
            self.reapply_limits();
            started?.check_success()
        };
        let (hooks, hangup) = (self.hooks(id), self.hangup(id));
        let failed = self.start_with_hook(id, hooks.as_deref(), container, &hangup, start);
        let failed = failed.map_err(|error| match error {
            Error::Refused(why) => {
                let why = plain_reason(&[why]).replace(&podmans, &format!("'{container}'"));
                Failure::Workload(format!("container '{container}' was not started again: {why}"))
            }
            Error::Late(_) => {
                let limit = START_TIMEOUT.as_secs();
                Failure::Workload(format!("container '{container}' was not started again within {limit} s"))
            }
            error => error.into(),
        })?;
        let failed_starts = failed.map(|why| (container.to_owned(), why)).into_iter().collect();
        Ok(self.inspect_all(id)?.map(|asked| FoundPod { failed_starts, ..asked.into() }))
    }

    /// In the older hierarchy no container can be started whose own limit is higher than the pod's: for that moment the pod
    /// has none.
    fn lift_cpu_limit(&self, id: &WorkloadId, asked: &PodInspection) -> Option<(Cgroup, u64)> {
        if cgroup::is_unified() {
            return None;
        }
        let (cgroup, cpu) = lock(&self.cgroups).get(id).cloned()?;
        let cpu =
            cpu.filter(|cpu| own_limits(asked).iter().any(|(_, own)| own.is_some_and(|own| own > *cpu)))?;
        cgroup.set_cpu_limit(None, &|| own_limits(asked)).ok()?;
        Some((cgroup, cpu))
    }
}

fn find_container<'a>(asked: &'a PodInspection, container: &str) -> Option<&'a ContainerInspection> {
    asked.all.iter().find(|it| it.seen.container.name == container)
}

/// What each was given, by podman's ids.
fn own_limits(asked: &PodInspection) -> Vec<(String, Option<u64>)> {
    asked.all.iter().map(|it| (it.answer.id.clone(), it.answer.cpu_limit())).collect()
}

/// Whether it is the one that ended then. A start that failed may have left it as if it had never run.
fn ended_then(it: &ContainerInspection, ended: SystemTime) -> bool {
    match it.seen.container.state {
        ContainerState::Running => false,
        ContainerState::Exited { at, .. } => {
            let apart = at.duration_since(ended).or_else(|_| ended.duration_since(at)).unwrap_or_default();
            apart <= EXIT_TIME_TOLERANCE
        }
        ContainerState::Stuck(_) => {
            let is_new = matches!(it.answer.state.status.as_str(), "created" | "configured" | "initialized");
            is_new && parse_time(&it.answer.created).is_some_and(|created| created <= ended)
        }
    }
}
