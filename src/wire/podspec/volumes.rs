//! The volumes of a pod.

use super::{
    container::PullPolicy,
    env::{ObjectFieldSelector, ResourceFieldSelector},
    reader::{mapping, words},
    values::{AbsolutePath, Below, Filled, Key, Label, Mode, Quantity, Subdomain},
};

mapping! {
    /// A volume: exactly one of its sources.
    Volume {
        name: Label = "name",
        config_map: Option<ConfigMapVolume> = "configMap",
        secret: Option<SecretVolume> = "secret",
        empty_dir: Option<EmptyDir> = "emptyDir",
        host_path: Option<HostPath> = "hostPath",
        persistent_volume_claim: Option<ClaimVolume> = "persistentVolumeClaim",
        projected: Option<ProjectedVolume> = "projected",
        downward_api: Option<DownwardVolume> = "downwardAPI",
        image: Option<ImageVolume> = "image",
    }
}

mapping! {
    /// The values of a `ConfigMap` as files, also in a projected volume (which has a mode for all).
    ConfigMapVolume {
        name: Subdomain = "name",
        items: Vec<KeyToPath> = "items",
        default_mode: Option<Mode> = "defaultMode",
        optional: bool = "optional",
    }
}

mapping! {
    /// Those of a `Secret`.
    SecretVolume {
        secret_name: Subdomain = "secretName",
        items: Vec<KeyToPath> = "items",
        default_mode: Option<Mode> = "defaultMode",
        optional: bool = "optional",
    }
}

mapping! {
    /// Which value becomes a file, and where.
    KeyToPath {
        key: Key = "key",
        path: Below = "path",
        mode: Option<Mode> = "mode",
    }
}

mapping! {
    /// A directory that lives as long as the pod.
    EmptyDir {
        medium: Medium = "medium",
        size_limit: Option<Quantity> = "sizeLimit",
    }
}

words! {
    /// What a directory is on.
    Medium { Disk = "", Memory = "Memory", }
}

mapping! {
    /// Something on the device.
    HostPath {
        path: AbsolutePath = "path",
        kind: HostPathKind = "type",
    }
}

words! {
    /// What must be there, or is made.
    HostPathKind {
        Unchecked = "",
        Directory = "Directory",
        DirectoryOrCreate = "DirectoryOrCreate",
        File = "File",
        FileOrCreate = "FileOrCreate",
        Socket = "Socket",
        CharDevice = "CharDevice",
        BlockDevice = "BlockDevice",
    }
}

mapping! {
    /// A directory whose content stays when the pod goes.
    ClaimVolume {
        claim_name: Subdomain = "claimName",
        read_only: bool = "readOnly",
    }
}

mapping! {
    /// The files of an image.
    ImageVolume {
        reference: Filled = "reference",
        pull_policy: Option<PullPolicy> = "pullPolicy",
    }
}

mapping! {
    /// Fields of the pod as files.
    DownwardVolume {
        items: Vec<DownwardFile> = "items",
        default_mode: Option<Mode> = "defaultMode",
    }
}

mapping! {
    /// A field of the pod, or a limit or request of a container: exactly one of both.
    DownwardFile {
        path: Below = "path",
        mode: Option<Mode> = "mode",
        field_ref: Option<ObjectFieldSelector> = "fieldRef",
        resource_field_ref: Option<ResourceFieldSelector> = "resourceFieldRef",
    }
}

mapping! {
    /// Several sources in one volume.
    ProjectedVolume {
        sources: Vec<ProjectedSource> = "sources",
        default_mode: Option<Mode> = "defaultMode",
    }
}

mapping! {
    /// Exactly one of these.
    ProjectedSource {
        config_map: Option<ProjectedKeys> = "configMap",
        secret: Option<ProjectedKeys> = "secret",
        downward_api: Option<ProjectedDownward> = "downwardAPI",
    }
}

mapping! {
    /// The values of a `ConfigMap` or `Secret` in a projected volume.
    ProjectedKeys {
        name: Subdomain = "name",
        items: Vec<KeyToPath> = "items",
        optional: bool = "optional",
    }
}

mapping! {
    /// Fields of the pod in a projected volume.
    ProjectedDownward {
        items: Vec<DownwardFile> = "items",
    }
}
