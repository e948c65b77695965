//! From a text to the tree of an expression, by `grammar/condition.pest`.

use pest::{
    Parser,
    error::{Error, InputLocation},
    iterators::Pair,
};

use super::{
    error::ExpressionError,
    hardware,
    tree::{MetricIndex, NIL, Node, Operand, Operator},
};
use grammar::{Grammar, Rule};

/// The longest expression, in bytes.
pub const MAX_LENGTH: usize = 4096;
/// The deepest nesting of parentheses. Parser and tree recurse, and musl builds have no guard but this: it
/// keeps them within 112 KiB of stack (measured on x86_64, release), so not every small thread may compile.
pub const MAX_DEPTH: usize = 64;

/// What pest makes of the grammar file.
#[allow(missing_docs, unreachable_pub)] // generated
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/condition.pest"]
    pub struct Grammar;
}

/// The tree, and how it is shown.
pub(super) fn parse(
    text: &str,
    index: &mut dyn FnMut(&str) -> MetricIndex,
) -> Result<(Node, String), ExpressionError> {
    if text.is_empty() {
        return Err(ExpressionError::new(text, 0, "there is no expression: the condition is never true"));
    }
    check_bounds(text)?;
    let mut parsed =
        Grammar::parse(Rule::condition, text).map_err(|error| to_expression_error(text, error))?;
    let Some(whole) = parsed.next() else { unreachable!("the grammar's condition is one `or`") };
    Compiler { text, index }.boolean_term(whole)
}

fn to_expression_error(text: &str, error: Error<Rule>) -> ExpressionError {
    let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
    let error = error.renamed_rules(|rule| rule_description(*rule).to_owned());
    ExpressionError::new(text, at, &error.variant.message())
}

/// What a part of an expression means, and how it is shown.
enum Term {
    Truth(Node, String),
    Value(Operand, String),
}

struct Compiler<'a> {
    text: &'a str,
    index: &'a mut dyn FnMut(&str) -> MetricIndex,
}

impl Compiler<'_> {
    /// A part that must be true or false.
    fn boolean_term(&mut self, pair: Pair<'_, Rule>) -> Result<(Node, String), ExpressionError> {
        match self.term(pair.clone())? {
            Term::Truth(node, shown) => Ok((node, shown)),
            Term::Value(_, shown) => {
                Err(self
                    .error(&pair, &format!("expected a comparison: {shown} alone is neither true nor false")))
            }
        }
    }

    fn term(&mut self, pair: Pair<'_, Rule>) -> Result<Term, ExpressionError> {
        if pair.as_rule() == Rule::comparison { self.comparison(pair) } else { self.chain(pair) }
    }

    /// Parts joined by the same sign. The parts of a part that is such a chain itself become its own, so that
    /// `(a > 1 && b > 1) && c > 1` is what it looks like when shown.
    fn chain(&mut self, pair: Pair<'_, Rule>) -> Result<Term, ExpressionError> {
        let is_or = pair.as_rule() == Rule::or;
        let mut parts: Vec<_> = pair
            .into_inner()
            .filter(|part| !matches!(part.as_rule(), Rule::or_sign | Rule::and_sign))
            .collect();
        if parts.len() == 1 {
            return self.term(parts.remove(0));
        }
        let (mut nodes, mut texts) = (Vec::new(), Vec::new());
        for part in parts {
            let (node, shown) = self.boolean_term(part)?;
            let needs_parentheses = !is_or && matches!(node, Node::Any(_));
            texts.push(if needs_parentheses { format!("({shown})") } else { shown });
            match node {
                Node::Any(inner) if is_or => nodes.extend(inner),
                Node::All(inner) if !is_or => nodes.extend(inner),
                node => nodes.push(node),
            }
        }
        Ok(match is_or {
            true => Term::Truth(Node::Any(nodes.into()), texts.join(" || ")),
            false => Term::Truth(Node::All(nodes.into()), texts.join(" && ")),
        })
    }

    /// `primary (operator value)?`
    fn comparison(&mut self, pair: Pair<'_, Rule>) -> Result<Term, ExpressionError> {
        let parts: Vec<_> = pair.into_inner().collect();
        let (primary, sign, value) = match &parts[..] {
            [primary] => return self.primary(primary),
            [primary, sign, value] => (primary, sign, value),
            _ => unreachable!("the grammar's comparison has no other form"),
        };
        let Term::Value(left, left_shown) = self.primary(primary)? else {
            return Err(self.error(sign, "expected &&, || or the end: true and false can't be compared"));
        };
        let (right, right_shown) = self.value(value)?;
        let (operator, has_order) = match sign.as_str() {
            "==" => (Operator::Equal, false),
            "!=" => (Operator::NotEqual, false),
            "<" => (Operator::Less, true),
            "<=" => (Operator::LessOrEqual, true),
            ">" => (Operator::Greater, true),
            _ => (Operator::GreaterOrEqual, true),
        };
        let left_is_nil = matches!(left, Operand::Constant(number) if number.is_nan());
        if has_order && (left_is_nil || right.is_nan()) {
            return Err(self.error(sign, "expected == or !=: nil is neither less nor more than anything"));
        }
        let shown = format!("{left_shown} {} {right_shown}", sign.as_str());
        Ok(Term::Truth(Node::Test(left, operator, right), shown))
    }

    /// A metric, a constant, or anything in parentheses.
    fn primary(&mut self, pair: &Pair<'_, Rule>) -> Result<Term, ExpressionError> {
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::or => return self.chain(part),
                Rule::name | Rule::own => {
                    let name = self.name(part)?;
                    return Ok(Term::Value(Operand::Metric((self.index)(&name)), name));
                }
                _ => {}
            }
        }
        let (number, shown) = self.value(pair)?;
        Ok(Term::Value(Operand::Constant(number), shown))
    }

    /// A metric's, or one of the agent's own.
    fn name(&self, pair: Pair<'_, Rule>) -> Result<String, ExpressionError> {
        let name = pair.as_str();
        let Some(part) = pair.into_inner().find(|it| it.as_rule() == Rule::hardware) else {
            return Ok(name.to_owned());
        };
        let hardware = part.as_str();
        hardware::check_hardware_name(hardware)
            .map_err(|(at, reason)| ExpressionError::new(self.text, part.as_span().start() + at, reason))?;
        Ok(hardware::hardware_metric_name(hardware))
    }

    /// A number with what belongs to it, or nil.
    fn value(&mut self, pair: &Pair<'_, Rule>) -> Result<(f64, String), ExpressionError> {
        let (mut number, mut shown) = (NIL, String::new());
        for part in pair.clone().into_inner() {
            match part.as_rule() {
                Rule::number => {
                    number = part.as_str().parse().unwrap_or(f64::INFINITY);
                    if number.is_infinite() {
                        return Err(self.error(&part, "the number is too large"));
                    }
                    shown += &number.to_string();
                }
                _ => shown += part.as_str(), // nil, a sign before the number, a unit behind it
            }
        }
        Ok((if shown.starts_with('-') { -number } else { number }, shown))
    }

    fn error(&self, at: &Pair<'_, Rule>, reason: &str) -> ExpressionError {
        ExpressionError::new(self.text, at.as_span().start(), reason)
    }
}

/// Refuses what could exhaust the parser's stack, before it gets to see it.
fn check_bounds(text: &str) -> Result<(), ExpressionError> {
    if text.len() > MAX_LENGTH {
        let reason = format!("an expression has at most {MAX_LENGTH} bytes, and this one {}", text.len());
        return Err(ExpressionError::new(text, 0, &reason));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let reason = format!("parentheses nest at most {MAX_DEPTH} deep");
            return Err(ExpressionError::new(text, at, &reason));
        }
    }
    Ok(())
}

/// What a person calls it.
fn rule_description(rule: Rule) -> &'static str {
    match rule {
        Rule::condition | Rule::or | Rule::and | Rule::comparison | Rule::primary => {
            "a metric's name, a number, nil or ("
        }
        Rule::value => "a number or nil",
        Rule::operator => "a comparison (== != < <= > >=)",
        Rule::or_sign => "||",
        Rule::and_sign => "&&",
        Rule::open => "(",
        Rule::close => ")",
        Rule::sign => "-",
        Rule::name | Rule::name_character => "a metric's name",
        Rule::own | Rule::workload | Rule::label | Rule::label_character => "a workload's name",
        Rule::clock => "`hour` or `weekday`",
        Rule::present => "`present(\"`",
        Rule::hardware => "the name of a device",
        Rule::close_quote => "`\")`",
        Rule::end => "`.ready`, `.running` or `.last_exit`",
        Rule::nil => "nil",
        Rule::number => "a number",
        Rule::unit => "a unit",
        Rule::EOI => "the end",
        Rule::WHITESPACE => "a blank",
    }
}
