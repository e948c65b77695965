//! How everything is at a moment, for people, scripts and scrapers: made when it is asked for, kept nowhere.
//!
//! Times are in whole seconds before or after the moment.

use serde::{Serialize, Serializer};

/// The whole device.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Report {
    /// The agent's.
    pub version: &'static str,
    /// The device itself.
    pub device: Device,
    /// By name.
    pub workloads: Vec<Workload>,
    /// In the order of their definition.
    pub profiles: Vec<Profile>,
    /// Posted values, and names that conditions mention.
    pub metrics: Vec<Metric>,
}

/// The device itself.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Device {
    /// Its name.
    pub id: String,
    /// Nothing is crashed, missing or short, and everything can be written.
    pub healthy: bool,
    /// The edge API, if there is one.
    pub server: Option<LinkReport>,
    /// Those that are used.
    pub engines: Vec<EngineState>,
    /// What the device is short of: a sentence each.
    pub shortages: Vec<String>,
    /// What was asked for and can't be done, or kept: a sentence each.
    pub problems: Vec<String>,
    /// Names of workloads in the manifests that are for other devices.
    pub elsewhere: Vec<String>,
}

/// The conversation with the edge API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkReport {
    /// `enrolling`, `registering`, `linked` or `disconnected`.
    pub link: &'static str,
    /// Since it was last heard, if this process ever did.
    pub heard: Option<u64>,
    /// Until it is asked next.
    pub next: Option<u64>,
    /// What went wrong and isn't over: a sentence each.
    pub troubles: Vec<String>,
    /// Until the device's certificate ends; negative when it has.
    pub certificate: Option<i64>,
    /// What is applied, as the server calls it.
    pub configuration: Option<String>,
    /// Since it was applied, or found to be the same.
    pub configuration_age: Option<u64>,
}

/// An engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineState {
    /// `podman`, `rootless podman` or `kubernetes`.
    pub name: String,
    /// It has answered, and didn't fail to since.
    pub ready: bool,
    /// Why it doesn't.
    pub cause: Option<String>,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Its pod, or what it would be called.
    pub pod: Option<String>,
    /// What runs it.
    pub engine: Option<String>,
    /// Who asks for it.
    pub source: &'static str,
    /// In a word.
    pub state: WorkloadState,
    /// It does what it is to do now.
    pub well: bool,
    /// Whether each of its containers is ready for what others ask of it, if it runs.
    pub ready: Option<bool>,
    /// Since it is in this state, as far as this process knows.
    pub since: Option<u64>,
    /// The same as a date, in RFC 3339.
    pub since_time: Option<String>,
    /// By this process, after failures.
    pub restarts: u32,
    /// Until something happens by itself: a retry, a slot, the end of a rest.
    pub next: Option<u64>,
    /// The same as a date, in RFC 3339.
    pub next_time: Option<String>,
    /// Why it is so: one sentence, if there is something to say.
    pub cause: Option<String>,
    /// What a person can do about it.
    pub remedy: Option<String>,
    /// Why it last failed.
    pub failure: Option<String>,
    /// The CPU time of the pod in µs per 100,000 µs.
    pub cpu: Option<u64>,
    /// The exit code of the last run, where it has ended.
    pub exit: Option<i32>,
    /// How the last run of its content ended, where one did by itself; it may run again meanwhile.
    pub last_run: Option<LastRun>,
    /// The last five of these, newest first, as far as this process knows.
    pub runs: Vec<LastRun>,
    /// What the workload runs at, if at certain times only.
    pub cron: Option<String>,
    /// What else should be known of it.
    pub notes: Vec<String>,
    /// The pod of what came up last: it comes back if another content doesn't come up.
    pub previous: Option<String>,
    /// The update that waits, if one does.
    pub update: Option<WaitingUpdateReport>,
    /// Containers that failed in their pod, and have not come up for good since.
    pub failures: Vec<ContainerFailure>,
    /// What probes told last.
    pub probes: Vec<ProbeResult>,
    /// The profiles that it lists.
    pub profiles: Vec<ListedProfileReport>,
    /// What conditions on it go by: whether it is ready, whether it runs, and its last exit code.
    #[serde(skip)]
    pub metrics: [Option<f64>; 3],
}

/// An update that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingUpdateReport {
    /// What its pod will be called.
    pub pod: String,
    /// What it waits for: a sentence each.
    pub causes: Vec<String>,
    /// For so long.
    pub since: u64,
    /// It goes ahead after so long at the latest.
    pub until: Option<u64>,
}

/// How often a container failed, and why it last did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerFailure {
    /// Its name.
    pub container: String,
    /// In a row.
    pub failures: u32,
    /// The last time.
    pub cause: String,
}

/// What a probe told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// Whose it is.
    pub container: String,
    /// What it is called.
    pub probe: &'static str,
    /// Its last answer; none: it has not told anything yet.
    pub healthy: Option<bool>,
    /// What it said then.
    pub output: String,
}

/// A workload's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[allow(missing_docs)] // the words say it
pub enum WorkloadState {
    #[default]
    Unknown,
    Pulling,
    Starting,
    Running,
    Stopping,
    /// By hand.
    Stopped,
    /// Its profiles don't hold.
    Inactive,
    /// Until its next slot.
    Scheduled,
    /// It failed, and is tried again.
    BackOff,
    /// Its last run failed, and there is none before its next slot, if ever.
    Failed,
    Finished,
    /// The device is short of something.
    Held,
    /// It had to go.
    Evicted,
    /// It can't be understood.
    Rejected,
    /// It isn't wanted any more.
    Leaving,
}

impl WorkloadState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Unknown,
        Self::Pulling,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Stopped,
        Self::Inactive,
        Self::Scheduled,
        Self::BackOff,
        Self::Failed,
        Self::Finished,
        Self::Held,
        Self::Evicted,
        Self::Rejected,
        Self::Leaving,
    ];

    /// As people and scripts read it.
    pub fn state_name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pulling => "pulling",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Inactive => "inactive",
            Self::Scheduled => "scheduled",
            Self::BackOff => "back-off",
            Self::Failed => "failed",
            Self::Finished => "finished",
            Self::Held => "held",
            Self::Evicted => "evicted",
            Self::Rejected => "rejected",
            Self::Leaving => "leaving",
        }
    }
}

impl Serialize for WorkloadState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.state_name())
    }
}

/// A run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LastRun {
    /// The first exit code that isn't 0, or 0.
    pub code: i32,
    /// Since it ended.
    pub ended: Option<u64>,
    /// How long it took.
    pub ran: Option<u64>,
}

/// A profile as a workload lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedProfileReport {
    /// Its name.
    pub name: String,
    /// One of the listed conditions is true.
    pub holds: bool,
    /// The listed ones.
    pub conditions: Vec<ListedConditionReport>,
}

/// A condition as a workload lists it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedConditionReport {
    /// Its name.
    pub name: String,
    /// The device defines it.
    pub is_defined: bool,
    /// Now.
    pub holds: bool,
    /// Why it does or doesn't, with the present values.
    pub why: String,
    /// It asks for something that is posted.
    #[serde(skip)]
    pub is_posted: bool,
    /// The CPU time that it gives, in µs per 100,000 µs.
    pub cpu: Option<u64>,
}

/// A profile of the device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// In the order of their definition.
    pub conditions: Vec<Condition>,
}

/// A condition of a profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition {
    /// Its name.
    pub name: String,
    /// As it was understood; empty where it wasn't.
    pub expression: String,
    /// How long that has to be true, in seconds.
    pub hold: Option<u64>,
    /// What ends it, where that isn't that the expression is false.
    pub until: Option<String>,
    /// Until it becomes true, if nothing changes.
    pub next: Option<u64>,
    /// Now.
    pub holds: bool,
    /// Why, with the present values.
    pub why: String,
    /// What it compares.
    pub tests: Vec<Comparison>,
}

/// A comparison of a condition, for programs that draw thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Its name.
    pub metric: String,
    /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
    pub operator: &'static str,
    /// `None`: nil.
    pub value: Option<f64>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// `None`: nil.
    pub value: Option<f64>,
    /// Since it was posted.
    pub age: Option<u64>,
}
