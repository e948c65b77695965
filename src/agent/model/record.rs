//! What is to be kept over a restart. (What manifests and the server said is kept where it is read.)

use std::{collections::BTreeMap, sync::Arc};

use super::{
    call::Unheard,
    fallback::{Fallbacks, Replaced},
    history::History,
    image::Pulled,
    lasting::LastingState,
    run::Finished,
    stop::Stops,
    waiting::Updates,
};

/// What the agent knows itself, by the names that conditions have for it.
pub type OwnMetrics = BTreeMap<Arc<str>, f64>;

/// Something to write down: of each kind the newest counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The workloads that finished.
    Finished(Finished),
    /// What workloads return to whose updates don't come up.
    Fallbacks(Fallbacks),
    /// Updates that wait, or are under way.
    Updates(Updates),
    /// What ran before that: what has changed of it. It is needed for a person's command alone, and kept nowhere else.
    Replaced(Replaced),
    /// The images that the agent pulled.
    Images(Pulled),
    /// What was stopped by hand.
    Stops(Stops),
    /// The server's configuration that is applied now, as the server wrote it.
    Configuration(Arc<[u8]>),
    /// What was told of late. It need not survive a reboot either.
    History(Arc<History>),
    /// What the server has not heard. It need not survive a reboot, and is best kept in memory.
    Unheard(Unheard),
    /// What conditions ask of workloads. It need not survive a reboot: then nothing runs.
    OwnMetrics(OwnMetrics),
    /// What conditions remember, as long as the device runs.
    Lasting(Vec<LastingState>),
    /// The server unregistered this device ([`Remembered::disconnected`](super::call::Remembered::disconnected)): its
    /// identity and configuration are to be forgotten, and what it has not heard.
    Disconnected,
}
