//! What the probes of a running pod lead to.

use super::tracked::TrackedWorkload;
use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::Task,
        time::Wake,
        workload::Workload,
    },
};

impl TrackedWorkload {
    /// Asks the containers that are due whether they are well, and has those ended that aren't.
    pub(super) fn probe(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        while let Some((container, cause)) = self.content.health.take_unhealthy() {
            self.mark_unhealthy(wanted, &container, cause, turn);
        }
        while let Some((is_good, message)) = self.content.health.next_unreported_readiness() {
            let message = format!("workload '{}': {message}", self.name);
            turn.tell(match is_good {
                true => Notice::info(Reason::Recovered, message),
                false => Notice::warning(Reason::Unhealthy, message),
            });
        }
        self.content.health.ask_due_probes(turn.now.up, |container, probe| {
            let task = Task::Probe { id: wanted.id.clone(), container: container.into(), probe };
            // not this workload's `last`: it changes nothing that a list shows
            turn.issue_order(&self.name, wanted.content.engine, task)
        })
    }
}
