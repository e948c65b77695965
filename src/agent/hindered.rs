//! The parts of the agent that can't do their work. The agent goes on without, says so as long as it lasts, and is
//! degraded.

use super::{
    context::Context,
    model::{few::Few, notice::Notice, part::Part},
};

/// The parts that don't work, each with the cause.
#[derive(Debug, Default)]
pub(super) struct Hindered(Few<Part, String>);

impl Hindered {
    /// A part works, or doesn't: that is told when it is news.
    pub(super) fn set(&mut self, part: Part, result: Result<(), String>, context: &mut Context) {
        let cause = result.err();
        if cause.as_ref() == self.0.get(&part) {
            return;
        }
        let (lost, back) = part.reasons();
        match &cause {
            Some(cause) => context.tell(Notice::warning(lost, format!("{}: {cause}", part.lost()))),
            None => part.back().into_iter().for_each(|text| context.tell(Notice::info(back, text))),
        }
        match cause {
            Some(cause) => drop(self.0.insert(part, cause)),
            None => drop(self.0.remove(&part)),
        }
    }

    pub(super) fn has(&self, part: &Part) -> bool {
        self.0.contains_key(part)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A sentence each.
    pub(super) fn shown(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(part, cause)| format!("{}: {cause}", part.lost()))
    }
}
