//! Workloads that others depend on: none is started before what it depends on is ready. That is an order of starts and
//! no more: what runs goes on when what it depends on goes away.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    conditions::built_in_metrics::{NIL_WORKLOAD_METRICS, WorkloadMetrics},
    deployments::Deployments,
    model::workload::Workload,
    reconcile::Workloads,
};

/// Who depends on whom.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    /// Of each that depends on others.
    depends_on: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    dependents: BTreeMap<Arc<str>, Dependents>,
}

/// Those that depend on one.
#[derive(Debug, Default)]
struct Dependents {
    names: Vec<Arc<str>>,
    /// Whether the one that they depend on was ready, as they were told last.
    is_ready: bool,
}

/// All workloads.
pub(super) struct AllWorkloads<'a> {
    pub(super) workloads: &'a Workloads,
    pub(super) deployments: &'a Deployments,
}

impl AllWorkloads<'_> {
    /// Whether the workload of this name does what others need it for.
    pub(super) fn is_ready(&self, name: &str) -> bool {
        self.workloads.get(name).is_some_and(|it| it.is_ready()) || self.deployments.is_ready(name)
    }

    /// The same for conditions. `is_partial`: not all that is to run is known; `is_listed`: Deployments are.
    pub(super) fn workload_metrics(&self, name: &str, is_partial: bool, is_listed: bool) -> WorkloadMetrics {
        if let Some(metrics) = self.workloads.get(name).and_then(|it| it.workload_metrics()) {
            return metrics;
        }
        match self.deployments.wanted_workload(name) {
            Some(_) if is_listed => {
                let is_ready = Some(f64::from(u8::from(self.deployments.is_ready(name))));
                [is_ready, is_ready, None]
            }
            None if !is_partial => NIL_WORKLOAD_METRICS,
            _ => [None; 3],
        }
    }
}

impl Dependencies {
    /// What these workloads say; what nothing asks for is a problem.
    pub(super) fn new(
        wanted: &BTreeMap<Arc<str>, Arc<Workload>>,
        unreadable: &BTreeSet<Arc<str>>,
        problems: &mut BTreeSet<String>,
    ) -> Self {
        let mut new = Self::default();
        for (name, workload) in wanted.iter().filter(|(_, workload)| !workload.depends_on.is_empty()) {
            for other in &workload.depends_on {
                if !wanted.contains_key(&**other) && !unreadable.contains(&**other) {
                    problems.insert(format!(
                        "workload '{name}': it depends on '{other}', which nothing on this device asks for: it isn't \
                         started before"
                    ));
                }
                new.dependents.entry(other.as_str().into()).or_default().names.push(name.clone());
            }
            let others = workload.depends_on.iter().map(|other| other.as_str().into());
            new.depends_on.insert(name.clone(), others.collect());
        }
        new
    }

    /// Whether all is ready that this one depends on.
    pub(super) fn are_ready(&self, name: &str, others: &AllWorkloads<'_>) -> bool {
        self.depends_on.get(name).into_iter().flatten().all(|other| others.is_ready(other))
    }

    /// Those that depend on this one, if it has become ready, or isn't any more, since they were told.
    pub(super) fn take_changed_dependents(&mut self, name: &str, others: &AllWorkloads<'_>) -> &[Arc<str>] {
        let Some(dependents) = self.dependents.get_mut(name) else { return &[] };
        let is_ready = others.is_ready(name);
        if std::mem::replace(&mut dependents.is_ready, is_ready) == is_ready {
            return &[];
        }
        &dependents.names
    }
}
