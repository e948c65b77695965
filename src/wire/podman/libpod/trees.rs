//! Volumes of `ConfigMap`s, `Secret`s and what a pod is told about itself: files that the agent writes.

use std::path::{Component, Path};

use super::{
    fields::Asking,
    part::{Part, Problem},
    sources::{self, Kind},
};
use crate::wire::podspec::values::permissions;

/// Kubernetes' own.
const DEFAULT_MODE: u32 = 0o644;
/// More files in a volume than this are taken for an accident.
const MOST_FILES: usize = 1_000;

/// A file of a [`Tree`].
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
pub struct Tree {
    /// The volume's name in the specification.
    pub name: String,
    /// Each path once.
    pub files: Vec<File>,
    /// Whether there is a `Secret` in it.
    pub is_secret: bool,
}

impl Tree {
    /// Whether there is such a file, or a directory on the way to one.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path || is_below(&file.path, path))
    }
}

/// The files of a volume; `None`: it is none of these.
pub(super) fn tree(volume: &Part, asking: &Asking, group: bool) -> Result<Option<Tree>, Problem> {
    let mut files = Vec::new();
    let [secret, map, projected, downward] =
        ["secret", "configMap", "projected", "downwardAPI"].map(|key| volume.get(key));
    let given = |part: &Part| part.value.is_object();
    if given(&secret) {
        let mode = mode(&secret.get("defaultMode"), DEFAULT_MODE)?;
        add(&mut files, asking, Kind::Secret, &secret.get("secretName"), &secret, mode)?;
    } else if given(&map) {
        let mode = mode(&map.get("defaultMode"), DEFAULT_MODE)?;
        add(&mut files, asking, Kind::ConfigMap, &map.get("name"), &map, mode)?;
    } else if given(&downward) {
        let mode = mode(&downward.get("defaultMode"), DEFAULT_MODE)?;
        describe(&mut files, asking, &downward, mode)?;
    } else if given(&projected) {
        let mode = mode(&projected.get("defaultMode"), DEFAULT_MODE)?;
        for source in projected.get("sources").items() {
            let [secret, map, downward] = ["secret", "configMap", "downwardAPI"].map(|key| source.get(key));
            if given(&secret) {
                add(&mut files, asking, Kind::Secret, &secret.get("name"), &secret, mode)?;
            } else if given(&map) {
                add(&mut files, asking, Kind::ConfigMap, &map.get("name"), &map, mode)?;
            } else if given(&downward) {
                describe(&mut files, asking, &downward, mode)?;
            } else {
                let kind = source.value.as_object().and_then(|source| source.keys().next());
                let kind = kind.map_or("", String::as_str);
                let message = format!("a device has no `{kind}`: there is no API server that gives one");
                return source.problem(message);
            }
        }
    } else {
        return Ok(None);
    }
    if group {
        // only root of the host could give the files to a group; none but these containers come near them
        for file in &mut files {
            let shared = file.mode | 0o040;
            file.mode = shared | (shared >> 3) & 0o007;
        }
    }
    let is_secret =
        given(&secret) || projected.get("sources").items().any(|source| given(&source.get("secret")));
    Ok(Some(Tree { name: volume.get("name").needed()?.to_owned(), files, is_secret }))
}

/// What a source puts into a volume: all it has, or its `items`.
fn add(
    files: &mut Vec<File>,
    asking: &Asking,
    kind: Kind,
    name: &Part,
    source: &Part,
    default: u32,
) -> Result<(), Problem> {
    let name = name.needed()?;
    let found = sources::data(&asking.workload.content, kind, name);
    let optional = found.is_none() || source.get("optional").is_set()?;
    let data = found.unwrap_or_default();
    if source.get("items").is_absent() {
        for (key, content) in data {
            put(files, File { path: key, mode: default, content }, source)?;
        }
        return Ok(());
    }
    for item in source.get("items").items() {
        let (key, path) = (item.get("key").needed()?, path(&item)?);
        let mode = mode(&item.get("mode"), default)?;
        if let Some((_, content)) = data.iter().find(|(its, _)| its == key) {
            put(files, File { path, mode, content: content.clone() }, &item)?;
        } else if !optional {
            return sources::missing(kind, name, key, &item);
        }
    }
    Ok(())
}

/// What a pod is told about itself.
fn describe(files: &mut Vec<File>, asking: &Asking, source: &Part, default: u32) -> Result<(), Problem> {
    for item in source.get("items").items() {
        let (path, mode) = (path(&item)?, mode(&item.get("mode"), default)?);
        let (field, resource) = (item.get("fieldRef"), item.get("resourceFieldRef"));
        let content = match (field.is_absent(), resource.is_absent()) {
            (false, _) => asking.field(&field)?,
            (true, false) => asking.resource(&resource, None)?,
            (true, true) => return item.problem("must name a fieldRef or a resourceFieldRef"),
        };
        put(files, File { path, mode, content: content.into() }, &item)?;
    }
    Ok(())
}

/// Below the volume, without what says nothing.
fn path(item: &Part) -> Result<String, Problem> {
    let path = item.get("path");
    plain(path.text()?.unwrap_or_default())
        .filter(|clean| !clean.is_empty())
        .map_or_else(|| path.problem("must be a relative path without `..`"), Ok)
}

/// A relative path without `.` and doubled slashes; `None` if it leads elsewhere.
pub(super) fn plain(path: &str) -> Option<String> {
    let mut clean = String::new();
    for part in Path::new(path).components() {
        let name = match part {
            Component::Normal(name) => name.to_str()?,
            Component::CurDir => continue,
            _ => return None,
        };
        clean.push_str(if clean.is_empty() { "" } else { "/" });
        clean.push_str(name);
    }
    Some(clean)
}

/// What comes later wins.
fn put(files: &mut Vec<File>, file: File, at: &Part) -> Result<(), Problem> {
    files.retain(|other| other.path != file.path);
    let collides = |other: &&File| is_below(&other.path, &file.path) || is_below(&file.path, &other.path);
    if let Some(other) = files.iter().find(collides) {
        return at
            .problem(format!("`{}` and `{}`: none can be a file and a directory", other.path, file.path));
    }
    if files.len() >= MOST_FILES {
        return at.problem(format!("more than {MOST_FILES} files in a volume"));
    }
    files.push(file);
    Ok(())
}

fn mode(part: &Part, default: u32) -> Result<u32, Problem> {
    match permissions(part.value) {
        Some(mode) => Ok(mode),
        None if part.is_absent() => Ok(default),
        None => part.problem("must be from 0 to 0777"),
    }
}

/// Whether a path is in this directory.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
