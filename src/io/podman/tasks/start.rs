//! How a pod is made and started, and how that is cut short.

use std::time::Duration;

use super::{
    PODMAN_TIMEOUT, SHORT_GRACE, START_TIMEOUT, TaskRunner, found_pod::FoundPod, making::PodBuilder,
};
use crate::{
    agent::model::{
        order::{CpuLimit, Failure, Grace},
        workload::{Workload, WorkloadId},
    },
    io::{
        lock,
        podman::{api::Error, cgroup},
        since_boot,
        unix::CancelHandle,
    },
    wire::podman::{
        libpod::{ContainerRole, PlannedContainer, PodMaker, PodPlan},
        names::podman_safe_name,
    },
};

/// For all init containers together.
const INIT_TIMEOUT: Duration = Duration::from_secs(120);

/// As many are kept of a container whose pod could not be started.
const LAST_LINES: &str = "200";

/// Containers that did not come up, and why.
type FailedStarts = Vec<(String, String)>;

fn check_not_cut_short(hangup: &CancelHandle) -> Result<(), Error> {
    match hangup.is_cancelled() {
        true => Err(Error::Broken("it was cut short".to_owned())),
        false => Ok(()),
    }
}

impl TaskRunner {
    /// A start was ordered, of a pod or of a container in it: from now on it can be cut short.
    pub(in super::super) fn register_start(&self, id: &WorkloadId) {
        lock(&self.starts).insert(id.clone(), CancelHandle::default());
    }

    /// Cuts the start of this pod short: a wait for an init container at once, what podman does by itself when it is done.
    pub(in super::super) fn cancel(&self, id: &WorkloadId) {
        if let Some(start) = lock(&self.starts).get(id) {
            start.cancel();
        }
    }

    /// What cuts the start short that is under way.
    pub(super) fn hangup(&self, id: &WorkloadId) -> CancelHandle {
        lock(&self.starts).get(id).cloned().unwrap_or_default()
    }

    /// The start of this pod is over.
    pub(in super::super) fn unregister_start(&self, id: &WorkloadId) {
        lock(&self.starts).remove(id);
    }

    pub(super) fn start_pod(&self, workload: &Workload, cpu: CpuLimit) -> Result<Option<FoundPod>, Failure> {
        let id = &workload.id;
        let hangup = self.hangup(id);
        if hangup.is_cancelled() {
            return Ok(None);
        }
        self.prober.forget_address(id);
        let _starting = self.volumes.guard_starting(id);
        lock(&self.cgroups).remove(id); // of an earlier pod, if it went by itself
        let begun = self.make_and_start(workload, cpu, &hangup);
        if begun.is_err() && hangup.is_cancelled() {
            return self.stop_and_remove(id, Grace::Given(workload.grace)).map(|()| None);
        }
        let failed_starts = match begun {
            Ok(failed) => failed,
            Err(error) => {
                let removed = self.remove(id, SHORT_GRACE);
                let limit = START_TIMEOUT.as_secs();
                return Err(match (error, removed) {
                    // podman is well, so it must be the workload that takes so long
                    (Error::Late(what), Ok(())) => {
                        Failure::Workload(format!("{what} was not started within {limit} s"))
                    }
                    (Error::Refused(why), _) => {
                        Failure::Workload(self.port_holder(workload, &why).unwrap_or(why))
                    }
                    (error, _) => error.into(),
                });
            }
        };
        // podman 5 sets a pod's own limit anew at each start of a container
        self.reapply_limits();
        self.outputs.remove_output(id.as_str());
        Ok(self.inspect_started(id)?.map(|asked| FoundPod { failed_starts, ..asked.into() }))
    }

    /// Makes the pod and starts its containers in their order. Says which did not come up, and why.
    fn make_and_start(
        &self,
        workload: &Workload,
        cpu: CpuLimit,
        hangup: &CancelHandle,
    ) -> Result<FailedStarts, Error> {
        let trees_dir = self.trees_dir(&workload.id);
        let mut making = PodBuilder::new(self, workload, self.agent_identity(trees_dir.as_deref()))?;
        let begun = self.run_start_steps(&mut making, workload, cpu, hangup);
        let failed = begun.map_err(|error| making.explain(error))?;
        if let Some((own, known)) = making.known_pod() {
            lock(&self.ours).insert(workload.id.clone(), own);
            lock(&self.looked).insert(workload.id.clone(), known);
        }
        Ok(failed)
    }

    fn run_start_steps(
        &self,
        making: &mut PodBuilder,
        workload: &Workload,
        cpu: CpuLimit,
        hangup: &CancelHandle,
    ) -> Result<FailedStarts, Error> {
        self.make_pod(making, workload, cpu)?;
        let steps = making.plan.planned_containers().to_vec();
        // all of them before the first one runs: what an agent leaves that dies here can be told from a whole pod
        making.start_infra(|making| {
            steps.iter().try_for_each(|step| {
                check_not_cut_short(hangup)?;
                making.create_container(step)
            })
        })?;
        let failed = self.start_all(making, workload, hangup)?;
        // they ended, and would pass for containers that don't run
        for step in steps.iter().filter(|step| step.role == ContainerRole::Init) {
            let path = format!("containers/{}", PodPlan::container_name(&workload.id, step));
            self.client
                .delete(&path, &[("force", "true"), ("timeout", "0")], PODMAN_TIMEOUT)?
                .check_success()?;
        }
        Ok(failed)
    }

    /// One after the other, each with its hook. One that can't be started keeps no other from it, if there is one.
    fn start_all(
        &self,
        making: &PodBuilder,
        workload: &Workload,
        hangup: &CancelHandle,
    ) -> Result<FailedStarts, Error> {
        let id = &workload.id;
        let end = since_boot() + INIT_TIMEOUT;
        let (mut failed, mut is_up) = (FailedStarts::new(), false);
        for step in making.plan.planned_containers() {
            check_not_cut_short(hangup)?;
            let is_main = step.role == ContainerRole::Main;
            let name = podman_safe_name(&step.name);
            let mut runs = false;
            let start = || making.start(step).map(|()| runs = true);
            let hooks = making.plan.hooks().filter(|_| step.role != ContainerRole::Init);
            let started = match self.start_with_hook(id, hooks, &name, hangup, start) {
                Err(Error::Refused(why)) if !runs && is_main && workload.is_service() => {
                    failed.push((name.into_owned(), making.with_author_names(why)));
                    continue;
                }
                started => started?,
            };
            is_up |= is_main;
            if step.role == ContainerRole::Init {
                let ended = self.wait_for_init(id, step, end.saturating_sub(since_boot()), hangup);
                ended.inspect_err(|_| self.keep_output(id, step))?;
            } else if let Some(why) = started {
                if !is_main {
                    self.keep_output(id, step);
                    return Err(Error::Refused(why)); // the others need it
                }
                failed.push((name.into_owned(), making.with_author_names(why)));
            }
        }
        check_not_cut_short(hangup)?; // a wait for a hook ends with that
        match failed.pop() {
            Some((_, why)) if !is_up => Err(Error::Refused(why)),
            last => {
                failed.extend(last);
                Ok(failed)
            }
        }
    }

    /// The pod without containers, with its CPU time bounded if that can be had.
    fn make_pod(&self, making: &mut PodBuilder, workload: &Workload, cpu: CpuLimit) -> Result<(), Error> {
        let bound = cpu.filter(|_| self.can_limit_cpu(&making.plan));
        let mut made = making.create_pod(bound);
        if matches!(&made, Err(Error::Refused(reason)) if reason.contains("already exists")) {
            // ours from a start that was cut off; or else this fails, and leaves it alone
            self.remove(&workload.id, SHORT_GRACE)?;
            *making = making.fresh_builder()?;
            made = making.create_pod(bound);
        }
        if matches!(&made, Err(Error::Refused(_))) && bound.is_some() {
            // a user's podman may have no control groups: the agent tries again, and says so
            self.remove(&workload.id, SHORT_GRACE)?;
            *making = making.fresh_builder()?;
            made = making.create_pod(None);
        }
        made?;
        making.create_volumes()?;
        making.write_files()
    }

    /// In the older hierarchy no limit can be had if a container brings one of its own: that may not be higher than the
    /// pod's, and would keep the container from starting.
    fn can_limit_cpu(&self, plan: &PodPlan) -> bool {
        cgroup::is_unified() || self.limits.cpu.is_none() && !plan.has_cpu_limit()
    }

    /// Until the init container has ended well.
    fn wait_for_init(
        &self,
        pod: &WorkloadId,
        step: &PlannedContainer,
        limit: Duration,
        hangup: &CancelHandle,
    ) -> Result<(), Error> {
        let name = &step.name;
        let path = format!("containers/{}/wait", PodPlan::container_name(pod, step));
        let client = self.client.with_hangup(hangup.clone());
        // (also when it had ended before)
        let query = [("condition", "exited"), ("condition", "stopped")];
        match client.post(&path, &query, "", limit.max(Duration::from_secs(1))) {
            Ok(answer) => match answer.text()?.as_str() {
                "0" => Ok(()),
                code => Err(Error::Refused(format!("init container '{name}' exited with code {code}"))),
            },
            Err(Error::Late(_)) => {
                let limit = INIT_TIMEOUT.as_secs();
                Err(Error::Refused(format!("init container '{name}' did not end within {limit} s")))
            }
            Err(error) => Err(error),
        }
    }

    /// The container's pod is about to go.
    fn keep_output(&self, pod: &WorkloadId, step: &PlannedContainer) {
        let path = format!("containers/{}/logs", PodPlan::container_name(pod, step));
        let query = [("stdout", "true"), ("stderr", "true"), ("tail", LAST_LINES)];
        if let Ok(answer) = self.client.get(&path, &query, PODMAN_TIMEOUT)
            && let Ok(printed) = answer.bytes()
        {
            self.outputs.save_output(pod.as_str(), &step.name, printed);
        }
    }

    /// Where the trees of the pod are, if they are the agent's.
    pub(super) fn trees_dir(&self, id: &WorkloadId) -> Option<String> {
        self.volumes.are_visible_to_podman().then(|| self.volumes.pod_dir(id).display().to_string())
    }

    /// Who makes the pod whose trees are there.
    pub(super) fn agent_identity<'a>(&'a self, trees_dir: Option<&'a str>) -> PodMaker<'a> {
        let Self { owner, device_id, limits, .. } = self;
        PodMaker { owner, device_id, limits, trees_dir }
    }
}
