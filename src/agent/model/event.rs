//! What comes in and what goes out: events, actions, and what the agent is told when it starts.

use super::{
    call::{Answer, Call, CallFailure, CallKind, PersistedLinkState},
    deployment::{DeploymentOrder, DeploymentOutcome, DeploymentWatchEvent},
    fallback::Fallbacks,
    history::History,
    hysteresis::HysteresisState,
    image::PulledImages,
    notice::{Notice, Problem},
    order::{Order, Outcome},
    pressure::Pressure,
    question::{Asker, Question, Reply},
    record::{BuiltInMetrics, Record},
    run::FinishedRuns,
    schedule::{LocalTimeFn, NextSlotFn},
    stop::ManualStops,
    subsystem::{Storage, Subsystem},
    waiting::WaitingContents,
    workload::{DesiredState, Engine, WorkloadId},
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The most names of metrics that are kept; of the agent's, those that no condition mentions.
pub const MAX_METRIC_NAMES: usize = 4096;

/// A metric's newest value, as it was posted on the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// A name that an expression can mention.
    pub name: String,
    /// Finite; `None` unsets the metric.
    pub value: Option<f64>,
}

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Metrics were posted, oldest first.
    Metrics(Vec<Sample>),
    /// The manifests were read anew, and what they ask for has changed.
    Desired(DesiredState),
    /// A source or a worker has something to say.
    Notice(Notice),
    /// All that is wrong with the manifests now; each was told by a notice.
    Problems(Vec<Problem>),
    /// A person or a program on the device asks something.
    Asked(Asker, Question),
    /// A process of this pod ended.
    Exited(Engine, WorkloadId),
    /// A container of this pod wanted more processes than it may have; as many as that, where it is known.
    Refused(Engine, WorkloadId, Option<u64>),
    /// A podman's socket is there, or isn't any more.
    Socket(Engine, bool),
    /// A Deployment has changed.
    Watched(DeploymentWatchEvent),
    /// An order to a podman was carried out, or not.
    Done(Outcome),
    /// An order to the cluster was carried out, or not.
    Deployed(DeploymentOutcome),
    /// A call to the edge API was answered, or not.
    Answered(CallKind, Result<Answer, CallFailure>),
    /// Memory or disk runs short, or the processor is busy; or not any more.
    Pressure(Pressure),
    /// What was to be kept over a restart was written, or could not be.
    Stored(Storage, Result<(), String>),
    /// The wall clock was set, or the time zone may have changed.
    Clock,
    /// A server that is trusted vouches for a time that is later than what was known: before that the wall clock is wrong.
    NotBefore(SystemTime),
    /// By the names that conditions have for it: whether the device has this hardware, 1 or 0.
    Hardware(BuiltInMetrics),
    /// A program holds updates back by their lock, or none does.
    UpdateLock(bool),
    /// A part of the agent does its work, or can't: why.
    Works(Subsystem, Result<(), String>),
    /// Time passed.
    Tick,
    /// The process was asked to end; workloads stay.
    Terminate,
    /// The settings are to be read again.
    Reload,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// For a podman.
    Order(Order),
    /// For the cluster.
    Deploy(DeploymentOrder),
    /// For the edge API.
    Call(Call),
    /// For people.
    Tell(Notice),
    /// For the one who asked.
    Reply(Asker, Reply),
    /// To be kept over a restart.
    Keep(Record),
    /// To be told whether a program holds updates back; and if one does, when none does any more.
    AskUpdateLock,
    /// To be told which of this hardware the device has: now, and when it changes.
    LookAt(Vec<Arc<str>>),
}

/// What the agent is told once, when it starts.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The device's name, for people who ask.
    pub device_id: Arc<str>,
    /// The engines that are there; others are added when a workload wants them, or when they come.
    pub engines: Vec<Engine>,
    /// Between two full looks at an engine (`workloads_monitoring_interval`).
    pub interval: Duration,
    /// A metric older than this is unset.
    pub metrics_ttl: Option<Duration>,
    /// The unix sockets that posts are taken at.
    pub sockets: Vec<PathBuf>,
    /// The memory that a container is limited to that says nothing.
    pub default_memory: Option<u64>,
    /// What was last given to [`Record::Finished`].
    pub finished: FinishedRuns,
    /// What was last given to [`Record::Fallbacks`].
    pub fallbacks: Fallbacks,
    /// What was last given to [`Record::Updates`].
    pub updates: WaitingContents,
    /// There is a lock by which programs can hold updates back.
    pub update_lock: bool,
    /// What was last given to [`Record::Images`].
    pub images: PulledImages,
    /// What was last given to [`Record::Stops`].
    pub stops: ManualStops,
    /// What was last given to [`Record::BuiltInMetrics`].
    pub built_in_metrics: BuiltInMetrics,
    /// What was last given to [`Record::Hysteresis`].
    pub lasting: Vec<HysteresisState>,
    /// What was last given to [`Record::History`].
    pub history: History,
    /// Whether there is a directory of manifests: nothing goes as an orphan before it was read.
    pub manifests: bool,
    /// What an earlier process left behind of its conversation with the edge API; `None`: there is no server.
    pub server: Option<PersistedLinkState>,
    /// What the wall clock must show at least, as it was so late already: before that it is wrong.
    pub not_before: SystemTime,
    /// How the device's time zone reads a cron schedule.
    pub next_slot: NextSlotFn,
    /// What its clocks on the wall show.
    pub local: LocalTimeFn,
    /// Any number: what randomness is made of.
    pub seed: u64,
}
