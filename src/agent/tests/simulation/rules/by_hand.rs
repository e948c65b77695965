//! What people ask for by hand: what is stopped stays so, and a run that is asked for is one run.

use super::*;

/// A workload that is stopped by hand; with an id: until something else is asked for than that.
pub(in super::super) type Halted = Option<Option<WorkloadId>>;

/// A run that is asked for by hand.
#[derive(Debug, Default)]
pub(in super::super) struct Run {
    /// There may be a start that no slot asks for.
    pub(super) may_start: bool,
    /// And there must be.
    pub(super) is_owed: bool,
    /// It has begun.
    pub(super) goes_on: bool,
}

impl Rules<'_> {
    pub(in super::super) fn halts(&self, name: usize) -> bool {
        self.halted[name].is_some()
    }

    /// A person stops it, if it is there to be stopped.
    pub(in super::super) fn halt(&mut self, name: usize, until_changed: bool) {
        let id = self.asked(name).map(|spec| self.catalogue.id(spec).clone());
        self.halted[name] = id.map(|id| until_changed.then_some(id));
    }

    /// A person starts it again.
    pub(in super::super) fn unhalt(&mut self, name: usize) {
        self.halted[name] = None;
    }

    /// Other things are asked for: some stops are over.
    pub(super) fn end_halts(&mut self) {
        let all_known =
            self.wanted.all_known() && (0..NAMES.len()).all(|name| !self.wanted.is_unreadable(name));
        for name in 0..NAMES.len() {
            let asked = self.wanted.spec(name).map(|spec| self.catalogue.id(spec));
            let is_over = match (asked, &self.halted[name]) {
                (None, _) => all_known,
                (Some(asked), Some(Some(until_not))) => asked != until_not,
                _ => false,
            };
            if is_over {
                self.halted[name] = None;
            }
        }
    }

    /// A person wants a run. Gives back what was known of it.
    pub(in super::super) fn wants_run(&mut self, name: usize) -> Run {
        std::mem::replace(&mut self.accounts[name].run, Run { may_start: true, ..Run::default() })
    }

    /// That was promised, or refused.
    pub(in super::super) fn gets_run(&mut self, name: usize, is_promised: bool, before: Run) {
        let run = &mut self.accounts[name].run;
        match is_promised {
            true => run.is_owed = run.may_start, // if it hasn't begun
            false => *run = before,
        }
    }

    /// What a person stopped isn't touched but to remove it.
    pub(super) fn is_not_halted(&self, name: usize, what: impl FnOnce() -> String) -> Holds {
        match self.halts(name) {
            true => broken(Invariant::ByHand, format!("{}, and a person stopped it", what())),
            false => Ok(()),
        }
    }
}
