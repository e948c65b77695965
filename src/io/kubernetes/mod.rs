//! Carries out orders on a Kubernetes cluster, over its API server.
//!
//! ```text
//! Order ─► a few threads ─► tasks ─┐                        ┌─ access ◄─ kubeconfig, service account
//!              lists start it ▼    ├─► client ─► ureq ─ tls ─┴─► API server
//! Event::Watched ◄────────── watch ┘
//! ```
//!
//! No order takes longer than a few requests do, so a few threads do for all: what has to wait for pods is told by
//! the watch.

mod access;
mod client;
mod tasks;
mod watch;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

pub use self::access::place;
use self::{client::Client, watch::Watch};
use super::{identity::Clock, lock};
use crate::{
    agent::{
        Event,
        order::{Failure, Order, Outcome},
        workload::Engine,
    },
    wire::manifest,
};

/// Orders that are carried out at once.
const WORKERS: usize = 4;

/// Which cluster, and as whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to get there.
    pub place: Place,
    /// Whose Deployments are ours: [`owner`](crate::wire::pod::owner).
    pub owner: String,
    /// Told to every container.
    pub device_id: String,
    /// What certificates are judged by.
    pub state: super::state::Store,
}

/// Who says how to get to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A kubeconfig.
    File(PathBuf),
    /// The agent runs in a pod of the cluster, whose API server has this URL.
    Inside(String),
}

/// The cluster.
pub struct Kubernetes {
    orders: Sender<Order>,
}

struct Shared {
    place: Place,
    owner: String,
    device_id: String,
    clock: Arc<Clock>,
    /// Made when first needed, and again when it wasn't accepted: files change.
    client: Mutex<Option<Arc<Client>>>,
    watch: Watch,
    events: Sender<Event>,
}

impl Kubernetes {
    /// Gets ready; the cluster itself is not asked for anything.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(config: Config, events: Sender<Event>) -> io::Result<Self> {
        let Config { place, owner, device_id, state } = config;
        let shared = Arc::new(Shared {
            place,
            owner,
            device_id,
            clock: Arc::new(Clock::load(state)),
            client: Mutex::default(),
            watch: Watch::default(),
            events,
        });
        let (orders, inbox) = unbounded(); // the agent bounds it: one order a workload
        for _ in 0..WORKERS {
            let (shared, inbox) = (Arc::clone(&shared), Receiver::clone(&inbox));
            // a kubeconfig is YAML, and a specification as deep as a manifest may be
            let thread = thread::Builder::new().name("kubernetes".into()).stack_size(manifest::STACK);
            thread.spawn(move || inbox.iter().for_each(|order| shared.work(&order)))?;
        }
        let thread = thread::Builder::new().name("kube-watch".into()).stack_size(manifest::STACK);
        thread.spawn(move || shared.follow())?;
        Ok(Self { orders })
    }

    /// Takes the order, and never blocks. Its outcome comes as an [`Event::Done`].
    pub fn submit(&self, order: Order) -> Option<Outcome> {
        let Order { engine, ticket, .. } = self.orders.send(order).err()?.0;
        let failure = Failure::Engine("its threads have ended".to_owned());
        Some(Outcome { engine, ticket, result: Err(failure) })
    }
}

impl Shared {
    fn work(&self, order: &Order) {
        let result = self.carry_out(&order.task);
        let outcome = Outcome { engine: Engine::Kubernetes, ticket: order.ticket, result };
        let _ = self.events.send(Event::Done(outcome)); // nobody listens: the agent ends
    }

    fn client(&self) -> Result<Arc<Client>, String> {
        let mut client = lock(&self.client);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let new = Arc::new(Client::new(access::read(&self.place)?, self.clock.clone())?);
        *client = Some(new.clone());
        Ok(new)
    }

    /// The credentials weren't accepted: perhaps others stand in their place by now.
    fn forget(&self) {
        *lock(&self.client) = None;
    }
}
