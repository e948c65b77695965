//! How a pod is made and started, and how that is cut short.

use serde_json::{Value, json};

use super::{LIMIT, PLAY_LIMIT, SHORT_GRACE, Seen, Tasks, short_name};
use crate::{
    agent::model::{
        order::{CpuLimit, Failure},
        workload::{Workload, WorkloadId},
    },
    io::{
        lock,
        podman::{
            api::{Client, Error},
            cgroup,
        },
        unix::Hangup,
    },
    wire::podman::{
        answers::{ListedContainer, Played, plain},
        pod, secrets,
    },
};

/// podman drops the older half of a container's log beyond this. (Its journal has limits of its own.)
const LOG_LIMIT: &str = "max-size=10mb";

impl Tasks {
    /// A start was ordered: from now on it can be cut short.
    pub(in super::super) fn expect(&self, id: &WorkloadId) {
        lock(&self.starts).insert(id.clone(), Hangup::default());
    }

    /// Cuts the start of this pod short: podman gives up making it when nobody waits for its answer.
    pub(in super::super) fn cancel(&self, id: &WorkloadId) {
        if let Some(start) = lock(&self.starts).get(id) {
            start.hang_up();
        }
    }

    /// The start of this pod is over.
    pub(in super::super) fn over(&self, id: &WorkloadId) {
        lock(&self.starts).remove(id);
    }

    pub(super) fn start_pod(&self, workload: &Workload, cpu: CpuLimit) -> Result<Option<Vec<Seen>>, Failure> {
        let id = &workload.id;
        let hangup = lock(&self.starts).get(id).cloned().unwrap_or_default();
        if hangup.is_hung_up() {
            return Ok(None);
        }
        self.prober.forget(id);
        let _starting = self.volumes.starting(id);
        lock(&self.cgroups).remove(id); // of an earlier pod, if it went by itself
        let mut played = self.play(workload, cpu, &hangup);
        if matches!(&played, Err(Error::Refused(reason)) if reason.contains("already exists")) {
            // ours from a play that was cut off; or else this fails, and leaves it alone
            self.remove(id, SHORT_GRACE)?;
            played = self.play(workload, cpu, &hangup);
        }
        if played.is_err() && hangup.is_hung_up() {
            return self.remove(id, workload.grace).map(|()| None);
        }
        if let Err(error) = played {
            let slow =
                matches!(error, Error::Late(_)).then(|| self.running_init_container(workload)).flatten();
            // until then podman goes on, and neither lists nor removes the pod
            hangup.hang_up();
            let removed = self.remove(id, SHORT_GRACE);
            let limit = PLAY_LIMIT.as_secs();
            return Err(match (error, removed) {
                (Error::Refused(reason), _) => Failure::Workload(reason),
                // podman is well, so it must be the workload that takes so long
                (Error::Late(_), Ok(())) => Failure::Workload(match slow {
                    Some(name) => format!("init container '{name}' did not end within {limit} s"),
                    None => format!("it was not started within {limit} s"),
                }),
                (error, _) => error.into(),
            });
        }
        let Some(found) = self.ask(id)? else { return Ok(None) };
        found.iter().for_each(|one| self.limit_pids(id, one));
        Ok(Some(found.into_iter().map(|one| one.seen).collect()))
    }

    /// The one that the start of this pod waits for.
    fn running_init_container(&self, workload: &Workload) -> Option<String> {
        let id = &workload.id;
        let filters = json!({ "pod": [id.as_str()], "status": ["running"] }).to_string();
        // unlike the pod itself these can be seen while it is being started
        let answer = self.client.get("containers/json", &[("filters", &filters)], LIMIT).ok()?;
        let running: Vec<ListedContainer> = answer.json().ok()?;
        let mut names = running.iter().flat_map(|container| &container.names);
        let specification = workload.content.specification.value();
        let inits = specification["initContainers"].as_array()?;
        names.find_map(|name| {
            let name = name.strip_prefix(id.as_str())?.strip_prefix('-')?;
            let mut written = inits.iter().filter_map(|init| init["name"].as_str());
            written.find(|written| pod::container_name(written) == name).map(str::to_owned)
        })
    }

    /// Makes the pod and starts it: in two steps if its conditions may bound its CPU time, so that nothing of it runs
    /// before the bound is there.
    fn play(&self, workload: &Workload, cpu: CpuLimit, hangup: &Hangup) -> Result<(), Error> {
        let client = self.client.until(hangup.clone());
        let is_bounded = self.is_bounded(workload);
        let mut reasons = self.make(workload, !is_bounded, &client)?;
        if reasons.is_empty() && is_bounded {
            reasons = self.begin(&workload.id, cpu, &client)?;
        }
        if reasons.is_empty() { Ok(()) } else { Err(Error::Refused(self.explain(workload, reasons))) }
    }

    /// Makes the pod, and perhaps starts it. Says why that went wrong.
    pub(super) fn make(
        &self,
        workload: &Workload,
        starts: bool,
        client: &Client,
    ) -> Result<Vec<String>, Error> {
        self.volumes.make(workload).map_err(Error::Refused)?;
        let volumes = self.volumes.of(&workload.id);
        let body = pod::documents(workload, &self.owner, &self.device_id, &self.limits, &volumes);
        let query = [("logOptions", LOG_LIMIT), ("start", "false")];
        let query = &query[..if starts { 1 } else { 2 }];
        let answer = client.post("play/kube", query, &body, PLAY_LIMIT)?;
        // a container that didn't start is a success to podman
        answer.json().map(Played::errors).or_else(Error::reasons)
    }

    /// Whether it is to have a limit before it starts. In the older hierarchy none can be had if a container brings one of
    /// its own: that may not be higher than the pod's, and would keep the container from starting.
    fn is_bounded(&self, workload: &Workload) -> bool {
        let mut conditions = workload.profiles.iter().flat_map(|profile| &profile.conditions);
        let has_own = |container: Value| !container["resources"]["limits"]["cpu"].is_null();
        conditions.any(|condition| condition.cpu.is_some())
            && (cgroup::is_unified()
                || self.limits.cpu.is_none() && !workload.content.containers().any(has_own))
    }

    /// Starts a pod that was made. Says why that went wrong. systemd gives it a control group of the CPU only with its
    /// first container: that is the one which holds its namespaces.
    fn begin(&self, id: &WorkloadId, cpu: CpuLimit, client: &Client) -> Result<Vec<String>, Error> {
        if let Ok(Some(pod)) = self.inspect(id)
            && !pod.infra_id.is_empty()
        {
            // what keeps it from starting is told by the start of the whole
            let _ = client.post(&format!("containers/{}/start", pod.infra_id), &[], "", LIMIT)?;
        }
        if self.inspect(id).is_ok()
            && let Some((cgroup, kept)) = lock(&self.cgroups).get_mut(id)
        {
            match cgroup.limit(cpu, &Vec::new) {
                Ok(()) => *kept = cpu,
                // it is tried again when it runs, and told
                Err(error) => log::debug!("failed to bound pod '{id}' before its start: {error}"),
            }
        }
        client.post(&format!("pods/{id}/start"), &[], "", PLAY_LIMIT)?.reasons()
    }

    /// Says it in names that the workload's author gave.
    pub(super) fn explain(&self, workload: &Workload, reasons: Vec<String>) -> String {
        let id = &workload.id;
        let mut reason = plain(&reasons).replace(&pod::own_prefix(id), "");
        if let Ok(Some(pod)) = self.inspect(id) {
            for container in pod.containers() {
                reason = reason.replace(&container.id, &format!("'{}'", short_name(id, container)));
            }
            if !pod.infra_id.is_empty() {
                reason = reason.replace(&format!("container {}", pod.infra_id), "the pod");
            }
        }
        secrets::redacted(&workload.content, reason)
    }
}
