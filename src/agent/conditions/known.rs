//! How workloads are, for the conditions that ask.
//!
//! A value stays as it was while it can't be told, as of a pod that isn't found again yet, and over a restart of the
//! agent: else each of them would stop what depends on it.

use std::{sync::Arc, time::Duration};

use super::{
    ConditionId, Conditions, Metric,
    built_in_metrics::{
        TIME_METRIC_NAMES, WORKLOAD_METRIC_NAMES, WorkloadMetrics, is_built_in_metric, parse_workload_metric,
    },
    is_same,
    local_time::LocalTimeValidity,
};
use crate::agent::{
    expression::{MetricIndex, NIL},
    model::{gather::gather, record::BuiltInMetrics},
};

impl Conditions {
    /// What an earlier process knew.
    pub(in crate::agent) fn restore_built_in_metrics(&mut self, known: &BuiltInMetrics) {
        for (name, value) in known.iter().filter(|(name, _)| is_built_in_metric(name)) {
            self.put(name, *value, Duration::ZERO);
        }
    }

    /// Finds out which workloads conditions ask for.
    pub(super) fn collect_referenced_workloads(&mut self) {
        self.workloads.clear();
        let is_asked = |name: &&str| self.metrics.get(*name).is_some_and(|metric| metric.index.is_some());
        self.hours = TIME_METRIC_NAMES.iter().any(is_asked).then(LocalTimeValidity::default);
        for (name, metric) in &self.metrics {
            if let (Some(index), Some((workload, fact))) = (metric.index, parse_workload_metric(name)) {
                self.workloads.entry(workload.into()).or_default()[fact] = Some((name.clone(), index));
            }
        }
    }

    /// All workloads are known: what no condition asks for is forgotten.
    pub(in crate::agent) fn forget_unreferenced(&mut self) {
        self.metrics.retain(|name, metric| metric.index.is_some() || !is_built_in_metric(name));
        self.has_lasting_news |= !self.remembered.is_empty();
        self.remembered.clear();
    }

    /// The workloads that conditions ask for, by name.
    pub(in crate::agent) fn referenced_workloads(&self) -> Vec<Arc<str>> {
        self.workloads.keys().cloned().collect()
    }

    /// Takes in how a workload is, if a condition asks; pushes like [`set`](Conditions::set).
    pub(in crate::agent) fn set_workload_metrics(
        &mut self,
        workload: &str,
        metrics: impl FnOnce() -> WorkloadMetrics,
        now: Duration,
        changed: &mut Vec<ConditionId>,
    ) {
        let Some(asked) = self.workloads.get(workload) else { return };
        let metrics = metrics();
        let news: [Option<(Arc<str>, f64)>; WORKLOAD_METRIC_NAMES.len()] = std::array::from_fn(|fact| {
            let (Some((name, MetricIndex(index))), Some(value)) = (&asked[fact], metrics[fact]) else {
                return None;
            };
            let before = self.values.get(*index as usize).copied().unwrap_or(NIL);
            (!is_same(before, value)).then(|| (name.clone(), value))
        });
        for (name, value) in news.into_iter().flatten() {
            self.put(&name, value, now);
            self.has_news = true;
        }
        self.evaluate_touched(now, changed);
    }

    /// Of what conditions mention, by index.
    pub(in crate::agent) fn metric_names(&self) -> Vec<&str> {
        let mut names = vec![""; self.values.len()];
        for (name, metric) in &self.metrics {
            if let Some(MetricIndex(index)) = metric.index {
                names[index as usize] = name;
            }
        }
        names
    }

    /// What is to be kept over a restart, if that has changed.
    pub(in crate::agent) fn take_changed_built_in_metrics(&mut self) -> Option<BuiltInMetrics> {
        let known = |(name, metric): (&Arc<str>, &Metric)| (name.clone(), metric.value);
        let is_known =
            |(name, metric): &(&Arc<str>, &Metric)| !metric.value.is_nan() && is_built_in_metric(name);
        let all = || gather(self.metrics.iter().filter(is_known).map(known));
        std::mem::take(&mut self.has_news).then(all)
    }
}
