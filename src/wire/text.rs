//! Texts within what another program takes.

/// The whole characters of a text within its first bytes.
pub(crate) fn truncate(text: &str, bytes: usize) -> &str {
    let ends = text.char_indices().map(|(start, character)| start + character.len_utf8());
    &text[..ends.take_while(|end| *end <= bytes).last().unwrap_or(0)]
}
