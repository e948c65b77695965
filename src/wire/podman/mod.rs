//! podman's API: what it is given, and what it answers.

pub mod answers;
pub mod libpod;
pub mod pod;
pub mod registry;
pub mod session;
