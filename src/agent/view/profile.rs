//! Conditions and metrics as people see them: what each compares, with the present values.

use std::time::Duration;

use crate::agent::{
    conditions::{Condition, ConditionId, Conditions, Metric, hysteresis::Hysteresis},
    expression::{Expression, MetricIndex},
    model::{report, workload::ListedProfile},
    update_gate::GATE_PROFILE_NAME,
    view::text::format_duration,
};

impl Conditions {
    /// All profiles that the device defines.
    pub(in crate::agent) fn profile_reports(&self, now: Duration) -> Vec<report::Profile> {
        let names = self.metric_names();
        let mut profiles: Vec<report::Profile> = Vec::new();
        for condition in self.conditions.iter().filter(|it| &*it.profile != GATE_PROFILE_NAME) {
            if profiles.last().is_none_or(|last| *last.name != *condition.profile) {
                profiles
                    .push(report::Profile { name: condition.profile.to_string(), conditions: Vec::new() });
            }
            let lasting = condition.lasting.as_deref();
            let until = lasting.and_then(|it| it.until.as_ref());
            let tests = condition.expression.iter().chain(until).flat_map(Expression::tests);
            let test = |(MetricIndex(index), operator, value): (MetricIndex, &'static str, f64)| {
                report::Comparison {
                    metric: names.get(index as usize).copied().unwrap_or_default().to_owned(),
                    operator,
                    value: non_nil(value),
                }
            };
            let shown = report::Condition {
                name: condition.name.to_string(),
                expression: condition.expression.as_ref().map(ToString::to_string).unwrap_or_default(),
                hold: lasting.map(|it| it.hold.as_secs()).filter(|seconds| *seconds > 0),
                until: until.map(ToString::to_string),
                next: seconds_until_true(condition, now),
                holds: condition.holds,
                why: self.explain_condition(condition, &names, now),
                tests: tests.map(test).collect(),
            };
            if let Some(profile) = profiles.last_mut() {
                profile.conditions.push(shown);
            }
        }
        profiles
    }

    /// All metrics, by name.
    pub(in crate::agent) fn metric_reports(&self, now: Duration) -> Vec<report::Metric> {
        let shown = |(name, metric): (&std::sync::Arc<str>, &Metric)| {
            let value = non_nil(metric.value);
            let age = value.map(|_| now.saturating_sub(metric.posted).as_secs());
            report::Metric { name: name.to_string(), value, age }
        };
        let mut all: Vec<_> = self.metrics.iter().map(shown).collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// What a workload lists.
    pub(in crate::agent) fn listed_profile_reports(
        &self,
        profiles: &[ListedProfile],
        now: Duration,
    ) -> Vec<report::ListedProfileReport> {
        let names = self.metric_names();
        let listed = |profile: &ListedProfile| {
            let condition = |listed: &crate::agent::model::workload::ListedCondition| {
                let found = self.find(&profile.name, &listed.name);
                let condition = found.and_then(|ConditionId(id)| self.conditions.get(id as usize));
                let mut asked = condition.iter().flat_map(|it| &it.expression).flat_map(Expression::metrics);
                report::ListedConditionReport {
                    name: listed.name.clone(),
                    is_defined: condition.is_some(),
                    holds: condition.is_some_and(|it| it.holds),
                    why: condition.map_or("the device doesn't define it".into(), |it| {
                        self.explain_condition(it, &names, now)
                    }),
                    is_posted: asked.any(|MetricIndex(index)| !names[*index as usize].contains('.')),
                    cpu: listed.cpu,
                }
            };
            let conditions: Vec<_> = profile.conditions.iter().map(condition).collect();
            let holds = conditions.iter().any(|it| it.holds);
            report::ListedProfileReport { name: profile.name.clone(), holds, conditions }
        };
        profiles.iter().map(listed).collect()
    }

    /// `battery > 20, and battery is 12`, `heat > 60 for 30s until heat < 40, and heat is 70: true in 12s`.
    fn explain_condition(&self, condition: &Condition, names: &[&str], now: Duration) -> String {
        let expression = match &condition.expression {
            Ok(expression) => expression,
            Err(error) => return format!("it can't be read: {}", error.to_string().replace('\n', " ")),
        };
        let mut why = expression.to_string();
        let mut metrics = expression.metrics().to_vec();
        if let Some(Hysteresis { hold, until, .. }) = condition.lasting.as_deref() {
            if !hold.is_zero() {
                why.push_str(&format!(" for {}", format_duration(hold.as_secs())));
            }
            if let Some(until) = until {
                why.push_str(&format!(" until {until}"));
                metrics.extend(until.metrics());
                metrics.sort_unstable();
                metrics.dedup();
            }
        }
        for (position, MetricIndex(index)) in metrics.iter().enumerate() {
            let value = non_nil(self.values[*index as usize]);
            let unset = if names[*index as usize].contains('.') { "nil" } else { "not posted" };
            let value = value.map_or_else(|| unset.to_owned(), |value| value.to_string());
            let link = if position == 0 { ", and" } else { "," };
            why.push_str(&format!("{link} {} is {value}", names[*index as usize]));
        }
        if let Some(left) = seconds_until_true(condition, now) {
            why.push_str(&format!(": true in {}", format_duration(left)));
        }
        why
    }
}

/// Seconds until it becomes true if nothing changes, counted up.
fn seconds_until_true(condition: &Condition, now: Duration) -> Option<u64> {
    let at = condition.lasting.as_ref()?.becomes_true_at()?;
    Some(at.saturating_sub(now).as_secs_f64().ceil() as u64)
}

fn non_nil(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}
