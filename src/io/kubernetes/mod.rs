//! Carries out orders on a Kubernetes cluster, over its API server.
//!
//! ```text
//! Order ─► a few threads ─► tasks ─┐                            ┌─ access ◄─ kubeconfig, service account
//!              lists start it ▼    ├─► api_server ─► ureq ─ tls ─┴─► API server
//! Event::Watched ◄────────── watch ┘
//! ```
//!
//! No order takes longer than a few requests do, so a few threads do for all, and none is left when there is nothing to
//! do: what has to wait for pods is told by the watch.

mod access;
mod api_server;
mod cluster;
mod tasks;
mod watch;

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use crossbeam_channel::Sender;

pub use self::access::{ClusterConfigSource, find_config_source};
use self::cluster::Cluster;
use super::{lock, spawn_with_stack, state::Store, tls::TrustedClock};
use crate::{
    agent::{
        Event,
        model::{
            deployment::{DeploymentOrder, DeploymentOutcome},
            order::Failure,
        },
    },
    wire::manifest,
};

/// Which cluster, and as whom.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// How to get there.
    pub place: ClusterConfigSource,
    /// Whose Deployments are ours: [`owner`](crate::wire::ownership::owner).
    pub owner: String,
    /// Told to every container.
    pub device_id: String,
    /// What certificates are judged by.
    pub state: Store,
}

/// The cluster.
pub struct Kubernetes {
    shared: Arc<SharedCluster>,
}

struct SharedCluster {
    cluster: Cluster,
    queue: Mutex<Queue>,
    events: Sender<Event>,
}

#[derive(Default)]
struct Queue {
    /// The agent bounds them: one order a workload.
    waiting: VecDeque<DeploymentOrder>,
    threads: usize,
}

impl Kubernetes {
    /// Gets ready; the cluster itself is not asked for anything.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(config: ClusterConfig, events: Sender<Event>) -> io::Result<Self> {
        let ClusterConfig { place, owner, device_id, state } = config;
        let shared = Arc::new(SharedCluster {
            cluster: Cluster::new(place, owner, device_id, Arc::new(TrustedClock::load(state))),
            queue: Mutex::default(),
            events,
        });
        let watching = Arc::clone(&shared);
        spawn("kube-watch", move || watch::watch_deployments(&watching.cluster, &watching.events))?;
        Ok(Self { shared })
    }

    /// Takes the order, and never blocks. Its outcome comes as an [`Event::Deployed`].
    pub fn submit(&self, order: DeploymentOrder) -> Option<DeploymentOutcome> {
        {
            let mut queue = lock(&self.shared.queue);
            queue.waiting.push_back(order);
            if queue.threads == api_server::WORKERS {
                return None;
            }
            queue.threads += 1;
        }
        let shared = Arc::clone(&self.shared);
        let error = spawn("kubernetes", move || shared.run_worker()).err()?;
        let mut queue = lock(&self.shared.queue);
        queue.threads -= 1;
        if queue.threads > 0 {
            return None; // one of them will come to it
        }
        let DeploymentOrder { ticket, .. } = queue.waiting.pop_back()?;
        let failure = Failure::Engine(format!("failed to start a thread for Kubernetes: {error}"));
        Some(DeploymentOutcome { ticket, result: Err(failure) })
    }
}

/// With a stack for a kubeconfig, which is YAML, and for a specification as deep as a manifest may be.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_with_stack(name, manifest::READER_STACK_BYTES, work)
}

impl SharedCluster {
    /// Carries out orders until none waits.
    fn run_worker(&self) {
        loop {
            let mut queue = lock(&self.queue);
            let Some(order) = queue.waiting.pop_front() else {
                queue.threads -= 1;
                return;
            };
            drop(queue);
            let result = self.cluster.carry_out(&order.task);
            let outcome = DeploymentOutcome { ticket: order.ticket, result };
            let _ = self.events.send(Event::Deployed(outcome)); // an error: the agent ends
        }
    }
}
