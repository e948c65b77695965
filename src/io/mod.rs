//! **Acts.** Everything that touches files, sockets, processes and signals. Each part turns what it sees
//! into [`Event`](crate::agent::Event)s and decides nothing about workloads; only `manifests` decides something: what a file
//! that can't be read still says.

mod cached_configuration;
pub(crate) mod clock;
pub mod clock_changes;
pub mod command_socket;
mod confined_dir;
pub mod edge_api;
pub mod exits;
pub(crate) mod files;
pub mod hardware;
pub mod hardware_presence;
pub(crate) mod holder;
mod http;
pub mod identity;
pub mod journal;
pub mod kubernetes;
mod listener;
pub mod lock_file;
pub mod logger;
pub mod manifests;
pub mod metrics;
pub mod notify;
pub mod outputs;
pub mod persistence;
pub mod podman;
pub mod pressure;
mod processors;
pub mod query;
pub mod recorder;
pub mod signals;
pub mod state;
#[cfg(test)]
mod test_tree;
mod thread;
pub mod tls;
pub mod unix;
pub mod update_lock;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use self::{
    clock::since_boot,
    thread::{spawn, spawn_with_stack},
};

/// The value behind a mutex, also after a thread that held it panicked, which ends the process anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
