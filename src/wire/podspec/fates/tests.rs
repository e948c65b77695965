//! The table, the types and the document say the same.

use std::{collections::BTreeSet, fmt::Write, fs};

use super::*;
use crate::wire::podspec::fate::Fate;
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

/// What `docs/podspec.md` says below its heading, from the table.
fn document() -> String {
    let mut text = String::new();
    for table in TABLES {
        let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
        for name in table.names() {
            let meaning = match table.fate(name) {
                Some(Fate::Obeyed) => "obeyed".to_owned(),
                Some(Fate::Ignored(why)) => format!("no effect: {why}"),
                Some(Fate::Meaningless(why)) => format!("no meaning: {why}"),
                Some(Fate::Refused(why)) => format!("refused: {why}"),
                None => unreachable!("it has that name"),
            };
            match rows.iter_mut().find(|row| row.0 == meaning) {
                Some(row) => row.1.push(name),
                None => rows.push((meaning, vec![name])),
            }
        }
        let mut place = table.place.to_owned();
        place[..1].make_ascii_uppercase();
        let _ = write!(text, "\n## {place}\n\n| fields | what becomes of them |\n|---|---|\n");
        for (meaning, names) in rows {
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
    let kinds = |all: Vec<&'static str>| -> BTreeSet<&'static str> { all.into_iter().collect() };
    let types = kinds(TYPES.iter().map(|it| it.0).collect());
    assert_eq!(types, kinds(TABLES.iter().map(|table| table.kind).collect()));
    for (kind, keys) in TYPES {
        let table = of(kind);
        let are_read = |name: &&str| matches!(table.fate(name), Some(Fate::Obeyed | Fate::Ignored(_)));
        let expected: BTreeSet<&str> = table.names().filter(are_read).collect();
        // (also what has no meaning but for a `fieldRef`)
        let is_told = |key: &&str| !matches!(table.fate(key), Some(Fate::Meaningless(_)));
        assert_eq!(keys.iter().copied().filter(is_told).collect::<BTreeSet<_>>(), expected, "{kind}");
        let names: Vec<&str> = table.names().collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{kind} has a name twice");
        assert!(table.required().all(|key| keys.contains(&key)), "{kind}");
    }
}
