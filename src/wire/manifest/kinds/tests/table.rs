//! The field tables, the types and the document say the same.

use std::{fmt::Write, fs};

use crate::wire::{
    manifest::kinds::{jobs::*, types::*},
    podspec::{
        field_support::FieldSupport,
        field_tables::{OBJECT_TABLES, tests},
    },
};

const TYPES: &[(&str, &[&str])] = &[
    ("Object", &["metadata", "spec"]),
    ObjectMeta::KEYS,
    PodTemplate::KEYS,
    TemplateMeta::KEYS,
    LabelSelector::KEYS,
    LabelRequirement::KEYS,
    DeploymentSpec::KEYS,
    StatefulSetSpec::KEYS,
    DaemonSetSpec::KEYS,
    JobSpec::KEYS,
    JobTemplate::KEYS,
    CronJobSpec::KEYS,
    ServiceSpec::KEYS,
    ServicePort::KEYS,
    ClaimSpec::KEYS,
];

/// What obeying a field comes to, where its name alone doesn't say it: `TYPE FIELD…: WORDS`.
const SAID: &[&str] = &[
    "Object spec: of a Pod: [the pod specification](#the-pod-specification)",
    "ObjectMeta name: the workload's name; a device has one workload of a name, whatever its kind",
    "ObjectMeta namespace: where ConfigMaps, Secrets and Services are looked for; default `default`",
    "ObjectMeta labels: a Pod's are the pod's; of others those with the prefix `podman/`, without it",
    "ObjectMeta annotations: likewise; [`flotta/…`](#annotations) is for the agent",
    "PodTemplate spec: [the pod specification](#the-pod-specification)",
    "TemplateMeta labels annotations: the pod's",
    "LabelSelector matchLabels matchExpressions: must match the labels of the template",
    "DeploymentSpec replicas: 1, or none; 0: nothing of it runs; more is refused",
    "StatefulSetSpec replicas: 1, or none; 0: nothing of it runs; more is refused",
    "StatefulSetSpec serviceName: other pods reach it by this name, `NAME-0` and `NAME-0.SERVICE`; its host name is `NAME-0`",
    "StatefulSetSpec volumeClaimTemplates: claims of the workload, by the names that mounts use",
    "JobSpec activeDeadlineSeconds: from the first start, for all tries together",
    "JobSpec backoffLimit: how often what failed in a run is [tried again](#jobs); default 6. The first wait is 10 s, each is twice as long as the one before, up to five minutes; `flotta/retry` says otherwise",
    "JobSpec completionMode: `NonIndexed`, or none; `Indexed` is refused",
    "JobSpec completions parallelism: 1, or none; others are refused",
    "JobSpec suspend: `true`: nothing of it runs; of a Job only",
    "JobSpec template: its `restartPolicy` must be `Never` or `OnFailure`: [what is tried again](#jobs)",
    "CronJobSpec concurrencyPolicy: `Forbid` is what happens; `Allow` has no effect, `Replace` is refused",
    "CronJobSpec schedule: see [Cron](#cron); also `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`",
    "CronJobSpec suspend: `true`: nothing of it runs; a run that goes on is ended",
    "ServiceSpec selector: labels of pods: the Service's name leads to those; without one it is refused",
    "ServiceSpec clusterIP: `None`, or none; an address means nothing",
    "ServiceSpec type: `ClusterIP`; `NodePort` and `LoadBalancer` open ports of the device; `ExternalName` is refused",
    "ServicePort port: of a `LoadBalancer`: the port of the device; where it isn't `targetPort`, a warning: other pods ask for that",
    "ServicePort targetPort: a number, or the name of a container's port; default `port`",
    "ServicePort nodePort: the port of the device; a `NodePort` without one is refused",
    "ClaimSpec accessModes: all are alike on one device",
    "ClaimSpec resources: `requests.storage` must be there; nothing keeps to it",
    "ClaimSpec volumeMode: `Filesystem`, or none; `Block` is refused",
];

/// The type, its fields, and what is said of them.
fn said() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    SAID.iter().map(|row| {
        let (fields, said) = row.split_once(": ").unwrap();
        let (kind, fields) = fields.split_once(' ').unwrap();
        (kind, fields, said)
    })
}

/// The rows of the document's table.
fn document() -> String {
    let mut text = "| where | fields | what becomes of them |\n|---|---|---|\n".to_owned();
    for table in OBJECT_TABLES {
        let said = |name: &str| {
            let is_meant = |it: &(&str, &str, _)| it.0 == table.kind && it.1.split(' ').any(|it| it == name);
            said().find(is_meant).map_or("obeyed", |it| it.2)
        };
        let mut rows = tests::rows(table, said);
        rows.sort_by_key(|(meaning, _)| meaning != "obeyed");
        let mut place = table.place.to_owned();
        place[..1].make_ascii_uppercase();
        for (meaning, names) in rows {
            let _ = writeln!(text, "| {place} | `{}` | {meaning} |", names.join("`, `"));
        }
    }
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manifests.md");
    let expected = document();
    if !fs::read_to_string(path).unwrap().contains(&format!("\n\n{expected}\n")) {
        let new = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kinds.md");
        fs::write(new, expected).unwrap();
        panic!("the table of kinds in docs/manifests.md is not what the source says: take {new}");
    }
}

#[test]
fn the_table_has_each_field_that_is_read_once_and_no_other_to_be_obeyed() {
    let is_of_all = |kind: &str, name: &str| kind == "Object" && matches!(name, "apiVersion" | "kind");
    let is_read = |kind: &str, name: &str, fate| fate == FieldSupport::Obeyed && !is_of_all(kind, name);
    tests::assert_that_they_agree(TYPES, OBJECT_TABLES, is_read, |_| true);
}

#[test]
fn what_is_said_of_a_field_is_of_one_that_there_is() {
    for (kind, names, _) in said() {
        let table = OBJECT_TABLES.iter().find(|table| table.kind == kind).unwrap();
        assert!(
            names.split(' ').all(|name| table.field_support(name) == Some(FieldSupport::Obeyed)),
            "{kind}: {names}"
        );
    }
}
