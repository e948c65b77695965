//! Conditions that remember: true only when the expression was so for some time, and then until another one is.

use std::time::Duration;

use crate::agent::{
    expression::{Expression, ExpressionError, MetricIndex},
    model::workload,
};

/// When a condition is true beyond what its expression is at this moment.
#[derive(Debug)]
pub(in crate::agent) struct Hysteresis {
    /// How long the expression has to be true without a break.
    pub(in crate::agent) hold: Duration,
    /// What ends the condition.
    pub(in crate::agent) until: Option<Expression>,
    /// Since when the expression is true, as long as the condition isn't.
    pub(super) since: Option<Duration>,
    /// When it is to be asked again.
    pub(super) due: Option<Duration>,
}

impl Hysteresis {
    /// None where the condition is what its expression is.
    pub(super) fn new(
        condition: &workload::Condition,
        index: &mut dyn FnMut(&str) -> MetricIndex,
    ) -> Result<Option<Box<Self>>, ExpressionError> {
        let until = condition.until.as_ref().map(|text| Expression::compile(text, index)).transpose()?;
        let new = Self { hold: condition.hold, until, since: None, due: None };
        Ok((new.until.is_some() || !new.hold.is_zero()).then(|| Box::new(new)))
    }

    /// When the condition becomes true if nothing changes.
    pub(in crate::agent) fn becomes_true_at(&self) -> Option<Duration> {
        self.since.map(|since| since.saturating_add(self.hold))
    }

    /// Whether the condition is true, which it was or wasn't, now that its expression is or isn't.
    pub(super) fn apply_hysteresis(
        &mut self,
        held: bool,
        is_true: bool,
        values: &[f64],
        now: Duration,
    ) -> bool {
        let ends = self.until.as_ref().is_some_and(|until| until.holds(values));
        if held {
            return if self.until.is_some() { !ends } else { is_true };
        }
        if !is_true || ends {
            self.since = None;
            return false;
        }
        let holds = now >= self.since.get_or_insert(now).saturating_add(self.hold);
        self.since = self.since.filter(|_| !holds);
        holds
    }
}
