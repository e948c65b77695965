//! What workloads return to: by themselves, or because a person wants it.

use super::*;

/// What people let return.
#[derive(Debug, Default)]
pub(in super::super) struct Returns {
    /// Of each name what came up before what came up last.
    before: [Option<WorkloadId>; NAMES.len()],
    /// The name for which that is being asked for.
    asked: Option<usize>,
    /// By name: the server lets go of the device in this step, and this may hold its secrets.
    let_go: [bool; NAMES.len()],
}

impl Rules<'_> {
    /// The agent keeps other fallbacks from now on.
    pub(in super::super) fn fall_back(&mut self, fallbacks: &Fallbacks, now: Now) -> Holds {
        self.remembers(fallbacks)?;
        self.replaced(fallbacks)?;
        self.fallbacks.clone_from(fallbacks);
        for (name, fallback) in fallbacks {
            let failed = fallback.failed.as_ref().map(|failed| &failed.id);
            let (Some(at), Some(failed)) = (NAMES.iter().position(|it| *it == &**name), failed) else {
                continue;
            };
            let account = &self.accounts[at];
            if self.failed[at].as_ref() == Some(failed) {
                continue;
            }
            let is_it = account.spec.is_some_and(|spec| self.catalogue.id(spec) == failed);
            let is_early = |started: &Duration| is_it && now.up < *started + TRIAL && !self.is_asked_back(at);
            if let Some(started) = account.started.filter(is_early) {
                let what = format!("{failed} is taken back {:?} after its start", now.up - started);
                return broken(Invariant::RolledBack, what);
            }
            self.failed[at] = Some(failed.clone());
        }
        Ok(())
    }

    /// Whether an update is under way: a content that has something to return to, and isn't given up.
    pub(in super::super) fn is_on_trial(&self, name: usize) -> bool {
        let spec = self.accounts[name].spec.map(|spec| self.catalogue.id(spec));
        self.fallbacks.get(NAMES[name]).is_some_and(|it| Some(&it.good.id) != spec)
    }

    /// A person lets this name return to what ran before, or is done with that.
    pub(in super::super) fn ask_back(&mut self, name: Option<usize>) {
        self.returns.asked = name;
    }

    pub(super) fn is_asked_back(&self, name: usize) -> bool {
        self.returns.asked == Some(name)
    }

    /// The server is about to let go of the device: only of what is its manifests' alone, and is understood, contents stay.
    pub(super) fn lets_go(&mut self) {
        self.returns.let_go = std::array::from_fn(|name| !self.wanted.is_only_of_manifests(name));
    }

    pub(super) fn is_let_go(&self, name: usize) -> bool {
        self.returns.let_go[name]
    }

    /// The agent has decided: it keeps nothing of a server that let go of the device.
    pub(in super::super) fn kept(&mut self) -> Holds {
        for (at, name) in NAMES.iter().enumerate().filter(|(at, _)| self.returns.let_go[*at]) {
            if self.fallbacks.contains_key(*name) || self.updates.runs(at).is_some() {
                return broken(Invariant::Remembers, format!("'{name}' was the server's, and is still kept"));
            }
        }
        self.returns.let_go = Default::default();
        Ok(())
    }

    /// What was asked for, if that isn't tried again.
    pub(in super::super) fn is_taken_back(&self, name: usize) -> bool {
        self.asked(name).is_some_and(|spec| self.failed[name].as_ref() == Some(self.catalogue.id(spec)))
    }

    /// The agent is about to keep other fallbacks: of each name what came up before it is what a person can return to.
    pub(super) fn replaced(&mut self, fallbacks: &Fallbacks) -> Holds {
        for (at, name) in NAMES.iter().enumerate() {
            let Some(next) = fallbacks.get(*name) else {
                self.returns.before[at] = None;
                continue;
            };
            let last = self.fallbacks.get(*name).filter(|it| it.good.id != next.good.id);
            let is_by_hand = next.failed.as_ref().is_some_and(|it| it.by_hand);
            match last {
                Some(_) if is_by_hand && self.returns.before[at].as_ref() != Some(&next.good.id) => {
                    let what =
                        format!("'{name}' returns to {}, not to {:?}", next.good.id, self.returns.before[at]);
                    return broken(Invariant::ByHand, what);
                }
                Some(last) if !is_by_hand => self.returns.before[at] = Some(last.good.id.clone()),
                _ => {}
            }
            // what is kept already may be of a workload that is gone, as long as not all that is asked for is understood
            let kept = self.fallbacks.get(*name).and_then(|it| it.failed.as_ref());
            let is_new = kept.map(|it| &it.id) != next.failed.as_ref().map(|it| &it.id);
            if is_by_hand && is_new && !self.is_asked_back(at) {
                return broken(
                    Invariant::ByHand,
                    format!("'{name}' returns although that was not asked for"),
                );
            }
        }
        Ok(())
    }

    /// What came up last stays what is returned to: until the workload is gone, or another content came up.
    pub(super) fn remembers(&self, fallbacks: &Fallbacks) -> Holds {
        for (at, name) in NAMES.iter().enumerate() {
            let Some(before) = self.fallbacks.get(*name) else { continue };
            let account = &self.accounts[at];
            let good = fallbacks.get(*name).map(|it| &it.good.id);
            let is_new = account.spec.is_some_and(|spec| Some(self.catalogue.id(spec)) == good)
                && good != Some(&before.good.id)
                && !self.is_asked_back(at);
            // what had run for long enough by then was up
            if is_new && account.runs_since.is_none() && account.lacks.is_some_and(|ran| ran < 10 * S) {
                let what = format!("{good:?} counts as come up, and a container of it failed before that");
                return broken(Invariant::Remembers, what);
            }
            let mut contents = [self.effective(at), account.spec, account.before].into_iter().flatten();
            let is_right = match good {
                Some(_) if self.is_asked_back(at) => true,
                Some(good) => *good == before.good.id || contents.any(|it| self.catalogue.id(it) == good),
                None if self.is_let_go(at) => true,
                None => self.asked(at).is_none() && self.wanted.all_known() && !self.wanted.is_unreadable(at),
            };
            if !is_right {
                let what = format!("'{name}' came up as {}, and would return to {good:?}", before.good.id);
                return broken(Invariant::Remembers, what);
            }
        }
        Ok(())
    }
}
