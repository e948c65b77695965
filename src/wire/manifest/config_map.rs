//! Reads a `ConfigMap`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{
    metadata::{Metadata, namespace_or_default},
    resource::ConfigMap,
    typed::deserialize_reporting,
};
use crate::wire::{
    dns_names::{Key, Subdomain},
    field::Finding,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMapDocument {
    metadata: Metadata<Subdomain>,
    // read only to be checked: podman gets the document as it is
    #[serde(rename = "data")]
    _data: Option<BTreeMap<Key, String>>,
    #[serde(rename = "binaryData")]
    _binary_data: Option<BTreeMap<Key, String>>,
}

/// Reads and judges a `ConfigMap`. The findings are warnings.
pub(in crate::wire) fn read(document: Value) -> Result<(ConfigMap, Vec<Finding>), Finding> {
    let (ConfigMapDocument { metadata, .. }, findings) = deserialize_reporting(&document, &["immutable"])?;
    let (name, namespace) = (metadata.name.0, namespace_or_default(metadata.namespace));
    Ok((ConfigMap { name, namespace, whole: document }, findings))
}
