//! Manifests, as people write them into files: `EdgeDevice`, `EdgeWorkload`, and objects of Kubernetes (`kinds`).
//!
//! ```text
//! bytes ─ yaml::documents ─► chunks ─ yaml::parse ─► JSON ─ kind::read ─► Document ─ assemble ─► Desired
//! ```
//!
//! | rule of reading | where |
//! |---|---|
//! | the kinds, and who reads each | `kind`, `kinds` |
//! | an `EdgeWorkload`, an `EdgeDevice`, a `ConfigMap` | `edge_workload`, `edge_device`, `config_map` |
//! | what valid documents are | `resource` |
//! | fields that nothing knows | `typed` |
//! | names, namespaces, and what reaches the pod | `metadata` |
//! | cron before retry, and what both may be | `timing` |
//! | when another content may take its place | `update` |
//! | profiles: unusable names, empty ones, CPU limits | `profiles` |
//! | which device it is for | `select`, `node`, `assemble` |
//! | ConfigMaps, Secrets, Services joined to it; the first of two documents | `assemble`, `serving` |
//! | each field of a pod specification | [`podspec`](super::podspec) |
//! | what is wrong with one, by engine and `UNKNOWN_FIELDS` | `findings` |
//! | which ConfigMaps and Secrets one names | `uses` |
//! | what the agent itself takes from one: restarts, grace, deadline, probes | `agent_part` |
//! | how much may be read | `budget` |
//!
//! A document is valid as a whole or broken as a whole; each says where and why, and none takes another down.

mod agent_part;
pub(in crate::wire) mod assemble;
mod budget;
pub(in crate::wire) mod config_map;
mod contents;
mod document;
pub(in crate::wire) mod edge_device;
pub(in crate::wire) mod edge_workload;
mod findings;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod kind;
mod kinds;
mod metadata;
mod node;
mod object_references;
mod problem;
mod profiles;
mod redaction;
pub(in crate::wire) mod resource;
pub(in crate::wire) mod secret;
mod select;
mod services;
mod source;
mod strictness;
mod timing;
mod typed;
mod update;

#[cfg(test)]
mod tests;

pub(in crate::wire) use agent_part::from_stored_content;
pub use assemble::{assemble, expression_problems};
pub use budget::{Budget, MAX_DOCUMENTS, MAX_MEMORY};
pub use contents::{BrokenDocument, FileContents};
pub use document::Document;
pub use problem::{Problem, Severity};
pub use redaction::{learn_secrets, redact_manifests};
pub use source::{QUADLET_HINT, SourceText};
pub(in crate::wire) use strictness::Strictness;
pub use strictness::UnknownFields;

/// The stack that reading takes: `serde_yaml` goes 128 levels deep. Only what is used becomes memory.
pub const READER_STACK_BYTES: usize = 1 << 20;
