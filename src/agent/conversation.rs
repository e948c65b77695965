//! What the agent makes of the edge API's answers, and what it has to say to it.

use std::time::Duration;

use super::{
    Action, Agent, Kept,
    call::{Answer, Call, CallFailure, CallKind, Heartbeat, Remembered, ServerConfiguration, WorkloadStatus},
    heartbeat::{Reporter, status},
    link::Link,
    notice::{Notice, Problem, Reason},
    part::Part,
    report,
    sources::Source,
    time::{Now, Wake},
    workload::Desired,
};

/// The edge API, as the agent sees it.
#[derive(Debug)]
pub(super) struct Server {
    link: Link,
    reporter: Reporter,
    /// What is applied.
    configuration: Option<Box<ServerConfiguration>>,
    /// When it was last heard, by this process.
    configured: Option<Duration>,
    /// Whether the device was degraded, and how its workloads were, by the last heartbeat.
    said: Option<Said>,
    /// The agent's revision when that was last compared.
    compared: u64,
}

type Said = (bool, Vec<(String, WorkloadStatus)>);

impl Server {
    /// What is wrong with the configuration.
    pub(super) fn problems(&self) -> &[Problem] {
        self.configuration.as_ref().map_or(&[], |it| &it.problems)
    }

    /// Somebody has to do something before the device gets a certificate.
    pub(super) fn is_stuck(&self) -> bool {
        self.link.is_stuck()
    }

    pub(super) fn shown(&self, now: Now) -> report::Server {
        let configuration = self.configuration.as_ref().map(|it| it.version.clone());
        let configuration_age = self.configured.map(|at| now.up.saturating_sub(at).as_secs());
        report::Server { configuration, configuration_age, ..self.link.shown(now) }
    }
}

impl Agent {
    /// Takes up what an earlier process left, before anything is said to anybody.
    pub(super) fn resume(&mut self, remembered: Remembered, now: Now) {
        let link = Link::start(&remembered, now, &mut self.book.random);
        let talks = link.talks();
        let reporter = Reporter::new(remembered.unheard);
        self.server =
            Some(Server { link, reporter, configuration: None, configured: None, said: None, compared: 0 });
        if !talks {
            self.no_workloads(now);
        } else if let Some(configuration) = remembered.configuration {
            self.apply(configuration, now);
        }
    }

    /// How things are with the edge API, in a few words for people; none where none is talked to.
    pub fn link(&self) -> Option<&'static str> {
        self.server.as_ref().map(|server| server.link.summary())
    }

    /// A call was answered, or not.
    pub(super) fn answered(&mut self, kind: CallKind, result: Result<Answer, CallFailure>, now: Now) {
        let Some(server) = &mut self.server else { return };
        let talked = server.link.talks();
        if kind == CallKind::Heartbeat {
            match &result {
                Ok(_) => server.reporter.arrived(now.up),
                Err(failure) => server.reporter.lost(failure).into_iter().for_each(|it| self.book.tell(it)),
            }
        }
        for notice in server.link.answered(kind, &result, now, &mut self.book.random) {
            self.book.tell(notice);
        }
        if talked && !server.link.talks() {
            self.book.actions.push(Action::Disconnect);
            self.no_workloads(now);
        } else if talked && let Ok(Answer::Configured(configuration)) = result {
            self.configured(configuration, now);
        }
    }

    /// Only another content does anything; the version alone is just sent back.
    fn configured(&mut self, mut configuration: Box<ServerConfiguration>, now: Now) {
        let Some(server) = &mut self.server else { return };
        server.configured = Some(now.up);
        let raw = std::mem::take(&mut configuration.raw);
        match &mut server.configuration {
            Some(old) if old.asks_the_same(&configuration) => {
                old.version = configuration.version;
                if self.hindered.has(&Part::Keeper(Kept::State)) {
                    self.book.actions.push(Action::StoreConfiguration(raw)); // perhaps it can be kept now
                }
                return;
            }
            _ => {}
        }
        self.book.actions.push(Action::StoreConfiguration(raw));
        let message = format!(
            "the configuration of version '{}' is applied: {} workloads",
            configuration.version,
            configuration.desired.workloads.len()
        );
        self.apply(configuration, now);
        self.book.tell(Notice::info(Reason::ConfigurationApplied, message));
    }

    fn apply(&mut self, configuration: Box<ServerConfiguration>, now: Now) {
        let Some(server) = &mut self.server else { return };
        server.link.set_period(configuration.period, now.up, &mut self.book.random);
        if server.configuration.as_ref().is_some_and(|old| old.hardware != configuration.hardware) {
            server.reporter.hardware_unknown();
        }
        self.engines.set_interval(configuration.monitoring_interval, now.up);
        let source = self.sources.server.get_or_insert_default();
        let problems = configuration.problems.iter().map(|problem| problem.message.clone()).collect();
        source.read(configuration.desired.clone(), problems);
        server.configuration = Some(configuration);
        self.want(now);
    }

    /// The device doesn't belong to the server any more: all that came from there goes.
    fn no_workloads(&mut self, now: Now) {
        let Some(server) = &mut self.server else { return };
        (server.configuration, server.reporter) = (None, Reporter::default());
        self.engines.set_interval(None, now.up);
        self.sources.server.get_or_insert_default().read(Desired::default(), Vec::new());
        self.want(now);
    }

    /// Makes the calls that are due, and says when the next is.
    pub(super) fn converse(&mut self, now: Now) -> Wake {
        let Some(mut server) = self.server.take() else { return Wake::Never };
        if server.link.talks() {
            for action in &self.book.actions {
                match action {
                    Action::Tell(Notice { reason: Reason::EventsDropped, .. }) => {} // it is told the number
                    Action::Tell(notice) => server.reporter.add(notice),
                    _ => {}
                }
            }
        }
        if std::mem::replace(&mut server.compared, self.revision) != self.revision
            && server.said.as_ref().is_some_and(|said| *said != self.state(&server))
        {
            server.link.hurry(now.up, &mut self.book.random);
        }
        for kind in server.link.due(now) {
            self.book.actions.push(Action::Call(match kind {
                CallKind::Enrol => Call::Enrol,
                CallKind::Register => Call::Register,
                CallKind::Heartbeat => Call::Heartbeat(self.heartbeat(&mut server, now.up)),
                CallKind::Configuration => Call::Configuration,
                CallKind::Control => Call::Control,
            }));
        }
        // A heartbeat waits for no write: only its good answer takes anything out of what is kept.
        self.book.actions.extend(server.reporter.unkept().map(Action::KeepUnheard));
        let wake = server.link.wake();
        self.server = Some(server);
        wake
    }

    fn state(&self, server: &Server) -> Said {
        let names = self.sources.server.iter().flat_map(Source::names);
        let workloads: Vec<_> = names
            .map(|(name, understood)| match (self.deployments.status(name), self.tracked.get(name)) {
                (Some(status), _) if understood => (name.to_string(), status),
                (_, Some(tracked)) if understood => (name.to_string(), status(tracked)),
                _ => (name.to_string(), WorkloadStatus::Crashed),
            })
            .collect();
        (self.is_degraded() || server.is_stuck(), workloads)
    }

    fn heartbeat(&self, server: &mut Server, now: Duration) -> Heartbeat {
        let (degraded, workloads) = self.state(server);
        server.said = Some((degraded, workloads.clone()));
        let configuration = server.configuration.as_ref();
        let version = configuration.map(|it| it.version.clone()).unwrap_or_default();
        let wanted = configuration.map(|it| it.hardware).unwrap_or_default();
        let (events, hardware) = server.reporter.take(wanted, now);
        Heartbeat { degraded, version, workloads, events, hardware }
    }
}
