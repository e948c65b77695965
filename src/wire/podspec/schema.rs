//! JSON Schema of what is read, from the types that read it and the field tables. Only for the file in
//! `packaging/schema`: no part of the agent.

use serde_json::{Map, Value, json};

use super::{field_support::FieldSupport, field_tables};
use crate::wire::json::set;

/// The definitions of the mappings that were described.
#[derive(Debug, Default)]
pub struct Schema {
    pub(in crate::wire) definitions: Map<String, Value>,
}

impl Schema {
    /// A reference to a mapping, which is described unless it was. `fields`: what is read of it, and of what form.
    pub(in crate::wire) fn mapping_ref(
        &mut self,
        kind: &'static str,
        fields: impl FnOnce(&mut Self) -> Vec<(&'static str, Value)>,
    ) -> Value {
        if !self.definitions.contains_key(kind) {
            self.definitions.insert(kind.to_owned(), Value::Null); // it may hold itself
            let fields = fields(self);
            self.definitions.insert(kind.to_owned(), mapping_schema(kind, fields));
        }
        json!({ "$ref": format!("#/definitions/{kind}") })
    }
}

/// A mapping by its table, with the forms of the fields that are read.
pub(in crate::wire) fn mapping_schema(kind: &'static str, fields: Vec<(&'static str, Value)>) -> Value {
    let table = field_tables::table_of(kind);
    let required: Vec<&str> = table.required_fields().collect();
    let mut properties = Map::new();
    for name in table.field_names() {
        let form = fields.iter().find(|(field, _)| *field == name).map(|it| it.1.clone());
        let property = match (table.field_support(name), form) {
            (Some(FieldSupport::Refused(why)), _) => {
                with_description(empty_value_schema(), &format!("refused: {why}"))
            }
            (Some(FieldSupport::Meaningless(why)), _) => {
                with_description(json!({}), &format!("no meaning: {why}"))
            }
            (Some(FieldSupport::Ignored(why)), form) => {
                with_description(or_null(form.unwrap_or_else(|| json!({}))), &format!("no effect: {why}"))
            }
            (_, Some(form)) if required.contains(&name) => form,
            (_, Some(form)) => or_null(form),
            (_, None) => json!({}),
        };
        properties.insert(name.to_owned(), property);
    }
    let mut mapping = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if !required.is_empty() {
        set(&mut mapping, "required", required.into());
    }
    mapping
}

/// What says as little as a field that isn't there.
fn empty_value_schema() -> Value {
    json!({ "enum": [null, false, 0, "", []] })
}

fn with_description(mut form: Value, what: &str) -> Value {
    set(&mut form, "description", what.into());
    form
}

/// The same, or `null`, which says as little as none.
pub(in crate::wire) fn or_null(mut form: Value) -> Value {
    if form.get("$ref").is_some() {
        return json!({ "anyOf": [form, { "type": "null" }] });
    }
    if let Some(words) = form.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    let types = match form.get("type") {
        Some(Value::String(one)) => json!([one, "null"]),
        Some(Value::Array(several)) => several.iter().cloned().chain(["null".into()]).collect(),
        _ => return form,
    };
    set(&mut form, "type", types);
    form
}
