//! What is to be kept over a restart. (What manifests and the server said is kept where it is read.)

use std::{collections::BTreeMap, sync::Arc};

use super::{
    call::UndeliveredEvents,
    fallback::{Fallbacks, ReplacedContents},
    history::History,
    hysteresis::HysteresisState,
    image::PulledImages,
    run::FinishedRuns,
    stop::ManualStops,
    waiting::WaitingContents,
};

/// What the agent knows itself, by the names that conditions have for it.
pub type BuiltInMetrics = BTreeMap<Arc<str>, f64>;

/// Something to write down: of each kind the newest counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The workloads that finished.
    Finished(FinishedRuns),
    /// What workloads return to whose updates don't come up.
    Fallbacks(Fallbacks),
    /// Updates that wait, or are under way.
    Updates(WaitingContents),
    /// What ran before that: what has changed of it. It is needed for a person's command alone, and kept nowhere else.
    Replaced(ReplacedContents),
    /// The images that the agent pulled.
    Images(PulledImages),
    /// What was stopped by hand.
    Stops(ManualStops),
    /// The server's configuration that is applied now, as the server wrote it.
    Configuration(Arc<[u8]>),
    /// What was told of late. It need not survive a reboot either.
    History(Arc<History>),
    /// What the server has not heard. It need not survive a reboot, and is best kept in memory.
    Undelivered(UndeliveredEvents),
    /// What conditions ask of workloads. It need not survive a reboot: then nothing runs.
    BuiltInMetrics(BuiltInMetrics),
    /// What conditions remember, as long as the device runs.
    Hysteresis(Vec<HysteresisState>),
    /// The server unregistered this device ([`PersistedLinkState::disconnected`](super::call::PersistedLinkState::disconnected)): its
    /// identity and configuration are to be forgotten, and what it has not heard.
    Disconnected,
}
