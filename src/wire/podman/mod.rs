//! podman's API: what it is given, and what it answers.

pub mod answers;
pub(in crate::wire) mod asked;
pub mod hooks;
pub mod host_ports;
pub mod libpod;
pub mod limits;
pub mod names;
pub mod registry;
pub mod session;
