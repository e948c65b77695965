//! What fails in the run of a slot, and is tried again in it: a container in its pod, or the pod as a whole.

use super::*;

impl Account {
    /// The agent tells what failed, and what follows. It counts by that, and no more follows than is allowed.
    pub(super) fn tried(&mut self, notice: &Notice, now: Now) -> Holds {
        let says = |words: &str| notice.message.contains(words);
        let Some(spec) = self.spec.filter(|spec| matches!(spec.schedule(), Schedule::Cron(..))) else {
            return Ok(());
        };
        let is_new = self.before.is_some_and(|before| before != spec) && self.slot_since == Some(now.utc);
        if is_new && self.started.is_none() && self.pull.is_none() {
            return Ok(()); // it took the place of another in this moment: that one is meant
        }
        let container = notice.message.split("container '").nth(1).and_then(|it| it.split_once('\''));
        // "container 'a': paused" is what is wrong with the pod
        let container = container.filter(|it| !it.1.starts_with(':')).map(|it| it.0);
        self.tried_before = self.tried_before.min(self.tried);
        if says("; tried again in ") && self.uncounted > 0 {
            self.uncounted -= 1;
        } else if container.is_some_and(|it| spec.is_sidecar(it)) {
            // it is there for the others, and costs them no try
        } else if says("; its pod is made anew") && self.next_try.may_start {
            // podman failed while the pod of the try before was removed, which is counted
        } else if says("; tried again in ") || says("; its pod is made anew") {
            self.tried = if self.may_have_lost_its_run(now) { 1 } else { self.tried + 1 };
            if container.is_none() {
                self.next_try = by_hand::Run { may_start: true, is_owed: true, goes_on: false };
            }
        } else if says(" has finished with ") || says("its next run is at its next slot") || says(" are over")
        {
            (self.next_try, self.tried) = Default::default();
            self.is_over = says(" are over");
            self.ends = self.ends.filter(|_| self.is_over); // it ends for that now
            if std::mem::take(&mut self.run.goes_on) {
                self.slot_since = Some(now.utc); // one that came meanwhile is gone
            }
        }
        if self.tried > spec.tries().max(self.tried_before) {
            return broken(Invariant::Tries, format!("no more than {} are allowed: {notice}", spec.tries()));
        }
        Ok(())
    }

    /// Whether the start of a try got lost, and with it the run: a slot has come since, and this is the run of that one.
    fn may_have_lost_its_run(&self, now: Now) -> bool {
        let Some(Schedule::Cron(cron, _)) = self.spec.map(Spec::schedule) else { return false };
        let has_come = |since| next_slot(&cron, since).is_some_and(|slot| slot <= now.utc);
        self.next_try.may_start && !self.next_try.is_owed && self.slot_since.is_none_or(has_come)
    }

    /// Whether its time is over; of what was replaced in this moment that isn't known any more.
    pub(super) fn has_had_its_time(&self, now: Now) -> bool {
        self.ends.map_or(self.slot_since == Some(now.utc), |at| at <= now.up)
    }

    /// Another content takes the place of this one.
    pub(super) fn forget_tries(&mut self) {
        (self.next_try, self.tried) = Default::default();
    }

    /// Whether the pod was seen to have used up its tries: a container that ended is wanted back, and can't be.
    pub(super) fn gives_up(&self, wanted_back: &[&Container]) -> bool {
        let Some(most) = self.spec.and_then(Spec::retries) else { return false };
        let waits = |it: &Container| {
            let known = self.missed.get(&it.name);
            let at = |at| matches!(it.state, ContainerState::Exited { at: ended, .. } if ended == at);
            known.is_some_and(|known| known.order.is_some() || known.waits && at(known.at))
        };
        let new = wanted_back.iter().filter(|it| !waits(it)).count();
        new > most.saturating_sub(self.tried) as usize
    }
}
