//! The one reader of everything foreign, from JSON to types: manifests, messages, podman's answers, what was kept.
//!
//! A struct is a mapping, which the code that serde derives is not strict about: it takes a list for one as well. And
//! it says where an error is, and which fields nothing asked for, which serde alone doesn't tell. There is one concrete
//! deserializer, so that the compiler makes each type's code once.

use std::{fmt, marker::PhantomData, slice};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, MapAccess, SeqAccess, VariantAccess,
        Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value, map};

use super::field::{FieldPath, Finding, PathSegment};

/// The value, and the fields that have no effect.
pub(in crate::wire) fn deserialize_strict<'de, T: Deserialize<'de>>(
    document: &'de Value,
) -> Result<(T, Vec<FieldPath>), Finding> {
    let mut notes = UnknownFieldNotes { unknown: Some(Vec::new()), ..UnknownFieldNotes::default() };
    match T::deserialize(StrictDeserializer { value: document, notes: &mut notes }) {
        Ok(value) => Ok((value, notes.unknown.unwrap_or_default())),
        Err(error) => {
            let mut message = error.to_string();
            let is_bare = message.starts_with("invalid type: integer") || message.contains(": boolean");
            if is_bare && (message.ends_with("expected a string") || message.contains("condition's name")) {
                message.push_str(": put it in quotes");
            }
            Err(Finding { field: notes.at, message })
        }
    }
}

/// Reads what another program wrote; fields that nothing asks for are its own affair.
///
/// # Errors
/// It is no JSON, or not of this shape: where, and why.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let value: Value = serde_json::from_slice(bytes)?;
    let mut notes = UnknownFieldNotes::default();
    T::deserialize(StrictDeserializer { value: &value, notes: &mut notes }).map_err(|error| {
        let place = notes.at.to_string();
        if place.is_empty() { error } else { Error::custom(format_args!("{place}: {error}")) }
    })
}

/// A struct that is read from a stream, as nothing but a mapping: what may be large, and holds no other structs.
#[derive(Debug)]
pub struct StreamedMapping<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for StreamedMapping<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MappingVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for MappingVisitor<T> {
            type Value = StreamedMapping<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(access)).map(StreamedMapping)
            }
        }

        deserializer.deserialize_map(MappingVisitor(PhantomData))
    }
}

#[derive(Default)]
struct UnknownFieldNotes {
    /// Where reading is; after an error, where that is.
    at: FieldPath,
    /// Nothing, if it isn't asked for.
    unknown: Option<Vec<FieldPath>>,
}

impl UnknownFieldNotes {
    fn deserialize_child<'de, S: DeserializeSeed<'de>>(
        &mut self,
        step: PathSegment,
        value: &'de Value,
        seed: S,
    ) -> Result<S::Value, Error> {
        self.enter(step);
        let read = seed.deserialize(StrictDeserializer { value, notes: self })?;
        self.leave();
        Ok(read)
    }

    // There is a `deserialize_child` for each type: inlined into all of them, these would make the binary larger.

    #[inline(never)]
    fn enter(&mut self, step: PathSegment) {
        self.at.0.push(step);
    }

    #[inline(never)]
    fn leave(&mut self) {
        self.at.0.pop();
    }
}

struct StrictDeserializer<'de, 'n> {
    value: &'de Value,
    notes: &'n mut UnknownFieldNotes,
}

impl<'de> Deserializer<'de> for StrictDeserializer<'de, '_> {
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
                let mut items = ItemAccess { rest: values.iter(), index: 0, notes };
                let read = visitor.visit_seq(&mut items)?;
                match items.rest.len() {
                    0 => Ok(read),
                    _ => Err(Error::invalid_length(values.len(), &"fewer elements in array")),
                }
            }
            Value::Object(fields) => {
                visitor.visit_map(&mut FieldAccess { rest: fields.iter(), entered: None, notes })
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

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let found = match self.value {
            Value::Object(_) => return self.deserialize_any(visitor),
            Value::Null => "nothing",
            Value::Array(_) => "a list",
            Value::String(_) => "a text",
            Value::Number(_) => "a number",
            Value::Bool(_) => "true or false",
        };
        Err(Error::custom(format_args!("must be a mapping (`key: value`), not {found}")))
    }

    /// The name of a variant, or a mapping from it to what it holds.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let content = match self.value {
            Value::Object(fields) if fields.len() == 1 => fields.iter().next(),
            _ => None,
        };
        visitor.visit_enum(Variant { name: self.value, content, notes: self.notes })
    }

    /// Derived types skip what they don't know by this.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if let Some(unknown) = &mut self.notes.unknown {
            unknown.push(self.notes.at.clone());
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier
    }
}

struct ItemAccess<'de, 'n> {
    rest: slice::Iter<'de, Value>,
    index: usize,
    notes: &'n mut UnknownFieldNotes,
}

impl<'de> SeqAccess<'de> for ItemAccess<'de, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let step = PathSegment::Index(self.index);
        self.index += 1;
        self.notes.deserialize_child(step, value, seed).map(Some)
    }
}

struct FieldAccess<'de, 'n> {
    rest: map::Iter<'de>,
    /// The key was read, its value is next.
    entered: Option<(&'de String, &'de Value)>,
    notes: &'n mut UnknownFieldNotes,
}

impl<'de> MapAccess<'de> for FieldAccess<'de, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.entered = self.rest.next();
        let Some((key, _)) = self.entered else { return Ok(None) };
        seed.deserialize(KeyDeserializer(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((key, value)) = self.entered.take() else {
            return Err(Error::custom("a value without its key"));
        };
        self.notes.deserialize_child(PathSegment::Key(key.clone()), value, seed)
    }
}

/// The key of a mapping: a text, also of a type that wraps one.
struct KeyDeserializer<'de>(&'de str);

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Variant<'de, 'n> {
    /// As it stands alone.
    name: &'de Value,
    content: Option<(&'de String, &'de Value)>,
    notes: &'n mut UnknownFieldNotes,
}

impl<'de> EnumAccess<'de> for Variant<'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let variant = match (self.content, self.name) {
            (Some((name, _)), _) => seed.deserialize(BorrowedStrDeserializer::new(name))?,
            (None, Value::String(name)) => seed.deserialize(BorrowedStrDeserializer::new(name))?,
            (None, _) => return Err(Error::custom("must be a text, or one key with its value")),
        };
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.content {
            None | Some((_, Value::Null)) => Ok(()),
            Some(_) => Err(Error::custom("must be a text alone")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let (name, value) = self.content.ok_or_else(|| Error::custom("must have a value"))?;
        self.notes.deserialize_child(PathSegment::Key(name.clone()), value, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.struct_variant(&[], visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (_, value) = self.content.ok_or_else(|| Error::custom("must have a value"))?;
        StrictDeserializer { value, notes: self.notes }.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        agent::model::workload::{Content, Engine},
        wire::{
            edge_api,
            manifest::{SourceText, UnknownFields},
            podman::answers::{InspectedContainer, ListedPod, ListedVolume},
        },
    };

    #[test]
    fn a_list_is_no_answer_of_podmans_and_no_message() {
        from_json::<Vec<ListedPod>>(br#"[{"Id": "a", "Name": "b"}]"#).unwrap();
        let error = from_json::<Vec<ListedPod>>(br#"[["a", "b", "c", {}, []]]"#).unwrap_err();
        assert_eq!(error.to_string(), "[0]: must be a mapping (`key: value`), not a list");
        let error = from_json::<InspectedContainer>(br#"{"State": ["exited"]}"#).unwrap_err();
        assert_eq!(error.to_string(), "State: must be a mapping (`key: value`), not a list");
        from_json::<ListedVolume>(b"[[]]").unwrap_err();
        for body in ["[{}]", "[]", "7", r#"[{"command": "disconnect"}]"#] {
            assert!(
                edge_api::is_disconnect_command(body.as_bytes()).unwrap_err().contains("must be a mapping"),
                "{body}"
            );
            edge_api::certificate(body.as_bytes()).unwrap_err();
            edge_api::configuration(body.as_bytes(), "dev", UnknownFields::Refuse).unwrap_err();
        }
    }

    #[test]
    fn what_is_kept_is_read_strictly_too_and_as_it_was_written() {
        let content = |engine: &str| {
            format!(
                r#"{{"name": "a", "namespace": "b", "engine": {engine}, "labels": [["a", "b"]], "annotations": [],
                     "config_maps": [], "specification": {{}}}}"#
            )
        };
        for (text, engine) in [
            (r#"{"Podman": {"rootless": true}}"#, Engine::Podman { rootless: true }),
            (r#""Kubernetes""#, Engine::Kubernetes),
        ] {
            let read: Content = from_json(content(text).as_bytes()).unwrap();
            assert_eq!((read.engine, read.labels.len()), (engine, 1));
        }
        for bad in
            [r#"{"Podman": [true]}"#, r#""Podman""#, r#"{"Kubernetes": {}}"#, r#"["Kubernetes"]"#, "{}"]
        {
            from_json::<Content>(content(bad).as_bytes()).unwrap_err();
        }
        serde_json::from_str::<StreamedMapping<SourceText>>(
            r#"{"number": 1, "lines_before": 0, "text": ""}"#,
        )
        .unwrap();
        serde_json::from_str::<StreamedMapping<SourceText>>(r#"[1, 0, ""]"#).unwrap_err();
    }
}
