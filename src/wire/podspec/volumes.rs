//! The volumes of a pod.

use super::{
    container::PullPolicy,
    env::{ObjectFieldSelector, ResourceFieldSelector},
    types::{mapping, words},
    values::{AbsolutePath, Below, FileMode, Filled, Key, Label, Quantity, Subdomain},
};

mapping! {
    /// A volume: exactly one of its sources.
    Volume {
        name: Label,
        config_map: Option<ConfigMapVolume>,
        secret: Option<SecretVolume>,
        empty_dir: Option<EmptyDir>,
        host_path: Option<HostPath>,
        persistent_volume_claim: Option<ClaimVolume>,
        projected: Option<ProjectedVolume>,
        downward_api: Option<DownwardVolume> = "downwardAPI",
        image: Option<ImageVolume>,
    }
}

mapping! {
    /// The values of a `ConfigMap` as files, also in a projected volume (which has a mode for all).
    ConfigMapVolume {
        name: Subdomain,
        items: Vec<KeyToPath>,
        default_mode: Option<FileMode>,
        optional: bool,
    }
}

mapping! {
    /// Those of a `Secret`.
    SecretVolume {
        secret_name: Subdomain,
        items: Vec<KeyToPath>,
        default_mode: Option<FileMode>,
        optional: bool,
    }
}

mapping! {
    /// Which value becomes a file, and where.
    KeyToPath { key: Key, path: Below, mode: Option<FileMode> }
}

mapping! {
    /// A directory that lives as long as the pod.
    EmptyDir { medium: Medium, size_limit: Option<Quantity> }
}

words! {
    /// What a directory is on.
    Medium { Disk = "", Memory }
}

mapping! {
    /// Something on the device.
    HostPath { path: AbsolutePath, kind: HostPathKind = "type" }
}

words! {
    /// What must be there, or is made.
    HostPathKind {
        Unchecked = "",
        Directory,
        DirectoryOrCreate,
        File,
        FileOrCreate,
        Socket,
        CharDevice,
        BlockDevice,
    }
}

mapping! {
    /// A directory whose content stays when the pod goes.
    ClaimVolume { claim_name: Subdomain, read_only: bool }
}

mapping! {
    /// The files of an image.
    ImageVolume { reference: Filled, pull_policy: Option<PullPolicy> }
}

mapping! {
    /// Fields of the pod as files.
    DownwardVolume { items: Vec<DownwardFile>, default_mode: Option<FileMode> }
}

mapping! {
    /// A field of the pod, or a limit or request of a container: exactly one of both.
    DownwardFile {
        path: Below,
        mode: Option<FileMode>,
        field_ref: Option<ObjectFieldSelector>,
        resource_field_ref: Option<ResourceFieldSelector>,
    }
}

mapping! {
    /// Several sources in one volume.
    ProjectedVolume { sources: Vec<ProjectedSource>, default_mode: Option<FileMode> }
}

mapping! {
    /// Exactly one of these.
    ProjectedSource {
        config_map: Option<ProjectedKeys>,
        secret: Option<ProjectedKeys>,
        downward_api: Option<ProjectedDownward> = "downwardAPI",
    }
}

mapping! {
    /// The values of a `ConfigMap` or `Secret` in a projected volume.
    ProjectedKeys { name: Subdomain, items: Vec<KeyToPath>, optional: bool }
}

mapping! {
    /// Fields of the pod in a projected volume.
    ProjectedDownward { items: Vec<DownwardFile> }
}
