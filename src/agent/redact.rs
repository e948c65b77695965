//! Values of `Secret`s that stand in the texts of others: what containers print, what engines and servers answer. Every
//! such text passes here before it is kept, told or logged.
//!
//! Known are the lines of each value, as they are and as JSON and Go write them; whatever of a text is base64 is looked
//! into as well. Lines of less than four characters are not looked for: half of all words would be one.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::Value;

use super::model::workload::Content;

/// What stands in a text instead.
const MASK: &str = "(confidential)";
const MIN_SECRET_CHARS: usize = 4;
/// What is found of a value although the rest of it was cut off, at least.
const MIN_PARTIAL_MATCH: usize = 8;
/// Of a docker `config.json`, what isn't confidential.
const PUBLIC_AUTH_KEYS: [&str; 3] = ["username", "email", "serveraddress"];

/// How a word of a name ends that says that its value is confidential.
const SECRET_NAME_WORDS: [&str; 19] = [
    "KEY ",
    "KEYS ",
    "TOKEN ",
    "TOKENS ",
    "SECRET ",
    "SECRETS ",
    "PASSWORD ",
    "PASSWORDS ",
    "PASSWD ",
    "PASSPHRASE ",
    "PASS ",
    "PWD ",
    "PSK ",
    "AUTH ",
    "AUTHORIZATION ",
    "CREDS ",
    "CREDENTIAL ",
    "CREDENTIALS ",
    " PRIVATE ",
];
/// Last words of names whose values tell of what is confidential, and aren't.
const PUBLIC_NAME_ENDINGS: [&str; 8] =
    [" TTL ", " NAME ", " ID ", " TYPE ", " SIZE ", " URL ", " LEVEL ", " COUNT "];
const PATH_NAME_ENDINGS: [&str; 3] = [" FILE ", " PATH ", " DIR "];
/// What is learned of one document by names: each value is looked for in each text.
const MAX_NAMED_VALUES: usize = 64;

/// The values that are looked for.
#[derive(Debug, Default, PartialEq)]
pub struct Redactor(BTreeSet<SecretValue>);

/// Only to be compared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SecretValue(Box<str>);

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(MASK)
    }
}

impl Redactor {
    /// The values that these contents bring.
    pub fn of<'a>(contents: impl Iterator<Item = &'a Content>) -> Self {
        let mut redactor = Self::default();
        for content in contents {
            for name in content.secrets.secret_names() {
                for value in content.secrets.data_of(name).into_iter().flat_map(|data| data.values()) {
                    let text = value.as_str().unwrap_or_default();
                    redactor.add(&String::from_utf8_lossy(&read_base64(text.bytes())));
                }
            }
            if let Some(config) = content.auth.0.as_str() {
                redactor.add_leaves(&serde_json::from_str(config).unwrap_or_default());
            }
        }
        redactor
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values, for another process of the same user.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|SecretValue(value)| &**value)
    }

    /// Looks for these values.
    pub fn for_values<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        Self(values.map(|value| SecretValue(value.into())).collect())
    }

    /// Looks for what the other looks for, too.
    pub fn merge(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Looks for the values of this `Secret` too, as it is written.
    pub fn learn_secret(&mut self, secret: &Value) {
        let values =
            |key: &str| secret[key].as_object().into_iter().flatten().filter_map(|(_, it)| it.as_str());
        for text in values("data") {
            self.add(&String::from_utf8_lossy(&read_base64(text.bytes())));
        }
        values("stringData").for_each(|text| self.add(text));
    }

    /// Looks for what stands in plain text in this document, by a name that says that it is confidential: as a variable of
    /// a container, or in a ConfigMap. False: that is too much, and isn't looked for as a whole.
    pub fn learn_named_values(&mut self, document: &Value) -> bool {
        let mut named = Self::default();
        named.add_all_named(document);
        let is_whole = named.0.len() <= MAX_NAMED_VALUES;
        self.0.extend(named.0.iter().take(MAX_NAMED_VALUES).cloned());
        is_whole
    }

    fn add_all_named(&mut self, document: &Value) {
        let fields = match document {
            Value::Array(items) => return items.iter().for_each(|item| self.add_all_named(item)),
            Value::Object(fields) => fields,
            _ => return,
        };
        self.add_named(document["name"].as_str().unwrap_or_default(), &to_plain_text(&document["value"]));
        for (key, value) in fields {
            if let ("data" | "binaryData", Some(data)) = (key.as_str(), value.as_object()) {
                for (name, value) in data {
                    let text = to_plain_text(value);
                    let bytes = if key == "data" { text.into() } else { read_base64(text.bytes()) };
                    self.add_named(name, &String::from_utf8_lossy(&bytes));
                }
            }
            // of a container as it was made
            if let ("Env", Some(pairs)) = (key.as_str(), value.as_array()) {
                for (name, text) in pairs.iter().filter_map(|it| it.as_str()?.split_once('=')) {
                    self.add_named(name, text);
                }
            }
            self.add_all_named(value);
        }
    }

    fn add_named(&mut self, name: &str, text: &str) {
        let words = normalize_name(name);
        let ends = |last: &[&str]| last.iter().any(|it| words.ends_with(it));
        // a switch or a path is told of all over
        let is_path = text.starts_with('/') && !text.contains(['+', '=']) && ends(&PATH_NAME_ENDINGS);
        let is_plain = matches!(text, "true" | "false" | "null") || is_path || ends(&PUBLIC_NAME_ENDINGS);
        if !is_plain && SECRET_NAME_WORDS.iter().any(|it| words.contains(it)) {
            let bearer = text.strip_prefix("Bearer ").unwrap_or(text);
            self.add_leaves(&bearer.strip_prefix("Basic ").unwrap_or(bearer).into());
        }
    }

    /// Whether something of this document's texts and numbers is looked for.
    pub fn finds(&self, document: &Value) -> bool {
        match document {
            Value::Array(items) => items.iter().any(|item| self.finds(item)),
            Value::Object(fields) => {
                fields.iter().any(|(key, value)| self.finds(&key.as_str().into()) || self.finds(value))
            }
            _ => matches!(self.redact(&to_plain_text(document)), Cow::Owned(_)),
        }
    }

    fn add(&mut self, value: &str) {
        for line in value.lines().map(str::trim).filter(|line| line.chars().count() >= MIN_SECRET_CHARS) {
            let quoted = Value::from(line).to_string();
            let quoted = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default();
            self.0.extend([line, quoted].map(|text| SecretValue(text.into())));
        }
        if value.trim_start().starts_with(['{', '[']) {
            self.add_leaves(&serde_json::from_str(value).unwrap_or_default());
        }
    }

    /// What stands in a JSON document that is confidential as a whole.
    fn add_leaves(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.add(text);
                // `user:password`
                let login = String::from_utf8(read_base64(text.bytes())).unwrap_or_default();
                if let Some((_, password)) = login.split_once(':') {
                    self.add(password);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.add_leaves(item)),
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(key, _)| !PUBLIC_AUTH_KEYS.contains(&key.as_str()));
                fields.for_each(|(_, value)| self.add_leaves(value));
            }
            _ => {}
        }
    }

    /// The text without them.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.is_empty() {
            return text.into();
        }
        let mut spans = self.find_base64_spans(text);
        for SecretValue(value) in &self.0 {
            spans.extend(text.match_indices(&**value).map(|(at, found)| (at, at + found.len())));
            spans.extend(find_truncated_value(text, value));
        }
        if spans.is_empty() {
            return text.into();
        }
        spans.sort_unstable();
        let (mut shown, mut done) = (String::new(), 0);
        for (from, to) in spans {
            // (what overlaps is one)
            if from > done || done == 0 {
                shown.push_str(&text[done..from.max(done)]);
                shown.push_str(MASK);
            }
            done = done.max(to);
        }
        shown.push_str(&text[done..]);
        shown.into()
    }

    /// The runs of base64 that hold a value or a part of one, wherever in the run it begins.
    fn find_base64_spans(&self, text: &str) -> Vec<(usize, usize)> {
        let mut spans = Vec::new();
        let mut from = 0;
        for run in text.split(|c: char| !c.is_ascii() || base64_digit(c as u8).is_none()) {
            let to = from + run.len();
            let is_secret = |skipped: usize| {
                let bytes = read_base64(run.bytes().skip(skipped));
                self.contains_value(&String::from_utf8_lossy(&bytes))
            };
            // four digits of it are three bytes: with fewer than six it is no value
            if run.len() >= 6 && (0..4).any(is_secret) {
                spans.push((from, to));
            }
            from = to + text[to..].chars().next().map_or(0, char::len_utf8);
        }
        spans
    }

    fn contains_value(&self, text: &str) -> bool {
        text.lines().any(|line| {
            let is_part = line.len() >= MIN_PARTIAL_MATCH;
            self.0.iter().any(|SecretValue(value)| line.contains(&**value) || is_part && value.contains(line))
        })
    }
}

/// A value that the end of the text cuts off, and where.
fn find_truncated_value(text: &str, value: &str) -> Option<(usize, usize)> {
    let whole = text.trim_end_matches(['…', '.']);
    let begin = value.char_indices().nth(MIN_PARTIAL_MATCH).map(|(at, _)| &value[..at])?;
    let mut starts = whole.match_indices(begin).map(|(at, _)| at);
    let from = starts.find(|at| value.starts_with(&whole[*at..]))?;
    Some((from, whole.len()))
}

/// A text as it is, and all else as JSON.
fn to_plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The words of a name, in capitals between spaces.
fn normalize_name(name: &str) -> String {
    let (mut words, mut was_small) = (" ".to_owned(), false);
    for c in name.chars() {
        if was_small && c.is_ascii_uppercase() {
            words.push(' ');
        }
        was_small = c.is_ascii_lowercase();
        words.push(if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { ' ' });
    }
    words + " "
}

fn base64_digit(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    }))
}

/// Both alphabets, with and without padding, and perhaps with half a byte left over.
fn read_base64(digits: impl Iterator<Item = u8>) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0, 0, Vec::new());
    for value in digits.filter_map(base64_digit) {
        bits = (bits << 6 | value) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, Engine as _};
    use serde_json::json;

    use super::*;
    use crate::agent::{model::confidential::Confidential, tests::workload};

    fn knowing(values: &[&str]) -> Redactor {
        let data: serde_json::Map<_, _> = values
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), BASE64_STANDARD.encode(value).into()))
            .collect();
        let mut content = workload("w", 1).content;
        content.secrets = Confidential(json!({ "s": data }));
        Redactor::of([&content].into_iter())
    }

    #[test]
    fn a_value_is_left_out_as_it_is_and_quoted() {
        let redactor = knowing(&["hunter2", "a\"b\\c\td"]);
        assert_eq!(
            redactor.redact("exit code 1: hunter2 hunter2!"),
            "exit code 1: (confidential) (confidential)!"
        );
        assert_eq!(redactor.redact(r#"{"x":"a\"b\\c\td"}"#), r#"{"x":"(confidential)"}"#);
        assert!(matches!(redactor.redact("nothing of it"), Cow::Borrowed(_)));
        assert_eq!(format!("{redactor:?}").matches("hunter").count(), 0);
    }

    #[test]
    fn so_is_each_line_of_it() {
        let redactor = knowing(&["-----BEGIN KEY-----\nMIIEvQIBADAN\r\n-----END KEY-----\n"]);
        assert_eq!(redactor.redact("bad key: MIIEvQIBADAN"), "bad key: (confidential)");
        assert_eq!(redactor.redact("a\nMIIEvQIBADAN\nb"), "a\n(confidential)\nb");
    }

    #[test]
    fn so_is_its_base64_wherever_it_begins() {
        let redactor = knowing(&["hunter2", "über?>~~", "k3y!"]);
        for value in ["hunter2", "hunter2\n", "joe:hunter2", "jo:hunter2", "j:hunter2", "über?>~~", "k3y!"] {
            for text in [
                BASE64_STANDARD.encode(value),
                BASE64_STANDARD_NO_PAD.encode(value),
                BASE64_URL_SAFE.encode(value),
                format!("Basic {}", BASE64_STANDARD.encode(value)),
            ] {
                let shown = redactor.redact(&text).into_owned();
                assert!(shown.contains(MASK) && shown.len() < MASK.len() + 9, "{value}: {text} is {shown}");
            }
        }
        let long = "0123456789".repeat(20);
        let redactor = knowing(&[&long]);
        for line in BASE64_STANDARD.encode(&long).as_bytes().chunks(76) {
            assert_eq!(redactor.redact(std::str::from_utf8(line).unwrap()).trim_end_matches('='), MASK);
        }
        assert_eq!(
            redactor.redact("plain words, and Nothing else/there"),
            "plain words, and Nothing else/there"
        );
    }

    #[test]
    fn so_is_what_a_cut_leaves_of_it() {
        let redactor = knowing(&["correct horse battery staple"]);
        assert_eq!(redactor.redact("said: correct horse b…"), "said: (confidential)…");
        assert_eq!(redactor.redact("said: correct"), "said: correct");
    }

    #[test]
    fn short_lines_are_no_secrets() {
        assert!(knowing(&["no", "1", "abc\n", ""]).is_empty());
        assert_eq!(knowing(&["abcd"]).redact("abcde"), "(confidential)e");
    }

    #[test]
    fn credentials_of_registries_are_left_out_and_their_names_are_not() {
        let mut content = workload("w", 1).content;
        let config = json!({ "auths": {
            "registry.example": { "auth": BASE64_STANDARD.encode("joe:hunter2") },
            "other.example": { "username": "jane", "password": "hunter3" },
        }});
        content.auth = Confidential(config.to_string().into());
        let redactor = Redactor::of([&content].into_iter());
        let said = format!("other.example: jane:hunter3, hunter2, {}", BASE64_STANDARD.encode("joe:hunter2"));
        let shown = "other.example: jane:(confidential), (confidential), (confidential)";
        assert_eq!(redactor.redact(&said).trim_end_matches('='), shown);
    }

    #[test]
    fn so_is_what_stands_in_plain_text_by_a_name_that_tells() {
        let env = json!([
            {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "Api-Token", "value": 123_456},
            {"name": "USE_TOKEN", "value": "true"}, {"name": "KEY_FILE", "value": "/etc/key"},
            {"name": "dbPwd", "value": "/slash+ed="}, {"name": "PGPASSWORD", "value": "/slashed"},
            {"name": "apiKeys", "value": "{\"a\": \"in-json\"}"}, {"name": "Authorization", "value": "Bearer of-a-probe"},
            {"name": "KEYCLOAK_LOGLEVEL", "value": "INFO"}, {"name": "TOKEN_TTL", "value": 3600},
            {"name": "SECRET_NAME", "value": "its-name"},
            {"name": "COLOUR", "value": "orange"}, {"name": "SECRET", "valueFrom": {"secretKeyRef": {"key": "password"}}},
        ]);
        let map = json!({"kind": "ConfigMap", "data": {"db_pass": "swordfish", "size": "large", "token.json": "{}",
            "keyboard.conf": "layout"}, "binaryData": {"psk": BASE64_STANDARD.encode("of-wifi"), "logo": "AAAAAAAA"}});
        let made = json!({"Env": ["MY_SECRET=made=with", "HOME=/root", "PATH=/bin"]});
        let mut redactor = Redactor::default();
        assert!(
            redactor
                .learn_named_values(&json!({"items": [{"spec": {"containers": [{"env": env}]}}, map, made]}))
        );
        let expected = [
            "/slash+ed=",
            "/slashed",
            "123456",
            "hunter2",
            "in-json",
            "made=with",
            "of-a-probe",
            "of-wifi",
            "swordfish",
            r#"{"a": "in-json"}"#,
            r#"{\"a\": \"in-json\"}"#,
        ];
        assert_eq!(redactor.values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn of_a_document_with_more_than_can_be_looked_for_only_some_is() {
        let lines = |count: usize| (0..count).map(|n| format!("line-{n:05}\n")).collect::<String>();
        for (count, is_whole) in [(64, true), (65, false), (50_000, false)] {
            let mut redactor = Redactor::default();
            assert_eq!(redactor.learn_named_values(&json!({"data": {"keys": lines(count)}})), is_whole);
            assert_eq!(redactor.values().count(), 64);
        }
    }

    #[test]
    fn values_that_overlap_are_one() {
        assert_eq!(
            knowing(&["abcdef", "defghi"]).redact("abcdefghi-abcdef"),
            "(confidential)-(confidential)"
        );
    }
}
