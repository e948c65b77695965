//! The body of a post: one `{"name": "cpu", "value": 20}`, or an array of them.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

use crate::agent::Sample;
use crate::wire::{own::frames::check_name, strict::StreamedMapping};

#[derive(Deserialize)]
struct RawSample<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    // A field read by a function has to be there: only a written `null` unsets.
    #[serde(deserialize_with = "number_or_null")]
    value: Option<f64>,
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(deserializer)
}

/// Reads a body.
///
/// # Errors
/// A sentence for the client.
pub(super) fn read(body: &[u8]) -> Result<Vec<Sample>, String> {
    // of what isn't looked at serde_json takes any bytes
    let body = str::from_utf8(body).map_err(|error| format!("no UTF-8: {error}"))?;
    // Not an untagged enum, which would say only that neither form fits.
    let raw = match body.trim_ascii_start().as_bytes().first() {
        None => return Err(r#"no body: expected {"name": "cpu", "value": 20}, or an array of such"#.into()),
        Some(b'[') => serde_json::from_str::<Vec<StreamedMapping<RawSample<'_>>>>(body),
        Some(_) => serde_json::from_str::<StreamedMapping<RawSample<'_>>>(body).map(|one| vec![one]),
    };
    // serde quotes what it found, however long that is.
    raw.map_err(|error| error.to_string().chars().take(200).collect::<String>())?
        .into_iter()
        .map(check_sample)
        .collect()
}

fn check_sample(
    StreamedMapping(RawSample { name, value }): StreamedMapping<RawSample<'_>>,
) -> Result<Sample, String> {
    check_name(&name).map_err(|reason| match name.len() {
        0..=64 => format!("name {name:?} {reason}"),
        _ => format!("a name {reason}"),
    })?;
    if value.is_some_and(|value| !value.is_finite()) {
        return Err(format!("value of {name:?} is not finite"));
    }
    Ok(Sample { name: name.into_owned(), value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(body: &str) -> Result<Vec<(String, Option<f64>)>, String> {
        read(body.as_bytes()).map(|all| all.into_iter().map(|s| (s.name, s.value)).collect())
    }

    #[test]
    fn one_sample_and_many_are_read() {
        assert_eq!(pairs(r#"{"value":20,"name":"cpu"}"#).unwrap(), [("cpu".into(), Some(20.0))]);
        let many = pairs(r#" [{"name":"a","value":-1.5e3},{"name":"%b","value":null,"unit":{"x":[]}}]"#);
        assert_eq!(many.unwrap(), [("a".into(), Some(-1500.0)), ("%b".into(), None)]);
        assert_eq!(pairs("[]").unwrap(), []);
        assert_eq!(pairs(r#"{"name":"\u0061","value":1}"#).unwrap(), [("a".into(), Some(1.0))]);
    }

    #[test]
    fn what_is_no_sample_is_refused_with_the_reason() {
        for (body, reason) in [
            ("", "no body"),
            ("cpu=20", "expected value at line 1 column 1"),
            (r#"{"name":"cpu"}"#, "missing field `value`"),
            (r#"{"value":1}"#, "missing field `name`"),
            (r#"{"name":"cpu","value":"20"}"#, "invalid type: string"),
            (r#"{"name":"cpu","value":true}"#, "invalid type: boolean"),
            (r#"{"name":"cpu","value":1e999}"#, "number out of range"),
            (r#"{"name":"cpu","value":NaN}"#, "expected value"),
            (r#"{"name":"cpu","value":1} x"#, "trailing characters"),
            (r#"{"name":"c pu","value":1}"#, "name \"c pu\" is not of letters"),
            (r#"{"name":"","value":1}"#, "is empty"),
            (r#"{"name":"nil","value":1}"#, "means 'unset'"),
            (r#"[{"name":"a","value":1},{"name":"1a","value":1}]"#, "\"1a\""),
            (&format!(r#"{{"name":"{}","value":1}}"#, "a".repeat(129)), "longer than 128 bytes"),
            (&format!(r#"{{"name":"a","value":1,"x":{}"#, "[".repeat(60_000)), "EOF while parsing"),
            (&format!(r#"{{"name":"a","value":"{}"}}"#, "x".repeat(60_000)), "invalid type"),
            (r#"[["a",1]]"#, "expected a mapping"),
            (r#"[{"name":"a","value":1},["a",1]]"#, "expected a mapping"),
            ("\u{feff}{}", "expected value"),
        ] {
            let error = pairs(body).unwrap_err();
            assert!(error.len() < 300, "{body:.80}");
            assert!(error.contains(reason) && !error.contains('\n'), "{body:.80}: {error}");
        }
        let error = read(b"{\"name\":\"a\",\"value\":1,\"x\":\"\xbe\"}").unwrap_err();
        assert!(error.starts_with("no UTF-8: "), "{error}");
    }
}
