//! An update waits until it is allowed: what runs stays, over kills and reboots, and the new content is pulled meanwhile.

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, podman, workload};

fn says(device: &Device, arguments: &[&str]) -> String {
    String::from_utf8(device.run(arguments).stdout).unwrap()
}

/// Runs this, and may only be replaced while nothing moves.
fn careful(script: &str) -> Value {
    let mut workload = workload("drive", &format!("{script}; {SLEEP}"));
    workload["spec"]["update"] = json!({ "when": "moving == 0", "deadline": "72h" });
    workload
}

/// A device on which a content has come up while it moves.
fn moving(name: &str) -> Option<(Device, podman::Pod)> {
    let mut device = Device::new(name)?;
    device.manifest("drive.json", &careful("true").to_string());
    device.start_taking_metrics();
    let before = device.wait_for_running(&["drive"]).remove(0);
    assert_eq!(device.post("moving", 1), 200);
    device.wait_for("it to have come up", || device.state_dir().join("fallbacks").exists().then_some(()));
    Some((device, before))
}

#[test]
fn what_runs_stays_over_kills_and_reboots_until_the_condition_holds() {
    let Some((mut device, before)) = moving("careful") else { return };
    let new = careful("echo new");
    device.manifest("drive.json", &new.to_string());
    let waits = "note: an update waits since ";
    let why = ": moving == 0, and moving is 1; at the latest in 2d23h; \
               'device-worker-ng update drive --now' lets it go ahead\n";
    let is_told = |device: &Device| {
        let said = says(device, &["explain", "drive"]);
        (said.contains(waits) && said.contains(why)).then_some(said)
    };
    let said = device.wait_for("the update to wait", || is_told(&device));
    assert!(said.starts_with("drive is running\n"), "{said}");
    let status = says(&device, &["status", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let update = &status["workloads"][0]["update"];
    assert!(update["until"].as_u64().is_some_and(|left| left > 259_000), "{status}");
    for reboots in [false, true] {
        device.kill();
        if reboots {
            device.lose_pods();
        }
        device.start_taking_metrics();
        assert_eq!(device.post("moving", 1), 200);
        let pod = device.wait_for_running(&["drive"]).remove(0);
        device.wait_for("the update to wait again", || is_told(&device));
        assert_eq!((&pod.name, pod.id == before.id), (&before.name, !reboots));
    }
    let present = device.wait_for_running(&["drive"]).remove(0);
    assert_eq!(device.post("moving", 0), 200);
    let after = device.wait_for_another(&present);
    assert_eq!(device.post("moving", 1), 200);
    device.kill();
    device.start_taking_metrics();
    device.wait_for_log("workload 'drive' runs already");
    let pods = device.wait_for_running(&["drive"]);
    assert_eq!(pods[0].id, after.id, "what was let through stays");
    assert!(!says(&device, &["explain", "drive"]).contains(waits));
}

#[test]
fn a_manifest_that_changes_while_no_agent_runs_waits_as_well_and_a_person_lets_it_go() {
    let Some((mut device, before)) = moving("careful-away") else { return };
    device.kill();
    device.manifest("drive.json", &careful("echo new").to_string());
    device.start_taking_metrics();
    assert_eq!(device.post("moving", 1), 200);
    device.wait_for("the update to wait", || {
        says(&device, &["update", "drive"]).contains("note: an update waits since ").then_some(())
    });
    assert_eq!(device.wait_for_running(&["drive"])[0].id, before.id);
    let told = "drive is updated now; 'device-worker-ng explain drive' tells how it is\n";
    assert_eq!(says(&device, &["update", "drive", "--now"]), told);
    device.wait_for_another(&before);
    device.wait_for_log("workload 'drive': its update goes ahead: that was asked for on the device");
    let refused = device.run(&["update", "drive", "--now"]);
    assert_eq!(refused.status.code(), Some(1), "none waits any more");
}

#[test]
fn a_program_that_holds_the_lock_keeps_what_runs_until_it_dies() {
    let Some(mut device) = Device::new("locked") else { return };
    let drive = |script: &str| {
        let mut workload = workload("drive", &format!("{script}; {SLEEP}"));
        workload["spec"]["update"] = json!({});
        workload.to_string()
    };
    device.manifest("drive.json", &drive("true"));
    device.start_taking_metrics();
    let before = device.wait_for_running(&["drive"]).remove(0);
    device.wait_for("it to have come up", || device.state_dir().join("fallbacks").exists().then_some(()));
    let lock = device.path("run").join("update.lock");
    let mut holder = std::process::Command::new("flock").arg(&lock).args(["sleep", "3600"]).spawn().unwrap();
    device.wait_for("the lock to be held", || {
        let tried = std::process::Command::new("flock").arg("-n").arg(&lock).arg("true").status().unwrap();
        (!tried.success()).then_some(())
    });
    device.manifest("drive.json", &drive("echo new"));
    device.wait_for("the update to wait", || {
        says(&device, &["explain", "drive"]).contains("a program holds update.lock").then_some(())
    });
    assert_eq!(device.wait_for_running(&["drive"])[0].id, before.id);
    let sleep = crate::support::children(holder.id());
    holder.kill().unwrap();
    holder.wait().unwrap();
    for pid in sleep {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    device.wait_for_another(&before);
}
