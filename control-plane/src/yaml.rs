//! YAML as the edge API writes it: keys sorted, sequences not indented, and whatever a YAML 1.1 reader could take for
//! something else than text in double quotes. (serde_yaml writes `yes` and `12:30` bare, and podman would take them for
//! a boolean and a number.)

use serde_json::Value;

/// The value as a document.
pub(crate) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(&mut text, value, 0);
    text
}

/// Begins where a key's colon, a dash or the document left the cursor: at the start of a line when `depth` says so.
fn block(out: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            // (serde_json's map is sorted)
            for (n, (key, value)) in map.iter().enumerate() {
                if n > 0 {
                    out.push_str(&indent);
                }
                out.push_str(&scalar(key));
                out.push(':');
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        out.push_str(&format!("\n{indent}  "));
                        block(out, value, depth + 1);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push_str(&format!("\n{indent}"));
                        block(out, value, depth);
                    }
                    _ => leaf(out, value, depth + 1),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push_str(&indent);
                }
                out.push('-');
                if is_leaf(item) {
                    leaf(out, item, depth + 1);
                } else {
                    out.push(' ');
                    block(out, item, depth + 1);
                }
            }
        }
        _ => out.push_str(&format!("{}\n", inline(value))),
    }
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// After a colon or a dash, to the end of the line; text of several lines as a literal block.
fn leaf(out: &mut String, value: &Value, depth: usize) {
    if let Value::String(text) = value
        && let Some(body) = text.strip_suffix('\n')
        && body.contains('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && !body.ends_with('\n')
        && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        out.push_str(" |\n");
        for line in body.split('\n') {
            if !line.is_empty() {
                out.push_str(&"  ".repeat(depth));
            }
            out.push_str(&format!("{line}\n"));
        }
    } else {
        out.push_str(&format!(" {}\n", inline(value)));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Bare only what can't be misread.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '/';
    let fine = |c: char| letter(c) || c.is_ascii_digit() || "-.=+,@ ".contains(c);
    // `-c` and `--option` are words, `200m` and `64Mi` quantities; `-` and `64` are something else.
    let head = text.strip_prefix("--").or_else(|| text.strip_prefix('-')).unwrap_or(text);
    let number = text.trim_end_matches(|c: char| "mkKMGTi".contains(c));
    let quantity = number.len() < text.len() && number.bytes().all(|byte| byte.is_ascii_digit());
    // `localhost/image:1`: a colon within a word is part of it
    let words =
        text.split(':').all(|part| !part.is_empty() && !part.starts_with(' ') && !part.ends_with(' '));
    let bare = (head.starts_with(letter) || quantity)
        && words
        && text.chars().all(|c| fine(c) || c == ':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if bare { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::write;

    #[test]
    fn a_pod_looks_as_go_writes_it() {
        let pod = json!({"containers": [{
            "name": "main", "command": ["/bin/sleep", "1000"], "resources": {},
            "image": "localhost/busybox:test", "env": [{"name": "A", "value": "yes"}],
        }]});
        assert_eq!(
            write(&pod),
            "containers:\n- command:\n  - /bin/sleep\n  - \"1000\"\n  env:\n  - name: A\n    value: \"yes\"\n  \
             image: localhost/busybox:test\n  name: main\n  resources: {}\n"
        );
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let texts = [
            "",
            " ",
            "a b ",
            "yes",
            "~",
            "12:30",
            "0x1",
            "1e3",
            "- x",
            "a: b",
            "a #b",
            "#",
            "é",
            "x\ny",
            "x\ny\n",
            "x\n\n  y\n",
            "\nx\n",
            " x\ny\n",
            "x\n\n",
            "tab\t",
            "\u{7}",
            "'",
            "\"",
            "{}",
            "a:",
            ":a",
            "=",
            "/bin/sh -c",
            "-c",
            "--x",
            "---",
            "-",
            "-1",
            "-.inf",
            "200m",
            "64Mi",
            "m",
            "64",
            "1i",
            "0k",
            "1.5m",
            "--",
            "x\n---\ny\n",
            "true",
            "NaN",
            "on",
            "x,y",
            "key=value",
            "@x",
            "%",
            "!x",
            "&x",
            "*x",
            "x\r\ny\n",
        ];
        for text in texts {
            let value =
                json!({"a": {text: [text, {"b": text}, [text, [text]], {}, []]}, "z": null, "n": -1.5});
            let written = write(&value);
            let read: serde_json::Value =
                serde_yaml::from_str(&written).unwrap_or_else(|error| panic!("{text:?}: {error}\n{written}"));
            assert_eq!(read, value, "{written}");
        }
    }
}
