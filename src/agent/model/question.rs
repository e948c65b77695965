//! What a person or a program on the device asks the agent, and what it replies.

use super::report::Report;

/// Whom a reply is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker(pub u64);

/// A question, or a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How is everything?
    Report,
    /// A new pod for this workload, now: no back-off is waited for.
    Restart(String),
}

/// The reply to one [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Question::Report`].
    Report(Box<Report>),
    /// To [`Question::Restart`]: it is under way.
    Restarting,
    /// The same: it isn't known yet whether a new pod could start, and the present one stays until then.
    Checking,
    /// There is no such workload.
    Unknown,
    /// Why not.
    Refused(String),
}
