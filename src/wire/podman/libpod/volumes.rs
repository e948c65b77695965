//! What stands behind each volume, and how containers mount it.
//!
//! podman shares the names of volumes host-wide. So these names are the workload's own: two workloads never see each
//! other's files.

use std::collections::BTreeMap;

use super::{
    env::{Variables, expanded},
    fields::Asking,
    part::{Part, Problem},
    request::{Bind, Device, VolumeMount, VolumeRequest},
    resources, trees,
    trees::Tree,
};
use crate::wire::{ownership::short_name, podman::pod::own_prefix};

/// Bytes; what tmpfs counts in.
const PAGE: u64 = 4096;

/// What stands behind a volume.
pub(super) enum Source {
    /// Files that the agent writes.
    Tree(Tree),
    /// A volume of podman's.
    Named { name: String, in_memory: bool, read_only: bool },
    /// A path of the host.
    Host(HostPath),
}

/// A path of the host that a volume names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPath {
    /// Where.
    pub path: String,
    /// What must be there, or is to be made: Kubernetes' word for it; empty: anything.
    pub kind: String,
}

/// The volumes of a pod.
pub(super) struct Volumes {
    pub(super) sources: BTreeMap<String, Source>,
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

/// The kinds of a `hostPath`.
const KINDS: [&str; 8] =
    ["", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket", "CharDevice", "BlockDevice"];

impl Volumes {
    /// `owner`: the user of all containers that may write, where it is one.
    pub(super) fn read(asking: &Asking, owner: Option<u32>, group: Option<u32>) -> Result<Self, Problem> {
        let mut volumes = Self { sources: BTreeMap::new(), own: Vec::new() };
        let id = &asking.workload.id;
        for volume in asking.specification.get("volumes").items() {
            let name = volume.get("name").needed()?.to_owned();
            let [empty, claim, host] =
                ["emptyDir", "persistentVolumeClaim", "hostPath"].map(|key| volume.get(key));
            let given = |part: &Part| part.value.is_object();
            let source = if let Some(tree) = trees::tree(&volume, asking, group.is_some())? {
                if asking.agent.trees.is_none() {
                    let named = format!("{}{name}", own_prefix(id));
                    volumes.own.push(VolumeRequest { is_open: false, ..request(&named, None, None, None) });
                }
                Source::Tree(tree)
            } else if given(&empty) {
                let named = format!("{}{name}", own_prefix(id));
                let in_memory = match empty.get("medium").text()?.unwrap_or_default() {
                    "" => false,
                    "Memory" => true,
                    _ => return empty.problem_at("medium", "must be Memory, or empty"),
                };
                let limit = resources::quantity(&empty.get("sizeLimit"), false)?;
                volumes.own.push(request(&named, in_memory.then_some(limit), owner, group));
                Source::Named { name: named, in_memory, read_only: false }
            } else if given(&claim) {
                let (read_only, claim) = (claim.get("readOnly").is_set()?, claim.get("claimName").needed()?);
                // its data outlives the pod, and changes of the workload's content
                let name = format!("{}_{claim}", short_name(asking.workload));
                Source::Named { name, in_memory: false, read_only }
            } else if given(&host) {
                let kind = host.get("type");
                let (path, kind_of) = (host.get("path").needed()?, kind.text()?.unwrap_or_default());
                if !KINDS.contains(&kind_of) {
                    return kind.problem(format!("`{kind_of}` is none of {}", KINDS[1..].join(", ")));
                }
                if !path.starts_with('/') {
                    return host.problem_at("path", "must begin with `/`");
                }
                Source::Host(HostPath { path: path.to_owned(), kind: kind_of.to_owned() })
            } else {
                let mut kinds = volume.value.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
                let kind = kinds.find(|key| *key != "name").unwrap_or_default();
                return match kind {
                    "" => volume.problem("says not what kind of volume it is"),
                    kind => volume.problem_at(kind, "a device has no volumes of this kind"),
                };
            };
            if volumes.sources.insert(name.clone(), source).is_some() {
                return volume.problem_at("name", format!("`{name}` names two volumes"));
            }
        }
        Ok(volumes)
    }

    /// podman's name of the claim behind this volume, if there is one.
    pub(super) fn claim(&self, volume: &str) -> Option<&str> {
        match self.sources.get(volume)? {
            Source::Named { name, .. } if self.own.iter().all(|own| own.name != *name) => Some(name),
            _ => None,
        }
    }

    /// The trees to be written.
    pub(super) fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.sources.values().filter_map(|source| match source {
            Source::Tree(tree) => Some(tree),
            _ => None,
        })
    }

    /// The paths of the host that must be there.
    pub(super) fn host_paths(&self) -> impl Iterator<Item = &HostPath> {
        self.sources.values().filter_map(|source| match source {
            Source::Host(path) => Some(path),
            _ => None,
        })
    }
}

/// `memory`: how much of it, where it is in memory at all.
fn request(name: &str, memory: Option<Option<u64>>, owner: Option<u32>, group: Option<u32>) -> VolumeRequest {
    // otherwise podman would give it to the user of the first container that mounts it
    let ids = format!("uid={},gid={}", owner.unwrap_or(0), group.unwrap_or(0));
    let mut options = BTreeMap::new();
    match memory {
        None => drop(options.insert("o", ids)),
        Some(limit) => {
            // (podman 4 takes no `size`)
            let size = limit.map(|bytes| format!("nr_blocks={},", bytes.div_ceil(PAGE)));
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
    pub(super) binds: Vec<Bind>,
    pub(super) volumes: Vec<VolumeMount>,
    pub(super) devices: Vec<Device>,
    /// What has to be there first.
    pub(super) parts: Vec<SubPath>,
}

impl Volumes {
    /// `place` tells where podman keeps a volume.
    pub(super) fn mounts(
        &self,
        container: &Part,
        asking: &Asking,
        variables: &Variables,
        place: &dyn Fn(&str) -> String,
    ) -> Result<Mounts, Problem> {
        let mut mounts = Mounts::default();
        let mut taken = Vec::new();
        let is_privileged = container.get("securityContext").get("privileged").is_set()?;
        for mount in container.get("volumeMounts").items() {
            let name = mount.get("name").needed()?;
            let Some(source) = self.sources.get(name) else {
                return mount.problem_at("name", format!("there is no volume `{name}`"));
            };
            let at = mount.get("mountPath");
            // podman's own way to write options, which its users know
            let (path, more) = at.needed()?.split_once(':').unwrap_or((at.needed()?, ""));
            if !path.starts_with('/') {
                return at.problem("must begin with `/`");
            }
            let normal = path.trim_end_matches('/');
            if taken.contains(&normal) {
                return at.problem(format!("`{path}` is mounted twice"));
            }
            taken.push(normal);
            let mut options: Vec<String> =
                more.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
            let read_only = mount.get("readOnly").is_set()?
                || matches!(source, Source::Tree(_) | Source::Named { read_only: true, .. });
            if read_only {
                options.push("ro".to_owned());
            }
            let propagation = mount.get("mountPropagation");
            match propagation.text()?.unwrap_or_default() {
                "" | "None" => {}
                "HostToContainer" => options.push("rslave".to_owned()),
                "Bidirectional" => options.push("rshared".to_owned()),
                _ => return propagation.problem("must be None, HostToContainer or Bidirectional"),
            }
            let part = sub_path(&mount, variables)?;
            let source = match source {
                Source::Tree(tree) => {
                    if !part.is_empty() && !tree.has(&part) {
                        let message = format!("there is no `{part}` in the volume `{name}`");
                        return mount.problem_at("subPath", message);
                    }
                    let named = format!("{}{name}", own_prefix(&asking.workload.id));
                    match asking.agent.trees {
                        Some(trees) => {
                            // where there is SELinux, the files get the label of containers
                            options.push("z".to_owned());
                            join(&format!("{trees}/{name}"), &part)
                        }
                        None if part.is_empty() => {
                            options.push("nocopy".to_owned());
                            mounts.volumes.push(VolumeMount { name: named, dest: path.to_owned(), options });
                            continue;
                        }
                        None => join(&place(&named), &part),
                    }
                }
                Source::Named { name, .. } if part.is_empty() => {
                    options.push("nocopy".to_owned());
                    let (name, dest) = (name.clone(), path.to_owned());
                    mounts.volumes.push(VolumeMount { name, dest, options });
                    continue;
                }
                Source::Named { in_memory: true, .. } => {
                    return mount.problem_at("subPath", "a volume in memory can be mounted as a whole only");
                }
                Source::Named { name, .. } => {
                    mounts.parts.push(SubPath { volume: name.clone(), path: part.clone() });
                    join(&place(name), &part)
                }
                Source::Host(host) => {
                    if !part.is_empty() {
                        mounts.parts.push(SubPath { volume: host.path.clone(), path: part.clone() });
                    }
                    if host.kind.ends_with("Device") && !is_privileged {
                        // a bind mount alone would leave it out of reach
                        mounts.devices.push(Device { path: format!("{}:{path}", host.path) });
                        continue;
                    }
                    join(&host.path, &part)
                }
            };
            options.push("rbind".to_owned());
            mounts.binds.push(Bind { kind: "bind", source, destination: path.to_owned(), options });
        }
        Ok(mounts)
    }
}

/// Which part of the volume; empty: all of it.
fn sub_path(mount: &Part, variables: &Variables) -> Result<String, Problem> {
    let (plain, expression) = (mount.get("subPath"), mount.get("subPathExpr"));
    let (field, text) = match expression.text()? {
        Some(text) => (&expression, expanded(text, variables)),
        None => (&plain, plain.text()?.unwrap_or_default().to_owned()),
    };
    trees::plain(&text).map_or_else(|| field.problem("must be a relative path without `..`"), Ok)
}

fn join(path: &str, part: &str) -> String {
    if part.is_empty() { path.to_owned() } else { format!("{}/{part}", path.trim_end_matches('/')) }
}
