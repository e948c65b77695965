//! Which workloads are to be advanced: those that something happened to, and those whose time has come.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, binary_heap::PeekMut},
    sync::Arc,
    time::Duration,
};

use super::model::time::Wake;

/// By the workload's name.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// Something happened to them; perhaps more than once. It keeps its memory.
    due: BinaryHeap<Reverse<Arc<str>>>,
    deadlines: BTreeSet<(Duration, Arc<str>)>,
    deadline_of: HashMap<Arc<str>, Duration>,
}

impl Agenda {
    /// Something happened to this workload.
    pub(super) fn add(&mut self, name: Arc<str>) {
        self.due.push(Reverse(name));
    }

    /// Something happened to all of these.
    pub(super) fn add_all(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.due.extend(names.into_iter().map(Reverse));
    }

    /// Adds those whose time has come. Answers whether any is to be advanced.
    pub(super) fn enqueue_due(&mut self, now: Duration) -> bool {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now
            && let Some((_, name)) = self.deadlines.pop_first()
        {
            self.deadline_of.remove(&name);
            self.due.push(Reverse(name));
        }
        !self.due.is_empty()
    }

    /// The next to be advanced.
    pub(super) fn next(&mut self) -> Option<Arc<str>> {
        let Reverse(name) = self.due.pop()?;
        while let Some(again) = self.due.peek_mut().filter(|again| again.0 == name) {
            PeekMut::pop(again);
        }
        Some(name)
    }

    /// This workload was advanced, and wants to be again at this time.
    pub(super) fn reschedule(&mut self, name: Arc<str>, wake: Wake) {
        if let Some(at) = self.deadline_of.remove(&name) {
            self.deadlines.remove(&(at, name.clone()));
        }
        if let Wake::At(at) = wake {
            self.deadlines.insert((at, name.clone()));
            self.deadline_of.insert(name, at);
        }
    }

    /// When the first wants to be advanced again.
    pub(super) fn next_wake(&self) -> Wake {
        self.deadlines.first().map_or(Wake::Never, |(at, _)| Wake::At(*at))
    }
}
