//! Why a workload doesn't run, with cause and remedy: said by `status` and `explain` alone.

use super::{wait_for, wait_for_explanation};
use crate::support::{Device, SLEEP, edge::Edge, free_port, workload};

const HEAD: &str = "WORKLOAD STATE SINCE RESTARTS NEXT CPU WHY";
const CONDITIONS: &str = "PROFILE CONDITION HOLDS WHY\np low yes x < 3% || x == nil, and x is not posted\n";

/// The whole of `status` on a device with this one workload, and its podman.
fn status(health: &str, row: &str) -> String {
    format!("device DEVICE: {health}\npodman answers\n\n{HEAD}\n{row}\n\n{CONDITIONS}")
}

#[test]
fn an_image_that_is_not_there() {
    let Some(mut device) = Device::new("bad-image") else { return };
    let mut w = workload("lost", SLEEP);
    let container = &mut w["spec"]["pod"]["spec"]["containers"][0];
    (container["image"], container["imagePullPolicy"]) = ("localhost/nobody:1".into(), "Never".into());
    device.manifest("lost.json", &w.to_string());
    device.start();
    let cause = "image 'localhost/nobody:1' is not here, and its pull policy is Never";
    let remedy =
        "check the image's name, the way to its registry, and imageRegistries; or load it with 'podman load'";
    wait_for_explanation(
        &device,
        "lost",
        1,
        &format!("lost is back-off: {cause}\nnext: in #\nremedy: {remedy}\n"),
    );
    wait_for(&device, &["status"], 1, &status("degraded", &format!("lost back-off # 0 # - {cause}")));
}

#[test]
fn a_condition_that_is_false() {
    let Some(device) = Device::with_gated("false-condition", "shy") else { return };
    assert_eq!(device.post("x", 12), 200);
    let cause = "profile 'p' doesn't hold: low is false: x < 3% || x == nil, and x is 12";
    let remedy = "it starts by itself when one of these is true; post the metrics that they need";
    wait_for_explanation(&device, "shy", 0, &format!("shy is inactive: {cause}\nremedy: {remedy}\n"));
    let expected = status("healthy", &format!("shy inactive # 0 - - {cause}"));
    let expected = expected
        .replace("low yes x < 3% || x == nil, and x is not posted", "low no x < 3% || x == nil, and x is 12");
    wait_for(&device, &["status"], 0, &expected);
}

#[test]
fn a_profile_that_is_not_defined() {
    let Some(mut device) = Device::new("undefined") else { return };
    let mut w = workload("loner", SLEEP);
    w["spec"]["profiles"] = serde_json::json!([{"name": "power", "conditions": ["high"]}]);
    device.manifest("loner.json", &w.to_string());
    device.start();
    let cause = "the device defines no condition 'high' in a profile 'power'";
    let remedy = "define it for this device, or take the profile 'power' out of the workload";
    wait_for_explanation(&device, "loner", 0, &format!("loner is inactive: {cause}\nremedy: {remedy}\n"));
    let problem = "workload 'loner': the device has no condition 'high' in a profile 'power', so it is false";
    let expected = status("healthy", &format!("loner inactive # 0 - - {cause}"));
    let expected = expected.replacen("\n\n", &format!("\nproblem {problem}\n\n"), 1);
    wait_for(&device, &["status"], 0, &expected);
}

#[test]
fn a_container_that_crashes() {
    let Some(mut device) = Device::new("back-off") else { return };
    device.workload("crasher", "exit 7");
    device.start();
    let cause = "container 'main' ended with exit code 7 after 0 s";
    let remedy = "see the container's output: 'podman logs POD-CONTAINER'; 'restart NAME' doesn't wait";
    wait_for_explanation(
        &device,
        "crasher",
        1,
        &format!("crasher is back-off: {cause}\nnext: in #\nremedy: {remedy}\n"),
    );
    wait_for(&device, &["status"], 1, &status("degraded", &format!("crasher back-off # 0 # - {cause}")));
}

#[test]
fn a_job_that_failed() {
    let Some(mut device) = Device::new("job") else { return };
    let mut w = workload("job", "exit 3");
    w["spec"]["pod"]["spec"]["restartPolicy"] = "Never".into();
    device.manifest("job.json", &w.to_string());
    device.start();
    let cause = "it has finished with exit code 3 after 0 s; its restartPolicy is Never";
    let remedy = "see the container's output: 'podman logs POD-CONTAINER'; 'restart NAME' doesn't wait";
    let run = "last run: # ago, after #, with exit code 3";
    wait_for_explanation(&device, "job", 1, &format!("job is failed: {cause}\n{run}\nremedy: {remedy}\n"));
    wait_for(&device, &["status"], 1, &status("degraded", &format!("job failed # 0 - - {cause}")));
}

#[test]
fn a_slot_that_has_not_come() {
    let Some(mut device) = Device::new("cron") else { return };
    let mut w = workload("yearly", "true");
    w["spec"]["cron"] = "0 0 1 1 *".into();
    device.manifest("yearly.json", &w.to_string());
    device.start();
    wait_for_explanation(
        &device,
        "yearly",
        0,
        "yearly is scheduled: it waits for its next slot\nnext: in #\n",
    );
    wait_for(
        &device,
        &["status"],
        0,
        &status("healthy", "yearly scheduled # 0 # - it waits for its next slot"),
    );
}

#[test]
fn a_secret_that_is_missing() {
    let Some(mut device) = Device::new("no-secret") else { return };
    let mut w = workload("spy", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = serde_json::json!([{"secretRef": {"name": "s"}}]);
    device.manifest("spy.json", &w.to_string());
    device.start();
    let cause = "spy.json, document 1, line 1: spec.pod.spec.containers[0].envFrom[0].secretRef.name: \
                 there is no Secret `s` in namespace `default`";
    let remedy = "correct it where it is written; nothing of it changes before that";
    wait_for_explanation(&device, "spy", 1, &format!("spy is rejected: {cause}\nremedy: {remedy}\n"));
    let expected = status("degraded", &format!("spy rejected # 0 - - {cause}"));
    let expected = expected.replacen("\n\n", &format!("\nproblem {cause}\n\n"), 1);
    wait_for(&device, &["status"], 1, &expected);
}

#[test]
fn a_podman_that_is_not_there() {
    let mut device = Device::without_podman("no-socket");
    device.workload("stray", SLEEP);
    device.start();
    let cause = "failed to reach podman at 'SOCKET': No such file or directory (os error 2)";
    let remedy = "see 'systemctl status podman.socket'; the setting is PODMAN_SOCKET";
    let explanation = format!("stray is unknown: podman doesn't answer: {cause}\nremedy: {remedy}\n");
    wait_for_explanation(&device, "stray", 1, &explanation);
    device.wait_for_log("podman doesn't answer; it is tried again");
    let row = format!("stray unknown # 0 - - podman doesn't answer: {cause}");
    let expected = status("degraded", &row).replacen("answers", &format!("doesn't answer: {cause}"), 1);
    wait_for(&device, &["status"], 1, &expected);
}

#[test]
fn a_disk_with_less_than_its_reserve() {
    let Some(mut device) = Device::new("reserve") else { return };
    device.workload("heavy", SLEEP);
    device.set("DISK_RESERVE", "100%");
    device.start();
    let short = "disk space is short: # MiB are left, the reserve is # MiB";
    let cause = format!("nothing new is pulled or started: {short}");
    let remedy = "free some; what is kept free is set by MEMORY_RESERVE and DISK_RESERVE";
    wait_for_explanation(&device, "heavy", 1, &format!("heavy is held: {cause}\nremedy: {remedy}\n"));
    let expected = status("degraded", &format!("heavy held # 0 - - {cause}"));
    let expected = expected.replacen("\n\n", &format!("\nshort {short}\n\n"), 1);
    wait_for(&device, &["status"], 1, &expected);
}

#[test]
fn a_manifest_that_can_not_be_read() {
    let Some(mut device) = Device::new("rejected") else { return };
    let mut w = workload("garbled", SLEEP);
    w["spec"]["retry"] = serde_json::json!({"constantBackoff": {"periodSeconds": "often"}});
    device.manifest("garbled.json", &w.to_string());
    device.start();
    let cause = "garbled.json, document 1, line 1: spec.retry.constantBackoff.periodSeconds: invalid type: string \
                 \"often\", expected f64";
    let remedy = "correct it where it is written; nothing of it changes before that";
    wait_for_explanation(&device, "garbled", 1, &format!("garbled is rejected: {cause}\nremedy: {remedy}\n"));
    let expected = status("degraded", &format!("garbled rejected # 0 - - {cause}"));
    let expected = expected.replacen("\n\n", &format!("\nproblem {cause}\n\n"), 1);
    wait_for(&device, &["status"], 1, &expected);
}

#[test]
fn a_server_that_can_not_be_reached() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = Device::new("no-server") else { return };
    device.talk_to(&edge);
    let nothing = format!("https://127.0.0.1:{}", free_port());
    device.set("SERVER", nothing.clone());
    device.workload("remote", SLEEP);
    device.start();
    device.wait_for_running(&["remote"]);
    let row = format!("remote running # 0 - - \n\n{CONDITIONS}").replace("- \n", "-\n");
    let cause = format!(
        "the edge API can't be reached; it is tried again: failed to reach '{nothing}': Connection refused (os error 111)"
    );
    let expected = format!(
        "device DEVICE: healthy\nserver enrolling; asked again in #\n{cause}\npodman answers\n\n{HEAD}\n{row}"
    );
    wait_for(&device, &["status"], 0, &expected);
    wait_for_explanation(&device, "remote", 0, "remote is running\n");
}
