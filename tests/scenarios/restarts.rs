//! A container that ends is started again in its pod: its neighbours, the pod's address and its volumes stay.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::convergence::{container_pid, retried};
use crate::support::{Device, SLEEP, podman};

/// A pod in which `main` runs this, beside one that goes on; both have a volume at `/v`.
fn beside(name: &str, script: &str, seconds: u32) -> Value {
    let mut workload = retried(name, script, seconds);
    let spec = &mut workload["spec"]["pod"]["spec"];
    spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    spec["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    let mut other = spec["containers"][0].clone();
    (other["name"], other["command"]) = ("other".into(), json!(["sh", "-c", SLEEP]));
    spec["containers"].as_array_mut().unwrap().push(other);
    workload
}

fn address(pod: &podman::Pod) -> Value {
    let path = format!("containers/{}-infra/json", pod.name);
    let (_, infra) = podman::call(&podman::socket(), "GET", &path, "");
    infra["NetworkSettings"]["Networks"].clone()
}

fn kill(container: &str) {
    kill_process(Pid::from_raw(container_pid(container)).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn its_neighbour_the_address_and_the_volume_stay_and_the_wait_is_the_workloads() {
    let Some(mut device) = Device::new("in-its-pod") else { return };
    let script = "echo run >>/v/runs; cat /v/runs; echo done; sleep 1; exit 7";
    let before = device.run_alone("w", &beside("w", script, 3));
    let [main, other] = ["main", "other"].map(|name| format!("{}-{name}", before.name));
    let (pid, address_before) = (container_pid(&other), address(&before));
    device
        .wait_for_log("workload 'w': container 'main' ended with exit code 7 after 1 s; tried again in 3 s");
    let ended = podman::call(&podman::socket(), "GET", &format!("containers/{main}/json"), "").1;
    let time = |text: &Value| chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap()).unwrap();
    let ended = time(&ended["State"]["FinishedAt"]);
    let said = String::from_utf8(device.run(&["explain", "w"]).stdout).unwrap();
    assert!(said.starts_with("w is back-off: container 'main' ended with exit code 7 after 1 s"), "{said}");
    let after = device.wait_for_restart(&before, "main");
    let began = podman::call(&podman::socket(), "GET", &format!("containers/{main}/json"), "").1;
    let waited = time(&began["State"]["StartedAt"]) - ended;
    assert!((2900..8000).contains(&waited.num_milliseconds()), "{waited}");
    assert_eq!((container_pid(&other), address(&after)), (pid, address_before));
    device.wait_for("a second run in the same volume", || {
        podman::logs(&main).contains("run\nrun\ndone").then_some(())
    });
    assert_eq!(device.log().matches("is started: pod").count(), 1, "{}", device.log());
}

#[test]
fn an_agent_that_is_killed_meanwhile_goes_on_with_that_container_alone() {
    let Some(mut device) = Device::new("killed-meanwhile") else { return };
    let before = device.run_alone("w", &beside("w", SLEEP, 3));
    let [main, other] = ["main", "other"].map(|name| format!("{}-{name}", before.name));
    let pid = container_pid(&other);
    kill(&main);
    device.wait_for_log("container 'main' ended with exit code 137");
    device.kill();
    device.start();
    device.wait_for_restart(&before, "main");
    assert_eq!(container_pid(&other), pid);
    device.wait_for_log("workload 'w': container 'main' is started again");
}

#[test]
fn what_is_never_restarted_stays_ended_beside_its_neighbour() {
    let Some(mut device) = Device::new("never-again") else { return };
    let mut never = beside("never", "exit 3", 1);
    never["spec"]["pod"]["spec"]["restartPolicy"] = "Never".into();
    device.manifest("never.json", &never.to_string());
    // what would start it again is over when this one has come back
    device.manifest("zz.json", &retried("zz", "sleep 1", 1).to_string());
    device.start();
    device.wait_for("two runs", || {
        (device.log().matches("container 'main' ended with exit code 0").count() >= 2).then_some(())
    });
    let pod = device.pods().remove(0);
    let states = ["main", "other"].map(|name| {
        let path = format!("containers/{}-{name}/json", pod.name);
        podman::call(&podman::socket(), "GET", &path, "").1["State"]["Status"].clone()
    });
    assert_eq!(states, ["exited", "running"], "{}", device.log());
}

#[test]
fn only_the_container_whose_probe_fails_is_ended_and_started_again() {
    let Some(mut device) = Device::new("sick-alone") else { return };
    let mut sick = beside("s", &format!("touch /ok; sleep 2; rm /ok; {SLEEP}"), 1);
    sick["spec"]["pod"]["spec"]["containers"][0]["livenessProbe"] = json!({
        "exec": {"command": ["cat", "/ok"]}, "periodSeconds": 1, "failureThreshold": 2
    });
    let before = device.run_alone("s", &sick);
    let other = format!("{}-other", before.name);
    let pid = container_pid(&other);
    device.wait_for_log("container 'main' is unhealthy: its liveness probe failed 2 times");
    device.wait_for_restart(&before, "main");
    assert_eq!(container_pid(&other), pid);
}

#[test]
fn a_pod_that_has_lost_its_namespaces_is_made_anew() {
    let Some(mut device) = Device::new("torn") else { return };
    let before = device.run_alone("t", &beside("t", SLEEP, 1));
    kill(&format!("{}-infra", before.name));
    kill(&format!("{}-main", before.name));
    device.wait_for_another(&before);
    let log = device.log();
    assert!(log.contains("what held the pod's network has ended"), "{log}");
}

#[test]
fn what_fails_in_a_run_is_started_again_in_its_pod_until_it_has_ended_well() {
    let Some(mut device) = Device::new("in-its-run") else { return };
    // fails twice; its neighbour ends when it has done its work
    let script = "echo run >>/v/runs; sleep 1; [ $(wc -l </v/runs) -ge 3 ] || exit 7; touch /v/done";
    let mut run = beside("r", script, 2);
    run["spec"]["cron"] = "0 0 1 1 *".into();
    let spec = &mut run["spec"]["pod"]["spec"];
    spec["restartPolicy"] = "OnFailure".into();
    spec["containers"][1]["command"] = json!(["sh", "-c", "until [ -e /v/done ]; do sleep 0.1; done"]);
    device.manifest("r.json", &run.to_string());
    device.start();
    device.wait_for("a run by hand", || device.run(&["run", "r"]).status.success().then_some(()));
    device.wait_for_log("container 'main' ended with exit code 7 after 1 s; tried again in 2 s");
    device.wait_for_log("workload 'r' has finished with exit code 0");
    let log = device.log();
    assert_eq!(log.matches("container 'main' is started again").count(), 2, "{log}");
    assert_eq!(log.matches("workload 'r' is started").count(), 1, "{log}");
}

#[test]
fn a_job_of_which_a_container_fails_too_often_has_failed_and_its_others_end() {
    let Some(mut device) = Device::new("too-often") else { return };
    let mut spec = beside("j", "sleep 1; exit 3", 1)["spec"]["pod"]["spec"].take();
    spec["restartPolicy"] = "OnFailure".into();
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "j", "annotations": {"flotta/retry": "1"}},
        "spec": {"backoffLimit": 2, "template": {"spec": spec}},
    });
    device.manifest("j.json", &job.to_string());
    device.start();
    device.wait_for_log("workload 'j' has finished with exit code 3");
    device.wait_for("no pod", || device.pods().is_empty().then_some(()));
    let log = device.log();
    assert_eq!(log.matches("container 'main' is started again").count(), 2, "{log}");
    assert_eq!(log.matches("workload 'j' is started").count(), 1, "{log}");
}
