//! Text of others made fit to be shown: names, what engines and servers say, what containers print. None of it may
//! move a cursor, turn the direction of writing, hide, or look like a line of the agent's own.
//!
//! What is left out is shown by its number, as JSON writes it: JSON stays the same JSON.

use std::borrow::Cow;

/// Of one line, in bytes.
const MAX_LINE_BYTES: usize = 4096;
/// What a line of the agent's own begins with that goes on where another one ended.
const INDENT: &str = "    ";

/// Controls, and what can't be seen but changes how the rest is.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether it can be shown as it is.
fn is_legible(text: &str) -> bool {
    !text.contains(is_hidden)
}

fn push_escaped(shown: &mut String, c: char) {
    if is_hidden(c) {
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
    } else {
        shown.push(c);
    }
}

/// What is meant to be a URL, without the name and password in it.
pub fn without_login(url: &str) -> Cow<'_, str> {
    let from = url.find("//").map_or(0, |at| at + 2);
    match url.rfind('@') {
        Some(to) if to >= from && (from > 0 || !url.starts_with('/')) => {
            format!("{}(confidential){}", &url[..from], &url[to..]).into()
        }
        _ => url.into(),
    }
}

/// The same for all URLs in a text.
fn without_logins(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::from(text);
    let mut from = 0;
    while let Some(at) = shown[from..].find("://") {
        from += at + 3;
        let ends = |c: char| c.is_whitespace() || "/?#'\"`<>\\".contains(c);
        let to = shown[from..].find(ends).map_or(shown.len(), |length| from + length);
        if let Some(at) = shown[from..to].rfind('@') {
            shown.to_mut().replace_range(from..from + at, "(confidential)");
        }
    }
    shown
}

/// One line, and not a long one.
pub fn sanitize_line(text: &str) -> Cow<'_, str> {
    let text = without_logins(text);
    if text.len() <= MAX_LINE_BYTES && is_legible(&text) {
        return text;
    }
    let mut shown = String::new();
    for c in text.trim_end_matches(['\n', '\r']).chars() {
        push_escaped(&mut shown, if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c });
        if shown.len() > MAX_LINE_BYTES {
            shown.push('…');
            break;
        }
    }
    shown.into()
}

/// The lines of a message: what doesn't go on as the agent's own do is part of the line before.
pub fn sanitize_message(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return sanitize_line(text);
    }
    let mut parts = text.trim_end().split('\n');
    let mut lines = vec![parts.next().unwrap_or_default().to_owned()];
    for part in parts {
        match lines.last_mut() {
            Some(last) if !part.starts_with(INDENT) => *last = format!("{last} {part}"),
            _ => lines.push(part.to_owned()),
        }
    }
    lines.iter().map(|text| sanitize_line(text)).collect::<Vec<_>>().join("\n").into()
}

/// What the agent has put together of many lines, for a terminal.
pub fn sanitize_page(text: &str) -> Cow<'_, str> {
    let text = without_logins(text);
    let is_fine = |c: char| c == '\n' || !is_hidden(c);
    if text.chars().all(is_fine) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' { shown.push(c) } else { push_escaped(&mut shown, c) }
    }
    shown.into()
}

/// A line that a program printed, of any length. Its colours are left out, and its tabs are blanks.
pub fn sanitize_output_line(line: &str) -> Cow<'_, str> {
    if is_legible(line) {
        return line.into();
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line.trim_end_matches('\r');
    while let Some(at) = rest.find(['\x1b', '\t', '\r']) {
        plain.push_str(&rest[..at]);
        let colour = rest[at..].strip_prefix("\x1b[").and_then(|code| {
            let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            code[end..].strip_prefix('m')
        });
        rest = match (colour, rest[at..].strip_prefix('\x1b')) {
            (Some(after), _) => after,
            (None, Some(after)) => {
                push_escaped(&mut plain, '\x1b');
                after
            }
            _ => {
                plain.push_str("  ");
                &rest[at + 1..]
            }
        };
    }
    plain.push_str(rest);
    sanitize_page(&plain.replace('\n', " ")).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_printed_has_no_colours_and_moves_no_cursor() {
        assert_eq!(sanitize_output_line("\x1b[1;32minfo\x1b[0m a\tb\r"), "info a  b");
        assert_eq!(sanitize_output_line("\x1b[2Jgone\x1b[31"), "\\u001b[2Jgone\\u001b[31");
        assert_eq!(sanitize_output_line("100%\r\u{202e}txt"), "100%  \\u202etxt");
        assert!(matches!(sanitize_output_line("größer als 3 °C"), Cow::Borrowed(_)));
    }

    #[test]
    fn what_could_forge_a_line_or_move_a_cursor_is_shown_by_its_number() {
        assert_eq!(sanitize_line("a\n[ERROR] b\r\n"), "a [ERROR] b");
        assert_eq!(
            sanitize_line("\x1b[31mred\x07\u{202e}txt.\u{200b}\u{9b}"),
            "\\u001b[31mred\\u0007\\u202etxt.\\u200b\\u009b"
        );
        assert_eq!(sanitize_line("\u{e0041}"), "\\udb40\\udc41");
        assert!(matches!(sanitize_line("größer als 3 °C, 温度"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_has_an_end() {
        let long = sanitize_line(&"ä".repeat(10_000)).into_owned();
        assert!(long.len() < MAX_LINE_BYTES + 8 && long.ends_with('…'));
    }

    #[test]
    fn only_the_agents_own_lines_go_on() {
        let caret = "condition 'c': column 4: a number is missing\n    x <\n       ^";
        assert_eq!(sanitize_message(caret), caret);
        assert_eq!(sanitize_message("failed: a\nb\n  c\n"), "failed: a b   c");
    }

    #[test]
    fn a_login_in_a_url_is_not_shown() {
        assert_eq!(
            sanitize_line("failed: http://joe:pw@host:1/a@b, https://x@y"),
            "failed: http://(confidential)@host:1/a@b, https://(confidential)@y"
        );
        assert_eq!(sanitize_line("https://host/a@sha256:1"), "https://host/a@sha256:1");
        for url in ["http://joe:p/w@host:3128", "http//joe:pw@host", "joe:p@w@host:3128"] {
            let shown = without_login(url);
            assert!(!shown.contains("joe") && shown.contains("@host"), "{shown}");
        }
        assert_eq!(without_login("/srv/joe@host"), "/srv/joe@host");
        assert_eq!(without_login("//joe:secret@host"), "//(confidential)@host");
    }

    #[test]
    fn json_stays_the_same_json() {
        let json = serde_json::to_string(&["\u{202e}\u{7f}\u{e0041}\n"]).unwrap();
        let shown = sanitize_page(&json);
        assert!(shown.is_ascii(), "{shown}");
        let back: Vec<String> = serde_json::from_str(&shown).unwrap();
        assert_eq!(back, ["\u{202e}\u{7f}\u{e0041}\n"]);
        assert_eq!(sanitize_page("a\nb\x1b\n"), "a\nb\\u001b\n");
    }
}
