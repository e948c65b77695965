//! A container.

use super::{
    env::{EnvFromSource, EnvVar},
    lifecycle::Lifecycle,
    probe::Probe,
    security::SecurityContext,
    types::{mapping, words},
    values::{
        AbsolutePath, Filled, HostPortNumber, IanaServiceName, IpAddressText, Label, Port, ResourceList,
        Shown,
    },
};

mapping! {
    /// A container, also one of `initContainers`.
    Container {
        name: Shown,
        image: Filled,
        image_pull_policy: Option<PullPolicy>,
        command: Vec<String>,
        args: Vec<String>,
        working_dir: Option<String>,
        env: Vec<EnvVar>,
        env_from: Vec<EnvFromSource>,
        ports: Vec<ContainerPort>,
        resources: ResourceRequirements,
        volume_mounts: Vec<VolumeMount>,
        startup_probe: Option<Box<Probe>>,
        liveness_probe: Option<Box<Probe>>,
        readiness_probe: Option<Box<Probe>>,
        lifecycle: Option<Box<Lifecycle>>,
        restart_policy: Option<RestartPolicy>,
        security_context: SecurityContext,
        stdin: bool,
        stdin_once: bool,
        tty: bool,
    }
}

words! {
    /// When a container, or each container of a pod, is started again.
    RestartPolicy { Always, OnFailure, Never }
}

words! {
    /// When an image is pulled. Without one it depends on the image's tag.
    PullPolicy { Always, IfNotPresent, Never }
}

mapping! {
    /// A port of a container. It is published only where `hostPort` says so.
    ContainerPort {
        name: IanaServiceName,
        container_port: Port,
        host_port: HostPortNumber,
        host_ip: Option<IpAddressText> = "hostIP",
        protocol: Protocol,
    }
}

words! {
    /// Of a port.
    Protocol { Tcp = "TCP", Udp = "UDP", Sctp = "SCTP" }
}

mapping! {
    /// What a container, or a pod, may take and wants to have.
    ResourceRequirements { limits: ResourceList, requests: ResourceList }
}

mapping! {
    /// Where a volume is seen in a container.
    VolumeMount {
        name: Label,
        mount_path: AbsolutePath,
        sub_path: String,
        sub_path_expr: String,
        read_only: bool,
        recursive_read_only: Option<RecursiveReadOnly>,
        mount_propagation: Propagation,
    }
}

words! {
    /// Whether what is mounted below is read-only, too.
    RecursiveReadOnly { Disabled, IfPossible, Enabled }
}

words! {
    /// Whether mounts below are seen on the other side.
    Propagation { None, HostToContainer, Bidirectional }
}
