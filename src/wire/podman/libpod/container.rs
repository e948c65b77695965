//! A container of a pod.

use super::{
    env::{expanded, variables},
    facts::Image,
    fields::Asking,
    part::{Part, Problem},
    pod::labels,
    request::{Bind, ContainerRequest, Mode, VolumeMount},
    resources,
    security::Security,
    volumes::{SubPath, Volumes},
};
use crate::{
    agent::model::gather::gather,
    wire::podman::pod::{container_name, own_prefix, pids_limit_annotation},
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

pub(super) fn request(
    container: &Part,
    asking: &Asking,
    volumes: &Volumes,
    image: &Image,
    place: &dyn Fn(&str) -> String,
) -> Result<Made, Problem> {
    let specification = asking.specification;
    let written = container.get("name").needed()?;
    let name = container_name(written);
    let env = variables(container, asking)?;
    let mounts = volumes.mounts(container, asking, &env, place)?;
    let texts = |key: &str| -> Result<Vec<String>, Problem> {
        Ok(container.get(key).texts()?.iter().map(|text| expanded(text, &env)).collect())
    };
    let mut annotations: std::collections::BTreeMap<_, _> =
        gather(asking.workload.content.annotations.iter().cloned());
    annotations.remove(INIT_CONTAINER_TYPE);
    let own_limit = annotations.get(&pids_limit_annotation(&name)).map(|limit| limit.parse::<u32>());
    let pids = own_limit.and_then(Result::ok).or(asking.agent.limits.pids).filter(|limit| *limit > 0);
    let host = |key: &str| -> Result<Option<Mode>, Problem> {
        Ok(specification.get(key).is_set()?.then_some(Mode::HOST))
    };
    let work_dir = container.get("workingDir").text()?.unwrap_or_default().to_owned();
    let mut request = ContainerRequest {
        name: format!("{}-{name}", asking.workload.id),
        pod: asking.workload.id.to_string(),
        image: container.get("image").needed()?.to_owned(),
        labels: labels(asking),
        annotations,
        entrypoint: texts("command")?,
        command: texts("args")?,
        create_working_dir: !work_dir.is_empty(),
        work_dir,
        unsetenv: ["container"],
        restart_policy: "no",
        stop_timeout: asking.workload.grace.as_secs(),
        terminal: container.get("tty").is_set()?,
        stdin: container.get("stdin").is_set()?,
        pidns: host("hostPID")?,
        ipcns: host("hostIPC")?,
        resource_limits: resources::of(container, asking.agent.limits, pids)?,
        mounts: mounts.binds,
        volumes: mounts.volumes,
        devices: mounts.devices,
        env,
        ..ContainerRequest::default()
    };
    Security::new(specification, container).apply(&mut request, image, asking.facts.major)?;
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
