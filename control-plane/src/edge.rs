//! Everything that the connections and the commands share.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64},
    time::Duration,
};

use anyhow::Result;
use tokio::sync::{Notify, watch};
use tokio_rustls::rustls::ServerConfig;

use crate::{
    authority::{Authority, Flaw},
    faults::Faults,
    journal::Journal,
    limits::Limits,
    metrics::Metrics,
    tls,
};

/// How old the server's own certificate becomes; it is valid for a year.
const RENEWAL: Duration = Duration::from_secs(30 * 86_400);

/// What becomes of new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// Nothing listens.
    Refusing,
    /// They are accepted, and nothing is said.
    Silent,
}

/// The whole of it, over what keeps the devices.
pub(crate) struct Edge<S> {
    pub(crate) store: S,
    pub(crate) authority: Authority,
    pub(crate) journal: Arc<Journal>,
    /// Each message ends the connections there are.
    pub(crate) door: watch::Sender<Door>,
    /// Ends each stall.
    pub(crate) cleared: Notify,
    /// By which devices reach it, beside the usual ones.
    pub(crate) names: Vec<String>,
    /// How long new certificates are valid.
    pub(crate) certificate_seconds: AtomicI64,
    /// Whether it may be told to.
    pub(crate) may_misbehave: bool,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    /// Becomes true when no new connection is taken, and those there are end after their request.
    pub(crate) drains: watch::Sender<bool>,
    state: Mutex<State>,
}

/// What it is told at its start.
pub(crate) struct Options {
    /// By which devices reach it, beside the usual ones.
    pub(crate) names: Vec<String>,
    /// How long new certificates are valid.
    pub(crate) certificate_seconds: i64,
    /// Whether it may be told to misbehave.
    pub(crate) may_misbehave: bool,
    /// How many devices may be connected at once.
    pub(crate) connections: usize,
}

/// What changes while it runs.
pub(crate) struct State {
    pub(crate) faults: Faults,
    pub(crate) flaw: Flaw,
    pub(crate) tls: Arc<ServerConfig>,
}

impl<S> Edge<S> {
    pub(crate) fn new(
        store: S,
        authority: Authority,
        journal: Arc<Journal>,
        metrics: Arc<Metrics>,
        options: Options,
    ) -> Result<Self> {
        let Options { names, certificate_seconds, may_misbehave, connections } = options;
        let tls = tls::configuration(&authority, &names, Flaw::None)?;
        Ok(Self {
            store,
            authority,
            journal,
            door: watch::Sender::new(Door::Open),
            cleared: Notify::new(),
            names,
            certificate_seconds: AtomicI64::new(certificate_seconds),
            may_misbehave,
            limits: Limits::new(connections),
            metrics,
            drains: watch::Sender::new(false),
            state: Mutex::new(State { faults: Faults::default(), flaw: Flaw::None, tls }),
        })
    }

    /// Gives the server itself a fresh certificate long before the last one ends, for ever.
    pub(crate) async fn renew(&self) -> Result<()> {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let tls = tls::configuration(&self.authority, &self.names, Flaw::None)?;
            self.state().tls = tls;
        }
    }

    /// Never across an `await`.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
