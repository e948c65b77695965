//! What becomes of each field of a specification: one table, which the reader asks, and from which the
//! [documentation](../../../docs/podspec.md) is made.

use super::fate::Table;
pub use kinds::KINDS;

mod kinds;
#[cfg(test)]
pub(in crate::wire) mod tests;

/// The table of a type; one without fields, if there is none.
pub(super) fn of(kind: &str) -> &'static Table {
    TABLES.iter().chain(KINDS).find(|table| table.kind == kind).unwrap_or(&BARE)
}

/// A pod or a container, if it has a field of this name: most that stands at the wrong place belongs to one of both.
pub(super) fn with(name: &str) -> Option<&'static Table> {
    TABLES.iter().take(2).find(|table| table.fate(name).is_some())
}

const BARE: Table = Table::BARE;

const NO_DISK: &str = "a device has no such disks: mount it on the device, and use `hostPath`";
const NO_CLOUD: &str = "it is a cloud's disk: use `hostPath` or `persistentVolumeClaim`";
const NO_SHARE: &str = "mount the share on the device, for example by systemd, and use `hostPath`";
const NO_WINDOWS: &str = "it is for Windows";
const NO_SCHEDULER: &str =
    "nothing chooses between devices here; `spec.deviceSelector` does on the control plane";
const NO_SERVER: &str = "there is no API server that would give one: use a Secret";

/// All there are.
pub const TABLES: &[Table] = &[
    Table {
        kind: "PodSpec",
        place: "the pod specification",
        required: "containers",
        obeyed: "containers initContainers volumes restartPolicy terminationGracePeriodSeconds \
                 activeDeadlineSeconds \
                 hostNetwork hostname hostAliases imagePullSecrets nodeName nodeSelector os hostUsers dnsConfig \
                 dnsPolicy hostIPC hostPID securityContext shareProcessNamespace resources",
        ignored: &[
            ("hostnameOverride", "`hostname` counts"),
            ("setHostnameAsFQDN", "a pod's name has no domain"),
        ],
        meaningless: &[
            (
                "affinity overhead preemptionPolicy schedulerName tolerations topologySpreadConstraints",
                NO_SCHEDULER,
            ),
            (
                "automountServiceAccountToken serviceAccount serviceAccountName",
                "there is no API server to authenticate to",
            ),
            ("enableServiceLinks", "no variables are made of Services"),
            ("priority priorityClassName", "the annotation `podman/priority` orders eviction"),
            ("readinessGates", "nothing waits for a pod to be ready"),
            ("subdomain", "there is no cluster's DNS"),
        ],
        refused: &[
            ("ephemeralContainers", "`podman exec` looks into a running container"),
            ("resourceClaims", "no driver gives devices out here: mount the device's node as a `hostPath`"),
            ("runtimeClassName", "every pod has podman's own runtime: `runtime` in containers.conf sets it"),
            ("schedulingGates", "nothing here would ever lift them: remove them"),
            ("workloadRef", "there is no scheduler that knows groups of pods: remove it"),
        ],
    },
    Table {
        kind: "Container",
        place: "a container",
        required: "name image",
        obeyed: "name image imagePullPolicy command args workingDir env envFrom ports resources \
                 volumeMounts livenessProbe readinessProbe startupProbe restartPolicy securityContext stdin tty \
                 lifecycle",
        ignored: &[("stdinOnce", "standard input stays open")],
        meaningless: &[
            ("resizePolicy", "nothing is resized while it runs"),
            ("terminationMessagePath terminationMessagePolicy", "`explain` shows the last lines of the log"),
        ],
        refused: &[
            ("restartPolicyRules", "`restartPolicy` of the pod decides for all exit codes"),
            ("volumeDevices", "mount the node of the block device as a `hostPath`"),
        ],
    },
    Table {
        kind: "EnvVar",
        place: "a variable in `env`",
        required: "name",
        obeyed: "name value valueFrom",
        ..BARE
    },
    Table {
        kind: "EnvVarSource",
        place: "`valueFrom`",
        obeyed: "configMapKeyRef secretKeyRef fieldRef resourceFieldRef",
        refused: &[("fileKeyRef", "let the command read the file: `sh -c '. FILE; exec …'`")],
        ..BARE
    },
    Table {
        kind: "KeySelector",
        place: "`configMapKeyRef` and `secretKeyRef`",
        required: "name key",
        obeyed: "name key optional",
        ..BARE
    },
    Table {
        kind: "ObjectFieldSelector",
        place: "`fieldRef`",
        required: "fieldPath",
        obeyed: "apiVersion fieldPath",
        ..BARE
    },
    Table {
        kind: "ResourceFieldSelector",
        place: "`resourceFieldRef`",
        required: "resource",
        obeyed: "containerName divisor resource",
        ..BARE
    },
    Table {
        kind: "EnvFromSource",
        place: "a source in `envFrom`",
        obeyed: "configMapRef secretRef prefix",
        ..BARE
    },
    Table {
        kind: "NameReference",
        place: "`configMapRef` and `secretRef`",
        required: "name",
        obeyed: "name optional",
        ..BARE
    },
    Table {
        kind: "LocalReference",
        place: "`imagePullSecrets`, of which the first counts",
        required: "name",
        obeyed: "name",
        ..BARE
    },
    Table {
        kind: "ContainerPort",
        place: "a port in `ports`",
        required: "containerPort",
        obeyed: "containerPort hostIP hostPort name protocol",
        ..BARE
    },
    Table {
        kind: "ResourceRequirements",
        place: "`resources`",
        obeyed: "limits requests",
        refused: &[("claims", "no driver gives devices out here: mount the device's node as a `hostPath`")],
        ..BARE
    },
    Table {
        kind: "VolumeMount",
        place: "a mount in `volumeMounts`",
        required: "name mountPath",
        obeyed: "name mountPath readOnly mountPropagation subPath subPathExpr",
        ignored: &[("recursiveReadOnly", "what is mounted below stays as it is")],
        ..BARE
    },
    Table {
        kind: "Probe",
        place: "a probe",
        obeyed: "exec httpGet tcpSocket grpc initialDelaySeconds periodSeconds timeoutSeconds \
                 failureThreshold successThreshold",
        ignored: &[("terminationGracePeriodSeconds", "the pod's counts")],
        ..BARE
    },
    Table { kind: "ExecAction", place: "`exec`", required: "command", obeyed: "command", ..BARE },
    Table {
        kind: "HttpGetAction",
        place: "`httpGet`",
        required: "port",
        obeyed: "host httpHeaders path port scheme",
        ..BARE
    },
    Table {
        kind: "HttpHeader",
        place: "a header in `httpHeaders`",
        required: "name",
        obeyed: "name value",
        ..BARE
    },
    Table { kind: "TcpSocketAction", place: "`tcpSocket`", required: "port", obeyed: "host port", ..BARE },
    Table { kind: "GrpcAction", place: "`grpc`", required: "port", obeyed: "port service", ..BARE },
    Table { kind: "Lifecycle", place: "`lifecycle`", obeyed: "postStart preStop stopSignal", ..BARE },
    Table {
        kind: "LifecycleHandler",
        place: "`postStart` and `preStop`",
        obeyed: "exec httpGet sleep",
        refused: &[("tcpSocket", "Kubernetes doesn't obey it either: use `exec`")],
        ..BARE
    },
    Table { kind: "SleepAction", obeyed: "seconds", place: "`sleep`", required: "seconds", ..BARE },
    Table {
        kind: "PodSecurityContext",
        place: "the pod's `securityContext`",
        obeyed: "runAsGroup runAsUser seLinuxOptions supplementalGroups appArmorProfile fsGroup \
                 runAsNonRoot seccompProfile sysctls",
        ignored: &[
            ("fsGroupChangePolicy", "files are given to the group at each start"),
            ("supplementalGroupsPolicy", "the groups of the image count as well"),
        ],
        meaningless: &[("seLinuxChangePolicy", "volumes get their label by podman")],
        refused: &[("windowsOptions", NO_WINDOWS)],
        ..BARE
    },
    Table {
        kind: "SecurityContext",
        place: "a container's `securityContext`",
        obeyed: "allowPrivilegeEscalation capabilities privileged readOnlyRootFilesystem runAsGroup \
                 runAsUser seLinuxOptions appArmorProfile procMount runAsNonRoot seccompProfile",
        refused: &[("windowsOptions", NO_WINDOWS)],
        ..BARE
    },
    Table { kind: "Capabilities", place: "`capabilities`", obeyed: "add drop", ..BARE },
    Table { kind: "SeLinuxOptions", place: "`seLinuxOptions`", obeyed: "level role type user", ..BARE },
    Table {
        kind: "Profile",
        place: "`seccompProfile` and `appArmorProfile`",
        required: "type",
        obeyed: "localhostProfile type",
        ..BARE
    },
    Table { kind: "Sysctl", place: "`sysctls`", required: "name value", obeyed: "name value", ..BARE },
    Table { kind: "HostAlias", place: "`hostAliases`", required: "ip", obeyed: "hostnames ip", ..BARE },
    Table { kind: "PodDnsConfig", place: "`dnsConfig`", obeyed: "nameservers options searches", ..BARE },
    Table {
        kind: "PodDnsOption",
        place: "`dnsConfig.options`",
        required: "name",
        obeyed: "name value",
        ..BARE
    },
    Table { kind: "PodOs", place: "`os`", required: "name", obeyed: "name", ..BARE },
    Table {
        kind: "Volume",
        place: "a volume in `volumes`",
        required: "name",
        obeyed: "name configMap emptyDir hostPath persistentVolumeClaim projected secret downwardAPI image",
        refused: &[
            (
                "awsElasticBlockStore azureDisk cinder gcePersistentDisk photonPersistentDisk portworxVolume storageos vsphereVolume",
                NO_CLOUD,
            ),
            ("azureFile cephfs flocker glusterfs nfs quobyte", NO_SHARE),
            ("csi flexVolume", "no driver runs here: use `hostPath` or `persistentVolumeClaim`"),
            ("ephemeral", "use `emptyDir`, or `persistentVolumeClaim` for data that stays"),
            ("fc iscsi rbd scaleIO", NO_DISK),
            ("gitRepo", "let an init container clone it into an `emptyDir`"),
        ],
        ..BARE
    },
    Table {
        kind: "ConfigMapVolume",
        place: "a volume's `configMap`",
        required: "name",
        obeyed: "items name optional defaultMode",
        ..BARE
    },
    Table {
        kind: "SecretVolume",
        place: "a volume's `secret`",
        required: "secretName",
        obeyed: "defaultMode items optional secretName",
        ..BARE
    },
    Table {
        kind: "KeyToPath",
        place: "an item of a volume",
        required: "key path",
        obeyed: "key mode path",
        ..BARE
    },
    Table { kind: "EmptyDir", obeyed: "medium sizeLimit", place: "`emptyDir`", ..BARE },
    Table { kind: "HostPath", place: "`hostPath`", required: "path", obeyed: "path type", ..BARE },
    Table {
        kind: "ClaimVolume",
        place: "`persistentVolumeClaim`",
        required: "claimName",
        obeyed: "claimName",
        ignored: &[("readOnly", "`readOnly` of the mount counts")],
        ..BARE
    },
    Table {
        kind: "ImageVolume",
        place: "a volume's `image`",
        required: "reference",
        obeyed: "reference pullPolicy",
        ..BARE
    },
    Table { kind: "DownwardVolume", obeyed: "defaultMode items", place: "`downwardAPI`", ..BARE },
    Table {
        kind: "DownwardFile",
        place: "an item of `downwardAPI`",
        required: "path",
        obeyed: "fieldRef mode path resourceFieldRef",
        ..BARE
    },
    Table { kind: "ProjectedVolume", place: "`projected`", obeyed: "defaultMode sources", ..BARE },
    Table {
        kind: "ProjectedKeys",
        place: "`configMap` and `secret` in `projected`",
        required: "name",
        obeyed: "items name optional",
        ..BARE
    },
    Table { kind: "ProjectedDownward", obeyed: "items", place: "`downwardAPI` in `projected`", ..BARE },
    Table {
        kind: "ProjectedSource",
        place: "a source in `projected`",
        obeyed: "configMap secret downwardAPI",
        refused: &[("clusterTrustBundle podCertificate serviceAccountToken", NO_SERVER)],
        ..BARE
    },
];
