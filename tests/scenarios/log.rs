//! What is logged and shown: never at the cost of the work, and nothing that others forge.

use std::{
    fs,
    io::Read,
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Device, SLEEP, binary, pause, poll, workload};

fn agent(device: &Device) -> Command {
    let mut command = binary();
    let path = |name: &str| device.path(name).display().to_string();
    let listen = format!("127.0.0.1:{}", device.port);
    let settings = [
        ("MANIFESTS", path("manifests")),
        ("STATE_DIR", path("state")),
        ("RUNTIME_DIR", path("run")),
        ("METRICS_LISTEN", listen),
        ("PODMAN_SOCKET", path("none")),
        ("DEVICE_ID", "dev".to_owned()),
        ("LOG_LEVEL", "debug".to_owned()),
    ];
    command.env_clear().stdin(Stdio::null());
    command.envs(settings.map(|(key, value)| (format!("EDGE_DEVICE_{key}"), value)));
    command
}

/// Broken manifests, all others in each round: more about them is said than a pipe and the queue take.
fn complain(device: &Device) {
    for round in 0..10 {
        for file in 0..100 {
            let mut manifest = workload(&format!("w{round}-{file}"), SLEEP);
            manifest["spec"]["pod"]["spec"]["containers"][0][format!("{round}{}", "x".repeat(200))] =
                file.into();
            device.manifest(&format!("{file}-{}.json", "x".repeat(200)), &manifest.to_string());
        }
        pause(600);
    }
}

#[test]
fn a_log_that_is_not_read_costs_lines_and_nothing_else() {
    let device = Device::without_podman("unread");
    let (read, write) = std::io::pipe().unwrap();
    let mut child = agent(&device).stderr(OwnedFd::from(write)).spawn().unwrap();
    let ask = || agent(&device).arg("status").stderr(Stdio::null()).output().unwrap().status.code();
    let answered = poll(|| matches!(ask(), Some(0 | 1)).then_some(()));
    complain(&device);
    let still = ask();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let before = std::time::Duration::from_millis(2000);
    let ended = (0..before.as_millis() / 20).find_map(|_| {
        pause(20);
        child.try_wait().unwrap()
    });
    if ended.is_none() {
        child.kill().unwrap();
    }
    assert!(answered.is_some(), "'status' is answered");
    assert!(matches!(still, Some(0 | 1)), "{still:?}");
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "it ends within two seconds");
    drop(read);
}

#[test]
fn lost_lines_are_counted_and_the_last_ones_come_out() {
    let device = Device::without_podman("counted");
    let (mut read, write) = std::io::pipe().unwrap();
    let mut child = agent(&device).stderr(OwnedFd::from(write)).spawn().unwrap();
    let ask = || agent(&device).arg("status").stderr(Stdio::null()).output().unwrap().status.code();
    poll(|| matches!(ask(), Some(0 | 1)).then_some(())).expect("'status' is answered");
    complain(&device);
    let log = Arc::new(Mutex::new(String::new()));
    let reader = std::thread::spawn({
        let log = Arc::clone(&log);
        move || {
            let mut chunk = vec![0; 64 * 1024];
            while let Ok(came @ 1..) = read.read(&mut chunk) {
                log.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..came]));
            }
        }
    });
    let said = |text: &str| poll(|| log.lock().unwrap().contains(text).then_some(()));
    said("as the log was not read").expect("something was lost");
    fs::remove_dir_all(device.manifests()).unwrap();
    said("can't be read").expect("what came later is there");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    reader.join().unwrap();
    let log = log.lock().unwrap();
    let lost = log.lines().find(|line| line.contains("as the log was not read"));
    let lost = lost.unwrap_or_else(|| panic!("{} bytes, and nothing was lost", log.len()));
    assert!(lost.contains("[WARN] ") && lost.contains(" lost"), "{lost}");
    let tail = &log[log.find(lost).unwrap()..];
    assert!(tail.contains("can't be read"), "what came later is there: {tail}");
}

#[test]
fn an_orderly_end_leaves_no_error_in_the_log() {
    let mut device = Device::without_podman("orderly");
    device.start_taking_metrics();
    for _ in 0..2 {
        device.signal(Signal::HUP);
        pause(1500); // nothing is under way when the receiver goes
    }
    for _ in 0..5 {
        device.signal(Signal::HUP);
        device.wait_for("the new receiver", || (device.post("x", 1) == 200).then_some(()));
        pause(300);
    }
    assert_eq!(device.end(Signal::TERM).code(), Some(0));
    pause(500);
    let log = device.whole_log();
    assert!(!log.contains("[ERROR]") && !log.contains("end of file"), "{log}");
}

#[test]
fn names_of_others_forge_no_lines_and_move_no_cursor() {
    let mut device = Device::without_podman("forged");
    let bad = "a\n2026-01-01T00:00:00Z [ERROR] forged\u{1b}[2J\u{202e}\u{200b}";
    let profile =
        |name: &str| serde_json::json!({"name": name, "conditions": [{"name": bad, "expression": bad}]});
    let forged = serde_json::json!({
        "kind": "EdgeDevice", "apiVersion": "management.project-flotta.io/v1alpha1", "metadata": {"name": "dev"},
        "spec": {"profiles": [profile(bad), profile("p"), {"name": "q", "conditions": [{"name": "ok", "expression": "x == nil"}]}]},
    });
    device.set("DEVICE_ID", "dev");
    fs::read_dir(device.manifests())
        .unwrap()
        .for_each(|entry| fs::remove_file(entry.unwrap().path()).unwrap());
    device.manifest("device.json", &forged.to_string());
    device.manifest("b\nforged\u{1b}[2J\u{202e}.yaml", "kind: EdgeWorkload\nmetadata: [\n");
    let mut listing = workload("w", "true");
    listing["spec"]["profiles"] = serde_json::json!([{"name": bad, "conditions": [bad]}]);
    device.manifest("w.json", &listing.to_string());
    device.start_taking_metrics();
    device.wait_for_log("can't be shown on a line");
    let mut texts = vec![device.whole_log()];
    for arguments in
        [&["--check"][..], &["status"], &["explain", "w"], &["describe", "w", "--json"], &["doctor"]]
    {
        texts.push(String::from_utf8(device.run(arguments).stdout).unwrap());
    }
    for text in texts {
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{200b}']), "{text}");
        assert!(
            !text.lines().any(|line| line.starts_with("forged")
                || line.contains("Z [ERROR] forged") && line.starts_with("2026-01-01")),
            "{text}"
        );
    }
    let check = String::from_utf8(device.run(&["--check"]).stdout).unwrap();
    assert!(check.contains("profile q") && check.contains("ok"), "the rest holds: {check}");
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let mut device = Device::without_podman("url");
    for (key, value) in [
        ("PROXY", "http://joe:hunter2@proxy.example:3128"),
        ("PROXY", "joe:hun/hunter2@proxy.example:3128"),
        ("SERVER", "https://joe:hunter2@edge.example"),
    ] {
        let before = device.set(key, value);
        for arguments in [&["--check"][..], &["doctor"], &["status"], &[]] {
            let output = device.run(arguments);
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{said}");
            assert!(said.contains(key) && !said.contains("hunter2") && !said.contains("joe"), "{said}");
        }
        match before {
            Some(before) => drop(device.set(key, before)),
            None => device.unset(key),
        }
    }
}
