//! The edge API as a device sees it: real processes, real TLS.
//!
//! - `attacks`   who means harm
//! - `statuses`  who may call what, and what comes back
//! - `content`   from manifests to configurations
//! - `kubernetes` what people see of it with `kubectl`
//! - `rollouts`  updates one after the other
//! - `trouble`   every way of misbehaving

mod attacks;
mod bed;
mod cluster;
mod content;
#[allow(unreachable_pub)] // it is shared with a crate that has its own idea of it
#[path = "../../../tests/support/kube_sandbox.rs"]
mod kube_sandbox;
mod kubernetes;
mod rollouts;
mod statuses;
mod trouble;
