//! The process itself: settings, exit codes, `--check`.

use std::process::{Command, Output};

use crate::support::repository;

fn agent(arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_device-worker-ng"));
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
    for part in ["always-on-", "gated-", "crashing-", "x < 3% || x == nil", "cpu > 23%"] {
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
