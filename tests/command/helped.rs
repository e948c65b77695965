//! Why a workload doesn't run by its own doing, or that of a person. What is shown is whole in `tests/command/shown`; what
//! the remedy says is done, and helps.

use std::time::Duration;

use serde_json::json;

use super::{
    say,
    shown::{device, is_shown, remedied, started},
    wait_for_explanation,
};
use crate::support::{IMAGE, SLEEP, workload};

/// From the start of an update to its return, and some more.
const TRIAL: Duration = Duration::from_secs(240);

#[test]
fn stopped_by_an_operator() {
    let Some(device) = started("op-stopped", &workload("halted", SLEEP)) else { return };
    device.wait_for_running(&["halted"]);
    say(&device, &["stop", "halted"]);
    device.wait_for_running(&[]);
    is_shown(&device, "halted", "stopped-by-hand", "halted is stopped: an operator stopped it at ");
    remedied(&device, "halted");
    device.wait_for_running(&["halted"]);
    wait_for_explanation(&device, "halted", 0, "halted is running\n");
}

#[test]
fn a_container_that_crashes() {
    let mut w = workload("crasher", "echo no config; exit 7");
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("back-off", &w) else { return };
    is_shown(
        &device,
        "crasher",
        "container-crashes",
        "crasher is back-off: container 'main' ended with exit code 7",
    );
    assert_eq!(remedied(&device, "crasher"), "no config\ncrasher gets a new pod\n");
}

#[test]
fn a_command_that_is_not_in_the_image() {
    let mut w = workload("absent", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["command"] = json!(["/no/such/command"]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("no-command", &w) else { return };
    is_shown(&device, "absent", "command-not-in-image", "/no/such/command");
    w["spec"]["pod"]["spec"]["containers"][0]["command"] = json!(["sleep", "1000"]);
    device.manifest("w.json", &w.to_string());
    device.wait_for_running(&["absent"]);
}

#[test]
fn a_slot_that_has_not_come() {
    let mut w = workload("yearly", "true");
    w["spec"]["cron"] = "0 0 1 1 *".into();
    let Some(device) = started("cron", &w) else { return };
    is_shown(&device, "yearly", "slot-not-come", "yearly is scheduled: it waits for its next slot");
}

#[test]
fn a_cron_run_that_failed() {
    let mut w = workload("nightly", "echo no disk; exit 3");
    w["spec"]["cron"] = "0 0 1 1 *".into();
    let Some(device) = started("cron-failed", &w) else { return };
    device.wait_for("its slot to be known", || {
        say(&device, &["explain", "nightly"]).1.contains("it waits for its next slot").then_some(())
    });
    say(&device, &["run", "nightly"]);
    is_shown(&device, "nightly", "cron-run-failed", "nightly is failed: it has finished with exit code 3");
    assert!(remedied(&device, "nightly").starts_with("no disk\n"));
}

#[test]
fn a_job_that_failed_is_run_again_by_hand() {
    let mut w = workload("job", "echo no disk; exit 3");
    w["spec"]["pod"]["spec"]["restartPolicy"] = "Never".into();
    let Some(device) = started("job-again", &w) else { return };
    is_shown(&device, "job", "job-failed", "job is failed: it has finished with exit code 3");
    let first = device.pods()[0].id.clone();
    assert_eq!(remedied(&device, "job"), "no disk\njob gets a new pod\n");
    device.wait_for("it to have run again", || {
        let is_another = device.pods().first().is_some_and(|pod| pod.id != first && pod.status == "exited");
        (is_another && say(&device, &["explain", "job"]).1.contains("job is failed")).then_some(())
    });
}

#[test]
fn a_job_that_ended_well() {
    let mut w = workload("job", "true");
    w["spec"]["pod"]["spec"]["restartPolicy"] = "OnFailure".into();
    let Some(device) = started("job-well", &w) else { return };
    is_shown(&device, "job", "job-ended-well", "job is finished: it has ended with exit code 0");
}

#[test]
fn an_init_container_that_failed() {
    let mut w = workload("prepared", SLEEP);
    let init = json!({"name": "migrate", "image": IMAGE, "command": ["sh", "-c", "echo no database; exit 4"],
        "imagePullPolicy": "IfNotPresent"});
    w["spec"]["pod"]["spec"]["initContainers"] = json!([init]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("init-failed", &w) else { return };
    let cause = "prepared is back-off: init container 'migrate' exited with code 4";
    is_shown(&device, "prepared", "init-container-failed", cause);
    assert_eq!(remedied(&device, "prepared"), "no database\nprepared gets a new pod\n");
}

#[test]
fn a_container_that_is_not_ready() {
    let mut w = workload("shy", &format!("echo no queue; {SLEEP}"));
    w["spec"]["pod"]["spec"]["containers"][0]["readinessProbe"] = json!({"exec": {"command": ["sh", "-c", "echo no queue; false"]}, "periodSeconds": 1, "timeoutSeconds": 30});
    let Some(device) = started("not-ready", &w) else { return };
    is_shown(&device, "shy", "not-ready", "its readiness probe failed: exit code 1: no queue");
}

#[test]
fn a_container_that_is_unhealthy() {
    let mut w = workload("sick", &format!("echo ill; {SLEEP}"));
    w["spec"]["pod"]["spec"]["containers"][0]["livenessProbe"] = json!({
        "exec": {"command": ["sh", "-c", "echo no pulse; false"]}, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 30
    });
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("unhealthy", &w) else { return };
    is_shown(&device, "sick", "unhealthy", "no pulse");
    assert!(remedied(&device, "sick").starts_with("ill\n"));
}

#[test]
fn a_container_that_took_more_memory_than_its_limit() {
    let mut w = workload(
        "greedy",
        "echo hungry; x=$(head -c 200000000 /dev/zero | tr '\\0' a); sleep 1; echo $#x; exit 1",
    );
    w["spec"]["pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "16Mi"}});
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("greedy", &w) else { return };
    let said = device.wait_for("its end", || {
        let said = say(&device, &["explain", "greedy"]).1;
        println!("{said}");
        said.starts_with("greedy is back-off: ").then_some(said)
    });
    // not each machine that runs tests can limit memory
    if said.contains("out of memory") {
        is_shown(&device, "greedy", "out-of-memory", "out of memory: its limit is 16Mi");
    }
    assert_eq!(remedied(&device, "greedy").lines().next(), Some("hungry"));
}

#[test]
fn a_workload_that_it_depends_on_is_not_ready() {
    let mut broker = workload("broker", "echo no licence; exit 3");
    broker["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    // without one it would be ready for as long as it runs
    let container = &mut broker["spec"]["pod"]["spec"]["containers"][0];
    container["readinessProbe"] = json!({"exec": {"command": ["false"]}});
    let Some(mut device) = device("depends") else { return };
    device.manifest("broker.json", &broker.to_string());
    let mut client = workload("client", SLEEP);
    client["spec"]["dependsOn"] = json!(["broker"]);
    device.manifest("client.json", &client.to_string());
    device.start();
    device.wait_for("the other to fail", || {
        say(&device, &["explain", "broker"]).1.contains("ended with exit code 3").then_some(())
    });
    is_shown(&device, "client", "waits-for-another", "client is starting: ");
    let (code, cause) = say(&device, &["explain", "broker"]);
    assert!(code == 1 && cause.contains("ended with exit code 3"), "the remedy leads to the cause: {cause}");
    assert!(remedied(&device, "broker").starts_with("no licence\n"));
    device.manifest("broker.json", &workload("broker", SLEEP).to_string());
    device.wait_for_running(&["broker", "client"]);
}

#[test]
fn an_update_that_waits_for_its_condition_and_its_window() {
    let w = |script: &str| {
        let mut w = workload("drive", script);
        let window = json!({"cron": "0 0 1 1 *", "duration": "1m"});
        w["spec"]["update"] = json!({"when": "moving == 0", "window": window, "deadline": "72h"});
        w.to_string()
    };
    let Some(mut device) = device("update-waits") else { return };
    device.manifest("w.json", &w(SLEEP));
    device.start_taking_metrics();
    let before = device.wait_for_running(&["drive"]).remove(0);
    assert_eq!(device.post("moving", 1), 200);
    device.wait_for("it to have come up", || device.state_dir().join("fallbacks").exists().then_some(()));
    device.manifest("w.json", &w(&format!("true second; {SLEEP}")));
    is_shown(&device, "drive", "update-waits", "note: an update waits since ");
    assert_eq!(device.wait_for_running(&["drive"])[0], before);
    let (_, said) = say(&device, &["explain", "drive"]);
    let command =
        said.split('\'').find_map(|part| part.strip_prefix("device-worker-ng ")).expect("a command");
    let (code, told) = say(&device, &command.split(' ').collect::<Vec<_>>());
    assert!(code == 0 && told.starts_with("drive is updated now"), "{told}");
    device.wait_for_another(&before);
}

#[test]
fn an_update_that_was_rolled_back_by_itself() {
    let w = |script: &str| {
        let mut w = workload("edited", script);
        w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
        w.to_string()
    };
    let Some(mut device) = device("rolled-back") else { return };
    device.manifest("w.json", &w(SLEEP));
    device.start();
    let first = device.wait_for_running(&["edited"]).remove(0);
    device.wait_for("it to have come up", || device.state_dir().join("fallbacks").exists().then_some(()));
    device.manifest("w.json", &w("echo no database; exit 5"));
    device.wait_for("it to fail", || {
        say(&device, &["explain", "edited"]).1.contains("ended with exit code 5").then_some(())
    });
    device.wait_within(TRIAL, "what ran before to return", || {
        device.pods().iter().any(|pod| pod.name == first.name && pod.status == "Running").then_some(())
    });
    is_shown(&device, "edited", "rolled-back", "what ran before is back");
    let told = remedied(&device, "edited");
    assert!(told.contains("ended with exit code 5"), "{told}");
    let back = device.wait_for_running(&["edited"]).remove(0);
    device.manifest("w.json", &w(&format!("true corrected; {SLEEP}")));
    device.wait_for_another(&back);
    wait_for_explanation(&device, "edited", 0, "edited is running\n");
}
