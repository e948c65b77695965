//! From JSON to types, with what serde alone doesn't tell: where an error is, and which fields nothing asked for.
//!
//! There is one concrete deserializer, so that the compiler makes each type's code once.

use std::slice;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};
use serde_json::{Error, Value, map};

use super::{
    Finding,
    yaml::{Field, Step},
};

/// The value, and the fields that have no effect.
pub(super) fn typed<'de, T: Deserialize<'de>>(document: &'de Value) -> Result<(T, Vec<Field>), Finding> {
    let mut notes = Notes::default();
    match T::deserialize(Reader { value: document, notes: &mut notes }) {
        Ok(value) => Ok((value, notes.unknown)),
        Err(error) => Err(Finding { field: notes.at, message: error.to_string() }),
    }
}

#[derive(Default)]
struct Notes {
    /// Where reading is; after an error, where that is.
    at: Field,
    unknown: Vec<Field>,
}

impl Notes {
    fn below<'de, S: DeserializeSeed<'de>>(
        &mut self,
        step: Step,
        value: &'de Value,
        seed: S,
    ) -> Result<S::Value, Error> {
        self.at.0.push(step);
        let read = seed.deserialize(Reader { value, notes: self })?;
        self.at.0.pop();
        Ok(read)
    }
}

struct Reader<'de, 'n> {
    value: &'de Value,
    notes: &'n mut Notes,
}

impl<'de> Deserializer<'de> for Reader<'de, '_> {
    type Error = Error;

    /// What the visitor doesn't expect it refuses by itself, in the words of serde.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let notes = self.notes;
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => number.deserialize_any(visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(values) => {
                let mut items = Items { rest: values.iter(), index: 0, notes };
                let read = visitor.visit_seq(&mut items)?;
                match items.rest.len() {
                    0 => Ok(read),
                    _ => Err(Error::invalid_length(values.len(), &"fewer elements in array")),
                }
            }
            Value::Object(fields) => {
                visitor.visit_map(&mut Fields { rest: fields.iter(), entered: None, notes })
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// No enum of a manifest has fields to keep track of.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value.deserialize_enum(name, variants, visitor)
    }

    /// Derived types skip what they don't know by this.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.notes.unknown.push(self.notes.at.clone());
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier
    }
}

struct Items<'de, 'n> {
    rest: slice::Iter<'de, Value>,
    index: usize,
    notes: &'n mut Notes,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        self.notes.below(step, value, seed).map(Some)
    }
}

struct Fields<'de, 'n> {
    rest: map::Iter<'de>,
    /// The key was read, its value is next.
    entered: Option<(&'de String, &'de Value)>,
    notes: &'n mut Notes,
}

impl<'de> MapAccess<'de> for Fields<'de, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.entered = self.rest.next();
        let Some((key, _)) = self.entered else { return Ok(None) };
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((key, value)) = self.entered.take() else {
            return Err(Error::custom("a value without its key"));
        };
        self.notes.below(Step::Key(key.clone()), value, seed)
    }
}
