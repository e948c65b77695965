//! The process itself: settings, exit codes, signals, `--check`.

use std::{fs, net::TcpStream, process::Output};

use rustix::process::Signal;

use crate::support::{Device, SLEEP, all_children, binary, free_port, repository};

fn agent(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = binary();
    let output = command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output, said)
}

#[test]
fn without_a_source_of_workloads_it_ends_with_78_and_names_both() {
    let (output, said) = agent(&[], &[]);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("SERVER") && said.contains("MANIFESTS"), "{said}");
}

#[test]
fn a_bad_value_and_an_unknown_key_end_with_78_and_name_key_source_and_value() {
    let (output, said) = agent(&[], &[("EDGE_DEVICE_MANIFESTS", "/tmp"), ("EDGE_DEVICE_LOG_LEVEL", "loud")]);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("LOG_LEVEL") && said.contains("EDGE_DEVICE_LOG_LEVEL") && said.contains("loud"),
        "{said}"
    );

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.yaml");
    std::fs::write(&file, "MANIFESTS: /tmp\nMANIFEST: /tmp\n").unwrap();
    let (output, said) = agent(&["--config", file.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("MANIFEST") && said.contains("config.yaml"), "{said}");
}

#[test]
fn check_says_what_it_understood_and_whether_all_is_good() {
    let samples = repository("samples/manifests");
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(samples).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.path().join(path.file_name().unwrap())).unwrap();
    }
    let environment =
        [("EDGE_DEVICE_MANIFESTS", directory.path().to_str().unwrap()), ("EDGE_DEVICE_DEVICE_ID", "demo")];
    let (output, said) = agent(&["--check"], &environment);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in ["always-on-", "gated-", "crashing-", "setup-", "web-", "x < 3% || x == nil", "cpu > 23%"] {
        assert!(said.contains(part), "'{part}' is missing in:\n{said}");
    }
    std::fs::write(directory.path().join("bad.yaml"), "kind: EdgeWorkload\nmetadata: [\n").unwrap();
    let (output, said) = agent(&["--check"], &environment);
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("bad.yaml") && said.contains("line"), "{said}");
}

#[test]
fn help_and_version_are_there() {
    let (output, said) = agent(&["--help"], &[]);
    assert!(output.status.success() && said.contains("--config"), "{said}");
    let (output, said) = agent(&["--version"], &[]);
    assert!(output.status.success() && said.contains(env!("CARGO_PKG_VERSION")), "{said}");
}

#[test]
fn a_second_agent_with_the_same_state_directory_refuses_to_start() {
    let mut first = Device::without_podman("first");
    first.start_taking_metrics();
    let mut second = Device::without_podman("second");
    second.set("STATE_DIR", first.state_dir().display().to_string());
    second.start();
    assert_eq!(second.ended().code(), Some(1));
    let refusal =
        format!("another device-worker-ng uses the state directory '{}'", first.state_dir().display());
    assert!(second.log().contains(&refusal), "{}", second.log());
    assert_eq!(first.post("x", 1), 200);
    first.kill();
    second.start_taking_metrics();
}

#[test]
fn sighup_reads_the_settings_again_and_bad_ones_change_nothing() {
    let Some(mut device) = Device::new("sighup") else { return };
    let listen = |port: u16| format!("METRICS_LISTEN: 127.0.0.1:{port}\n");
    let file = device.config(&["METRICS_LISTEN"], &listen(device.port));
    device.workload("a", SLEEP);
    device.start();
    let before = device.wait_for_running(&["a"]);
    assert_eq!(device.post("x", 1), 200);

    let old = device.address();
    device.port = free_port();
    fs::write(&file, listen(device.port)).unwrap();
    device.signal(Signal::HUP);
    assert_eq!(device.post("x", 1), 200);
    device.wait_for_log("runs already");
    assert_eq!(device.pods(), before);
    device.wait_for("the old port to be given up", || TcpStream::connect(old).is_err().then_some(()));

    fs::write(&file, "METRICS_LISTEN: everywhere\n").unwrap();
    device.signal(Signal::HUP);
    device.wait_for_log("failed to read the settings again");
    let log = device.log();
    let complaint = log.lines().find(|line| line.contains("failed to read the settings again")).unwrap();
    for part in ["METRICS_LISTEN", "config.yaml", "everywhere"] {
        assert!(complaint.contains(part), "'{part}' is missing in: {complaint}");
    }
    assert_eq!(device.post("x", 1), 200);
    assert_eq!(log.matches("starting again to read the settings").count(), 1);
    assert_eq!(device.pods(), before);
    device
        .wait_for("one receiver, and no dead one", || (all_children(device.pid()).len() == 1).then_some(()));
}
