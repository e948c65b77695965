//! From manifests to configurations.

use serde_json::{Value, json};

use crate::bed::Bed;

/// A captured answer of the real edge API, drawn back to the manifests that make it.
const MANIFESTS: &str = r#"
kind: EdgeDevice
metadata: {name: full, labels: {site: a}}
spec:
  heartbeat: {periodSeconds: 5, hardwareProfile: {include: true, scope: full}}
  osInformation: {commitID: abc, hostedObjectsURL: "http://x"}
  profiles:
    - name: perf
      conditions: [{name: low, expression: cpu<=25%}, {name: high, expression: cpu>25% && cpu<90%}]
---
kind: EdgeWorkload
metadata:
  name: full1
  labels: {podman/team: red, other: x}
  annotations: {podman/note: hello}
spec:
  type: pod
  deviceSelector: {matchLabels: {site: a}}
  cron: "*/5 * * * *"
  rootless: true
  imageRegistries: {secretRef: {name: registry}}
  retry: {exponentialBackoff: {initialIntervalSeconds: 2, multiplier: 2}}
  profiles: [{name: perf, conditions: [{name: low, cpu: 50000}, {name: high}]}]
  pod:
    spec:
      containers:
        - name: main
          image: localhost/busybox:test
          command: [/bin/sleep, "1000"]
          envFrom: [{configMapRef: {name: cm1}}, {secretRef: {name: sec1}}]
          resources: {limits: {cpu: 200m, memory: 64Mi}}
          volumeMounts: [{mountPath: /cfg, name: v}]
      volumes: [{name: v, configMap: {name: cm1}}]
---
kind: EdgeWorkload
metadata: {name: full2}
spec:
  type: k8s
  device: full
  pod: {spec: {containers: [{image: "localhost/busybox:test", name: a}]}}
---
kind: EdgeWorkload
metadata: {name: of-another}
spec: {type: pod, device: another}
---
kind: EdgeWorkload
metadata: {name: of-another-site}
spec: {type: pod, deviceSelector: {matchLabels: {site: b}}}
---
kind: EdgeWorkload
metadata: {name: of-nobody}
spec: {type: pod}
---
kind: ConfigMap
metadata: {name: cm1, labels: {a: b}}
data:
  KEY1: value1
  file.conf: |
    a=1
    b=2
---
kind: Secret
metadata: {name: sec1}
stringData: {PASSWORD: hunter2}
---
kind: Secret
metadata: {name: registry}
data: {.dockerconfigjson: eyJhdXRocyI6e319}
"#;

#[test]
fn a_configuration_is_what_the_real_one_sends() {
    let bed = Bed::start(&["--ordered"]);
    bed.write("all.yaml", MANIFESTS);
    let client = bed.client(&bed.device("full"));
    let mut message = client.configuration("full").json();
    assert_eq!(
        (&message["type"], &message["directive"], &message["version"]),
        (&json!("data"), &json!("device"), &json!(1))
    );
    let content = &mut message["content"];
    assert!(content["version"].take().as_str().unwrap().parse::<u64>().is_ok());
    let expected: Value = json!({
        "configuration": {
            "heartbeat": {"hardware_profile": {"include": true, "scope": "full"}, "period_seconds": 5},
            "metrics": {"receiver": {"request_num_samples": 30000, "timeout_seconds": 10}},
            "mounts": [],
            "os": {"commit_id": "abc", "hosted_objects_url": "http://x"},
            "profiles": [{"name": "perf", "conditions": [
                {"name": "low", "expression": "cpu<=25%"}, {"name": "high", "expression": "cpu>25% && cpu<90%"},
            ]}],
        },
        "device_id": "full",
        "secrets": [{"data": "{\"PASSWORD\":\"aHVudGVyMg==\"}", "name": "sec1"}],
        "version": null,
        "workloads": [
            {
                "annotations": {"note": "hello"},
                "configmaps": ["apiVersion: v1\ndata:\n  KEY1: value1\n  file.conf: |\n    a=1\n    b=2\nkind: ConfigMap\nmetadata:\n  creationTimestamp: null\n  name: cm1\n"],
                "cron": "*/5 * * * *",
                "imageRegistries": {"authFile": "{\"auths\":{}}"},
                "kind": "pod",
                "labels": {"team": "red"},
                "name": "full1",
                "namespace": "default",
                "profiles": [{"name": "perf", "conditions": [{"name": "low", "cpu": {"cpu": 50000}}, {"name": "high"}]}],
                "retry": {"backoff": "exponentialBackoff", "initialIntervalSeconds": 2, "multiplier": 2},
                "rootless": true,
                "specification": "containers:\n- command:\n  - /bin/sleep\n  - \"1000\"\n  envFrom:\n  - configMapRef:\n      name: cm1\n  - secretRef:\n      name: sec1\n  image: localhost/busybox:test\n  name: main\n  resources:\n    limits:\n      cpu: 200m\n      memory: 64Mi\n  volumeMounts:\n  - mountPath: /cfg\n    name: v\nvolumes:\n- configMap:\n    name: cm1\n  name: v\n",
            },
            {
                "kind": "k8s", "name": "full2", "namespace": "default", "profiles": [],
                "specification": "containers:\n- image: localhost/busybox:test\n  name: a\n  resources: {}\n",
            },
        ],
    });
    assert_eq!(*content, expected, "{content:#}");
}

#[test]
fn credentials_are_sent_that_a_specification_names_for_pulls() {
    let bed = Bed::start(&[]);
    let client = bed.client(&bed.device("full"));
    let sent = |pod: &str, more: &str| {
        bed.write(
            "all.yaml",
            &format!(
                "kind: EdgeWorkload\nmetadata: {{name: w}}\nspec:\n  type: pod\n  device: full\n  pod: {{spec: {{imagePullSecrets: [{{name: {pod}}}], \
                 containers: [{{image: i, name: a}}]}}}}\n{more}---\nkind: Secret\nmetadata: {{name: registry}}\n\
                 data: {{.dockerconfigjson: eyJhdXRocyI6e319}}\n"
            ),
        );
        client.configuration("full").json()["content"]["workloads"][0]["imageRegistries"]["authFile"].take()
    };
    assert_eq!(sent("registry", ""), "{\"auths\":{}}");
    assert_eq!(sent("missing", ""), Value::Null);
    assert_eq!(sent("missing", "  imageRegistries: {secretRef: {name: registry}}\n"), "{\"auths\":{}}");
}

#[test]
fn rules_of_updates_are_handed_on_as_they_are_written() {
    const RULES: &str = "{when: moving == 0, window: {cron: 0 2 * * *, duration: 2h}, deadline: 72h}";
    let bed = Bed::start(&[]);
    let workload =
        "{type: pod, device: careful, pod: {spec: {containers: [{name: a, image: i}]}}, update: {}}";
    let text = format!(
        "kind: EdgeDevice\nmetadata: {{name: careful}}\nspec: {{update: {RULES}}}\n---\n\
         kind: EdgeWorkload\nmetadata: {{name: drive}}\nspec: {workload}\n"
    );
    bed.write("all.yaml", &text);
    let client = bed.client(&bed.device("careful"));
    let content = client.configuration("careful").json()["content"].take();
    let expected =
        json!({"when": "moving == 0", "window": {"cron": "0 2 * * *", "duration": "2h"}, "deadline": "72h"});
    assert_eq!(content["configuration"]["update"], expected, "{content:#}");
    assert_eq!(content["workloads"][0]["update"], json!({}), "the lock counts");
}

#[test]
fn a_changed_manifest_counts_and_a_broken_one_does_not() {
    let bed = Bed::start(&["--label", "site=b", "--period", "7"]);
    let client = bed.client(&bed.device("one"));
    let names = || {
        let content = client.configuration("one").json();
        assert_eq!(content["content"]["configuration"]["heartbeat"]["period_seconds"], 7);
        let workloads = content["content"]["workloads"].as_array().cloned().unwrap_or_default();
        workloads.iter().map(|workload| workload["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), [""; 0]);
    bed.write("all.yaml", MANIFESTS);
    assert_eq!(names(), ["of-another-site"], "by the label of every device");
    bed.write("all.yaml", "kind: [");
    assert_eq!(names(), ["of-another-site"]);
    bed.write("all.yaml", "");
    assert_eq!(names(), [""; 0]);
}
