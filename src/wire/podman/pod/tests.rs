//! The rewrites, one by one.

use super::*;
use crate::agent::model::{
    confidential::Confidential,
    workload::{Content, Engine},
};

fn workload(specification: Value, config_maps: Vec<Value>) -> Workload {
    Workload::new(Content {
        name: "web".into(),
        namespace: "default".into(),
        engine: Engine::Podman { rootless: false },
        labels: vec![("app".into(), "x".into()), (OWNER_LABEL.into(), "forged".into())],
        annotations: vec![("note".into(), "n".into())],
        config_maps,
        secrets: Confidential::default(),
        auth: Confidential::default(),
        specification: specification.into(),
    })
}

/// The documents that podman would read.
fn played(workload: &Workload) -> Vec<Value> {
    played_within(workload, &Limits::default())
}

fn played_within(workload: &Workload, limits: &Limits) -> Vec<Value> {
    let body = documents(workload, "me", "dev1", limits, Path::new("/secrets"));
    body.split("\n---\n").map(|document| serde_json::from_str(document).unwrap()).collect()
}

fn pod_of(specification: Value) -> (String, Value) {
    let workload = workload(specification, vec![]);
    (own_prefix(&workload.id), played(&workload).pop().unwrap())
}

#[test]
fn our_labels_win_and_the_authors_stay() {
    let workload = workload(json!({ "containers": [] }), vec![]);
    let pod = &played(&workload)[0];
    assert_eq!(pod["metadata"]["name"], workload.id.as_str());
    let expected = json!({
        "app": "x",
        "project-flotta.io": workload.hash[..32],
        "project-flotta.io/owner": "me",
        "project-flotta.io/workload": "web",
    });
    assert_eq!(pod["metadata"]["labels"], expected);
    assert_eq!(pod["metadata"]["annotations"], json!({ "note": "n" }));
}

#[test]
fn every_container_knows_its_device_and_is_the_agents_to_restart_pull_and_probe() {
    let author = json!({
        "name": "c", "image": "i", "imagePullPolicy": "Always", "restartPolicy": "Always",
        "livenessProbe": {}, "readinessProbe": {}, "startupProbe": {},
        "env": [{ "name": "DEVICE_ID", "value": "mine" }, { "name": "A", "value": "b" }],
    });
    let (_, pod) = pod_of(json!({
        "restartPolicy": "Always",
        "initContainers": [{ "name": "i" }, { "name": "j", "env": null }],
        "containers": [author],
    }));
    let spec = &pod["spec"];
    assert_eq!(spec["restartPolicy"], "Never");
    let device = json!({ "name": "DEVICE_ID", "value": "dev1" });
    let container = json!({
        "name": "c", "image": "i", "imagePullPolicy": "Never", "restartPolicy": "Always",
        "env": [{ "name": "A", "value": "b" }, device],
    });
    assert_eq!(spec["containers"], json!([container]));
    for init in spec["initContainers"].as_array().unwrap() {
        assert_eq!((&init["env"], &init["imagePullPolicy"]), (&json!([device]), &json!("Never")));
    }
    assert_eq!(pod["metadata"]["annotations"]["io.podman.annotations.pids-limit/c"], "512");
    assert_eq!(pod["metadata"]["annotations"]["io.podman.annotations.pids-limit/i"], "512");
}

#[test]
fn names_that_podman_shares_become_the_workloads_own_wherever_they_stand() {
    let (own, pod) = pod_of(json!({
        "containers": [{
            "name": "c",
            "envFrom": [{ "configMapRef": { "name": "cm" } }],
            "env": [{ "name": "K", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "k" } } }],
            "volumeMounts": [{ "name": "tmp", "mountPath": "/t" }, { "name": "cm", "mountPath": "/c" }],
        }],
        "initContainers": [{ "name": "i", "volumeMounts": [{ "name": "tmp", "mountPath": "/t" }] }],
        "volumes": [
            { "name": "tmp", "emptyDir": {} },
            { "name": "cm", "configMap": { "name": "cm", "items": [] } },
            { "name": "claim", "persistentVolumeClaim": { "claimName": "data" } },
            { "name": "host", "hostPath": { "path": "/x" } },
        ],
    }));
    let (tmp, cm) = (format!("{own}tmp"), format!("{own}cm"));
    let spec = &pod["spec"];
    let container = &spec["containers"][0];
    assert_eq!(container["envFrom"], json!([{ "configMapRef": { "name": cm } }]));
    assert_eq!(container["env"][0]["valueFrom"]["configMapKeyRef"], json!({ "name": cm, "key": "k" }));
    let mounts = json!([{ "name": tmp, "mountPath": "/t" }, { "name": "cm", "mountPath": "/c" }]);
    assert_eq!(container["volumeMounts"], mounts);
    assert_eq!(spec["initContainers"][0]["volumeMounts"][0]["name"], tmp);
    let volumes = json!([
        { "name": tmp, "emptyDir": {} },
        { "name": "cm", "configMap": { "name": cm, "items": [] } },
        { "name": "claim", "persistentVolumeClaim": { "claimName": "web_data" } },
        { "name": "host", "hostPath": { "path": "/x" } },
    ]);
    assert_eq!(spec["volumes"], volumes);
}

#[test]
fn config_maps_come_before_the_pod_under_the_names_it_uses() {
    let map = json!({ "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "k": "on", "n": "1_0" } });
    let workload = workload(json!({ "containers": [] }), vec![map.clone()]);
    let documents = played(&workload);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["metadata"]["name"], format!("{}_cm", workload.id));
    assert_eq!(documents[0]["data"], map["data"]);
    assert_eq!(documents[1]["kind"], "Pod");
}

#[test]
fn what_the_agent_does_not_know_reaches_podman_whole() {
    let odd = json!({
        "hostNetwork": true, "new": { "x": [1, null] }, "containers": [5, { "name": 7, "env": "odd", "volumeMounts": 1 }],
        "volumes": "odd",
    });
    let (_, pod) = pod_of(odd);
    assert_eq!(pod["spec"]["new"], json!({ "x": [1, null] }));
    assert_eq!(pod["spec"]["volumes"], "odd");
    assert_eq!(pod["spec"]["containers"][0], 5);
    assert_eq!(pod["spec"]["containers"][1]["env"], "odd");
    for nonsense in [json!(null), json!("x"), json!([1])] {
        assert_eq!(pod_of(nonsense.clone()).1["spec"], nonsense);
    }
}

#[test]
fn an_authors_process_limit_holds_and_init_containers_do_not_stay() {
    let mut workload = workload(json!({ "containers": [{ "name": "c" }] }), vec![]);
    let limit = pids_limit_annotation("c");
    workload.content.annotations =
        vec![(limit.clone(), "10".into()), (INIT_CONTAINER_TYPE.into(), "always".into())];
    let mut expected = Map::new();
    expected.insert(limit, "10".into());
    assert_eq!(played(&workload)[0]["metadata"]["annotations"], Value::Object(expected));
}

#[test]
fn default_limits_fill_what_an_author_left_out_and_never_cut_a_request() {
    let limits = Limits { memory: Some(64 << 20), cpu: Some(500), pids: None };
    let filled = |resources: Value| {
        let containers = json!([{ "name": "c", "resources": resources }]);
        let workload = workload(json!({ "containers": containers }), vec![]);
        let pod = played_within(&workload, &limits).pop().unwrap();
        assert_eq!(pod["metadata"]["annotations"], json!({ "note": "n" }));
        pod["spec"]["containers"][0]["resources"]["limits"].clone()
    };
    let (memory, cpu) = ("67108864", "500m");
    assert_eq!(filled(json!({})), json!({ "memory": memory, "cpu": cpu }));
    assert_eq!(filled(json!({ "limits": { "memory": "1Gi" } })), json!({ "memory": "1Gi", "cpu": cpu }));
    let requests = json!({ "requests": { "memory": "128Mi", "cpu": 2 } });
    assert_eq!(filled(requests), json!({ "memory": "128Mi", "cpu": 2 }));
    assert_eq!(filled(json!({ "requests": { "cpu": "0.1" } })), json!({ "memory": memory, "cpu": cpu }));
    assert_eq!(filled(json!("odd")), Value::Null, "which is podman's to complain about");
}

#[test]
fn a_deep_specification_fits_an_orders_stack() {
    let mut deep = json!({});
    for _ in 0..64 {
        deep = json!({ "x": [deep] });
    }
    let workload = workload(json!({ "containers": [], "deep": deep }), vec![]);
    let order = std::thread::Builder::new().stack_size(256 * 1024);
    order
        .spawn(move || documents(&workload, "me", "dev1", &Limits::default(), Path::new("/s")).len())
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_container_gets_a_name_that_podman_allows_and_no_two_the_same() {
    for fine in ["web", "nginx_1", "Main_1", "a.b"] {
        assert_eq!(container_name(fine), fine);
    }
    let odd = ["a b", "a_b ", "-a", "_", "ä", &"x".repeat(64), &"x".repeat(65)]
        .map(|it| container_name(it).into_owned());
    for name in &odd {
        assert_eq!(&container_name(name), name, "it is one that fits");
        assert_eq!(odd.iter().filter(|other| *other == name).count(), 1, "{name}");
    }
}
