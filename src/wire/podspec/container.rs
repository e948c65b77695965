//! A container.

use super::{
    env::{EnvFromSource, EnvVar},
    lifecycle::Lifecycle,
    probe::Probe,
    reader::{mapping, words},
    security::SecurityContext,
    values::{AbsolutePath, Address, Amounts, Filled, HostPort, Label, Port, ServiceName, Shown},
};

mapping! {
    /// A container, also one of `initContainers`.
    Container {
        name: Shown = "name",
        image: Filled = "image",
        image_pull_policy: Option<PullPolicy> = "imagePullPolicy",
        command: Vec<String> = "command",
        args: Vec<String> = "args",
        working_dir: Option<String> = "workingDir",
        env: Vec<EnvVar> = "env",
        env_from: Vec<EnvFromSource> = "envFrom",
        ports: Vec<ContainerPort> = "ports",
        resources: ResourceRequirements = "resources",
        volume_mounts: Vec<VolumeMount> = "volumeMounts",
        startup_probe: Option<Box<Probe>> = "startupProbe",
        liveness_probe: Option<Box<Probe>> = "livenessProbe",
        readiness_probe: Option<Box<Probe>> = "readinessProbe",
        lifecycle: Option<Box<Lifecycle>> = "lifecycle",
        restart_policy: Option<RestartPolicy> = "restartPolicy",
        security_context: SecurityContext = "securityContext",
        stdin: bool = "stdin",
        stdin_once: bool = "stdinOnce",
        tty: bool = "tty",
    }
}

words! {
    /// When a container, or each container of a pod, is started again.
    RestartPolicy { Always = "Always", OnFailure = "OnFailure", Never = "Never", }
}

words! {
    /// When an image is pulled. Without one it depends on the image's tag.
    PullPolicy { Always = "Always", IfNotPresent = "IfNotPresent", Never = "Never", }
}

mapping! {
    /// A port of a container. It is published only where `hostPort` says so.
    ContainerPort {
        name: ServiceName = "name",
        container_port: Port = "containerPort",
        host_port: HostPort = "hostPort",
        host_ip: Option<Address> = "hostIP",
        protocol: Protocol = "protocol",
    }
}

words! {
    /// Of a port.
    Protocol { Tcp = "TCP", Udp = "UDP", Sctp = "SCTP", }
}

mapping! {
    /// What a container, or a pod, may take and wants to have.
    ResourceRequirements {
        limits: Amounts = "limits",
        requests: Amounts = "requests",
    }
}

mapping! {
    /// Where a volume is seen in a container.
    VolumeMount {
        name: Label = "name",
        mount_path: AbsolutePath = "mountPath",
        sub_path: String = "subPath",
        sub_path_expr: String = "subPathExpr",
        read_only: bool = "readOnly",
        recursive_read_only: Option<RecursiveReadOnly> = "recursiveReadOnly",
        mount_propagation: Propagation = "mountPropagation",
    }
}

words! {
    /// Whether what is mounted below is read-only, too.
    RecursiveReadOnly { Disabled = "Disabled", IfPossible = "IfPossible", Enabled = "Enabled", }
}

words! {
    /// Whether mounts below are seen on the other side.
    Propagation { None = "None", HostToContainer = "HostToContainer", Bidirectional = "Bidirectional", }
}
