//! Which workloads list which conditions, and what these allow at a moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    conditions::{ConditionId, Conditions},
    model::{order::CpuLimit, workload::Workload},
};

/// What a workload's profiles allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Every profile has a condition that holds.
    pub(super) runs: bool,
    /// The smallest limit that a condition which holds gives.
    pub(super) cpu: CpuLimit,
}

/// What workloads list.
#[derive(Debug, Default)]
pub(super) struct Listings {
    /// For each workload with profiles, the conditions of each, with the CPU limit that each gives; one that the
    /// device lacks never holds.
    profiles: BTreeMap<Arc<str>, Vec<Vec<(ConditionId, CpuLimit)>>>,
    /// The workloads that list a condition.
    listed_by: BTreeMap<ConditionId, Vec<Arc<str>>>,
}

impl Listings {
    /// What these workloads list of these conditions; what the device lacks is a problem.
    pub(super) fn new(
        wanted: &BTreeMap<Arc<str>, Arc<Workload>>,
        conditions: &Conditions,
        problems: &mut BTreeSet<String>,
    ) -> Self {
        let mut new = Self::default();
        for (name, workload) in wanted {
            let mut profiles = Vec::new();
            for profile in &workload.profiles {
                let mut listed = Vec::new();
                for condition in &profile.conditions {
                    let Some(id) = conditions.find(&profile.name, &condition.name) else {
                        problems.insert(format!(
                            "workload '{name}': the device has no condition '{}' in a profile '{}', so it is false",
                            condition.name, profile.name
                        ));
                        continue;
                    };
                    listed.push((id, condition.cpu));
                    new.listed_by.entry(id).or_default().push(name.clone());
                }
                profiles.push(listed);
            }
            new.profiles.insert(name.clone(), profiles);
        }
        new
    }

    /// The workloads that list this condition.
    pub(super) fn of(&self, condition: ConditionId) -> impl Iterator<Item = &Arc<str>> {
        self.listed_by.get(&condition).into_iter().flatten()
    }

    /// What the profiles that the workload lists allow; without any it always runs.
    pub(super) fn allowance(&self, name: &str, conditions: &Conditions) -> Allowance {
        let mut allowance = Allowance { runs: true, cpu: None };
        for profile in self.profiles.get(name).into_iter().flatten() {
            let holding = || profile.iter().filter(|(condition, _)| conditions.holds(*condition));
            allowance.runs &= holding().next().is_some();
            allowance.cpu = holding().filter_map(|(_, cpu)| *cpu).chain(allowance.cpu).min();
        }
        allowance
    }
}
