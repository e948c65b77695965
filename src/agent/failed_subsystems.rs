//! The parts of the agent that can't do their work. The agent goes on without, says so as long as it lasts, and is
//! degraded.

use super::{
    context::Context,
    model::{notice::Notice, subsystem::Subsystem, vec_map::VecMap},
};

/// The parts that don't work, each with the cause.
#[derive(Debug, Default)]
pub(super) struct FailedSubsystems(VecMap<Subsystem, String>);

impl FailedSubsystems {
    /// A part works, or doesn't: that is told when it is news.
    pub(super) fn set(&mut self, part: Subsystem, result: Result<(), String>, context: &mut Context) {
        let cause = result.err();
        if cause.as_ref() == self.0.get(&part) {
            return;
        }
        let (lost, back) = part.failure_and_recovery_reasons();
        match &cause {
            Some(cause) => {
                context.tell(Notice::warning(lost, format!("{}: {cause}", part.failure_message())))
            }
            None => {
                part.recovery_message().into_iter().for_each(|text| context.tell(Notice::info(back, text)))
            }
        }
        match cause {
            Some(cause) => drop(self.0.insert(part, cause)),
            None => drop(self.0.remove(&part)),
        }
    }

    pub(super) fn has(&self, part: &Subsystem) -> bool {
        self.0.contains_key(part)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A sentence each.
    pub(super) fn failure_messages(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(part, cause)| format!("{}: {cause}", part.failure_message()))
    }
}
