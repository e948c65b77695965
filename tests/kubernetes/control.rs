//! The life of a device that is managed with `kubectl`: the real agent with real podman, and `flotta-edge-api serve
//! --kubernetes` with the rights that `deploy/` gives it.

use std::{fs, path::PathBuf, process::Command};

use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{ACCOUNTS, Cluster, SECRETS};
use crate::support::{Device, SLEEP, edge::Edge, edge::for_device, repository, workload};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP: &str = "/apis/management.project-flotta.io/v1alpha1/namespaces/NAMESPACE";
const RIGHTS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/NAMESPACE";
const EVENTS: &str = "/api/v1/namespaces/NAMESPACE/events";
const SERVER: &str = "flotta-edge-api";

fn documents(path: PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_yaml::Deserializer::from_str(&text).map(|it| Value::deserialize(it).unwrap()).collect()
}

/// As `kubectl apply --server-side` does.
fn apply(cluster: &Cluster, collection: &str, object: &Value) {
    let path =
        format!("{collection}/{}?fieldManager=test&force=true", object["metadata"]["name"].as_str().unwrap());
    cluster.put("PATCH", &path, object);
}

/// The resources, a user with the server's rights, and the server.
fn control_plane(cluster: &Cluster) -> Option<Edge> {
    for file in fs::read_dir(repository("deploy/crds")).unwrap() {
        let path = file.unwrap().path();
        for definition in documents(path).iter().filter(|it| it["kind"] == "CustomResourceDefinition") {
            apply(cluster, DEFINITIONS, definition);
        }
    }
    let kubeconfig = cluster.user(SERVER, false);
    for mut object in documents(repository("deploy/base/rbac.yaml")) {
        let collection = match object["kind"].as_str().unwrap() {
            "ServiceAccount" => ACCOUNTS.to_owned(),
            "Role" => format!("{RIGHTS}/roles"),
            _ => {
                object["subjects"][0]["namespace"] = cluster.namespace.as_str().into();
                format!("{RIGHTS}/rolebindings")
            }
        };
        apply(cluster, &collection, &object);
    }
    let edge = Edge::start_in_cluster(kubeconfig, &["--namespace", &cluster.namespace, "--period", "1"])?;
    let bootstrap = cluster.get(&format!("{SECRETS}/flotta-bootstrap"));
    for name in ["ca.pem", "bootstrap.pem", "bootstrap.key"] {
        fs::write(edge.path("edge").join(name), decoded(&bootstrap["data"][name])).unwrap();
    }
    Some(edge)
}

fn decoded(data: &Value) -> Vec<u8> {
    use base64::prelude::{BASE64_STANDARD, Engine};
    BASE64_STANDARD.decode(data.as_str().unwrap()).unwrap()
}

/// What the server answers to who has this pair of certificate and key.
fn status(edge: &Edge, pair: &PathBuf, path: &str, body: Option<&str>) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"]);
    curl.arg(edge.path("edge/ca.pem")).arg("--cert").arg(pair).arg("--key").arg(pair);
    if let Some(body) = body {
        curl.args(["-H", "Content-Type: application/json", "-d", body]);
    }
    curl.arg(format!("https://{}/api/flotta-management/v1{path}", edge.address));
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

#[test]
fn a_device_is_approved_gets_workloads_and_updates_shows_how_they_are_and_is_deleted() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(mut device) = Device::new("managed") else { return };
    let Some(edge) = control_plane(&cluster) else { return };
    device.unset("MANIFESTS");
    device.talk_to(&edge);
    device.start();
    let (request, resource) = (
        format!("{GROUP}/edgedevicesignedrequests/{}", device.id),
        format!("{GROUP}/edgedevices/{}", device.id),
    );
    let is_there = |path: &str| cluster.request("GET", path, &Value::Null).0 == 200;

    device.wait_for("its request", || is_there(&request).then_some(()));
    device.wait_for_log("the device waits to be approved");
    assert!(!is_there(&resource) && device.pods().is_empty());
    cluster.put("PATCH", &request, &json!({"spec": {"approved": true}}));
    let shown = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        device.wait_for(what, || Some(cluster.get(&resource)["status"].clone()).filter(|it| is_it(it)))
    };
    let status_of_it = shown("its EdgeDevice to be up", &|status| status["phase"] == "Up");
    assert!(status_of_it["hardware"]["hostname"].is_string() && status_of_it["certificate"]["used"] == true);

    let manifest = |script: &str| for_device(&device, cluster.here(workload("web", script)));
    let workloads = format!("{GROUP}/edgeworkloads");
    apply(&cluster, &workloads, &manifest(SLEEP));
    let pod = device.wait_for_running(&["web"]).remove(0);
    let runs = |status: &Value| {
        status["workloads"][0]["name"] == "web" && status["workloads"][0]["phase"] == "Running"
    };
    let first = shown("'web' to run in its status", &|status| runs(status) && status["running"] == "1/1");
    let counts = |wanted: [i64; 4]| {
        device.wait_for(&format!("{wanted:?} in the status of 'web'"), || {
            let status = cluster.get(&format!("{workloads}/web"))["status"].clone();
            let counts = ["desired", "running", "failing", "updated"].map(|key| status[key].as_i64());
            (counts == wanted.map(Some)).then_some(())
        });
    };
    counts([1, 1, 0, 1]);

    apply(&cluster, &workloads, &manifest(&format!("echo updated; {SLEEP}")));
    let updated = device.wait_for_another(&pod);
    assert_ne!(updated.id, pod.id);
    let version = first["lastSyncedResourceVersion"].clone();
    shown("the update in its status", &|status| {
        runs(status) && status["lastSyncedResourceVersion"] != version
    });
    counts([1, 1, 0, 1]);
    device.wait_for("events of the device", || {
        let all = cluster.get(EVENTS)["items"].as_array().cloned().unwrap_or_default();
        let about = |event: &&Value| event["involvedObject"]["name"] == device.id;
        all.iter().filter(about).any(|event| event["reason"] == "ConfigurationApplied").then_some(())
    });

    // The certificate, as one who has got hold of it may try to use it later.
    let pair = edge.path("pair.pem");
    fs::write(&pair, fs::read(device.state_dir().join("identity")).unwrap()).unwrap();
    let calls = [
        (format!("/data/{}/in", device.id), None),
        (
            format!("/data/{}/out", device.id),
            Some(r#"{"directive": "heartbeat", "content": {"status": "up"}}"#),
        ),
    ];
    let answers = || calls.each_ref().map(|(path, body)| status(&edge, &pair, path, *body));
    assert_eq!(answers(), ["200", "200"]);
    cluster.put("DELETE", &resource, &Value::Null);
    device.wait_for("its workload to go", || device.pods().is_empty().then_some(()));
    device.wait_for_log("the server unregistered this device");
    device.wait_for("its resources to go", || (!is_there(&resource) && !is_there(&request)).then_some(()));
    assert_eq!(answers(), ["404", "404"]);
    assert_eq!(
        status(&edge, &pair, &format!("/control/{}/in", device.id), None),
        "200",
        "it is told to disconnect"
    );
}
