//! A file of manifests as people elsewhere may see it: without its Secrets.

use std::fmt::Write;

use serde_json::Value;

use crate::{
    agent::redact::Redactor,
    wire::{podspec::nearest::nearest_word, yaml},
};

/// Looks for what these documents have that is confidential.
pub fn learn_secrets(stream: &[u8], redactor: &mut Redactor) {
    for chunk in yaml::split_documents(stream) {
        let document = yaml::parse(&String::from_utf8_lossy(chunk.text)).unwrap_or_default();
        contains_secret_document(&document, &mut |it| redactor.learn_secret(it));
        redactor.learn_named_values(&document);
    }
}

/// The file as it is written without what is looked for, but for the documents that hold a Secret, can't be read, have more
/// of it than is looked for, or spell it in a way of their own.
pub fn redact_manifests(stream: &[u8], redactor: &Redactor) -> String {
    let mut shown = String::new();
    for chunk in yaml::split_documents(stream) {
        let text = String::from_utf8_lossy(chunk.text);
        let text = match yaml::parse(&text) {
            Ok(document) if contains_secret_document(&document, &mut |_| {}) => {
                let name = document["metadata"]["name"].as_str().unwrap_or_default();
                format!("---\n# left out: the Secret '{name}'")
            }
            Ok(document) => {
                let text = redactor.redact(&text);
                let is_whole = Redactor::default().learn_named_values(&document);
                match yaml::parse(&text) {
                    Ok(cut) if is_whole && !redactor.finds(&cut) => text.into_owned(),
                    _ => "---\n# left out: what is confidential in this can't be cut out".to_owned(),
                }
            }
            Err(_) => "---\n# left out: this can't be read".to_owned(),
        };
        let _ = writeln!(shown, "{}", text.trim_end());
    }
    shown
}

/// Whether it is one, or is meant to be, or is a list of which one is part.
fn contains_secret_document(document: &Value, hear: &mut dyn FnMut(&Value)) -> bool {
    let kind = document["kind"].as_str().unwrap_or_default();
    let is_one = nearest_word(kind, ["Secret"].into_iter()).is_some() || document.get("stringData").is_some();
    if is_one {
        hear(document);
    }
    let items = document["items"].as_array().into_iter().flatten();
    // each is told of
    items.filter(|item| contains_secret_document(item, hear)).count() > 0 || is_one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_with_secrets_are_left_out_and_others_stay_as_they_are() {
        let other = "# mine\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v} # why\n";
        let secret = "kind: Secret\nmetadata: {name: s}\nstringData: {k: hunter2}\n";
        let list = "kind: List\nitems:\n- kind: ConfigMap\n- kind: Secret\n  data: {k: aHVudGVyMg==}\n";
        let slip = "kind: secrets\nmetadata: {name: t}\ndata: {k: aHVudGVyMg==}\n";
        let broken = "kind: Secret\n\tdata: {k: aHVudGVyMg==}\n";
        let all = [other, secret, list, slip, broken, other].join("---\n");
        let mut redactor = Redactor::default();
        learn_secrets(all.as_bytes(), &mut redactor);
        let shown = redact_manifests(all.as_bytes(), &redactor);
        assert_eq!(
            shown,
            format!(
                "{other}---\n# left out: the Secret 's'\n---\n# left out: the Secret ''\n---\n# left out: the Secret 't'\n\
                 ---\n# left out: this can't be read\n---\n{other}"
            )
        );
        assert_eq!(redactor.values().collect::<Vec<_>>(), ["hunter2"]);
    }

    #[test]
    fn a_value_that_is_spelled_otherwise_leaves_its_document_out() {
        let left_out = "---\n# left out: what is confidential in this can't be cut out\n";
        let many: String = (0..65).map(|n| format!("    line-{n}\n")).collect();
        for (text, expected) in [
            ("data: {password: hunter2, a: b} # why\n", "data: {password: (confidential), a: b} # why\n"),
            (r#"{"data": {"password": 123456}}"#, "{\"data\": {\"password\": (confidential)}}\n"),
            ("data: {password: 'it''s-my-pw'}\n", left_out),
            (r#"data: {password: "pa\x73sword1"}"#, left_out),
            ("data:\n  password: >-\n    folded\n    words\n", left_out),
            (r#"{"data": {"password": "a\u0026bcd"}}"#, left_out),
            ("env: [{name: PIN_TOKEN, value: 0x1E240}]\n", left_out),
            (&format!("data:\n  password: |\n{many}"), left_out),
        ] {
            let mut redactor = Redactor::default();
            learn_secrets(text.as_bytes(), &mut redactor);
            assert_eq!(redact_manifests(text.as_bytes(), &redactor), expected, "{text}");
        }
    }
}
