//! Foreign JSON, looked into and changed without a panic, whatever shape it has.

use serde_json::{Map, Value};

use crate::agent::model::gather::gather;

/// The members of a list; none if it isn't one, which is podman's to complain about.
pub(super) fn items<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

/// Gives a mapping a member; anything else stays as it is, where an index would panic.
pub(super) fn set(value: &mut Value, key: &str, member: Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.insert(key.to_owned(), member);
    }
}

pub(super) fn string_map(pairs: &[(String, String)]) -> Map<String, Value> {
    gather(pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())))
}
