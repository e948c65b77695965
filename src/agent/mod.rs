//! **Decides.** Events and the time come in, actions and the next deadline come out: no I/O, clock, thread or
//! randomness here, so that every rule can be tested in microseconds.
//!
//! Four floors, and imports go down only: [`model`] is the vocabulary; the rules stand on it, one file each;
//! `control_plane` talks to the edge API; [`view`] says how everything is. `core` is the [`Agent`] on top.
//!
//! | rule | where |
//! |---|---|
//! | what an expression means | [`expression`] |
//! | which conditions hold, given the metrics | `conditions` |
//! | which workloads list which conditions; that all profiles of one must hold, by one condition each; that one which the device doesn't define never holds; the lowest limit | `listings` |
//! | what a workload is, and its id | [`model::workload`] |
//! | how long to wait after a failure, when a cron slot comes | [`model::schedule`] |
//! | whether the run of a cron slot is due | `cron_runs` |
//! | a wall clock that is wrong, or was set | `clock` |
//! | how a run ended | [`model::run`] |
//! | what a pod's containers mean together: it runs, has finished, is broken | `restart_policy` |
//! | when it is started again in its pod | `containers` |
//! | where a workload's pod can be | [`model::phase`] |
//! | from what is wanted to what is there: pull, stop the old, start the new | `reconcile` |
//! | that a pod which runs already is adopted, and one of no workload goes | `reconcile::outcomes`, `reconcile::listed` |
//! | `activeDeadlineSeconds` | `reconcile::deadline` |
//! | which workloads are to be advanced, and when | `agenda` |
//! | pods that have to go | `terminating` |
//! | conditions that change too often | `flapping` |
//! | how much CPU time a pod may have | `limit` |
//! | whether an update has come up, and the return to what last proved itself | `update` |
//! | pods that want the same of the host | `rivals` |
//! | images that nothing needs any more | `images` |
//! | whether containers are well | `probes` |
//! | workloads that are Deployments on a Kubernetes cluster | `deployments` |
//! | engines that don't answer, and the full look | `engines` |
//! | which workload goes when memory or disk runs short, and which keeps the processor busy | `eviction` |
//! | several sources made one | `sources` |
//! | what a broken file or a broken answer of the server leaves as it was | [`io::manifests`](crate::io::manifests), `wire::edge_api` |
//! | what a manifest means, and what of it is refused | [`wire::manifest`](crate::wire::manifest) |
//! | which calls are made to the edge API, and when | `control_plane::link` |
//! | what its answers lead to | `control_plane::conversation` |
//! | what a heartbeat says | `control_plane::heartbeat` |
//! | what people are told who ask: states, causes, remedies | [`view`], in the types of [`model::report`] |
//! | parts of the agent that can't do their work | `hindered` |
//! | what people may ask for | [`model::question`] |
//! | what is kept over a restart | [`model::record`]; of manifests [`io::manifests`](crate::io::manifests) |
//! | text of others made fit to be shown | [`legible`], `foreign` |
//! | values of `Secret`s that must not be shown | [`redact`] |

mod agenda;
mod clock;
mod conditions;
mod containers;
mod context;
mod control_plane;
mod core;
mod cron_runs;
mod deployments;
mod engines;
mod eviction;
pub mod expression;
mod flapping;
mod foreign;
mod hindered;
mod images;
pub mod legible;
mod limit;
mod listings;
pub mod model;
pub mod mounts;
mod probes;
mod reconcile;
pub mod redact;
mod restart_policy;
mod rivals;
mod sources;
mod terminating;
#[cfg(test)]
pub(crate) mod tests;
mod update;
pub mod view;

pub use self::core::Agent;
pub use model::event::{Action, Event, Sample, Setup};
