//! Reads a specification from JSON into its types: everything that is wrong in it, each with its place.
//!
//! Unlike the readers that serde derives, this one doesn't stop at the first mistake, asks [`field_tables`]
//! about each field, and costs little code for each of the many small types.

use std::{collections::BTreeMap, fmt::Display};

#[cfg(test)]
use serde_json::json;
use serde_json::{Map, Value};

#[cfg(test)]
use super::schema::Schema;
use super::{field_support::FieldSupport, field_tables, nearest};
use crate::wire::{
    field::{FieldPath, Finding, PathSegment},
    text::truncate,
};

/// No person reads more findings of a class than this.
const MAX_FINDINGS_PER_CLASS: usize = 100;
/// A longer message quotes too much, in bytes.
const MAX_MESSAGE_BYTES: usize = 500;

/// How a finding counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingClass {
    /// Not of the shape that everything that reads specifications wants.
    Shape,
    /// A value that the API server would refuse, or that can't do what it says.
    Value,
    /// A field that nothing knows.
    Unknown,
    /// A field or value that a single device can't obey.
    Refused,
    /// A good field or value that has no effect.
    Ignored,
    /// It means nothing on a single device.
    Meaningless,
}

/// Where the reader is, and what it found.
#[derive(Debug, Default)]
pub struct ReadContext {
    at: FieldPath,
    pub(in crate::wire) found: Vec<(FindingClass, Finding)>,
    /// How many of each class.
    counts: [usize; 6],
}

/// What can be read from any JSON: what doesn't fit becomes a finding, and a value that stands for nothing.
pub trait Read: Sized {
    /// Whether an empty text says as little as none, as it does of words.
    const CAN_BE_EMPTY: bool = false;

    /// `null`, as for a field that isn't there, is fine: whether there must be one the table says.
    fn read(value: &Value, notes: &mut ReadContext) -> Self;

    /// Of what form it is, as JSON Schema has it.
    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value;
}

impl ReadContext {
    pub(in crate::wire) fn add(&mut self, class: FindingClass, message: impl Into<String>) {
        self.push(class, message.into());
    }

    /// About a field further in.
    pub(in crate::wire) fn add_at(&mut self, key: &str, class: FindingClass, message: impl Into<String>) {
        self.enter(key.into());
        self.push(class, message.into());
        self.leave(1);
    }

    #[inline(never)]
    fn push(&mut self, class: FindingClass, mut message: String) {
        if !self.is_full(class) {
            self.counts[class as usize] += 1;
            message.truncate(truncate(&message, MAX_MESSAGE_BYTES).len());
            self.found.push((class, Finding { field: self.at.clone(), message }));
        }
    }

    /// Whether nothing more is told of a class.
    fn is_full(&self, class: FindingClass) -> bool {
        self.counts[class as usize] >= MAX_FINDINGS_PER_CLASS
    }

    pub(in crate::wire) fn add_shape_error(&mut self, wanted: &str, value: &Value) {
        let hint = match value {
            Value::Number(_) | Value::Bool(_) if wanted == "a text" => ": put it in quotes",
            _ => "",
        };
        self.add(FindingClass::Shape, format!("must be {wanted}, not {}{hint}", json_type_name(value)));
    }

    pub(in crate::wire) fn at_child<T>(
        &mut self,
        step: impl Into<PathSegment>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.enter(step.into());
        let value = read(self);
        self.leave(1);
        value
    }

    /// Several steps in.
    pub(in crate::wire) fn at_path<const N: usize>(
        &mut self,
        steps: [PathSegment; N],
        read: impl FnOnce(&mut Self),
    ) {
        steps.into_iter().for_each(|step| self.enter(step));
        read(self);
        self.leave(N);
    }

    /// Whether anything is wrong further in.
    pub(in crate::wire) fn has_any_below(&self, steps: &[&str]) -> bool {
        let at: Vec<PathSegment> =
            self.at.0.iter().cloned().chain(steps.iter().map(|step| PathSegment::from(*step))).collect();
        self.found.iter().any(|(_, finding)| finding.field.0.starts_with(&at))
    }

    /// What takes one of several fields: whether each is there. One that is wrong was said.
    pub(super) fn check_exactly_one(&mut self, given: &[bool], of: &[&str]) {
        match given.iter().filter(|is_given| **is_given).count() {
            1 => {}
            0 if self.has_any_below(&[]) => {}
            0 => self.add(FindingClass::Value, format!("needs {}", joined_by_or(of))),
            _ => self.add(FindingClass::Value, format!("has more than one of {}", joined_by_or(of))),
        }
    }

    pub(in crate::wire) fn read_field<T: Read>(
        &mut self,
        fields: Option<&Map<String, Value>>,
        key: &str,
    ) -> T {
        let value = self.enter_field(fields, key);
        let read = T::read(value, self);
        self.leave(1);
        read
    }

    // These are called from everywhere: inlined, they would make the binary larger by tens of kilobytes.

    #[inline(never)]
    fn enter(&mut self, step: PathSegment) {
        self.at.0.push(step);
    }

    #[inline(never)]
    fn enter_field<'a>(&mut self, fields: Option<&'a Map<String, Value>>, key: &str) -> &'a Value {
        self.at.0.push(key.into());
        fields.and_then(|fields| fields.get(key)).unwrap_or(&Value::Null)
    }

    #[inline(never)]
    fn leave(&mut self, steps: usize) {
        self.at.0.truncate(self.at.0.len() - steps);
    }

    #[inline(never)]
    fn expect_list<'a>(&mut self, value: &'a Value) -> &'a [Value] {
        match value {
            Value::Array(items) => return items,
            Value::Null => {}
            _ => self.add_shape_error("a list", value),
        }
        &[]
    }

    /// The fields of a mapping that takes any.
    pub(in crate::wire) fn expect_any_mapping<'a>(
        &mut self,
        value: &'a Value,
    ) -> Option<&'a Map<String, Value>> {
        match value {
            Value::Object(fields) => return Some(fields),
            Value::Null => {}
            _ => self.add_shape_error("a mapping (`key: value`)", value),
        }
        None
    }

    /// The fields of a mapping, each judged by the table of its type.
    pub(in crate::wire) fn expect_mapping<'a>(
        &mut self,
        value: &'a Value,
        kind: &'static str,
    ) -> Option<&'a Map<String, Value>> {
        let fields = self.expect_any_mapping(value);
        if fields.is_none() && !value.is_null() {
            return None;
        }
        let table = field_tables::table_of(kind);
        for (key, value) in fields.into_iter().flatten() {
            let (class, message) = match table.field_support(key) {
                None if self.is_full(FindingClass::Unknown) => continue,
                None => (FindingClass::Unknown, nearest::unknown_field_message(table, key)),
                Some(FieldSupport::Refused(why)) if !is_empty_value(value) || value.is_object() => {
                    (FindingClass::Refused, format!("can't be obeyed here: {why}"))
                }
                Some(FieldSupport::Ignored(why)) if !is_empty_value(value) => {
                    (FindingClass::Ignored, format!("has no effect: {why}"))
                }
                Some(FieldSupport::Meaningless(why)) if !is_empty_value(value) => {
                    (FindingClass::Meaningless, format!("means nothing on one device: {why}"))
                }
                Some(_) => continue,
            };
            self.add_at(key, class, message);
        }
        let is_missing = |key: &str| fields.and_then(|fields| fields.get(key)).is_none_or(Value::is_null);
        for key in table.required_fields().filter(|key| is_missing(key)) {
            self.add_at(key, FindingClass::Shape, "is missing");
        }
        fields
    }

    /// Asks whether the most similar of the words was meant. That takes its time: not where nothing is told any more.
    pub(in crate::wire) fn spelling_hint<'a>(
        &self,
        given: &str,
        words: impl Iterator<Item = &'a str>,
    ) -> String {
        const MAX_WORDS: usize = 200;
        let near = (!self.is_full(FindingClass::Value))
            .then(|| nearest::nearest_word(given, words.take(MAX_WORDS)))
            .flatten();
        near.map(|word| format!(": did you mean `{word}`?")).unwrap_or_default()
    }

    /// The number of the word among those allowed; without one, or where it is none of them, the first.
    pub(in crate::wire) fn one_of_words(&mut self, value: &Value, words: &[&str]) -> usize {
        let given = match value {
            Value::Null => return 0,
            Value::String(text) if text.is_empty() => return 0,
            Value::String(text) => text,
            _ => {
                self.add_shape_error("a text", value);
                return 0;
            }
        };
        words.iter().position(|word| word == given).unwrap_or_else(|| {
            let hint = self.spelling_hint(given, words.iter().copied());
            self.add(FindingClass::Value, format!("must be {}, not `{given}`{hint}", joined_by_or(words)));
            0
        })
    }

    /// A whole number within bounds, which are not checked for one that isn't there.
    pub(in crate::wire) fn integer(&mut self, value: &Value, least: i64, most: i64) -> i64 {
        match value {
            Value::Null => return 0,
            Value::Number(number) => match number.as_i64() {
                Some(number) if (least..=most).contains(&number) => return number,
                _ => self.add(FindingClass::Value, format!("must be from {least} to {most}, not {number}")),
            },
            Value::String(text) if text.parse::<i64>().is_ok() => {
                self.add(FindingClass::Shape, "must be a number: write it without quotes");
            }
            _ => self.add_shape_error("a whole number", value),
        }
        0
    }

    pub(in crate::wire) fn expect_text<'a>(&mut self, value: &'a Value) -> &'a str {
        match value {
            Value::Null => "",
            Value::String(text) => text,
            _ => {
                self.add_shape_error("a text", value);
                ""
            }
        }
    }

    /// A text that must be of a certain form; one that isn't is kept as nothing.
    pub(in crate::wire) fn parse_text<T: Default, E: Display>(
        &mut self,
        value: &Value,
        form: impl FnOnce(&str) -> Result<T, E>,
    ) -> T {
        let text = match value {
            Value::Null => return T::default(),
            Value::String(text) => text,
            _ => {
                self.add_shape_error("a text", value);
                return T::default();
            }
        };
        form(text).unwrap_or_else(|why| {
            self.add(FindingClass::Value, why.to_string());
            T::default()
        })
    }
}

fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What says as little as a field that isn't there.
fn is_empty_value(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// `a`, `b` or `c`.
pub(super) fn joined_by_or(words: &[&str]) -> String {
    let mut text = String::new();
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    for (index, word) in words.iter().enumerate() {
        let between = match index {
            0 => "",
            _ if index + 1 == words.len() => " or ",
            _ => ", ",
        };
        text.extend([between, "`", word, "`"]);
    }
    text
}

/// True or false; also in the words of YAML 1.1, which the reader of Kubernetes takes.
pub(in crate::wire) fn parse_bool(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(word) if ["yes", "Yes", "YES", "on", "On", "ON"].contains(&&**word) => Some(true),
        Value::String(word) if ["no", "No", "NO", "off", "Off", "OFF"].contains(&&**word) => Some(false),
        _ => None,
    }
}

impl Read for bool {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let flag = parse_bool(value);
        if flag.is_none() && !value.is_null() {
            notes.add_shape_error("true or false", value);
        }
        flag.unwrap_or(false)
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "boolean" })
    }
}

impl Read for String {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        notes.expect_text(value).to_owned()
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "string" })
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let is_empty = T::CAN_BE_EMPTY && value.as_str().is_some_and(str::is_empty);
        (!value.is_null() && !is_empty).then(|| T::read(value, notes))
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        T::schema(schema)
    }
}

impl<T: Read> Read for Box<T> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        Self::new(T::read(value, notes))
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        T::schema(schema)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let items = notes.expect_list(value);
        let mut all = Self::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            notes.enter(index.into());
            all.push(T::read(item, notes));
            notes.leave(1);
        }
        all
    }

    #[cfg(test)]
    fn schema(schema: &mut Schema) -> Value {
        json!({ "type": "array", "items": T::schema(schema) })
    }
}

impl Read for BTreeMap<String, String> {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let fields = notes.expect_any_mapping(value);
        let mut all = Self::new();
        for key in fields.into_iter().flat_map(Map::keys) {
            all.insert(key.clone(), notes.read_field(fields, key));
        }
        all
    }

    #[cfg(test)]
    fn schema(_: &mut Schema) -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "string" } })
    }
}
