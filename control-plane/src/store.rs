//! What the protocol needs of whatever keeps the devices and what is meant for them. A directory and a Kubernetes API
//! server do; the answers are the same.

use std::fmt;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

/// How far a device has come:
///
/// ```text
/// (unknown) ─ enrolment ─► Waiting ─ approve ─► Approved ─ registration ─► Registered ─ disconnect ─► Leaving
///      ▲                      └────── refuse ──► Refused                                                 │
///      └──────────────────────────────────────── delete ─────────────────────────────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    Waiting,
    Refused,
    Approved,
    Registered,
    Leaving,
}

impl Stage {
    /// Whether it is an EdgeDevice, no longer a mere request.
    pub(crate) fn exists(self) -> bool {
        matches!(self, Self::Approved | Self::Registered | Self::Leaving)
    }
}

/// A device that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) namespace: String,
    pub(crate) stage: Stage,
    /// Of this device, and of no other that has or had its name: its certificates say so. A directory has none.
    pub(crate) uid: Option<String>,
    /// Of its certificates, from the first one on: they say so, too. Those of a server that knew no chains have none.
    pub(crate) chain: Option<String>,
    /// Whether one of these certificates was used. Until then the device may begin another chain: the answer with the
    /// first certificate may be lost.
    pub(crate) is_used: bool,
}

impl Device {
    /// Whether it may get this certificate.
    pub(crate) fn takes(&self, signed: &Signed) -> bool {
        self.chain == signed.chain || !self.is_used
    }
}

/// What a certificate that was signed says.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) pem: String,
    /// Hexadecimal.
    pub(crate) serial: String,
    /// To which it belongs.
    pub(crate) chain: Option<String>,
    /// By which it was signed.
    pub(crate) ca: String,
    pub(crate) ends: OffsetDateTime,
}

/// Why it can't be done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another certificate of it was used in the meantime.
    Taken,
    /// The store says no, or nothing.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken => f.write_str("another certificate of it was used in the meantime"),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

/// Keeps devices, and knows what is meant for them.
pub(crate) trait Store: Send + Sync + 'static {
    /// The device of this id; in this namespace, where its certificate says so.
    fn find(&self, id: &str, namespace: Option<&str>) -> impl Future<Output = Result<Option<Device>>> + Send;

    /// The same, but what is true now, not a moment ago.
    fn find_anew(&self, device: &Device) -> impl Future<Output = Result<Option<Device>>> + Send;

    /// Whether devices of a batch may still come with the bootstrap certificate that they share.
    fn admits(&self, batch: &str) -> impl Future<Output = Result<bool>> + Send;

    /// An unknown device, of a batch or of none, asks to be let in.
    fn enrol(
        &self,
        id: &str,
        batch: Option<&str>,
        content: &Value,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The device is about to get this certificate: its first, or another one. It goes on with the device's chain, or
    /// begins one, if none was used until now. `is_use`: it asks by a certificate of its chain.
    fn register(
        &self,
        device: &Device,
        certificate: &Signed,
        is_use: bool,
        hardware: &Value,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// It came with a certificate of its chain: no other one can begin any more.
    fn use_chain(&self, device: &Device) -> impl Future<Output = Result<()>> + Send;

    /// What it says of itself, with its events: after this nothing of it is lost.
    fn heartbeat(&self, device: &Device, content: &Value) -> impl Future<Output = Result<()>> + Send;

    /// The `content` of its configuration.
    ///
    /// # Errors
    /// A ConfigMap or Secret that a workload needs is missing.
    fn configuration(&self, device: &Device) -> impl Future<Output = Result<Value>> + Send;

    /// It is about to hear that it was unregistered.
    fn dismiss(&self, device: &Device) -> impl Future<Output = Result<()>> + Send;

    /// Families of OpenMetrics.
    fn metrics(&self) -> String {
        String::new()
    }
}
