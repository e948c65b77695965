//! The expression of a condition: text → parsed by `grammar/condition.pest` → checked, with a [`MetricIndex`] in
//! place of each metric's name → evaluated over a slice of values, without allocating.

mod error;
mod hardware;
mod parse;
#[cfg(test)]
mod tests;
mod tree;

use std::fmt;

pub use error::ExpressionError;
pub use hardware::parse_hardware_metric;
pub use parse::{MAX_DEPTH, MAX_LENGTH};
use tree::Node;
pub use tree::{FixedValues, MetricIndex, NIL};

/// An expression that can be evaluated. `Display` shows it as it was understood: a blank on either side of an
/// operator, units next to their numbers, no needless parentheses.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
    metrics: Box<[MetricIndex]>,
    shown: Box<str>,
}

impl Expression {
    /// Parses and checks `text`, and asks `index` for the place of each metric that it names, of one that is
    /// named twice also twice, and also if an error comes later. Takes up to 112 KiB of stack: a matter for the
    /// main thread.
    ///
    /// # Errors
    ///
    /// When `text` isn't a condition in the language of `grammar/condition.pest`.
    pub fn compile(text: &str, index: &mut dyn FnMut(&str) -> MetricIndex) -> Result<Self, ExpressionError> {
        let mut metrics = Vec::new();
        let (root, shown) = parse::parse(text.trim_end(), &mut |name| {
            let index = index(name);
            metrics.push(index);
            index
        })?;
        metrics.sort_unstable();
        metrics.dedup();
        Ok(Self { root, metrics: metrics.into(), shown: shown.into() })
    }

    /// The same for one that is only looked at: it can't be evaluated, as all metrics have one place.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn parse_only(text: &str) -> Result<Self, ExpressionError> {
        Self::compile(text, &mut |_| MetricIndex(0))
    }

    /// Whether the condition holds for these values, NaN being `nil`. An index beyond the slice is `nil` too.
    pub fn holds(&self, values: &[f64]) -> bool {
        self.root.holds(values)
    }

    /// Whether it can't hold as long as the metrics that `stuck` knows have no other values than these, whatever the
    /// rest is. Pushes those that would need another one.
    pub fn cannot_hold(&self, stuck: FixedValues<'_>, needed: &mut Vec<MetricIndex>) -> bool {
        self.root.cannot_hold(stuck, needed)
    }

    /// The metrics that it compares, and with what; NaN is `nil`.
    pub fn tests(&self) -> Vec<(MetricIndex, &'static str, f64)> {
        let mut tests = Vec::new();
        self.root.tests(&mut tests);
        tests
    }

    /// Where the metrics lie that the expression mentions: sorted, each once.
    pub fn metrics(&self) -> &[MetricIndex] {
        &self.metrics
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
