//! A cluster: what is applied there and what it says of it, and how to reach it.

mod deployment;
pub mod kubeconfig;

pub use deployment::{Companion, companions, deployment, former, is_alone, is_ours, list, read, version};
