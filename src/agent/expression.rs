//! The expression of a condition: text → parsed by `grammar/condition.pest` → checked, with a [`Slot`] in
//! place of each metric's name → evaluated over a slice of values, without allocating.

mod error;
mod parse;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

pub use error::ExpressionError;
pub use parse::{MAX_DEPTH, MAX_LENGTH};
use tree::Node;
pub use tree::Slot;

/// An expression that can be evaluated. `Display` shows it as it was understood: a blank on either side of an
/// operator, units next to their numbers, no needless parentheses.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
    slots: Box<[Slot]>,
    shown: Box<str>,
}

impl Expression {
    /// Parses and checks `text`, and asks `slot` for the place of each metric that it names, of one that is
    /// named twice also twice, and also if an error comes later. Takes up to 112 KiB of stack: a matter for the
    /// main thread.
    ///
    /// # Errors
    ///
    /// When `text` isn't a condition in the language of `grammar/condition.pest`.
    pub fn compile(text: &str, slot: &mut dyn FnMut(&str) -> Slot) -> Result<Self, ExpressionError> {
        let mut slots = Vec::new();
        let (root, shown) = parse::parse(text.trim_end(), &mut |name| {
            let slot = slot(name);
            slots.push(slot);
            slot
        })?;
        slots.sort_unstable();
        slots.dedup();
        Ok(Self { root, slots: slots.into(), shown: shown.into() })
    }

    /// Whether the condition holds for these values, NaN being `nil`. A slot beyond the slice is `nil` too.
    pub fn holds(&self, values: &[f64]) -> bool {
        self.root.holds(values)
    }

    /// The metrics that it compares, and with what; NaN is `nil`.
    pub fn tests(&self) -> Vec<(Slot, &'static str, f64)> {
        let mut tests = Vec::new();
        self.root.tests(&mut tests);
        tests
    }

    /// Where the metrics lie that the expression mentions: sorted, each once.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
