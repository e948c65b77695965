//! JSON as YAML takes it, too.

/// The same value in printable ASCII: YAML refuses some characters that JSON doesn't.
pub fn in_ascii(json: &str) -> String {
    let mut units = [0; 2];
    let escaped = |c: char| -> String {
        match c {
            ' '..='~' => c.into(),
            _ => c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        }
    };
    json.chars().map(escaped).collect()
}
