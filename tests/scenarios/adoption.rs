//! The agent dies and comes back: the same pods run.

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
