//! What a document says of itself: its name and namespace, and what reaches its pod.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{agent::model::workload::DEFAULT_NAMESPACE, wire::dns_names::Label};

#[derive(Deserialize)]
pub(super) struct Metadata<Name> {
    pub(super) name: Name,
    pub(super) namespace: Option<Label>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

pub(super) fn namespace_or_default(given: Option<Label>) -> String {
    given.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), |name| name.0)
}

/// Only what carries the `podman/` prefix reaches the pod, and without it: as the server does it.
pub(super) fn strip_podman_prefix(pairs: Option<BTreeMap<String, String>>) -> Vec<(String, String)> {
    let stripped = pairs.into_iter().flatten().filter_map(|(key, value)| {
        let key = key.strip_prefix("podman/").filter(|key| !key.is_empty())?;
        Some((key.to_owned(), value))
    });
    stripped.collect()
}
