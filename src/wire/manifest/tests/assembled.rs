//! What is meant for this device.

use super::*;

#[test]
fn workloads_are_chosen_by_device_and_labels() {
    let workloads = [
        workload("mine", "device: pi"),
        workload("other", "device: po"),
        workload("labels", "deviceSelector: {matchLabels: {site: roof}}"),
        workload("elsewhere", "deviceSelector: {matchLabels: {site: cellar}}"),
        workload("both", "device: pi\ndeviceSelector: {matchLabels: {site: cellar}}"),
        workload("neither", ""),
    ]
    .concat();
    assert_eq!(names(&assembled(&workloads).0), ["mine", "both", "neither"]);
    let with_device = device("pi", "") + &workloads;
    assert_eq!(names(&assembled(&with_device).0), ["mine", "labels", "both", "neither"]);
    let single = device("any-name", "") + &workload("a", "device: any-name") + &workload("b", "device: pi");
    assert_eq!(names(&assembled(&single).0), ["a", "b"]);
}

#[test]
fn of_several_devices_the_one_with_this_name_counts() {
    let profile = |name: &str| format!("spec: {{profiles: [{{name: {name}}}]}}");
    let two = device("po", &profile("p1")) + &device("pi", &profile("p2"));
    let (desired, problems) = assembled(&two);
    assert_eq!((desired.profiles[0].name.as_str(), problems), ("p2", vec![]));
    let (desired, problems) = assembled(&two.replace("name: pi", "name: pe"));
    assert!(desired.profiles.is_empty());
    assert!(problems[0].contains("none of the 2 EdgeDevices is named `pi`"), "{problems:?}");
}

#[test]
fn every_use_of_a_config_map_is_found() {
    let uses = |container: &str, rest: &str| {
        let text = workload("a", "").replace("image: i", &format!("image: i, {container}"));
        text.replace("containers:", &format!("{rest} containers:"))
    };
    for text in [
        uses("env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]", ""),
        uses("envFrom: [{configMapRef: {name: m}}]", ""),
        uses("", "volumes: [{name: v, configMap: {name: m}}],"),
        uses("", "volumes: [{name: v, projected: {sources: [{configMap: {name: m}}]}}],"),
        uses("", "initContainers: [{name: d, image: i, envFrom: [{configMapRef: {name: m}}]}],"),
    ] {
        let (desired, problems) = assembled(&text);
        assert_eq!((names(&desired), desired.unreadable.clone()), (vec![], vec!["a".to_owned()]), "{text}");
        assert!(problems[0].contains("there is no ConfigMap `m` in namespace `default`"), "{problems:?}");
        let found = only(&(text.clone() + &config_map("m", "1")));
        assert_eq!(found.content.config_maps.len(), 1);
        let changed = only(&(text + &config_map("m", "2")));
        assert_ne!(found.id, changed.id, "a changed ConfigMap makes another pod");
    }
}

#[test]
fn an_optional_config_map_may_be_missing_and_an_unused_one_changes_nothing() {
    let text = workload("a", "")
        .replace("image: i", "image: i, envFrom: [{configMapRef: {name: m, optional: true}}]");
    let without = only(&text);
    assert!(without.content.config_maps.is_empty());
    assert_eq!(without.id, only(&(text + &config_map("unused", "1"))).id);
}

#[test]
fn the_first_of_two_with_one_name_wins_and_both_places_are_named() {
    let text = workload("a", "cron: '1 * * * *'") + &workload("a", "cron: '2 * * * *'");
    let (desired, problems) = assembled(&text);
    assert_eq!(
        desired.workloads[0].schedule,
        Schedule::Cron(Cron::parse("1 * * * *").unwrap(), Backoff::default())
    );
    assert_eq!(
        problems,
        [
            "f.yaml, document 2, line 14: metadata.name: EdgeWorkload `a` has no effect: f.yaml, line 3 defines it first"
        ]
    );
}

#[test]
fn what_depends_on_itself_stays_as_it_was_and_the_way_is_told() {
    let text = workload("a", "dependsOn: [b, c]")
        + &workload("b", "dependsOn: [a]")
        + &workload("c", "dependsOn: []");
    let (desired, problems) = assembled(&text);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].ends_with("spec.dependsOn: depends on itself: a -> b -> a"), "{problems:?}");
    assert_eq!(desired.unreadable, ["a", "b"]);
    assert_eq!(desired.workloads.iter().map(|it| it.name()).collect::<Vec<_>>(), ["c"]);
    let (desired, problems) = assembled(&workload("a", "dependsOn: [b.c, d]"));
    assert_eq!((desired.workloads[0].depends_on.join(" ").as_str(), problems.len()), ("b.c d", 0));
    let condition = "{name: c, expression: workload.b.ready == 1}";
    let text = device("pi", &format!("spec: {{profiles: [{{name: p, conditions: [{condition}]}}]}}"))
        + &workload("a", "profiles: [{name: p, conditions: [{name: c}]}]")
        + &workload("b", "dependsOn: [a]");
    let (desired, problems) = assembled(&text);
    let way = "spec.profiles: depends on itself: a -> workload.b.ready -> a";
    assert!(problems.iter().any(|it| it.ends_with(way)), "{problems:?}");
    assert_eq!((desired.unreadable.len(), desired.workloads.len()), (2, 0));
}

/// Recorded from releases before the specification had types of its own.
#[test]
fn the_same_content_has_the_id_that_it_always_had() {
    let rich = "apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: rich
  labels: {podman/app: rich}
spec:
  type: pod
  pod:
    spec:
      hostname: box
      terminationGracePeriodSeconds: 5
      securityContext: {runAsUser: 1000, fsGroup: 2000}
      tolerations: [{operator: Exists}]
      initContainers:
        - {name: first, image: i:1, command: [sh, -c, 'true']}
      containers:
        - name: main
          image: i:1
          securityContext: {privileged: yes, capabilities: {add: [NET_ADMIN]}}
          env: [{name: B, value: \"2\"}, {name: A, value: '1'}, {name: K, valueFrom: {configMapKeyRef: {name: m, key: k}}}]
          ports: [{containerPort: 80, hostPort: 8080, protocol: TCP}]
          resources: {limits: {memory: 64Mi, cpu: 0.5}, requests: {memory: 1e7}}
          volumeMounts: [{name: m, mountPath: /m, subPath: k}, {name: d, mountPath: /d}]
          livenessProbe: {httpGet: {port: 80}, periodSeconds: 5}
      volumes:
        - {name: m, configMap: {name: m, defaultMode: 0755, items: [{key: k, path: k, mode: 256}]}}
        - {name: d, emptyDir: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data: {k: v}
";
    let (desired, problems) = assembled(rich);
    assert_eq!(desired.workloads[0].id.as_str(), "rich-3209f3356a9f", "{problems:?}");
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn a_key_that_a_config_map_does_not_have_is_told_where_it_is_asked_for() {
    let env = |optional: &str| {
        let variable =
            format!("{{name: A, valueFrom: {{configMapKeyRef: {{name: m, key: nope{optional}}}}}}}");
        workload("a", "").replace("image: i", &format!("image: i, env: [{variable}]"))
    };
    let volume = |source: &str| {
        workload("a", "").replace("containers:", &format!("volumes: [{{name: v, {source}}}], containers:"))
    };
    let item = "items: [{key: nope, path: p}]";
    for (text, field) in [
        (env(""), "containers[0].env[0].valueFrom.configMapKeyRef.key"),
        (volume(&format!("configMap: {{name: m, {item}}}")), "volumes[0].configMap.items[0].key"),
        (
            volume(&format!("projected: {{sources: [{{configMap: {{name: m, {item}}}}}]}}")),
            "volumes[0].projected.sources[0].configMap.items[0].key",
        ),
    ] {
        let found = problems(&(text.clone() + &config_map("m", "1")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with(&format!("{field}: the ConfigMap `m` has no key `nope`")), "{found:?}");
        only(&(text.replace("nope", "k") + &config_map("m", "1")));
    }
    only(&(env(", optional: true") + &config_map("m", "1")));
}

#[test]
fn a_pod_for_another_node_does_not_run_here() {
    let pod = |fields: &str| workload("a", "").replace("containers:", &format!("{fields}, containers:"));
    let roof = device("pi", "");
    for fields in [
        "nodeName: pi",
        "nodeSelector: {site: roof}",
        "nodeSelector: {kubernetes.io/hostname: pi, kubernetes.io/os: linux}",
    ] {
        assert_eq!(problems(&(roof.clone() + &pod(fields))), Vec::<String>::new(), "{fields}");
    }
    for (fields, words) in [
        ("nodeName: po", "nodeName: is `po`, and this device is `pi`"),
        ("nodeSelector: {site: cellar}", "nodeSelector.site: this device has `roof`, not `cellar`"),
        ("nodeSelector: {disk: ssd}", "nodeSelector.disk: this device has no such label"),
        ("nodeSelector: {kubernetes.io/os: windows}", "this device has `linux`, not `windows`"),
    ] {
        let (desired, problems) = assembled(&(roof.clone() + &pod(fields)));
        assert!(desired.workloads.is_empty() && problems[0].contains(words), "{problems:?}");
    }
}

#[test]
fn a_cluster_judges_by_itself_what_it_alone_may_know() {
    let k8s = |fields: &str| {
        let text = workload("a", "").replace("type: pod", "type: k8s");
        text.replace("containers:", &format!("{fields}, containers:"))
    };
    for fields in [
        "tolerations: [{}]",
        "runtimeClassName: kata",
        "nodeSelector: {a: b}",
        "volumes: [{name: v, nfs: {}}]",
    ] {
        assert_eq!(problems(&k8s(fields)), Vec::<String>::new(), "{fields}");
    }
    let (desired, problems) = assembled(&k8s("hostNetwrok: true, dnsPolicy: New"));
    assert_eq!((names(&desired), problems.len()), (vec!["a"], 2), "{problems:?}");
    let (desired, problems) = assembled(&k8s("volumes: x"));
    assert_eq!((names(&desired).len(), problems.len()), (0, 1), "{problems:?}");
}
