//! Workloads that would never start, as what each needs for that leads back to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    conditions::{
        Conditions,
        built_in_metrics::{UNSTARTED_VALUES, parse_workload_metric},
    },
    expression::MetricIndex,
    model::{
        gather::gather,
        workload::{DesiredState, Workload},
    },
};

impl DesiredState {
    /// Those that would wait for themselves are left as they were. Answers their names, and why.
    pub fn set_aside_dependency_cycles(&mut self) -> BTreeMap<String, String> {
        let mut conditions = Conditions::default();
        conditions.define(&self.profiles, Duration::ZERO);
        let workloads = gather(self.workloads.iter().map(|it| (it.name().into(), it.clone())));
        let circles = find_dependency_cycles(&workloads, &conditions);
        self.workloads.retain(|workload| !circles.contains_key(workload.name()));
        self.unreadable.extend(circles.keys().cloned());
        circles
    }
}

/// For each workload that would wait for itself: `depends on itself: a -> workload.b.ready -> a`.
pub(super) fn find_dependency_cycles(
    workloads: &BTreeMap<Arc<str>, Arc<Workload>>,
    conditions: &Conditions,
) -> BTreeMap<String, String> {
    let stuck = gather(workloads.keys().map(|it| &**it));
    let mut all = CycleSearch { workloads, conditions, names: conditions.metric_names(), stuck };
    // what needs none of the others can start, and then what needs only those
    loop {
        let is_stuck = |name: &&str| !all.stuck_dependencies(name).is_empty();
        let still: BTreeSet<&str> = gather(all.stuck.iter().copied().filter(is_stuck));
        if still.len() == all.stuck.len() {
            break;
        }
        all.stuck = still;
    }
    let mut found = BTreeMap::new();
    for name in &all.stuck {
        if let Some(way) = all.shortest_cycle(name) {
            found.insert((*name).to_owned(), ["depends on itself: ", &way].concat());
        }
    }
    found
}

struct CycleSearch<'a> {
    workloads: &'a BTreeMap<Arc<str>, Arc<Workload>>,
    conditions: &'a Conditions,
    /// Of what conditions mention, by index.
    names: Vec<&'a str>,
    /// Workloads that can't start, as far as is known.
    stuck: BTreeSet<&'a str>,
}

impl<'a> CycleSearch<'a> {
    /// What the workload can't start without, of those that are stuck: their names, and of what conditions ask of them.
    /// (What ends a condition isn't asked: as long as the agent doesn't know how a workload is, it ends nothing, and the
    /// condition can become true.)
    fn stuck_dependencies(&self, name: &str) -> Vec<&'a str> {
        let Some(workload) = self.workloads.get(name) else { return Vec::new() };
        let depends_on = workload.depends_on.iter().map(|it| &**it);
        let mut found: Vec<&str> = depends_on.filter(|it| self.stuck.contains(it)).collect();
        let is_stuck = |MetricIndex(index): MetricIndex| {
            let (workload, fact) = parse_workload_metric(self.names[index as usize])?;
            self.stuck.contains(workload).then_some(UNSTARTED_VALUES[fact])
        };
        for profile in &workload.profiles {
            let mut needed = Vec::new();
            let ids =
                profile.conditions.iter().filter_map(|it| self.conditions.find(&profile.name, &it.name));
            let mut expressions = ids.filter_map(|id| self.conditions.expression(id));
            if expressions.all(|it| it.cannot_hold(&is_stuck, &mut needed)) {
                found.extend(needed.iter().map(|MetricIndex(index)| self.names[*index as usize]));
            }
        }
        found
    }

    /// The shortest way from a workload back to itself.
    fn shortest_cycle(&self, name: &'a str) -> Option<String> {
        let workload = |step: &'a str| parse_workload_metric(step).map_or(step, |(workload, _)| workload);
        // each step with the number of the one before it
        let (mut steps, mut seen, mut at) = (vec![(name, 0)], BTreeSet::new(), 0);
        while let Some((step, _)) = steps.get(at) {
            for next in self.stuck_dependencies(workload(step)) {
                if workload(next) == name {
                    let mut way = next.to_owned();
                    loop {
                        let (step, before) = steps[at];
                        way = [step, " -> ", &way].concat();
                        if at == 0 {
                            return Some(way);
                        }
                        at = before;
                    }
                }
                if seen.insert(workload(next)) {
                    steps.push((next, at));
                }
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::{
        model::workload::{Condition, ListedCondition, ListedProfile, Profile},
        tests::workload,
    };

    #[test]
    fn a_circle_is_told_by_its_path_to_those_in_it_alone() {
        let waits = |name: &str, depends_on: &[&str]| {
            let depends_on = depends_on.iter().map(ToString::to_string).collect();
            Arc::new(Workload { depends_on, ..workload(name, 1) })
        };
        let all = [
            waits("a", &["c", "b"]),
            waits("b", &["d", "a"]),
            waits("c", &["gone"]),
            waits("d", &[]),
            waits("e", &["a", "e"]),
        ];
        assert_eq!(
            told(&all, &[]),
            [
                "a depends on itself: a -> b -> a",
                "b depends on itself: b -> a -> b",
                "e depends on itself: e -> e"
            ]
        );
    }

    fn told(all: &[Arc<Workload>], expressions: &[&str]) -> Vec<String> {
        let condition = |(index, expression): (usize, &&str)| Condition {
            name: index.to_string(),
            expression: (*expression).to_owned(),
            ..Condition::default()
        };
        let profile =
            Profile { name: "p".into(), conditions: expressions.iter().enumerate().map(condition).collect() };
        let mut conditions = Conditions::default();
        conditions.define(&[profile], Duration::ZERO);
        let workloads = gather(all.iter().map(|it| (it.name().into(), it.clone())));
        find_dependency_cycles(&workloads, &conditions)
            .iter()
            .map(|(name, why)| format!("{name} {why}"))
            .collect()
    }

    /// `a` while one of these is true, and `b` when `a` is ready.
    fn told_of_a(expressions: &[&str]) -> Vec<String> {
        let listed = |index: usize| ListedCondition { name: index.to_string(), cpu: None };
        let conditions = (0..expressions.len()).map(listed).collect();
        let profiles = vec![ListedProfile { name: "p".into(), conditions }];
        let a = Workload { profiles, ..workload("a", 1) };
        let b = Workload { depends_on: vec!["a".into()], ..workload("b", 1) };
        told(&[a.into(), b.into()], expressions)
    }

    #[test]
    fn a_circle_by_way_of_a_condition_is_told_by_what_that_asks() {
        let ready = [
            "a depends on itself: a -> workload.b.ready -> a",
            "b depends on itself: b -> a -> workload.b.ready",
        ];
        for expressions in [
            &["workload.b.ready == 1"][..],
            &["workload.b.ready > 0 && x > 5"],
            &["x > 5 && (workload.b.ready != 0 || workload.b.ready >= 1)"],
            &["workload.b.ready == 1", "workload.b.ready == 1 && x > 5", "("],
        ] {
            assert_eq!(told_of_a(expressions), ready, "{expressions:?}");
        }
        assert_eq!(told_of_a(&["workload.a.running == 1"]), ["a depends on itself: a -> workload.a.running"]);
        assert_eq!(told_of_a(&["workload.b.last_exit < 3"]).len(), 2);
    }

    #[test]
    fn what_could_start_without_the_others_is_no_circle() {
        for expressions in [
            &["x > 5 || workload.b.ready == 1"][..],
            &["workload.b.ready == 1", "x > 5"],
            &["workload.b.ready == 0"],
            &["workload.b.running != 1"],
            &["workload.b.ready < 1 && workload.a.running == 0"],
            &["workload.b.last_exit == nil"],
            &["workload.b.ready == nil"],
            &["workload.c.ready == 1"],
            &["("],
        ] {
            assert!(told_of_a(expressions).is_empty(), "{expressions:?}");
        }
    }
}
