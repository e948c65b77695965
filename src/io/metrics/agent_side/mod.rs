//! The agent's part of the metrics endpoint.

mod endpoint;
mod handover;
mod listen_sockets;
mod process;
mod report_server;
pub(super) mod store;

pub use self::{
    endpoint::{EndpointConfig, start},
    handover::Handover,
    process::{SUBCOMMAND, receivers_to_inherit},
};
