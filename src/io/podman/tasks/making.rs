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
    OwnPod, PODMAN_TIMEOUT, START_TIMEOUT, TaskRunner,
    found_pod::{KnownContainer, KnownPod},
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
            paths::{self, MissingHostPath},
            tar,
        },
        processors::processor_count,
    },
    wire::podman::{
        answers::{InspectedPodContainer, plain_reason},
        libpod::{
            ContainerRequest, ContainerRole, DEFAULT_NETWORK, HOST_ROOT_MOUNT, ImageUser, PlannedContainer,
            PodMaker, PodPlan, SubPath, Surroundings, VolumeRequest,
        },
        names::{infra_name, pod_name_prefix},
        session,
    },
};

/// A pod that is being made.
pub(super) struct PodBuilder<'a> {
    tasks: &'a TaskRunner,
    workload: &'a Workload,
    pub(super) plan: PodPlan<'a>,
    surroundings: Surroundings,
    /// Where podman keeps volumes.
    places: BTreeMap<String, String>,
    images: BTreeMap<String, ImageUser>,
    /// podman's id of the pod.
    pod: String,
    /// podman's ids of the containers that were made, in the order of the steps.
    ids: Vec<String>,
    /// Paths of the host that the agent couldn't see to.
    wanted: Vec<MissingHostPath>,
}

/// Says what a refusal is about.
fn with_subject(what: &str) -> impl FnOnce(Error) -> Error {
    let what = what.to_owned();
    move |error| match error {
        Error::Refused(reason) => Error::Refused(format!("{what}: {}", plain_reason(&[reason]))),
        Error::Late(_) => Error::Late(what),
        error => error,
    }
}

/// What the author calls a container.
fn container_label(step: &PlannedContainer) -> String {
    format!("container '{}'", step.name)
}

impl<'a> PodBuilder<'a> {
    /// Reads the specification, and makes ready what has to be there before the pod.
    pub(super) fn new(
        tasks: &'a TaskRunner,
        workload: &'a Workload,
        agent: PodMaker<'a>,
    ) -> Result<Self, Error> {
        let system = rustix::system::sysinfo();
        let surroundings = Surroundings {
            cores: processor_count(),
            memory: u64::from(system.mem_unit).saturating_mul(system.totalram as u64),
            host_address: host_address(),
            ..Surroundings::default()
        };
        let plan = PodPlan::new(workload, agent, surroundings).map_err(Error::Refused)?;
        let (places, images, pod) = (BTreeMap::new(), BTreeMap::new(), String::new());
        let (ids, wanted) = (Vec::new(), Vec::new());
        let builder = Self { tasks, workload, plan, surroundings, places, images, pod, ids, wanted };
        let trees: Vec<_> = builder.plan.file_volumes().collect();
        if agent.trees_dir.is_some() {
            tasks.volumes.make(&workload.id, &trees).map_err(Error::Refused)?;
        } else if trees.iter().any(|tree| tree.is_secret) {
            let why = "volumes with Secrets take an agent of the user whose podman it is";
            return Err(Error::Refused(why.to_owned()));
        }
        let mut wanted = Vec::new();
        for path in builder.plan.host_paths() {
            wanted.extend(paths::prepare(path).map_err(Error::Refused)?);
        }
        Ok(Self { wanted, ..builder })
    }

    /// The same once more: what was made of it is gone.
    pub(super) fn fresh_builder(&self) -> Result<Self, Error> {
        let agent = self.plan.agent();
        Self::new(self.tasks, self.workload, agent)
    }

    fn post(&self, path: &str, body: &impl serde::Serialize) -> Result<PodmanAnswer, Error> {
        let body = serde_json::to_string(body).unwrap_or_default(); // plain structures: it can't fail
        self.tasks.client.post(path, &[], &body, PODMAN_TIMEOUT)
    }

    /// The pod without its containers; nothing of it runs.
    pub(super) fn create_pod(&mut self, cpu: CpuLimit) -> Result<(), Error> {
        let request = self.plan.pod_request(cpu);
        let mut answer = self.post("pods/create", &request)?;
        if matches!(answer.check_success(), Err(Error::Refused(why)) if why.contains("network not found")) {
            // podman 4 leaves something of it behind: ours, as of all podmans each looks at the name first
            let half = format!("pods/{}", self.workload.id);
            self.tasks.client.delete(&half, &[("force", "true"), ("timeout", "0")], PODMAN_TIMEOUT)?;
            let network = json!({ "name": DEFAULT_NETWORK, "driver": "bridge", "dns_enabled": true });
            self.post("networks/create", &network)?; // another start may be faster
            answer = self.post("pods/create", &request)?;
        }
        self.surroundings.major = answer.major;
        let made: Value = answer.json().map_err(with_subject("the pod"))?;
        self.pod = made["Id"].as_str().unwrap_or_default().to_owned();
        Ok(())
    }

    /// The volumes that go with the pod, and those of which parts are mounted.
    pub(super) fn create_volumes(&mut self) -> Result<(), Error> {
        for request in self.plan.own_volumes() {
            let mut place = self.create_volume(request)?;
            let mode = fs::Permissions::from_mode(if self.plan.has_fs_group() { 0o2777 } else { 0o777 });
            if request.is_open
                && let Err(error) = fs::set_permissions(&place, mode)
            {
                log::debug!("failed to open '{place}' to all users: {error}");
                if let Some(plain) = request.without_options() {
                    place = self.create_volume(&plain)?;
                }
            }
            self.places.insert(request.name.clone(), place);
        }
        for name in self.plan.sub_path_claims() {
            let mut answer = self.tasks.client.get(&format!("volumes/{name}/json"), &[], PODMAN_TIMEOUT)?;
            if answer.is_missing() {
                answer = self.post("volumes/create", &json!({ "Name": name }))?;
            }
            self.places.insert(name, mountpoint(&answer)?);
        }
        Ok(())
    }

    /// A new volume; says where it is.
    fn create_volume(&self, request: &VolumeRequest) -> Result<String, Error> {
        let mut answer = self.post("volumes/create", request)?;
        if matches!(answer.check_success(), Err(Error::Refused(why)) if why.contains("already exists")) {
            // of a pod that was removed by hand
            self.tasks
                .client
                .delete(&format!("volumes/{}", request.name), &[], PODMAN_TIMEOUT)?
                .check_success()?;
            answer = self.post("volumes/create", request)?;
        }
        mountpoint(&answer)
    }

    /// Has podman make what the agent may not.
    fn have_podman_make(&self, wanted: &[MissingHostPath]) -> Result<(), Error> {
        let Some(host_view) = self.plan.host_view_container().filter(|_| !wanted.is_empty()) else {
            return Ok(());
        };
        let client = &self.tasks.client;
        self.with_temporary_container(&host_view, |archive| {
            for MissingHostPath { path, is_directory } in wanted {
                let has = |path: &str| {
                    client.exists(archive, &[("path", &format!("{HOST_ROOT_MOUNT}{path}"))], PODMAN_TIMEOUT)
                };
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
                let body = tar::single_entry_archive(path.trim_matches('/'), *is_directory)
                    .map_err(Error::Refused)?;
                client
                    .put(
                        archive,
                        &[("path", HOST_ROOT_MOUNT), ("copyUIDGID", "false")],
                        &body,
                        PODMAN_TIMEOUT,
                    )?
                    .check_success()?;
            }
            Ok(())
        })
    }

    /// Makes a container that never runs, does this to its archive, and removes it; after a failure it goes with the pod.
    fn with_temporary_container(
        &self,
        request: &ContainerRequest,
        fill: impl FnOnce(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let answer: Value = self.post("containers/create", request)?.json()?;
        let path = format!("containers/{}", answer["Id"].as_str().unwrap_or_default());
        fill(&format!("{path}/archive"))?;
        self.tasks
            .client
            .delete(&path, &[("force", "true"), ("timeout", "0")], PODMAN_TIMEOUT)?
            .check_success()
    }

    /// The files in volumes of podman's, and the paths of the host.
    pub(super) fn write_files(&self) -> Result<(), Error> {
        self.have_podman_make(&self.wanted)?;
        let Some((file_copy, trees)) = self.plan.file_copy_container() else { return Ok(()) };
        self.with_temporary_container(&file_copy, |archive| {
            for (place, tree) in trees {
                let body = tar::archive(tree).map_err(Error::Refused)?;
                let query = [("path", &*place), ("copyUIDGID", "false")];
                self.tasks.client.put(archive, &query, &body, PODMAN_TIMEOUT)?.check_success()?;
            }
            Ok(())
        })
    }

    /// Starts what holds the pod's namespaces: its network is there from then on. What is done `meanwhile` need not wait
    /// for it, unless a container is told the pod's address.
    pub(super) fn start_infra(
        &mut self,
        meanwhile: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (client, infra) = (&self.tasks.client, infra_name(self.workload.id.as_str()));
        let path = format!("containers/{infra}/start");
        let start =
            || client.post(&path, &[], "", START_TIMEOUT)?.check_success().map_err(with_subject("the pod"));
        if self.plan.needs_pod_ip() {
            start()?;
            let answer: Value =
                client.get(&format!("containers/{infra}/json"), &[], PODMAN_TIMEOUT)?.json()?;
            // in the host's own network it has the host's
            self.surroundings.address =
                session::container_address(&answer).or(self.surroundings.host_address);
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

    fn image_info(&mut self, step: &PlannedContainer) -> Result<ImageUser, Error> {
        if !self.plan.asks_image_for_user(step, self.surroundings.major) {
            return Ok(ImageUser::default());
        }
        if let Some(known) = self.images.get(&step.image) {
            return Ok(known.clone());
        }
        let answer = self.tasks.client.get(&format!("images/{}/json", step.image), &[], PODMAN_TIMEOUT)?;
        let answer: Value = answer.json().map_err(with_subject(&container_label(step)))?;
        let image = ImageUser { user: answer["User"].as_str().unwrap_or_default().to_owned() };
        self.images.insert(step.image.clone(), image.clone());
        Ok(image)
    }

    /// Makes a container, and doesn't start it.
    pub(super) fn create_container(&mut self, step: &PlannedContainer) -> Result<(), Error> {
        let image = self.image_info(step)?;
        let place = |name: &str| self.places.get(name).cloned().unwrap_or_default();
        let mut made =
            self.plan.container_plan(step, self.surroundings, &image, &place).map_err(Error::Refused)?;
        if self.surroundings.major >= 5 && made.request.lacks_shared_memory() {
            let infra = infra_name(self.workload.id.as_str());
            let answer = self.tasks.client.get(&format!("containers/{infra}/json"), &[], PODMAN_TIMEOUT)?;
            let answer: Value = answer.json()?;
            if let Some(place) = answer["StaticDir"].as_str() {
                made.request.mount_shared_memory(format!("{place}/shm"));
            }
        }
        for SubPath { volume, path } in &made.parts {
            let place = self.places.get(volume).unwrap_or(volume);
            paths::ensure_subpath(place, path)
                .map_err(|why| Error::Refused(format!("{}: {why}", container_label(step))))?;
        }
        let answer: Value = self
            .post("containers/create", &made.request)?
            .json()
            .map_err(with_subject(&container_label(step)))?;
        self.ids.push(answer["Id"].as_str().unwrap_or_default().to_owned());
        Ok(())
    }

    /// What was made, as far as it stays: podman need not be asked what that is.
    pub(super) fn known_pod(&self) -> Option<(OwnPod, KnownPod)> {
        let made = self
            .plan
            .planned_containers()
            .iter()
            .zip(&self.ids)
            .filter(|(step, _)| step.role != ContainerRole::Init);
        let named = |(step, id): (&PlannedContainer, &String)| InspectedPodContainer {
            id: id.clone(),
            name: PodPlan::container_name(&self.workload.id, step),
        };
        let containers = made.map(|it| KnownContainer { listed: named(it), life: None }).collect();
        let known = KnownPod { infra: infra_name(self.workload.id.as_str()), containers };
        let own = OwnPod { id: self.pod.as_str().into(), hooks: self.plan.hooks().map(Into::into) };
        let is_told = !self.pod.is_empty() && self.ids.iter().all(|id| !id.is_empty());
        is_told.then_some((own, known))
    }

    pub(super) fn start(&self, step: &PlannedContainer) -> Result<(), Error> {
        let path = format!("containers/{}/start", PodPlan::container_name(&self.workload.id, step));
        self.tasks
            .client
            .post(&path, &[], "", START_TIMEOUT)?
            .check_success()
            .map_err(with_subject(&container_label(step)))
    }

    /// Says it in names that the workload's author gave.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Refused(reason) => Error::Refused(self.with_author_names(reason)),
            error => error,
        }
    }

    /// The same of a reason.
    pub(super) fn with_author_names(&self, reason: String) -> String {
        let mut reason = with_author_names(&self.workload.id, reason);
        for (step, id) in
            self.plan.planned_containers().iter().zip(&self.ids).filter(|(_, id)| !id.is_empty())
        {
            reason = reason.replace(id, &format!("'{}'", step.name));
        }
        Redactor::of([&self.workload.content].into_iter()).redact(&reason).into_owned()
    }
}

/// Without what the names of volumes begin with.
fn with_author_names(id: &WorkloadId, reason: String) -> String {
    reason.replace(&pod_name_prefix(id), "")
}

/// Where podman keeps the volume.
fn mountpoint(answer: &PodmanAnswer) -> Result<String, Error> {
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
