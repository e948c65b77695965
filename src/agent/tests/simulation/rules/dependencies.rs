//! Workloads that depend on others.

use super::*;

impl Rules<'_> {
    /// Takes down who is ready before an event, or after it, too.
    pub(in super::super) fn note_ready(&mut self, agent: &Agent, is_before: bool) {
        let now = self.ready(agent);
        self.ready = std::array::from_fn(|name| now[name] || !is_before && self.ready[name]);
    }

    /// By name: whether it does what others need it for, as far as that can be told without the agent's rules.
    pub(in super::super) fn ready(&self, agent: &Agent) -> [bool; NAMES.len()] {
        std::array::from_fn(|name| {
            let account = &self.accounts[name];
            let (Some(tracked), Some(spec)) = (agent.workloads.get(NAMES[name]), account.spec) else {
                return false;
            };
            match tracked.phase {
                Phase::Running | Phase::Looking { adopting: false, .. } => {
                    let is_done = account.ended.contains(spec.probed()); // else it ails
                    !spec.is_asked_whether_ready() || account.ready.is_some() || is_done
                }
                Phase::Finished { code } => code == 0 && matches!(spec.schedule(), Schedule::Service(_)),
                _ => false,
            }
        })
    }

    /// Whether the order is about a workload that ends and runs again by itself: its runs have a deadline, or it depends on
    /// one that has a schedule.
    pub(in super::super) fn recurs(&self, order: &Order) -> bool {
        let spec =
            about(&order.task).1.and_then(|id| self.catalogue.name(id)).and_then(|name| self.spec(name));
        let needed = spec.and_then(Spec::depends_on).and_then(|name| self.spec(name));
        if needed.is_some_and(|it| matches!(it.schedule(), Schedule::Cron(..))) {
            return true;
        }
        spec.is_some_and(|spec| spec.deadline().is_some() && !self.ends(spec))
    }
}
