//! Images that the agent pulled.

use std::collections::BTreeSet;

use super::workload::Engine;

/// An image that was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulledImage {
    /// Its name.
    pub image: String,
    /// The id of the image that had the name before.
    pub before: Option<String>,
}

/// The images that the agent pulled, by name; those that a newer one took the name of, by podman's id.
pub type PulledImages = BTreeSet<(Engine, String)>;
