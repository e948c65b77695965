//! Conditions that remember: for how long, and until when.

use super::{wishes::REMEMBERED, *};

/// What one of them remembers.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) holds: bool,
    /// Since when its expression is true, while the condition isn't.
    since: Option<Duration>,
    /// Since when the agent could have seen that it is time.
    watched: Option<Duration>,
}

impl Rules<'_> {
    /// Time passed, or something changed.
    pub(in super::super) fn remember(&mut self, now: Now) -> Holds {
        if !self.wanted.any_known() {
            return Ok(());
        }
        let (metrics, all_known) = (self.metrics(now), self.wanted.all_known());
        for (it, rule) in self.remembered.iter_mut().zip(&REMEMBERED) {
            if self.wanted.definition(rule.profile()) != Some(rule.definition) {
                it.watched = None;
                if all_known {
                    *it = Remembered::default();
                }
                continue;
            }
            let watched = *it.watched.get_or_insert(now.up);
            let (is_true, ends) = rule.judge(&metrics);
            if it.holds {
                it.holds = ends.map_or(is_true, |ends| !ends);
            } else if is_true && ends != Some(true) {
                let due = *it.since.get_or_insert(now.up) + rule.hold;
                it.holds = now.up >= due;
                if now.up > due.max(watched) + S {
                    return broken(Invariant::Lasts, format!("a condition was to be true at {due:?}"));
                }
                it.since = it.since.filter(|_| !it.holds);
            } else {
                it.since = None;
            }
        }
        Ok(())
    }

    /// Nothing could be seen meanwhile.
    pub(in super::super) fn slept(&mut self, now: Now) {
        for it in self.remembered.iter_mut().filter(|it| it.watched.is_some()) {
            it.watched = Some(now.up);
        }
    }

    /// A new process looks anew; what is remembered is kept.
    pub(super) fn forget_watch(&mut self) {
        self.remembered.iter_mut().for_each(|it| it.watched = None);
    }

    /// Whether a condition becomes true soon.
    pub(in super::super) fn is_any_pending(&self) -> bool {
        self.remembered.iter().any(|it| it.watched.is_some() && it.since.is_some())
    }
}
