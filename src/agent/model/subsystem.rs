//! Parts of the agent that what is around it can keep from their work: a disk, a port, a limit.

use super::{notice::Reason, workload::Engine};

/// What can fail on its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subsystem {
    /// Writes down what is to be kept over a restart.
    Storage(Storage),
    /// Keeps others from the state directory.
    Lock,
    /// Takes posts at this address.
    Listener(String),
    /// The process that reads posts.
    Receiver,
    /// Keeps the values that were posted.
    Metrics,
    /// Answers commands.
    Commands,
    /// Notices that pods of this engine are refused processes.
    Forks(Engine),
    /// Notices that hardware comes or goes which conditions ask for.
    Hardware,
}

impl Subsystem {
    /// What follows when it can't do its work.
    pub fn failure_message(&self) -> String {
        match self {
            Self::Storage(Storage::State) => "nothing is kept over a restart".into(),
            Self::Storage(Storage::Manifests) => "what manifests say now isn't kept over a restart".into(),
            Self::Storage(Storage::Identity) => "the new certificate ends with the agent".into(),
            Self::Storage(Storage::History) => "what 'history' tells ends with the agent".into(),
            Self::Storage(Storage::Unheard) => "what the server has not heard ends with the agent".into(),
            Self::Lock => "another agent could take the same state directory".into(),
            Self::Listener(address) => format!("posts to '{address}' don't reach the agent"),
            Self::Receiver => "no posts are taken".into(),
            Self::Metrics => "posts are refused, as they can't be kept".into(),
            Self::Commands => "commands like 'status' don't work".into(),
            Self::Forks(engine) => {
                format!("a process limit that pods of {engine} meet is noticed a minute later")
            }
            Self::Hardware => "hardware that comes or goes is noticed a minute later".into(),
        }
    }

    /// That it works again, if that has to be told.
    pub(in crate::agent) fn recovery_message(&self) -> Option<String> {
        Some(match self {
            Self::Storage(Storage::State) => "the state directory can be written again".into(),
            Self::Storage(Storage::Manifests) => "what manifests say is kept".into(),
            Self::Storage(Storage::Identity) => "the new certificate is kept now".into(),
            // that it is over is seen by the next event that is kept
            Self::Storage(Storage::Unheard | Storage::History) => return None,
            Self::Lock => "the state directory is this agent's alone again".into(),
            Self::Listener(address) => format!("posts to '{address}' reach the agent"),
            Self::Receiver => "posts are taken again".into(),
            Self::Metrics => "posts are kept again".into(),
            Self::Commands => "commands work again".into(),
            Self::Forks(engine) => format!("process limits of {engine} are watched again"),
            Self::Hardware => "hardware that comes or goes is noticed at once again".into(),
        })
    }

    pub(in crate::agent) fn failure_and_recovery_reasons(&self) -> (Reason, Reason) {
        match self {
            Self::Storage(_) => (Reason::StateNotKept, Reason::StateKept),
            _ => (Reason::Failed, Reason::Recovered),
        }
    }
}

/// What is to be kept over a restart: the parts that can fail on their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Storage {
    /// What actions ask for.
    State,
    /// What manifests said last.
    Manifests,
    /// The device's key and certificate.
    Identity,
    /// What the server has not heard.
    Unheard,
    /// What was told of late.
    History,
}
