//! A pod that may be active for so long only: `activeDeadlineSeconds`.
//!
//! It counts from the order to start it, with its init containers, and for one that was there before this process from
//! when its last container began. What is over is ended, as failed, and not started again: a service waits until it is
//! restarted by hand or changed, a cron workload for its next slot.

use super::tracked::TrackedWorkload;
use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        phase::Phase,
        run::{KILLED_EXIT_CODE, Run},
        time::Wake,
    },
};

impl TrackedWorkload {
    /// Ends the pod whose time is over, and says when it will be.
    pub(super) fn enforce_deadline(&mut self, turn: &mut Turn<'_>) -> Wake {
        let (Some(wanted), Some(end)) = (self.wanted.clone(), self.content.deadline) else {
            return Wake::Never;
        };
        let at = end.max(self.stop_after);
        let is_due = turn.now.up >= at;
        match self.phase {
            Phase::Running | Phase::Starting(_) if !is_due => return Wake::At(at),
            Phase::Running if turn.is_engine_ready(wanted.content.engine) => {}
            Phase::Starting(_) => {}
            _ => return Wake::Never, // without its engine it is looked at anew
        }
        self.content.over = true;
        let limit = wanted.deadline.unwrap_or_default();
        let cause = format!("its activeDeadlineSeconds ({}) are over", limit.as_secs());
        let message = format!("workload '{}': {cause}; it is stopped", self.name);
        turn.tell(Notice::warning(Reason::DeadlineExceeded, message));
        let ran = limit + turn.now.up.saturating_sub(end);
        self.record_ended_run(
            &wanted,
            Run::from_cut_short_pod(KILLED_EXIT_CODE, ran, turn.now),
            (Reason::DeadlineExceeded, cause.clone()),
            turn,
        );
        match self.phase {
            Phase::Starting(ticket) => {
                self.cancel_start(&wanted, &cause, turn);
                self.phase = Phase::Cancelling(ticket);
                Wake::Never
            }
            _ => self.order_removal(&wanted, turn),
        }
    }
}
