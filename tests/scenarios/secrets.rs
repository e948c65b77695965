//! `Secret`s and registry credentials from manifests.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, give_secret, podman, poll, search, unique, workload};

fn secret(device: &Device, value: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "k": value },
    });
    device.manifest("secret.json", &secret.to_string());
}

/// Has the Secret as a variable and as a file.
fn user(name: &str) -> Value {
    let mut user = workload(name, &format!("printf %s $K | sha256sum; {SLEEP}"));
    give_secret(&mut user);
    user
}

/// The command lines of all processes.
fn command_lines() -> String {
    let lines = fs::read_dir("/proc").unwrap().flatten().map(|entry| fs::read(entry.path().join("cmdline")));
    lines.map(|line| String::from_utf8_lossy(&line.unwrap_or_default()).into_owned()).collect()
}

#[test]
fn a_secret_reaches_its_users_alone_and_leaves_nothing_behind() {
    let Some(mut device) = Device::new("secret") else { return };
    let (one, two) = (unique(), unique());
    device.set("LOG_LEVEL", "trace");
    secret(&device, &one);
    device.manifest("user.json", &user("user").to_string());
    device.workload("zz-other", SLEEP);
    let checked = String::from_utf8(device.run(&["--check"]).stdout).unwrap();
    assert!(checked.contains("    secrets      s\n") && !checked.contains(&one), "{checked}");
    device.start();
    let first = device.wait_for_running(&["user", "zz-other"]);

    let files = |value: &str| -> Vec<String> {
        let directories = [device.state_dir(), device.path("run")];
        directories.iter().flat_map(|directory| search::holders(directory, value)).collect()
    };
    let own = files(&one);
    assert!(own.iter().all(|file| search::is_private(Path::new(file))), "{own:?}");
    assert_eq!(own.len(), 2, "{own:?}"); // the last good manifests, and the volume
    assert!(!command_lines().contains(&one));

    secret(&device, &two);
    device.wait_for_another(&first[0]);
    let second = device.wait_for_running(&["user", "zz-other"]);
    assert_eq!(second[1], first[1]);

    // Without it what runs stays, and everybody hears why.
    device.remove_manifest("secret.json");
    device.wait_for_log("there is no Secret `s` in namespace `default`");
    device.workload("zz-last", SLEEP);
    assert_eq!(device.wait_for_running(&["user", "zz-last", "zz-other"])[0], second[0]);

    device.remove_manifest("user.json");
    device.wait_for_running(&["zz-last", "zz-other"]);
    device
        .wait_for("the volume to go", || search::holders(&device.path("run"), &two).is_empty().then_some(()));
    // the state directory keeps two generations of the manifests
    device.remove_manifest("zz-last.json");
    device.wait_for("no trace of it", || (files(&one).is_empty() && files(&two).is_empty()).then_some(()));
    let log = device.whole_log();
    assert!(!log.contains(&one) && !log.contains(&two), "{log}");
    assert_eq!(podman::call(&podman::socket(), "GET", "secrets/json", "").1, json!([]));
}

#[test]
fn an_adopted_pod_keeps_its_files() {
    let Some(mut device) = Device::new("keeps") else { return };
    secret(&device, "value");
    let mut user = user("user");
    user["spec"]["pod"]["spec"]["containers"][0]["command"][2] =
        json!("trap 'cat /v/k; echo' USR1; while :; do sleep 1 & wait; done");
    device.manifest("user.json", &user.to_string());
    device.start();
    let before = device.wait_for_running(&["user"]);
    device.kill();
    device.start();
    device.workload("zz-other", SLEEP); // when this runs, the agent has looked around
    let after = device.wait_for_running(&["user", "zz-other"]);
    assert_eq!(after[0], before[0]);
    let pod = &before[0].name;
    let read = || {
        podman::call(&podman::socket(), "POST", &format!("containers/{pod}-main/kill?signal=USR1"), "");
        podman::logs(&format!("{pod}-main")).contains("value\n").then_some(())
    };
    poll(read).expect("the file");
}
