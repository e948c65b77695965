//! A workload becomes what podman is asked for: a pod, its containers one by one, volumes, and files that the agent
//! writes. All that its author wrote is read here, as Kubernetes reads it; podman's own reader of specifications isn't
//! asked.
//!
//! Of `Secret`s podman hears nothing but variables, which stand in the container's own configuration and go with it:
//! volumes of them are directories of the agent's, in memory, mounted read-only; those of `ConfigMap`s likewise.
//!
//! `problem`: what can't be done, and where · `host_info`: what is known beside the specification · `sources`: `ConfigMap`s and `Secret`s · `fields`: what a pod is told about itself ·
//! `hooks`, `env`, `resources`, `security`, `file_volumes`, `volumes`: each a part of a container · `pod`, `container`: the whole ·
//! `request`: what is sent.

mod container;
mod env;
mod fields;
mod file_volumes;
mod hooks;
mod host_info;
mod pod;
mod problem;
mod request;
pub(in crate::wire) mod resources;
mod security;
mod sources;
#[cfg(test)]
mod tests;
mod volumes;

pub use container::{ContainerPlan, HOST_ROOT_MOUNT};
use fields::PodContext;
pub use file_volumes::{File, FileVolume};
pub use host_info::{ImageUser, PodMaker, Surroundings};
pub use pod::DEFAULT_NETWORK;
pub(in crate::wire) use problem::SpecProblem;
use problem::format_problem;
pub use request::{ContainerRequest, PodRequest, VolumeRequest};
use security::EffectiveSecurityContext;
pub(in crate::wire) use sources::ObjectKind;
pub use volumes::SubPath;
use volumes::Volumes;

use super::{limits::DefaultLimits, names};
use crate::{
    agent::model::{
        order::CpuLimit,
        workload::{Engine, Workload, WorkloadId},
    },
    wire::{
        field::FieldPath,
        podspec::{
            PodSpec,
            container::{Container, RestartPolicy},
            volumes::HostPath,
        },
    },
};

/// When a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerRole {
    /// To its end, before those after it begin.
    Init,
    /// From its turn among the init containers on.
    Sidecar,
    /// After the init containers.
    Main,
}

/// A container of the plan.
#[derive(Debug, Clone)]
pub struct PlannedContainer {
    /// When it runs.
    pub role: ContainerRole,
    /// As its author calls it.
    pub name: String,
    /// What it is made from.
    pub image: String,
    is_init: bool,
    index: usize,
}

/// A workload's pod, as podman is to make it.
pub struct PodPlan<'a> {
    workload: &'a Workload,
    agent: PodMaker<'a>,
    spec: PodSpec,
    volumes: Volumes,
    steps: Vec<PlannedContainer>,
    hooks: Option<String>,
}

impl<'a> PodPlan<'a> {
    /// Reads the specification.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn new(
        workload: &'a Workload,
        agent: PodMaker<'a>,
        surroundings: Surroundings,
    ) -> Result<Self, String> {
        let spec = PodSpec::read_legible(&workload.content.specification.value());
        spec.and_then(|spec| Self::from_spec(spec, workload, agent, surroundings)).map_err(format_problem)
    }

    fn from_spec(
        spec: PodSpec,
        workload: &'a Workload,
        agent: PodMaker<'a>,
        surroundings: Surroundings,
    ) -> Result<Self, SpecProblem> {
        let (mut steps, mut users) = (Vec::new(), Vec::new());
        for (is_init, containers) in [(true, &spec.init_containers), (false, &spec.containers)] {
            for (index, container) in containers.iter().enumerate() {
                let role = match container.restart_policy {
                    _ if !is_init => ContainerRole::Main,
                    Some(RestartPolicy::Always) => ContainerRole::Sidecar,
                    _ => ContainerRole::Init,
                };
                let (name, image) = (container.name.0.clone(), container.image.0.clone());
                steps.push(PlannedContainer { role, name, image, is_init, index });
                users.push(EffectiveSecurityContext::new(&spec, container).user());
            }
        }
        let owner = users.first().copied().flatten().filter(|user| users.iter().all(|it| *it == Some(*user)));
        let group = spec.security_context.fs_group;
        let volumes =
            Volumes::read(&PodContext { workload, agent, surroundings, spec: &spec }, owner, group)?;
        let hooks = hooks::hooks_label(&spec, workload.content.engine)?;
        Ok(Self { workload, agent, volumes, steps, hooks, spec })
    }

    /// Who makes the pod.
    pub fn agent(&self) -> PodMaker<'a> {
        self.agent
    }

    fn pod_context(&self, surroundings: Surroundings) -> PodContext<'_> {
        PodContext { workload: self.workload, agent: self.agent, surroundings, spec: &self.spec }
    }

    /// `pods/create`
    pub fn pod_request(&self, cpu: CpuLimit) -> PodRequest {
        pod::request(&self.pod_context(Surroundings::default()), cpu, self.hooks.as_deref())
    }

    /// What its containers ask for after their start and before their stop, as the pod's label says it.
    pub fn hooks(&self) -> Option<&str> {
        self.hooks.as_deref()
    }

    /// Its containers in the order in which they are started.
    pub fn planned_containers(&self) -> &[PlannedContainer] {
        &self.steps
    }

    /// What podman calls a container.
    pub fn container_name(pod: &WorkloadId, step: &PlannedContainer) -> String {
        names::container_name(pod, &step.name)
    }

    /// What the agent writes for it.
    pub fn file_volumes(&self) -> impl Iterator<Item = &FileVolume> {
        self.volumes.file_volumes()
    }

    /// A container that never runs, and where it has which tree: podman puts the files there.
    pub fn file_copy_container(&self) -> Option<(ContainerRequest, Vec<(String, &FileVolume)>)> {
        let trees: Vec<_> = self.file_volumes().map(|tree| (format!("/{}", tree.name), tree)).collect();
        if self.agent.trees_dir.is_some() || trees.is_empty() {
            return None;
        }
        let context = self.pod_context(Surroundings::default());
        let mut file_copy = container::idle_container(&context, self.steps.first()?.image.clone());
        let carried = trees.iter().map(|(dest, tree)| container::file_copy_mount(&context, &tree.name, dest));
        file_copy.volumes.extend(carried);
        Some((file_copy, trees))
    }

    /// A container that never runs, and has the root of the host at [`HOST_ROOT_MOUNT`].
    pub fn host_view_container(&self) -> Option<ContainerRequest> {
        let context = self.pod_context(Surroundings::default());
        let mut host_view = container::idle_container(&context, self.steps.first()?.image.clone());
        host_view.mounts.push(container::host_root_bind());
        Some(host_view)
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
    pub fn sub_path_claims(&self) -> Vec<String> {
        let mounts = self.spec.all_containers().flat_map(|(_, container)| &container.volume_mounts);
        let parts = mounts.filter(|mount| !mount.sub_path.is_empty() || !mount.sub_path_expr.is_empty());
        parts.filter_map(|mount| self.volumes.claim_volume_name(&mount.name.0)).map(str::to_owned).collect()
    }

    /// Whether the pod's own volumes are shared with a group.
    pub fn has_fs_group(&self) -> bool {
        self.spec.security_context.fs_group.is_some()
    }

    /// Whether a container is told the pod's address.
    pub fn needs_pod_ip(&self) -> bool {
        let variables = self.spec.all_containers().flat_map(|(_, container)| &container.env);
        let mut fields = variables.filter_map(|variable| variable.value_from.as_ref()?.field_ref.as_ref());
        fields.any(|field| field.field_path.starts_with("status.podIP"))
    }

    /// Whether a container has a limit of CPU time of its own.
    pub fn has_cpu_limit(&self) -> bool {
        self.spec.all_containers().any(|(_, container)| container.resources.limits.get("cpu").is_some())
    }

    /// Whether a container's image has to be asked who its user is.
    pub fn asks_image_for_user(&self, step: &PlannedContainer, major: u32) -> bool {
        step.find_in_spec(&self.spec).is_some_and(|(container, _)| {
            EffectiveSecurityContext::new(&self.spec, container).asks_image_for_user(major)
        })
    }

    /// `containers/create`; `place` tells where podman keeps a volume.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn container_plan(
        &self,
        step: &PlannedContainer,
        surroundings: Surroundings,
        image: &ImageUser,
        place: &dyn Fn(&str) -> String,
    ) -> Result<ContainerPlan, String> {
        self.try_container_plan(step, surroundings, image, place).map_err(format_problem)
    }

    fn try_container_plan(
        &self,
        step: &PlannedContainer,
        surroundings: Surroundings,
        image: &ImageUser,
        place: &dyn Fn(&str) -> String,
    ) -> Result<ContainerPlan, SpecProblem> {
        let (container, at) =
            step.find_in_spec(&self.spec).ok_or_else(|| (FieldPath::default(), step.name.clone()))?;
        container::request((container, &at), &self.pod_context(surroundings), &self.volumes, image, place)
    }
}

impl PlannedContainer {
    /// The container, and where it stands.
    fn find_in_spec<'a>(&self, spec: &'a PodSpec) -> Option<(&'a Container, FieldPath)> {
        let (list, containers) = match self.is_init {
            true => ("initContainers", &spec.init_containers),
            false => ("containers", &spec.containers),
        };
        Some((containers.get(self.index)?, FieldPath::from([list]).child(self.index)))
    }
}

/// What the agent writes for a workload that was found valid.
pub fn file_volumes(workload: &Workload) -> Vec<FileVolume> {
    let plan = PodPlan::new(workload, PLACEHOLDER_AGENT, Surroundings::default());
    plan.map(|plan| plan.file_volumes().cloned().collect()).unwrap_or_default()
}

/// Any, to find out what can't be done.
const PLACEHOLDER_AGENT: PodMaker = {
    const NO_LIMITS: &DefaultLimits = &DefaultLimits { memory: None, cpu: None, pids: None };
    PodMaker { owner: "", device_id: "", limits: NO_LIMITS, trees_dir: Some("/") }
};

/// The first thing in a specification, which was read and judged, that can't be done, as far as that can be known
/// without podman.
pub(in crate::wire) fn first_problem(workload: &Workload) -> Option<SpecProblem> {
    let spec = PodSpec::read_accepted(&workload.content.specification.value());
    if workload.content.engine == Engine::Kubernetes {
        return check_secrets(workload, &spec).err();
    }
    // a user that is no root leaves for later what only the image can tell
    let image = ImageUser { user: "1".to_owned() };
    let plan = match PodPlan::from_spec(spec, workload, PLACEHOLDER_AGENT, Surroundings::default()) {
        Ok(plan) => plan,
        Err(problem) => return Some(problem),
    };
    let place = |_: &str| "/".to_owned();
    plan.steps
        .iter()
        .find_map(|step| plan.try_container_plan(step, Surroundings::default(), &image, &place).err())
}

/// A cluster reads the specification itself; what the agent knows about it is its `Secret`s.
fn check_secrets(workload: &Workload, spec: &PodSpec) -> Result<(), SpecProblem> {
    for (place, container) in spec.all_containers() {
        for (index, variable) in container.env.iter().enumerate() {
            let from = variable.value_from.as_ref();
            if let Some(reference) = from.and_then(|from| from.secret_key_ref.as_ref()) {
                let value =
                    sources::resolve_key_ref(&workload.content, sources::ObjectKind::Secret, reference);
                let at = || place.child("env").child(index).child("valueFrom").child("secretKeyRef");
                value.map_err(|why| (at(), why))?;
            }
        }
    }
    let context =
        PodContext { workload, agent: PLACEHOLDER_AGENT, surroundings: Surroundings::default(), spec };
    for (index, volume) in spec.volumes.iter().enumerate().filter(|(_, volume)| volume.secret.is_some()) {
        file_volumes::file_volume(volume, &FieldPath::from(["volumes"]).child(index), &context, false)?;
    }
    Ok(())
}
