//! Values of a device in the texts of a workload's pod: `${device.name}`, `${device.namespace}`, `${device.labels.KEY}`
//! and `${device.annotations.KEY}`. No logic and no defaults: what is missing keeps the workload back. No shell has
//! variables with a dot, so that nothing else is meant by it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::known::Known;

const OPEN: &str = "${device.";

/// What the pod names, each once.
pub(crate) fn named(pod: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    each_text(pod, &mut |text| {
        for rest in text.split(OPEN).skip(1) {
            names.extend(rest.split_once('}').map(|(name, _)| name.to_owned()));
        }
    });
    names
}

fn each_text(value: &Value, look: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, look)),
        Value::Object(fields) => fields.values().for_each(|value| each_text(value, look)),
        _ => {}
    }
}

/// Whether there is such a value at all, whatever the device.
///
/// # Errors
/// What there is.
pub(crate) fn check(name: &str) -> Result<(), String> {
    let is_one =
        ["labels.", "annotations."].iter().any(|of| name.strip_prefix(of).is_some_and(|key| !key.is_empty()));
    match is_one || ["name", "namespace"].contains(&name) {
        true => Ok(()),
        false => Err(format!(
            "{OPEN}{name}}}: there are name, namespace, labels.KEY and annotations.KEY of a device"
        )),
    }
}

/// What the device has for it.
///
/// # Errors
/// That it has none.
pub(crate) fn of<'a>(known: &'a Known, name: &str) -> Result<&'a str, String> {
    check(name)?;
    let found = match name.split_once('.') {
        Some(("labels", key)) => known.labels.get(key).map(String::as_str),
        Some((_, key)) => known.annotations.get(key).map(String::as_str),
        None if name == "name" => Some(known.name.as_str()),
        None => Some(known.namespace.as_str()),
    };
    found.ok_or_else(|| format!("the device has no {OPEN}{name}}}"))
}

/// The pod with these values in it.
pub(crate) fn fill(pod: &mut Value, values: &[(String, String)]) {
    match pod {
        Value::String(text) if text.contains(OPEN) => *text = filled(text, values),
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, values)),
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, values)),
        _ => {}
    }
}

/// In one pass: a value that looks like a name is a value.
fn filled(text: &str, values: &[(String, String)]) -> String {
    let mut parts = text.split(OPEN);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let known = part.split_once('}').and_then(|(name, rest)| {
            values.iter().find(|(known, _)| known == name).map(|(_, value)| (value, rest))
        });
        match known {
            Some((value, rest)) => all.extend([value.as_str(), rest]),
            None => all.extend([OPEN, part]),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check, fill, named};

    #[test]
    fn names_are_filled_in_once_and_what_is_none_stays() {
        let mut pod =
            json!({"a": ["x-${device.name}-${device.labels.a/b}", "${device.name", "$(X) ${X}"], "n": 1});
        assert_eq!(named(&pod).into_iter().collect::<Vec<_>>(), ["labels.a/b", "name"]);
        let values = [("name", "${device.labels.a/b}"), ("labels.a/b", "v")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fill(&mut pod, &values);
        assert_eq!(pod, json!({"a": ["x-${device.labels.a/b}-v", "${device.name", "$(X) ${X}"], "n": 1}));
    }

    #[test]
    fn other_names_are_refused() {
        assert!(["name", "namespace", "labels.x", "annotations.a/b"].iter().all(|name| check(name).is_ok()));
        assert!(["", "labels", "labels.", "spec.x", "names"].iter().all(|name| check(name).is_err()));
    }
}
