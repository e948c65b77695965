//! Manifests, as people write them into files: `EdgeDevice`, `EdgeWorkload`, and objects of Kubernetes (`kinds`).
//!
//! ```text
//! bytes ─ yaml::documents ─► chunks ─ yaml::parse ─► JSON ─ kind::read ─► Document ─ assemble ─► Desired
//! ```
//!
//! | rule of reading | where |
//! |---|---|
//! | the kinds, and who reads each | `kind`, `kinds` |
//! | an `EdgeWorkload`, an `EdgeDevice` | `resource` |
//! | cron before retry, and what both may be | `timing` |
//! | profiles: unusable names, empty ones, CPU limits | `profiles` |
//! | which device it is for | `select`, `node`, `assemble` |
//! | ConfigMaps, Secrets, Services joined to it; the first of two documents | `assemble`, `serving` |
//! | each field of a pod specification | [`podspec`](super::podspec) |
//! | how much may be read | `allowance` |
//!
//! A document is valid as a whole or broken as a whole; each says where and why, and none takes another down.

mod allowance;
pub(in crate::wire) mod assemble;
mod contents;
mod document;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod kind;
mod kinds;
mod node;
mod pod;
mod problem;
mod profiles;
pub(in crate::wire) mod resource;
pub(in crate::wire) mod secret;
mod select;
mod serving;
mod source;
mod strictness;
mod timing;

#[cfg(test)]
mod tests;

pub use allowance::{Allowance, MOST_DOCUMENTS, MOST_MEMORY};
pub use assemble::{assemble, expression_problems};
pub use contents::{Broken, Contents};
pub use document::Document;
pub(in crate::wire) use pod::restored;
pub use problem::{Problem, Severity};
pub use source::{QUADLET, Source};
pub(in crate::wire) use strictness::Strictness;
pub use strictness::UnknownFields;

/// The stack that reading takes: `serde_yaml` goes 128 levels deep. Only what is used becomes memory.
pub const STACK: usize = 1 << 20;
