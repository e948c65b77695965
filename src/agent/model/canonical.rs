//! A specification by value: what servers add to it changes nothing.

use serde_json::Value;

use super::gather::gather;

/// The value without its nulls and empty parts, and without a port's default protocol.
pub(super) fn canonical(value: &Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let is_port = fields.contains_key("containerPort");
            let kept = fields
                .iter()
                .filter(|(key, value)| !(is_port && *key == "protocol" && *value == "TCP"))
                .map(|(key, value)| (key.clone(), canonical(value)))
                .filter(|(_, value)| !is_empty(value));
            Value::Object(gather(kept))
        }
        other => other.clone(),
    }
}
