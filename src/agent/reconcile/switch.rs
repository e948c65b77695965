//! Another content is asked for, and what runs stays until an update is allowed. Images are pulled meanwhile.
//!
//! Only what an update would disturb is protected: what runs, and what has come up once and is on its way again, as after
//! a reboot. What fails, has ended or may not run is replaced at once.

use std::{sync::Arc, time::Duration};

use super::{
    tracked::{Ready, Tracked},
    waiting_update::{Images, WaitingUpdate},
};
use crate::agent::{
    context::Turn,
    model::{
        fallback::by_todays_rules,
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

impl Tracked {
    /// What is to run now that this is asked for; `is_gated`: an update may have to wait.
    pub(super) fn hold_back(
        &mut self,
        asked: Arc<Workload>,
        is_gated: bool,
        turn: &mut Turn<'_>,
    ) -> Arc<Workload> {
        // the rules may come from a source that is not read yet
        let is_gated = is_gated || turn.context.partial && turn.context.waiting.waits(&self.name);
        let runs = self.what_runs(turn).filter(|runs| is_gated && runs.id != asked.id);
        let Some(runs) = runs else {
            self.waiting_update = None;
            let is_open = is_gated && turn.context.can_be_taken_back(&asked);
            turn.context.waiting.pass(&self.name, &asked.id, is_open);
            return asked;
        };
        let runs = by_todays_rules(&runs, &asked);
        if turn.context.update_waits(&self.name, &asked.id, Some(&runs), turn.now) {
            turn.context.images.look();
        }
        match &mut self.waiting_update {
            Some(update) if update.workload.id == asked.id => update.workload = asked,
            _ => {
                let images = Images::Due(turn.now.up);
                self.waiting_update =
                    Some(Box::new(WaitingUpdate { workload: asked, images, failures: 0, lacks: None }));
            }
        }
        runs
    }

    /// What an update would disturb.
    fn what_runs(&self, turn: &Turn<'_>) -> Option<Arc<Workload>> {
        if self.wanted.is_some() {
            return self.wanted.clone().filter(|_| self.is_up(turn));
        }
        // this process has not seen it yet
        match turn.context.waiting.of(&self.name) {
            Some(update) => update.runs.clone(),
            None => turn.context.fallbacks.get(&self.name).map(|it| it.good.clone()),
        }
    }

    /// Whether what is wanted has come up once.
    fn has_come_up(&self, turn: &Turn<'_>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let waiting = turn.context.waiting.of(&self.name).and_then(|it| it.runs.as_ref());
        let good = turn.context.fallbacks.get(&self.name).map(|it| &it.good);
        waiting.into_iter().chain(good).any(|it| it.id == wanted.id)
    }

    /// Whether what is wanted runs, or has come up once and is on its way.
    fn is_up(&self, turn: &Turn<'_>) -> bool {
        let Some(wanted) = &self.wanted else { return false };
        let is_known = self.has_come_up(turn);
        match self.phase {
            Phase::Running | Phase::Looking { adopting: false, .. } => self.content.containers.any_runs(),
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
            turn.context.update_waits(&self.name, &update.workload.id, Some(wanted), turn.now);
        }
        let waited = turn.context.waited(&self.name, turn.now);
        let (is_here, engine) = (update.images == Images::Here, update.workload.content.engine);
        // what runs goes at once then, and not at another moment
        let can_begin = is_here && !self.waits && !turn.context.short && turn.ready(engine);
        let is_read = permit.is_some() || !turn.context.partial;
        let why = if is_read && !self.is_up(turn) && (is_here || !self.has_come_up(turn)) {
            "nothing of it runs"
        } else if is_read && can_begin && permit.is_some_and(|it| it.is_late(waited)) {
            WHY_LATE
        } else if is_read && can_begin && permit.is_none_or(|it| it.is_open) && turn.context.is_unlocked() {
            WHY_ALLOWED
        } else {
            let again = permit.map_or(Wake::Never, |it| it.again(waited, turn.now));
            return self.fetch(turn).earlier(again);
        };
        self.go_ahead(why, turn);
        Wake::Never
    }

    /// The content that waits is let through. Answers whether there was one.
    pub(in crate::agent) fn go_ahead(&mut self, why: &str, turn: &mut Turn<'_>) -> bool {
        let Some(update) = self.waiting_update.take() else { return false };
        turn.context.update_goes_ahead(&self.name, why);
        let is_open = turn.context.can_be_taken_back(&update.workload);
        turn.context.waiting.pass(&self.name, &update.workload.id, is_open);
        if let Some(old) = self.wanted.as_ref().filter(|_| !turn.context.partial) {
            turn.forget_run(&old.id); // should it be asked for again, it runs again
        }
        self.replace(Some(update.workload), turn);
        if update.images == Images::Here {
            self.content.ready = Ready::Images;
        }
        true
    }

    /// Orders the images of the content that waits, and says when to ask again.
    fn fetch(&mut self, turn: &mut Turn<'_>) -> Wake {
        let Some(update) = &mut self.waiting_update else { return Wake::Never };
        let engine = update.workload.content.engine;
        match update.images {
            Images::Due(at) if turn.now.up < at => Wake::At(at),
            Images::Due(_) if turn.ready(engine) && !turn.context.short => {
                // (changes nothing that a list shows)
                let ticket = turn.order(&self.name, engine, Task::Pull(update.workload.clone()));
                update.images = Images::UnderWay(ticket);
                Wake::Never
            }
            _ => Wake::Never,
        }
    }

    /// The outcome of an order. Gives it back if it wasn't that one.
    pub(super) fn fetched(
        &mut self,
        ticket: Ticket,
        result: Result<Fact, Failure>,
        turn: &mut Turn<'_>,
    ) -> Option<Result<Fact, Failure>> {
        let Some(update) =
            self.waiting_update.as_mut().filter(|update| update.images == Images::UnderWay(ticket))
        else {
            return Some(result);
        };
        let engine = update.workload.content.engine;
        update.images = Images::Due(turn.now.up);
        match result {
            Ok(fact) => {
                (update.images, update.lacks) = (Images::Here, None);
                self.tell_stale(&fact, turn);
            }
            Err(Failure::Engine(cause)) => turn.failed(engine, "", &Failure::Engine(cause)),
            Err(Failure::Workload(cause)) => {
                let delay = PULL_BACKOFF.delay(update.failures, turn.random());
                update.images = Images::Due(turn.now.up + delay);
                update.failures = update.failures.saturating_add(1);
                let message = format!(
                    "workload '{}': {cause}; its update waits, and this is tried again in {:.0} s",
                    self.name,
                    delay.as_secs_f32()
                );
                update.lacks = Some(cause);
                turn.tell(Notice::warning(Reason::ImagePullFailed, message));
            }
        }
        None
    }
}
