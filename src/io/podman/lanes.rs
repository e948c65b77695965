//! Which orders of a podman run at once. Each has a lane by its kind: up to a number of one kind run at once, and others of
//! that kind wait for their turn. So a stop never waits behind a pull or a start.

use std::collections::VecDeque;

use crate::agent::model::order::{Order, Task};

/// Orders of one kind.
pub(super) struct Lane {
    pub(super) places: usize,
    pub(super) waiting: VecDeque<Order>,
}

pub(super) type Lanes = [Lane; 5];

pub(super) const fn all() -> Lanes {
    const fn lane(places: usize) -> Lane {
        Lane { places, waiting: VecDeque::new() }
    }
    // looks, pulls, starts, removals: these wait longest, and are the last that should have to queue; probes
    [lane(32), lane(8), lane(32), lane(256), lane(8)]
}

pub(super) const fn of(task: &Task) -> usize {
    match task {
        Task::List | Task::Look(_) | Task::Limit { .. } | Task::Usage(_) => 0,
        Task::Cancel(_) => 0, // done at once
        Task::Pull(_) | Task::Discard(_) => 1,
        Task::Rehearse(_) | Task::Start(..) | Task::Restart { .. } => 2,
        Task::Remove { .. } | Task::End { .. } => 3,
        Task::Probe { .. } => 4,
    }
}
