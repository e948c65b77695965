//! A Deployment as a cluster tells it.

/// A Deployment as the cluster tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deployment {
    /// Where it is.
    pub namespace: String,
    /// The workload's name, too.
    pub name: String,
    /// Another one of the same name has another.
    pub uid: String,
    /// Of the content that was applied; empty before that was done to the end.
    pub hash: String,
    /// How many pods it is to have.
    pub replicas: u32,
    /// Grows with each change of what it is to be.
    pub generation: u64,
    /// Grows with each change of anything; 0 where it can't be told.
    pub version: u64,
    /// It is being removed.
    pub terminating: bool,
    /// How its pods are.
    pub rollout: Rollout,
    /// What was made for it, in the executor's words.
    pub beside: Vec<String>,
    /// Of that, some only for contents that it had earlier.
    pub has_former: bool,
}

/// How far a Deployment's pods are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rollout {
    /// On their way.
    #[default]
    Progressing,
    /// All there, all of them new, and ready.
    Available,
    /// They were, or the Deployment was scaled up.
    Unavailable(String),
    /// They don't come up, or can't be made.
    Failed(String),
}

/// What is seen between two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// It is like this now.
    Seen(Box<Deployment>),
    /// It is gone.
    Gone(Box<Deployment>),
    /// Changes may have been missed.
    Lost,
}
