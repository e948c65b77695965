//! What becomes of each field of a specification: one table, which the reader asks, and from which the
//! [documentation](../../../docs/podspec.md) is made.

use super::field_support::FieldTable;
pub use kinds::OBJECT_TABLES;

mod kinds;
#[cfg(test)]
pub(in crate::wire) mod tests;

/// The table of a type; one without fields, if there is none.
pub(super) fn table_of(kind: &str) -> &'static FieldTable {
    POD_SPEC_TABLES.iter().chain(OBJECT_TABLES).find(|table| table.kind == kind).unwrap_or(&EMPTY)
}

/// A pod or a container, if it has a field of this name: most that stands at the wrong place belongs to one of both.
pub(super) fn table_with_field(name: &str) -> Option<&'static FieldTable> {
    POD_SPEC_TABLES.iter().take(2).find(|table| table.field_support(name).is_some())
}

const EMPTY: FieldTable = FieldTable::EMPTY;

const NO_CLOUD_DISKS: &str = "a device has no such disks: mount it on the device, and use `hostPath`";
const IS_CLOUD_DISK: &str = "it is a cloud's disk: use `hostPath` or `persistentVolumeClaim`";
const NO_NETWORK_SHARES: &str = "mount the share on the device, for example by systemd, and use `hostPath`";
const NO_WINDOWS: &str = "it is for Windows";
const NO_SCHEDULER: &str =
    "nothing chooses between devices here; `spec.deviceSelector` does on the control plane";
const NO_API_SERVER: &str = "there is no API server that would give one: use a Secret";

/// All there are.
pub const POD_SPEC_TABLES: &[FieldTable] = &[
    FieldTable {
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
    FieldTable {
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
    FieldTable {
        kind: "EnvVar",
        place: "a variable in `env`",
        required: "name",
        obeyed: "name value valueFrom",
        ..EMPTY
    },
    FieldTable {
        kind: "EnvVarSource",
        place: "`valueFrom`",
        obeyed: "configMapKeyRef secretKeyRef fieldRef resourceFieldRef",
        refused: &[("fileKeyRef", "let the command read the file: `sh -c '. FILE; exec …'`")],
        ..EMPTY
    },
    FieldTable {
        kind: "KeySelector",
        place: "`configMapKeyRef` and `secretKeyRef`",
        required: "name key",
        obeyed: "name key optional",
        ..EMPTY
    },
    FieldTable {
        kind: "ObjectFieldSelector",
        place: "`fieldRef`",
        required: "fieldPath",
        obeyed: "apiVersion fieldPath",
        ..EMPTY
    },
    FieldTable {
        kind: "ResourceFieldSelector",
        place: "`resourceFieldRef`",
        required: "resource",
        obeyed: "containerName divisor resource",
        ..EMPTY
    },
    FieldTable {
        kind: "EnvFromSource",
        place: "a source in `envFrom`",
        obeyed: "configMapRef secretRef prefix",
        ..EMPTY
    },
    FieldTable {
        kind: "NameReference",
        place: "`configMapRef` and `secretRef`",
        required: "name",
        obeyed: "name optional",
        ..EMPTY
    },
    FieldTable {
        kind: "LocalReference",
        place: "`imagePullSecrets`, of which the first counts",
        required: "name",
        obeyed: "name",
        ..EMPTY
    },
    FieldTable {
        kind: "ContainerPort",
        place: "a port in `ports`",
        required: "containerPort",
        obeyed: "containerPort hostIP hostPort name protocol",
        ..EMPTY
    },
    FieldTable {
        kind: "ResourceRequirements",
        place: "`resources`",
        obeyed: "limits requests",
        refused: &[("claims", "no driver gives devices out here: mount the device's node as a `hostPath`")],
        ..EMPTY
    },
    FieldTable {
        kind: "VolumeMount",
        place: "a mount in `volumeMounts`",
        required: "name mountPath",
        obeyed: "name mountPath readOnly mountPropagation subPath subPathExpr",
        ignored: &[("recursiveReadOnly", "what is mounted below stays as it is")],
        ..EMPTY
    },
    FieldTable {
        kind: "Probe",
        place: "a probe",
        obeyed: "exec httpGet tcpSocket grpc initialDelaySeconds periodSeconds timeoutSeconds \
                 failureThreshold successThreshold",
        ignored: &[("terminationGracePeriodSeconds", "the pod's counts")],
        ..EMPTY
    },
    FieldTable { kind: "ExecAction", place: "`exec`", required: "command", obeyed: "command", ..EMPTY },
    FieldTable {
        kind: "HttpGetAction",
        place: "`httpGet`",
        required: "port",
        obeyed: "host httpHeaders path port scheme",
        ..EMPTY
    },
    FieldTable {
        kind: "HttpHeader",
        place: "a header in `httpHeaders`",
        required: "name",
        obeyed: "name value",
        ..EMPTY
    },
    FieldTable {
        kind: "TcpSocketAction",
        place: "`tcpSocket`",
        required: "port",
        obeyed: "host port",
        ..EMPTY
    },
    FieldTable { kind: "GrpcAction", place: "`grpc`", required: "port", obeyed: "port service", ..EMPTY },
    FieldTable { kind: "Lifecycle", place: "`lifecycle`", obeyed: "postStart preStop stopSignal", ..EMPTY },
    FieldTable {
        kind: "LifecycleHandler",
        place: "`postStart` and `preStop`",
        obeyed: "exec httpGet sleep",
        refused: &[("tcpSocket", "Kubernetes doesn't obey it either: use `exec`")],
        ..EMPTY
    },
    FieldTable { kind: "SleepAction", obeyed: "seconds", place: "`sleep`", required: "seconds", ..EMPTY },
    FieldTable {
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
        ..EMPTY
    },
    FieldTable {
        kind: "SecurityContext",
        place: "a container's `securityContext`",
        obeyed: "allowPrivilegeEscalation capabilities privileged readOnlyRootFilesystem runAsGroup \
                 runAsUser seLinuxOptions appArmorProfile procMount runAsNonRoot seccompProfile",
        refused: &[("windowsOptions", NO_WINDOWS)],
        ..EMPTY
    },
    FieldTable { kind: "Capabilities", place: "`capabilities`", obeyed: "add drop", ..EMPTY },
    FieldTable { kind: "SeLinuxOptions", place: "`seLinuxOptions`", obeyed: "level role type user", ..EMPTY },
    FieldTable {
        kind: "Profile",
        place: "`seccompProfile` and `appArmorProfile`",
        required: "type",
        obeyed: "localhostProfile type",
        ..EMPTY
    },
    FieldTable { kind: "Sysctl", place: "`sysctls`", required: "name value", obeyed: "name value", ..EMPTY },
    FieldTable { kind: "HostAlias", place: "`hostAliases`", required: "ip", obeyed: "hostnames ip", ..EMPTY },
    FieldTable {
        kind: "PodDnsConfig",
        place: "`dnsConfig`",
        obeyed: "nameservers options searches",
        ..EMPTY
    },
    FieldTable {
        kind: "PodDnsOption",
        place: "`dnsConfig.options`",
        required: "name",
        obeyed: "name value",
        ..EMPTY
    },
    FieldTable { kind: "PodOs", place: "`os`", required: "name", obeyed: "name", ..EMPTY },
    FieldTable {
        kind: "Volume",
        place: "a volume in `volumes`",
        required: "name",
        obeyed: "name configMap emptyDir hostPath persistentVolumeClaim projected secret downwardAPI image",
        refused: &[
            (
                "awsElasticBlockStore azureDisk cinder gcePersistentDisk photonPersistentDisk portworxVolume storageos vsphereVolume",
                IS_CLOUD_DISK,
            ),
            ("azureFile cephfs flocker glusterfs nfs quobyte", NO_NETWORK_SHARES),
            ("csi flexVolume", "no driver runs here: use `hostPath` or `persistentVolumeClaim`"),
            ("ephemeral", "use `emptyDir`, or `persistentVolumeClaim` for data that stays"),
            ("fc iscsi rbd scaleIO", NO_CLOUD_DISKS),
            ("gitRepo", "let an init container clone it into an `emptyDir`"),
        ],
        ..EMPTY
    },
    FieldTable {
        kind: "ConfigMapVolume",
        place: "a volume's `configMap`",
        required: "name",
        obeyed: "items name optional defaultMode",
        ..EMPTY
    },
    FieldTable {
        kind: "SecretVolume",
        place: "a volume's `secret`",
        required: "secretName",
        obeyed: "defaultMode items optional secretName",
        ..EMPTY
    },
    FieldTable {
        kind: "KeyToPath",
        place: "an item of a volume",
        required: "key path",
        obeyed: "key mode path",
        ..EMPTY
    },
    FieldTable { kind: "EmptyDir", obeyed: "medium sizeLimit", place: "`emptyDir`", ..EMPTY },
    FieldTable { kind: "HostPath", place: "`hostPath`", required: "path", obeyed: "path type", ..EMPTY },
    FieldTable {
        kind: "ClaimVolume",
        place: "`persistentVolumeClaim`",
        required: "claimName",
        obeyed: "claimName",
        ignored: &[("readOnly", "`readOnly` of the mount counts")],
        ..EMPTY
    },
    FieldTable {
        kind: "ImageVolume",
        place: "a volume's `image`",
        required: "reference",
        obeyed: "reference pullPolicy",
        ..EMPTY
    },
    FieldTable { kind: "DownwardVolume", obeyed: "defaultMode items", place: "`downwardAPI`", ..EMPTY },
    FieldTable {
        kind: "DownwardFile",
        place: "an item of `downwardAPI`",
        required: "path",
        obeyed: "fieldRef mode path resourceFieldRef",
        ..EMPTY
    },
    FieldTable { kind: "ProjectedVolume", place: "`projected`", obeyed: "defaultMode sources", ..EMPTY },
    FieldTable {
        kind: "ProjectedKeys",
        place: "`configMap` and `secret` in `projected`",
        required: "name",
        obeyed: "items name optional",
        ..EMPTY
    },
    FieldTable { kind: "ProjectedDownward", obeyed: "items", place: "`downwardAPI` in `projected`", ..EMPTY },
    FieldTable {
        kind: "ProjectedSource",
        place: "a source in `projected`",
        obeyed: "configMap secret downwardAPI",
        refused: &[("clusterTrustBundle podCertificate serviceAccountToken", NO_API_SERVER)],
        ..EMPTY
    },
];
