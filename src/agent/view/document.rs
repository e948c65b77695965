//! JSON for scripts: each answer is one object that says in which form it is, and when it was made.

use std::time::SystemTime;

use crate::agent::model::time::format_timestamp;

/// Grows when a field goes or means something else; new fields are no reason.
const SCHEMA_VERSION: u32 = 1;

/// The answer. `content`: an object with a field at least, as JSON; or a list, which becomes the field `name`.
pub fn json_document(name: &str, content: &str, time: SystemTime) -> String {
    let head = format!("{{\"schema_version\":{SCHEMA_VERSION},\"time\":\"{}\",", format_timestamp(time));
    match content.strip_prefix('{') {
        Some(fields) => format!("{head}{fields}\n"),
        None => format!("{head}\"{name}\":{content}}}\n"),
    }
}

/// What could not be done, and why; or, with code 0, what was done.
pub fn outcome_document(code: u8, text: &str, time: SystemTime) -> String {
    let name = if code == 0 { "message" } else { "error" };
    let content = serde_json::json!({ "code": code, name: text.trim_end() });
    json_document(name, &content.to_string(), time)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_answer_says_its_form_and_time_whatever_it_is() {
        let read = |text: String| text.parse::<Value>().unwrap();
        let (time, epoch) = ("1970-01-01T00:00:00Z", SystemTime::UNIX_EPOCH);
        assert_eq!(
            read(json_document("", r#"{"name":"w"}"#, epoch)),
            json!({"schema_version": 1, "time": time, "name": "w"})
        );
        assert_eq!(
            read(json_document("metrics", "[]", epoch)),
            json!({"schema_version": 1, "time": time, "metrics": []})
        );
        assert_eq!(
            read(outcome_document(2, "there is no\n\"w\"\n", epoch)),
            json!({"schema_version": 1, "time": time, "code": 2, "error": "there is no\n\"w\""})
        );
        assert_eq!(read(outcome_document(0, "done\n", epoch))["message"], "done");
    }
}
