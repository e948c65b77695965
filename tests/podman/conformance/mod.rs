//! What runs is what was written: a table of it, field by field, on a real podman by the real agent.
//!
//! `table`: what a row is, and how rows become manifests · `run`: the table on a podman · `fates`: no field is left out · `document`: how it is told.

mod document;
mod fates;
mod run;
mod schema;
mod table;

use std::collections::BTreeSet;

use device_worker_ng::wire::podspec::field_tables::POD_SPEC_TABLES;

use self::{
    run::{Outcome, Run},
    table::{Pod, Row},
};
use crate::support::{Device, rootless::Rootless};

#[test]
fn what_runs_is_what_was_written() {
    let Some(device) = Device::new("conformance") else { return };
    let socket = device.socket.clone();
    hold(Run::new(device, socket), &[]);
}

#[test]
fn what_runs_on_rootless_podman_is_what_was_written() {
    let Some(rootless) = Rootless::find() else { return };
    let (device, by_user) = rootless.device("conformance-user");
    let wrapper: Vec<&str> = by_user.iter().map(String::as_str).collect();
    hold(Run::new(device, rootless.socket.clone()), &wrapper);
}

fn hold(mut run: Run, wrapper: &[&str]) {
    run.run(&Pod::all(), wrapper);
    let failed = run.results.iter().filter_map(|(name, outcome)| match outcome {
        Outcome::Fail(why) => Some(format!("{name}: {why}\n")),
        _ => None,
    });
    let failed: String = failed.collect();
    assert!(failed.is_empty(), "on podman {}:\n{failed}", run.column);
}

fn rows(pods: &[Pod]) -> Vec<&Row> {
    pods.iter().flat_map(|pod| &pod.rows).collect()
}

#[test]
fn each_row_has_a_name_of_its_own_and_known_fields() {
    let pods = Pod::all();
    let mut names = BTreeSet::new();
    let mut workloads = BTreeSet::new();
    for pod in &pods {
        assert!(workloads.insert(&pod.pod), "two pods are called '{}'", pod.pod);
    }
    for row in rows(&pods) {
        assert!(names.insert(&row.name), "two rows are called '{}'", row.name);
        assert!(!row.name.contains(['|', '\t']) && !row.expected.contains('|'), "{}", row.name);
        for field in row.fields() {
            let (kind, key) = field.split_once('.').unwrap_or_else(|| panic!("{field}"));
            let table = POD_SPEC_TABLES.iter().find(|table| table.kind == kind);
            assert!(
                table.is_some_and(|table| table.field_support(key).is_some()),
                "'{}' is about {field}",
                row.name
            );
        }
    }
}
