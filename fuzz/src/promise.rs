//! What holds for every text that a reader makes of foreign bytes.

/// A cause: there is one, and it is in no library's Debug format. What it quotes is made legible where it is shown, see
/// [`is_plain`].
///
/// # Panics
/// When it isn't so.
#[track_caller]
pub fn is_cause(text: &str) {
    assert!(!text.trim().is_empty(), "a cause is empty");
    assert!(!text.contains("OtherError("), "a library's Debug text: {text:?}");
}

/// As [`is_cause`], in one line.
///
/// # Panics
/// When it isn't so.
#[track_caller]
pub fn is_sentence(text: &str) {
    is_cause(text);
    assert!(!text.contains('\n'), "a cause of several lines: {text:?}");
}

/// Nothing in it moves the cursor, hides or turns around what stands beside it. Line ends are for the writer of a
/// report to make.
///
/// # Panics
/// When it isn't so.
#[track_caller]
pub fn is_plain(text: &str) {
    let is_bad = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let bad = text.char_indices().find(|(_, c)| is_bad(*c));
    if let Some((at, c)) = bad {
        let around: String =
            text[..at].chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        panic!("{c:?} comes out after {around:?}");
    }
}
