//! A person asks for a new pod: the present one stays until it is known that another could start.

use std::time::Duration;

use super::tracked::{PendingRestart, Prepared, TrackedWorkload};
use crate::agent::{
    context::Turn,
    model::{
        notice::{Notice, Reason},
        order::{Fact, Failure, Task, Ticket},
        phase::Phase,
        question::{Asker, Reply},
        time::Wake,
    },
};

/// Who asked is told by then that it isn't known yet.
const STILL_CHECKING_AFTER: Duration = Duration::from_secs(6);

impl TrackedWorkload {
    /// A new pod is to take the place of the present one, or of none. Replies when that is known to be possible.
    ///
    /// # Errors
    /// Why it isn't now.
    pub(in crate::agent) fn restart(&mut self, asker: Asker, turn: &mut Turn<'_>) -> Result<(), String> {
        self.may_restart(turn)?;
        let Some(wanted) = self.wanted.clone().filter(|_| self.content.restart.is_none()) else {
            return Err("that was asked for already, and it is being checked whether it can start".into());
        };
        // (changes nothing that a list shows)
        let engine = wanted.content.engine;
        let ticket = turn.issue_order(&self.name, engine, Task::Rehearse { workload: wanted, moves: false });
        self.content.restart =
            Some(PendingRestart { ticket, asker: Some((asker, turn.now.up + STILL_CHECKING_AFTER)) });
        Ok(())
    }

    fn may_restart(&self, turn: &Turn<'_>) -> Result<(), String> {
        self.may_start_by_hand(turn)?;
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.is_service()) {
            return Err(format!(
                "it runs at the slots of its cron schedule; 'device-worker-ng run {}' gives it a run now",
                self.name
            ));
        }
        match self.phase {
            Phase::Running | Phase::Waiting { .. } | Phase::Finished { .. } => Ok(()),
            _ => Err(format!("it is {} at this moment", self.state().state_name())),
        }
    }

    /// Whether something may be started by hand.
    pub(super) fn may_start_by_hand(&self, turn: &Turn<'_>) -> Result<(), String> {
        let Some(wanted) = &self.wanted else { return Err("nothing asks for it any more".to_owned()) };
        if let Some((why, remedy)) = turn.context.stops.stop_reason_and_remedy(&self.name) {
            return Err(format!("{why}; {remedy}"));
        }
        if self.content.evicted || !self.may_run() {
            return Err(self.block_message(turn.now.up).to_owned());
        }
        if self.waits {
            return Err("something that it depends on isn't ready".to_owned());
        }
        if turn.context.short {
            return Err("the device is short of something, and nothing new is started".to_owned());
        }
        if let Some(why) = turn.engines.unready_reason(wanted.content.engine) {
            return Err(why);
        }
        Ok(())
    }

    /// The outcome of an order. Gives it back if it was none of these.
    pub(super) fn on_rehearsed(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        if self.content.restart.as_ref().is_none_or(|restart| restart.ticket != ticket) {
            return Some(result);
        }
        let possible = match result {
            Ok(_) => {
                self.content.ready = Prepared::All;
                self.may_restart(turn)
            }
            Err(Failure::Workload(cause)) => Err(cause),
            Err(Failure::Engine(cause)) => {
                let engine = self.wanted.as_ref()?.content.engine;
                turn.on_order_failed(engine, "", &Failure::Engine(cause.clone()));
                Err(format!("{engine} doesn't answer: {cause}"))
            }
        };
        if let Err(why) = possible {
            self.refuse_restart(&why, turn);
            return None;
        }
        if let (Phase::Finished { .. }, Some(wanted)) = (self.phase, &self.wanted) {
            turn.forget_run(&wanted.id);
        }
        self.content.forget_failures();
        self.phase = Phase::Waiting { until: turn.now.up };
        let message = format!("workload '{}' is started anew, as was asked for on the device", self.name);
        turn.tell(Notice::info(Reason::Restarted, message));
        self.reply(Reply::Done(format!("{} gets a new pod", self.name)), turn);
        self.content.restart = None;
        None
    }

    /// Nothing comes of it.
    pub(super) fn refuse_restart(&mut self, why: &str, turn: &mut Turn<'_>) {
        if self.content.restart.is_some() {
            let message = format!("workload '{}' is not restarted: {why}", self.name);
            turn.tell(Notice::warning(Reason::Failed, message));
            self.reply(Reply::Refused(why.to_owned()), turn);
            self.content.restart = None;
        }
    }

    /// Tells who asked in time that it isn't known yet, and says when to ask again.
    pub(super) fn reply_still_checking(&mut self, turn: &mut Turn<'_>) -> Wake {
        match self.content.restart {
            Some(PendingRestart { asker: Some((_, until)), .. }) if turn.now.up < until => Wake::At(until),
            _ => {
                self.reply(Reply::Checking, turn);
                Wake::Never
            }
        }
    }

    fn reply(&mut self, reply: Reply, turn: &mut Turn<'_>) {
        if let Some((asker, _)) = self.content.restart.as_mut().and_then(|restart| restart.asker.take()) {
            turn.context.reply(asker, reply);
        }
    }
}
