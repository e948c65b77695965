//! Changes to the tree of a document: a mapping becomes a list, a value another type, a part stands twice, deeper or
//! elsewhere. Texts that are trees themselves, as a specification in a message is, are changed inside.

use serde_json::{Map, Number, Value};

use super::words_text;
use crate::random::Random;

/// Longer documents are left to the other changes: reading them takes its time.
const LONGEST: usize = 16 * 1024;

/// Whether there was a document to change.
pub(super) fn change(input: &mut Vec<u8>, other: &[u8], words: &[Vec<u8>], random: &mut Random) -> bool {
    let parts = parts(input);
    let (start, end) = parts[random.below(parts.len())];
    let Some(mut value) = read(&input[start..end]) else { return false };
    let donor = self::parts(other);
    let (from, to) = donor[random.below(donor.len())];
    let donor = read(&other[from..to]);
    for _ in 0..1 + random.below(2) {
        change_value(&mut value, donor.as_ref(), words, random);
    }
    let is_json = input[start..end].trim_ascii_start().starts_with(b"{");
    let text = if is_json != random.once_in(6) {
        value.to_string() + "\n"
    } else {
        serde_yaml::to_string(&value).unwrap_or_default()
    };
    input.splice(start..end, text.into_bytes());
    true
}

/// What stands between the marks of files and documents.
fn parts(input: &[u8]) -> Vec<(usize, usize)> {
    let (mut parts, mut start, mut at) = (Vec::new(), 0, 0);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let end = at + line.len();
        if line.starts_with(b"---") || line.starts_with(b"=== ") {
            parts.push((start, at));
            start = end;
        }
        at = end;
    }
    parts.push((start, at));
    if parts.iter().any(|(start, end)| start < end) {
        parts.retain(|(start, end)| start < end);
    }
    parts
}

fn read(text: &[u8]) -> Option<Value> {
    let brackets = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if text.len() > LONGEST || brackets > 500 || text.contains(&b'&') {
        return None;
    }
    let value: Value = serde_yaml::from_slice(text).ok()?;
    (value.is_object() || value.is_array()).then_some(value)
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

fn at<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
    if *index == 0 {
        return Some(value);
    }
    *index -= 1;
    let children: Box<dyn Iterator<Item = &mut Value>> = match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(fields) => Box::new(fields.values_mut()),
        _ => return None,
    };
    for child in children {
        let size = count(child);
        if *index < size {
            return at(child, index);
        }
        *index -= size;
    }
    None
}

fn any(value: &Value, random: &mut Random) -> Value {
    let mut copy = value.clone();
    let mut index = random.below(count(value));
    at(&mut copy, &mut index).map(Value::take).unwrap_or_default()
}

fn change_value(root: &mut Value, donor: Option<&Value>, words: &[Vec<u8>], random: &mut Random) {
    let part = any(root, random);
    let mut index = random.below(count(root));
    let Some(value) = at(root, &mut index) else { return };
    if let Value::String(text) = value
        && text.contains(['{', '\n'])
        && !random.once_in(4)
        && let Some(mut inner) = read(text.as_bytes())
    {
        change_value(&mut inner, donor, words, random);
        *text = if random.once_in(2) {
            inner.to_string()
        } else {
            serde_yaml::to_string(&inner).unwrap_or_default()
        };
        return;
    }
    match random.below(14) {
        0 => *value = Value::Array(vec![value.take()]),
        1 => *value = Value::Object([(key(words, random), value.take())].into_iter().collect()),
        // a structure as a list, and the other way round
        2 => {
            *value = match value.take() {
                Value::Object(fields) => Value::Array(fields.into_iter().map(|(_, value)| value).collect()),
                Value::Array(items) => {
                    items.into_iter().enumerate().map(|(at, item)| (at.to_string(), item)).collect()
                }
                scalar => Value::Array(vec![Value::Null, scalar]),
            }
        }
        3 => {
            *value = match value.take() {
                Value::Object(fields) => {
                    fields.into_iter().next().map(|(_, value)| value).unwrap_or_default()
                }
                Value::Array(items) => items.into_iter().next().unwrap_or_default(),
                _ => Value::Null,
            }
        }
        4 => drop_child(value, random),
        5 => double_child(value, words, random),
        6 | 7 => rename_child(value, words, random),
        8 => *value = part,
        9 => {
            if let Some(donor) = donor {
                *value = any(donor, random);
            }
        }
        10 => {
            for _ in 0..[2, 20, 100][random.below(3)] {
                *value = Value::Array(vec![value.take()]);
            }
        }
        11 => {
            if let Value::Object(fields) = value {
                let part = donor.map_or(part, |donor| any(donor, random));
                fields.insert(key(words, random), part);
            } else {
                *value = scalar(value, words, random);
            }
        }
        _ => *value = scalar(value, words, random),
    }
}

fn key(words: &[Vec<u8>], random: &mut Random) -> String {
    words_text(words, random).trim_end_matches(':').to_owned()
}

fn drop_child(value: &mut Value, random: &mut Random) {
    match value {
        Value::Array(items) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        Value::Object(fields) => {
            if let Some(key) = fields.keys().nth(random.below(fields.len())).cloned() {
                fields.remove(&key);
            }
        }
        _ => *value = Value::Null,
    }
}

fn double_child(value: &mut Value, words: &[Vec<u8>], random: &mut Random) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let item = random.of(items).clone();
            for _ in 0..[1, 1, 1, 30][random.below(4)] {
                items.push(item.clone());
            }
        }
        Value::Object(fields) => {
            if let Some(child) = fields.values().nth(random.below(fields.len())).cloned() {
                fields.insert(key(words, random), child);
            }
        }
        _ => *value = Value::Array(vec![value.clone(), value.take()]),
    }
}

fn rename_child(value: &mut Value, words: &[Vec<u8>], random: &mut Random) {
    let Value::Object(fields) = value else {
        *value = scalar(value, words, random);
        return;
    };
    let Some(old) = fields.keys().nth(random.below(fields.len())).cloned() else { return };
    let child = fields.remove(&old).unwrap_or_default();
    let new = match random.below(4) {
        0 => old.to_uppercase(),
        1 => old + "s",
        _ => key(words, random),
    };
    fields.insert(new, child);
}

/// A scalar of another type, another size, or with something in it that a reader may stumble over.
fn scalar(old: &Value, words: &[Vec<u8>], random: &mut Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => Value::Bool(random.once_in(2)),
        2 => Value::from(random.below(70_000)),
        3 => Value::from(
            [-1, 0, 1, 255, 256, 65_535, 65_536, i64::from(i32::MAX), i64::MIN, i64::MAX][random.below(10)],
        ),
        4 => Value::from(u64::MAX),
        5 => Number::from_f64([0.1, -0.0, 1e300, 1e-300, 1.5, 4e18][random.below(6)]).into(),
        6 => Value::from(""),
        7 => Value::Array(Vec::new()),
        8 => Value::Object(Map::new()),
        9 => match old {
            Value::String(text) => text.parse::<i64>().map_or(Value::Null, Value::from),
            other => Value::from(other.to_string()),
        },
        10 => {
            let mut text = old.as_str().unwrap_or_default().to_owned();
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let odd = [
                "\n",
                "\u{1b}[2J",
                "\u{202e}",
                "\0",
                "\t",
                "/",
                "..",
                "../../x",
                " ",
                "=",
                "é",
                "\u{85}",
                ":",
                "%",
            ];
            text.insert_str(*random.of(&places), random.of(&odd));
            text.into()
        }
        11 => Value::from(old.as_str().unwrap_or("x").repeat([2, 20, 300][random.below(3)])),
        _ => words_text(words, random).into(),
    }
}
