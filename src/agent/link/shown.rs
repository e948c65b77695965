//! The link as people see it.

use super::{Link, State};
use crate::agent::{
    call::CallKind,
    report,
    time::{Now, Wake},
};

impl Link {
    /// The state, or what is more urgent to know.
    pub(in crate::agent) fn summary(&self) -> &'static str {
        let is_unheard =
            |(kind, at): &(CallKind, Wake)| *at != Wake::Never && self.troubles.is_unheard(*kind);
        match self.state {
            State::Disconnected => self.word(),
            _ if self.attempts().iter().any(is_unheard) => "unreachable",
            State::Linked(_) if self.heard.is_none() => "connecting",
            _ => self.word(),
        }
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Enrolling(_) => "enrolling",
            State::Registering { .. } => "registering",
            State::Linked(_) => "linked",
            State::Disconnected => "disconnected",
        }
    }

    /// How it is; of the configuration it knows nothing.
    pub(in crate::agent) fn shown(&self, now: Now) -> report::Server {
        let next = match self.wake() {
            Wake::At(at) => Some(at.saturating_sub(now.up).as_secs_f64().ceil() as u64),
            Wake::Never => None,
        };
        let certificate = self.expires.map(|at| match at.duration_since(now.utc) {
            Ok(left) => left.as_secs() as i64,
            Err(over) => -(over.duration().as_secs() as i64),
        });
        report::Server {
            link: self.word(),
            heard: self.heard.map(|at| now.up.saturating_sub(at).as_secs()),
            next,
            troubles: self.troubles.sentences().map(str::to_owned).collect(),
            certificate,
            configuration: None,
            configuration_age: None,
        }
    }
}
