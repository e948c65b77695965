//! The link as people see it.

use crate::agent::{
    control_plane::{conversation::Conversation, link::Link},
    model::{
        report,
        time::{Now, Wake},
    },
};

impl Conversation {
    /// How the conversation is.
    pub(in crate::agent) fn link_report(&self, now: Now) -> report::LinkReport {
        let configuration = self.configuration.as_ref().map(|it| it.version.clone());
        let configuration_age = self.configured.map(|at| now.up.saturating_sub(at).as_secs());
        report::LinkReport { configuration, configuration_age, ..self.link.link_report(now) }
    }
}

impl Link {
    /// How it is; of the configuration it knows nothing.
    pub(in crate::agent) fn link_report(&self, now: Now) -> report::LinkReport {
        let next = match self.next_wake() {
            Wake::At(at) => Some(at.saturating_sub(now.up).as_secs_f64().ceil() as u64),
            Wake::Never => None,
        };
        let certificate = self.expires.map(|at| match at.duration_since(now.utc) {
            Ok(left) => left.as_secs() as i64,
            Err(over) => -(over.duration().as_secs() as i64),
        });
        report::LinkReport {
            link: self.state_name(),
            heard: self.heard.map(|at| now.up.saturating_sub(at).as_secs()),
            next,
            troubles: self.troubles.unresolved_sentences().map(str::to_owned).collect(),
            certificate,
            configuration: None,
            configuration_age: None,
        }
    }
}
