//! A container of a pod.

use std::collections::BTreeMap;

use super::{
    env::{expanded, variables},
    fields::PodContext,
    hooks,
    pod::{dns, labels},
    problem::Problem,
    request::{Bind, ContainerRequest, Dns, NamespaceMode, VolumeMount},
    resources,
    security::Security,
    surroundings::Image,
    volumes::{SubPath, Volumes},
};
use crate::{
    agent::model::{gather::gather, workload::Engine},
    wire::{
        field::Field,
        podman::{
            limits::pids_limit_annotation,
            names::{carrier_name, container_name, fitted_name, own_prefix},
        },
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
    context: &PodContext,
    volumes: &Volumes,
    image: &Image,
    place: &dyn Fn(&str) -> String,
) -> Result<Made, Problem> {
    let spec = context.spec;
    let name = fitted_name(&container.name.0);
    let env = variables(container, at, context)?;
    let mounts = volumes.mounts((container, at), context, &env, place)?;
    let texts = |list: &[String]| list.iter().map(|text| expanded(text, &env)).collect();
    let (entrypoint, command) = (texts(&container.command), texts(&container.args));
    let mut annotations: BTreeMap<_, _> = gather(context.workload.content.annotations.iter().cloned());
    annotations.remove(INIT_CONTAINER_TYPE);
    let own_limit = annotations.get(&pids_limit_annotation(&name)).map(|limit| limit.parse::<u32>());
    let pids = own_limit.and_then(Result::ok).or(context.agent.limits.pids).filter(|limit| *limit > 0);
    let host = |is_host: bool| is_host.then_some(NamespaceMode::HOST);
    let work_dir = container.working_dir.clone().unwrap_or_default();
    let mut request = ContainerRequest {
        name: container_name(&context.workload.id, &container.name.0),
        pod: context.workload.id.to_string(),
        image: container.image.0.clone(),
        labels: labels(context),
        annotations,
        entrypoint,
        command,
        create_working_dir: !work_dir.is_empty(),
        work_dir,
        unsetenv: ["container"],
        stop_timeout: context.workload.grace.as_secs(),
        stop_signal: hooks::stop_signal(container, at)?,
        terminal: container.tty,
        stdin: container.stdin,
        pidns: host(spec.host_pid),
        ipcns: host(spec.host_ipc),
        // with the device's network comes its name, and a pod gives its containers no more
        utsns: host(spec.host_network),
        dns: if spec.host_network { dns(spec) } else { Dns::default() },
        // a user's podman may not lower what it has from its service
        oom_score_adj: (context.workload.content.engine == Engine::Podman { rootless: false })
            .then(|| resources::oom_score(spec, container, context.surroundings.memory))
            .flatten(),
        resource_limits: resources::of(
            &container.resources,
            &resources::defaults(spec, context.agent.limits),
            pids,
        ),
        mounts: mounts.binds,
        volumes: mounts.volumes,
        devices: mounts.devices,
        image_volumes: mounts.images,
        env,
        ..ContainerRequest::default()
    };
    Security::new(spec, container).apply(&mut request, at, image, context.surroundings.major)?;
    Ok(Made { request, parts: mounts.parts })
}

/// One that never runs: podman puts files into its volumes.
pub(super) fn carrier(context: &PodContext, image: String) -> ContainerRequest {
    let id = &context.workload.id;
    ContainerRequest {
        name: carrier_name(id),
        pod: id.to_string(),
        image,
        labels: labels(context),
        ..ContainerRequest::default()
    }
}

/// The volume of this name in the specification.
pub(super) fn carried(context: &PodContext, volume: &str, dest: &str) -> VolumeMount {
    let name = format!("{}{volume}", own_prefix(&context.workload.id));
    VolumeMount { name, dest: dest.to_owned(), options: vec!["nocopy".to_owned()] }
}

/// All that the host has.
pub(super) fn host() -> Bind {
    let options = vec!["rbind".to_owned()];
    Bind { kind: "bind", source: "/".to_owned(), destination: HOST.to_owned(), options }
}
