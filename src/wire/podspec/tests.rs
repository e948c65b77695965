//! Good and bad values, and what is said of them.

use super::{
    reader::FindingClass::{self, *},
    *,
};
use crate::wire::yaml;

/// Everything that is found in a specification: how it counts, where, and the words.
fn all(specification: &str) -> Vec<(FindingClass, String, String)> {
    let value = yaml::parse(specification).unwrap();
    let (_, found) = read(&value);
    found.into_iter().map(|(class, finding)| (class, finding.field.to_string(), finding.message)).collect()
}

/// The same but for what is good and has no effect.
fn found(specification: &str) -> Vec<(FindingClass, String, String)> {
    all(specification).into_iter().filter(|(class, ..)| *class != Ignored).collect()
}

fn spec(specification: &str) -> PodSpec {
    assert_eq!(found(specification), [], "{specification}");
    PodSpec::read_accepted(&yaml::parse(specification).unwrap())
}

/// A pod whose container has these fields, in a pod with these.
fn pod(container: &str, pod: &str) -> String {
    format!("{{containers: [{{name: c, image: i, {container}}}], {pod}}}")
}

/// Each of these is fine in a container.
fn fine(containers: &[&str]) {
    for container in containers {
        assert_eq!(found(&pod(container, "")), [], "{container}");
    }
}

/// Each case is `FIELDS => WHERE: WORDS`: `whole` makes a specification of the fields, which has one mistake.
fn assert_mistakes(place: &str, whole: impl Fn(&str) -> String, cases: &[&str]) {
    for case in cases {
        let (fields, told) = case.split_once(" => ").unwrap();
        let (field, words) = told.split_once(": ").unwrap();
        let found = found(&whole(fields));
        let expected = format!("{place}{field}");
        assert!(matches!(&found[..], [(Shape | Value, at, _)] if *at == expected), "{case}: {found:?}");
        assert!(found[0].2.contains(words), "{case}: {found:?}");
    }
}

/// Each of these is wrong in a container.
fn wrong(containers: &[&str]) {
    assert_mistakes("containers[0].", |container| pod(container, ""), containers);
}

/// The same of a pod as a whole.
fn wrong_pods(pods: &[&str]) {
    assert_mistakes("", |fields| pod("", fields), pods);
}

#[test]
fn every_mistake_is_told_and_not_only_the_first() {
    let text =
        "{hostNetwrok: true, containers: [{name: a, image: i, enviroment: [], resource: {}}, {image: 7}]}";
    let found: Vec<_> =
        found(text).into_iter().map(|(_, field, words)| format!("{field}: {words}")).collect();
    let expected = [
        "hostNetwrok: unknown field: did you mean `hostNetwork`?",
        "containers[0].enviroment: unknown field: did you mean `env`?",
        "containers[0].resource: unknown field: did you mean `resources`?",
        "containers[1].name: is missing",
        "containers[1].image: must be a text, not a number: put it in quotes",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_field_at_the_wrong_level_is_told_where_it_stands() {
    let found = |text: &str| found(text).remove(0).2;
    assert_eq!(found(&pod("volumes: []", "")), "unknown field: it stands in the pod specification");
    assert_eq!(found(&pod("", "env: []")), "unknown field: it stands in a container");
    assert_eq!(found(&pod("", "replicas: 2")), "unknown field");
}

#[test]
fn thousands_of_mistakes_are_not_all_kept() {
    let fields: String = (0..10_000).map(|number| format!("x{number}: 1, ")).collect();
    assert_eq!(found(&pod("", &fields)).len(), 100);
    let long = found(&pod(&format!("workingDir: 1, imagePullPolicy: {}", "ä".repeat(100_000)), ""));
    assert!(long.iter().all(|(_, _, words)| words.len() <= 500), "{long:?}");
}

#[test]
fn what_has_no_effect_yet_is_told() {
    let container = "restartPolicy: Never, stdinOnce: true";
    let found = all(&pod(container, "imagePullSecrets: []"));
    let told: Vec<_> = found.iter().map(|(class, field, _)| (*class, field.as_str())).collect();
    let expected = ["containers[0].stdinOnce"];
    assert_eq!(told, expected.map(|field| (Ignored, field)));
}

#[test]
fn notes_however_many_hide_no_mistake() {
    let others = "{name: c, image: i, terminationMessagePath: /x}, ".repeat(200);
    let found = found(&format!("{{containers: [{others} {{name: d, image: i, stdni: true}}]}}"));
    let unknown = found.iter().filter(|it| it.0 == Unknown).map(|it| it.1.as_str());
    assert_eq!(unknown.collect::<Vec<_>>(), ["containers[200].stdni"]);
}

#[test]
fn what_means_nothing_is_told_apart_from_what_cannot_be_obeyed() {
    let found = found(&pod("terminationMessagePath: /x, volumeDevices: [{name: a}]", "tolerations: [{}]"));
    let classes: Vec<_> = found.iter().map(|(class, field, _)| (*class, field.as_str())).collect();
    let expected = [
        (Meaningless, "tolerations"),
        (Meaningless, "containers[0].terminationMessagePath"),
        (Refused, "containers[0].volumeDevices"),
    ];
    assert_eq!(classes, expected);
    for same in [
        "automountServiceAccountToken: false, tolerations: [], affinity: {}, runtimeClassName: '', priority: 0",
        "hostUsers: true, os: {name: linux}",
    ] {
        spec(&pod("", same));
    }
    for fields in
        ["hostUsers: false", "os: {name: windows}", "runtimeClassName: kata", "ephemeralContainers: [{}]"]
    {
        let found = self::found(&pod("", fields));
        assert!(matches!(&found[..], [(Refused, ..)]), "{fields}: {found:?}");
    }
}

#[test]
fn quantities_are_those_of_kubernetes() {
    let limit = |it: &str| format!("resources: {{limits: {{memory: {it}}}}}");
    for (text, bytes) in [
        ("0", 0),
        ("64Mi", 64 << 20),
        ("1.5Gi", 3 << 29),
        ("24M", 24_000_000),
        ("128974848", 128_974_848),
        ("1e9", 1_000_000_000),
        ("'1e9'", 1_000_000_000),
        ("+5k", 5000),
        ("4.5Ki", 4608),
    ] {
        let spec = spec(&pod(&limit(text), ""));
        assert_eq!(spec.containers[0].resources.limits.get("memory").unwrap().bytes(), Some(bytes), "{text}");
    }
    for (text, words) in [
        ("512MB", "write `512M` or `512Mi`"),
        ("1GiB", "write `1G` or `1Gi`"),
        ("5K", "write `5k` or `5Ki`"),
        ("128m", "write `128Mi`"),
        ("128", "in which nothing starts"),
        ("half", "is no quantity"),
        ("-1", "can't be negative"),
        ("1 Mi", "is no quantity"),
        ("''", "is no quantity"),
        ("true", "must be a quantity"),
        ("[1]", "must be a quantity"),
    ] {
        wrong(&[&format!("{} => resources.limits.memory: {words}", limit(text))]);
    }
    let cpu = spec(&pod("resources: {limits: {cpu: 250m}, requests: {cpu: 0.1}}", ""));
    let resources = &cpu.containers[0].resources;
    assert_eq!(
        (
            resources.limits.get("cpu").unwrap().thousandths(),
            resources.requests.get("cpu").unwrap().thousandths()
        ),
        (Some(250), Some(100))
    );
}

#[test]
fn an_empty_word_is_none() {
    let text = "imagePullPolicy: '', ports: [{containerPort: 80, hostIP: ''}]";
    let spec = spec(&pod(text, "initContainers: [{name: a, image: i, restartPolicy: ''}]"));
    let container = &spec.containers[0];
    assert_eq!((container.image_pull_policy, container.ports[0].host_ip), (None, None));
    assert_eq!(spec.init_containers[0].restart_policy, None, "it would be a sidecar");
}

#[test]
fn a_limit_below_its_request_and_what_nothing_gives_out_are_refused() {
    wrong(&[
        "resources: {requests: {memory: 64Mi}, limits: {memory: 32Mi}} => resources.requests.memory: `64Mi` is more than the limit of `32Mi`",
    ]);
    fine(&["resources: {requests: {cpu: 1}, limits: {cpu: 1000m}}"]);
    for (name, class) in [
        ("nvidia.com/gpu", Refused),
        ("hugepages-2Mi", Refused),
        ("ephemeral-storage", Meaningless),
        ("mem", Unknown),
    ] {
        let found = found(&pod(&format!("resources: {{limits: {{{name}: 1}}}}"), ""));
        assert!(matches!(&found[..], [(it, ..)] if *it == class), "{name}: {found:?}");
    }
}

#[test]
fn modes_are_read_in_octal_and_decimal() {
    let volume =
        |mode: &str| pod("", &format!("volumes: [{{name: v, configMap: {{name: m, defaultMode: {mode}}}}}]"));
    for (mode, expected) in
        [("493", 0o755), ("0755", 0o755), ("0o755", 0o755), ("'0400'", 0o400), ("256", 0o400), ("0", 0)]
    {
        let spec = spec(&volume(mode));
        let mode_read = spec.volumes[0].config_map.as_ref().unwrap().default_mode.unwrap().0;
        assert_eq!(mode_read, expected, "{mode}");
    }
    for bad in ["512", "01000", "-1", "rwx", "0x200", "1.5", "'999'"] {
        let found = found(&volume(bad));
        assert!(matches!(&found[..], [(Value, ..)]), "{bad}: {found:?}");
    }
}

#[test]
fn booleans_are_those_of_yaml_1_1_and_nothing_else() {
    for (word, is_true) in [
        ("true", true),
        ("yes", true),
        ("on", true),
        ("Yes", true),
        ("false", false),
        ("no", false),
        ("off", false),
    ] {
        let spec = spec(&pod(&format!("securityContext: {{privileged: {word}}}"), ""));
        assert_eq!(spec.containers[0].security_context.privileged, is_true, "{word}");
    }
    for bad in ["1", "maybe", "[]", "''"] {
        let told = "securityContext.privileged: must be true or false";
        wrong(&[&format!("securityContext: {{privileged: {bad}}} => {told}")]);
    }
}

#[test]
fn ports_have_numbers_names_and_no_doubles() {
    fine(&[
        "ports: [{containerPort: 1}, {containerPort: 65535, hostPort: 0, protocol: SCTP, name: a-1}]",
        "ports: [{containerPort: 53, hostPort: 53, protocol: UDP}, {containerPort: 53, hostPort: 53}]",
        "ports: [{containerPort: 80, hostPort: 80, hostIP: 127.0.0.1}, {containerPort: 80, hostPort: 80, hostIP: '::1'}]",
    ]);
    wrong(&[
        "ports: [{containerPort: 0}] => ports[0].containerPort: must be from 1 to 65535, not 0",
        "ports: [{containerPort: 99999}] => ports[0].containerPort: not 99999",
        "ports: [{containerPort: '80'}] => ports[0].containerPort: without quotes",
        "ports: [{containerPort: 8000-8010}] => ports[0].containerPort: must be a whole number",
        "ports: [{containerPort: 1.5}] => ports[0].containerPort: not 1.5",
        "ports: [{hostPort: 8099}] => ports[0].containerPort: is missing",
        "ports: [{containerPort: 1, hostPort: 70000}] => ports[0].hostPort: not 70000",
        "ports: [{containerPort: 1, protocol: tcp}] => ports[0].protocol: did you mean `TCP`?",
        "ports: [{containerPort: 1, hostIP: localhost}] => ports[0].hostIP: must be an address",
        "ports: [{containerPort: 1, name: Web}] => ports[0].name: can't name a port",
        "ports: [{containerPort: 1, name: a--b}] => ports[0].name: can't name a port",
        "ports: [{containerPort: 1, name: '80'}] => ports[0].name: can't name a port",
        "ports: [{containerPort: 1, name: abcdefghijklmnop}] => ports[0].name: can't name a port",
        "ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}] => ports[1].name: names two ports",
        "ports: [{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}] => ports[1].hostPort: has 80 (TCP)",
    ]);
    let host = pod("ports: [{containerPort: 80, hostPort: 81}]", "hostNetwork: true");
    assert!(found(&host)[0].2.contains("the same as `containerPort`"));
    spec(&pod("ports: [{containerPort: 80, hostPort: 80}]", "hostNetwork: true"));
}

#[test]
fn variables_come_from_one_place_and_may_stand_twice() {
    fine(&[
        "env: [{name: A, value: first}, {name: A, value: second}, {name: a.b-c, value: ''}, {name: N}]",
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]",
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['a/b']\"}}}]",
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}]",
        "envFrom: [{prefix: P_, configMapRef: {name: m, optional: true}}, {secretRef: {name: s}}]",
    ]);
    wrong(&[
        "env: [{value: x}] => env[0].name: is missing",
        "env: [{name: A, value: 1}] => env[0].value: put it in quotes",
        "env: [{name: A, value: true}] => env[0].value: put it in quotes",
        "env: [{name: 'A=B'}] => env[0].name: must not hold a `=`",
        "env: [{name: A, valueFrom: {}}] => env[0].valueFrom: needs `configMapKeyRef`",
        "env: [{name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}] => env[0].valueFrom: can't stand beside `value`",
        "env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodename}}}] => env[0].valueFrom.fieldRef.fieldPath: did you mean `spec.nodeName`?",
        "env: [{name: A, valueFrom: {resourceFieldRef: {resource: memory}}}] => env[0].valueFrom.resourceFieldRef.resource: must be `limits.cpu`",
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: a/b}}}] => env[0].valueFrom.configMapKeyRef.key: is no key",
        "envFrom: [{prefix: A}] => envFrom[0]: needs `configMapRef` or `secretRef`",
        "envFrom: [{configMapRef: {name: a}, secretRef: {name: b}}] => envFrom[0]: has more than one of `configMapRef` or `secretRef`",
    ]);
}

#[test]
fn volumes_have_one_source_and_mounts_have_a_volume() {
    let with = |mounts: &str, volumes: &str| {
        pod(&format!("volumeMounts: [{mounts}]"), &format!("volumes: [{volumes}]"))
    };
    let d = "{name: d, emptyDir: {}}";
    for (mounts, volumes) in [
        ("{name: d, mountPath: /d}, {name: d, mountPath: /e, subPath: a/b, readOnly: true}", d),
        ("{name: d, mountPath: /d, subPathExpr: $(POD)}", d),
        (
            "",
            "{name: a, hostPath: {path: /x, type: CharDevice}}, {name: b, persistentVolumeClaim: {claimName: c}}",
        ),
        ("", "{name: a, emptyDir: {medium: Memory, sizeLimit: 8Mi}}"),
        ("", "{name: a, downwardAPI: {items: [{path: n, fieldRef: {fieldPath: metadata.labels}}]}}"),
        ("", "{name: a, projected: {sources: [{configMap: {name: m}}, {secret: {name: s}}]}}"),
    ] {
        spec(&with(mounts, volumes));
    }
    assert_mistakes(
        "containers[0].volumeMounts",
        |mounts| with(mounts, d),
        &[
            "{name: dd, mountPath: /d} => [0].name: did you mean `d`?",
            "{name: d, mountPath: data} => [0].mountPath: an absolute path",
            "{name: d, mountPath: '/a:b'} => [0].mountPath: must not hold a `:`",
            "{name: d, mountPath: /d}, {name: d, mountPath: /d/} => [1].mountPath: is mounted twice",
            "{name: d, mountPath: /d, subPath: ../x} => [0].subPath: without `..`",
            "{name: d, mountPath: /d, subPath: /x} => [0].subPath: relative",
            "{name: d, mountPath: /d, mountPropagation: Bidirectional} => [0].mountPropagation: privileged",
        ],
    );
    wrong_pods(&[
        "volumes: [{name: d, emptyDir: {}}, {name: d, hostPath: {path: /etc}}] => volumes[1].name: names two volumes",
        "volumes: [{name: d}] => volumes[0]: needs `configMap`",
        "volumes: [{name: d, emptyDir: {}, hostPath: {path: /x}}] => volumes[0]: more than one of",
        "volumes: [{name: D_x, emptyDir: {}}] => volumes[0].name: can't be a name",
        "volumes: [{name: d, hostPath: {path: ./data}}] => volumes[0].hostPath.path: must be an absolute path",
        "volumes: [{name: d, hostPath: {path: /a/../b}}] => volumes[0].hostPath.path: must not hold `..`",
        "volumes: [{name: d, hostPath: {path: /a, type: Dir}}] => volumes[0].hostPath.type: must be `Directory`",
        "volumes: [{name: d, hostPath: {}}] => volumes[0].hostPath.path: is missing",
        "volumes: [{name: d, emptyDir: {medium: Ram}}] => volumes[0].emptyDir.medium: must be `Memory`",
        "volumes: [{name: d, projected: {sources: [{}]}}] => volumes[0].projected.sources[0]: needs `configMap`",
        "volumes: [{name: d, configMap: m}] => volumes[0].configMap: must be a mapping",
    ]);
    for (volume, field) in [
        ("nfs: {server: a, path: /x}", "volumes[0].nfs"),
        ("csi: {driver: x}", "volumes[0].csi"),
        (
            "projected: {sources: [{serviceAccountToken: {path: t}}]}",
            "volumes[0].projected.sources[0].serviceAccountToken",
        ),
    ] {
        let found = found(&with("", &format!("{{name: d, {volume}}}")));
        assert!(matches!(&found[..], [(Refused, at, _)] if at == field), "{volume}: {found:?}");
    }
}

#[test]
fn rights_that_exclude_each_other_and_capabilities_that_do_not_exist_are_found() {
    fine(&[
        "securityContext: {capabilities: {add: [NET_ADMIN, CAP_SYS_TIME, net_raw], drop: [ALL]}}",
        "securityContext: {seccompProfile: {type: Localhost, localhostProfile: x.json}, procMount: Unmasked}",
        "securityContext: {runAsUser: 0, runAsGroup: 2147483647}",
    ]);
    wrong(&[
        "securityContext: {capabilities: {add: [NET_ADMN]}} => securityContext.capabilities.add[0]: did you mean `NET_ADMIN`?",
        "securityContext: {runAsUser: '1000'} => securityContext.runAsUser: without quotes",
        "securityContext: {runAsUser: -1} => securityContext.runAsUser: must be from 0",
        "securityContext: {privileged: true, allowPrivilegeEscalation: false} => securityContext.allowPrivilegeEscalation: beside `privileged`",
        "securityContext: {runAsNonRoot: true, runAsUser: 0} => securityContext.runAsUser: user 0 is root",
        "securityContext: {seccompProfile: {type: Localhost}} => securityContext.seccompProfile.localhostProfile: must name a file",
        "securityContext: {appArmorProfile: {type: Unconfined, localhostProfile: x}} => securityContext.appArmorProfile.localhostProfile: `type: Localhost` only",
    ]);
}

#[test]
fn probes_and_hooks_are_for_containers_that_stay() {
    fine(&[
        "livenessProbe: {tcpSocket: {port: 9}}, readinessProbe: {exec: {command: [a]}, successThreshold: 2}",
        "lifecycle: {postStart: {exec: {command: [a]}}, preStop: {sleep: {seconds: 5}}, stopSignal: SIGINT}",
    ]);
    wrong(&[
        "lifecycle: {preStop: {}} => lifecycle.preStop: needs `exec`, `httpGet` or `sleep`",
        "lifecycle: {preStop: {sleep: {seconds: 31}}} => lifecycle.preStop.sleep.seconds: longer than",
        "lifecycle: {preStop: {httpGet: {port: web}}} => lifecycle.preStop.httpGet.port: the container has no port named `web`",
        "livenessProbe: {tcpSocket: {}} => livenessProbe.tcpSocket.port: is missing",
    ]);
    let init = |fields: &str| pod("", &format!("initContainers: [{{name: i, image: i, {fields}}}]"));
    spec(&init("restartPolicy: Always, startupProbe: {tcpSocket: {port: 1}}, lifecycle: {}"));
    for (fields, field) in [
        ("startupProbe: {tcpSocket: {port: 1}}", "initContainers[0].startupProbe"),
        ("lifecycle: {}", "initContainers[0].lifecycle"),
        ("restartPolicy: Never", "initContainers[0].restartPolicy"),
    ] {
        let found = found(&init(fields));
        assert!(matches!(&found[..], [(Value, at, _)] if at == field), "{fields}: {found:?}");
    }
}

#[test]
fn what_is_said_of_the_pod_is_checked_as_well() {
    for fields in [
        "securityContext: {sysctls: [{name: net.core.somaxconn, value: '777'}, {name: kernel/shmmax, value: '1'}]}",
        "hostAliases: [{ip: 10.1.2.3, hostnames: [a.local]}], hostname: web, dnsPolicy: ClusterFirstWithHostNet",
        "dnsPolicy: None, dnsConfig: {nameservers: [9.9.9.9], searches: [a.b], options: [{name: ndots, value: '2'}]}",
        "activeDeadlineSeconds: 1, terminationGracePeriodSeconds: 0, imagePullSecrets: [{name: a}]",
    ] {
        spec(&pod("", fields));
    }
    wrong_pods(&[
        "hostname: a.b => hostname: can't name a host",
        "dnsPolicy: None => dnsConfig: must have `nameservers`",
        "dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]} => dnsConfig.nameservers: at most 3",
        "hostAliases: [{ip: x, hostnames: [a]}] => hostAliases[0].ip: must be an address",
        "hostAliases: [{ip: 1.1.1.1, hostnames: [A]}] => hostAliases[0].hostnames[0]: can't name a host",
        "activeDeadlineSeconds: 0 => activeDeadlineSeconds: must be from 1",
        "hostPID: true, shareProcessNamespace: true => shareProcessNamespace: can't stand beside `hostPID`",
        "restartPolicy: always => restartPolicy: did you mean `Always`?",
        "securityContext: {sysctls: [{name: vm.swappiness, value: '1'}]} => securityContext.sysctls[0].name: is the whole device's",
        "hostNetwork: true, securityContext: {sysctls: [{name: net.core.somaxconn, value: '1'}]} => securityContext.sysctls[0].name: the device's own with `hostNetwork`",
        "securityContext: {sysctls: [{name: net.a, value: 1}]} => securityContext.sysctls[0].value: put it in quotes",
    ]);
}
