//! What commands promise to scripts: exit codes, JSON, and who may ask.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    os::unix::net::UnixStream,
};

use serde_json::Value;

use super::{json, say, wait_for, wait_for_explanation};
use crate::support::{Device, SLEEP, edge::Edge, http};

#[test]
fn exit_codes_tell_what_is_what_and_json_is_for_scripts() {
    let Some(device) = Device::with_gated("codes", "coded") else { return };
    device.wait_for("all to be well", || (say(&device, &["status"]).0 == 0).then_some(()));
    wait_for_explanation(&device, "coded", 0, "coded is running\n");
    assert_eq!(say(&device, &["explain", "nobody"]), (2, "there is no workload 'nobody'\n".into()));
    assert_eq!(say(&device, &["eval", "x == nil"]), (0, "x == nil: true\nx is nil\n".into()));
    assert_eq!(say(&device, &["eval", "x > 1"]), (1, "x > 1: false\nx is nil\n".into()));
    assert_eq!(say(&device, &["eval", "x >"]).0, 2);
    let nested = |depth| format!("{}x > 1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(say(&device, &["eval", &nested(64)]), (1, "x > 1: false\nx is nil\n".into()));
    assert_eq!(say(&device, &["eval", &nested(4000)]).0, 2);
    let status = json(&device, &["status", "--json"]);
    assert_eq!(status["workloads"][0]["name"], "coded");
    assert_eq!(status["workloads"][0]["state"], "running");
    assert_eq!(status["device"]["healthy"], true);
    assert_eq!(
        json(&device, &["describe", "coded", "--json"])["profiles"][0]["conditions"][0]["holds"],
        true
    );
    assert_eq!(json(&device, &["--json", "explain", "coded"])["well"], true);
    assert_eq!(json(&device, &["eval", "2 > 1", "--json"])["holds"], true);
    for command in ["status", "metrics", "doctor", "top", "history"] {
        let said = json(&device, &[command, "--json"]);
        assert_eq!(said["schema_version"], 1, "{command}: {said}");
        assert!(said["time"].as_str().unwrap().ends_with('Z'), "{command}: {said}");
    }
    assert!(status["workloads"][0]["since_time"].as_str().unwrap().starts_with("20"), "{status}");
    for (command, code) in [
        (&["explain", "nobody", "--json"][..], 2),
        (&["eval", "x >", "--json"], 2),
        (&["logs", "nobody", "--json"], 2),
        (&["logs", "coded", "--container", "none", "--json"], 2),
        (&["frobnicate", "--json"], 78),
        (&["run", "coded", "--json"], 1),
        (&["stop", "nobody", "--json"], 2),
    ] {
        let output = device.run(command);
        assert_eq!(output.status.code(), Some(code), "{command:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&said["schema_version"], &said["code"]), (&1.into(), &code.into()), "{said}");
        assert!(said["error"].as_str().is_some_and(|why| !why.is_empty()), "{said}");
    }
}

#[test]
fn what_was_done_is_json_for_scripts_too() {
    let Some(device) = Device::with_gated("done", "coded") else { return };
    wait_for_explanation(&device, "coded", 0, "coded is running\n");
    for command in
        [&["restart", "coded", "--json"][..], &["stop", "coded", "--json"], &["start", "coded", "--json"]]
    {
        device.wait_for(&format!("{command:?} to be done"), || {
            let said = json(&device, command);
            assert_eq!(said["schema_version"], 1, "{command:?}: {said}");
            let is_done = said["code"] == 0;
            (is_done && said["message"].as_str().is_some_and(|it| it.starts_with("coded "))).then_some(())
        });
    }
}

#[test]
fn status_fits_a_terminal_whose_width_is_not_known_and_is_shown_again_when_it_changes() {
    let Some(device) = Device::with_gated("a-device-with-a-rather-long-name", "coded") else { return };
    device.workload("crasher-whose-name-is-much-longer-than-most-names-are", "exit 7");
    device.workload("job", "exit 3");
    let below = "\n    container 'main' ended with exit code 7 after 0 s\n";
    let text = device.wait_for("a crash", || {
        let text = device.shell("unset COLUMNS; exec \"$AGENT\" status", &[]);
        text.contains(below).then_some(text)
    });
    let widest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(widest.chars().count() <= 80, "{widest:?} is too wide:\n{text}");
    assert!(!text.contains('\x1b'), "no colour in a pipe:\n{text}");
    let wide = device.shell("exec \"$AGENT\" status", &[("COLUMNS", "300".into())]);
    assert!(!wide.contains("\n "), "{wide}");
    let mut watcher = device.spawn(&["status", "--watch"]);
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut wait_for_row = |state: &str| {
        let row = format!("coded {state}");
        let is_it = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&row);
        assert!(lines.any(|line| is_it(line.unwrap())));
    };
    wait_for_row("running");
    assert_eq!(device.post("x", 12), 200);
    wait_for_row("inactive");
    watcher.kill().unwrap();
    watcher.wait().unwrap();
}

#[test]
fn a_posted_metric_is_shown_at_once() {
    let mut device = Device::without_podman("metric");
    device.start_taking_metrics();
    assert_eq!(http::post(device.address(), r#"{"name":"x","value":2.5}"#).unwrap().0, 200);
    // 200 means that the loop has it before any question that comes later
    assert_eq!(json(&device, &["metrics", "--json"])["metrics"][0]["value"], 2.5);
    assert_eq!(say(&device, &["eval", "x > 2"]).0, 0);
}

#[test]
fn a_restart_gives_a_new_pod_without_waiting() {
    let Some(mut device) = Device::new("restart") else { return };
    device.workload("fresh", SLEEP);
    device.start();
    let before = device.wait_for_running(&["fresh"]).remove(0);
    // podman may have it running before the agent hears of it
    wait_for(&device, &["restart", "fresh"], 0, "fresh gets a new pod\n");
    let after = device.wait_for_another(&before);
    assert_eq!(after.name, before.name, "the content is the same");
    assert_eq!(say(&device, &["restart", "nobody"]).0, 2);
}

#[test]
fn without_an_agent_the_answer_says_so_and_the_code_is_3() {
    let device = Device::without_podman("away");
    let output = device.run(&["status"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no agent listens on '") && said.contains("control.sock"), "{said}");
    assert_eq!(json(&device, &["status", "--json"])["code"], 3);
    let output = device.run(&["frobnicate"]);
    assert_eq!(output.status.code(), Some(78));
    let output = device.run(&["explain"]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn the_socket_is_the_agents_users_alone_and_outlives_clients_that_hang_or_babble() {
    let mut device = Device::without_podman("socket");
    device.start_taking_metrics();
    let path = device.path("run/control.sock");
    device.wait_for("the socket", || path.exists().then_some(()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let _silent = UnixStream::connect(&path).unwrap();
    let mut babbler = UnixStream::connect(&path).unwrap();
    let _ = babbler.write_all(&[0xff; 100_000]);
    assert_eq!(say(&device, &["metrics"]).0, 0);
    device.kill();
    device.start_taking_metrics();
    // what a dead agent left is in nothing's way
    device.wait_for("a reply", || (say(&device, &["metrics"]).0 == 0).then_some(()));
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do_with_or_without_an_agent() {
    let mut device = Device::without_podman("doctor");
    let (code, text) = say(&device, &["doctor"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.starts_with("bad agent: no agent listens on '"), "{text}");
    device.workload("fresh", SLEEP);
    device.start_taking_metrics();
    let text = device.wait_for("the agent to look for podman", || {
        let (code, text) = say(&device, &["doctor"]);
        (code == 1 && text.contains("bad podman")).then_some(text)
    });
    assert!(text.starts_with("good agent: it runs, and answers\n"), "{text}");
    assert!(text.contains("remedy: systemctl enable --now podman.socket\n"), "{text}");
    let findings = json(&device, &["doctor", "--json"]);
    assert!(
        findings["findings"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["verdict"] == "bad" && it["remedy"].is_string())
    );
}

#[test]
fn the_doctor_says_whether_podman_can_open_ports() {
    let Some(device) = Device::new("doctor-nft") else { return };
    let text = say(&device, &["doctor"]).1;
    assert!(text.contains("good firewall: netavark finds nft\n"), "{text}");
}

#[test]
fn the_doctor_says_which_program_has_the_port_with_or_without_an_agent() {
    let mut device = Device::without_podman("taken");
    let other = TcpListener::bind(device.address()).unwrap();
    let taken = format!("bad METRICS_LISTEN {}: '", device.address());
    let by_this_test = format!("' (process {}) has it", std::process::id());
    let names_it = |device: &Device| {
        let text = say(device, &["doctor"]).1;
        text.contains(&taken) && text.contains(&by_this_test) && text.contains("remedy: stop that program")
    };
    assert!(names_it(&device));
    device.start();
    device.wait_for("the doctor to name this test", || names_it(&device).then_some(()));
    drop(other);
    let good = format!("good METRICS_LISTEN {}: it takes connections", device.address());
    device.wait_for("the agent to have it", || say(&device, &["doctor"]).1.contains(&good).then_some(()));
}

/// A device without podman that an edge API has let in.
fn registered(name: &str) -> Option<(Edge, Device)> {
    let edge = Edge::start(&["--period", "1"])?;
    let mut device = Device::without_podman(name);
    device.talk_to(&edge);
    device.start();
    device.wait_for_log("the device is registered");
    Some((edge, device))
}

#[test]
fn the_doctor_reads_certificates_and_asks_the_server() {
    let Some((edge, mut device)) = registered("patient") else { return };
    let examine = |device: &Device| say(device, &["doctor"]).1;
    let text = examine(&device);
    for expected in [
        "good CA_ROOT: 1 CAs are trusted",
        "good CERT and KEY: it is valid until ",
        "good the device's own certificate: it is valid until ",
        &format!("good SERVER https://{}: it answers, and knows this device", edge.address),
    ] {
        assert!(text.contains(expected), "'{expected}' is missing in:\n{text}");
    }
    device.set("SERVER_NAME", "elsewhere.example");
    let text = examine(&device);
    let complaint = text.lines().skip_while(|line| !line.starts_with("bad SERVER")).collect::<Vec<_>>();
    assert_eq!(complaint.get(1), Some(&"remedy: check CA_ROOT, SERVER_NAME, and the clock"), "{text}");
    device.set("KEY", device.path("nothing").display().to_string());
    assert!(examine(&device).contains("doubt CERT and KEY: failed to read '"), "its own pair will do");
}

#[test]
fn the_doctor_says_that_a_device_whose_state_is_lost_must_be_deleted_on_the_server() {
    let Some((_edge, mut device)) = registered("forgetful") else { return };
    device.kill();
    std::fs::remove_dir_all(device.state_dir()).unwrap();
    device.start();
    device.wait_for("the doctor to say so", || {
        let text = say(&device, &["doctor"]).1;
        (text.contains("bad registration: ") && text.contains("delete")).then_some(())
    });
}

#[test]
fn commands_reach_an_agent_whose_settings_can_not_be_used_any_more_and_say_so() {
    let mut device = Device::without_podman("broken-settings");
    device.start_taking_metrics();
    device.set("LOG_LEVEL", "loud");
    let output = device.run(&["metrics"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("setting LOG_LEVEL, 'loud' from "), "{said}");
    let (code, text) = say(&device, &["doctor"]);
    assert!(code == 1 && text.starts_with("good agent: it runs, and answers\nbad settings: "), "{text}");
    assert_eq!(device.run(&["--check-settings"]).status.code(), Some(78));
}
