//! A person asks for a run of a workload with a cron schedule, now. It is a run like that of a slot, and takes none: a slot
//! that comes while it goes on is gone, as with any run, and the others come as they would have.

use super::tracked::TrackedWorkload;
use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        phase::Phase,
    },
    wrong_clock,
};

impl TrackedWorkload {
    /// A run is to begin now.
    ///
    /// # Errors
    /// Why that can't be.
    pub(in crate::agent) fn begin_run_by_hand(&mut self, turn: &mut Turn<'_>) -> Result<(), String> {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.is_service()) {
            return Err("it has no cron schedule: it runs whenever its conditions let it".to_owned());
        }
        self.may_start_by_hand(turn)?;
        if let Some(behind) = turn.context.clock_lag(turn.now) {
            return Err(wrong_clock::clock_lag_message(behind));
        }
        match self.phase {
            Phase::Inactive | Phase::Finished { .. } if !self.content.cron_runs.is_due() => {}
            Phase::Waiting { .. } if self.content.retried > 0 => {
                return Err("its last run failed, and is tried again in a moment".to_owned());
            }
            Phase::Unknown | Phase::Looking { adopting: true, .. } => {
                return Err("it isn't known yet whether a run is going on".to_owned());
            }
            _ => return Err("a run is going on".to_owned()),
        }
        self.content.cron_runs.set_due_now();
        let message = format!("workload '{}' gets a run now, as was asked for on the device", self.name);
        turn.tell(Notice::info(Reason::Commanded, message));
        Ok(())
    }
}
