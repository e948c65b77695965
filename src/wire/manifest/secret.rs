//! A `Secret`, by hand: what a library says of a mistake may quote what must stay unread.

use serde_json::{Map, Value};

use crate::{
    agent::model::{confidential::Confidential, workload::DEFAULT_NAMESPACE},
    wire::{
        base64,
        dns_names::{KEY_ERROR, Label, Subdomain, is_config_map_key},
        field::Finding,
    },
};

/// A `Secret`'s data, keys with base64 values.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wire) struct Secret {
    pub(in crate::wire) name: String,
    /// Empty: for workloads of all of them, as a server's are.
    pub(super) namespace: String,
    pub(in crate::wire) data: Confidential,
}

impl Secret {
    pub(super) fn read(document: &Value) -> Result<(Self, Vec<Finding>), Finding> {
        const KNOWN_FIELDS: [&str; 7] =
            ["apiVersion", "data", "immutable", "kind", "metadata", "stringData", "type"];
        let metadata = &document["metadata"];
        let text = |key: &str| metadata[key].as_str().map(str::to_owned);
        let name = text("name").ok_or_else(|| Finding::new(["metadata", "name"], "is missing"))?;
        let name = Subdomain::try_from(name).map_err(|why| Finding::new(["metadata", "name"], why))?;
        let namespace = Label::try_from(text("namespace").unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()))
            .map_err(|why| Finding::new(["metadata", "namespace"], why))?;
        let mut data = Map::new();
        for (field, is_plain) in [("data", false), ("stringData", true)] {
            let wrong = |message| Finding::new([field], message);
            for (key, value) in pairs(&document[field]).map_err(wrong)? {
                let encoded = to_base64(key, value, is_plain);
                data.insert(key.clone(), encoded.map_err(|message| Finding::new([field, key], message))?);
            }
        }
        let fields = document.as_object().into_iter().flat_map(Map::keys);
        let unknown = fields.filter(|field| !KNOWN_FIELDS.contains(&field.as_str()));
        let findings =
            unknown.map(|field| Finding::new([field], "unknown field: it has no effect")).collect();
        let data = Confidential(data.into());
        Ok((Self { name: name.0, namespace: namespace.0, data }, findings))
    }

    /// The value of a key, where it is text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let bytes = base64::decode(self.data.0.get(key)?.as_str()?)?;
        String::from_utf8(bytes).ok()
    }

    /// As a server says it: the data is JSON in a text.
    pub(in crate::wire) fn from_server(entry: &Value) -> Result<Self, String> {
        let name = entry["name"].as_str().ok_or("has no name")?;
        let json = entry["data"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let mut data = Map::new();
        for (key, value) in pairs(&json.unwrap_or(Value::Bool(false))).map_err(|why| format!("data {why}"))? {
            data.insert(
                key.clone(),
                to_base64(key, value, false).map_err(|why| format!("key `{key}` {why}"))?,
            );
        }
        Ok(Self { name: name.to_owned(), namespace: String::new(), data: Confidential(data.into()) })
    }
}

fn pairs(value: &Value) -> Result<impl Iterator<Item = (&String, &Value)>, &'static str> {
    match value {
        Value::Null => Ok(None.into_iter().flatten()),
        Value::Object(fields) => Ok(Some(fields).into_iter().flatten()),
        _ => Err("must be keys with values"),
    }
}

/// The value as base64, always the same for the same bytes.
fn to_base64(key: &str, value: &Value, is_plain: bool) -> Result<Value, &'static str> {
    if !is_config_map_key(key) {
        return Err(KEY_ERROR);
    }
    let text = match value {
        Value::Null => "",
        Value::String(text) => text,
        _ => return Err("must be a text; quote it"),
    };
    if is_plain {
        return Ok(base64::encode(text.as_bytes()).into());
    }
    let bytes = base64::decode(text).ok_or("is no base64; plain text goes into `stringData`")?;
    Ok(base64::encode(&bytes).into())
}
