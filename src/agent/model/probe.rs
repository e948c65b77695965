//! How a container is asked whether it is well.

use std::{sync::Arc, time::Duration};

/// A question to a container, and when to ask it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The question.
    pub check: Check,
    /// Not before the container has run for this long.
    pub initial_delay: Duration,
    /// From one question to the next; at least a second.
    pub period: Duration,
    /// An answer that takes longer is a failure; at least a second.
    pub timeout: Duration,
    /// As many failures in a row make the container unhealthy; at least 1.
    pub failure_threshold: u32,
    /// As many good answers in a row make it ready again; at least 1, and 1 of all but readiness probes.
    pub success_threshold: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// A command in the container: well if it ends with exit code 0.
    Exec(Vec<String>),
    /// A GET request: well if the status is from 200 to 399.
    Http {
        /// Where to.
        host: ProbeHost,
        /// Where to.
        port: u16,
        /// With its query; begins with `/`.
        path: String,
        /// Beside the usual ones.
        headers: Vec<(String, String)>,
    },
    /// A gRPC server's own word for it: well if that is `SERVING`.
    Grpc {
        /// Where to.
        host: ProbeHost,
        /// Where to.
        port: u16,
        /// Of which of its services; empty: of the server as a whole.
        service: String,
    },
    /// Well if the port takes a connection.
    Tcp {
        /// Where to.
        host: ProbeHost,
        /// Where to.
        port: u16,
    },
}

/// Whom a [`Check`] over the network asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeHost {
    /// The pod's own address, which podman knows.
    Pod,
    /// As the device itself calls it.
    Named(String),
}

/// The probes of one container: one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// Its name in the specification.
    pub container: String,
    /// Comes first, until it goes well once.
    pub startup: Option<Arc<Probe>>,
    /// Comes then, for as long as the container runs.
    pub liveness: Option<Arc<Probe>>,
    /// Beside it: whether the container is ready for what others ask of it.
    pub readiness: Option<Arc<Probe>>,
}
