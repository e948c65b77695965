//! A workload becomes what podman is asked for: a pod, its containers one by one, volumes, and files that the agent
//! writes. All that its author wrote is read here, as Kubernetes reads it; podman's own reader of specifications isn't
//! asked.
//!
//! Of `Secret`s podman hears nothing but variables, which stand in the container's own configuration and go with it:
//! volumes of them are directories of the agent's, in memory, mounted read-only; those of `ConfigMap`s likewise.
//!
//! `problem`: what can't be done, and where · `surroundings`: what is known beside the specification · `sources`: `ConfigMap`s and `Secret`s · `fields`: what a pod is told about itself ·
//! `hooks`, `env`, `resources`, `security`, `trees`, `volumes`: each a part of a container · `pod`, `container`: the whole ·
//! `request`: what is sent.

mod container;
mod env;
mod fields;
mod hooks;
mod pod;
mod problem;
mod request;
pub(in crate::wire) mod resources;
mod security;
mod sources;
mod surroundings;
#[cfg(test)]
mod tests;
mod trees;
mod volumes;

pub use container::{HOST, Made};
use fields::PodContext;
pub use pod::NETWORK;
pub(in crate::wire) use problem::Problem;
use problem::told;
pub use request::{ContainerRequest, PodRequest, VolumeRequest};
use security::Security;
pub(in crate::wire) use sources::ObjectKind;
pub use surroundings::{Agent, Image, Surroundings};
pub use trees::{File, Tree};
pub use volumes::SubPath;
use volumes::Volumes;

use super::{limits::Limits, names};
use crate::{
    agent::model::{
        order::CpuLimit,
        workload::{Engine, Workload, WorkloadId},
    },
    wire::{
        field::Field,
        podspec::{
            PodSpec,
            container::{Container, RestartPolicy},
            volumes::HostPath,
        },
    },
};

/// When a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To its end, before those after it begin.
    Init,
    /// From its turn among the init containers on.
    Sidecar,
    /// After the init containers.
    Main,
}

/// A container of the plan.
#[derive(Debug, Clone)]
pub struct Step {
    /// When it runs.
    pub role: Role,
    /// As its author calls it.
    pub name: String,
    /// What it is made from.
    pub image: String,
    is_init: bool,
    index: usize,
}

/// A workload's pod, as podman is to make it.
pub struct Plan<'a> {
    workload: &'a Workload,
    agent: Agent<'a>,
    spec: PodSpec,
    volumes: Volumes,
    steps: Vec<Step>,
    hooks: Option<String>,
}

impl<'a> Plan<'a> {
    /// Reads the specification.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn new(workload: &'a Workload, agent: Agent<'a>, surroundings: Surroundings) -> Result<Self, String> {
        let spec = PodSpec::legible(&workload.content.specification.value());
        spec.and_then(|spec| Self::of(spec, workload, agent, surroundings)).map_err(told)
    }

    fn of(
        spec: PodSpec,
        workload: &'a Workload,
        agent: Agent<'a>,
        surroundings: Surroundings,
    ) -> Result<Self, Problem> {
        let (mut steps, mut users) = (Vec::new(), Vec::new());
        for (is_init, containers) in [(true, &spec.init_containers), (false, &spec.containers)] {
            for (index, container) in containers.iter().enumerate() {
                let role = match container.restart_policy {
                    _ if !is_init => Role::Main,
                    Some(RestartPolicy::Always) => Role::Sidecar,
                    _ => Role::Init,
                };
                let (name, image) = (container.name.0.clone(), container.image.0.clone());
                steps.push(Step { role, name, image, is_init, index });
                users.push(Security::new(&spec, container).user());
            }
        }
        let owner = users.first().copied().flatten().filter(|user| users.iter().all(|it| *it == Some(*user)));
        let group = spec.security_context.fs_group;
        let volumes =
            Volumes::read(&PodContext { workload, agent, surroundings, spec: &spec }, owner, group)?;
        let hooks = hooks::label(&spec, workload.content.engine)?;
        Ok(Self { workload, agent, volumes, steps, hooks, spec })
    }

    /// Who makes the pod.
    pub fn agent(&self) -> Agent<'a> {
        self.agent
    }

    fn context(&self, surroundings: Surroundings) -> PodContext<'_> {
        PodContext { workload: self.workload, agent: self.agent, surroundings, spec: &self.spec }
    }

    /// `pods/create`
    pub fn pod(&self, cpu: CpuLimit) -> PodRequest {
        pod::request(&self.context(Surroundings::default()), cpu, self.hooks.as_deref())
    }

    /// What its containers ask for after their start and before their stop, as the pod's label says it.
    pub fn hooks(&self) -> Option<&str> {
        self.hooks.as_deref()
    }

    /// Its containers in the order in which they are started.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What podman calls a container.
    pub fn container_name(pod: &WorkloadId, step: &Step) -> String {
        names::container_name(pod, &step.name)
    }

    /// What the agent writes for it.
    pub fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.volumes.trees()
    }

    /// A container that never runs, and where it has which tree: podman puts the files there.
    pub fn carrier(&self) -> Option<(ContainerRequest, Vec<(String, &Tree)>)> {
        let trees: Vec<_> = self.trees().map(|tree| (format!("/{}", tree.name), tree)).collect();
        if self.agent.trees_dir.is_some() || trees.is_empty() {
            return None;
        }
        let context = self.context(Surroundings::default());
        let mut carrier = container::carrier(&context, self.steps.first()?.image.clone());
        let carried = trees.iter().map(|(dest, tree)| container::carried(&context, &tree.name, dest));
        carrier.volumes.extend(carried);
        Some((carrier, trees))
    }

    /// A container that never runs, and has the root of the host at [`HOST`].
    pub fn surveyor(&self) -> Option<ContainerRequest> {
        let context = self.context(Surroundings::default());
        let mut surveyor = container::carrier(&context, self.steps.first()?.image.clone());
        surveyor.mounts.push(container::host());
        Some(surveyor)
    }

    /// `volumes/create`, for those that go with the pod.
    pub fn own_volumes(&self) -> &[VolumeRequest] {
        &self.volumes.own
    }

    /// The paths of the host that must be there.
    pub fn host_paths(&self) -> impl Iterator<Item = &HostPath> {
        self.volumes.host_paths()
    }

    /// Those that outlive it, and of which a container mounts a part alone: podman has to say where they are.
    pub fn claims_in_parts(&self) -> Vec<String> {
        let mounts = self.spec.all_containers().flat_map(|(_, container)| &container.volume_mounts);
        let parts = mounts.filter(|mount| !mount.sub_path.is_empty() || !mount.sub_path_expr.is_empty());
        parts.filter_map(|mount| self.volumes.claim(&mount.name.0)).map(str::to_owned).collect()
    }

    /// The group that the pod's own volumes are shared with.
    pub fn group(&self) -> bool {
        self.spec.security_context.fs_group.is_some()
    }

    /// Whether a container is told the pod's address.
    pub fn wants_address(&self) -> bool {
        let variables = self.spec.all_containers().flat_map(|(_, container)| &container.env);
        let mut fields = variables.filter_map(|variable| variable.value_from.as_ref()?.field_ref.as_ref());
        fields.any(|field| field.field_path.starts_with("status.podIP"))
    }

    /// Whether a container has a limit of CPU time of its own.
    pub fn has_cpu_limit(&self) -> bool {
        self.spec.all_containers().any(|(_, container)| container.resources.limits.get("cpu").is_some())
    }

    /// Whether a container's image has to be asked who its user is.
    pub fn asks_image_for_user(&self, step: &Step, major: u32) -> bool {
        step.of(&self.spec)
            .is_some_and(|(container, _)| Security::new(&self.spec, container).asks_image_for_user(major))
    }

    /// `containers/create`; `place` tells where podman keeps a volume.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn container(
        &self,
        step: &Step,
        surroundings: Surroundings,
        image: &Image,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Made, String> {
        self.made(step, surroundings, image, place).map_err(told)
    }

    fn made(
        &self,
        step: &Step,
        surroundings: Surroundings,
        image: &Image,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Made, Problem> {
        let (container, at) = step.of(&self.spec).ok_or_else(|| (Field::default(), step.name.clone()))?;
        container::request((container, &at), &self.context(surroundings), &self.volumes, image, place)
    }
}

impl Step {
    /// The container, and where it stands.
    fn of<'a>(&self, spec: &'a PodSpec) -> Option<(&'a Container, Field)> {
        let (list, containers) = match self.is_init {
            true => ("initContainers", &spec.init_containers),
            false => ("containers", &spec.containers),
        };
        Some((containers.get(self.index)?, Field::from([list]).then(self.index)))
    }
}

/// What the agent writes for a workload that was found valid.
pub fn trees(workload: &Workload) -> Vec<Tree> {
    let plan = Plan::new(workload, AGENT, Surroundings::default());
    plan.map(|plan| plan.trees().cloned().collect()).unwrap_or_default()
}

/// Any, to find out what can't be done.
const AGENT: Agent = {
    const LIMITS: &Limits = &Limits { memory: None, cpu: None, pids: None };
    Agent { owner: "", device_id: "", limits: LIMITS, trees_dir: Some("/") }
};

/// The first thing in a specification, which was read and judged, that can't be done, as far as that can be known
/// without podman.
pub(in crate::wire) fn problem(workload: &Workload) -> Option<Problem> {
    let spec = PodSpec::of(&workload.content.specification.value());
    if workload.content.engine == Engine::Kubernetes {
        return secrets_problem(workload, &spec).err();
    }
    // a user that is no root leaves for later what only the image can tell
    let image = Image { user: "1".to_owned() };
    let plan = match Plan::of(spec, workload, AGENT, Surroundings::default()) {
        Ok(plan) => plan,
        Err(problem) => return Some(problem),
    };
    let place = |_: &str| "/".to_owned();
    plan.steps.iter().find_map(|step| plan.made(step, Surroundings::default(), &image, &place).err())
}

/// A cluster reads the specification itself; what the agent knows about it is its `Secret`s.
fn secrets_problem(workload: &Workload, spec: &PodSpec) -> Result<(), Problem> {
    for (place, container) in spec.all_containers() {
        for (index, variable) in container.env.iter().enumerate() {
            let from = variable.value_from.as_ref();
            if let Some(reference) = from.and_then(|from| from.secret_key_ref.as_ref()) {
                let value = sources::value(&workload.content, sources::ObjectKind::Secret, reference);
                let at = || place.then("env").then(index).then("valueFrom").then("secretKeyRef");
                value.map_err(|why| (at(), why))?;
            }
        }
    }
    let context = PodContext { workload, agent: AGENT, surroundings: Surroundings::default(), spec };
    for (index, volume) in spec.volumes.iter().enumerate().filter(|(_, volume)| volume.secret.is_some()) {
        trees::tree(volume, &Field::from(["volumes"]).then(index), &context, false)?;
    }
    Ok(())
}
