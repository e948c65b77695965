//! What the agent knows itself, by the names that conditions have for it: `workload.mqtt.ready`.

use std::sync::Arc;

use crate::agent::expression::{MetricIndex, NIL};

/// What there is to know of a workload; none: as it was.
pub(in crate::agent) type WorkloadMetrics = [Option<f64>; 3];

/// In this order.
pub(super) const WORKLOAD_METRIC_NAMES: [&str; 3] = ["ready", "running", "last_exit"];
/// Of a workload that there isn't.
pub(in crate::agent) const NIL_WORKLOAD_METRICS: WorkloadMetrics = [Some(NIL); 3];

/// What conditions ask of a workload: by which name, and where they look for it.
pub(super) type WorkloadMetricRefs = [Option<(Arc<str>, MetricIndex)>; WORKLOAD_METRIC_NAMES.len()];

/// Of the device's own time: the hour, from 0 to 23, and the day of the week, from 1 for Monday to 7.
pub(super) const TIME_METRIC_NAMES: [&str; 2] = ["time.hour", "time.weekday"];

/// What each can be of a workload that was never started.
pub(in crate::agent) const UNSTARTED_VALUES: [&[f64]; WORKLOAD_METRIC_NAMES.len()] =
    [&[0.0, NIL], &[0.0, NIL], &[NIL]];

/// Whether nothing can post it.
pub(super) fn is_built_in_metric(name: &str) -> bool {
    name.contains('.')
}

/// The workload, and which of the [`WorkloadMetrics`].
pub(in crate::agent) fn parse_workload_metric(name: &str) -> Option<(&str, usize)> {
    let (workload, fact) = name.strip_prefix("workload.")?.rsplit_once('.')?;
    Some((workload, WORKLOAD_METRIC_NAMES.iter().position(|it| *it == fact)?))
}
