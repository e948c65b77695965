//! What comes in and what goes out: events, actions, and what the agent is told when it starts.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    asked::{Asker, Question, Reply},
    call::{Answer, Call, CallFailure, CallKind, Remembered, Unheard},
    deployments::Watched,
    images::Pulled,
    notice::{Notice, Problem},
    order::{Order, Outcome},
    part::Part,
    run::Run,
    shed::Pressure,
    slots::NextSlot,
    update::Fallbacks,
    workload::{Desired, Engine, WorkloadId},
};

/// A metric's newest value, as somebody on the device posted it.
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
    Desired(Desired),
    /// A source or a worker has something to say.
    Notice(Notice),
    /// All that is wrong with the manifests now; each was told by a notice.
    Problems(Vec<Problem>),
    /// Somebody on the device wants to know something.
    Asked(Asker, Question),
    /// A process of this pod ended.
    Exited(Engine, WorkloadId),
    /// A container of this pod wanted more processes than it may have; as many as that, where it is known.
    Refused(Engine, WorkloadId, Option<u64>),
    /// A Deployment has changed.
    Watched(Watched),
    /// An order was carried out, or not.
    Done(Outcome),
    /// A call to the edge API was answered, or not.
    Answered(CallKind, Result<Answer, CallFailure>),
    /// Memory or disk runs short, or the processor is busy; or not any more.
    Pressure(Pressure),
    /// What was to be kept over a restart was written, or could not be.
    Stored(Kept, Result<(), String>),
    /// The wall clock was set, or the time zone may have changed.
    Clock,
    /// A part of the agent does its work, or can't: why.
    Works(Part, Result<(), String>),
    /// Time passed.
    Tick,
    /// The process was asked to end; workloads stay.
    Terminate,
    /// The settings shall be read again.
    Reload,
}

/// What is to be kept over a restart: the parts that can fail on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// What actions ask for.
    State,
    /// What manifests said last.
    Manifests,
    /// The device's key and certificate.
    Identity,
    /// What the server has not heard.
    Unheard,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// For an engine.
    Order(Order),
    /// For the edge API.
    Call(Call),
    /// For people.
    Tell(Notice),
    /// For whoever asked.
    Reply(Asker, Reply),
    /// To be kept over a reboot: the workloads that finished.
    Remember(Finished),
    /// To be kept over a reboot: what workloads return to whose updates don't come up.
    RememberFallbacks(Fallbacks),
    /// To be kept over a reboot: the images that the agent pulled.
    RememberImages(Pulled),
    /// To be kept over a reboot: the configuration that is applied now, as the server wrote it.
    StoreConfiguration(Arc<[u8]>),
    /// To be kept over a restart of the agent, best in memory: what the server has not heard.
    KeepUnheard(Unheard),
    /// The server unregistered this device. To be kept over a reboot ([`Remembered::disconnected`]); the device's
    /// identity, the stored configuration and what it has not heard are to be forgotten.
    Disconnect,
}

/// The workloads that finished and don't run again, or wait for their next slot.
pub type Finished = BTreeMap<WorkloadId, Run>;

/// What the agent is told once, when it starts.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The device's name, for people who ask.
    pub device_id: Arc<str>,
    /// The engines of this device, as far as is known; others are added when a workload wants them.
    pub engines: Vec<Engine>,
    /// Between two full looks at an engine (`workloads_monitoring_interval`).
    pub interval: Duration,
    /// A metric older than this is unset.
    pub metrics_ttl: Option<Duration>,
    /// The unix sockets that posts are taken at.
    pub sockets: Vec<PathBuf>,
    /// The memory that a container is limited to that says nothing.
    pub default_memory: Option<u64>,
    /// What was last given to [`Action::Remember`].
    pub finished: Finished,
    /// What was last given to [`Action::RememberFallbacks`].
    pub fallbacks: Fallbacks,
    /// What was last given to [`Action::RememberImages`].
    pub images: Pulled,
    /// Whether there is a directory of manifests: nothing goes as an orphan before it was read.
    pub manifests: bool,
    /// What an earlier process left behind of its conversation with the edge API; `None`: there is no server.
    pub server: Option<Remembered>,
    /// What the wall clock must show at least, as it was so late already: before that it is wrong.
    pub not_before: SystemTime,
    /// How the device's time zone reads a cron schedule.
    pub next_slot: NextSlot,
    /// Any number: what randomness is made of.
    pub seed: u64,
}
