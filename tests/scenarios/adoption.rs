//! The agent dies and comes back: the same pods run.

use std::{fs, os::unix::fs::symlink};

use device_worker_ng::io::state::Store;
use rustix::process::Signal;

use crate::support::{Device, SLEEP, pause, podman, workload};

#[test]
fn killed_at_any_moment_fifty_times_it_finds_the_same_pods_and_neither_doubles_nor_loses_one() {
    let Some(mut device) = Device::new("fifty") else { return };
    let names = ["a", "b", "c"];
    for name in names {
        device.workload(name, SLEEP);
    }
    device.start();
    let before = device.wait_for_running(&names);
    for round in 0..50u64 {
        device.kill();
        device.start();
        // From the first instruction to well after the adoption.
        pause(round * round / 5);
        assert_eq!(device.pods(), before, "after kill {round}");
    }
    device.kill();
    device.start();
    device.wait_for("all three to be adopted", || {
        (device.log().matches("runs already").count() == names.len()).then_some(())
    });
    assert_eq!(device.pods(), before);
}

#[test]
fn killed_while_it_starts_and_changes_pods_it_ends_up_with_one_running_pod_each() {
    let Some(mut device) = Device::new("interrupted") else { return };
    for round in 0..12u64 {
        for name in ["a", "b"] {
            device.workload(name, &format!("echo {round}; {SLEEP}"));
        }
        device.start();
        pause(40 + round * 60);
        device.kill();
    }
    device.start();
    // Pods of an earlier round may run for a moment.
    device.wait_for("one pod each of the last round", || {
        let pods = device.pods();
        let is_last = |pod: &podman::Pod| pod.status == "Running" && said(pod) == "11\n";
        (pods.iter().map(|pod| &*pod.workload).eq(["a", "b"]) && pods.iter().all(is_last)).then_some(())
    });
    assert!(device.pods().iter().all(|pod| pod.containers.len() == 1));
}

fn said(pod: &podman::Pod) -> String {
    podman::logs(&pod.containers[0].0)
}

#[test]
fn what_a_newer_version_kept_is_set_aside_and_pods_run_on() {
    let Some(mut device) = Device::new("downgrade") else { return };
    for name in ["a", "b"] {
        device.workload(name, SLEEP);
    }
    device.start();
    let before = device.wait_for_running(&["a", "b"]);
    device.wait_for("both to have come up", || {
        let kept = std::fs::read_to_string(device.state_dir().join("fallbacks")).unwrap_or_default();
        (kept.contains("\"a\"") && kept.contains("\"b\"")).then_some(())
    });
    device.end(Signal::TERM);
    let store = Store::new(device.state_dir());
    let newer = |name: &str| format!("{{\"format\": 7, \"of\": [\"{name}\"]}}").into_bytes();
    let names =
        ["stops", "fallbacks", "updates", "images", "finished", "configuration", "manifests", "another"];
    for name in names {
        store.save(name, &newer(name)).unwrap();
    }
    for _ in 0..2 {
        device.start();
        device.wait_for("both to be adopted", || {
            (device.log().matches("runs already").count() == 2).then_some(())
        });
        // Each is waited for: an agent that is killed while a pod is going finds half of it, and makes it anew.
        for (words, running) in [(["stop", "a"], &["b"][..]), (["start", "a"], &["a", "b"])] {
            assert!(device.run(&words).status.success());
            device.wait_for_running(running);
        }
        device.kill();
    }
    let after = device.pods();
    assert_eq!(after[1], before[1], "what was not stopped runs on");
    for name in ["stops", "fallbacks", "updates", "images", "finished", "manifests"] {
        let path = device.state_dir().join(name).display().to_string();
        let remedy = format!(
            "what '{path}' says is not used; if another version of the agent wrote it, install that one, \
                              stop it, and start it after 'mv {path}.unread {path}'"
        );
        assert!(device.whole_log().contains(&remedy), "{name}:\n{}", device.whole_log());
        assert_eq!(store.load(&format!("{name}.unread")), Some(newer(name)));
    }
    assert_eq!(store.load("another"), Some(newer("another")), "what this version doesn't know stays");
}

#[test]
fn a_stop_of_the_agent_is_quick_and_leaves_the_pods() {
    let Some(mut device) = Device::new("stop") else { return };
    device.workload("a", SLEEP);
    device.start();
    let before = device.wait_for_running(&["a"]);
    let status = device.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", device.log());
    assert_eq!(device.pods(), before);
}

#[test]
fn what_changed_while_the_agent_was_away_is_made_true_and_orphans_go() {
    let Some(mut device) = Device::new("away") else { return };
    for name in ["goes", "stays"] {
        device.workload(name, SLEEP);
    }
    device.start();
    let before = device.wait_for_running(&["goes", "stays"]);
    device.kill();
    device.remove_manifest("goes.json");
    device.workload("new", SLEEP);
    device.start();
    let after = device.wait_for_running(&["new", "stays"]);
    assert_eq!(before[1], after[1]);
}

#[test]
fn orphans_go_also_from_a_podman_whose_socket_comes_later() {
    let Some(mut device) = Device::new("later") else { return };
    let way = device.path("podman.sock");
    let podman = std::mem::replace(&mut device.socket, way.clone());
    symlink(&podman, &way).unwrap();
    device.workload("goes", SLEEP);
    device.start();
    device.wait_for_running(&["goes"]);
    device.kill();
    device.remove_manifest("goes.json");
    fs::remove_file(&way).unwrap();
    device.start_taking_metrics();
    let answers = || (device.run(&["status"]).status.code() != Some(3)).then_some(());
    device.wait_for("an answer", answers);
    assert_eq!(device.pods().len(), 1);
    symlink(&podman, &way).unwrap();
    device.post("x", 1); // it would see it within a minute
    device.wait_for_running(&[]);
}

#[test]
fn pods_of_others_are_never_touched() {
    let Some(mut device) = Device::new("foreign") else { return };
    let foreign = format!("foreign-{}", device.port);
    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": foreign, "labels": {
            "project-flotta.io/owner": "somebody-else", "project-flotta.io/workload": "x", "project-flotta.io": "1"}},
        "spec": workload("x", SLEEP)["spec"]["pod"]["spec"]});
    let (status, answer) = podman::call(&podman::socket(), "POST", "play/kube", &pod.to_string());
    assert_eq!(status, 200, "{answer}");
    device.workload("a", SLEEP);
    device.start();
    device.wait_for_running(&["a"]);
    device.remove_manifest("a.json");
    device.wait_for_running(&[]);
    let others = podman::pods(&podman::socket(), "somebody-else");
    podman::remove(&podman::socket(), &foreign);
    assert_eq!(
        others.iter().map(|pod| (&*pod.name, &*pod.status)).collect::<Vec<_>>(),
        [(&*foreign, "Running")]
    );
}

#[test]
fn metric_values_survive_the_agent() {
    let Some(mut device) = Device::with_gated("values", "picky") else { return };
    device.post("x", 7);
    device.wait_for_running(&[]);
    device.kill();
    device.workload("zz-last", SLEEP);
    device.start();
    device.wait_for_running(&["zz-last"]); // and not the picky one
}
