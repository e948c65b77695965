//! The expression of a condition: text → parsed by `grammar/condition.pest` → checked, with a [`Slot`] in
//! place of each metric's name → evaluated over a slice of values, without allocating.

mod error;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::ExpressionError;
pub use parse::{MAX_DEPTH, MAX_LENGTH};

/// Where a metric's value lies in the slice that [`Expression::holds`] gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

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

#[derive(Debug, Clone)]
enum Node {
    /// Here and in the values NaN is `nil`: the operators of f64 say already that it has no order.
    Test(Operand, Operator, f64),
    All(Box<[Node]>),
    Any(Box<[Node]>),
}

#[derive(Debug, Clone, Copy)]
enum Operand {
    Metric(Slot),
    Constant(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Node {
    fn tests(&self, tests: &mut Vec<(Slot, &'static str, f64)>) {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| node.tests(tests)),
            Node::Test(Operand::Metric(slot), operator, value) => {
                tests.push((*slot, operator.sign(), *value))
            }
            Node::Test(Operand::Constant(_), ..) => {}
        }
    }

    fn holds(&self, values: &[f64]) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.holds(values)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(values)),
            Node::Test(left, operator, right) => {
                let left = match left {
                    Operand::Constant(number) => *number,
                    Operand::Metric(Slot(index)) => values.get(*index as usize).copied().unwrap_or(f64::NAN),
                };
                operator.holds(left, *right)
            }
        }
    }
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        }
    }

    fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Operator::Equal if right.is_nan() => left.is_nan(),
            Operator::NotEqual if right.is_nan() => !left.is_nan(),
            Operator::Equal => left == right,
            Operator::NotEqual => left != right && !left.is_nan(),
            Operator::Less => left < right,
            Operator::LessOrEqual => left <= right,
            Operator::Greater => left > right,
            Operator::GreaterOrEqual => left >= right,
        }
    }
}
