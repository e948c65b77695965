//! One workload, from what is wanted to what is there: the edges between its [`Phase`]s.
//!
//! Pods that belong to earlier contents of the workload, or to no workload at all, are *leaving*: they stay
//! until their successor's images are here, and their successor starts when they are gone.

mod containers;
mod deadline;
mod listed;
mod outcomes;
mod probes;
mod restart;
mod state;
mod steps;
mod tracked;
mod wanted;

pub(super) use listed::take_in as listed;
pub(super) use tracked::{Ready, Tracked, Workloads, of};
