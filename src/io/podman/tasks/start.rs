//! How a pod is made and started, and how that is cut short.

use std::time::Duration;

use super::{LIMIT, SHORT_GRACE, START_LIMIT, Tasks, making::Making, seen::Found};
use crate::{
    agent::model::{
        order::{CpuLimit, Failure},
        workload::{Workload, WorkloadId},
    },
    io::{
        lock,
        podman::{api::Error, cgroup},
        since_boot,
        unix::Hangup,
    },
    wire::podman::{
        libpod::{Agent, Plan, Role, Step},
        pod::container_name,
    },
};

/// For all init containers together.
const INIT_LIMIT: Duration = Duration::from_secs(120);

/// Containers that did not come up, and why.
type Failed = Vec<(String, String)>;

fn goes_on(hangup: &Hangup) -> Result<(), Error> {
    match hangup.is_hung_up() {
        true => Err(Error::Broken("it was cut short".to_owned())),
        false => Ok(()),
    }
}

impl Tasks {
    /// A start was ordered: from now on it can be cut short.
    pub(in super::super) fn expect(&self, id: &WorkloadId) {
        lock(&self.starts).insert(id.clone(), Hangup::default());
    }

    /// Cuts the start of this pod short: a wait for an init container at once, what podman does by itself when it is done.
    pub(in super::super) fn cancel(&self, id: &WorkloadId) {
        if let Some(start) = lock(&self.starts).get(id) {
            start.hang_up();
        }
    }

    /// The start of this pod is over.
    pub(in super::super) fn over(&self, id: &WorkloadId) {
        lock(&self.starts).remove(id);
    }

    pub(super) fn start_pod(&self, workload: &Workload, cpu: CpuLimit) -> Result<Option<Found>, Failure> {
        let id = &workload.id;
        let hangup = lock(&self.starts).get(id).cloned().unwrap_or_default();
        if hangup.is_hung_up() {
            return Ok(None);
        }
        self.prober.forget(id);
        let _starting = self.volumes.starting(id);
        lock(&self.cgroups).remove(id); // of an earlier pod, if it went by itself
        let begun = self.begin(workload, cpu, &hangup);
        if begun.is_err() && hangup.is_hung_up() {
            return self.dismiss(id, workload.grace).map(|()| None);
        }
        let failed = match begun {
            Ok(failed) => failed,
            Err(error) => {
                let removed = self.remove(id, SHORT_GRACE);
                let limit = START_LIMIT.as_secs();
                return Err(match (error, removed) {
                    // podman is well, so it must be the workload that takes so long
                    (Error::Late(what), Ok(())) => {
                        Failure::Workload(format!("{what} was not started within {limit} s"))
                    }
                    (error, _) => error.into(),
                });
            }
        };
        // podman 5 sets a pod's own limit anew at each start of a container
        self.keep_limits();
        Ok(self.ask(id)?.map(|asked| Found { failed, ..asked.into() }))
    }

    /// Makes the pod and starts its containers in their order. Says which did not come up, and why.
    fn begin(&self, workload: &Workload, cpu: CpuLimit, hangup: &Hangup) -> Result<Failed, Error> {
        let trees = self.trees(&workload.id);
        let mut making = Making::new(self, workload, self.agent(trees.as_deref()))?;
        let begun = self.run(&mut making, workload, cpu, hangup);
        begun.map_err(|error| making.explain(error))
    }

    fn run(
        &self,
        making: &mut Making,
        workload: &Workload,
        cpu: CpuLimit,
        hangup: &Hangup,
    ) -> Result<Failed, Error> {
        self.make_pod(making, workload, cpu)?;
        making.namespaces()?;
        let steps = making.plan.steps().to_vec();
        // all of them before the first one runs: what an agent leaves that dies here can be told from a whole pod
        for step in &steps {
            goes_on(hangup)?;
            making.container(step)?;
        }
        let failed = self.start_all(making, workload, hangup)?;
        // they ended, and would pass for containers that don't run
        for step in steps.iter().filter(|step| step.role == Role::Init) {
            let path = format!("containers/{}", Plan::container_name(&workload.id, step));
            self.client.delete(&path, &[("force", "true"), ("timeout", "0")], LIMIT)?.done()?;
        }
        Ok(failed)
    }

    /// One after the other, each with its hook. One that can't be started keeps no other from it, if there is one.
    fn start_all(&self, making: &Making, workload: &Workload, hangup: &Hangup) -> Result<Failed, Error> {
        let id = &workload.id;
        let end = since_boot() + INIT_LIMIT;
        let (mut failed, mut is_up) = (Failed::new(), false);
        for step in making.plan.steps() {
            goes_on(hangup)?;
            let is_main = step.role == Role::Main;
            let name = container_name(&step.name);
            match making.start(step) {
                Err(Error::Refused(why)) if is_main && workload.is_service() => {
                    failed.push((name.into_owned(), making.named(why)));
                    continue;
                }
                started => started?,
            }
            is_up |= is_main;
            if step.role == Role::Init {
                self.wait(id, step, end.saturating_sub(since_boot()), hangup)?;
            } else if let Some(why) = self.post_start(id, making.plan.hooks(), &name, hangup)? {
                if !is_main {
                    return Err(Error::Refused(why)); // the others need it
                }
                failed.push((name.into_owned(), making.named(why)));
            }
        }
        goes_on(hangup)?; // a wait for a hook ends with that
        match failed.pop() {
            Some((_, why)) if !is_up => Err(Error::Refused(why)),
            last => {
                failed.extend(last);
                Ok(failed)
            }
        }
    }

    /// The pod without containers, with its CPU time bounded if that can be had.
    fn make_pod(&self, making: &mut Making, workload: &Workload, cpu: CpuLimit) -> Result<(), Error> {
        let bound = cpu.filter(|_| self.can_be_bound(&making.plan));
        let mut made = making.pod(bound);
        if matches!(&made, Err(Error::Refused(reason)) if reason.contains("already exists")) {
            // ours from a start that was cut off; or else this fails, and leaves it alone
            self.remove(&workload.id, SHORT_GRACE)?;
            *making = making.anew()?;
            made = making.pod(bound);
        }
        if matches!(&made, Err(Error::Refused(_))) && bound.is_some() {
            // a user's podman may have no control groups: the agent tries again, and says so
            self.remove(&workload.id, SHORT_GRACE)?;
            *making = making.anew()?;
            made = making.pod(None);
        }
        made?;
        making.volumes()?;
        making.files()
    }

    /// In the older hierarchy no limit can be had if a container brings one of its own: that may not be higher than the
    /// pod's, and would keep the container from starting.
    fn can_be_bound(&self, plan: &Plan) -> bool {
        cgroup::is_unified() || self.limits.cpu.is_none() && !plan.limits_cpu()
    }

    /// Until the init container has ended well.
    fn wait(&self, pod: &WorkloadId, step: &Step, limit: Duration, hangup: &Hangup) -> Result<(), Error> {
        let name = &step.name;
        let path = format!("containers/{}/wait", Plan::container_name(pod, step));
        let client = self.client.until(hangup.clone());
        // (also when it had ended before)
        let query = [("condition", "exited"), ("condition", "stopped")];
        match client.post(&path, &query, "", limit.max(Duration::from_secs(1))) {
            Ok(answer) => match answer.text()?.as_str() {
                "0" => Ok(()),
                code => Err(Error::Refused(format!("init container '{name}' exited with code {code}"))),
            },
            Err(Error::Late(_)) => {
                let limit = INIT_LIMIT.as_secs();
                Err(Error::Refused(format!("init container '{name}' did not end within {limit} s")))
            }
            Err(error) => Err(error),
        }
    }

    /// Where the trees of the pod are, if they are the agent's.
    pub(super) fn trees(&self, id: &WorkloadId) -> Option<String> {
        self.volumes.are_seen().then(|| self.volumes.of(id).display().to_string())
    }

    /// Who makes the pod whose trees are there.
    pub(super) fn agent<'a>(&'a self, trees: Option<&'a str>) -> Agent<'a> {
        let Self { owner, device_id, limits, .. } = self;
        Agent { owner, device_id, limits, trees }
    }
}
