//! The edge API as a device sees it: real processes, real TLS.
//!
//! - `statuses`  who may call what, and what comes back
//! - `content`   from manifests to configurations
//! - `trouble`   every way of misbehaving

mod bed;
mod content;
mod statuses;
mod trouble;
