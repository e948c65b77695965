//! What a person or a program on the device asks the agent, and what it replies.

use std::sync::Arc;

use super::{history::History, report::Report, workload::Workload};

/// Whom a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker(pub u64);

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// How is everything?
    Report,
    /// What has happened of late?
    History,
    /// Something is to be done with the workload of this name.
    Wish(String, Wish),
    /// The workload of this name is to return to what ran before; to this, if its present content has come up.
    RollBack(String, Option<Arc<Workload>>),
}

/// What can be done with a workload by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A new pod, now: no back-off is waited for.
    Restart,
    /// It is not to run.
    Stop {
        /// Another content of it may.
        until_changed: bool,
    },
    /// It may run again.
    Start,
    /// One more run of a workload with a cron schedule, now.
    Run,
    /// Its update, which waits, goes ahead.
    Update,
}

/// The reply to one [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Question::Report`].
    Report(Box<Report>),
    /// To [`Question::History`].
    History(Arc<History>),
    /// To [`Wish::Restart`]: it isn't known yet whether a new pod could start, and the present one stays until then.
    Checking,
    /// To a wish: what was done, in a sentence. Who asked hears of it when what is to be kept of it is kept.
    Done(String),
    /// The same; but what is to be kept of it could not be.
    NotKept(String),
    /// There is no such workload.
    Unknown,
    /// Why not.
    Refused(String),
}
