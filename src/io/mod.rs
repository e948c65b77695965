//! **Acts.** Everything that touches files, sockets, processes and signals. Each part turns what it sees
//! into [`Event`](crate::agent::Event)s and knows nothing about decisions.

mod beneath;
pub mod clock;
pub mod control;
mod crypto;
pub mod desk;
pub mod exits;
pub(crate) mod files;
pub mod hardware;
pub mod identity;
pub mod journal;
pub mod keeper;
pub mod kubernetes;
mod listener;
pub mod lock_file;
pub mod logger;
pub mod manifests;
pub mod metrics;
pub mod notify;
pub mod podman;
pub mod pressure;
pub mod server;
pub mod signals;
pub mod state;
pub mod unix;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// A thread of the agent: named, and with a stack that a small device can spare. None of them recurses deeply;
/// what may (parsing) runs on the main thread or says so.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    const STACK: usize = 128 * 1024;
    std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).map(drop)
}

/// Since boot, suspended time included: for the waits on processes and clients.
pub(crate) fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The value behind a mutex, also after a thread that held it panicked, which ends the process anyway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
