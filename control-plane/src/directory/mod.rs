//! The store that is a directory of manifests, with a file for the devices: for one server, without a cluster.

pub(crate) mod control;
mod devices;
mod manifests;
mod recorder;

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) use devices::Approval;
use devices::Devices;
use manifests::Manifests;
use recorder::Recorder;

use crate::{
    configuration,
    journal::Journal,
    store::{Device, Refusal, Signed, Stage, Store},
};

/// How devices are served from a directory.
pub(crate) struct Options {
    pub(crate) manifests: PathBuf,
    pub(crate) approval: Approval,
    /// Of every device, beside those of its manifest.
    pub(crate) labels: Vec<(String, String)>,
    /// Seconds between heartbeats where the manifest has none.
    pub(crate) period: i64,
    /// Lists that come from maps are always in the same order.
    pub(crate) ordered: bool,
}

/// Manifests, and what is known of the devices.
pub(crate) struct Directory {
    labels: Vec<(String, String)>,
    period: i64,
    ordered: bool,
    dir: PathBuf,
    journal: Arc<Journal>,
    state: Mutex<State>,
}

/// What changes while it runs.
struct State {
    devices: Devices,
    manifests: Manifests,
    recorder: Recorder,
    approval: Approval,
}

/// Where everything is kept: `dir`, or a new one.
pub(crate) fn home(dir: Option<PathBuf>) -> Result<PathBuf> {
    let dir = match dir {
        Some(dir) => fs::create_dir_all(&dir).map(|()| dir),
        None => {
            let dir = std::env::temp_dir().join(format!("flotta-edge-api-{}", std::process::id()));
            DirBuilder::new().mode(0o700).create(&dir).map(|()| dir)
        }
    };
    dir.context("failed to make the directory")
}

impl Directory {
    pub(crate) fn open(dir: PathBuf, options: Options, journal: Arc<Journal>) -> Result<Self> {
        let state = State {
            devices: Devices::open(dir.join("devices.json"))?,
            manifests: Manifests::open(options.manifests)?,
            recorder: Recorder::default(),
            approval: options.approval,
        };
        Ok(Self {
            labels: options.labels,
            period: options.period,
            ordered: options.ordered,
            dir,
            journal,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn control_socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, id: &str) -> Result<()> {
        let state = &mut *self.state();
        state.devices.settle(id, state.approval)
    }
}

impl Store for Directory {
    async fn find(&self, id: &str, _: Option<&str>) -> Result<Option<Device>> {
        self.settle(id)?;
        Ok(self.state().devices.find(id))
    }

    async fn find_anew(&self, device: &Device) -> Result<Option<Device>> {
        self.find(&device.id, None).await
    }

    async fn admits(&self, _: &str) -> Result<bool> {
        Ok(false)
    }

    async fn enrol(&self, id: &str, _: Option<&str>, content: &Value) -> Result<()> {
        let state = &mut *self.state();
        state.devices.enrol(id, content["target_namespace"].as_str().unwrap_or("default"))?;
        if state.approval == Approval::Ask {
            self.journal.say(&format!("{id} asks to be let in: type 'approve {id}' or 'refuse {id}'"));
        }
        // Approval is another program's work there: the request itself never hears of it.
        state.devices.settle(id, state.approval)
    }

    async fn register(
        &self,
        device: &Device,
        signed: &Signed,
        is_use: bool,
        _: &Value,
    ) -> Result<(), Refusal> {
        let devices = &mut self.state().devices;
        let now = devices.find(&device.id).filter(|it| it.stage.exists() && it.takes(signed));
        match now.ok_or(Refusal::Taken)? {
            Device { stage: Stage::Leaving, .. } => devices.patch(&device.id),
            now => devices.register(&device.id, signed.chain.clone(), now.is_used || is_use)?,
        }
        Ok(())
    }

    async fn use_chain(&self, device: &Device) -> Result<()> {
        self.state().devices.use_chain(&device.id)
    }

    async fn heartbeat(&self, device: &Device, content: &Value) -> Result<()> {
        let state = &mut *self.state();
        state.devices.patch(&device.id);
        let lost = state.recorder.record(&device.id, &content["events"]);
        if lost > 0 {
            self.journal.say(&format!("{}: {lost} events are lost: there were too many", device.id));
        }
        Ok(())
    }

    async fn configuration(&self, device: &Device) -> Result<Value> {
        let state = &mut *self.state();
        match state.manifests.refresh() {
            Ok(true) => state.devices.patch_all(),
            Ok(false) => {}
            Err(error) => self.journal.say(&format!("the manifests stay as they were: {error:#}")),
        }
        let resource = state.manifests.find("EdgeDevice", &device.id);
        let resource = resource.as_deref().unwrap_or(&Value::Null);
        let mut labels = self.labels.iter().cloned().collect();
        configuration::add_labels(&mut labels, resource);
        // One that is being deleted has none any more.
        let chosen = match device.stage {
            Stage::Leaving => Vec::new(),
            _ => configuration::choose(&state.manifests, &device.id, &labels),
        };
        let for_whom = configuration::Device {
            namespace: &device.namespace,
            spec: &resource["spec"],
            period: self.period,
            ordered: self.ordered,
        };
        let mut content = configuration::assemble(&state.manifests, &chosen, &for_whom)?;
        content["device_id"] = device.id.as_str().into();
        let version = state.devices.get(&device.id).map_or(0, |device| device.version);
        content["version"] = version.to_string().into();
        Ok(content)
    }

    async fn dismiss(&self, _: &Device) -> Result<()> {
        Ok(())
    }
}
