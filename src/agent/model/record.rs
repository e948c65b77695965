//! What is to be kept over a restart. (What manifests and the server said is kept where it is read.)

use std::sync::Arc;

use super::{call::Unheard, fallback::Fallbacks, image::Pulled, run::Finished};

/// Something to write down: of each kind the newest counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The workloads that finished.
    Finished(Finished),
    /// What workloads return to whose updates don't come up.
    Fallbacks(Fallbacks),
    /// The images that the agent pulled.
    Images(Pulled),
    /// The server's configuration that is applied now, as the server wrote it.
    Configuration(Arc<[u8]>),
    /// What the server has not heard. It need not survive a reboot, and is best kept in memory.
    Unheard(Unheard),
    /// The server unregistered this device ([`Remembered::disconnected`](super::call::Remembered::disconnected)): its
    /// identity and configuration are to be forgotten, and what it has not heard.
    Disconnected,
}
