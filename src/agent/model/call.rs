//! What the agent says to the edge API, and what it hears. The link decides when, with at most one call of a
//! kind under way; `io/edge_api` does it, within a time limit, and answers each by exactly one
//! [`Event::Answered`](super::event::Event::Answered).

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::{
    gather::sorted_by_view,
    notice::{Notice, Problem},
    workload::DesiredState,
};

/// One call to the edge API.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Ask for this device to be let in, with its hardware.
    Enrol,
    /// Ask for a certificate: a new key and CSR each time, kept only when the answer is good. Uses the device's
    /// present certificate, expired or not, or else the bootstrap one.
    Register,
    /// Say how the device is.
    Heartbeat(Heartbeat),
    /// Ask what is to run.
    Configuration,
    /// Ask whether this device was unregistered.
    Control,
}

impl Call {
    /// Which call it is.
    pub fn kind(&self) -> CallKind {
        match self {
            Self::Enrol => CallKind::Enrol,
            Self::Register => CallKind::Register,
            Self::Heartbeat(_) => CallKind::Heartbeat,
            Self::Configuration => CallKind::Configuration,
            Self::Control => CallKind::Control,
        }
    }
}

/// Which call an answer is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // as in `Call`
pub enum CallKind {
    Enrol,
    Register,
    Heartbeat,
    Configuration,
    Control,
}

/// How the device is.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// Something is crashed, missing or short, or can't be written.
    pub degraded: bool,
    /// The version of the configuration that is applied.
    pub version: String,
    /// Each of the server's workloads by name.
    pub workloads: Vec<(String, ServerWorkloadStatus)>,
    /// What happened since the last heartbeat that arrived.
    pub events: Vec<Notice>,
    /// Whether the hardware is part of it.
    pub hardware: HardwareScope,
}

/// The words of the server's own resource for where a workload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServerWorkloadStatus {
    /// On its way up.
    #[default]
    Deploying,
    /// As it should be.
    Running,
    /// It ended, and is not to run again before its next slot, if it has one.
    Exited,
    /// It failed, or can't be understood.
    Crashed,
    /// Its conditions or its schedule don't let it run.
    Stopped,
}

/// What a heartbeat says of the hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HardwareScope {
    /// Nothing: the field is left out.
    #[default]
    Omit,
    /// All of it.
    Full,
    /// All of it if anything changed since it was last sent: to Flotta's operator a part says that the rest is gone.
    IfChanged,
}

/// The good answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Call::Enrol`]: the request is stored, or the device exists. Registering tells.
    Enrolled,
    /// To [`Call::Register`]: the new pair was tried, is on disk and in use from now on.
    Registered {
        /// When the certificate ends.
        expires: SystemTime,
    },
    /// To [`Call::Heartbeat`].
    Beaten,
    /// To [`Call::Configuration`].
    Configured(Box<ServerConfiguration>),
    /// To [`Call::Control`].
    Controlled {
        /// The device was unregistered.
        disconnect: bool,
    },
}

/// Between two heartbeats, where the server says nothing of that, or 0.
pub const DEFAULT_CALL_PERIOD: Duration = Duration::from_secs(60);
/// Longer periods are cut: a typing mistake must not silence a device for years.
pub const MAX_PERIOD: Duration = Duration::from_secs(86_400);

/// What the server wants of this device.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfiguration {
    /// Changes without cause: only to be sent back.
    pub version: String,
    /// Profiles and workloads; what could not be understood is in `problems`.
    pub desired: DesiredState,
    /// The parts that were skipped.
    pub problems: Vec<Problem>,
    /// Between two heartbeats, and between two requests for the configuration.
    pub period: Duration,
    /// What the heartbeats are to say of the hardware.
    pub hardware: HardwareScope,
    /// Between two full looks at the engines, if the server says so.
    pub monitoring_interval: Option<Duration>,
    /// The answer's body, as it came: to be stored, and read again by the next process.
    pub raw: Arc<[u8]>,
}

impl ServerConfiguration {
    /// Whether nothing differs but what changes without cause.
    pub(in crate::agent) fn is_equivalent_to(&self, other: &Self) -> bool {
        let Self { version: _, raw: _, desired, problems, period, hardware, monitoring_interval } = self;
        desired.is_equivalent_to(&other.desired)
            && sorted_by_view(problems, Clone::clone) == sorted_by_view(&other.problems, Clone::clone)
            && *period == other.period
            && *hardware == other.hardware
            && *monitoring_interval == other.monitoring_interval
    }
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// The server answered with a status that isn't 2xx.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What else it said, cut to a line.
        message: String,
        /// Its `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// No answer: no network, no server, a broken connection, a time limit. Says what was tried.
    Unreachable(String),
    /// There was a connection, but not to a server that can be trusted, or that trusts this device: a sentence that
    /// a person can act on.
    Untrusted(String),
    /// The answer makes no sense: what was expected, and where.
    Nonsense(String),
    /// To [`Call::Register`] with the certificate that devices share: the server most likely has registered a device of
    /// this name, and gives no other a certificate. A sentence that says what to do.
    Taken(String),
    /// This device's own files are in the way: no usable certificate, a key that doesn't match, a full disk.
    Local(String),
}

/// What an earlier process left behind: read from disk before anything is decided.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PersistedLinkState {
    /// The device has a usable certificate of its own: since when, and until when.
    pub certificate: Option<(SystemTime, SystemTime)>,
    /// The last good configuration.
    pub configuration: Option<Box<ServerConfiguration>>,
    /// The server unregistered this device: nothing is said to it before a person asks for it.
    pub disconnected: bool,
    /// What was last given to [`Record::Undelivered`](super::record::Record::Undelivered).
    pub unheard: UndeliveredEvents,
}

/// What happened and the server has not heard, as far as is known: what waits, and what is on its way.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct UndeliveredEvents {
    /// Oldest first.
    pub events: VecDeque<Notice>,
    /// How many older ones were dropped, and not yet said to be.
    pub dropped: u64,
}

impl UndeliveredEvents {
    /// There is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.dropped == 0
    }
}
