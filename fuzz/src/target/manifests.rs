//! A directory of manifests: any number of files, as `--check` and the agent read it.

use std::{fs, path::Path};

use device_worker_ng::{
    agent::model::workload::DesiredState,
    check,
    io::manifests::{
        Snapshot,
        fuzzing::{kept, remembered},
        read_once,
    },
    settings::{Host, Invocation, Settings},
    wire::manifest::{Severity, UnknownFields, fuzzing},
};

use super::workload;
use crate::{bundle, json, promise, scratch};

const DEVICE: &str = "demo";

pub(super) fn run(input: &[u8]) {
    let scratch = scratch::directory();
    let directory = scratch.path().join("manifests");
    fs::create_dir(&directory).expect("ours");
    let mut files = bundle::files(input);
    files[0].0 = "a.yaml".to_owned();
    files.retain(|(name, _)| scratch::is_file_name(name));
    for (name, content) in &files {
        fs::write(directory.join(name), content).expect("ours");
    }
    let before = scratch::everything(scratch.path());

    let snapshot = read_once(&directory, DEVICE, UnknownFields::Refuse).expect("the directory is there");
    problems(&snapshot, &directory);
    checked(&directory, &snapshot);
    let mut names: Vec<&str> = snapshot.desired.workloads.iter().map(|it| it.name()).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a workload stands twice");
    assert!(
        snapshot.desired.unreadable.iter().all(|held| !names.contains(&held.as_str())),
        "held, and there"
    );
    for workload in &snapshot.desired.workloads {
        workload::holds(workload);
    }
    let again = read_once(&directory, DEVICE, UnknownFields::Refuse).expect("the directory is there");
    assert_eq!(again, snapshot, "read again it is another");
    let is_good = |it: &Snapshot| it.problems.iter().all(|problem| problem.severity != Severity::Error);
    if is_good(&snapshot) {
        let kept = kept(&directory).expect("the directory is there");
        same(&remembered(&kept, DEVICE).expect("it was just kept"), &snapshot.desired, "kept");
    }
    assert_eq!(scratch::everything(scratch.path()), before, "reading changed something");

    if is_good(&snapshot) {
        let formatted = scratch.path().join("formatted");
        fs::create_dir(&formatted).expect("ours");
        let is_read = |name: &str| {
            let is_known = [".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end));
            is_known && !name.starts_with(['.', '#'])
        };
        for (name, _) in files.iter().filter(|(name, _)| is_read(name)) {
            // of two files with one name the last was written
            let content = fs::read(directory.join(name)).expect("ours");
            fs::write(formatted.join(name), as_json(&content)).expect("ours");
        }
        same(
            &read_once(&formatted, DEVICE, UnknownFields::Refuse).expect("ours").desired,
            &snapshot.desired,
            "formatted",
        );
    }
}

/// Each says where and why.
fn problems(snapshot: &Snapshot, directory: &Path) {
    for problem in &snapshot.problems {
        promise::is_cause(&problem.to_string());
        assert!(!problem.message.trim().is_empty(), "no cause: {problem:?}");
        // of more problems than are told, the directory's is how many more there are
        if Path::new(&*problem.file) == directory {
            continue;
        }
        let content =
            fs::read(directory.join(&*problem.file)).expect("a problem is about a file that is there");
        let lines = content.iter().filter(|byte| **byte == b'\n').count() + 1;
        if let Some(document) = problem.document {
            let line = problem.line.unwrap_or_else(|| panic!("no line: {problem}"));
            // YAML has more ends of lines than LF: a carriage return alone, too
            let most = lines
                + content.iter().filter(|byte| **byte == b'\r').count()
                + String::from_utf8_lossy(&content).matches(['\u{85}', '\u{2028}', '\u{2029}']).count();
            assert!((1..=most + 1).contains(&line), "line {line} of {most}: {problem}");
            assert!((1..=most).contains(&document), "document {document}: {problem}");
        }
    }
}

/// What a person sees.
fn checked(directory: &Path, snapshot: &Snapshot) {
    let host =
        Host { uid: 0, machine_id: "/nowhere".into(), config: "/nowhere".into(), run: "/nowhere".into() };
    let environment =
        [("EDGE_DEVICE_MANIFESTS".into(), directory.into()), ("EDGE_DEVICE_DEVICE_ID".into(), DEVICE.into())];
    let Ok(Invocation::Check(settings, ..)) = Settings::load(["--check".into()], environment, &host) else {
        panic!("these settings are good");
    };
    let report = check::check(&settings, false);
    promise::is_plain(&report.text);
    let errors = snapshot.problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    if errors > 0 {
        assert!(!report.is_good, "{errors} errors, and all is good");
    }
}

fn same(found: &DesiredState, expected: &DesiredState, how: &str) {
    assert_eq!(found.workloads, expected.workloads, "{how}");
    assert_eq!(found.profiles, expected.profiles, "{how}");
}

/// The same documents as another program would write them.
fn as_json(content: &[u8]) -> String {
    let documents = fuzzing::documents(content).into_iter();
    let documents = documents.map(|(_, text)| {
        let text = std::str::from_utf8(text).expect("without an error it is text");
        fuzzing::document(text).expect("without an error it is YAML").to_string()
    });
    documents.map(|text| format!("---\n{}\n", json::in_ascii(&text))).collect()
}
