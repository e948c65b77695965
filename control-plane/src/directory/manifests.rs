//! The resources a person writes, read from a directory: what `kubectl apply` would store.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::SystemTime};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::configuration::Resources;

/// What is in the directory, by kind and name.
#[derive(Default)]
pub(crate) struct Manifests {
    dir: PathBuf,
    seen: Vec<(PathBuf, Option<SystemTime>, u64)>,
    resources: BTreeMap<(String, String), Arc<Value>>,
}

impl Manifests {
    /// # Errors
    /// The directory or something in it can't be read.
    pub(crate) fn open(dir: PathBuf) -> Result<Self> {
        let mut manifests = Self { dir, ..Self::default() };
        manifests.refresh()?;
        Ok(manifests)
    }

    /// Reads the directory again if it changed, and says whether it did. On an error everything stays as it was: the
    /// real edge API never gets to see what the cluster refuses.
    pub(crate) fn refresh(&mut self) -> Result<bool> {
        let failed = || format!("failed to read '{}'", self.dir.display());
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir).with_context(failed)? {
            let path = entry.with_context(failed)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
                // A file that vanished a moment ago is read below, and reported.
                let about = path.metadata().ok();
                let changed = about.as_ref().and_then(|about| about.modified().ok());
                files.push((path, changed, about.map_or(0, |about| about.len())));
            }
        }
        files.sort();
        if files == self.seen {
            return Ok(false);
        }
        // Also when it can't be used: it is said once.
        self.seen = files;
        let mut resources = BTreeMap::new();
        for (path, ..) in &self.seen {
            let text =
                fs::read_to_string(path).with_context(|| format!("failed to read '{}'", path.display()))?;
            for (n, document) in serde_yaml::Deserializer::from_str(&text).enumerate() {
                let place = || format!("'{}', document {}", path.display(), n + 1);
                let value = Value::deserialize(document).with_context(place)?;
                if value.is_null() {
                    continue;
                }
                let (Some(kind), Some(name)) = (value["kind"].as_str(), value["metadata"]["name"].as_str())
                else {
                    bail!("{}: a kind and a metadata.name are needed", place());
                };
                let key = (kind.to_owned(), name.to_owned());
                if resources.contains_key(&key) {
                    bail!("{}: there are two of {kind} '{name}'", place());
                }
                resources.insert(key, Arc::new(value));
            }
        }
        self.resources = resources;
        Ok(true)
    }

    /// The one of this kind and name.
    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        self.resources.get(&(kind.to_owned(), name.to_owned())).cloned()
    }
}

impl Resources for Manifests {
    fn workloads(&self) -> Vec<Arc<Value>> {
        let all = self.resources.iter().filter(|((kind, _), _)| kind == "EdgeWorkload");
        all.map(|(_, resource)| Arc::clone(resource)).collect()
    }

    fn config_map(&self, name: &str) -> Option<Arc<Value>> {
        self.find("ConfigMap", name)
    }

    fn secret(&self, name: &str) -> Option<Arc<Value>> {
        self.find("Secret", name)
    }
}
