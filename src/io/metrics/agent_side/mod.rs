//! The agent's part of the metrics endpoint.

mod endpoint;
mod handover;
mod listen_sockets;
mod receiver_process;
mod report_server;
pub(super) mod store;

pub use self::{
    endpoint::{EndpointConfig, start},
    handover::Handover,
    receiver_process::{SUBCOMMAND, inherited_receivers_env},
};
