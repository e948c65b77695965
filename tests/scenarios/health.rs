//! Containers that aren't well are noticed, ended, and started again in their pods.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, pause, podman, repository, workload};

/// A workload that is asked every second, and started again a second after a failure.
fn watched(name: &str, script: &str, probes: Value) -> Value {
    let mut workload = workload(name, script);
    workload["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 1}});
    let container = &mut workload["spec"]["pod"]["spec"]["containers"][0];
    for (kind, mut probe) in probes.as_object().cloned().unwrap() {
        probe["periodSeconds"] = 1.into();
        container[kind] = probe;
    }
    workload
}

/// Runs a command in the container, behind the agent's back.
fn run(container: &str, command: &[&str]) {
    let body = json!({"AttachStdout": true, "Cmd": command}).to_string();
    let socket = podman::socket();
    let (_, created) = podman::call(&socket, "POST", &format!("containers/{container}/exec"), &body);
    let id = created["Id"].as_str().expect("an id");
    podman::call(&socket, "POST", &format!("exec/{id}/start"), r#"{"Detach":false}"#);
}

#[test]
fn a_container_whose_command_begins_to_fail_is_started_again_after_the_back_off() {
    let Some(mut device) = Device::new("unhealthy") else { return };
    let script = format!("touch /ok; {SLEEP}");
    let probe = json!({"livenessProbe": {"exec": {"command": ["cat", "/ok"]}, "failureThreshold": 2, "timeoutSeconds": 30}});
    let before = device.run_alone("w", &watched("w", &script, probe));
    device.wait_for_log("well"); // it was asked, and stays
    assert_eq!(device.pods()[0].id, before.id);
    run(&before.containers[0].0, &["rm", "/ok"]);
    device.wait_for_restart(&before, "main");
    let log = device.log();
    let why = "workload 'w': container 'main' is unhealthy: its liveness probe failed 2 times: exit code 1: cat: \
               can't open '/ok': No such file or directory; it is started anew after its back-off";
    assert!(log.contains(why), "{log}");
    assert_eq!(log.matches("is unhealthy").count(), 1, "{log}");
}

#[test]
fn a_web_server_that_answers_with_an_error_is_started_again() {
    let Some(mut device) = Device::new("web") else { return };
    let probe = json!({"livenessProbe": {"httpGet": {"path": "/ok", "port": "web"}, "failureThreshold": 2, "timeoutSeconds": 30}});
    let script = "mkdir /www; touch /www/ok; httpd -f -p 8080 -h /www";
    let mut web = watched("web", script, probe);
    let container = &mut web["spec"]["pod"]["spec"]["containers"][0];
    container["ports"] = json!([{"name": "web", "containerPort": 8080}]);
    let before = device.run_alone("web", &web);
    device.wait_for_log("well");
    run(&before.containers[0].0, &["rm", "/www/ok"]);
    device.wait_for_restart(&before, "main");
    let log = device.log();
    assert!(log.contains("its liveness probe failed 2 times: status 404; it is started anew"), "{log}");
}

/// `broker`, which is ready when `touch /ready` says so.
fn broker() -> Value {
    let ready = json!({"readinessProbe": {"exec": {"command": ["cat", "/ready"]}, "failureThreshold": 1, "timeoutSeconds": 30}});
    watched("broker", SLEEP, ready)
}

/// Starts after `broker`, in a file of its own.
fn after_broker(device: &Device, name: &str) {
    let mut workload = workload(name, SLEEP);
    workload["spec"]["dependsOn"] = json!(["broker"]);
    device.manifest(&format!("{name}.json"), &workload.to_string());
}

#[test]
fn what_depends_on_another_starts_when_that_is_ready_and_runs_on_without_it() {
    let Some(mut device) = Device::new("depends") else { return };
    device.profiles(&[("ready", "workload.broker.ready == 1")]);
    device.gated("follower", "ready");
    after_broker(&device, "client");
    let broker = device.run_alone("broker", &broker());
    let said = |device: &Device, words: &[&str]| String::from_utf8(device.run(words).stdout).unwrap();
    device.wait_for("the first answer of the probe", || {
        said(&device, &["explain", "broker"]).contains("failed").then_some(())
    });
    let waits = said(&device, &["explain", "client"]);
    assert!(waits.contains("it waits for 'broker', which is running and not ready since"), "{waits}");
    let waits = said(&device, &["explain", "follower"]);
    assert!(waits.contains("workload.broker.ready == 1, and workload.broker.ready is 0"), "{waits}");
    run(&broker.containers[0].0, &["touch", "/ready"]);
    let all = device.wait_for_running(&["broker", "client", "follower"]);
    device.kill();
    device.start();
    device.wait_for("the agent to find its pods", || {
        (device.log().matches("runs already").count() == 3).then_some(())
    });
    device.wait_for("the probe's answer", || {
        said(&device, &["describe", "broker"]).contains("readiness probe: well").then_some(())
    });
    assert_eq!(device.wait_for_running(&["broker", "client", "follower"]), all);
    run(&broker.containers[0].0, &["rm", "/ready"]);
    assert_eq!(device.wait_for_running(&["broker", "client"]), all[..2]);
    assert_eq!(
        said(&device, &["eval", "workload.client.running == 1"]).lines().next(),
        Some("workload.client.running == 1: true")
    );
}

#[test]
fn a_circle_is_refused_with_its_path_and_what_runs_stays() {
    let Some(mut device) = Device::new("circle") else { return };
    after_broker(&device, "client");
    device.manifest("broker.json", &workload("broker", SLEEP).to_string());
    device.start();
    let before = device.wait_for_running(&["broker", "client"]);
    let mut circle = workload("broker", "exit 1");
    circle["spec"]["dependsOn"] = json!(["client"]);
    device.manifest("broker.json", &circle.to_string());
    device.wait_for_log("spec.dependsOn: depends on itself: broker -> client -> broker");
    assert_eq!(device.wait_for_running(&["broker", "client"]), before);
    assert!(!device.run(&["--check"]).status.success());
}

#[test]
fn a_slow_start_is_waited_for() {
    let Some(mut device) = Device::new("slow-start") else { return };
    let check = json!({"exec": {"command": ["test", "-e", "/ok"]}});
    let (mut startup, mut liveness) = (check.clone(), check);
    startup["failureThreshold"] = 60.into();
    liveness["failureThreshold"] = 1.into();
    liveness["timeoutSeconds"] = 30.into();
    let probes = json!({"startupProbe": startup, "livenessProbe": liveness});
    device.manifest("s.json", &watched("s", &format!("sleep 4; touch /ok; {SLEEP}"), probes).to_string());
    device.start();
    let before = device.wait_for_running(&["s"]);
    let log = device.wait_for("a failure, and then three times well", || {
        let log = device.log();
        (log.matches("of 's-").count() > 0 && log.matches(": well").count() >= 3).then_some(log)
    });
    assert!(log.contains("exit code 1"), "it started too quickly to show anything: {log}");
    assert_eq!(device.pods(), before);
    assert!(!log.contains("unhealthy"), "{log}");
}

#[test]
fn a_hanging_probe_counts_as_a_failure_and_delays_no_stop() {
    let Some(mut device) = Device::new("hanging") else { return };
    let hang = json!({"exec": {"command": ["sleep", "3600"]}, "timeoutSeconds": 2, "failureThreshold": 2});
    device.manifest("h.json", &watched("h", SLEEP, json!({"livenessProbe": hang})).to_string());
    let mut patient = hang_for(3600);
    patient["spec"]["profiles"] = json!([{"name": "p", "conditions": ["low"]}]);
    device.manifest("patient.json", &patient.to_string());
    device.start();
    let before = device.wait_for_running(&["h", "patient"]);
    pause(1500); // until patient's probe is under way
    assert_eq!(device.post("x", 9), 200);
    device.wait_for_log("workload 'patient': its pod is gone");
    let why = "workload 'h': container 'main' is unhealthy: its liveness probe failed 2 times: its command took \
               longer than 2 s; it is started anew";
    device.wait_for_log(why);
    device.wait_for_restart(&before[0], "main");
}

/// A workload whose probe waits for that many seconds.
fn hang_for(seconds: u32) -> Value {
    let hang = json!({"exec": {"command": ["sleep", "3600"]}, "timeoutSeconds": seconds});
    watched("patient", SLEEP, json!({"livenessProbe": hang}))
}

#[test]
fn an_image_with_a_healthcheck_of_its_own_is_asked_for_that() {
    let Some(mut device) = Device::new("healthcheck") else { return };
    let (image, file) = ("localhost/device-worker-ng-demo:healthcheck", device.path("image.tar"));
    let run_well = |command: &mut Command| assert!(command.output().unwrap().status.success(), "{command:?}");
    let make = ["--tag", image, "--healthcheck", "/ok"];
    run_well(Command::new(repository("scripts/test-image")).args(make).arg(&file));
    run_well(Command::new("podman").arg("load").arg("-i").arg(&file));
    let mut healthy = watched("w", &format!("touch /ok; {SLEEP}"), json!({}));
    healthy["spec"]["pod"]["spec"]["containers"][0]["image"] = image.into();
    let before = device.run_alone("w", &healthy);
    device.wait_for_log("well");
    run(&before.containers[0].0, &["rm", "/ok"]);
    device.wait_for_restart(&before, "main");
    let log = device.log();
    assert!(
        log.contains("is unhealthy: its image's HEALTHCHECK failed 2 times: exit code 1; it is started"),
        "{log}"
    );
}
