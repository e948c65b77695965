//! What stands behind each volume, and how containers mount it.
//!
//! podman shares the names of volumes host-wide. So these names are the workload's own: two workloads never see each
//! other's files.

use std::collections::BTreeMap;

use super::{
    env::{Variables, expand_variables},
    fields::PodContext,
    file_volumes,
    file_volumes::FileVolume,
    problem::SpecProblem,
    request::{BindMount, HostDeviceNode, ImageMount, VolumeMount, VolumeRequest},
};
use crate::wire::{
    field::FieldPath,
    ownership::short_name,
    podman::names::pod_name_prefix,
    podspec::{
        container::{self, Container, Propagation},
        values::{Quantity, UnixId},
        volumes::{HostPath, HostPathKind, Medium, Volume},
    },
};

/// Bytes; what tmpfs counts in.
const PAGE_SIZE: u64 = 4096;

/// What stands behind a volume.
pub(super) enum VolumeBacking {
    /// Files that the agent writes.
    Tree(FileVolume),
    /// A volume of podman's.
    Named { name: String, in_memory: bool, read_only: bool },
    /// A path of the host.
    Host(HostPath),
    /// An image's files.
    Image(String),
}

/// The volumes of a pod.
pub(super) struct Volumes {
    pub(super) sources: BTreeMap<String, VolumeBacking>,
    /// Those that podman is to make for this pod alone.
    pub(super) own: Vec<VolumeRequest>,
}

/// A part of a volume of podman's that a container mounts alone: it has to be made first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubPath {
    /// podman's name of the volume, or a path of the host.
    pub volume: String,
    /// Below it.
    pub path: String,
}

impl Volumes {
    /// `owner`: the user of all containers that may write, where it is one.
    pub(super) fn read(
        context: &PodContext,
        owner: Option<UnixId>,
        group: Option<UnixId>,
    ) -> Result<Self, SpecProblem> {
        let mut volumes = Self { sources: BTreeMap::new(), own: Vec::new() };
        for (index, volume) in context.spec.volumes.iter().enumerate() {
            let at = FieldPath::from(["volumes"]).child(index);
            let source = if let Some(tree) = file_volumes::file_volume(volume, &at, context, group.is_some())?
            {
                if context.agent.trees_dir.is_none() {
                    let named = own_volume_name(context, volume);
                    volumes
                        .own
                        .push(VolumeRequest { is_open: false, ..volume_request(&named, None, None, None) });
                }
                VolumeBacking::Tree(tree)
            } else if let Some(empty) = &volume.empty_dir {
                let name = own_volume_name(context, volume);
                let in_memory = empty.medium == Medium::Memory;
                let limit = empty.size_limit.as_ref().and_then(Quantity::bytes);
                volumes.own.push(volume_request(&name, in_memory.then_some(limit), owner, group));
                VolumeBacking::Named { name, in_memory, read_only: false }
            } else if let Some(claim) = &volume.persistent_volume_claim {
                // its data outlives the pod, and changes of the workload's content
                let name = format!("{}_{}", short_name(context.workload), claim.claim_name.0);
                VolumeBacking::Named { name, in_memory: false, read_only: claim.read_only }
            } else if let Some(host) = &volume.host_path {
                VolumeBacking::Host(host.clone())
            } else if let Some(image) = &volume.image {
                VolumeBacking::Image(image.reference.0.clone())
            } else {
                return Err((at, "is of no kind that a device has".to_owned()));
            };
            volumes.sources.insert(volume.name.0.clone(), source);
        }
        Ok(volumes)
    }

    /// podman's name of the claim behind this volume, if there is one.
    pub(super) fn claim_volume_name(&self, volume: &str) -> Option<&str> {
        match self.sources.get(volume)? {
            VolumeBacking::Named { name, .. } if self.own.iter().all(|own| own.name != *name) => Some(name),
            _ => None,
        }
    }

    /// The trees to be written.
    pub(super) fn file_volumes(&self) -> impl Iterator<Item = &FileVolume> {
        self.sources.values().filter_map(|source| match source {
            VolumeBacking::Tree(tree) => Some(tree),
            _ => None,
        })
    }

    /// The paths of the host that must be there.
    pub(super) fn host_paths(&self) -> impl Iterator<Item = &HostPath> {
        self.sources.values().filter_map(|source| match source {
            VolumeBacking::Host(path) => Some(path),
            _ => None,
        })
    }
}

/// What podman calls a volume that goes with the pod.
fn own_volume_name(context: &PodContext, volume: &Volume) -> String {
    format!("{}{}", pod_name_prefix(&context.workload.id), volume.name.0)
}

/// `memory`: how much of it, where it is in memory at all.
fn volume_request(
    name: &str,
    memory: Option<Option<u64>>,
    owner: Option<UnixId>,
    group: Option<UnixId>,
) -> VolumeRequest {
    // otherwise podman would give it to the user of the first container that mounts it
    let ids = format!("uid={},gid={}", owner.unwrap_or_default().0, group.unwrap_or_default().0);
    let mut options = BTreeMap::new();
    match memory {
        None => drop(options.insert("o", ids)),
        Some(limit) => {
            // (podman 4 takes no `size`)
            let size = limit.map(|bytes| format!("nr_blocks={},", bytes.div_ceil(PAGE_SIZE)));
            let mode = if group.is_some() { "2777" } else { "0777" };
            options.insert("type", "tmpfs".to_owned());
            options.insert("device", "tmpfs".to_owned());
            options.insert("o", format!("{}mode={mode},{ids}", size.unwrap_or_default()));
        }
    }
    VolumeRequest { name: name.to_owned(), is_open: true, driver: "local", options }
}

/// How a container mounts its volumes.
#[derive(Default)]
pub(super) struct Mounts {
    pub(super) binds: Vec<BindMount>,
    pub(super) volumes: Vec<VolumeMount>,
    pub(super) devices: Vec<HostDeviceNode>,
    pub(super) images: Vec<ImageMount>,
    /// What has to be there first.
    pub(super) parts: Vec<SubPath>,
}

impl Volumes {
    /// `place` tells where podman keeps a volume.
    pub(super) fn mounts(
        &self,
        (container, at): (&Container, &FieldPath),
        context: &PodContext,
        variables: &Variables,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Mounts, SpecProblem> {
        let mut mounts = Mounts::default();
        for (index, mount) in container.volume_mounts.iter().enumerate() {
            let wrong = |(key, why): MountError| (at.child("volumeMounts").child(index).child(key), why);
            let name = &*mount.name.0;
            let source = self.sources.get(name);
            let source = source.ok_or_else(|| wrong(("name", format!("there is no volume `{name}`"))))?;
            let part = sub_path(mount, variables).ok_or_else(|| {
                let key = if mount.sub_path_expr.is_empty() { "subPath" } else { "subPathExpr" };
                wrong((key, "must be a relative path without `..`".to_owned()))
            })?;
            let is_privileged = container.security_context.privileged;
            let mounting = MountBuilder { mount, source, part, is_privileged, context, place };
            mounting.add_to(&mut mounts).map_err(wrong)?;
        }
        Ok(mounts)
    }
}

/// The field of a mount that can't be, and why.
type MountError = (&'static str, String);

/// How a container mounts a volume.
struct MountBuilder<'a> {
    mount: &'a container::VolumeMount,
    source: &'a VolumeBacking,
    /// Which part of it; empty: all of it.
    part: String,
    is_privileged: bool,
    context: &'a PodContext<'a>,
    place: &'a dyn Fn(&str) -> String,
}

impl MountBuilder<'_> {
    /// The path in the container, and the options in podman's words.
    fn path_and_options(&self) -> (&str, Vec<String>) {
        let Self { mount, source, .. } = self;
        // podman's own way to write options, which its users knew
        let (path, more) = mount.mount_path.0.split_once(':').unwrap_or((&mount.mount_path.0, ""));
        let mut options: Vec<String> =
            more.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        if mount.read_only
            || matches!(source, VolumeBacking::Tree(_) | VolumeBacking::Named { read_only: true, .. })
        {
            options.push("ro".to_owned());
        }
        options.extend(match mount.mount_propagation {
            Propagation::None => None,
            Propagation::HostToContainer => Some("rslave".to_owned()),
            Propagation::Bidirectional => Some("rshared".to_owned()),
        });
        (path, options)
    }

    fn add_to(&self, mounts: &mut Mounts) -> Result<(), MountError> {
        let (path, mut options) = self.path_and_options();
        let Self { part, place, .. } = self;
        let whole_only = |what| Err(("subPath", format!("{what} can be mounted as a whole only")));
        let source = match self.source {
            VolumeBacking::Tree(tree) => {
                let name = &*self.mount.name.0;
                if !part.is_empty() && !tree.contains_path(part) {
                    return Err(("subPath", format!("there is no `{part}` in the volume `{name}`")));
                }
                let named = format!("{}{name}", pod_name_prefix(&self.context.workload.id));
                match self.context.agent.trees_dir {
                    Some(dir) => {
                        // where there is SELinux, the files get the label of containers
                        options.push("z".to_owned());
                        join(&format!("{dir}/{name}"), part)
                    }
                    None if part.is_empty() => {
                        mounts.add_volume_mount(named, path, options);
                        return Ok(());
                    }
                    None => join(&place(&named), part),
                }
            }
            VolumeBacking::Named { name, .. } if part.is_empty() => {
                mounts.add_volume_mount(name.clone(), path, options);
                return Ok(());
            }
            VolumeBacking::Image(image) if part.is_empty() => {
                let (source, destination) = (image.clone(), path.to_owned());
                mounts.images.push(ImageMount { source, destination, read_write: false });
                return Ok(());
            }
            VolumeBacking::Image(_) => return whole_only("an image"),
            VolumeBacking::Named { in_memory: true, .. } => return whole_only("a volume in memory"),
            VolumeBacking::Named { name, .. } => {
                mounts.parts.push(SubPath { volume: name.clone(), path: part.clone() });
                join(&place(name), part)
            }
            VolumeBacking::Host(HostPath { path: host, kind }) => {
                if !part.is_empty() {
                    mounts.parts.push(SubPath { volume: host.0.clone(), path: part.clone() });
                }
                let is_device = matches!(kind, HostPathKind::CharDevice | HostPathKind::BlockDevice);
                if is_device && !self.is_privileged {
                    // a bind mount alone would leave it out of reach
                    mounts.devices.push(HostDeviceNode { path: format!("{}:{path}", host.0) });
                    return Ok(());
                }
                join(&host.0, part)
            }
        };
        options.push("rbind".to_owned());
        mounts.binds.push(BindMount { kind: "bind", source, destination: path.to_owned(), options });
        Ok(())
    }
}

impl Mounts {
    /// A volume of podman's.
    fn add_volume_mount(&mut self, name: String, path: &str, mut options: Vec<String>) {
        options.push("nocopy".to_owned());
        self.volumes.push(VolumeMount { name, dest: path.to_owned(), options });
    }
}

/// Which part of the volume; empty: all of it. `None`: it leads out.
fn sub_path(mount: &container::VolumeMount, variables: &Variables) -> Option<String> {
    match &*mount.sub_path_expr {
        "" => file_volumes::normalize_path(&mount.sub_path),
        expression => file_volumes::normalize_path(&expand_variables(expression, variables)),
    }
}

fn join(path: &str, part: &str) -> String {
    if part.is_empty() { path.to_owned() } else { format!("{}/{part}", path.trim_end_matches('/')) }
}
