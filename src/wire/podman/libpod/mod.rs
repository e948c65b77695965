//! A workload becomes what podman is asked for: a pod, its containers one by one, volumes, and files that the agent
//! writes. All that its author wrote is read here, as Kubernetes reads it; podman's own reader of specifications isn't
//! asked.
//!
//! Of `Secret`s podman hears nothing but variables, which stand in the container's own configuration and go with it:
//! volumes of them are directories of the agent's, in memory, mounted read-only; those of `ConfigMap`s likewise.
//!
//! `part`: a value and its place · `facts`: what is known beside the specification · `sources`: `ConfigMap`s and `Secret`s · `fields`: what a pod is told about itself ·
//! `env`, `resources`, `security`, `trees`, `volumes`: each a part of a container · `pod`, `container`: the whole ·
//! `request`: what is sent.

mod container;
mod env;
mod facts;
mod fields;
mod part;
mod pod;
mod request;
mod resources;
mod security;
mod sources;
#[cfg(test)]
mod tests;
mod trees;
mod volumes;

use serde_json::Value;

pub use container::{HOST, Made};
pub use facts::{Agent, Facts, Image};
use fields::Asking;
use part::Part;
pub(in crate::wire) use part::Problem;
pub use pod::{NETWORK, infra_name};
pub use request::{ContainerRequest, PodRequest, VolumeRequest};
use security::Security;
pub use sources::redacted;
pub use trees::{File, Tree};
use volumes::Volumes;
pub use volumes::{HostPath, SubPath};

use super::pod::Limits;
use crate::agent::model::{
    order::CpuLimit,
    workload::{Engine, Workload, WorkloadId},
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
    list: &'static str,
    index: usize,
}

/// A workload's pod, as podman is to make it.
pub struct Plan<'a> {
    workload: &'a Workload,
    agent: Agent<'a>,
    specification: Value,
    volumes: Volumes,
    steps: Vec<Step>,
}

impl<'a> Plan<'a> {
    /// Reads the specification.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn new(workload: &'a Workload, agent: Agent<'a>, facts: Facts) -> Result<Self, String> {
        Self::read(workload, agent, facts).map_err(told)
    }

    fn read(workload: &'a Workload, agent: Agent<'a>, facts: Facts) -> Result<Self, Problem> {
        let specification = workload.content.specification.value();
        let whole = Part::whole(&specification);
        let (mut steps, mut users) = (Vec::new(), Vec::new());
        for list in ["initContainers", "containers"] {
            for (index, container) in whole.get(list).items().enumerate() {
                let restart = container.get("restartPolicy");
                let role = match (list, restart.text()?) {
                    ("containers", _) => Role::Main,
                    (_, Some("Always")) => Role::Sidecar,
                    (_, None) => Role::Init,
                    _ => return restart.problem("of an init container must be Always, or left out"),
                };
                let name = container.get("name").needed()?.to_owned();
                let image = container.get("image").needed()?.to_owned();
                steps.push(Step { role, name, image, list, index });
                users.push(Security::new(&whole, &container).user()?);
            }
        }
        let owner = users.first().copied().flatten().filter(|user| users.iter().all(|it| *it == Some(*user)));
        let group = whole.get("securityContext").get("fsGroup").id()?;
        let asking = Asking { workload, agent, facts, specification: &whole };
        let volumes = Volumes::read(&asking, owner, group)?;
        Ok(Self { workload, agent, volumes, steps, specification })
    }

    /// Who makes the pod.
    pub fn agent(&self) -> Agent<'a> {
        self.agent
    }

    fn asking<'b>(&'b self, whole: &'b Part<'b>, facts: Facts) -> Asking<'b> {
        Asking { workload: self.workload, agent: self.agent, facts, specification: whole }
    }

    /// `pods/create`
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn pod(&self, cpu: CpuLimit) -> Result<PodRequest, String> {
        let whole = Part::whole(&self.specification);
        pod::request(&self.asking(&whole, Facts::default()), cpu).map_err(told)
    }

    /// Its containers in the order in which they are started.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What podman calls a container.
    pub fn container_name(pod: &WorkloadId, step: &Step) -> String {
        format!("{pod}-{}", super::pod::container_name(&step.name))
    }

    /// What the agent writes for it.
    pub fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.volumes.trees()
    }

    /// A container that never runs, and where it has which tree: podman puts the files there.
    pub fn carrier(&self) -> Option<(ContainerRequest, Vec<(String, &Tree)>)> {
        let trees: Vec<_> = self.trees().map(|tree| (format!("/{}", tree.name), tree)).collect();
        if self.agent.trees.is_some() || trees.is_empty() {
            return None;
        }
        let whole = Part::whole(&self.specification);
        let asking = self.asking(&whole, Facts::default());
        let mut carrier = container::carrier(&asking, self.steps.first()?.image.clone());
        let carried = trees.iter().map(|(dest, tree)| container::carried(&asking, &tree.name, dest));
        carrier.volumes.extend(carried);
        Some((carrier, trees))
    }

    /// A container that never runs, and has the root of the host at [`HOST`].
    pub fn surveyor(&self) -> Option<ContainerRequest> {
        let whole = Part::whole(&self.specification);
        let asking = self.asking(&whole, Facts::default());
        let mut surveyor = container::carrier(&asking, self.steps.first()?.image.clone());
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
        let whole = Part::whole(&self.specification);
        let containers = self.steps.iter().map(|step| step.part(&whole));
        let mounts: Vec<_> =
            containers.flat_map(|it| it.get("volumeMounts").items().collect::<Vec<_>>()).collect();
        let is_part =
            |mount: &&Part| !mount.get("subPath").is_absent() || !mount.get("subPathExpr").is_absent();
        let names = mounts.iter().filter(is_part).filter_map(|mount| mount.value["name"].as_str());
        names.filter_map(|name| self.volumes.claim(name)).map(str::to_owned).collect()
    }

    /// The group that the pod's own volumes are shared with.
    pub fn group(&self) -> bool {
        !self.specification["securityContext"]["fsGroup"].is_null()
    }

    /// Whether a container is told the pod's address.
    pub fn wants_address(&self) -> bool {
        let is_asked = |value: &Value| value.as_str().is_some_and(|path| path.starts_with("status.podIP"));
        any(&self.specification, &is_asked)
    }

    /// Whether a container's image has to be asked who its user is.
    pub fn wants_image(&self, step: &Step, major: u32) -> bool {
        let whole = Part::whole(&self.specification);
        Security::new(&whole, &step.part(&whole)).wants_image(major).unwrap_or(false)
    }

    /// `containers/create`; `place` tells where podman keeps a volume.
    ///
    /// # Errors
    /// In the author's words, with the place in the specification.
    pub fn container(
        &self,
        step: &Step,
        facts: Facts,
        image: &Image,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Made, String> {
        self.made(step, facts, image, place).map_err(told)
    }

    fn made(
        &self,
        step: &Step,
        facts: Facts,
        image: &Image,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Made, Problem> {
        let whole = Part::whole(&self.specification);
        container::request(&step.part(&whole), &self.asking(&whole, facts), &self.volumes, image, place)
    }
}

impl Step {
    fn part<'a>(&self, whole: &Part<'a>) -> Part<'a> {
        let list = whole.get(self.list);
        list.items().nth(self.index).unwrap_or(list)
    }
}

fn told((field, message): Problem) -> String {
    format!("{field}: {message}")
}

/// Whether one of its parts is so.
fn any(value: &Value, is: &dyn Fn(&Value) -> bool) -> bool {
    is(value)
        || match value {
            Value::Array(items) => items.iter().any(|item| any(item, is)),
            Value::Object(fields) => fields.values().any(|item| any(item, is)),
            _ => false,
        }
}

/// What the agent writes for a workload that was found valid.
pub fn trees(workload: &Workload) -> Vec<Tree> {
    let plan = Plan::read(workload, AGENT, Facts::default());
    plan.map(|plan| plan.trees().cloned().collect()).unwrap_or_default()
}

/// Any, to find out what can't be done.
const AGENT: Agent = {
    const LIMITS: &Limits = &Limits { memory: None, cpu: None, pids: None };
    Agent { owner: "", device_id: "", limits: LIMITS, trees: Some("/") }
};

/// The first thing in the specification that can't be done, as far as that can be known without podman.
pub(in crate::wire) fn problem(workload: &Workload) -> Option<Problem> {
    if workload.content.engine == Engine::Kubernetes {
        return secrets_problem(workload).err();
    }
    // a user that is no root leaves for later what only the image can tell
    let image = Image { user: "1".to_owned() };
    let plan = match Plan::read(workload, AGENT, Facts::default()) {
        Ok(plan) => plan,
        Err(problem) => return Some(problem),
    };
    let whole = Part::whole(&plan.specification);
    if let Err(problem) = pod::request(&plan.asking(&whole, Facts::default()), None) {
        return Some(problem);
    }
    let place = |_: &str| "/".to_owned();
    plan.steps.iter().find_map(|step| plan.made(step, Facts::default(), &image, &place).err())
}

/// A cluster reads the specification itself; what the agent knows about it is its `Secret`s.
fn secrets_problem(workload: &Workload) -> Result<(), Problem> {
    let specification = workload.content.specification.value();
    let whole = Part::whole(&specification);
    for container in ["initContainers", "containers"].iter().flat_map(|list| whole.get(list).items()) {
        for variable in container.get("env").items() {
            let reference = variable.get("valueFrom").get("secretKeyRef");
            if !reference.is_absent() {
                sources::value(&workload.content, sources::Kind::Secret, &reference)?;
            }
        }
    }
    let asking = Asking { workload, agent: AGENT, facts: Facts::default(), specification: &whole };
    for volume in whole.get("volumes").items().filter(|volume| !volume.get("secret").is_absent()) {
        trees::tree(&volume, &asking, false)?;
    }
    Ok(())
}
