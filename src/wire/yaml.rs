//! YAML as people write it: a stream cut into documents, a document read into JSON, and the line of a field.

use std::{
    cell::Cell,
    fmt::{self, Write},
};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::field::{FieldPath, PathSegment};

/// What one document may grow to through its aliases, in bytes: a few lines of nested aliases can ask for
/// gigabytes, and `serde_yaml` bounds only how many aliases it follows.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 8 << 20;

/// More brackets than this open at once are refused before they are parsed: libyaml's time per token grows with
/// them, so that a mebibyte of `[` would take hours. Counts those in texts too, where they come in pairs.
const MAX_OPEN_BRACKETS: usize = 1_000;

/// More lists and mappings than this are refused likewise: libyaml keeps up to 400 bytes for each, so that a mebibyte of
/// `? ` would take two hundred. Counts what looks like one in texts, too.
const MAX_COLLECTIONS: usize = 100_000;

/// More directives than this are refused likewise: libyaml compares each with all before it.
const MAX_DIRECTIVES: usize = 16;

/// What a mapping takes beside what is in it, in bytes, and a key beside its text: as the trees of the standard library
/// are laid out.
const MAPPING_BYTES: usize = 512;
const KEY_BYTES: usize = 64;

/// A document of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DocumentText<'a> {
    /// Counts from 1; what holds nothing but blanks, comments and directives is not counted.
    pub(crate) number: usize,
    /// How many lines of the stream stand before it.
    pub(crate) lines_before: usize,
    /// From its `---` line on.
    pub(crate) text: &'a [u8],
}

/// Cuts a stream at its marker lines, so that a broken document doesn't take its neighbours down. A `---` or
/// `...` at the start of a line is a marker wherever it stands, in block scalars too (YAML 1.2, 9.1.2).
pub(crate) fn split_documents(stream: &[u8]) -> Vec<DocumentText<'_>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut parts: Vec<(usize, &[u8])> = Vec::new();
    let (mut start, mut lines_before, mut end) = (0, 0, 0);
    for (line_number, line) in stream.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let is_marker = |marker: &[u8]| {
            line.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
        };
        if is_marker(b"---") {
            parts.push((lines_before, &stream[start..end]));
            (start, lines_before) = (end, line_number);
        } else if is_marker(b"...") {
            parts.push((lines_before, &stream[start..end]));
            (start, lines_before) = (end + line.len(), line_number + 1);
        }
        end += line.len();
    }
    parts.push((lines_before, &stream[start..]));
    let filled = parts.into_iter().filter(|(_, text)| !is_empty(text));
    filled
        .enumerate()
        .map(|(i, (lines_before, text))| DocumentText { number: i + 1, lines_before, text })
        .collect()
}

/// Whether nothing stands in a part: blanks, comments, the marker itself, directives before the next marker.
fn is_empty(part: &[u8]) -> bool {
    let after_marker = part.strip_prefix(b"---").unwrap_or(part);
    let mut lines = after_marker.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.all(|line| line.is_empty() || line.starts_with(b"#") || line.starts_with(b"%"))
}

/// The value as a document on one line, in ASCII: YAML refuses some characters that JSON doesn't.
pub(crate) fn to_single_line(value: &Value) -> String {
    let mut text = String::new();
    for c in value.to_string().chars() {
        match c {
            ' '..='~' => text.push(c),
            _ => drop(write!(text, "\\U{:08x}", u32::from(c))),
        }
    }
    text
}

/// Reads one document, its merge keys (`<<`) applied.
///
/// # Errors
/// Names the place within `text`, and what is wrong there: syntax, a key that is no string or stands twice,
/// a number that JSON doesn't know, a tag, too deep a nesting, or aliases that make too much of it.
pub(crate) fn parse(text: &str) -> Result<Value, serde_yaml::Error> {
    parse_within(text, &Cell::new(MAX_DOCUMENT_BYTES))
}

/// As [`parse`], for many documents that together may not grow beyond a budget in bytes.
pub(crate) fn parse_within(text: &str, budget: &Cell<usize>) -> Result<Value, serde_yaml::Error> {
    check_bounds(text)?;
    JsonBuilder(budget).deserialize(serde_yaml::Deserializer::from_str(text))
}

/// Refuses what would take libyaml far longer than a text of this length should; before it sees it.
///
/// # Errors
/// What there is too much of.
pub(crate) fn check_bounds(text: &str) -> Result<(), serde_yaml::Error> {
    let (mut open, mut opened, mut directives, mut previous) = (0_usize, 0, 0, b'\n');
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b'%' if previous == b'\n' => directives += 1,
            _ => {}
        }
        let is_item = matches!(previous, b'-' | b'?') && byte.is_ascii_whitespace();
        opened += usize::from(is_item || matches!(byte, b'[' | b'{'));
        previous = byte;
        if opened > MAX_COLLECTIONS {
            let message = format!("more than {MAX_COLLECTIONS} lists and mappings");
            return Err(serde_yaml::Error::custom(message));
        }
        if open > MAX_OPEN_BRACKETS {
            return Err(serde_yaml::Error::custom("too many brackets are open at once"));
        }
        if directives > MAX_DIRECTIVES {
            let message = format!("more than {MAX_DIRECTIVES} directives (lines that begin with `%`)");
            return Err(serde_yaml::Error::custom(message));
        }
    }
    Ok(())
}

/// Builds a JSON value, and counts down what it may still take.
#[derive(Clone, Copy)]
struct JsonBuilder<'a>(&'a Cell<usize>);

impl JsonBuilder<'_> {
    fn spend<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(bytes + size_of::<Value>());
        self.0.set(
            left.ok_or_else(|| E::custom("its aliases make it too large, or all there is is too much"))?,
        );
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for JsonBuilder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonBuilder<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.spend(0)?;
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom(format_args!("{value} is not a finite number")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len()).map(|()| value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.spend(MAPPING_BYTES)?;
        let mut fields = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = access.next_key_seed(UniqueKey { fields: &fields })? {
            self.spend(key.len() + KEY_BYTES)?;
            let value = access.next_value_seed(self)?;
            match (key.as_str(), value) {
                ("<<", Value::Object(base)) => merged.push(base),
                ("<<", Value::Array(bases)) => {
                    for base in bases {
                        let Value::Object(base) = base else { return Err(A::Error::custom(NOT_MERGEABLE)) };
                        merged.push(base);
                    }
                }
                ("<<", _) => return Err(A::Error::custom(NOT_MERGEABLE)),
                (_, value) => {
                    fields.insert(key, value);
                }
            }
        }
        // what stands in the mapping itself wins, then the first of the merged ones
        for (key, value) in merged.into_iter().flatten() {
            fields.entry(key).or_insert(value);
        }
        Ok(Value::Object(fields))
    }
}

const NOT_MERGEABLE: &str = "`<<` merges mappings only";

/// A key of a mapping: a string that isn't among its fields yet.
struct UniqueKey<'a> {
    fields: &'a Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for UniqueKey<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for UniqueKey<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key that is a string (put it in quotes)")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        if self.fields.contains_key(key) {
            return Err(E::custom(format_args!("the key `{key}` stands here twice")));
        }
        Ok(key.to_owned())
    }
}

/// The line of `text`, from 1, where the field's key or item stands; if it isn't there, that of the innermost
/// part around it.
pub(crate) fn line_of(text: &str, field: &FieldPath) -> usize {
    let walk = PathWalker(&field.0).deserialize(serde_yaml::Deserializer::from_str(text));
    walk.err().and_then(|found| found.location()).map_or(1, |location| location.line())
}

/// Follows the steps and then fails: only an error tells where the reader is.
struct PathWalker<'a>(&'a [PathSegment]);

impl<'de> DeserializeSeed<'de> for PathWalker<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PathWalker<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("to be somewhere else")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Some((PathSegment::Index(index), rest)) = self.0.split_first() {
            for _ in 0..*index {
                access.next_element::<IgnoredAny>()?;
            }
            access.next_element_seed(PathWalker(rest))?;
        }
        Err(A::Error::custom("here"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Some((PathSegment::Key(wanted), rest)) = self.0.split_first() {
            while let Some(is_it) =
                access.next_key_seed(PathKeyMatcher { wanted, is_last: rest.is_empty() })?
            {
                if is_it {
                    access.next_value_seed(PathWalker(rest))?;
                } else {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        Err(A::Error::custom("here"))
    }
}

/// Tells whether a key is the wanted one, and fails on it when it is the last step.
struct PathKeyMatcher<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for PathKeyMatcher<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for PathKeyMatcher<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.is_last => Err(E::custom("here")),
            is_it => Ok(is_it),
        }
    }
}
