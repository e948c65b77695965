//! Updates that wait until they are allowed: since when, what runs meanwhile, and what was let through. It is kept, so
//! that what runs stays what starts after a reboot, and a switch that has begun isn't taken back.
//!
//! The time that one waits counts by the clock since boot; over a reboot by the wall clock, as soon as that is right.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use super::model::{
    time::{Now, since_epoch},
    waiting::{WaitingContent, WaitingContents},
    workload::{Content, Workload, WorkloadId},
};

/// All that wait, or were let through and have not come up yet.
#[derive(Debug, Default)]
pub(super) struct WaitingRegistry {
    all: Vec<WaitEntry>,
    changed: bool,
}

#[derive(Debug)]
struct WaitEntry {
    update: WaitingContent,
    /// When this process first looked, since boot.
    begun: Option<Duration>,
    /// How long it had waited by then, as soon as that is known.
    before: Option<Duration>,
}

impl WaitingRegistry {
    pub(super) fn new(kept: WaitingContents) -> Self {
        let wait = |update| WaitEntry { update, begun: None, before: None };
        Self { all: kept.into_iter().map(wait).collect(), changed: false }
    }

    /// What is known of the update of this workload.
    pub(super) fn get(&self, name: &str) -> Option<&WaitingContent> {
        self.find(name).map(|wait| &wait.update)
    }

    fn find(&self, name: &str) -> Option<&WaitEntry> {
        self.all.iter().find(|wait| &*wait.update.name == name)
    }

    fn find_mut(&mut self, name: &str) -> Option<&mut WaitEntry> {
        self.all.iter_mut().find(|wait| &*wait.update.name == name)
    }

    /// Whether one waits.
    pub(super) fn is_waiting(&self, name: &str) -> bool {
        self.get(name).is_some_and(|update| !update.passed)
    }

    /// This content waits, and that one runs meanwhile. The time counts from the first that waited. Answers whether it
    /// is news. `is_right`: the wall clock is.
    pub(super) fn add_waiting(
        &mut self,
        name: &Arc<str>,
        to: &WorkloadId,
        runs: Option<&Arc<Workload>>,
        now: Now,
        is_right: bool,
    ) -> bool {
        let waits = self.is_waiting(name);
        if self.find(name).is_none() {
            let update =
                WaitingContent { name: name.clone(), to: to.clone(), since: None, runs: None, passed: false };
            self.all.push(WaitEntry { update, begun: None, before: None });
        }
        let Some(wait) = self.all.iter_mut().find(|wait| wait.update.name == *name) else { return false };
        let update = &mut wait.update;
        let id = |it: Option<&Arc<Workload>>| it.map(|it| it.id.clone());
        let is_news = !waits || update.to != *to;
        if !waits {
            (wait.begun, wait.before) = (Some(now.up), Some(Duration::ZERO));
            update.since = is_right.then(|| since_epoch(now.utc));
            if !is_right {
                wait.before = None;
            }
        }
        if is_news || id(update.runs.as_ref()) != id(runs) {
            (update.to, update.runs, update.passed) = (to.clone(), runs.cloned(), false);
            self.changed = true;
        }
        is_news
    }

    /// How long it has waited.
    pub(super) fn measure_wait(&mut self, name: &str, now: Now, is_right: bool) -> Duration {
        let Some(wait) = self.all.iter_mut().find(|wait| &*wait.update.name == name) else {
            return Duration::ZERO;
        };
        let here = now.up.saturating_sub(*wait.begun.get_or_insert(now.up));
        if wait.before.is_none() && is_right {
            let begun = now.utc.checked_sub(here).unwrap_or(UNIX_EPOCH);
            self.changed |= wait.update.since.is_none();
            let since = *wait.update.since.get_or_insert(since_epoch(begun));
            wait.before = Some(Duration::from_secs(since_epoch(begun).saturating_sub(since)));
        }
        wait.before.unwrap_or_default() + here
    }

    /// The same for people.
    pub(super) fn wait_time(&self, name: &str, now: Now) -> Duration {
        let Some(WaitEntry { begun, before, .. }) = self.find(name) else { return Duration::ZERO };
        before.unwrap_or_default() + now.up.saturating_sub(begun.unwrap_or(now.up))
    }

    /// This content is let through. `is_open`: it has something to return to, and has not come up yet.
    pub(super) fn let_through(&mut self, name: &Arc<str>, to: &WorkloadId, is_open: bool) {
        if !is_open {
            return self.forget(name);
        }
        if self.get(name).is_some_and(|it| it.passed && it.to == *to) {
            return;
        }
        self.forget(name);
        let update =
            WaitingContent { name: name.clone(), to: to.clone(), since: None, runs: None, passed: true };
        self.all.push(WaitEntry { update, begun: None, before: None });
        self.changed = true;
    }

    /// The one that waits is let through. Answers whether there was one.
    pub(super) fn release(&mut self, name: &str) -> bool {
        let Some(wait) = self.find_mut(name).filter(|wait| !wait.update.passed) else { return false };
        (wait.update.passed, self.changed) = (true, true);
        true
    }

    /// This content has come up, or was taken back.
    pub(super) fn end_passed(&mut self, name: &str, id: &WorkloadId) {
        if self.get(name).is_some_and(|it| it.passed && it.to == *id) {
            self.forget(name);
        }
    }

    /// Nothing of it waits.
    pub(super) fn forget(&mut self, name: &str) {
        self.retain_wanted(|other| other != name);
    }

    /// No others are asked for.
    pub(super) fn retain_wanted(&mut self, is_wanted: impl Fn(&str) -> bool) {
        let before = self.all.len();
        self.all.retain(|wait| is_wanted(&wait.update.name));
        self.changed |= self.all.len() != before;
    }

    /// Whose updates wait.
    pub(super) fn waiting_names(&self) -> impl Iterator<Item = Arc<str>> + '_ {
        self.all.iter().filter(|wait| !wait.update.passed).map(|wait| wait.update.name.clone())
    }

    /// What runs although another content is asked for.
    pub(super) fn running_contents(&self) -> impl Iterator<Item = &Content> {
        self.all.iter().filter_map(|wait| Some(&wait.update.runs.as_ref()?.content))
    }

    /// What is to be kept, if that has changed.
    pub(super) fn take_changed(&mut self) -> Option<WaitingContents> {
        let all = || self.all.iter().map(|wait| wait.update.clone()).collect();
        std::mem::take(&mut self.changed).then(all)
    }
}
