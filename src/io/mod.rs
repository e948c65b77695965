//! **Acts.** Everything that touches files, sockets, processes and signals. Each part turns what it sees
//! into [`Event`](crate::agent::Event)s and knows nothing about decisions.

pub mod exits;
pub mod hardware;
pub mod identity;
pub mod keeper;
pub mod manifests;
pub mod metrics;
pub mod notify;
pub mod podman;
pub mod server;
pub mod signals;
pub mod state;
pub mod unix;

/// A thread of the agent: named, and with a stack that a small device can spare. None of them recurses deeply;
/// what may (parsing) runs on the main thread or says so.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    const STACK: usize = 128 * 1024;
    std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(body).map(drop)
}
