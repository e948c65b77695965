//! Why a workload doesn't run, or the device isn't well: what is wrong outside of the workload's own doing. What is shown
//! is whole in `tests/command/shown`; what the remedy says is done, and helps.

use std::{sync::mpsc::RecvTimeoutError, time::Duration};

use serde_json::json;

use super::{
    say,
    shown::{device, gated, is_shown, remedied, started, without_podman},
    wait_for_explanation,
};
use crate::support::{Device, IMAGE, SLEEP, edge::Edge, free_port, poll, registry::Registry, workload};

/// Of a workload whose conditions change too often, and some more.
const LONGEST_REST: Duration = Duration::from_secs(360);

/// Runs podman's command line, next to the same podman.
fn by_podman(words: &[&str]) {
    let output = std::process::Command::new("podman").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Nothing can be done by hand with what can't be understood, and each command says why.
fn is_rejected(device: &Device, name: &str) {
    let explanation = say(device, &["explain", name]).1;
    let explained = |text: &str| text.lines().filter(|it| !it.starts_with("since: ")).collect::<String>();
    for word in ["stop", "start", "restart", "run"] {
        let (code, said) = say(device, &[word, name]);
        let expected = explained(&format!("there is nothing to {word}: {explanation}"));
        assert_eq!((code, explained(&said)), (1, expected));
    }
}

#[test]
fn an_image_that_is_not_there() {
    let image = "localhost/lost:1";
    let mut w = workload("lost", SLEEP);
    let container = &mut w["spec"]["pod"]["spec"]["containers"][0];
    (container["image"], container["imagePullPolicy"]) = (image.into(), "Never".into());
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("bad-image", &w) else { return };
    is_shown(
        &device,
        "lost",
        "image-not-here",
        "image 'localhost/lost:1' is not here, and its pull policy is Never",
    );
    let tar = device.path("lost.tar").display().to_string();
    by_podman(&["tag", IMAGE, image]);
    by_podman(&["save", "--quiet", "--output", &tar, image]);
    by_podman(&["untag", image, image]);
    by_podman(&["load", "--quiet", "--input", &tar]);
    remedied(&device, "lost");
    device.wait_for_running(&["lost"]);
    by_podman(&["untag", image, image]);
}

#[test]
fn a_registry_that_wants_a_password_and_one_that_is_wrong() {
    let Some(mut device) = device("registry") else { return };
    let Some(registry) = Registry::start("pass-of-it") else { return };
    let mut w = workload("private", SLEEP);
    let spec = &mut w["spec"]["pod"]["spec"];
    (spec["containers"][0]["image"], spec["containers"][0]["imagePullPolicy"]) =
        (registry.image().into(), "Always".into());
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    device.manifest("private.json", &w.to_string());
    device.start();
    is_shown(&device, "private", "registry-password-missing", "unauthorized");
    let login = |password: &str| {
        let auths =
            json!({"auths": {registry.address.clone(): {"username": Registry::USER, "password": password}}});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"}, "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": auths.to_string()}})
        .to_string()
    };
    device.manifest("login.json", &login("wrong-one"));
    w["spec"]["pod"]["spec"]["imagePullSecrets"] = json!([{"name": "login"}]);
    device.manifest("private.json", &w.to_string());
    is_shown(&device, "private", "registry-password-wrong", "(with the credentials for `");
    device.manifest("login.json", &login("pass-of-it"));
    device.wait_for_running(&["private"]);
}

#[test]
fn a_condition_that_is_false() {
    let Some(device) = gated("false-condition") else { return };
    assert_eq!(device.post("x", 12), 200);
    is_shown(&device, "shy", "condition-false", "profile 'p' doesn't hold: low is false");
    assert_eq!(device.post("x", 1), 200);
    device.wait_for_running(&["shy"]);
}

#[test]
fn conditions_that_change_all_the_time() {
    let Some(device) = gated("restless") else { return };
    std::thread::scope(|scope| {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        // a rest has its end, and the next one is longer: a busy machine is shown one of them
        scope.spawn(|| {
            let ended = ended;
            while ended.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
                if !say(&device, &["explain", "shy"]).1.contains("so it rests") {
                    assert_eq!((device.post("x", 12), device.post("x", 1)), (200, 200));
                }
            }
        });
        let _end = end;
        is_shown(&device, "shy", "conditions-restless", "so it rests");
    });
    device.wait_within(LONGEST_REST, "its rest to be over", || {
        say(&device, &["explain", "shy"]).1.starts_with("shy is running\n").then_some(())
    });
    device.wait_for_running(&["shy"]);
}

#[test]
fn a_profile_that_is_not_defined() {
    let mut w = workload("loner", SLEEP);
    w["spec"]["profiles"] = json!([{"name": "power", "conditions": ["high"]}]);
    let Some(device) = started("undefined", &w) else { return };
    let cause = "the device defines no condition 'high' in a profile 'power'";
    is_shown(&device, "loner", "profile-not-defined", cause);
    w["spec"]["profiles"] = json!([]);
    device.manifest("w.json", &w.to_string());
    device.wait_for_running(&["loner"]);
}

#[test]
fn a_secret_that_is_missing() {
    let mut w = workload("spy", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    let Some(device) = started("no-secret", &w) else { return };
    is_shown(&device, "spy", "secret-missing", "there is no Secret `s` in namespace `default`");
    is_rejected(&device, "spy");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"K": "value"}});
    device.manifest("s.json", &secret.to_string());
    device.wait_for_running(&["spy"]);
}

#[test]
fn a_manifest_that_can_not_be_read() {
    let mut w = workload("garbled", SLEEP);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": "often"}});
    let Some(device) = started("rejected", &w) else { return };
    is_shown(&device, "garbled", "manifest-unreadable", "spec.retry.constantBackoff.periodSeconds: ");
    is_rejected(&device, "garbled");
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 9}});
    device.manifest("w.json", &w.to_string());
    device.wait_for_running(&["garbled"]);
}

#[test]
fn a_podman_that_is_not_there() {
    let Some(with_podman) = Device::new("podman-to-come") else { return };
    let mut device = without_podman("no-socket");
    device.workload("stray", SLEEP);
    device.start();
    device.wait_for_log("podman doesn't answer; it is tried again");
    is_shown(&device, "stray", "podman-not-there", "failed to reach podman at 'SOCKET'");
    // as 'systemctl enable --now podman.socket' does
    std::os::unix::fs::symlink(&with_podman.socket, &device.socket).unwrap();
    device.podmans.push(device.socket.clone());
    device.wait_for_running(&["stray"]);
}

#[test]
fn a_podman_that_stops_answering_and_comes_back() {
    let Some(mut device) = device("podman-away") else { return };
    device.workload("steady", SLEEP);
    let podman = device.path("podman.sock");
    let socket = std::mem::replace(&mut device.socket, podman.clone());
    std::os::unix::fs::symlink(&socket, &podman).unwrap();
    device.start();
    let pods = device.wait_for_running(&["steady"]);
    wait_for_explanation(&device, "steady", 0, "steady is running\n");
    device.kill();
    std::fs::remove_file(&podman).unwrap();
    device.start();
    is_shown(
        &device,
        "steady",
        "podman-away",
        "steady is unknown: podman doesn't answer: failed to reach podman",
    );
    std::os::unix::fs::symlink(&socket, &podman).unwrap();
    wait_for_explanation(&device, "steady", 0, "steady is running\n");
    assert_eq!(device.wait_for_running(&["steady"]), pods);
}

#[test]
fn a_users_podman_that_is_not_there() {
    let mut device = without_podman("no-user-podman");
    device.set("XDG_RUNTIME_DIR", "/nowhere");
    let mut w = workload("mine", SLEEP);
    w["spec"]["rootless"] = true.into();
    device.manifest("w.json", &w.to_string());
    device.start();
    is_shown(&device, "mine", "users-podman-not-there", "mine is unknown: rootless podman doesn't answer");
}

#[test]
fn a_cluster_that_is_not_there() {
    let mut device = without_podman("no-cluster");
    let mut w = workload("web", SLEEP);
    w["spec"]["type"] = "k8s".into();
    device.manifest("w.json", &w.to_string());
    device.start();
    is_shown(&device, "web", "cluster-not-there", "kubernetes doesn't answer: no KUBECONFIG is given");
}

#[test]
fn a_disk_with_less_than_its_reserve() {
    let Some(mut device) = device("reserve") else { return };
    device.workload("heavy", SLEEP);
    device.set("DISK_RESERVE", "100%");
    device.start();
    is_shown(&device, "heavy", "disk-short", "heavy is held: nothing new is pulled or started: disk space");
    device.kill();
    device.set("DISK_RESERVE", "0");
    device.start();
    device.wait_for_running(&["heavy"]);
}

#[test]
fn a_server_that_can_not_be_reached() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device("no-server") else { return };
    device.talk_to(&edge);
    let server = device.set("SERVER", format!("https://127.0.0.1:{}", free_port())).unwrap();
    device.workload("remote", SLEEP);
    device.start();
    device.wait_for_running(&["remote"]);
    device.wait_for("the cause to be told", || {
        let (_, status) = say(&device, &["status"]);
        (status.contains("can't be reached") && status.contains("asked again in")).then_some(())
    });
    is_shown(&device, "remote", "server-not-reached", "remote is running");
    device.kill();
    device.set("SERVER", server);
    device.start();
    is_linked(&device);
}

fn is_linked(device: &Device) {
    device.wait_for("the device to be let in", || {
        say(device, &["status"]).1.contains("\nserver linked; ").then_some(())
    });
}

#[test]
fn a_device_that_waits_to_be_approved() {
    let Some(edge) = Edge::start(&["--approve", "never", "--period", "1"]) else { return };
    let Some(mut device) = device("unapproved") else { return };
    device.talk_to(&edge);
    device.workload("local", SLEEP);
    device.start();
    device.wait_for_running(&["local"]);
    device.wait_for("it to be told", || say(&device, &["status"]).1.contains("approv").then_some(()));
    is_shown(&device, "local", "not-approved", "local is running");
    edge.tell(&format!("approve {}", device.id));
    is_linked(&device);
}

#[test]
fn a_clock_that_is_wrong() {
    let Some(mut device) = device("wrong-clock") else { return };
    // what a server vouched for once: two days after 2100 began
    let store = device_worker_ng::io::state::Store::new(device.state_dir());
    store.save("clock", b"4102617600").unwrap();
    let mut w = workload("nightly", "true");
    w["spec"]["cron"] = "0 0 1 1 *".into();
    device.manifest("w.json", &w.to_string());
    device.start();
    is_shown(&device, "nightly", "clock-wrong", "days behind: cron schedules wait until it is set");
    let (_, doctor) = say(&device, &["doctor"]);
    assert!(
        doctor.contains("bad clock: ") && doctor.contains("remedy: set it: 'timedatectl set-ntp true'"),
        "{doctor}"
    );
}

#[test]
fn a_port_that_another_program_has() {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut w = workload("second", SLEEP);
    w["spec"]["pod"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": port}]);
    w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
    let Some(device) = started("port-of-program", &w) else { return };
    is_shown(&device, "second", "port-of-a-program", "is taken by '");
    drop(listener);
    remedied(&device, "second");
    device.wait_for_running(&["second"]);
}

#[test]
fn a_host_port_that_another_workload_has() {
    let Some(mut device) = device("port-taken") else { return };
    let port = free_port();
    let with_port = |name: &str| {
        let mut w = workload(name, SLEEP);
        w["spec"]["pod"]["spec"]["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": port}]);
        w["spec"]["retry"] = json!({"constantBackoff": {"periodSeconds": 600}});
        w
    };
    device.manifest("first.json", &with_port("first").to_string());
    device.start();
    device.wait_for_running(&["first"]);
    device.manifest("second.json", &with_port("second").to_string());
    is_shown(&device, "second", "port-of-a-workload", "is taken by workload 'first'");
    device.remove_manifest("first.json");
    poll(|| (device.pods().is_empty()).then_some(())).expect("the first to go");
    remedied(&device, "second");
    device.wait_for_running(&["second"]);
}

#[test]
fn a_workload_of_another_device() {
    let Some(mut device) = device("others") else { return };
    let mut w = workload("theirs", SLEEP);
    w["spec"]["device"] = "another-device".into();
    device.manifest("theirs.json", &w.to_string());
    device.workload("mine", SLEEP);
    device.start();
    device.wait_for_running(&["mine"]);
    is_shown(&device, "theirs", "workload-of-another-device", "the workload 'theirs' is for another device");
    assert_eq!(say(&device, &["stop", "theirs"]).0, 2);
    w["spec"]["device"] = device.id.clone().into();
    device.manifest("theirs.json", &w.to_string());
    device.wait_for_running(&["mine", "theirs"]);
}
