//! The devices that are known, and how far each has come.

use std::{collections::BTreeMap, fs, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::store::{self, Stage};

/// Whether unknown devices are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Approval {
    /// At once.
    Auto,
    /// By a command, which is asked for.
    Ask,
    /// By a command.
    Never,
    /// So many seconds later.
    After(i64),
}

impl FromStr for Approval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "ask" => Ok(Self::Ask),
            "never" => Ok(Self::Never),
            _ => {
                let seconds = text.strip_prefix("after=").and_then(|seconds| seconds.parse().ok());
                seconds
                    .map(Self::After)
                    .ok_or_else(|| "expected auto, ask, never or after=SECONDS".to_owned())
            }
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) stage: Stage,
    pub(crate) namespace: String,
    /// Of its EdgeDevice: each status patch changes it.
    pub(crate) version: u64,
    /// When it asked to be let in, in seconds since 1970.
    pub(crate) asked: i64,
    /// Of its certificates.
    #[serde(default)]
    pub(crate) chain: Option<String>,
    /// Whether one of them was used.
    #[serde(default)]
    pub(crate) is_used: bool,
}

/// All of them; written to a file at each change of stage, so that a restart of the server is not a new world.
pub(crate) struct Devices {
    path: PathBuf,
    known: BTreeMap<String, Device>,
    last_version: u64,
}

impl Devices {
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let known: BTreeMap<String, Device> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("failed to read '{}'", path.display()))?,
            Err(_) => BTreeMap::new(),
        };
        // Versions only rise, across restarts too.
        let now = OffsetDateTime::now_utc().unix_timestamp().unsigned_abs();
        let last_version = known.values().map(|device| device.version).max().unwrap_or(0).max(now);
        Ok(Self { path, known, last_version })
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Device> {
        self.known.get(id)
    }

    /// As others see it.
    pub(crate) fn find(&self, id: &str) -> Option<store::Device> {
        self.known.get(id).map(|device| store::Device {
            id: id.to_owned(),
            namespace: device.namespace.clone(),
            stage: device.stage,
            uid: None,
            chain: device.chain.clone(),
            // (or it is from a server that knew no chains)
            is_used: device.is_used || (device.chain.is_none() && device.stage != Stage::Approved),
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &Device)> {
        self.known.iter()
    }

    /// Notes that the device asks to be let in.
    pub(crate) fn enrol(&mut self, id: &str, namespace: &str) -> Result<()> {
        let device = Device {
            stage: Stage::Waiting,
            namespace: namespace.to_owned(),
            version: 0,
            asked: OffsetDateTime::now_utc().unix_timestamp(),
            chain: None,
            is_used: false,
        };
        self.known.insert(id.to_owned(), device);
        self.patch(id);
        self.save()
    }

    /// Lets in whose time has come.
    pub(crate) fn settle(&mut self, id: &str, approval: Approval) -> Result<()> {
        let Some(device) = self.known.get(id).filter(|device| device.stage == Stage::Waiting) else {
            return Ok(());
        };
        let due = match approval {
            Approval::Auto => true,
            Approval::After(seconds) => OffsetDateTime::now_utc().unix_timestamp() >= device.asked + seconds,
            Approval::Ask | Approval::Never => false,
        };
        if due { self.advance(id, Stage::Approved) } else { Ok(()) }
    }

    /// Moves a known device on.
    pub(crate) fn advance(&mut self, id: &str, stage: Stage) -> Result<()> {
        let Some(device) = self.known.get_mut(id) else { bail!("there is no device '{id}'") };
        device.stage = stage;
        self.patch(id);
        self.save()
    }

    /// It is about to get a certificate of this chain.
    pub(crate) fn register(&mut self, id: &str, chain: Option<String>, is_used: bool) -> Result<()> {
        if let Some(device) = self.known.get_mut(id) {
            (device.chain, device.is_used) = (chain, is_used);
        }
        self.advance(id, Stage::Registered)
    }

    /// A certificate of its chain was used.
    pub(crate) fn use_chain(&mut self, id: &str) -> Result<()> {
        match self.known.get_mut(id) {
            Some(device) => device.is_used = true,
            None => bail!("there is no device '{id}'"),
        }
        self.save()
    }

    pub(crate) fn delete(&mut self, id: &str) -> Result<()> {
        if self.known.remove(id).is_none() {
            bail!("there is no device '{id}'");
        }
        self.save()
    }

    /// Something of the device changed: a new version.
    pub(crate) fn patch(&mut self, id: &str) {
        self.last_version += 1;
        if let Some(device) = self.known.get_mut(id) {
            device.version = self.last_version;
        }
    }

    /// Something of every device may have changed.
    pub(crate) fn patch_all(&mut self) {
        self.last_version += 1;
        for device in self.known.values_mut() {
            device.version = self.last_version;
        }
    }

    fn save(&self) -> Result<()> {
        let new = self.path.with_extension("new");
        fs::write(&new, serde_json::to_vec_pretty(&self.known)?)
            .and_then(|()| fs::rename(&new, &self.path))
            .with_context(|| format!("failed to write '{}'", self.path.display()))
    }
}
