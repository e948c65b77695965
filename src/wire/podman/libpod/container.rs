//! A container of a pod.

use std::collections::BTreeMap;

use super::{
    env::{expanded, variables},
    facts::Image,
    fields::Asking,
    hooks,
    pod::{labels, lookup},
    problem::Problem,
    request::{Bind, ContainerRequest, Lookup, Mode, VolumeMount},
    resources,
    security::Security,
    volumes::{SubPath, Volumes},
};
use crate::{
    agent::model::{gather::gather, workload::Engine},
    wire::{
        field::Field,
        podman::pod::{container_name, own_prefix, pids_limit_annotation},
        podspec::container::Container,
    },
};

/// Where the root of the host is in a container that never runs.
pub const HOST: &str = "/host";
/// Whether init containers run at each start of a pod, and stay; ours run once, as a pod is started once.
const INIT_CONTAINER_TYPE: &str = "io.podman.annotations.init.container.type";

/// What is asked of podman for a container, and what has to be there before.
pub struct Made {
    /// `containers/create`
    pub request: ContainerRequest,
    /// Parts of volumes that it mounts alone.
    pub parts: Vec<SubPath>,
}

/// The container stands at this place in the specification.
pub(super) fn request(
    (container, at): (&Container, &Field),
    asking: &Asking,
    volumes: &Volumes,
    image: &Image,
    place: &dyn Fn(&str) -> String,
) -> Result<Made, Problem> {
    let spec = asking.spec;
    let name = container_name(&container.name.0);
    let env = variables(container, at, asking)?;
    let mounts = volumes.mounts((container, at), asking, &env, place)?;
    let texts = |list: &[String]| list.iter().map(|text| expanded(text, &env)).collect();
    let (entrypoint, command) = (texts(&container.command), texts(&container.args));
    let mut annotations: BTreeMap<_, _> = gather(asking.workload.content.annotations.iter().cloned());
    annotations.remove(INIT_CONTAINER_TYPE);
    let own_limit = annotations.get(&pids_limit_annotation(&name)).map(|limit| limit.parse::<u32>());
    let pids = own_limit.and_then(Result::ok).or(asking.agent.limits.pids).filter(|limit| *limit > 0);
    let host = |is_host: bool| is_host.then_some(Mode::HOST);
    let work_dir = container.working_dir.clone().unwrap_or_default();
    let mut request = ContainerRequest {
        name: format!("{}-{name}", asking.workload.id),
        pod: asking.workload.id.to_string(),
        image: container.image.0.clone(),
        labels: labels(asking),
        annotations,
        entrypoint,
        command,
        create_working_dir: !work_dir.is_empty(),
        work_dir,
        unsetenv: ["container"],
        restart_policy: "no",
        stop_timeout: asking.workload.grace.as_secs(),
        stop_signal: hooks::stop_signal(container, at)?,
        terminal: container.tty,
        stdin: container.stdin,
        pidns: host(spec.host_pid),
        ipcns: host(spec.host_ipc),
        // with the device's network comes its name, and a pod gives its containers no more
        utsns: host(spec.host_network),
        lookup: if spec.host_network { lookup(spec) } else { Lookup::default() },
        // a user's podman may not lower what it has from its service
        oom_score_adj: (asking.workload.content.engine == Engine::Podman { rootless: false })
            .then(|| resources::oom_score(spec, container, asking.facts.memory))
            .flatten(),
        resource_limits: resources::of(
            &container.resources,
            &resources::defaults(spec, asking.agent.limits),
            pids,
        ),
        mounts: mounts.binds,
        volumes: mounts.volumes,
        devices: mounts.devices,
        image_volumes: mounts.images,
        env,
        ..ContainerRequest::default()
    };
    Security::new(spec, container).apply(&mut request, at, image, asking.facts.major)?;
    Ok(Made { request, parts: mounts.parts })
}

/// One that never runs: podman puts files into its volumes.
pub(super) fn carrier(asking: &Asking, image: String) -> ContainerRequest {
    let id = &asking.workload.id;
    ContainerRequest {
        // no name of a container ends so
        name: format!("{id}-files_"),
        pod: id.to_string(),
        image,
        labels: labels(asking),
        restart_policy: "no",
        ..ContainerRequest::default()
    }
}

/// The volume of this name in the specification.
pub(super) fn carried(asking: &Asking, volume: &str, dest: &str) -> VolumeMount {
    let name = format!("{}{volume}", own_prefix(&asking.workload.id));
    VolumeMount { name, dest: dest.to_owned(), options: vec!["nocopy".to_owned()] }
}

/// All that the host has.
pub(super) fn host() -> Bind {
    let options = vec!["rbind".to_owned()];
    Bind { kind: "bind", source: "/".to_owned(), destination: HOST.to_owned(), options }
}
