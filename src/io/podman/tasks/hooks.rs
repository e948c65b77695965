//! What containers ask for right after their start, and before they are asked to end.

use std::{thread, time::Duration};

use super::{
    PODMAN_TIMEOUT, TaskRunner,
    found_pod::{ContainerInspection, PodInspection},
};
use crate::{
    agent::{
        Event,
        model::{
            notice::{Notice, Reason},
            order::{ContainerState, Failure},
            workload::WorkloadId,
        },
    },
    io::{
        lock,
        podman::{STACK, api::Error},
        since_boot,
        unix::CancelHandle,
    },
    wire::podman::{
        answers::plain_reason,
        hooks::{self, Hook, HookPoint},
    },
};

/// For a hook after a start.
const POST_START_TIMEOUT: Duration = Duration::from_secs(120);
/// What is left to a container after its hook, at least: as much as Kubernetes leaves.
const MIN_GRACE: Duration = Duration::from_secs(2);

impl TaskRunner {
    /// What this pod's containers ask for, as far as it was seen.
    pub(super) fn hooks(&self, id: &WorkloadId) -> Option<Box<str>> {
        lock(&self.ours).get(id)?.hooks.clone()
    }

    /// Starts a container and waits for its hook, if it has one. Says what is wrong with that, if anything is.
    pub(super) fn start_with_hook(
        &self,
        id: &WorkloadId,
        hooks: Option<&str>,
        container: &str,
        hangup: &CancelHandle,
        start: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Option<String>, Error> {
        let Some(hook) = hooks.and_then(|hooks| hooks::read(hooks, container, HookPoint::PostStart)) else {
            return start().map(|()| None);
        };
        if let Err(error) = self.volumes.mark_hook(id, container) {
            log::warn!("failed to note that a hook of '{container}' of pod '{id}' begins: {error}");
        }
        let done = start().and_then(|()| self.post_start(id, container, &hook, hangup));
        self.volumes.unmark_hook(id, container);
        done
    }

    /// Containers of a pod that run, and whose hook an agent began that died meanwhile.
    pub(super) fn interrupted_hooks(&self, id: &WorkloadId, asked: &PodInspection) -> Vec<(String, String)> {
        if lock(&self.starts).contains_key(id) {
            return Vec::new(); // it goes on
        }
        let runs = |it: &&ContainerInspection| it.seen.container.state == ContainerState::Running;
        let names = asked.all.iter().filter(runs).map(|it| &it.seen.container.name);
        let why = |name: &String| {
            let why = format!("container '{name}': its postStart hook was cut off when the agent ended");
            (name.clone(), why)
        };
        names.filter(|name| self.volumes.is_hook_marked(id, name)).map(why).collect()
    }

    fn post_start(
        &self,
        id: &WorkloadId,
        container: &str,
        hook: &Hook,
        hangup: &CancelHandle,
    ) -> Result<Option<String>, Error> {
        let failure = match self.prober.run_hook(id, container, hook, POST_START_TIMEOUT, hangup) {
            Err(Error::Refused(why)) => Some(plain_reason(&[why])),
            Err(Error::Late(why)) => Some(why),
            other => other?,
        };
        Ok(failure.map(|why| format!("container '{container}': its postStart hook failed: {why}")))
    }

    /// Runs the preStop hooks of a pod that has some, and stops its containers, each in its own time. Says how long what
    /// is left of the pod may take.
    pub(super) fn stop_with_hooks(&self, id: &WorkloadId, grace: Duration) -> Result<Duration, Failure> {
        if !lock(&self.ours).contains_key(id) && self.inspect(id)?.is_none() {
            return Ok(grace);
        }
        let Some(hooks) = self.hooks(id).filter(|hooks| hooks.contains(HookPoint::PreStop.field_name()))
        else {
            return Ok(grace);
        };
        self.exits.forget(id);
        let Some(asked) = self.inspect_all(id)? else { return Ok(grace) };
        self.while_stopping(grace, || {
            let runs = |it: &&ContainerInspection| it.seen.container.state == ContainerState::Running;
            thread::scope(|scope| {
                for it in asked.all.iter().filter(runs) {
                    let (container, podmans) = (&it.seen.container.name, &it.listed.id);
                    let stop = || self.stop_container(id, &hooks, container, podmans, grace);
                    let stop = move || drop(stop()); // the removal of the pod tells what is wrong
                    // without a thread it goes with the pod
                    let _ = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, stop);
                }
            });
        });
        Ok(MIN_GRACE.min(grace))
    }

    /// Runs the hook of a container that runs, if it has one, and then asks it to end.
    pub(super) fn stop_container(
        &self,
        id: &WorkloadId,
        hooks: &str,
        container: &str,
        podmans: &str,
        grace: Duration,
    ) -> Result<(), Error> {
        let mut left = grace;
        if let Some(hook) = hooks::read(hooks, container, HookPoint::PreStop) {
            let begun = since_boot();
            let failure = match self.prober.run_hook(id, container, &hook, grace, &CancelHandle::default()) {
                Err(Error::Refused(why) | Error::Broken(why) | Error::Late(why)) => {
                    Some(plain_reason(&[why]))
                }
                Ok(failure) => failure,
            };
            if let Some(why) = failure {
                let message = format!(
                    "pod '{id}', container '{container}': its preStop hook failed, and it is stopped all the same: {why}"
                );
                let notice = Notice::warning(Reason::Failed, message);
                let _ = self.events.send(Event::Notice(notice)); // an error: the agent ends
            }
            left = grace.saturating_sub(since_boot().saturating_sub(begun)).max(MIN_GRACE);
        }
        // 0 would be a kill without a word
        let seconds = left.as_secs().max(1).to_string();
        let (path, limit) = (format!("containers/{podmans}/stop"), left.saturating_add(PODMAN_TIMEOUT));
        let answer = self.client.post(&path, &[("timeout", &seconds)], "", limit)?;
        if answer.is_missing() { Ok(()) } else { answer.check_success() }
    }
}
