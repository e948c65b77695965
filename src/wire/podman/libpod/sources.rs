//! Keys and values of the `ConfigMap`s and `Secret`s that a specification names.

use serde_json::{Map, Value};

use crate::{
    agent::model::workload::Content,
    wire::{base64, podspec::env::KeySelector},
};

/// What a specification may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum ObjectKind {
    ConfigMap,
    Secret,
}

impl ObjectKind {
    pub(in crate::wire) fn kind_name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// What a `ConfigMap` or `Secret` has; `None`: it isn't there.
pub(super) fn object_data(content: &Content, kind: ObjectKind, name: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    let mut take = |data: Option<&Map<String, Value>>, is_plain| {
        for (key, value) in data.into_iter().flatten() {
            let plain = value.as_str().filter(|_| is_plain).map(|text| text.as_bytes().to_vec());
            all.push((key.clone(), plain.unwrap_or_else(|| decode_base64(value))));
        }
    };
    match kind {
        ObjectKind::Secret => take(Some(content.secrets.data_of(name)?), false),
        ObjectKind::ConfigMap => {
            let map = content.config_maps.iter().find(|map| map["metadata"]["name"] == name)?;
            take(map["data"].as_object(), true);
            take(map["binaryData"].as_object(), false);
        }
    }
    Some(all)
}

fn decode_base64(value: &Value) -> Vec<u8> {
    // checked when it was read
    value.as_str().and_then(base64::decode).unwrap_or_default()
}

/// The value as text, which a variable can hold.
pub(super) fn value_as_text(
    kind: ObjectKind,
    name: &str,
    key: &str,
    value: Vec<u8>,
) -> Result<String, String> {
    String::from_utf8(value).ok().filter(|text| !text.contains('\0')).ok_or_else(|| {
        format!("key `{key}` of the {} `{name}` is no text: no variable can hold it", kind.kind_name())
    })
}

/// The value of the key that a reference names; `None`: it isn't there, and need not be.
pub(super) fn resolve_key_ref(
    content: &Content,
    kind: ObjectKind,
    reference: &KeySelector,
) -> Result<Option<String>, String> {
    let (name, key) = (&*reference.name.0, &*reference.key.0);
    let found = object_data(content, kind, name).and_then(|all| all.into_iter().find(|(its, _)| its == key));
    match found {
        Some((_, value)) => value_as_text(kind, name, key, value).map(Some),
        None if reference.optional => Ok(None),
        None => Err(missing_key_message(kind, name, key)),
    }
}

pub(super) fn missing_key_message(kind: ObjectKind, name: &str, key: &str) -> String {
    format!("the {} `{name}` has no key `{key}`", kind.kind_name())
}
