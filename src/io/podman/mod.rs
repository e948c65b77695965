//! Carries out orders on one podman, over its API socket.
//!
//! Each order has a short-lived thread of its own, so that no slow pull, start or stop holds up another order.
//! What is asked of podman in which sequence is in `tasks`, pulls are in `images`, probes in `probes`, what pods use
//! in `usage`, which orders run at once in `lanes`, forks that are refused in `forks`, the files of `ConfigMap`s and `Secret`s in `volumes`, paths of the host in
//! `paths`, requests in `api`. `reading` is of the commands, which run in a process of their own.

mod api;
mod cgroup;
mod config;
mod event_stream;
mod fork_limits;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod images;
mod lanes;
mod paths;
mod probes;
mod reading;
pub(crate) mod tar;
mod tasks;
mod usage;
mod volumes;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use crossbeam_channel::Sender;

pub use self::{
    config::PodmanConfig,
    reading::PodmanReader,
    usage::{Usage, usage},
};
use self::{
    lanes::{Lane, Lanes},
    tasks::{TaskOutcome, TaskRunner},
};
use super::{lock, spawn_with_stack};
use crate::agent::{
    Event,
    model::{
        order::{Failure, Order, Outcome, Task},
        workload::{Engine, WorkloadId},
    },
};

/// For one order: what a specification takes that is nested as deeply as a manifest may be, in a debug build.
/// Pages that are never touched cost nothing.
const STACK: usize = 256 * 1024;

/// One podman.
pub struct Podman {
    shared: Arc<SharedPodman>,
}

struct SharedPodman {
    engine: Engine,
    events: Sender<Event>,
    tasks: TaskRunner,
    lanes: Mutex<Lanes>,
}

/// The pod that this starts, or of which it starts a container: that can be cut short.
fn pod_started_by(task: &Task) -> Option<&WorkloadId> {
    match task {
        Task::Start(workload, _) => Some(&workload.id),
        Task::Restart { id, .. } => Some(id),
        _ => None,
    }
}

impl Podman {
    /// Gets ready; podman itself is not asked for anything. Errors if there is no thread to be had.
    pub fn start(config: PodmanConfig, events: Sender<Event>) -> io::Result<Self> {
        let engine = config.engine;
        let tasks = TaskRunner::start(config, events.clone())?;
        let lanes = Mutex::default();
        Ok(Self { shared: Arc::new(SharedPodman { engine, events, tasks, lanes }) })
    }

    /// Takes the order, and never blocks. Its outcome comes as an [`Event::Done`]; or at once, from here, if it needs
    /// no thread to be carried out, or none can be started.
    #[must_use = "an outcome that comes from here comes from nowhere else"]
    pub fn submit(&self, order: Order) -> Option<Outcome> {
        let (engine, ticket) = (order.engine, order.ticket);
        if let Task::Cancel(_) = &order.task {
            let result = self.shared.tasks.carry_out(&order.task).result;
            return Some(Outcome { engine, ticket, result });
        }
        let start = pod_started_by(&order.task).cloned();
        start.iter().for_each(|id| self.shared.tasks.register_start(id));
        let lane = Lane::of(&order.task);
        let order = self.shared.lanes().enter(lane, order)?;
        let shared = Arc::clone(&self.shared);
        let error = spawn_with_stack("podman", STACK, move || shared.run_lane(lane, order)).err()?;
        self.shared.lanes().leave(lane);
        start.iter().for_each(|id| self.shared.tasks.unregister_start(id));
        let failure = Failure::Engine(format!("failed to start a thread for podman: {error}"));
        Some(Outcome { engine, ticket, result: Err(failure) })
    }
}

impl SharedPodman {
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    /// Carries out an order, and then what waited for this one's place.
    fn run_lane(&self, lane: Lane, mut order: Order) {
        loop {
            self.carry_out(&order);
            let Some(next) = self.lanes().next(lane) else { return };
            order = next;
        }
    }

    fn carry_out(&self, order: &Order) {
        let TaskOutcome { result, running } = self.tasks.carry_out(&order.task);
        pod_started_by(&order.task).into_iter().for_each(|id| self.tasks.unregister_start(id));
        let outcome = Outcome { engine: self.engine, ticket: order.ticket, result };
        // held until the outcome is told, so that no exit overtakes it
        let pod = running.as_ref().map(|(pod, _)| pod.clone());
        let quiet = running.map(|(pod, processes)| self.tasks.exits().watch(&pod, processes));
        let _ = self.events.send(Event::Done(outcome)); // an error: the agent ends
        drop(quiet);
        if let Some(pod) = pod {
            self.tasks.watch_forks(&pod);
        }
        if order.task == Task::List {
            self.tasks.find_storage();
        }
    }
}
