//! Which devices a workload is for: Kubernetes' label selector.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything it says must be true of a device's labels; an empty selector takes every device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Requirement>>,
}

impl Selector {
    pub(super) fn new(labels: BTreeMap<String, String>, requirements: Vec<Requirement>) -> Self {
        Self { match_labels: Some(labels), match_expressions: Some(requirements) }
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().flatten().all(|requirement| requirement.matches(labels))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RequirementFields")]
pub(super) struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Deserialize)]
struct RequirementFields {
    key: String,
    operator: Operator,
    values: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl TryFrom<RequirementFields> for Requirement {
    type Error = String;

    fn try_from(fields: RequirementFields) -> Result<Self, String> {
        Self::new(fields.key, fields.operator, fields.values.unwrap_or_default())
    }
}

impl Requirement {
    /// # Errors
    /// The operator takes values and has none, or the other way round.
    pub(super) fn new(key: String, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let takes_values = matches!(operator, Operator::In | Operator::NotIn);
        if takes_values == values.is_empty() {
            let need = if takes_values { "needs" } else { "takes no" };
            return Err(format!("operator {operator:?} {need} values"));
        }
        Ok(Self { key, operator, values })
    }

    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let is_listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            Operator::In => is_listed,
            // as in Kubernetes, also when there is no such label
            Operator::NotIn => !is_listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        serde_yaml::from_str::<Selector>(selector).unwrap().matches(&labels)
    }

    #[test]
    fn an_empty_selector_takes_every_device() {
        assert!(matches("{}", &[]));
        assert!(matches("{matchLabels: {}, matchExpressions: []}", &[("a", "1")]));
    }

    #[test]
    fn every_label_and_every_expression_must_match() {
        let selector = "{matchLabels: {a: '1', b: '2'}, matchExpressions: [{key: c, operator: Exists}]}";
        assert!(matches(selector, &[("a", "1"), ("b", "2"), ("c", "")]));
        assert!(!matches(selector, &[("a", "1"), ("b", "2")]));
        assert!(!matches(selector, &[("a", "1"), ("b", "1"), ("c", "")]));
    }

    #[test]
    fn operators_work_as_in_kubernetes() {
        let holds = |operator: &str| {
            let selector = format!("{{matchExpressions: [{{key: a, {operator}}}]}}");
            [matches(&selector, &[]), matches(&selector, &[("a", "1")]), matches(&selector, &[("a", "2")])]
        };
        assert_eq!(holds("operator: In, values: ['1']"), [false, true, false]);
        assert_eq!(holds("operator: NotIn, values: ['1']"), [true, false, true]);
        assert_eq!(holds("operator: Exists"), [false, true, true]);
        assert_eq!(holds("operator: DoesNotExist"), [true, false, false]);
    }

    #[test]
    fn an_operator_with_too_many_or_too_few_values_is_an_error() {
        for bad in ["operator: In", "operator: NotIn, values: []", "operator: Exists, values: [x]"] {
            let selector = format!("{{matchExpressions: [{{key: a, {bad}}}]}}");
            assert!(serde_yaml::from_str::<Selector>(&selector).is_err(), "{bad}");
        }
    }
}
