//! One workload, from what is wanted to what is there: the edges between its [`Phase`]s.
//!
//! Pods that belong to earlier contents of the workload, or to no workload at all, are *terminating*: they stay
//! until their successor's images are here, and their successor starts when they are gone.
//!
//! | file | for |
//! |---|---|
//! | `wanted` | another content is wanted, or the same again |
//! | `steps` | what it does next: the orders it gives, and when it wants to be asked again |
//! | `outcomes` | what comes of an order; a pod that runs already is adopted there |
//! | `listed` | what lists of an engine, and ends of processes, tell of its pods |
//! | `containers`, `probes`, `deadline` | containers that are started again in their pod; that aren't well; that have had their time |
//! | `switch`, `waiting_update` | another content waits until an update is allowed |
//! | `restart`, `run` | what a person asks for: a new pod, a run now |
//! | `state` | how it is, in a word |
//! | `tracked` | all that is known of one name |

mod containers;
mod deadline;
mod listed;
mod outcomes;
mod probes;
mod restart;
mod run;
mod state;
mod steps;
mod switch;
mod tracked;
mod waiting_update;
mod wanted;

pub(super) use listed::on_pods_listed;
pub(super) use tracked::{Prepared, TrackedWorkload, Workloads, find_by_id};
