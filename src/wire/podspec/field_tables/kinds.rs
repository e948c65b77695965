//! What becomes of each field of the objects around a specification. A part of the same table: see [`super::POD_SPEC_TABLES`].

use crate::wire::podspec::field_support::FieldTable;

const EMPTY: FieldTable = FieldTable::EMPTY;

const API_SERVER_MANAGED: &str = "an API server keeps it";
const ALWAYS_RECREATES: &str = "a device runs one pod of it: the old one goes, then the new one comes";
const NO_REVISION_HISTORY: &str = "what came up last is kept, and nothing before it";
const MIN_READY_IS_10_S: &str = "a pod has come up when it has run for 10 s";
const NO_INDEXED_JOBS: &str = "a device runs one pod of it: write one Job for each";
const NO_SERVICE_PROXY: &str = "nothing stands between a client and the pod";
const NO_VOLUME_BINDING: &str = "podman keeps all claims: remove it";

/// All there are, in the order in which people read them.
pub const OBJECT_TABLES: &[FieldTable] = &[
    FieldTable {
        kind: "Object",
        place: "every object",
        required: "metadata spec",
        obeyed: "apiVersion kind metadata spec",
        meaningless: &[("status", API_SERVER_MANAGED)],
        ..EMPTY
    },
    FieldTable {
        kind: "ObjectMeta",
        place: "`metadata`",
        required: "name",
        obeyed: "name namespace labels annotations",
        meaningless: &[(
            "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName generation \
             managedFields ownerReferences resourceVersion selfLink uid",
            API_SERVER_MANAGED,
        )],
        ..EMPTY
    },
    FieldTable {
        kind: "PodTemplate",
        place: "`template`",
        required: "spec",
        obeyed: "metadata spec",
        ..EMPTY
    },
    FieldTable {
        kind: "TemplateMeta",
        place: "`template.metadata`",
        obeyed: "labels annotations",
        meaningless: &[
            ("name namespace", "the workload is named by its object"),
            (
                "creationTimestamp deletionGracePeriodSeconds deletionTimestamp finalizers generateName \
                 generation managedFields ownerReferences resourceVersion selfLink uid",
                API_SERVER_MANAGED,
            ),
        ],
        ..EMPTY
    },
    FieldTable {
        kind: "LabelSelector",
        place: "`selector`",
        obeyed: "matchLabels matchExpressions",
        ..EMPTY
    },
    FieldTable {
        kind: "LabelRequirement",
        place: "`selector.matchExpressions`",
        required: "key operator",
        obeyed: "key operator values",
        ..EMPTY
    },
    FieldTable {
        kind: "DeploymentSpec",
        place: "a Deployment's `spec`",
        required: "selector template",
        obeyed: "replicas selector template",
        meaningless: &[
            ("minReadySeconds", MIN_READY_IS_10_S),
            ("progressDeadlineSeconds", "an update that isn't up after 120 s is taken back"),
            ("revisionHistoryLimit", NO_REVISION_HISTORY),
            ("strategy", ALWAYS_RECREATES),
        ],
        refused: &[("paused", "what is saved takes effect: remove it")],
        ..EMPTY
    },
    FieldTable {
        kind: "StatefulSetSpec",
        place: "a StatefulSet's `spec`",
        required: "selector template",
        obeyed: "replicas selector serviceName template volumeClaimTemplates",
        meaningless: &[
            ("minReadySeconds", MIN_READY_IS_10_S),
            ("podManagementPolicy updateStrategy", ALWAYS_RECREATES),
            ("revisionHistoryLimit", NO_REVISION_HISTORY),
            ("persistentVolumeClaimRetentionPolicy", "claims stay until podman's volume is removed"),
        ],
        refused: &[("ordinals", "the only pod has the number 0: remove it")],
        ..EMPTY
    },
    FieldTable {
        kind: "DaemonSetSpec",
        place: "a DaemonSet's `spec`",
        required: "selector template",
        obeyed: "selector template",
        meaningless: &[
            ("minReadySeconds", MIN_READY_IS_10_S),
            ("revisionHistoryLimit", NO_REVISION_HISTORY),
            ("updateStrategy", ALWAYS_RECREATES),
        ],
        ..EMPTY
    },
    FieldTable {
        kind: "JobSpec",
        place: "a Job's `spec`",
        required: "template",
        obeyed: "activeDeadlineSeconds backoffLimit completionMode completions parallelism suspend template",
        meaningless: &[
            ("manualSelector selector", "nothing else takes its pod for its own"),
            ("podReplacementPolicy", "a new pod comes when the old one is gone"),
            ("ttlSecondsAfterFinished", "the finished pod stays, with its logs, until its manifest goes"),
        ],
        refused: &[
            ("backoffLimitPerIndex maxFailedIndexes successPolicy", NO_INDEXED_JOBS),
            ("managedBy", "the agent is the only controller here: remove it"),
            ("podFailurePolicy", "`backoffLimit` counts for all exit codes"),
        ],
        ..EMPTY
    },
    FieldTable {
        kind: "JobTemplate",
        place: "`jobTemplate`",
        required: "spec",
        obeyed: "spec",
        meaningless: &[("metadata", "the workload is named by its CronJob")],
        ..EMPTY
    },
    FieldTable {
        kind: "CronJobSpec",
        place: "a CronJob's `spec`",
        required: "jobTemplate schedule",
        obeyed: "concurrencyPolicy jobTemplate schedule suspend",
        ignored: &[("startingDeadlineSeconds", "a slot that was missed is never made up")],
        meaningless: &[(
            "failedJobsHistoryLimit successfulJobsHistoryLimit",
            "the pod of the last run stays until the next one",
        )],
        refused: &[("timeZone", "slots are by the device's local time: `timedatectl set-timezone` sets it")],
    },
    FieldTable {
        kind: "ServiceSpec",
        place: "a Service's `spec`",
        obeyed: "clusterIP ports selector type",
        meaningless: &[
            (
                "allocateLoadBalancerNodePorts clusterIPs externalTrafficPolicy healthCheckNodePort \
                 internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass sessionAffinity \
                 sessionAffinityConfig trafficDistribution",
                NO_SERVICE_PROXY,
            ),
            ("publishNotReadyAddresses", "a name always leads to its pods"),
        ],
        refused: &[
            ("externalIPs loadBalancerIP", "`hostIP` beside a container's `hostPort` chooses the address"),
            ("externalName", "`hostAliases` of a pod names other machines"),
            ("loadBalancerSourceRanges", "the device's firewall chooses who may connect"),
        ],
        ..EMPTY
    },
    FieldTable {
        kind: "ServicePort",
        place: "a port of a Service",
        required: "port",
        obeyed: "name nodePort port protocol targetPort",
        meaningless: &[("appProtocol", NO_SERVICE_PROXY)],
        ..EMPTY
    },
    FieldTable {
        kind: "ClaimSpec",
        place: "a PersistentVolumeClaim's `spec`",
        required: "accessModes resources",
        obeyed: "accessModes resources volumeMode",
        meaningless: &[(
            "storageClassName volumeAttributesClassName",
            "podman keeps all claims on the disk of its volumes",
        )],
        refused: &[
            ("dataSource dataSourceRef", "a claim begins empty: let an init container fill it"),
            ("selector volumeName", NO_VOLUME_BINDING),
        ],
        ..EMPTY
    },
];
