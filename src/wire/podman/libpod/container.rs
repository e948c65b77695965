//! A container of a pod.

use std::collections::BTreeMap;

use super::{
    env::{expand_variables, variables},
    fields::PodContext,
    hooks,
    host_info::ImageUser,
    pod::{dns, labels},
    problem::SpecProblem,
    request::{BindMount, ContainerRequest, Dns, NamespaceMode, VolumeMount},
    resources,
    security::EffectiveSecurityContext,
    volumes::{SubPath, Volumes},
};
use crate::{
    agent::model::{gather::gather, workload::Engine},
    wire::{
        field::FieldPath,
        podman::{
            limits::pids_limit_annotation,
            names::{container_name, file_copy_name, pod_name_prefix, podman_safe_name},
        },
        podspec::container::Container,
    },
};

/// Where the root of the host is in a container that never runs.
pub const HOST_ROOT_MOUNT: &str = "/host";
/// Whether init containers run at each start of a pod, and stay; ours run once, as a pod is started once.
const INIT_CONTAINER_TYPE: &str = "io.podman.annotations.init.container.type";

/// What is asked of podman for a container, and what has to be there before.
pub struct ContainerPlan {
    /// `containers/create`
    pub request: ContainerRequest,
    /// Parts of volumes that it mounts alone.
    pub parts: Vec<SubPath>,
}

/// The container stands at this place in the specification.
pub(super) fn request(
    (container, at): (&Container, &FieldPath),
    context: &PodContext,
    volumes: &Volumes,
    image: &ImageUser,
    place: &dyn Fn(&str) -> String,
) -> Result<ContainerPlan, SpecProblem> {
    let spec = context.spec;
    let name = podman_safe_name(&container.name.0);
    let env = variables(container, at, context)?;
    let mounts = volumes.mounts((container, at), context, &env, place)?;
    let texts = |list: &[String]| list.iter().map(|text| expand_variables(text, &env)).collect();
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
        resource_limits: resources::container_resources(
            &container.resources,
            &resources::container_defaults(spec, context.agent.limits),
            pids,
        ),
        mounts: mounts.binds,
        volumes: mounts.volumes,
        devices: mounts.devices,
        image_volumes: mounts.images,
        env,
        ..ContainerRequest::default()
    };
    EffectiveSecurityContext::new(spec, container).apply(
        &mut request,
        at,
        image,
        context.surroundings.major,
    )?;
    Ok(ContainerPlan { request, parts: mounts.parts })
}

/// One that never runs: podman puts files into its volumes.
pub(super) fn idle_container(context: &PodContext, image: String) -> ContainerRequest {
    let id = &context.workload.id;
    ContainerRequest {
        name: file_copy_name(id),
        pod: id.to_string(),
        image,
        labels: labels(context),
        ..ContainerRequest::default()
    }
}

/// The volume of this name in the specification.
pub(super) fn file_copy_mount(context: &PodContext, volume: &str, dest: &str) -> VolumeMount {
    let name = format!("{}{volume}", pod_name_prefix(&context.workload.id));
    VolumeMount { name, dest: dest.to_owned(), options: vec!["nocopy".to_owned()] }
}

/// All that the host has.
pub(super) fn host_root_bind() -> BindMount {
    let options = vec!["rbind".to_owned()];
    BindMount { kind: "bind", source: "/".to_owned(), destination: HOST_ROOT_MOUNT.to_owned(), options }
}
