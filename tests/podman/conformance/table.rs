//! The table: what is written, and what is then so.
//!
//! Each file beside this one is a list of pods. Rows of a pod share it: each adds its own part to the specification, and
//! two that want different things of the same field belong into two pods.

use std::fs;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::support::{IMAGE, SLEEP, repository};

pub(super) const DIRECTORY: &str = "tests/podman/conformance";
/// What stands in a log before what a row's command printed.
const MARK: &str = "=== ";

/// A pod, and what is expected of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pod {
    /// The workload's name.
    pub(super) pod: String,
    /// See [`Row::needs`].
    #[serde(default)]
    needs: String,
    /// Of the workload, beside the pod's specification.
    #[serde(default)]
    workload: Value,
    /// What no row is about.
    #[serde(default)]
    spec: Value,
    pub(super) rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// The behaviour, by Kubernetes' own name where its tests of a node have one.
    pub(super) name: String,
    /// The fields that it is about: `Container.command EnvVar.value`.
    pub(super) field: String,
    /// What not every podman or kernel has: names, with blanks between them.
    #[serde(default)]
    needs: String,
    /// This row's part of the specification.
    #[serde(default)]
    spec: Value,
    /// This row's part of its container.
    #[serde(default)]
    container: Value,
    /// A volume, which the container mounts at `$V`.
    #[serde(default)]
    volume: Value,
    /// How it mounts that.
    #[serde(default)]
    mount: Value,
    /// Its container.
    #[serde(default = "first", rename = "in")]
    pub(super) place: String,
    /// What its container is asked.
    #[serde(default)]
    run: Option<String>,
    /// What the device is asked.
    #[serde(default)]
    host: Option<String>,
    /// What the device is asked once the workload is gone.
    #[serde(default)]
    gone: Option<String>,
    /// What is so on the device before the workload goes.
    #[serde(default)]
    pub(super) once: Option<String>,
    /// The place in the specification that is refused.
    #[serde(default)]
    pub(super) refused: Option<String>,
    pub(super) expected: String,
}

fn first() -> String {
    "a".to_owned()
}

/// Where a row's answer comes from.
pub(super) enum Ask<'a> {
    /// A command in its container.
    Container,
    /// What its container prints by itself.
    Log,
    /// A command on the device, while the workload is there.
    Host(&'a str),
    /// A command on the device, once it isn't.
    Gone(&'a str),
    /// `--check`, and the place that it names.
    Refused(&'a str),
}

impl Row {
    pub(super) fn ask(&self) -> Ask<'_> {
        match (&self.run, &self.host, &self.gone, &self.refused) {
            (Some(_), None, None, None) => Ask::Container,
            (None, Some(script), None, None) => Ask::Host(script),
            (None, None, Some(script), None) => Ask::Gone(script),
            (None, None, None, Some(place)) => Ask::Refused(place),
            (None, None, None, None) => Ask::Log,
            _ => panic!("row '{}' asks two at once", self.name),
        }
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.field.split_whitespace()
    }
}

impl Pod {
    /// All there are, in the order of their files.
    pub(super) fn all() -> Vec<Self> {
        let files = fs::read_dir(repository(DIRECTORY)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
        files.sort();
        let read = |path: &std::path::PathBuf| -> Vec<Self> {
            let text = fs::read_to_string(path).unwrap();
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        // some of them alone, while they are written
        let only = std::env::var("CONFORMANCE_PODS").unwrap_or_default();
        let is_asked = |pod: &Self| only.is_empty() || only.split(',').any(|name| name == pod.pod);
        files.iter().flat_map(read).filter(is_asked).collect()
    }

    /// What the row needs, its pod's needs included.
    pub(super) fn needs<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = &'a str> {
        self.needs.split_whitespace().chain(row.needs.split_whitespace())
    }

    /// The rows that one manifest is for: each that is refused has its own.
    pub(super) fn manifests(&self, rows: &[&Row]) -> Vec<(String, Value)> {
        let (alone, together): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.refused.is_some());
        let named =
            alone.iter().enumerate().map(|(index, row)| (format!("{}-{index}", self.pod), vec![*row]));
        let mut all: Vec<_> = named.collect();
        if !together.is_empty() || rows.is_empty() {
            all.push((self.pod.clone(), together));
        }
        all.into_iter().map(|(name, rows)| (name.clone(), self.manifest(&name, &rows))).collect()
    }

    fn manifest(&self, name: &str, rows: &[&Row]) -> Value {
        let mut spec = json!({});
        let mut merge = |part: &Value| merge(&mut spec, part, &self.pod);
        merge(&self.spec);
        for (index, row) in rows.iter().enumerate() {
            merge(&row.spec);
            let mut container = json!({ "name": row.place });
            super::table::merge(&mut container, &row.container, &row.name);
            if !row.volume.is_null() {
                let (mut volume, mut mount) = (row.volume.clone(), json!({ "name": format!("v{index}") }));
                volume["name"] = mount["name"].clone();
                super::table::merge(&mut mount, &row.mount, &row.name);
                mount.as_object_mut().unwrap().entry("mountPath").or_insert(path(index).into());
                merge(&json!({ "volumes": [volume] }));
                super::table::merge(&mut container, &json!({ "volumeMounts": [mount] }), &row.name);
            }
            let is_init = self.list_of(&row.place, rows) == "initContainers";
            merge(&json!({ (if is_init { "initContainers" } else { "containers" }): [container] }));
        }
        let spec_map = spec.as_object_mut().unwrap();
        spec_map.entry("terminationGracePeriodSeconds").or_insert(1.into());
        for list in ["initContainers", "containers"] {
            for container in spec_map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                let container = container.as_object_mut().unwrap();
                let script = script(container, list == "initContainers", rows);
                container.entry("image").or_insert(IMAGE.into());
                container.entry("imagePullPolicy").or_insert("Never".into());
                if !container.contains_key("command") && !container.contains_key("args") {
                    container.insert("command".to_owned(), json!(["sh", "-c", script]));
                }
            }
        }
        // (few tries: each takes time from all others)
        let retry = json!({ "exponentialBackoff": { "initialIntervalSeconds": 0.5, "multiplier": 20 } });
        let mut workload = json!({
            "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeWorkload",
            "metadata": { "name": name },
            "spec": { "type": "pod", "retry": retry, "pod": { "spec": spec } },
        });
        super::table::merge(&mut workload, &self.workload, &self.pod);
        workload
    }

    /// In which list the container stands.
    fn list_of(&self, place: &str, rows: &[&Row]) -> &'static str {
        let specs = rows.iter().map(|row| &row.spec).chain([&self.spec]);
        let mut inits = specs.flat_map(|spec| spec["initContainers"].as_array().into_iter().flatten());
        if inits.any(|it| it["name"] == place) { "initContainers" } else { "containers" }
    }
}

/// Where a row's volume is.
fn path(index: usize) -> String {
    format!("/v/{index}")
}

/// What a container runs: the commands of its rows, one after the other.
fn script(container: &Map<String, Value>, is_init: bool, rows: &[&Row]) -> String {
    let mut script = String::new();
    for (index, row) in rows.iter().enumerate() {
        let Some(run) = row.run.as_ref().filter(|_| container["name"] == row.place) else { continue };
        let path = row.mount["mountPath"].as_str().map_or_else(|| path(index), str::to_owned);
        script += &format!("echo '{MARK}{index}'; V={path}; {{ {run}\n}} 2>&1\n");
    }
    script += &format!("echo '{MARK}end'\n");
    if !is_init || container.contains_key("restartPolicy") {
        script += SLEEP;
    }
    // the shell's own, and none of Kubernetes' references
    script.replace('$', "$$")
}

/// What the container printed for the row with this number; `None`: not yet.
pub(super) fn answer(log: &str, index: usize) -> Option<String> {
    let (_, rest) = log.split_once(&format!("{MARK}{index}\n"))?;
    rest.split_once(MARK).map(|(answer, _)| answer.trim().to_owned())
}

/// Adds a part. Items of a list come to those that are there; containers and volumes of one name are one.
fn merge(whole: &mut Value, part: &Value, of: &str) {
    match (whole, part) {
        (_, Value::Null) => {}
        (whole @ Value::Null, part) => *whole = part.clone(),
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                let entry = whole.entry(key).or_insert(Value::Null);
                if let (true, Value::Array(old), Value::Array(new)) =
                    (["containers", "initContainers", "volumes"].contains(&&**key), &mut *entry, value)
                {
                    new.iter().for_each(|item| by_name(old, item, of));
                } else {
                    merge(entry, value, of);
                }
            }
        }
        (Value::Array(whole), Value::Array(part)) => whole.extend(part.iter().cloned()),
        (whole, part) => assert_eq!(whole, part, "two values for one field: {of}"),
    }
}

fn by_name(list: &mut Vec<Value>, item: &Value, of: &str) {
    match list.iter_mut().find(|it| it["name"] == item["name"]) {
        Some(one) => merge(one, item, of),
        None => list.push(item.clone()),
    }
}
