//! Updates wait until they are allowed.

use super::*;
use crate::agent::tests::simulation::wishes::DEADLINE;

/// What is known of the updates of all names, over restarts of the agent.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// As the agent keeps them.
    kept: waiting::WaitingContents,
    /// Since when one waits, since boot.
    since: [Option<Duration>; NAMES.len()],
    /// The clock was set meanwhile: after a restart it can't be said how long it has waited.
    vague: [bool; NAMES.len()],
    /// Contents whose images came since they wait, in this process.
    fetched: BTreeSet<WorkloadId>,
    /// The last pull for what waits.
    pulls: [Option<Ticket>; NAMES.len()],
    /// What had come up when the agent died, until it is known what is asked for.
    ran: [Option<WorkloadId>; NAMES.len()],
    /// A program holds updates back.
    pub(super) locked: bool,
    /// A person let it go ahead.
    released: [bool; NAMES.len()],
}

impl Updates {
    fn of(&self, name: usize) -> Option<&waiting::WaitingContent> {
        self.kept.iter().find(|it| &*it.name == NAMES[name]).filter(|it| !it.passed)
    }

    /// What runs while another content waits.
    pub(super) fn runs(&self, name: usize) -> Option<&WorkloadId> {
        Some(&self.of(name)?.runs.as_ref()?.id)
    }

    /// Whether this content waits.
    pub(super) fn is_next(&self, name: usize, id: &WorkloadId) -> bool {
        self.of(name).is_some_and(|it| it.to == *id)
    }

    /// What waits.
    pub(super) fn next(&self) -> impl Iterator<Item = &WorkloadId> {
        self.kept.iter().filter(|it| !it.passed).map(|it| &it.to)
    }

    /// The images of what waits are asked for.
    pub(super) fn fetches(&mut self, name: usize, ticket: Ticket) {
        self.pulls[name] = Some(ticket);
    }

    /// A pull is over; one from before it waited says nothing: the images may have gone since.
    pub(super) fn fetched(&mut self, ticket: Ticket, id: &WorkloadId) {
        if self.pulls.contains(&Some(ticket)) {
            self.fetched.insert(id.clone());
        }
    }

    pub(super) fn clock_set(&mut self) {
        for (vague, since) in self.vague.iter_mut().zip(&self.since) {
            *vague |= since.is_some();
        }
    }

    /// What was let through has been judged.
    pub(super) fn judged(&mut self) {
        for name in 0..NAMES.len() {
            if self.of(name).is_none() {
                (self.since[name], self.vague[name]) = (None, false);
            }
        }
    }

    pub(super) fn restarted(&mut self, ran: [Option<WorkloadId>; NAMES.len()]) {
        for (known, ran) in self.ran.iter_mut().zip(ran) {
            *known = ran.or(known.take());
        }
        (self.fetched, self.pulls) = Default::default();
    }
}

impl Rules<'_> {
    /// The agent keeps other updates from now on.
    pub(in super::super) fn waiting(&mut self, updates: &waiting::WaitingContents, now: Now) {
        for it in updates.iter().filter(|it| !it.passed) {
            let known = self.updates.kept.iter().find(|known| known.name == it.name && !known.passed);
            if known.is_none_or(|known| known.to != it.to) {
                self.updates.fetched.remove(&it.to);
            }
        }
        self.updates.kept.clone_from(updates);
        for name in 0..NAMES.len() {
            if self.updates.of(name).is_some() {
                self.updates.since[name].get_or_insert(now.up);
            }
        }
    }

    /// A program takes the lock, or gives it back.
    pub(in super::super) fn lock(&mut self, held: bool) {
        self.updates.locked = held;
    }

    /// Whether an update of this name waits.
    pub(in super::super) fn is_update_waiting(&self, name: usize) -> bool {
        self.updates.of(name).is_some()
    }

    /// A person lets an update go ahead, until the next decision is over.
    pub(in super::super) fn release(&mut self, name: Option<usize>) {
        self.updates.released = std::array::from_fn(|it| Some(it) == name);
    }

    fn is_late(&self, name: usize, now: Now) -> bool {
        self.updates.since[name].is_some_and(|since| now.up >= since + DEADLINE)
    }

    /// Another content is what is to run from now on: only if nothing forbids it.
    pub(super) fn may_switch(&self, name: usize, after: Option<Spec>, now: Now) -> Holds {
        let account = &self.accounts[name];
        let (Some(before), Some(after), Some(meant)) = (account.spec, after, self.meant(name)) else {
            return Ok(());
        };
        let (from, to) = (self.catalogue.id(before), self.catalogue.id(after));
        let is_return = self.fallbacks.get(NAMES[name]).is_some_and(|it| it.failed.is_some());
        let runs = self.engines.iter().any(|told| told.pods.get(from).is_some_and(|(_, runs)| *runs));
        // it ran and was well when the agent was last at rest, and nothing was heard against it since
        let is_up =
            runs && account.runs_since.is_some() && account.evicted.is_none() && account.alarmed < now.up;
        let is_free = self.updates.released[name] || self.is_let_go(name);
        if from == to || is_return || !is_up || meant.update().is_none() || is_free {
            return Ok(());
        }
        let has_deadline = meant.condition == 1;
        if has_deadline && (self.updates.vague[name] || self.is_late(name, now)) {
            return Ok(());
        }
        if self.updates.locked {
            return broken(
                Invariant::Updates,
                format!("{to} takes the place of {from}, and a program holds the lock"),
            );
        }
        if !meant.may_be_updated(&self.metrics(now), now) {
            return broken(
                Invariant::Updates,
                format!("{to} takes the place of {from}, which isn't allowed"),
            );
        }
        if !self.updates.fetched.contains(to) {
            return broken(
                Invariant::Updates,
                format!("{to} takes the place of {from}, and its images aren't here"),
            );
        }
        Ok(())
    }

    /// The agent died while this content was up.
    pub(super) fn ran(&self, name: usize) -> Option<WorkloadId> {
        let account = &self.accounts[name];
        // one that was let through, and has not come up yet, is on its way
        let is_under_way = self.updates.kept.iter().any(|it| it.passed && &*it.name == NAMES[name]);
        let id = self.catalogue.id(account.spec.filter(|_| account.runs_since.is_some() && !is_under_way)?);
        let good = self.fallbacks.get(NAMES[name]).map(|it| &it.good.id);
        [good, self.updates.runs(name)].contains(&Some(id)).then(|| id.clone())
    }

    /// A new process wants this: what was up goes on, until the update is allowed and the images are known to be here.
    pub(super) fn may_begin(&mut self, name: usize, after: Option<Spec>, now: Now) -> Holds {
        if self.asked(name).is_none() && self.wanted.all_known() && !self.wanted.is_unreadable(name) {
            self.updates.ran[name] = None;
        }
        let (Some(after), Some(meant)) = (after, self.meant(name)) else { return Ok(()) };
        let Some(from) = self.updates.ran[name].take() else { return Ok(()) };
        let to = self.catalogue.id(after);
        let is_return = self.fallbacks.get(NAMES[name]).is_some_and(|it| it.failed.is_some());
        let may_run = self.allows(meant, now) && matches!(meant.schedule(), Schedule::Service(_));
        let is_free = meant.condition == 1 && (self.updates.vague[name] || self.is_late(name, now));
        if from == *to || is_return || !may_run || is_free || meant.update().is_none() {
            return Ok(());
        }
        broken(
            Invariant::Updates,
            format!("{to} takes the place of {from} after a restart, and doesn't wait"),
        )
    }

    /// The images of what waits are pulled, but not while the device is short.
    pub(super) fn may_fetch(&self, order: &Order) -> Holds {
        match self.is_fine() {
            true => Ok(()),
            false => broken(Invariant::Pressure, format!("{}, and the device is short", sentence(order))),
        }
    }

    /// The agent has nothing to do now: no update whose images are here waits longer than its deadline.
    pub(super) fn are_in_time(&self, now: Now) -> Holds {
        for (name, spec) in NAMES.iter().enumerate().map(|(name, _)| (name, self.meant(name))) {
            let is_known = spec.is_some_and(|spec| {
                let id = self.catalogue.id(spec);
                spec.condition == 1 && self.updates.is_next(name, id) && self.updates.fetched.contains(id)
            });
            let can_begin = self.is_fine()
                && spec.is_some_and(|spec| {
                    self.engines[podman_index(spec.engine())].sound
                        && spec.depends_on().is_none_or(|other| self.ready[other])
                });
            if is_known
                && can_begin
                && self.updates.of(name).is_some()
                && !self.updates.vague[name]
                && self.is_late(name, now)
            {
                let what = format!("an update of '{}' waits longer than its deadline", NAMES[name]);
                return broken(Invariant::Updates, what);
            }
        }
        Ok(())
    }

    /// The agent has nothing under way and nothing to do now: what waits isn't allowed, and would disturb something.
    pub(super) fn wait_for_something(&self, agent: &Agent, now: Now) -> Holds {
        for (name, it) in NAMES.iter().enumerate() {
            let (Some(update), Some(meant)) = (self.updates.of(name), self.meant(name)) else { continue };
            // the rules of what isn't read yet may forbid it
            let is_removed = |at| now.up >= at + REMOVE_AGAIN;
            if update.to != *self.catalogue.id(meant)
                || !self.is_fine()
                || !self.wanted.all_known()
                || !self.accounts[name].removal_refused.is_none_or(is_removed)
            {
                continue;
            }
            let phase = agent.workloads.get(*it).map(|tracked| tracked.phase);
            let is_here = self.updates.fetched.contains(&update.to);
            let good = self.fallbacks.get(*it).map(|it| &it.good.id);
            let current = self.accounts[name].spec.map(|spec| self.catalogue.id(spec));
            let has_come_up = current.is_some() && [good, self.updates.runs(name)].contains(&current);
            let wrong = match phase {
                // what has come up may run again before the images of the update are here
                Some(Phase::Inactive | Phase::Finished { .. }) if is_here || !has_come_up => {
                    "nothing of it runs"
                }
                Some(Phase::Running)
                    if !self.updates.locked && meant.may_be_updated(&self.metrics(now), now) && is_here =>
                {
                    "it is allowed"
                }
                _ => continue,
            };
            return broken(Invariant::Updates, format!("{} waits, and {wrong}", update.to));
        }
        Ok(())
    }
}
