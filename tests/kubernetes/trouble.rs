//! What belongs to others, what is forbidden, credentials that end, a server that is busy or away.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use super::cluster::{ACCOUNTS, CONFIG_MAPS, Cluster, DEPLOYMENTS, hash};
use crate::support::{Device, pause, skip, workload};

fn foreign(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "theirs", "image": "theirs"}]},
            },
        },
    })
}

#[test]
fn what_belongs_to_others_is_never_touched() {
    let Some(cluster) = Cluster::start() else { return };
    let theirs = cluster.put("POST", DEPLOYMENTS, &foreign("web"));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "maps.page"}, "data": {"a": "b"}});
    let their_map = cluster.put("POST", CONFIG_MAPS, &map);
    let mut device = Device::without_podman("foreign");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    device.manifest("web.json", &cluster.workload("web").to_string());
    let mut maps = cluster.workload("maps");
    maps["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "page"}}]);
    let own =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}, "data": {"c": "d"}});
    device.manifest("maps.yaml", &format!("{}\n---\n{maps}", cluster.here(own)));
    device.start();
    let namespace = &cluster.namespace;
    device.wait_for_log(&format!(
        "workload 'web': a Deployment '{namespace}/web' is there that isn't this agent's"
    ));
    device.wait_for_log(&format!(
        "workload 'maps': one of the configmaps, '{namespace}/maps.page', isn't this agent's"
    ));
    for name in ["web.json", "maps.yaml"] {
        device.remove_manifest(name);
    }
    device.wait_for("the agent's own to go", || {
        cluster.bury();
        cluster.deployment("maps").is_none().then_some(())
    });
    let version = |object: &Value| object["metadata"]["generation"].clone();
    let now = cluster.deployment("web").expect("it stays");
    assert_eq!((&now["metadata"]["uid"], version(&now)), (&theirs["metadata"]["uid"], version(&theirs)));
    assert_eq!(now["metadata"]["labels"], theirs["metadata"]["labels"]);
    assert_eq!(now["spec"], theirs["spec"]);
    assert_eq!(cluster.get(&format!("{CONFIG_MAPS}/maps.page")), their_map);
}

#[test]
fn rights_and_tokens_that_come_later_are_used_without_a_restart() {
    let Some(cluster) = Cluster::start() else { return };
    let mut device = Device::without_podman("rights");
    let config = cluster.user("agent", false);
    device.set("KUBECONFIG", config.display().to_string());
    device.manifest("web.json", &cluster.workload("web").to_string());
    let mut elsewhere = cluster.workload("elsewhere");
    elsewhere["metadata"]["namespace"] = "nowhere".into();
    device.manifest("elsewhere.json", &elsewhere.to_string());
    device.start();
    device.wait_for_log("kubernetes doesn't answer; it is tried again");
    device.wait_for_log(r#"cannot list resource "deployments""#);

    cluster.grant("agent");
    device.wait_for("the Deployment", || cluster.deployment("web"));
    device.wait_for_log("kubernetes answers again");
    device.wait_for_log(r#"workload 'elsewhere': "#);
    device.wait_for_log(r#"namespaces "nowhere" not found"#);

    // the token ends with its account; the next account's takes its place in the file
    let before = cluster.deployment("web").unwrap();
    cluster.put("DELETE", &format!("{ACCOUNTS}/agent"), &Value::Null);
    device.wait_for("the token to end", || (!cluster.knows(&config)).then_some(()));
    device.manifest("more.json", &cluster.workload("more").to_string());
    device.wait_for_log("doesn't accept this device's credentials (401)");
    assert_eq!(cluster.deployment("web").unwrap()["spec"], before["spec"]);
    assert!(cluster.deployment("more").is_none());
    let other = cluster.user("other", true);
    fs::rename(other, &config).unwrap();
    device.wait_for("the next Deployment", || cluster.deployment("more"));
    assert_eq!(cluster.deployment("web").unwrap()["metadata"]["uid"], before["metadata"]["uid"]);
}

#[test]
fn an_agent_that_may_not_remove_objects_says_so_once_and_goes_on() {
    let Some(cluster) = Cluster::start() else { return };
    let mut device = Device::without_podman("keeps");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    let role = &cluster.role();
    let mut rules = cluster.get(role)["rules"].clone();
    rules[1]["verbs"] = json!(["get", "create", "patch"]);
    cluster.put("PATCH", role, &json!({"rules": rules}));
    let mut web = cluster.workload("web");
    web["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "page"}}]);
    let page = cluster.here(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page"}}));
    device.manifest("web.yaml", &format!("{page}\n---\n{web}"));
    device.start();
    let first =
        device.wait_for("the Deployment", || cluster.deployment("web").filter(|it| !hash(it).is_null()));
    device.manifest("web.yaml", &cluster.workload("web").to_string());
    let second = device.wait_for("the next content", || {
        cluster.deployment("web").filter(|it| !hash(it).is_null() && hash(it) != hash(&first))
    });
    device.kill(); // what this one applied it would leave alone for a while
    device.start();
    cluster.come_up(&device, "web", &hash(&second), true);
    let namespace = &cluster.namespace;
    device.wait_for_log(&format!(
        "failed to remove '{namespace}/configmaps/web.page', which nothing uses any more"
    ));
    device.wait_for("nothing noted of it", || {
        let annotations = cluster.deployment("web")?["metadata"]["annotations"].clone();
        annotations["project-flotta.io/former-objects"].is_null().then_some(())
    });
    assert_eq!(cluster.request("GET", &format!("{CONFIG_MAPS}/web.page"), &Value::Null).0, 200);
    assert!(!device.log().contains("it is tried again"), "{}", device.log());
}

#[test]
fn a_client_certificate_does_as_well_as_a_token() {
    let Some(mut cluster) = Cluster::start_own() else { return };
    let (config, flag) = cluster.certified();
    let mut device = Device::without_podman("certified");
    device.set("KUBECONFIG", config.display().to_string());
    device.manifest("web.json", &cluster.workload("web").to_string());
    device.start();
    device.wait_for_log(r#"User "system:anonymous" cannot list"#);
    let words = cluster.kill();
    cluster.restart(&words, &[&flag]);
    device.wait_for("the Deployment", || cluster.deployment("web"));
}

#[test]
fn in_a_pod_its_service_account_is_used_and_each_renewed_token_of_it() {
    let Some(cluster) = Cluster::start() else { return };
    if !rustix::process::geteuid().is_root() {
        return skip("it takes root to mount the service account");
    }
    cluster.user("agent", true);
    let (account, [host, port]) = cluster.service_account("agent");
    let mut device = Device::without_podman("inside");
    device.manifest("web.json", &cluster.workload("web").to_string());
    let mounted = r#"mount -t tmpfs t /run && mkdir -p /run/secrets/kubernetes.io &&
        ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@""#;
    let account_path = account.display().to_string();
    device.start_wrapped(&["unshare", "-m", "env", &host, &port, "sh", "-c", mounted, &account_path]);
    device.wait_for("the Deployment", || cluster.deployment("web"));
    fs::write(account.join("token"), "an old one").unwrap();
    device.manifest("more.json", &cluster.workload("more").to_string());
    device.wait_for_log("doesn't accept this device's credentials (401)");
    fs::write(account.join("token"), cluster.token("agent").as_str().unwrap()).unwrap();
    device.wait_for("the next Deployment", || cluster.deployment("more"));
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_an_event_that_says_why() {
    let mut device = Device::without_podman("config");
    let mut web = workload("web", "sleep 1");
    web["spec"]["type"] = "k8s".into();
    device.manifest("web.json", &web.to_string());
    device.start();
    device.wait_for_log("kubernetes doesn't answer; it is tried again: no KUBECONFIG is given");
    device.kill();
    let file = device.path("kubeconfig");
    device.set("KUBECONFIG", file.display().to_string());
    fs::write(&file, "current-context: x\ncontexts: []\n").unwrap();
    device.start();
    device.wait_for_log("kubeconfig': contexts: there is no 'x'");
}

#[test]
fn a_busy_server_is_waited_for_as_it_asks() {
    let Some(mut cluster) = Cluster::start_own() else { return };
    let config = cluster.user("agent", true);
    let words = cluster.kill();
    // one change at a time, and 429 for who comes meanwhile
    let more = ["--feature-gates=APIPriorityAndFairness=false", "--max-mutating-requests-inflight=1"];
    cluster.restart(&words, &more);
    let mut device = Device::without_podman("busy");
    device.set("KUBECONFIG", config.display().to_string());
    let names: Vec<_> = (0..40).map(|n| format!("w{n}")).collect();
    let all: Vec<_> = names.iter().map(|name| cluster.workload(name).to_string()).collect();
    device.manifest("all.yaml", &all.join("\n---\n"));
    device.start();
    device.wait_for("all Deployments", || {
        let list = cluster.get(DEPLOYMENTS);
        (list["items"].as_array()?.len() == names.len()).then_some(())
    });
    let metrics = cluster.get("/metrics");
    let mut lines = metrics.as_str().unwrap().lines();
    assert!(lines.any(|line| line.starts_with("apiserver_dropped_requests_total{")), "it was never busy");
    assert!(!device.log().contains("[WARN]"), "{}", device.log());
}

#[test]
fn a_server_that_goes_away_changes_nothing_and_afterwards_the_status_is_right() {
    let Some(mut cluster) = Cluster::start_own() else { return };
    let mut device = Device::without_podman("away");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    for name in ["up", "down"] {
        device.manifest(&format!("{name}.json"), &cluster.workload(name).to_string());
    }
    device.start();
    let up = device.wait_for("the Deployment", || cluster.deployment("up"));
    cluster.come_up(&device, "up", &hash(&up), true);
    device.wait_for_log("workload 'up' is available");
    let spec = |name: &str| cluster.deployment(name).unwrap()["spec"].clone();
    let before = (spec("up"), spec("down"), cluster.pods("up"), cluster.pods("down"));

    let words = cluster.kill();
    device.wait_for_log("kubernetes doesn't answer");
    let away = std::env::var("KUBE_AWAY").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(5);
    pause(Duration::from_secs(away).as_millis() as u64);
    cluster.restart(&words, &[]);
    let down = cluster.deployment("down").unwrap();
    cluster.come_up(&device, "down", &hash(&down), true);
    cluster.come_up(&device, "up", &hash(&up), false);
    device.wait_for_log("kubernetes answers again");
    device.wait_for_log("workload 'down' is available");
    device.wait_for_log(&format!("workload 'up': Deployment '{}/up' fails", cluster.namespace));
    let spec = |name: &str| cluster.deployment(name).unwrap()["spec"].clone();
    assert_eq!((spec("up"), spec("down")), (before.0, before.1));
    let names = |pods: &[Value]| pods.iter().map(|pod| pod["metadata"]["uid"].clone()).collect::<Vec<_>>();
    assert_eq!(names(&cluster.pods("up")), names(&before.2));
    assert_eq!(names(&cluster.pods("down")), names(&before.3));
}
