//! How a pod is made, request by request: the pod, its volumes, its containers.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    panic, thread,
};

use serde_json::{Value, json};

use super::{
    LIMIT, Own, START_LIMIT, Tasks,
    seen::{KnownContainer, KnownPod},
};
use crate::{
    agent::{
        model::{
            order::CpuLimit,
            workload::{Workload, WorkloadId},
        },
        redact::Redactor,
    },
    io::{
        podman::{
            STACK,
            api::{Error, PodmanAnswer},
            paths::{self, Wanted},
            tar,
        },
        processors::processors,
    },
    wire::podman::{
        answers::{InspectedPodContainer, plain},
        libpod::{
            Agent, ContainerRequest, HOST, Image, NETWORK, Plan, Role, Step, SubPath, Surroundings,
            VolumeRequest,
        },
        names::{infra_name, own_prefix},
        session,
    },
};

/// A pod that is being made.
pub(super) struct Making<'a> {
    tasks: &'a Tasks,
    workload: &'a Workload,
    pub(super) plan: Plan<'a>,
    surroundings: Surroundings,
    /// Where podman keeps volumes.
    places: BTreeMap<String, String>,
    images: BTreeMap<String, Image>,
    /// podman's id of the pod.
    pod: String,
    /// podman's ids of the containers that were made, in the order of the steps.
    ids: Vec<String>,
    /// Paths of the host that the agent couldn't see to.
    wanted: Vec<Wanted>,
}

/// Says what a refusal is about.
fn about(what: &str) -> impl FnOnce(Error) -> Error {
    let what = what.to_owned();
    move |error| match error {
        Error::Refused(reason) => Error::Refused(format!("{what}: {}", plain(&[reason]))),
        Error::Late(_) => Error::Late(what),
        error => error,
    }
}

/// What the author calls a container.
fn shown(step: &Step) -> String {
    format!("container '{}'", step.name)
}

impl<'a> Making<'a> {
    /// Reads the specification, and makes ready what has to be there before the pod.
    pub(super) fn new(tasks: &'a Tasks, workload: &'a Workload, agent: Agent<'a>) -> Result<Self, Error> {
        let system = rustix::system::sysinfo();
        let surroundings = Surroundings {
            cores: processors(),
            memory: u64::from(system.mem_unit).saturating_mul(system.totalram as u64),
            host_address: host_address(),
            ..Surroundings::default()
        };
        let plan = Plan::new(workload, agent, surroundings).map_err(Error::Refused)?;
        let (places, images, pod) = (BTreeMap::new(), BTreeMap::new(), String::new());
        let (ids, wanted) = (Vec::new(), Vec::new());
        let making = Self { tasks, workload, plan, surroundings, places, images, pod, ids, wanted };
        let trees: Vec<_> = making.plan.trees().collect();
        if agent.trees_dir.is_some() {
            tasks.volumes.make(&workload.id, &trees).map_err(Error::Refused)?;
        } else if trees.iter().any(|tree| tree.is_secret) {
            let why = "volumes with Secrets take an agent of the user whose podman it is";
            return Err(Error::Refused(why.to_owned()));
        }
        let mut wanted = Vec::new();
        for path in making.plan.host_paths() {
            wanted.extend(paths::prepare(path).map_err(Error::Refused)?);
        }
        Ok(Self { wanted, ..making })
    }

    /// The same once more: what was made of it is gone.
    pub(super) fn anew(&self) -> Result<Self, Error> {
        let agent = self.plan.agent();
        Self::new(self.tasks, self.workload, agent)
    }

    fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<PodmanAnswer, Error> {
        let body = serde_json::to_string(body).unwrap_or_default(); // plain structures: it can't fail
        self.tasks.client.post(path, &[], &body, LIMIT)
    }

    /// The pod without its containers; nothing of it runs.
    pub(super) fn pod(&mut self, cpu: CpuLimit) -> Result<(), Error> {
        let request = self.plan.pod(cpu);
        let mut answer = self.post("pods/create", &request)?;
        if matches!(answer.done(), Err(Error::Refused(why)) if why.contains("network not found")) {
            // podman 4 leaves something of it behind: ours, as of all podmans each looks at the name first
            let half = format!("pods/{}", self.workload.id);
            self.tasks.client.delete(&half, &[("force", "true"), ("timeout", "0")], LIMIT)?;
            let network = json!({ "name": NETWORK, "driver": "bridge", "dns_enabled": true });
            self.post("networks/create", &network)?; // another start may be faster
            answer = self.post("pods/create", &request)?;
        }
        self.surroundings.major = answer.major;
        let made: Value = answer.json().map_err(about("the pod"))?;
        self.pod = made["Id"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// The volumes that go with the pod, and those of which parts are mounted.
    pub(super) fn volumes(&mut self) -> Result<(), Error> {
        for request in self.plan.own_volumes() {
            let mut place = self.volume(request)?;
            let mode = fs::Permissions::from_mode(if self.plan.group() { 0o2777 } else { 0o777 });
            if request.is_open
                && let Err(error) = fs::set_permissions(&place, mode)
            {
                log::debug!("failed to open '{place}' to all users: {error}");
                if let Some(plain) = request.plain() {
                    place = self.volume(&plain)?;
                }
            }
            self.places.insert(request.name.clone(), place);
        }
        for name in self.plan.claims_in_parts() {
            let mut answer = self.tasks.client.get(&format!("volumes/{name}/json"), &[], LIMIT)?;
            if answer.is_missing() {
                answer = self.post("volumes/create", &json!({ "Name": name }))?;
            }
            self.places.insert(name, place(&answer)?);
        }
        Ok(())
    }

    /// A new volume; says where it is.
    fn volume(&self, request: &VolumeRequest) -> Result<String, Error> {
        let mut answer = self.post("volumes/create", request)?;
        if matches!(answer.done(), Err(Error::Refused(why)) if why.contains("already exists")) {
            // of a pod that was removed by hand
            self.tasks.client.delete(&format!("volumes/{}", request.name), &[], LIMIT)?.done()?;
            answer = self.post("volumes/create", request)?;
        }
        place(&answer)
    }

    /// Has podman make what the agent may not.
    fn have_podman_make(&self, wanted: &[Wanted]) -> Result<(), Error> {
        let Some(surveyor) = self.plan.surveyor().filter(|_| !wanted.is_empty()) else { return Ok(()) };
        let client = &self.tasks.client;
        self.while_made(&surveyor, |archive| {
            for Wanted { path, is_directory } in wanted {
                let has = |path: &str| client.has(archive, &[("path", &format!("{HOST}{path}"))], LIMIT);
                if has(path)? {
                    continue;
                }
                if let (false, Some((directory, _))) = (is_directory, path.rsplit_once('/'))
                    && !directory.is_empty()
                    && !has(directory)?
                {
                    let why =
                        format!("failed to make the file '{path}': there is no directory '{directory}'");
                    return Err(Error::Refused(why));
                }
                let body = tar::single(path.trim_matches('/'), *is_directory).map_err(Error::Refused)?;
                client.put(archive, &[("path", HOST), ("copyUIDGID", "false")], &body, LIMIT)?.done()?;
            }
            Ok(())
        })
    }

    /// Makes a container that never runs, does this to its archive, and removes it; after a failure it goes with the pod.
    fn while_made(
        &self,
        request: &ContainerRequest,
        fill: impl FnOnce(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let answer: Value = self.post("containers/create", request)?.json()?;
        let path = format!("containers/{}", answer["Id"].as_str().unwrap_or_default());
        fill(&format!("{path}/archive"))?;
        self.tasks.client.delete(&path, &[("force", "true"), ("timeout", "0")], LIMIT)?.done()
    }

    /// The files in volumes of podman's, and the paths of the host.
    pub(super) fn files(&self) -> Result<(), Error> {
        self.have_podman_make(&self.wanted)?;
        let Some((carrier, trees)) = self.plan.carrier() else { return Ok(()) };
        self.while_made(&carrier, |archive| {
            for (place, tree) in trees {
                let body = tar::archive(tree).map_err(Error::Refused)?;
                let query = [("path", &*place), ("copyUIDGID", "false")];
                self.tasks.client.put(archive, &query, &body, LIMIT)?.done()?;
            }
            Ok(())
        })
    }

    /// Starts what holds the pod's namespaces: its network is there from then on. What is done `meanwhile` need not wait
    /// for it, unless a container is told the pod's address.
    pub(super) fn namespaces(
        &mut self,
        meanwhile: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (client, infra) = (&self.tasks.client, infra_name(self.workload.id.as_str()));
        let path = format!("containers/{infra}/start");
        let start = || client.post(&path, &[], "", START_LIMIT)?.done().map_err(about("the pod"));
        if self.plan.wants_address() {
            start()?;
            let answer: Value = client.get(&format!("containers/{infra}/json"), &[], LIMIT)?.json()?;
            // in the host's own network it has the host's
            self.surroundings.address = session::address(&answer).or(self.surroundings.host_address);
            return meanwhile(self);
        }
        thread::scope(|scope| {
            let starting = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, start);
            let done = meanwhile(self);
            let started = match starting {
                Ok(thread) => thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)),
                Err(_) => start(), // without a thread one comes after the other
            };
            started.and(done)
        })
    }

    fn image(&mut self, step: &Step) -> Result<Image, Error> {
        if !self.plan.asks_image_for_user(step, self.surroundings.major) {
            return Ok(Image::default());
        }
        if let Some(known) = self.images.get(&step.image) {
            return Ok(known.clone());
        }
        let answer = self.tasks.client.get(&format!("images/{}/json", step.image), &[], LIMIT)?;
        let answer: Value = answer.json().map_err(about(&shown(step)))?;
        let image = Image { user: answer["User"].as_str().unwrap_or_default().to_owned() };
        self.images.insert(step.image.clone(), image.clone());
        Ok(image)
    }

    /// Makes a container, and doesn't start it.
    pub(super) fn container(&mut self, step: &Step) -> Result<(), Error> {
        let image = self.image(step)?;
        let place = |name: &str| self.places.get(name).cloned().unwrap_or_default();
        let mut made =
            self.plan.container(step, self.surroundings, &image, &place).map_err(Error::Refused)?;
        if self.surroundings.major >= 5 && made.request.lacks_memory() {
            let infra = infra_name(self.workload.id.as_str());
            let answer = self.tasks.client.get(&format!("containers/{infra}/json"), &[], LIMIT)?;
            let answer: Value = answer.json()?;
            if let Some(place) = answer["StaticDir"].as_str() {
                made.request.share_memory(format!("{place}/shm"));
            }
        }
        for SubPath { volume, path } in &made.parts {
            let place = self.places.get(volume).unwrap_or(volume);
            paths::part(place, path).map_err(|why| Error::Refused(format!("{}: {why}", shown(step))))?;
        }
        let answer: Value =
            self.post("containers/create", &made.request)?.json().map_err(about(&shown(step)))?;
        self.ids.push(answer["Id"].as_str().unwrap_or_default().to_owned());
        Ok(())
    }

    /// What was made, as far as it stays: podman need not be asked what that is.
    pub(super) fn known_pod(&self) -> Option<(Own, KnownPod)> {
        let made = self.plan.steps().iter().zip(&self.ids).filter(|(step, _)| step.role != Role::Init);
        let named = |(step, id): (&Step, &String)| InspectedPodContainer {
            id: id.clone(),
            name: Plan::container_name(&self.workload.id, step),
        };
        let containers = made.map(|it| KnownContainer { listed: named(it), life: None }).collect();
        let known = KnownPod { infra: infra_name(self.workload.id.as_str()), containers };
        let own = Own { id: self.pod.as_str().into(), hooks: self.plan.hooks().map(Into::into) };
        let is_told = !self.pod.is_empty() && self.ids.iter().all(|id| !id.is_empty());
        is_told.then_some((own, known))
    }

    pub(super) fn start(&self, step: &Step) -> Result<(), Error> {
        let path = format!("containers/{}/start", Plan::container_name(&self.workload.id, step));
        self.tasks.client.post(&path, &[], "", START_LIMIT)?.done().map_err(about(&shown(step)))
    }

    /// Says it in names that the workload's author gave.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Refused(reason) => Error::Refused(self.named(reason)),
            error => error,
        }
    }

    /// The same of a reason.
    pub(super) fn named(&self, reason: String) -> String {
        let mut reason = named(&self.workload.id, reason);
        for (step, id) in self.plan.steps().iter().zip(&self.ids).filter(|(_, id)| !id.is_empty()) {
            reason = reason.replace(id, &format!("'{}'", step.name));
        }
        Redactor::of([&self.workload.content].into_iter()).redact(&reason).into_owned()
    }
}

/// Without what the names of volumes begin with.
fn named(id: &WorkloadId, reason: String) -> String {
    reason.replace(&own_prefix(id), "")
}

/// Where podman keeps the volume.
fn place(answer: &PodmanAnswer) -> Result<String, Error> {
    let volume: Value = answer.json()?;
    match volume["Mountpoint"].as_str() {
        Some(place) if !place.is_empty() => Ok(place.to_owned()),
        _ => Err(Error::Broken("podman doesn't say where it keeps a volume".to_owned())),
    }
}

/// The address by which this device would reach another network.
fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?; // nothing is sent
    socket.local_addr().ok().map(|address| address.ip())
}
