//! podman's API: what it is given, and what it answers.

pub mod answers;
pub mod hooks;
pub mod host_ports;
pub mod libpod;
pub mod limits;
pub mod names;
pub(in crate::wire) mod probe_checks;
pub mod registry;
pub mod session;
