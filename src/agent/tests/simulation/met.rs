//! Whom an event meets: for the table of what happened to workloads in each phase.

use super::{
    coverage::Kind,
    device::Device,
    podman::about,
    shown::meaning,
    wishes::{NAMES, Spec},
    *,
};

/// Names of the device that an event meets; all, if it is about none in particular.
pub(super) type Met = Vec<(Option<usize>, Kind)>;

impl Device<'_> {
    /// How the wishes for each name changed.
    pub(super) fn changes(&self, before: [Option<Spec>; NAMES.len()]) -> Met {
        let mut met = Vec::new();
        for (name, before) in before.into_iter().enumerate() {
            let id = |spec| self.catalogue.id(spec);
            met.push((
                Some(name),
                match (before, self.rules.asked(name)) {
                    (Some(before), Some(after)) if id(before) != id(after) => Kind::WishChanged,
                    (Some(before), Some(after)) if before != after => Kind::WishKept,
                    (Some(_), None) => Kind::WishGone,
                    (Some(_), Some(_)) if self.manifests.unreadable.contains(&name) => Kind::WishUnreadable,
                    _ => continue,
                },
            ));
        }
        met
    }

    pub(super) fn specs(&self) -> [Option<Spec>; NAMES.len()] {
        std::array::from_fn(|name| self.rules.asked(name))
    }

    /// Whom an outcome meets.
    pub(super) fn outcome(&self, order: &Order, own: bool, result: &Result<Fact, Failure>) -> Met {
        let Some(id) = about(&order.task).1 else {
            return match order.task {
                Task::Usage(_) => vec![(None, Kind::Measured)],
                Task::Discard(_) => vec![(None, Kind::Discarded)],
                _ => self.listed(order.engine, result),
            };
        };
        let name = self.catalogue.name(id);
        let kind = match result {
            _ if matches!(order.task, Task::Pull(_) | Task::Rehearse { .. }) && !own => return Met::new(),
            _ if matches!(order.task, Task::Limit { .. }) => Kind::Limited,
            _ if matches!(order.task, Task::Probe { .. }) => Kind::Probed,
            _ if matches!(order.task, Task::End { .. } | Task::Restart { .. }) => Kind::Mended,
            _ if matches!(order.task, Task::Cancel(_)) => return Met::new(),
            Ok(_) if !own => Kind::LeftDone,
            Err(_) if !own => Kind::LeftFailed,
            Ok(Fact::Pulled { .. } | Fact::Fit { .. }) => Kind::Pulled,
            Ok(Fact::Pod(pod)) => match name.and_then(|name| self.rules.spec(name)) {
                Some(spec) => meaning(&restart_policy::evaluate_pod(
                    self.catalogue.workload(spec),
                    pod,
                    &Default::default(),
                    1,
                )),
                None => return Met::new(),
            },
            Ok(_) => Kind::Gone,
            Err(Failure::Workload(_)) => Kind::Refused,
            Err(Failure::Engine(_)) => Kind::Lost,
        };
        vec![(name, kind)]
    }

    pub(super) fn listed(&self, engine: Engine, result: &Result<Fact, Failure>) -> Met {
        let Ok(Fact::Pods(pods)) = result else { return vec![(None, Kind::ListFailed)] };
        let mut met = Vec::new();
        for (name, spec) in self.specs().into_iter().enumerate() {
            let of_name = || pods.iter().filter(|pod| pod.workload == NAMES[name]);
            let wanted = spec.map(|spec| self.catalogue.id(spec));
            if of_name().any(|pod| Some(&pod.id) != wanted) {
                met.push((Some(name), Kind::SeenOther));
            }
            let seen = of_name().find(|pod| Some(&pod.id) == wanted);
            if spec.is_some_and(|spec| spec.engine() == engine) {
                met.push((
                    Some(name),
                    match seen {
                        Some(pod) if pod.running => Kind::SeenRunning,
                        Some(_) => Kind::SeenBroken,
                        None => Kind::SeenNot,
                    },
                ));
            }
        }
        met
    }
}
