//! Everything that the connections and the commands share.

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use tokio::sync::{Notify, watch};
use tokio_rustls::rustls::ServerConfig;

use crate::{
    Serve,
    authority::{Authority, Flaw},
    devices::{Approval, Devices},
    faults::Faults,
    journal::Journal,
    manifests::Manifests,
    recorder::Recorder,
    tls,
};

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Nothing listens.
    Refusing,
    /// They are accepted, and nothing is said.
    Silent,
}

/// The whole of it.
pub(crate) struct Edge {
    pub(crate) authority: Authority,
    pub(crate) journal: Journal,
    /// Each message ends the connections there are.
    pub(crate) door: watch::Sender<Door>,
    /// Ends each stall.
    pub(crate) cleared: Notify,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) period: i64,
    pub(crate) ordered: bool,
    /// Whether it may be told to.
    pub(crate) may_misbehave: bool,
    dir: PathBuf,
    state: Mutex<State>,
}

/// What changes while it runs.
pub(crate) struct State {
    pub(crate) devices: Devices,
    pub(crate) manifests: Manifests,
    pub(crate) faults: Faults,
    pub(crate) recorder: Recorder,
    pub(crate) approval: Approval,
    pub(crate) certificate_seconds: i64,
    pub(crate) flaw: Flaw,
    pub(crate) tls: Arc<ServerConfig>,
}

impl Edge {
    pub(crate) fn open(serve: Serve) -> Result<Self> {
        let dir = match serve.dir {
            Some(dir) => fs::create_dir_all(&dir).map(|()| dir),
            None => {
                let dir = std::env::temp_dir().join(format!("flotta-edge-api-{}", std::process::id()));
                DirBuilder::new().mode(0o700).create(&dir).map(|()| dir)
            }
        };
        let dir = dir.context("failed to make the directory")?;
        let authority = Authority::open(&dir)?;
        let state = State {
            devices: Devices::open(dir.join("devices.json"))?,
            manifests: Manifests::open(serve.manifests)?,
            faults: Faults::default(),
            recorder: Recorder::default(),
            approval: serve.approve,
            certificate_seconds: serve.certificate_seconds,
            flaw: Flaw::None,
            tls: tls::configuration(&authority, Flaw::None)?,
        };
        Ok(Self {
            authority,
            journal: Journal::open(serve.log_json.as_deref(), serve.quiet)?,
            door: watch::Sender::new(Door::Open),
            cleared: Notify::new(),
            labels: serve.labels,
            period: serve.period,
            ordered: serve.ordered,
            may_misbehave: serve.faults,
            dir,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Never across an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
