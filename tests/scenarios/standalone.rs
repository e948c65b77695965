//! Manifests become pods.

use crate::support::{Device, SLEEP, http, podman, poll, repository, workload};

#[test]
fn a_saved_manifest_becomes_a_pod_a_changed_one_replaces_it_and_a_removed_one_takes_it_away() {
    let Some(mut device) = Device::new("saved") else { return };
    device.start();
    device.wait_for_log("device-worker-ng");
    device.workload("hello", SLEEP);
    let first = device.wait_for_running(&["hello"]);
    assert!(first[0].name.starts_with("hello-"), "{first:?}");
    device.workload("hello", &format!("echo changed; {SLEEP}"));
    device.wait_for("another pod", || {
        let pods = device.pods();
        (pods.len() == 1 && pods[0].name != first[0].name && pods[0].status == "Running").then_some(())
    });
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
    let Some(mut device) = Device::new("burst") else { return };
    device.gated("picky", "low");
    device.start();
    device.wait_for_running(&["picky"]);
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
        spec["containers"][0]["env"] = serde_json::json!([
            {"name": "TEXT", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "text"}}},
        ]);
        spec["containers"][0]["volumeMounts"] = serde_json::json!([
            {"name": "cm", "mountPath": "/etc/cm"}, {"name": "data", "mountPath": "/data"},
        ]);
        spec["volumes"] = serde_json::json!([{"name": "cm", "configMap": {"name": "words"}}, {"name": "data", "emptyDir": {}}]);
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
        device
            .manifest(path.file_name().unwrap().to_str().unwrap(), &std::fs::read_to_string(&path).unwrap());
    }
    device.start();
    device.wait_for_log("workload 'crashing': container 'unlucky' ended with exit code 3");
    let names =
        |device: &Device| -> Vec<String> { device.pods().into_iter().map(|pod| pod.workload).collect() };
    device.wait_for("all three", || (names(&device) == ["always-on", "crashing", "gated"]).then_some(()));
    device.post("x", 5);
    device.wait_for("the gated one to stop", || (!names(&device).contains(&"gated".into())).then_some(()));
}
