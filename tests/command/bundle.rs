//! `support-bundle`: what is in it, and what never is.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, workload};

/// Each is part of something that must not be told.
const SECRETS: [&str; 10] = [
    "hunter2",
    "aHVudGVyMg",
    "MIIEvQIBADANBgkq",
    "hkiG9w0BAQEFAASC",
    "pass-of-a-registry",
    "pass-in-a-url",
    "key-in-a-config-map",
    "never-used",
    "plain-in-a-spec",
    "spelled-in-a-spec",
];

/// Writes one, and says what it holds: names, and all texts.
fn bundle(device: &Device, name: &str) -> (Vec<String>, String) {
    let path = device.path(name);
    let output = device.run(&["support-bundle", "--output", path.to_str().unwrap()]);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(&format!(
        "files without Secrets; see them before you send it: tar -tvf '{}'",
        path.display()
    )));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let tar = |flag: &str| {
        let output = Command::new("tar").arg(flag).arg(&path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let name =
        |line: &str| Path::new(line).strip_prefix("device-worker-ng-support").unwrap().display().to_string();
    (tar("-tf").lines().map(name).collect(), tar("-xOf"))
}

fn has_no_secret(text: &str) {
    for secret in SECRETS {
        let at = text.find(secret).map(|at| text[..at].chars().rev().take(200).collect::<String>());
        let before = at.map(|it| it.chars().rev().collect::<String>());
        assert_eq!(before, None, "{secret:?} is in it");
    }
}

#[test]
fn it_tells_of_all_but_secrets_with_and_without_an_agent() {
    let Some(mut device) = Device::new("bundle") else { return };
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
    let login = json!({"auths": {"registry.example": {"username": "joe", "password": "pass-of-a-registry"}}});
    let used = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "used"},
        "stringData": {"password": "hunter2", "key": key, "login": login.to_string()}});
    device.manifest("used.json", &used.to_string());
    device.manifest(
        "unused.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: unused}\nstringData: {k: never-used}\n",
    );
    device.manifest("broken.yaml", "apiVersion: v1\nkind: Secret\n\tstringData: {k: never-used}\n");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m} # a comment stays\ndata:\n  url: https://joe:pass-in-a-url@host/x\n  \
               pem: |\n    -----BEGIN EC PRIVATE KEY-----\n    key-in-a-config-map\n    -----END EC PRIVATE KEY-----\n";
    device.manifest("map.yaml", map);
    let script = format!(
        "echo \"it is $PASSWORD\"; echo \"$KEY $DB_PASSWORD $DB_TOKEN\"; printf '%s' \"$PASSWORD\" | base64; echo http://joe:pass-in-a-url@host; {SLEEP}"
    );
    let mut w = workload("leaky", &script);
    let from = |key: &str| json!({"secretKeyRef": {"name": "used", "key": key}});
    w["spec"]["pod"]["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "valueFrom": from("password")}, {"name": "KEY", "valueFrom": from("key")},
        {"name": "DB_PASSWORD", "value": "plain-in-a-spec"}, {"name": "DB_TOKEN", "value": "spelled-in-a-spec"}]);
    device.manifest("leaky.json", &w.to_string());
    device.start();
    device.wait_for_running(&["leaky"]);
    device.wait_for("its output", || (device.run(&["logs", "leaky"]).stdout.len() > 60).then_some(()));
    let (names, text) = bundle(&device, "whole.tar");
    for expected in [
        "system.txt",
        "status.txt",
        "status.json",
        "metrics.txt",
        "describe/leaky.txt",
        "doctor.txt",
        "check.txt",
        "history.txt",
        "manifests/used.json",
        "manifests/map.yaml",
        "podman.json",
        "logs/leaky.main.txt",
        "control-groups-of-podman.txt",
        "log.txt",
    ] {
        assert!(names.iter().any(|it| it == expected), "{expected} is missing in {names:?}");
    }
    for expected in [
        " running",
        "it is (confidential)",
        "# a comment stays",
        "# left out: the Secret 'used'",
        "# left out: this can't be read",
        "https://(confidential)@host/x",
        "workload 'leaky' is started",
        "=== leaky: main: ",
        "MemTotal:",
        "STATE_DIR",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    has_no_secret(&text);
    let path = device.path("whole.tar").display().to_string();
    let again = device.run(&["support-bundle", "--output", &path, "--json"]);
    let said: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((again.status.code(), &said["code"]), (Some(1), &json!(1)), "nothing is replaced: {said}");
    assert_eq!(device.run(&["support-bundle"]).status.code(), Some(78));
    device.kill();
    device.manifest("leaky.json", "can't be read any more: [");
    let (names, text) = bundle(&device, "away.tar");
    assert!(
        names.iter().any(|it| it == "logs/leaky.main.txt") && text.contains("it is (confidential)"),
        "{names:?}"
    );
    assert!(text.contains("no agent listens on '") && text.contains("workload 'leaky' is started"), "{text}");
    has_no_secret(&text);
}

#[test]
fn what_can_be_had_is_had_although_settings_can_not_be_used_and_podman_is_away() {
    let mut device = Device::without_podman("bare-bundle");
    device.workload("stray", SLEEP);
    device.start_taking_metrics();
    device.wait_for("the cause to be known", || {
        super::say(&device, &["explain", "stray"]).1.contains("podman doesn't answer").then_some(())
    });
    device.set("LOG_LEVEL", "loud");
    let (names, text) = bundle(&device, "bare.tar");
    assert!(names.iter().any(|it| it == "describe/stray.txt"), "{names:?}");
    assert!(text.contains("bad    settings: ") && text.contains("podman doesn't answer"), "{text}");
}
