//! The tree that an expression becomes, and what it means for given values.

/// Where a metric's value lies in the slice that [`Expression::holds`](super::Expression::holds) gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricIndex(pub u32);

/// The only values that a metric can have, if it can't have any.
pub type FixedValues<'a> = &'a dyn Fn(MetricIndex) -> Option<&'static [f64]>;

/// A metric that is not set, `nil`: the operators of f64 say already that NaN has no order.
pub const NIL: f64 = f64::NAN;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Test(Operand, Operator, f64),
    All(Box<[Node]>),
    Any(Box<[Node]>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Metric(MetricIndex),
    Constant(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Node {
    /// The metrics that are compared here, and with what.
    pub(super) fn tests(&self, tests: &mut Vec<(MetricIndex, &'static str, f64)>) {
        match self {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().for_each(|node| node.tests(tests)),
            Node::Test(Operand::Metric(index), operator, value) => {
                tests.push((*index, operator.symbol(), *value))
            }
            Node::Test(Operand::Constant(_), ..) => {}
        }
    }

    /// Whether it can't hold as long as the metrics that `stuck` knows have no other values than these, whatever the
    /// rest is. Pushes those that would need another one.
    pub(super) fn cannot_hold(&self, stuck: FixedValues<'_>, needed: &mut Vec<MetricIndex>) -> bool {
        let before = needed.len();
        let needs = match self {
            Node::All(nodes) => nodes.iter().filter(|node| node.cannot_hold(stuck, needed)).count() > 0,
            Node::Any(nodes) => nodes.iter().all(|node| node.cannot_hold(stuck, needed)),
            Node::Test(Operand::Metric(index), operator, right) => {
                needed.push(*index);
                stuck(*index).is_some_and(|values| !values.iter().any(|left| operator.holds(*left, *right)))
            }
            Node::Test(Operand::Constant(left), operator, right) => !operator.holds(*left, *right),
        };
        if !needs {
            needed.truncate(before);
        }
        needs
    }

    /// Whether it holds for these values; one beyond the slice is `nil`.
    pub(super) fn holds(&self, values: &[f64]) -> bool {
        match self {
            Node::All(nodes) => nodes.iter().all(|node| node.holds(values)),
            Node::Any(nodes) => nodes.iter().any(|node| node.holds(values)),
            Node::Test(left, operator, right) => {
                let left = match left {
                    Operand::Constant(number) => *number,
                    Operand::Metric(MetricIndex(index)) => {
                        values.get(*index as usize).copied().unwrap_or(NIL)
                    }
                };
                operator.holds(left, *right)
            }
        }
    }
}

impl Operator {
    fn symbol(self) -> &'static str {
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
