//! What the probes of a running pod lead to.

use super::tracked::Tracked;
use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::Task,
        phase::Phase,
        run::Run,
        schedule::Backoff,
        time::Wake,
        workload::{RestartPolicy, Workload},
    },
};

/// Of a container that had to be killed, as for one that was.
pub(super) const KILLED: i32 = 137;

impl Tracked {
    /// Asks the containers that are due whether they are well, and deals with a pod that isn't.
    pub(super) fn probe(&mut self, wanted: &Workload, turn: &mut Turn<'_>) -> Wake {
        let now = turn.now.up;
        let Some((cause, ran)) = self.content.health.unhealthy(now) else {
            return self.content.health.advance(now, |container, probe| {
                let task = Task::Probe { id: wanted.id.clone(), container: container.into(), probe };
                // not this workload's `last`: it changes nothing that a list shows
                turn.order(&self.name, wanted.content.engine, task)
            });
        };
        if wanted.is_service() && wanted.restart != RestartPolicy::Never {
            if ran >= Backoff::CAP {
                self.content.failures = 0;
            }
            self.failed_because(Reason::Unhealthy, &cause, now, turn);
            return match self.phase {
                Phase::Waiting { until } => Wake::At(until),
                _ => Wake::Never,
            };
        }
        let message = format!("workload '{}': {cause}; it is stopped", self.name);
        turn.tell(Notice::warning(Reason::Unhealthy, message));
        self.ended(wanted, Run::cut_short(KILLED, ran, turn.now), (Reason::Unhealthy, cause), turn);
        self.stop(wanted, turn)
    }
}
