//! **Decides.** Events and the time come in, actions and the next deadline come out: no I/O, clock, thread or
//! randomness here, so that every rule can be tested in microseconds.
//!
//! Imports go down only: [`model`] is the vocabulary; the rules stand on it; `control_plane` talks to the edge API;
//! [`view`] says how everything is; `decide` is the [`Agent`] on top.
//!
//! Which function decides which rule is in `docs/rules.md`.

mod agenda;
mod block_reason;
mod conditions;
mod containers;
mod context;
mod control_plane;
mod cron_runs;
mod decide;
mod dependencies;
mod dependency_cycles;
mod deployments;
mod engines;
mod eviction;
pub mod expression;
mod failed_subsystems;
mod flapping;
mod held_deployments;
mod history;
mod limit;
mod manual_stops;
pub mod model;
pub mod mounts;
mod port_conflicts;
mod probes;
mod profiles;
mod reconcile;
pub mod redact;
mod redact_events;
mod restart_policy;
pub mod sanitize;
mod sources;
mod terminating;
#[cfg(test)]
pub(crate) mod tests;
mod trial;
mod unused_images;
mod update_gate;
mod update_lock;
pub mod view;
mod waiting;
mod wishes;
pub mod wrong_clock;

pub use decide::Agent;
pub use engines::DEFAULT_LIST_INTERVAL;
pub use model::event::{Action, Event, Sample, Setup};
