//! Other people's formats. Raw serde structures become the agent's valid types here, and nothing else does:
//! an error names the field and, in a file, the line.

pub(crate) mod base64;
pub mod fallback;
pub mod frames;
pub mod hardware;
pub mod kubeconfig;
pub mod kubernetes;
pub mod manifest;
pub mod message;
pub mod openmetrics;
pub mod pod;
pub mod podman;
pub mod registry;
pub mod secrets;
pub mod session;
pub mod strict;
