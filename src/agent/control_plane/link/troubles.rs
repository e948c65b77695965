//! What was said of calls that failed: each cause once, until it is over.

use crate::agent::model::{
    call::{Answer, CallFailure, CallKind},
    notice::{Notice, Reason},
    vec_map::VecMap,
};

/// Sentences that may vary with every try are bounded until one try goes well.
const MAX_SENTENCES: usize = 16;

/// Refusals in a row of what brings a certificate, until it looks like it won't pass by itself.
const REFUSALS_UNTIL_STUCK: u32 = 3;

/// What was said and isn't over yet.
#[derive(Debug, Default)]
pub(in crate::agent) struct Troubles {
    /// Of enrolment and registration: how often each was refused in a row, other than for want of approval.
    refused: VecMap<CallKind, u32>,
    /// The kinds of call that met no server when they were last made.
    unheard: VecMap<CallKind, ()>,
    /// The sentences, with the kind of call that each is about; none: about the way to the server.
    told: Vec<(Option<CallKind>, String)>,
}

impl Troubles {
    /// Takes in how a call ended; what is news is to be told.
    pub(super) fn note_result(
        &mut self,
        kind: CallKind,
        result: &Result<Answer, CallFailure>,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        self.count_refusal(kind, result);
        match result {
            Err(CallFailure::Unreachable(_) | CallFailure::Untrusted(_)) => {
                self.unheard.insert(kind, ());
            }
            Err(CallFailure::Local(_)) => {}
            Ok(_) | Err(CallFailure::Refused { .. } | CallFailure::Nonsense(_) | CallFailure::Taken(_)) => {
                self.unheard.remove(&kind);
                if self.unheard.is_empty() && self.resolve(None) {
                    notices.push(Notice::info(Reason::ServerBack, "the edge API answers again"));
                }
            }
        }
        let Err(failure) = result else {
            self.resolve(Some(kind));
            return notices;
        };
        let (about, notice) = failure_notice(kind, failure);
        let sentence = (about, notice.message.clone());
        if self.told.len() < MAX_SENTENCES && !self.told.contains(&sentence) {
            self.told.push(sentence);
            notices.push(notice);
        }
        notices
    }

    fn count_refusal(&mut self, kind: CallKind, result: &Result<Answer, CallFailure>) {
        match (kind, result) {
            (CallKind::Heartbeat | CallKind::Configuration | CallKind::Control, _)
            | (_, Err(CallFailure::Unreachable(_))) => {}
            (_, Ok(_)) => drop(self.refused.remove(&kind)),
            (CallKind::Register, Err(CallFailure::Refused { status: 404, .. })) => {
                self.refused.remove(&kind);
            }
            (_, Err(_)) => {
                let times = self.refused.get(&kind).unwrap_or(&0) + 1;
                self.refused.insert(kind, times);
            }
        }
    }

    /// A person has to do something.
    pub(super) fn needs_a_person(&self) -> bool {
        self.refused.iter().any(|(_, times)| *times >= REFUSALS_UNTIL_STUCK)
    }

    /// What isn't over.
    pub(in crate::agent) fn unresolved_sentences(&self) -> impl Iterator<Item = &str> {
        self.told.iter().map(|(_, sentence)| &**sentence)
    }

    /// Whether a call of this kind met no server when it was last made.
    pub(in crate::agent) fn is_unreachable(&self, kind: CallKind) -> bool {
        self.unheard.contains_key(&kind)
    }

    /// Says whether there was anything.
    fn resolve(&mut self, about: Option<CallKind>) -> bool {
        let before = self.told.len();
        self.told.retain(|(other, _)| *other != about);
        self.told.len() < before
    }
}

fn failure_notice(kind: CallKind, failure: &CallFailure) -> (Option<CallKind>, Notice) {
    let what = match kind {
        CallKind::Enrol => "enrol the device",
        CallKind::Register => "register the device",
        CallKind::Heartbeat => "send a heartbeat",
        CallKind::Configuration => "get the configuration",
        CallKind::Control => "get control messages",
    };
    let failed = |cause: String| {
        let message = format!("failed to {what}: {cause}; it is tried again");
        (Some(kind), Notice::warning(Reason::Failed, message))
    };
    match failure {
        CallFailure::Unreachable(cause) => {
            let message = format!("the edge API can't be reached; it is tried again: {cause}");
            (None, Notice::warning(Reason::ServerMissing, message))
        }
        CallFailure::Untrusted(cause) => {
            let message = format!("no trusted connection to the edge API; it is tried again: {cause}");
            (None, Notice::warning(Reason::ServerMissing, message))
        }
        CallFailure::Refused { status: 404, .. } if kind == CallKind::Register => {
            let message = "the device waits to be approved on the server";
            (Some(kind), Notice::info(Reason::AwaitingApproval, message))
        }
        CallFailure::Refused { status, message, .. } if message.is_empty() => {
            failed(format!("the server answers {status}"))
        }
        CallFailure::Refused { status, message, .. } => {
            failed(format!("the server answers {status}: {message}"))
        }
        CallFailure::Nonsense(cause) => failed(format!("the server's answer makes no sense: {cause}")),
        CallFailure::Taken(cause) | CallFailure::Local(cause) => failed(cause.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CallKind::{Configuration, Heartbeat};

    fn told(troubles: &mut Troubles, kind: CallKind, result: Result<Answer, CallFailure>) -> Vec<Reason> {
        troubles.note_result(kind, &result).iter().map(|notice| notice.reason).collect()
    }

    #[test]
    fn an_outage_is_over_when_every_kind_of_call_got_through() {
        let mut troubles = Troubles::default();
        let away = || Err(CallFailure::Unreachable("timed out".into()));
        assert_eq!(told(&mut troubles, Configuration, away()), [Reason::ServerMissing]);
        assert_eq!(told(&mut troubles, Heartbeat, away()), []);
        assert_eq!(told(&mut troubles, Heartbeat, Ok(Answer::Beaten)), []);
        assert_eq!(told(&mut troubles, Configuration, away()), [], "it never got better");
        let no = Err(CallFailure::Nonsense("no JSON".into()));
        assert_eq!(told(&mut troubles, Configuration, no), [Reason::ServerBack, Reason::Failed]);
    }

    #[test]
    fn a_cause_that_was_over_is_told_again() {
        let mut troubles = Troubles::default();
        let full = || Err(CallFailure::Local("the disk is full".into()));
        for _ in 0..3 {
            assert_eq!(told(&mut troubles, Heartbeat, full()), [Reason::Failed]);
            assert_eq!(told(&mut troubles, Heartbeat, full()), []);
            assert_eq!(told(&mut troubles, Heartbeat, Ok(Answer::Beaten)), []);
        }
    }
}
