//! How `Secret`s get into a pod. podman's own ways differ from version to version and leave things behind, so
//! that it gets to see neither `Secret`s nor references to them:
//!
//! - A variable becomes a plain one in what is played. It then stands in the container's own configuration, as it
//!   would by way of podman's secrets, and goes with the container.
//! - A volume becomes a directory of the agent's, in memory, mounted read-only. As podman knows neither modes nor
//!   `projected` volumes (and before version 5 no `subPath` either), all volumes with a `Secret` and all `projected`
//!   ones of `Secret`s and `ConfigMap`s are made in this way.

use std::path::{Component, Path};

use serde_json::{Map, Value, json};

use crate::{
    agent::model::workload::Content,
    wire::{
        base64,
        field::Field,
        json::{items, set},
    },
};

/// Kubernetes' own.
const DEFAULT_MODE: u32 = 0o644;
/// More files in a volume than this are taken for an accident.
const MOST_FILES: usize = 1_000;

/// A file of a [`Volume`].
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Below the volume: relative, without `..`.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Files to be mounted.
#[derive(Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name in the specification.
    pub name: String,
    /// Each path once.
    pub files: Vec<File>,
}

/// What can't be done, and where it stands in the specification.
pub(in crate::wire) type Problem = (Field, String);

/// Rewrites the specification, so that nothing in it names a `Secret`, and says which volumes must be in
/// `directory` for it. What is left of the problems is podman's to complain about.
pub(in crate::wire) fn resolve(
    content: &Content,
    directory: &str,
    specification: &mut Value,
) -> (Vec<Volume>, Vec<Problem>) {
    let mut resolver = Resolver { content, problems: Vec::new() };
    let volumes = resolver.volumes(directory, specification);
    for list in ["initContainers", "containers"] {
        for (index, container) in items(specification, list).enumerate() {
            resolver.variables(container, &Field::from([list]).then(index));
        }
    }
    (volumes, resolver.problems)
}

/// The volumes of a workload that was found valid.
pub fn volumes(content: &Content) -> Vec<Volume> {
    resolve(content, "", &mut content.specification.value()).0
}

/// The text without the values of any `Secret`, where it quotes them.
pub fn redacted(content: &Content, mut text: String) -> String {
    /// What is shorter is part of everything.
    const SHORTEST: usize = 4;
    for value in content.secrets.names().filter_map(|name| content.secrets.data_of(name)).flatten() {
        let bytes = decoded(value.1);
        if let Ok(value) = std::str::from_utf8(&bytes)
            && value.trim().len() >= SHORTEST
        {
            text = text.replace(value.trim(), "***");
        }
    }
    text
}

fn decoded(value: &Value) -> Vec<u8> {
    // checked when it was read
    value.as_str().and_then(base64::decode).unwrap_or_default()
}

struct Resolver<'a> {
    content: &'a Content,
    problems: Vec<Problem>,
}

impl<'a> Resolver<'a> {
    fn problem(&mut self, at: &Field, message: String) {
        self.problems.push((at.clone(), message));
    }

    fn config_map(&self, name: &str) -> Option<&'a Value> {
        self.content.config_maps.iter().find(|map| map["metadata"]["name"] == name)
    }

    fn variables(&mut self, container: &mut Value, at: &Field) {
        let mut all = Vec::new();
        // podman knows no order between its `envFrom` and these
        if items(container, "envFrom").any(|source| source["secretRef"].is_object()) {
            for (index, source) in items(container, "envFrom").enumerate() {
                all.extend(self.all_of(source, &at.then("envFrom").then(index)));
            }
            set(container, "envFrom", Value::Array(Vec::new()));
        }
        for (index, variable) in items(container, "env").enumerate() {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            if !reference.is_object() {
                all.push(variable.take());
                continue;
            }
            let field = at.then("env").then(index).then("valueFrom").then("secretKeyRef");
            if let Some(value) = self.value_of(reference, &field) {
                all.push(plain(&variable["name"], value.into()));
            }
        }
        if !all.is_empty() || container["env"].is_array() {
            set(container, "env", all.into());
        }
    }

    fn all_of(&mut self, source: &Value, at: &Field) -> Vec<Value> {
        let name = |reference: &Value| reference["name"].as_str().unwrap_or_default().to_owned();
        let (secret, map) = (name(&source["secretRef"]), name(&source["configMapRef"]));
        let prefix = source["prefix"].as_str().unwrap_or_default();
        let mut all = Vec::new();
        for (key, value) in self.content.secrets.data_of(&secret).into_iter().flatten() {
            if let Some(value) = self.text(&secret, key, value, at) {
                all.push(plain(&format!("{prefix}{key}").into(), value.into()));
            }
        }
        let map = self.config_map(&map).and_then(|map| map["data"].as_object());
        for (key, value) in map.into_iter().flatten() {
            all.push(plain(&format!("{prefix}{key}").into(), value.clone()));
        }
        all
    }

    fn value_of(&mut self, reference: &Value, at: &Field) -> Option<String> {
        let (name, key) = (reference["name"].as_str()?, reference["key"].as_str().unwrap_or_default());
        match self.content.secrets.data_of(name).and_then(|data| data.get(key)) {
            Some(value) => self.text(name, key, value, at),
            None if reference["optional"] == true => None,
            None => {
                self.problem(&at.then("key"), format!("the Secret `{name}` has no key `{key}`"));
                None
            }
        }
    }

    fn text(&mut self, name: &str, key: &str, value: &Value, at: &Field) -> Option<String> {
        let text = String::from_utf8(decoded(value)).ok().filter(|text| !text.contains('\0'));
        if text.is_none() {
            let message = format!("key `{key}` of the Secret `{name}` is no text: no variable can hold it");
            self.problem(at, message);
        }
        text
    }

    fn volumes(&mut self, directory: &str, specification: &mut Value) -> Vec<Volume> {
        let mut made = Vec::new();
        for (index, volume) in items(specification, "volumes").enumerate() {
            let at = Field::from(["volumes"]).then(index);
            let Some(files) = self.files(volume, &at) else { continue };
            let name = volume["name"].as_str().unwrap_or_default().to_owned();
            *volume = host_path(&name, format!("{directory}/{name}"), "Directory");
            made.push(Volume { name, files });
        }
        let mut parts = Vec::new();
        for list in ["initContainers", "containers"] {
            for (index, container) in items(specification, list).enumerate() {
                let at = Field::from([list]).then(index).then("volumeMounts");
                for (index, mount) in items(container, "volumeMounts").enumerate() {
                    if let Some(volume) = made.iter().find(|volume| mount["name"] == volume.name.as_str()) {
                        self.mount(volume, directory, mount, &mut parts, &at.then(index));
                    }
                }
            }
        }
        if let Some(volumes) = specification.get_mut("volumes").and_then(Value::as_array_mut) {
            volumes.append(&mut parts);
        }
        made
    }

    fn mount(
        &mut self,
        volume: &Volume,
        directory: &str,
        mount: &mut Value,
        parts: &mut Vec<Value>,
        at: &Field,
    ) {
        set(mount, "readOnly", true.into());
        if let Some(path) = mount["mountPath"].as_str().filter(|path| !path.contains(':')) {
            // where there is SELinux, the files get the label of containers; nothing happens where there is none
            let path = format!("{path}:z");
            set(mount, "mountPath", path.into());
        }
        let Some(part) = mount.as_object_mut().and_then(|mount| mount.remove("subPath")) else { return };
        let part = part.as_str().unwrap_or_default().trim_end_matches('/');
        if part.is_empty() {
            return;
        }
        let kind = match volume.files.iter().find(|file| file.path == part || is_below(&file.path, part)) {
            Some(file) if file.path == part => "File",
            Some(_) => "Directory",
            None => {
                let message = format!("there is no `{part}` in the volume `{}`", volume.name);
                return self.problem(&at.then("subPath"), message);
            }
        };
        // no name of Kubernetes has an underscore
        let name = format!("{}_{}", volume.name, parts.len());
        parts.push(host_path(&name, format!("{directory}/{}/{part}", volume.name), kind));
        set(mount, "name", name.into());
    }

    /// Of a volume that is made here; `None` if podman makes it.
    fn files(&mut self, volume: &Value, at: &Field) -> Option<Vec<File>> {
        let mut files = Vec::new();
        if volume["secret"].is_object() {
            let (source, at) = (&volume["secret"], at.then("secret"));
            let mode = self.mode(&source["defaultMode"], DEFAULT_MODE, &at);
            self.add(&mut files, "secret", &source["secretName"], source, mode, &at);
            return Some(files);
        }
        let projected = &volume["projected"];
        let sources = projected["sources"].as_array()?;
        if sources.iter().any(|source| source["secret"].is_null() && source["configMap"].is_null()) {
            return None;
        }
        let at = at.then("projected");
        let mode = self.mode(&projected["defaultMode"], DEFAULT_MODE, &at);
        for (index, source) in sources.iter().enumerate() {
            let kind = if source["secret"].is_object() { "secret" } else { "configMap" };
            let at = at.then("sources").then(index).then(kind);
            self.add(&mut files, kind, &source[kind]["name"], &source[kind], mode, &at);
        }
        Some(files)
    }

    /// Keys and values of a `Secret` or `ConfigMap`.
    fn data(&self, kind: &str, name: &str) -> Vec<(&'a str, Vec<u8>)> {
        let mut all = Vec::new();
        let mut take = |data: Option<&'a Map<String, Value>>, is_plain| {
            for (key, value) in data.into_iter().flatten() {
                let plain = value.as_str().filter(|_| is_plain).map(|text| text.as_bytes().to_vec());
                all.push((key.as_str(), plain.unwrap_or_else(|| decoded(value))));
            }
        };
        if kind == "secret" {
            take(self.content.secrets.data_of(name), false);
        } else if let Some(map) = self.config_map(name) {
            take(map["data"].as_object(), true);
            take(map["binaryData"].as_object(), false);
        }
        all
    }

    /// What a source puts into a volume: all it has, or its `items`.
    fn add(
        &mut self,
        files: &mut Vec<File>,
        kind: &str,
        name: &Value,
        source: &Value,
        mode: u32,
        at: &Field,
    ) {
        let name = name.as_str().unwrap_or_default();
        let data = self.data(kind, name);
        let Some(items) = source["items"].as_array() else {
            for (key, content) in data {
                self.put(files, File { path: key.to_owned(), mode, content }, at);
            }
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let at = at.then("items").then(index);
            let text = |field: &str| item[field].as_str().unwrap_or_default();
            let (key, path) = (text("key"), text("path"));
            let is_inside = |part| matches!(part, Component::Normal(_));
            if path.is_empty() || !Path::new(path).components().all(is_inside) {
                self.problem(&at.then("path"), "must be a relative path without `..`".to_owned());
            } else if let Some((_, content)) = data.iter().find(|(its, _)| *its == key) {
                let mode = self.mode(&item["mode"], mode, &at);
                let mut clean = String::new();
                for part in Path::new(path).components().filter_map(|part| part.as_os_str().to_str()) {
                    clean.push_str(if clean.is_empty() { "" } else { "/" });
                    clean.push_str(part);
                }
                self.put(files, File { path: clean, mode, content: content.clone() }, &at);
            } else if source["optional"] != true {
                let what = if kind == "secret" { "Secret" } else { "ConfigMap" };
                self.problem(&at.then("key"), format!("the {what} `{name}` has no key `{key}`"));
            }
        }
    }

    /// What comes later wins.
    fn put(&mut self, files: &mut Vec<File>, file: File, at: &Field) {
        files.retain(|other| other.path != file.path);
        let collides = |other: &&File| is_below(&other.path, &file.path) || is_below(&file.path, &other.path);
        if let Some(other) = files.iter().find(collides) {
            let message = format!("`{}` and `{}`: none can be a file and a directory", other.path, file.path);
            self.problem(at, message);
        } else if files.len() < MOST_FILES {
            files.push(file);
        } else if files.len() == MOST_FILES {
            self.problem(at, format!("more than {MOST_FILES} files in a volume"));
        }
    }

    /// A number, or text as people write it in YAML: `0400`.
    fn mode(&mut self, value: &Value, default: u32, at: &Field) -> u32 {
        let mode = match value {
            Value::Null => return default,
            Value::String(octal) => u32::from_str_radix(octal.trim_start_matches("0o"), 8).ok(),
            other => other.as_u64().and_then(|mode| u32::try_from(mode).ok()),
        };
        mode.filter(|mode| *mode <= 0o777).unwrap_or_else(|| {
            self.problem(at, "its mode must be from 0 to 0777".to_owned());
            default
        })
    }
}

/// Whether a path is in this directory.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn plain(name: &Value, value: Value) -> Value {
    json!({ "name": name, "value": value })
}

fn host_path(name: &str, path: String, kind: &str) -> Value {
    json!({ "name": name, "hostPath": { "path": path, "type": kind } })
}

#[cfg(test)]
mod tests;
