//! From a manifest to a Deployment and its status, and back.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::cluster::{CONFIG_MAPS, Cluster, DEPLOYMENTS, SECRETS, hash};
use crate::support::{Device, edge::Edge};

/// What the server heard last of a workload.
fn status(edge: &Edge, workload: &str) -> Option<String> {
    let beats = edge.since(0);
    let last = beats.iter().rev().find(|it| it.is_good("heartbeat"))?;
    last.workload(workload).map(str::to_owned)
}

fn wait_for_status(device: &Device, edge: &Edge, wanted: &str) {
    let what = format!("the server to hear '{wanted}'");
    device.wait_for(&what, || (status(edge, "web")? == wanted).then_some(()));
}

fn wait_for_deployment(
    device: &Device,
    cluster: &Cluster,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Value {
    device.wait_for(what, || cluster.deployment("web").filter(|it| is_it(it)))
}

/// Uses a `ConfigMap` and a `Secret`, and runs while x is below 3 or unset.
fn web(cluster: &Cluster, message: &str) -> String {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"message": message},
    });
    let mut web = cluster.workload("web");
    web["spec"]["pod"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "page"}}, {"secretRef": {"name": "key"}}]);
    web["spec"]["profiles"] = json!([{"name": "p", "conditions": ["low"]}]);
    web["spec"]["deviceSelector"] = json!({"matchLabels": {"all": "yes"}});
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}, "data": {"password": "aHVudGVyMg=="},
    });
    let [map, secret] = [map, secret].map(|object| cluster.here(object));
    format!("{map}\n---\n{secret}\n---\n{web}\n")
}

#[test]
fn a_workload_is_a_deployment_whose_pods_say_how_it_is() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let mut device = Device::without_podman("kube");
    device.talk_only_to(&edge);
    device.set("NAMESPACE", cluster.namespace.clone());
    let save = |name: &str, text: &str| fs::write(edge.path("manifests").join(name), text).unwrap();
    save(
        "device.json",
        &json!({
            "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
            "metadata": {"name": device.id, "labels": {"all": "yes"}},
            "spec": {"profiles": [{"name": "p", "conditions": [{"name": "low", "expression": "x < 3 || x == nil"}]}]},
        })
        .to_string(),
    );
    save("web.yaml", &web(&cluster, "one"));
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    device.start_taking_metrics();

    // it comes up
    let first = wait_for_deployment(&device, &cluster, "the Deployment", |it| hash(it) != Value::Null);
    let template = &first["spec"]["template"]["spec"];
    assert_eq!(template["containers"][0]["envFrom"][0]["configMapRef"]["name"], "web.page");
    assert_eq!(template["containers"][0]["envFrom"][1]["secretRef"]["name"], "web.key");
    let secret = cluster.get(&format!("{SECRETS}/web.key"));
    assert_eq!(secret["data"], json!({"password": "aHVudGVyMg=="}));
    assert_eq!(template["containers"][0]["env"], json!([{"name": "DEVICE_ID", "value": device.id}]));
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}/web.page"))["data"], json!({"message": "one"}));
    wait_for_status(&device, &edge, "Deploying");
    cluster.come_up(&device, "web", &hash(&first), true);
    wait_for_status(&device, &edge, "Running");

    // its pod isn't ready any more, which is seen without a list, and then is
    let changed = Instant::now();
    cluster.come_up(&device, "web", &hash(&first), false);
    wait_for_status(&device, &edge, "Crashed");
    assert!(changed.elapsed() < Duration::from_secs(15), "{:?}", changed.elapsed());
    cluster.come_up(&device, "web", &hash(&first), true);
    wait_for_status(&device, &edge, "Running");

    // the agent's end changes nothing, and the next one adopts it
    device.kill();
    let before = cluster.deployment("web").unwrap()["metadata"]["generation"].clone();
    device.start_taking_metrics();
    device.wait_for_log("workload 'web' runs already");
    assert_eq!(cluster.deployment("web").unwrap()["metadata"]["generation"], before);

    // the profiles scale it
    assert_eq!(device.post("x", 5), 200);
    wait_for_deployment(&device, &cluster, "no replicas", |it| it["spec"]["replicas"] == 0);
    wait_for_status(&device, &edge, "Stopped");
    assert_eq!(device.post("x", 1), 200);
    wait_for_deployment(&device, &cluster, "a replica", |it| it["spec"]["replicas"] == 1);
    wait_for_status(&device, &edge, "Deploying");
    cluster.come_up(&device, "web", &hash(&first), true);
    wait_for_status(&device, &edge, "Running");

    // another content rolls the same Deployment
    save("web.yaml", &web(&cluster, "two"));
    let second = wait_for_deployment(&device, &cluster, "the new content", |it| {
        hash(it) != Value::Null && hash(it) != hash(&first)
    });
    assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}/web.page"))["data"], json!({"message": "two"}));
    wait_for_status(&device, &edge, "Deploying");
    cluster.come_up(&device, "web", &hash(&second), true);
    wait_for_status(&device, &edge, "Running");

    // unregistered: it goes, after its pods
    edge.tell(&format!("disconnect {}", device.id));
    device.wait_for("the Deployment to be gone", || {
        cluster.bury();
        cluster.deployment("web").is_none().then_some(())
    });
    device.wait_for("its ConfigMap to be gone", || {
        (cluster.request("GET", &format!("{CONFIG_MAPS}/web.page"), &Value::Null).0 == 404).then_some(())
    });
}

/// Has variables from these objects, which are there as well.
fn using(cluster: &Cluster, maps: &[&str], secrets: &[&str]) -> String {
    let (mut documents, mut sources) = (Vec::new(), Vec::new());
    for (kind, reference, names) in [("ConfigMap", "configMapRef", maps), ("Secret", "secretRef", secrets)] {
        for name in names {
            let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
            documents.push(cluster.here(object).to_string());
            sources.push(json!({ reference: {"name": name} }));
        }
    }
    let mut web = cluster.workload("web");
    web["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = sources.into();
    documents.push(web.to_string());
    documents.join("\n---\n")
}

#[test]
fn what_only_an_earlier_content_used_goes_when_the_next_one_is_available() {
    let Some(cluster) = Cluster::start() else { return };
    let mut device = Device::without_podman("former");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    device.manifest("web.yaml", &using(&cluster, &["kept", "page", "taken"], &["key"]));
    device.start();
    let first = wait_for_deployment(&device, &cluster, "the Deployment", |it| hash(it) != Value::Null);
    cluster.come_up(&device, "web", &hash(&first), true);
    device.wait_for_log("workload 'web' is available");
    // another one's takes the place of one
    let taken = format!("{CONFIG_MAPS}/web.taken");
    cluster.put("DELETE", &taken, &Value::Null);
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web.taken"}});
    let theirs = cluster.put("POST", CONFIG_MAPS, &theirs);

    device.manifest("web.yaml", &using(&cluster, &["kept"], &[]));
    let second = wait_for_deployment(&device, &cluster, "the new content", |it| {
        hash(it) != Value::Null && hash(it) != hash(&first)
    });
    let is_there = |path: &str| cluster.request("GET", path, &Value::Null).0 == 200;
    let [kept, page] = ["kept", "page"].map(|name| format!("{CONFIG_MAPS}/web.{name}"));
    let key = format!("{SECRETS}/web.key");
    device.kill(); // the next agent finds out what is to go
    device.start();
    device.manifest("other.json", &cluster.workload("other").to_string());
    device.wait_for("the agent to have looked around", || cluster.deployment("other"));
    assert!([&kept, &page, &key].into_iter().all(|path| is_there(path)), "the first pod may need them yet");

    cluster.come_up(&device, "web", &hash(&second), true);
    device.wait_for("what nothing uses to go", || (!is_there(&page) && !is_there(&key)).then_some(()));
    wait_for_deployment(&device, &cluster, "nothing noted of them", |it| {
        it["metadata"]["annotations"]["project-flotta.io/former-objects"].is_null()
    });
    assert!(is_there(&kept));
    assert_eq!(cluster.get(&taken), theirs);
    assert_eq!(cluster.deployment("web").unwrap()["spec"], second["spec"]);
}

#[test]
fn what_is_not_wanted_any_more_is_found_and_removed_and_what_others_change_is_put_right() {
    let Some(cluster) = Cluster::start() else { return };
    let mut device = Device::without_podman("orphans");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    for name in ["stays", "goes"] {
        device.manifest(&format!("{name}.json"), &cluster.workload(name).to_string());
    }
    device.start();
    for name in ["stays", "goes"] {
        device.wait_for("the Deployments", || cluster.deployment(name));
    }
    device.kill();
    device.remove_manifest("goes.json");
    device.start();
    device.wait_for("the orphan to go", || {
        cluster.bury();
        cluster.deployment("goes").is_none().then_some(())
    });

    // another manager takes the image and the number of pods
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "spec": {
            "replicas": 3, "template": {"spec": {"containers": [{"name": "main", "image": "other"}]}},
        },
    });
    let path = format!("{DEPLOYMENTS}/stays?fieldManager=test");
    let (status, said) = cluster.request("PATCH", &path, &other);
    assert_eq!(status, 409, "these fields are the agent's: {said}");
    cluster.put("PATCH", &format!("{path}&force=true"), &other);
    device.wait_for("it to be put right", || {
        let spec = cluster.deployment("stays")?["spec"].clone();
        let image = &spec["template"]["spec"]["containers"][0]["image"];
        (spec["replicas"] == 1 && *image == crate::support::IMAGE).then_some(())
    });

    // it is removed
    cluster.put("DELETE", &format!("{DEPLOYMENTS}/stays"), &json!({"propagationPolicy": "Background"}));
    device.wait_for("it to be there again", || cluster.deployment("stays"));
}
