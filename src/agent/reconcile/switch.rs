//! Another content is asked for, and what runs stays until an update is allowed. Images are pulled meanwhile.
//!
//! Only what an update would disturb is protected: what runs, and what has come up once and is on its way again, as after
//! a reboot. What fails, has ended or may not run is replaced at once.

use std::{sync::Arc, time::Duration};

use super::{
    tracked::{Prepared, TrackedWorkload},
    waiting_update::{ImagePullState, WaitingUpdate},
};
use crate::agent::{
    context::Turn,
    model::{
        fallback::with_rules_of,
        notice::{Notice, Reason},
        order::{Fact, Failure, Task, Ticket},
        phase::Phase,
        schedule::Backoff,
        time::Wake,
        workload::Workload,
    },
    update_gate::{Permit, WHY_ALLOWED, WHY_LATE},
};

/// Between pulls that fail.
const PULL_BACKOFF: Backoff =
    Backoff::Exponential { initial: Duration::from_secs(20), multiplier: 2.0, randomization: 0.2 };

impl TrackedWorkload {
    /// What is to run now that this is asked for; `is_gated`: an update may have to wait.
    pub(super) fn choose_content_to_run(
        &mut self,
        asked: Arc<Workload>,
        is_gated: bool,
        turn: &mut Turn<'_>,
    ) -> Arc<Workload> {
        // the rules may come from a source that is not read yet
        let is_gated = is_gated || turn.context.partial && turn.context.waiting.is_waiting(&self.name);
        let runs = self.running_content(turn).filter(|runs| is_gated && runs.id != asked.id);
        let Some(runs) = runs else {
            self.waiting_update = None;
            let is_open = is_gated && turn.context.can_roll_back(&asked);
            turn.context.waiting.let_through(&self.name, &asked.id, is_open);
            return asked;
        };
        let runs = with_rules_of(&runs, &asked);
        if turn.context.record_waiting_update(&self.name, &asked.id, Some(&runs), turn.now) {
            turn.context.images.request_cleanup();
        }
        match &mut self.waiting_update {
            Some(update) if update.workload.id == asked.id => update.workload = asked,
            _ => {
                let images = ImagePullState::Due(turn.now.up);
                self.waiting_update =
                    Some(Box::new(WaitingUpdate { workload: asked, images, failures: 0, pull_error: None }));
            }
        }
        runs
    }

    /// What an update would disturb.
    fn running_content(&self, turn: &Turn<'_>) -> Option<Arc<Workload>> {
        if self.wanted.is_some() {
            return self.wanted.clone().filter(|_| self.is_up(turn));
        }
        // this process has not seen it yet
        match turn.context.waiting.get(&self.name) {
            Some(update) => update.runs.clone(),
            None => turn.context.fallbacks.get(&self.name).map(|it| it.good.clone()),
        }
    }

    /// Whether what is wanted has come up once.
    fn has_come_up(&self, turn: &Turn<'_>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let waiting = turn.context.waiting.get(&self.name).and_then(|it| it.runs.as_ref());
        let good = turn.context.fallbacks.get(&self.name).map(|it| &it.good);
        waiting.into_iter().chain(good).any(|it| it.id == wanted.id)
    }

    /// Whether what is wanted runs, or has come up once and is on its way.
    fn is_up(&self, turn: &Turn<'_>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let is_known = self.has_come_up(turn);
        match self.phase {
            Phase::Running | Phase::Looking { adopting: false, .. } => self.content.containers.any_running(),
            Phase::Finished { .. } => false,
            Phase::Unknown
            | Phase::Looking { adopting: true, .. }
            | Phase::Stopping(_)
            | Phase::Cancelling(_) => is_known,
            Phase::Inactive | Phase::Waiting { .. } | Phase::Pulling(_) | Phase::Starting(_) => {
                is_known && self.content.failures == 0 && self.may_run() && wanted.is_service()
            }
        }
    }

    /// Lets the content that waits take the place of what runs, if that is allowed now, and says when to ask again.
    /// `permit`: none where there is no rule.
    pub(super) fn switch(&mut self, permit: Option<Permit>, turn: &mut Turn<'_>) -> Wake {
        let Some(update) = &self.waiting_update else { return Wake::Never };
        if let Some(wanted) = &self.wanted {
            // that may be another one, after a failure
            turn.context.record_waiting_update(&self.name, &update.workload.id, Some(wanted), turn.now);
        }
        let waited = turn.context.update_wait_time(&self.name, turn.now);
        let (is_here, engine) = (update.images == ImagePullState::Here, update.workload.content.engine);
        // what runs goes at once then, and not at another moment
        let can_begin = is_here && !self.waits && !turn.context.short && turn.is_engine_ready(engine);
        let is_read = permit.is_some() || !turn.context.partial;
        let why = if is_read && !self.is_up(turn) && (is_here || !self.has_come_up(turn)) {
            "nothing of it runs"
        } else if is_read && can_begin && permit.is_some_and(|it| it.is_late(waited)) {
            WHY_LATE
        } else if is_read
            && can_begin
            && permit.is_none_or(|it| it.is_open)
            && turn.context.ask_updates_unlocked()
        {
            WHY_ALLOWED
        } else {
            let again = permit.map_or(Wake::Never, |it| it.next_wake(waited, turn.now));
            return self.pull_update_images(turn).earlier(again);
        };
        self.release_update(why, turn);
        Wake::Never
    }

    /// The content that waits is let through. Answers whether there was one.
    pub(in crate::agent) fn release_update(&mut self, why: &str, turn: &mut Turn<'_>) -> bool {
        let Some(update) = self.waiting_update.take() else { return false };
        turn.context.announce_update(&self.name, why);
        let is_open = turn.context.can_roll_back(&update.workload);
        turn.context.waiting.let_through(&self.name, &update.workload.id, is_open);
        if let Some(old) = self.wanted.as_ref().filter(|_| !turn.context.partial) {
            turn.forget_run(&old.id); // should it be asked for again, it runs again
        }
        self.replace_wanted(Some(update.workload), turn);
        if update.images == ImagePullState::Here {
            self.content.ready = Prepared::Images;
        }
        true
    }

    /// Orders the images of the content that waits, and says when to ask again.
    fn pull_update_images(&mut self, turn: &mut Turn<'_>) -> Wake {
        let Some(update) = &mut self.waiting_update else { return Wake::Never };
        let engine = update.workload.content.engine;
        match update.images {
            ImagePullState::Due(at) if turn.now.up < at => Wake::At(at),
            ImagePullState::Due(_) if turn.is_engine_ready(engine) && !turn.context.short => {
                // (changes nothing that a list shows)
                let ticket = turn.issue_order(&self.name, engine, Task::Pull(update.workload.clone()));
                update.images = ImagePullState::UnderWay(ticket);
                Wake::Never
            }
            _ => Wake::Never,
        }
    }

    /// The outcome of an order. Gives it back if it wasn't that one.
    pub(super) fn on_update_pulled(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let Some(update) =
            self.waiting_update.as_mut().filter(|update| update.images == ImagePullState::UnderWay(ticket))
        else {
            return Some(result);
        };
        let engine = update.workload.content.engine;
        update.images = ImagePullState::Due(turn.now.up);
        match result {
            Ok(fact) => {
                (update.images, update.pull_error) = (ImagePullState::Here, None);
                self.tell_stale_images(&fact, turn);
            }
            Err(Failure::Engine(cause)) => turn.on_order_failed(engine, "", &Failure::Engine(cause)),
            Err(Failure::Workload(cause)) => {
                let delay = PULL_BACKOFF.delay(update.failures, turn.random());
                update.images = ImagePullState::Due(turn.now.up + delay);
                update.failures = update.failures.saturating_add(1);
                let message = format!(
                    "workload '{}': {cause}; its update waits, and this is tried again in {:.0} s",
                    self.name,
                    delay.as_secs_f32()
                );
                update.pull_error = Some(cause);
                turn.tell(Notice::warning(Reason::ImagePullFailed, message));
            }
        }
        None
    }
}
