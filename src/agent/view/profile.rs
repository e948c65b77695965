//! Conditions and metrics as people see them: what each compares, with the present values.

use std::time::Duration;

use crate::agent::{
    conditions::{Condition, ConditionId, Conditions, Metric},
    expression::{Expression, MetricIndex},
    model::{report, workload::ListedProfile},
};

impl Conditions {
    /// All profiles that the device defines.
    pub(in crate::agent) fn shown(&self) -> Vec<report::Profile> {
        let names = self.names();
        let mut profiles: Vec<report::Profile> = Vec::new();
        for condition in &self.conditions {
            if profiles.last().is_none_or(|last| *last.name != *condition.profile) {
                profiles
                    .push(report::Profile { name: condition.profile.to_string(), conditions: Vec::new() });
            }
            let tests = condition.expression.iter().flat_map(Expression::tests);
            let test =
                |(MetricIndex(index), operator, value): (MetricIndex, &'static str, f64)| report::Test {
                    metric: names.get(index as usize).copied().unwrap_or_default().to_owned(),
                    operator,
                    value: some(value),
                };
            let shown = report::Condition {
                name: condition.name.to_string(),
                expression: condition.expression.as_ref().map(ToString::to_string).unwrap_or_default(),
                holds: condition.holds,
                why: self.why(condition, &names),
                tests: tests.map(test).collect(),
            };
            if let Some(profile) = profiles.last_mut() {
                profile.conditions.push(shown);
            }
        }
        profiles
    }

    /// All metrics.
    pub(in crate::agent) fn shown_metrics(&self, now: Duration) -> Vec<report::Metric> {
        let shown = |(name, metric): (&std::sync::Arc<str>, &Metric)| {
            let value = some(metric.value);
            let age = value.map(|_| now.saturating_sub(metric.posted).as_secs());
            report::Metric { name: name.to_string(), value, age }
        };
        self.metrics.iter().map(shown).collect()
    }

    /// What a workload lists.
    pub(in crate::agent) fn listed(&self, profiles: &[ListedProfile]) -> Vec<report::Listed> {
        let names = self.names();
        let listed = |profile: &ListedProfile| {
            let condition = |listed: &crate::agent::model::workload::ListedCondition| {
                let found = self.find(&profile.name, &listed.name);
                let condition = found.and_then(|ConditionId(id)| self.conditions.get(id as usize));
                report::ListedCondition {
                    name: listed.name.clone(),
                    is_defined: condition.is_some(),
                    holds: condition.is_some_and(|it| it.holds),
                    why: condition.map_or("the device doesn't define it".into(), |it| self.why(it, &names)),
                    cpu: listed.cpu,
                }
            };
            let conditions: Vec<_> = profile.conditions.iter().map(condition).collect();
            let holds = conditions.iter().any(|it| it.holds);
            report::Listed { name: profile.name.clone(), holds, conditions }
        };
        profiles.iter().map(listed).collect()
    }

    /// By index.
    fn names(&self) -> Vec<&str> {
        let mut names = vec![""; self.values.len()];
        for (name, metric) in &self.metrics {
            if let Some(MetricIndex(index)) = metric.index {
                names[index as usize] = name;
            }
        }
        names
    }

    /// `battery > 20, and battery is 12`.
    fn why(&self, condition: &Condition, names: &[&str]) -> String {
        let expression = match &condition.expression {
            Ok(expression) => expression,
            Err(error) => return format!("it can't be read: {}", error.to_string().replace('\n', " ")),
        };
        let mut why = expression.to_string();
        for (position, MetricIndex(index)) in expression.metrics().iter().enumerate() {
            let value = some(self.values[*index as usize]);
            let value = value.map_or_else(|| "not posted".to_owned(), |value| value.to_string());
            let link = if position == 0 { ", and" } else { "," };
            why.push_str(&format!("{link} {} is {value}", names[*index as usize]));
        }
        why
    }
}

fn some(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}
