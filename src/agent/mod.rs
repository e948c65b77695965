//! **Decides.** Events and the time come in, actions and the next deadline come out: no I/O, clock, thread or
//! randomness here, so that every rule can be tested in microseconds.

pub mod expression;
pub mod notice;
pub mod order;
pub mod profile;
pub mod schedule;
pub mod time;
pub mod workload;

use notice::Notice;
use order::{Order, Outcome};
use workload::{Desired, Engine, WorkloadId};

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
    /// A process of this pod ended.
    Exited(Engine, WorkloadId),
    /// An order was carried out, or not.
    Done(Outcome),
    /// Time passed, or an outside request to look again.
    Tick,
    /// The process was asked to end; workloads stay.
    Terminate,
    /// The settings shall be read again.
    Reload,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// For an engine.
    Order(Order),
    /// For people.
    Tell(Notice),
}
