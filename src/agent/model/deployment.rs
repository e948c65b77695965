//! What the agent asks of a Kubernetes cluster, and what it hears back: Deployments.

use std::sync::Arc;

use super::{
    order::{Failure, Ticket},
    workload::Workload,
};

/// One order to the cluster. It is answered by exactly one [`DeploymentOutcome`], within a time limit.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentOrder {
    /// Comes back with the outcome.
    pub ticket: Ticket,
    /// What to do.
    pub task: DeploymentTask,
}

/// What a cluster can do.
#[derive(Debug, Clone, PartialEq)]
pub enum DeploymentTask {
    /// Tell all Deployments of this owner, and all changes to them from then on: [`DeploymentFact::Listed`].
    List,
    /// Make the workload's Deployment what it is to be: [`DeploymentFact::Applied`].
    Apply {
        /// What its pods are.
        workload: Arc<Workload>,
        /// How many.
        replicas: u32,
        /// Its dependents: [`Deployment::dependents`].
        dependents: Vec<String>,
        /// It has come up with this content: what only earlier ones needed goes.
        settled: bool,
    },
    /// Remove this very Deployment, after its pods: [`DeploymentFact::Gone`] once that has begun, or if there was none.
    Delete(Box<Deployment>),
}

/// The answer to one [`DeploymentOrder`].
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentOutcome {
    /// Which order this answers.
    pub ticket: Ticket,
    /// What is true now, or why it could not be done.
    pub result: Result<DeploymentFact, Failure>,
}

/// What is true after an order to the cluster was carried out.
#[derive(Debug, Clone, PartialEq)]
pub enum DeploymentFact {
    /// All Deployments of this owner.
    Listed(Vec<Deployment>),
    /// The Deployment as it is now.
    Applied(Box<Deployment>),
    /// Its removal has begun, or there is no such Deployment.
    Gone,
}

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
    /// The objects that were made for it, in the executor's words.
    pub dependents: Vec<String>,
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
pub enum DeploymentWatchEvent {
    /// It is like this now.
    Seen(Box<Deployment>),
    /// It is gone.
    Gone(Box<Deployment>),
    /// Changes may have been missed.
    Lost,
}
