//! Which orders of a podman run at once. Each has a lane by its kind: up to a number of one kind run at once, and others of
//! that kind wait for their turn. So a stop never waits behind a pull or a start.

use std::collections::VecDeque;

use crate::agent::model::order::{Order, Task};

/// A kind of orders.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Looks,
    Pulls,
    Starts,
    Removals,
    Probes,
}

impl Lane {
    pub(super) const fn of(task: &Task) -> Self {
        match task {
            Task::List | Task::Look(_) | Task::Limit { .. } | Task::Usage(_) => Self::Looks,
            Task::Cancel(_) => Self::Looks, // done at once
            Task::Pull(_) | Task::Discard(_) => Self::Pulls,
            Task::Rehearse { .. } | Task::Start(..) | Task::Restart { .. } => Self::Starts,
            Task::Remove { .. } | Task::End { .. } => Self::Removals,
            Task::Probe { .. } => Self::Probes,
        }
    }

    /// How many orders of it run at once.
    const fn width(self) -> usize {
        match self {
            Self::Looks | Self::Starts => 32,
            Self::Pulls | Self::Probes => 8,
            Self::Removals => 256, // these take longest, and are the last that should have to queue
        }
    }
}

/// The orders of one lane.
#[derive(Default)]
struct Queue {
    running: usize,
    waiting: VecDeque<Order>,
}

/// The orders of all lanes.
#[derive(Default)]
pub(super) struct Lanes([Queue; 5]);

impl Lanes {
    /// Gives back the order if it may run now, and otherwise keeps it until it may.
    pub(super) fn enter(&mut self, lane: Lane, order: Order) -> Option<Order> {
        let queue = &mut self.0[lane as usize];
        if queue.running == lane.width() {
            queue.waiting.push_back(order);
            return None;
        }
        queue.running += 1;
        Some(order)
    }

    /// One has ended. Gives the order that may run in its place, if one waits.
    pub(super) fn next(&mut self, lane: Lane) -> Option<Order> {
        let queue = &mut self.0[lane as usize];
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.running -= 1;
        }
        next
    }

    /// One that was let in didn't begin.
    pub(super) fn leave(&mut self, lane: Lane) {
        self.0[lane as usize].running -= 1;
    }
}
