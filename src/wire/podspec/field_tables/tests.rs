//! The table, the types and the document say the same.

use std::{collections::BTreeSet, fmt::Write, fs};

use super::*;
use crate::wire::podspec::field_support::FieldSupport;
use crate::wire::podspec::{container::*, env::*, lifecycle::*, pod::*, probe::*, security::*, volumes::*};

const TYPES: &[(&str, &[&str])] = &[
    PodSpec::KEYS,
    Container::KEYS,
    EnvVar::KEYS,
    EnvVarSource::KEYS,
    KeySelector::KEYS,
    ObjectFieldSelector::KEYS,
    ResourceFieldSelector::KEYS,
    EnvFromSource::KEYS,
    NameReference::KEYS,
    LocalReference::KEYS,
    ContainerPort::KEYS,
    ResourceRequirements::KEYS,
    VolumeMount::KEYS,
    Probe::KEYS,
    ExecAction::KEYS,
    HttpGetAction::KEYS,
    HttpHeader::KEYS,
    TcpSocketAction::KEYS,
    GrpcAction::KEYS,
    Lifecycle::KEYS,
    LifecycleHandler::KEYS,
    SleepAction::KEYS,
    PodSecurityContext::KEYS,
    SecurityContext::KEYS,
    Capabilities::KEYS,
    SeLinuxOptions::KEYS,
    Profile::KEYS,
    Sysctl::KEYS,
    HostAlias::KEYS,
    PodDnsConfig::KEYS,
    PodDnsOption::KEYS,
    PodOs::KEYS,
    Volume::KEYS,
    ConfigMapVolume::KEYS,
    SecretVolume::KEYS,
    KeyToPath::KEYS,
    EmptyDir::KEYS,
    HostPath::KEYS,
    ClaimVolume::KEYS,
    ImageVolume::KEYS,
    DownwardVolume::KEYS,
    DownwardFile::KEYS,
    ProjectedVolume::KEYS,
    ProjectedKeys::KEYS,
    ProjectedDownward::KEYS,
    ProjectedSource::KEYS,
];

/// What becomes of the fields of a type, those with the same fate together. `obeyed`: what that means of a field.
pub(in crate::wire) fn rows(
    table: &'static FieldTable,
    obeyed: impl Fn(&str) -> &'static str,
) -> Vec<(String, Vec<&'static str>)> {
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for name in table.field_names() {
        let meaning = match table.field_support(name) {
            Some(FieldSupport::Obeyed) => obeyed(name).to_owned(),
            Some(FieldSupport::Ignored(why)) => format!("no effect: {why}"),
            Some(FieldSupport::Meaningless(why)) => format!("no meaning: {why}"),
            Some(FieldSupport::Refused(why)) => format!("refused: {why}"),
            None => unreachable!("it has that name"),
        };
        match rows.iter_mut().find(|row| row.0 == meaning) {
            Some(row) => row.1.push(name),
            None => rows.push((meaning, vec![name])),
        }
    }
    rows
}

/// Fails unless the tables are of these types, and have each key that is read once, and no other that is to be read.
/// `is_read`: whether a type's own reader reads a field of this name and fate; `is_told`: whether the table says of a key
/// that it is.
pub(in crate::wire) fn assert_that_they_agree(
    types: &[(&str, &[&str])],
    tables: &[FieldTable],
    is_read: impl Fn(&str, &str, FieldSupport) -> bool,
    is_told: impl Fn(FieldSupport) -> bool,
) {
    let described: BTreeSet<&str> = tables.iter().map(|table| table.kind).collect();
    assert_eq!(types.iter().map(|it| it.0).collect::<BTreeSet<_>>(), described);
    for (kind, keys) in types {
        let table = table_of(kind);
        let fate = |name: &str| table.field_support(name);
        let expected: BTreeSet<&str> =
            table.field_names().filter(|name| is_read(kind, name, fate(name).unwrap())).collect();
        let told = keys.iter().copied().filter(|key| fate(key).is_none_or(&is_told));
        assert_eq!(told.collect::<BTreeSet<_>>(), expected, "{kind}");
        let names: Vec<&str> = table.field_names().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kind} has a name twice");
        assert!(table.required_fields().all(|key| keys.contains(&key)), "{kind}");
    }
}

/// What `docs/podspec.md` says below its heading, from the table.
fn document() -> String {
    let mut text = String::new();
    for table in POD_SPEC_TABLES {
        let mut place = table.place.to_owned();
        place[..1].make_ascii_uppercase();
        let _ = write!(text, "\n## {place}\n\n| fields | what becomes of them |\n|---|---|\n");
        for (meaning, names) in rows(table, |_| "obeyed") {
            let _ = writeln!(text, "| `{}` | {meaning} |", names.join("`, `"));
        }
    }
    text
}

#[test]
fn the_document_says_what_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/podspec.md");
    let written = fs::read_to_string(path).unwrap();
    let head = &written[..written.find("\n## ").unwrap_or(written.len())];
    let expected = format!("{head}{}", document());
    let new = concat!(env!("CARGO_MANIFEST_DIR"), "/target/podspec.md");
    if written != expected {
        fs::write(new, expected).unwrap();
        panic!("docs/podspec.md is not what the table says: take {new}");
    }
}

#[test]
fn the_table_has_each_field_that_is_read_once_and_no_other_to_be_obeyed() {
    let is_read = |_: &str, _: &str, fate| matches!(fate, FieldSupport::Obeyed | FieldSupport::Ignored(_));
    // (also what has no meaning but for a `fieldRef`)
    assert_that_they_agree(TYPES, POD_SPEC_TABLES, is_read, |fate| {
        !matches!(fate, FieldSupport::Meaningless(_))
    });
}
