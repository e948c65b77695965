//! What the agent has to say to people: logged at once, and sent with the heartbeat as an event.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// A state changed.
    Info,
    /// It works, but a person should look.
    Warning,
}

/// The word for what happened, in the `CamelCase` of Kubernetes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub enum Reason {
    Adopted,
    AwaitingApproval,
    BackOff,
    ClockBehind,
    ClockRight,
    Commanded,
    ConfigurationApplied,
    ConfigurationRejected,
    CpuBusy,
    DeadlineExceeded,
    DeviceLow,
    DeviceRecovered,
    DeviceUnknown,
    Disconnected,
    EngineBack,
    EngineMissing,
    EventsDropped,
    Evicted,
    EvictionOver,
    Failed,
    Finished,
    Flapping,
    ImagePullFailed,
    Inactive,
    ProcessLimit,
    Recovered,
    Registered,
    Removed,
    Restarted,
    RolledBack,
    ServerBack,
    ServerMissing,
    Started,
    StateKept,
    StateNotKept,
    Stopped,
    Unauthorized,
    Unhealthy,
    Unsupported,
    UpdateAllowed,
    UpdateWaits,
}

/// One thing worth saying, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Info or warning.
    pub severity: Severity,
    /// What kind of thing happened.
    pub reason: Reason,
    /// A sentence that names the workload, file or engine it is about, and why.
    pub message: String,
    /// How often it happened.
    #[serde(default = "default_times")]
    pub times: u32,
}

fn default_times() -> u32 {
    1
}

impl Notice {
    /// A state changed.
    pub fn info(reason: Reason, message: impl Into<String>) -> Self {
        Self { severity: Severity::Info, reason, message: message.into(), times: 1 }
    }

    /// It works, but a person should look.
    pub fn warning(reason: Reason, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, reason, message: message.into(), times: 1 }
    }
}

impl Notice {
    /// The workload that it is about, as its message says.
    pub fn workload_name(&self) -> Option<&str> {
        let named = |after: &str| self.message.split_once(after)?.1.split_once('\'').map(|(name, _)| name);
        // a pod is called after its workload
        named("workload '").or_else(|| named("pod '")?.rsplit_once('-').map(|(name, _)| name))
    }
}

/// Something that is asked for and can't be done, or has no effect, as long as it isn't corrected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The workload that it is about, if it is about one.
    pub workload: Option<String>,
    /// A sentence that says what and where.
    pub message: String,
}

impl<S: Into<String>> From<S> for Problem {
    /// About no workload in particular.
    fn from(message: S) -> Self {
        Self { workload: None, message: message.into() }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.reason, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_which_workload_it_is_about() {
        for (message, about) in [
            ("workload 'a': port 80 is used by workload 'b'", Some("a")),
            ("failed to stop container 'c' of workload 'a-1'", Some("a-1")),
            ("pod 'a-1-0123456789ab' is gone", Some("a-1")),
            ("a.yaml, document 1: 'name' is missing", None),
            ("workload 'a", None),
            ("pod 'a'", None),
        ] {
            assert_eq!(Notice::info(Reason::Started, message).workload_name(), about, "{message}");
        }
    }
}
