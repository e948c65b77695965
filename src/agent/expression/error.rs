//! Why a text isn't a condition, shown where it is wrong.

use std::{error, fmt};

use crate::agent::sanitize::is_hidden;

/// Why a text isn't a condition. `Display` shows the reason, and in two more lines the text with a caret under
/// the column; of a long text only what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    reason: String,
    column: usize,
    excerpt: String,
    caret: usize,
}

impl ExpressionError {
    /// How many characters an excerpt has at most, and how many of them before the caret.
    const EXCERPT_CHARS: (usize, usize) = (72, 48);

    /// `at` is an offset in bytes.
    pub(super) fn new(text: &str, at: usize, reason: &str) -> Self {
        let column = text.get(..at).map_or(0, |before| before.chars().count());
        let skipped = column.saturating_sub(Self::EXCERPT_CHARS.1);
        // one line, whatever the text: a line end would tear the caret from its column
        let printable = |c: char| if is_hidden(c) { ' ' } else { c };
        let mut chars = text.chars().skip(skipped).map(printable);
        let mut excerpt = String::from(if skipped > 0 { "…" } else { "" });
        excerpt.extend(chars.by_ref().take(Self::EXCERPT_CHARS.0));
        excerpt.extend(chars.next().map(|_| '…'));
        let caret = column - skipped + usize::from(skipped > 0);
        Self { reason: reason.to_owned(), column: column + 1, excerpt, caret }
    }

    /// The column that the caret points at: 1 is the first character of the text.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, column, excerpt, caret } = self;
        write!(f, "column {column}: {reason}\n    {excerpt}\n    {:caret$}^", "")
    }
}

impl error::Error for ExpressionError {}
