//! Which workloads list which conditions, and what these allow at a moment.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    conditions::{ConditionId, Conditions},
    model::{order::CpuLimit, report::ListedProfileReport, update::UpdateRules, workload::Workload},
    update_gate::{Permit, UpdateGate},
};

/// What a workload may do at a moment: by its profiles, by what it depends on, and by its update gate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Every profile has a condition that holds.
    pub(super) runs: bool,
    /// All is ready that it depends on.
    pub(super) starts: bool,
    /// The smallest limit that a condition which holds gives.
    pub(super) cpu: CpuLimit,
    /// Whether an update may go ahead, if it may have to wait.
    pub(super) update: Option<Permit>,
}

/// What workloads list.
#[derive(Debug, Default)]
pub(super) struct WorkloadProfiles {
    /// By the workload's name.
    all: HashMap<Arc<str>, WorkloadListing>,
    /// The workloads that list a condition.
    listed_by: BTreeMap<ConditionId, Vec<Arc<str>>>,
}

/// What one workload lists.
#[derive(Debug)]
struct WorkloadListing {
    /// Of each profile the conditions, with the CPU limit that each gives; one that the device lacks never holds.
    profiles: Vec<Vec<(ConditionId, CpuLimit)>>,
    /// What its updates may have to wait for.
    update_gate: Option<UpdateGate>,
}

impl WorkloadProfiles {
    /// What these workloads list of these conditions; what the device lacks is a problem.
    pub(super) fn new(
        wanted: &BTreeMap<Arc<str>, Arc<Workload>>,
        update: Option<&UpdateRules>,
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
            let update_gate = UpdateGate::new(workload.update.as_deref(), update, conditions);
            for id in update_gate.iter().flat_map(UpdateGate::conditions) {
                new.listed_by.entry(id).or_default().push(name.clone());
            }
            new.all.insert(name.clone(), WorkloadListing { profiles, update_gate });
        }
        new
    }

    /// The workloads that list this condition.
    pub(super) fn workloads_listing(&self, condition: ConditionId) -> impl Iterator<Item = &Arc<str>> {
        self.listed_by.get(&condition).into_iter().flatten()
    }

    /// What an update of this workload may have to wait for.
    pub(super) fn update_gate(&self, name: &str) -> Option<&UpdateGate> {
        self.all.get(name)?.update_gate.as_ref()
    }

    /// Whether the profiles that the workload lists let it run, and with which limit; without any it always runs.
    pub(super) fn evaluate(&self, name: &str, conditions: &Conditions) -> (bool, CpuLimit) {
        let (mut runs, mut cpu) = (true, None);
        for profile in self.all.get(name).into_iter().flat_map(|listing| &listing.profiles) {
            let holding = || profile.iter().filter(|(condition, _)| conditions.holds(*condition));
            runs &= holding().next().is_some();
            cpu = holding().filter_map(|(_, cpu)| *cpu).chain(cpu).min();
        }
        (runs, cpu)
    }
}

/// Why the profiles that a workload lists don't hold, and what a person can do about it; none: they do.
pub(super) fn unmet_profile(profiles: &[ListedProfileReport]) -> Option<(String, String)> {
    let ListedProfileReport { name, conditions, .. } = profiles.iter().find(|profile| !profile.holds)?;
    let (undefined, false_ones): (Vec<_>, Vec<_>) = conditions.iter().partition(|it| !it.is_defined);
    let whys: Vec<String> = false_ones.iter().map(|it| format!("{} is false: {}", it.name, it.why)).collect();
    if whys.is_empty() {
        let missing: Vec<&str> = undefined.iter().map(|it| &*it.name).collect();
        let missing = missing.join("' or '");
        return Some((
            format!("the device defines no condition '{missing}' in a profile '{name}'"),
            format!("define it for this device, or take the profile '{name}' out of the workload"),
        ));
    }
    let remedy = match false_ones.iter().any(|it| it.is_posted) {
        true => "it starts by itself when one of these is true; post the metrics that they need",
        false => "it starts by itself when one of these is true",
    };
    Some((format!("profile '{name}' doesn't hold: {}", whys.join("; ")), remedy.to_owned()))
}
