//! **Acts.** Everything that touches files, sockets, processes and signals. Each part turns what it sees
//! into [`Event`](crate::agent::Event)s and knows nothing about decisions.

pub mod exits;
pub mod manifests;
pub mod metrics;
pub mod notify;
pub mod podman;
pub mod signals;
pub mod state;
pub mod unix;
