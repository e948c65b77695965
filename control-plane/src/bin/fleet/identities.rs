//! Keys and certificates of devices, kept in a file where that is wanted: the next run on the same cluster needn't let
//! the whole fleet in again.

use std::{collections::HashMap, fs, path::PathBuf, sync::Mutex};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::figures::lock;

/// Certificate and key, PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// By device. They are worth something to the CA that they are of only.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    ca: String,
    all: HashMap<String, Identity>,
}

pub(crate) struct Identities {
    file: Option<PathBuf>,
    kept: Mutex<Kept>,
}

impl Identities {
    pub(crate) fn open(file: Option<PathBuf>, ca: &str) -> Self {
        let read = file.as_ref().and_then(|file| fs::read(file).ok());
        let kept: Option<Kept> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let kept = kept.filter(|kept| kept.ca == ca);
        let fresh = || Kept { ca: ca.to_owned(), all: HashMap::new() };
        Self { file, kept: Mutex::new(kept.unwrap_or_else(fresh)) }
    }

    pub(crate) fn get(&self, id: &str) -> Option<Identity> {
        lock(&self.kept).all.get(id).cloned()
    }

    pub(crate) fn put(&self, id: &str, identity: &Identity) {
        lock(&self.kept).all.insert(id.to_owned(), identity.clone());
    }

    pub(crate) fn store(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let text = serde_json::to_vec(&*lock(&self.kept))?;
        fs::write(file, text).with_context(|| format!("failed to write '{}'", file.display()))
    }
}
