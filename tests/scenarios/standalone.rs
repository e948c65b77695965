//! Manifests become pods.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::support::{
    Device, IMAGE, PUBLIC_IMAGE, SLEEP, edge_device, http, podman, poll, repository, workload,
};

#[test]
fn a_saved_manifest_becomes_a_pod_a_changed_one_replaces_it_and_a_removed_one_takes_it_away() {
    let Some(mut device) = Device::new("saved") else { return };
    device.start();
    device.wait_for_log("device-worker-ng");
    device.workload("hello", SLEEP);
    let first = device.wait_for_running(&["hello"]);
    assert!(first[0].name.starts_with("hello-"), "{first:?}");
    device.workload("hello", &format!("echo changed; {SLEEP}"));
    assert_ne!(device.wait_for_another(&first[0]).name, first[0].name);
    device.remove_manifest("hello.json");
    device.wait_for_running(&[]);
}

#[test]
fn posts_stop_and_start_a_gated_workload_and_leave_others_alone() {
    let Some(mut device) = Device::new("gated") else { return };
    device.workload("always", SLEEP);
    device.gated("picky", "low");
    device.start();
    let before = device.wait_for_running(&["always", "picky"]);
    assert_eq!(device.post("x", 5), 200);
    device.wait_for_running(&["always"]);
    assert_eq!(device.post("x", 2.5), 200);
    let after = device.wait_for_running(&["always", "picky"]);
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1].id, after[1].id);
    assert_eq!(device.post("x", 99), 200);
    device.wait_for_running(&["always"]);
    assert_eq!(device.post("x", None::<f64>), 200); // unset: `x == nil` holds
    device.wait_for_running(&["always", "picky"]);
}

#[test]
fn a_condition_waits_as_long_as_it_says_and_ends_where_it_says_also_over_a_kill() {
    let Some(mut device) = Device::new("lasting") else { return };
    let hot = json!({"name": "hot", "expression": "heat > 60", "for": "10s", "until": "heat < 40"});
    let mut own = edge_device("lasting", &[]);
    own["spec"]["profiles"][0]["conditions"] = json!([hot]);
    device.manifest("device.json", &own.to_string());
    device.gated("fan", "hot");
    device.start_taking_metrics();
    let began = Instant::now();
    assert_eq!(device.post("heat", 70), 200);
    let left = "heat > 60 for 10s until heat < 40, and heat is 70: true in ";
    device.wait_for("the time that is left", || {
        String::from_utf8(device.run(&["explain", "fan"]).stdout).unwrap().contains(left).then_some(())
    });
    device.kill();
    device.start();
    let before = device.wait_for_running(&["fan"]);
    assert!(began.elapsed() >= Duration::from_secs(10));
    assert_eq!(device.post("heat", 50), 200);
    device.kill();
    device.start_taking_metrics();
    device.wait_for_log("runs already");
    assert_eq!(device.wait_for_running(&["fan"]), before);
    assert!(device.run(&["eval", "time.hour < 24 && time.weekday >= 1"]).status.success());
    assert_eq!(device.post("heat", 39), 200);
    device.wait_for_running(&[]);
}

#[test]
fn a_condition_sees_every_term_and_only_its_own_metric() {
    let Some(mut device) = Device::new("terms") else { return };
    device.profiles(&[
        ("all", "a > 1 && b > 1 && c > 1"),
        ("hot", "hot > 50"),
        ("very_hot", "very_hot > 50"),
    ]);
    device.gated("three", "all");
    device.gated("hot", "hot");
    device.start();
    for name in ["a", "b", "very_hot"] {
        assert_eq!(device.post(name, 99), 200);
    }
    device.workload("zz-last", SLEEP); // when this runs, the others had their chance
    device.wait_for_running(&["zz-last"]);
    device.post("c", 2);
    device.wait_for_running(&["three", "zz-last"]);
    device.post("hot", 51);
    device.wait_for_running(&["hot", "three", "zz-last"]);
}

#[test]
fn two_hundred_posts_at_once_and_then_one_more_end_in_the_right_state() {
    let Some(device) = Device::with_gated("burst", "picky") else { return };
    let address = device.address();
    let posts: Vec<_> = (0..200)
        .map(|i| {
            std::thread::spawn(move || {
                let body = format!(r#"{{"name":"x","value":{}}}"#, 100 + i);
                poll(|| http::post(address, &body).ok().filter(|answer| answer.0 == 200))
            })
        })
        .collect();
    for post in posts {
        assert!(post.join().unwrap().is_some());
    }
    device.wait_for_running(&[]);
    assert_eq!(device.post("x", 1), 200);
    device.wait_for_running(&["picky"]);
}

#[test]
fn a_document_that_breaks_is_reported_with_its_place_and_leaves_what_runs_alone() {
    let Some(mut device) = Device::new("broken") else { return };
    let good = |name: &str| serde_json::to_string_pretty(&workload(name, SLEEP)).unwrap();
    device.manifest("all.yaml", &format!("{}\n---\n{}\n", good("first"), good("second")));
    device.start();
    let before = device.wait_for_running(&["first", "second"]);
    let broken = good("second").replace("\"type\": \"pod\"", "\"type\": \"vm\"");
    device.manifest("all.yaml", &format!("{}\n---\n{broken}\n---\n{}\n", good("first"), good("third")));
    let after = device.wait_for_running(&["first", "second", "third"]);
    assert_eq!(before[..2], after[..2]);
    let log = device.log();
    let line = log.lines().find(|line| line.contains("all.yaml")).expect("a report");
    for part in ["document 2", "spec.type", "line", "vm"] {
        assert!(line.contains(part), "'{part}' is missing in: {line}");
    }
    // The same holds when the agent starts with the broken file.
    device.kill();
    device.start();
    device.wait_for_log("runs already");
    let restarted = device.wait_for_running(&["first", "second", "third"]);
    assert_eq!(before[..2], restarted[..2]);
}

#[test]
fn a_config_map_reaches_environment_and_files_and_two_workloads_with_the_same_names_share_nothing() {
    let Some(mut device) = Device::new("configmap") else { return };
    for name in ["one", "two"] {
        let mut workload = workload(
            name,
            &format!("echo $TEXT $(cat /etc/cm/text) $(ls /data); touch /data/{name}; {SLEEP}"),
        );
        let spec = &mut workload["spec"]["pod"]["spec"];
        spec["containers"][0]["env"] = json!([
            {"name": "TEXT", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "text"}}},
        ]);
        spec["containers"][0]["volumeMounts"] = json!([
            {"name": "cm", "mountPath": "/etc/cm"}, {"name": "data", "mountPath": "/data"},
        ]);
        spec["volumes"] =
            json!([{"name": "cm", "configMap": {"name": "words"}}, {"name": "data", "emptyDir": {}}]);
        device.manifest(&format!("{name}.json"), &workload.to_string());
    }
    device.manifest(
        "words.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: words}\ndata: {text: good-morning}\n",
    );
    device.start();
    for pod in device.wait_for_running(&["one", "two"]) {
        let said = device.wait_for("output", || {
            Some(podman::logs(&pod.containers[0].0)).filter(|text| text.contains('\n'))
        });
        assert_eq!(said.trim_end(), "good-morning good-morning", "{pod:?}");
    }
}

#[test]
fn the_shipped_samples_run() {
    let Some(mut device) = Device::new("samples") else { return };
    device.remove_manifest("device.json");
    for entry in std::fs::read_dir(repository("samples/manifests")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap().replace(PUBLIC_IMAGE, IMAGE);
        device.manifest(path.file_name().unwrap().to_str().unwrap(), &text);
    }
    device.start();
    device.wait_for_log("workload 'crashing': container 'unlucky' ended with exit code 3");
    let names =
        |device: &Device| -> Vec<String> { device.pods().into_iter().map(|pod| pod.workload).collect() };
    let all = ["always-on", "crashing", "gated", "setup", "web"];
    device.wait_for("all of them", || (names(&device) == all).then_some(()));
    device.post("x", 5);
    device.wait_for("the gated one to stop", || (!names(&device).contains(&"gated".into())).then_some(()));
}

#[test]
fn a_value_that_is_older_than_its_time_to_live_is_unset() {
    let Some(mut device) = Device::new("ttl") else { return };
    device.set("METRICS_TTL", "2s");
    device.gated("picky", "low");
    device.start();
    let before = device.wait_for_running(&["picky"]);
    let posted = Instant::now();
    assert_eq!(device.post("x", 99), 200);
    // `x == nil` holds again: no lower value was posted.
    device.wait_for_another(&before[0]);
    assert!(posted.elapsed() >= Duration::from_secs(2), "{}", device.log());
}

#[test]
fn a_container_posts_through_a_mounted_unix_socket() {
    let Some(mut device) = Device::new("mounted") else { return };
    let directory = device.path("sockets");
    std::fs::create_dir(&directory).unwrap();
    device.set("METRICS_LISTEN", format!("unix:{}/metrics.sock", directory.display()));
    device.gated("picky", "low");
    device.start();
    device.wait_for_running(&["picky"]);
    // busybox can't talk to unix sockets: the machine's own curl does, with its libraries
    let body = r#"{"name":"x","value":99}"#;
    let script = format!(
        "curl=\"/usr/bin/curl -fsS --unix-socket /metrics/metrics.sock\"
         until $curl -d '{body}' http://localhost/metrics; do sleep 1; done; {SLEEP}"
    );
    let mut poster = workload("poster", &script);
    let spec = &mut poster["spec"]["pod"]["spec"];
    let shared =
        [(directory.to_str().unwrap(), "/metrics"), ("/usr", "/usr"), ("/lib", "/lib"), ("/lib64", "/lib64")];
    let (volumes, mounts): (Vec<_>, Vec<_>) = (shared.iter().enumerate())
        .filter(|(_, (host, _))| Path::new(host).exists())
        .map(|(n, (host, inside))| {
            let name = format!("v{n}");
            (json!({"name": name, "hostPath": {"path": host}}), json!({"name": name, "mountPath": inside}))
        })
        .unzip();
    (spec["volumes"], spec["containers"][0]["volumeMounts"]) = (volumes.into(), mounts.into());
    device.manifest("poster.json", &poster.to_string());
    device.wait_for_running(&["poster"]);
}

#[test]
fn a_directory_that_vanishes_leaves_the_pods_and_is_read_when_it_is_back() {
    let Some(mut device) = Device::new("vanishes") else { return };
    let (here, away) = (device.manifests(), device.path("away"));
    device.workload("a", SLEEP);
    device.start();
    let before = device.wait_for_running(&["a"]);
    std::fs::rename(&here, &away).unwrap();
    device.wait_for_log("what it said before stays");
    assert_eq!(device.pods(), before);
    // The same holds for an agent that starts meanwhile.
    device.kill();
    device.start();
    device.wait_for_log("what it said before stays");
    device.wait_for_log("runs already");
    assert_eq!(device.pods(), before);
    std::fs::rename(&away, &here).unwrap();
    device.workload("later", SLEEP);
    let after = device.wait_for_running(&["a", "later"]);
    assert_eq!(before[0], after[0]);
}

#[test]
fn what_editors_leave_beside_a_file_is_no_manifest() {
    let Some(mut device) = Device::new("editors") else { return };
    device.start();
    device.wait_for_log("asks for 0 workloads");
    for name in
        [".a.yaml.swp", ".b.yaml", "c.yaml~", "#d.yaml#", ".#e.yaml", "4913", "f.yaml.tmp", "g.json.bak"]
    {
        let text = workload(&format!("from-{}", name.len()), SLEEP).to_string();
        std::fs::write(device.manifests().join(name), text).unwrap();
    }
    device.workload("zz-last", SLEEP);
    device.wait_for_running(&["zz-last"]);
    assert!(!device.log().contains("asks for 2"), "{}", device.log());
}
