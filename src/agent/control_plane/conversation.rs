//! What the agent makes of the edge API's answers, and what it has to say to it.

use std::time::Duration;

use super::{
    heartbeat::{HeartbeatOutbox, ReportedStatus},
    link::Link,
};
use crate::agent::{
    context::{Context, Turn},
    model::{
        call::{Answer, Call, CallFailure, CallKind, Heartbeat, PersistedLinkState, ServerConfiguration},
        event::Action,
        notice::{Notice, Problem, Reason},
        random::Random,
        record::Record,
        time::{Now, Wake},
        workload::DesiredState,
    },
    sources::Sources,
};

/// The edge API, as the agent sees it.
#[derive(Debug)]
pub(in crate::agent) struct Conversation {
    pub(in crate::agent) link: Link,
    reporter: HeartbeatOutbox,
    /// What is applied.
    pub(in crate::agent) configuration: Option<Box<ServerConfiguration>>,
    /// When it was last heard, by this process.
    pub(in crate::agent) configured: Option<Duration>,
    /// Whether the device was degraded, and how its workloads were, by the last heartbeat.
    said: Option<ReportedStatus>,
    /// The agent's revision when that was last compared.
    compared: u64,
}

impl Conversation {
    /// What is wrong with the configuration.
    pub(in crate::agent) fn problems(&self) -> &[Problem] {
        self.configuration.as_ref().map_or(&[], |it| &it.problems)
    }

    /// A person has to do something before the device gets a certificate.
    pub(in crate::agent) fn needs_a_person(&self) -> bool {
        self.link.needs_a_person()
    }
}

impl Conversation {
    /// Takes up what an earlier process left, before anything is said to the server. Answers whether it is known what
    /// the server wants.
    pub(in crate::agent) fn resume(
        remembered: PersistedLinkState,
        sources: &mut Sources,
        turn: &mut Turn<'_>,
    ) -> (Self, bool) {
        let mut server = Self {
            link: Link::restore(&remembered, turn.now, &mut turn.context.random),
            reporter: HeartbeatOutbox::new(remembered.unheard),
            configuration: None,
            configured: None,
            said: None,
            compared: 0,
        };
        let is_known = if !server.link.is_enabled() {
            server.forget_server_state(sources, turn);
            true
        } else if let Some(configuration) = remembered.configuration {
            server.apply_server_configuration(configuration, sources, turn);
            true
        } else {
            false
        };
        (server, is_known)
    }

    /// A call was answered, or not. `store`: what was to be stored last could not be. If something else is wanted now,
    /// says what to tell once that is known.
    pub(in crate::agent) fn on_call_answered(
        &mut self,
        kind: CallKind,
        result: Result<Answer, CallFailure>,
        store: bool,
        sources: &mut Sources,
        turn: &mut Turn<'_>,
    ) -> Option<Vec<Notice>> {
        let talked = self.link.is_enabled();
        if kind == CallKind::Heartbeat {
            match &result {
                Ok(_) => self.reporter.on_heartbeat_delivered(turn.now.up),
                Err(failure) => {
                    self.reporter.on_heartbeat_lost(failure).into_iter().for_each(|it| turn.tell(it))
                }
            }
        }
        for notice in self.link.on_answer(kind, &result, turn.now, &mut turn.context.random) {
            turn.tell(notice);
        }
        if talked && !self.link.is_enabled() {
            turn.context.disconnect(sources.only_of_manifests());
            self.forget_server_state(sources, turn);
            Some(Vec::new())
        } else if talked && let Ok(Answer::Configured(configuration)) = result {
            let applied = self.on_configured(configuration, store, sources, turn)?;
            Some(vec![applied])
        } else {
            None
        }
    }

    /// Only another content does anything; the version alone is just sent back.
    fn on_configured(
        &mut self,
        mut configuration: Box<ServerConfiguration>,
        store: bool,
        sources: &mut Sources,
        turn: &mut Turn<'_>,
    ) -> Option<Notice> {
        self.configured = Some(turn.now.up);
        let raw = std::mem::take(&mut configuration.raw);
        match &mut self.configuration {
            Some(old) if old.is_equivalent_to(&configuration) => {
                old.version = configuration.version;
                if store {
                    turn.context.actions.push(Action::Keep(Record::Configuration(raw))); // perhaps it can be kept now
                }
                return None;
            }
            _ => {}
        }
        turn.context.actions.push(Action::Keep(Record::Configuration(raw)));
        let message = format!(
            "the configuration of version '{}' is applied: {} workloads",
            configuration.version,
            configuration.desired.workloads.len()
        );
        self.apply_server_configuration(configuration, sources, turn);
        Some(Notice::info(Reason::ConfigurationApplied, message))
    }

    fn apply_server_configuration(
        &mut self,
        configuration: Box<ServerConfiguration>,
        sources: &mut Sources,
        turn: &mut Turn<'_>,
    ) {
        self.link.set_period(configuration.period, turn.now.up, &mut turn.context.random);
        if self.configuration.as_ref().is_some_and(|old| old.hardware != configuration.hardware) {
            self.reporter.resend_hardware();
        }
        turn.engines.set_interval(configuration.monitoring_interval, turn.now.up);
        let source = sources.server.get_or_insert_default();
        let problems = configuration.problems.iter().map(|problem| problem.message.clone()).collect();
        source.set_desired(configuration.desired.clone(), problems);
        self.configuration = Some(configuration);
    }

    /// The device doesn't belong to the server any more: all that came from there goes.
    fn forget_server_state(&mut self, sources: &mut Sources, turn: &mut Turn<'_>) {
        (self.configuration, self.reporter) = (None, HeartbeatOutbox::default());
        turn.engines.set_interval(None, turn.now.up);
        sources.server.get_or_insert_default().set_desired(DesiredState::default(), Vec::new());
    }

    /// Takes in what is told to people now: the server is to hear of it too.
    pub(in crate::agent) fn collect_notices(&mut self, actions: &[Action]) {
        if !self.link.is_enabled() {
            return;
        }
        for action in actions {
            match action {
                Action::Tell(Notice { reason: Reason::EventsDropped, .. }) => {} // it is told the number
                Action::Tell(notice) => self.reporter.add(notice),
                _ => {}
            }
        }
    }

    /// Whether what the last heartbeat said is to be compared with what is true now, at this revision of the agent.
    pub(in crate::agent) fn should_compare_status(&mut self, revision: u64) -> bool {
        std::mem::replace(&mut self.compared, revision) != revision && self.said.is_some()
    }

    /// Brings the next heartbeat forward when it has something else to say than the last.
    pub(in crate::agent) fn hurry_if_status_changed(
        &mut self,
        said: &ReportedStatus,
        now: Duration,
        random: &mut Random,
    ) {
        if self.said.as_ref() != Some(said) {
            self.link.hurry_heartbeat(now, random);
        }
    }

    /// The calls that are due; [`push_calls`](Self::push_calls) must follow.
    pub(in crate::agent) fn take_due_calls(&mut self, now: Now) -> Vec<CallKind> {
        self.link.take_due_calls(now)
    }

    /// Makes these calls, and says when the next is due. `said`: where one is a heartbeat.
    pub(in crate::agent) fn push_calls(
        &mut self,
        due: Vec<CallKind>,
        mut said: Option<ReportedStatus>,
        now: Duration,
        context: &mut Context,
    ) -> Wake {
        for kind in due {
            context.actions.push(Action::Call(match kind {
                CallKind::Enrol => Call::Enrol,
                CallKind::Register => Call::Register,
                CallKind::Heartbeat => {
                    Call::Heartbeat(self.build_heartbeat(said.take().unwrap_or_default(), now))
                }
                CallKind::Configuration => Call::Configuration,
                CallKind::Control => Call::Control,
            }));
        }
        // A heartbeat waits for no write: only its good answer takes anything out of what is kept.
        context
            .actions
            .extend(self.reporter.take_changed_undelivered().map(Record::Undelivered).map(Action::Keep));
        self.link.next_wake()
    }

    fn build_heartbeat(&mut self, (degraded, workloads): ReportedStatus, now: Duration) -> Heartbeat {
        self.said = Some((degraded, workloads.clone()));
        let configuration = self.configuration.as_ref();
        let version = configuration.map(|it| it.version.clone()).unwrap_or_default();
        let wanted = configuration.map(|it| it.hardware).unwrap_or_default();
        let (events, hardware) = self.reporter.take_for_heartbeat(wanted, now);
        Heartbeat { degraded, version, workloads, events, hardware }
    }
}
