//! Volumes of `ConfigMap`s, `Secret`s and what a pod is told about itself: files that the agent writes.

use std::path::{Component, Path};

use super::{
    fields::PodContext,
    problem::SpecProblem,
    sources::{self, ObjectKind},
};
use crate::wire::{
    field::FieldPath,
    podspec::{
        values::{Below, FileMode},
        volumes::{DownwardFile, KeyToPath, Volume},
    },
};

/// Kubernetes' own.
const DEFAULT_MODE: u32 = 0o644;
/// More files in a volume than this are taken for an accident.
const MAX_FILES: usize = 1_000;

/// A file of a [`FileVolume`].
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
pub struct FileVolume {
    /// The volume's name in the specification.
    pub name: String,
    /// Each path once.
    pub files: Vec<File>,
    /// Whether there is a `Secret` in it.
    pub is_secret: bool,
}

impl FileVolume {
    /// Whether there is such a file, or a directory on the way to one.
    pub(super) fn contains_path(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path || is_below(&file.path, path))
    }
}

/// Values of a `ConfigMap` or `Secret`, as a volume takes them.
struct FileVolumeSource<'a> {
    kind: ObjectKind,
    name: &'a str,
    items: &'a [KeyToPath],
    optional: bool,
}

/// The files of a volume; `None`: it is none of these.
pub(super) fn file_volume(
    volume: &Volume,
    at: &FieldPath,
    context: &PodContext,
    group: bool,
) -> Result<Option<FileVolume>, SpecProblem> {
    let mut files = FileVolumeBuilder { context, mode: DEFAULT_MODE, all: Vec::new() };
    let mode = |given: Option<FileMode>| given.map_or(DEFAULT_MODE, |mode| mode.0);
    let mut is_secret = false;
    if let Some(secret) = &volume.secret {
        files.mode = mode(secret.default_mode);
        is_secret = true;
        let (name, items, optional) = (&*secret.secret_name.0, &*secret.items, secret.optional);
        files.add(
            &FileVolumeSource { kind: ObjectKind::Secret, name, items, optional },
            &at.child("secret"),
        )?;
    } else if let Some(map) = &volume.config_map {
        files.mode = mode(map.default_mode);
        let (name, items, optional) = (&*map.name.0, &*map.items, map.optional);
        files.add(
            &FileVolumeSource { kind: ObjectKind::ConfigMap, name, items, optional },
            &at.child("configMap"),
        )?;
    } else if let Some(downward) = &volume.downward_api {
        files.mode = mode(downward.default_mode);
        files.add_downward_files(&downward.items, &at.child("downwardAPI"))?;
    } else if let Some(projected) = &volume.projected {
        files.mode = mode(projected.default_mode);
        for (index, source) in projected.sources.iter().enumerate() {
            let at = at.child("projected").child("sources").child(index);
            let (kind, key, keys) = match (&source.secret, &source.config_map, &source.downward_api) {
                (Some(keys), ..) => (ObjectKind::Secret, "secret", keys),
                (_, Some(keys), _) => (ObjectKind::ConfigMap, "configMap", keys),
                (.., Some(downward)) => {
                    files.add_downward_files(&downward.items, &at.child("downwardAPI"))?;
                    continue;
                }
                (None, None, None) => return Err((at, "is nothing that a device has".to_owned())),
            };
            is_secret |= kind == ObjectKind::Secret;
            let (name, items, optional) = (&*keys.name.0, &*keys.items, keys.optional);
            files.add(&FileVolumeSource { kind, name, items, optional }, &at.child(key))?;
        }
    } else {
        return Ok(None);
    }
    let mut files = files.all;
    if group {
        // only root of the host could give the files to a group; none but these containers come near them
        for file in &mut files {
            let shared = file.mode | 0o040;
            file.mode = shared | (shared >> 3) & 0o007;
        }
    }
    Ok(Some(FileVolume { name: volume.name.0.clone(), files, is_secret }))
}

/// What comes together in a volume.
struct FileVolumeBuilder<'a> {
    context: &'a PodContext<'a>,
    /// For those that say nothing.
    mode: u32,
    all: Vec<File>,
}

impl FileVolumeBuilder<'_> {
    /// What a source puts into a volume: all it has, or its `items`.
    fn add(&mut self, source: &FileVolumeSource, at: &FieldPath) -> Result<(), SpecProblem> {
        let found = sources::object_data(&self.context.workload.content, source.kind, source.name);
        let optional = found.is_none() || source.optional;
        let data = found.unwrap_or_default();
        if source.items.is_empty() {
            for (path, content) in data {
                self.put(path, None, content).map_err(|why| (at.clone(), why))?;
            }
            return Ok(());
        }
        for (index, item) in source.items.iter().enumerate() {
            let at = at.child("items").child(index);
            let key = &*item.key.0;
            let path = file_path(&item.path, &at)?;
            if let Some((_, content)) = data.iter().find(|(its, _)| its == key) {
                self.put(path, item.mode, content.clone()).map_err(|why| (at, why))?;
            } else if !optional {
                return Err((at.child("key"), sources::missing_key_message(source.kind, source.name, key)));
            }
        }
        Ok(())
    }

    /// What a pod is told about itself.
    fn add_downward_files(&mut self, items: &[DownwardFile], at: &FieldPath) -> Result<(), SpecProblem> {
        for (index, item) in items.iter().enumerate() {
            let at = at.child("items").child(index);
            let content = match (&item.field_ref, &item.resource_field_ref) {
                (Some(field), _) => self.context.resolve_field_ref(field),
                (None, Some(resource)) => self.context.resolve_resource_ref(resource, None),
                (None, None) => Err("must name a fieldRef or a resourceFieldRef".to_owned()),
            };
            let path = file_path(&item.path, &at)?;
            let put = content.and_then(|content| self.put(path, item.mode, content.into()));
            put.map_err(|why| (at, why))?;
        }
        Ok(())
    }

    /// What comes later wins.
    fn put(&mut self, path: String, mode: Option<FileMode>, content: Vec<u8>) -> Result<(), String> {
        self.all.retain(|other| other.path != path);
        let collides = |other: &&File| is_below(&other.path, &path) || is_below(&path, &other.path);
        if let Some(other) = self.all.iter().find(collides) {
            return Err(format!("`{}` and `{path}`: none can be a file and a directory", other.path));
        }
        if self.all.len() >= MAX_FILES {
            return Err(format!("more than {MAX_FILES} files in a volume"));
        }
        self.all.push(File { path, mode: mode.map_or(self.mode, |mode| mode.0), content });
        Ok(())
    }
}

/// Below the volume, without what says nothing.
fn file_path(path: &Below, item: &FieldPath) -> Result<String, SpecProblem> {
    let clean = normalize_path(&path.0).filter(|clean| !clean.is_empty());
    clean.ok_or_else(|| (item.child("path"), "names no file".to_owned()))
}

/// A relative path without `.` and doubled slashes; `None` if it leads elsewhere.
pub(super) fn normalize_path(path: &str) -> Option<String> {
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

/// Whether a path is in this directory.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
