//! An edge API that behaves as the real one does, status by status, unless it is told to misbehave.

use super::{
    model::call::{HardwareScope, Heartbeat},
    *,
};

/// The server, and all it saw.
pub(super) struct Edge {
    /// Instead of any answer.
    pub(super) broken: Option<CallFailure>,
    /// Only this kind of call is broken.
    pub(super) only: Option<CallKind>,
    /// Whether a person approves what asks to be let in.
    pub(super) approves: bool,
    /// A device asked to be let in.
    pub(super) asked: bool,
    /// The device exists on the server.
    pub(super) known: bool,
    /// The device was unregistered.
    pub(super) disconnects: bool,
    /// To control a device that isn't known is one that was unregistered, as the real one has it.
    pub(super) unknown_is_unregistered: bool,
    /// And data and heartbeats are answered by 404.
    pub(super) deleted: bool,
    /// When the device's certificate ends, by the server's clock.
    pub(super) certificate: Option<SystemTime>,
    /// How long certificates are valid.
    pub(super) life: Duration,
    /// How far the device's clock is behind the server's.
    pub(super) ahead: Duration,
    /// What the device is to do.
    pub(super) configuration: ServerConfiguration,
    pub(super) beats: Vec<Heartbeat>,
    /// When each call came.
    pub(super) came: Vec<(CallKind, Duration)>,
    /// What the agent told people and the server has not heard yet.
    unheard: VecDeque<String>,
    /// How many of these were said to be dropped.
    dropped: usize,
    stored: BTreeMap<String, ServerConfiguration>,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            broken: None,
            only: None,
            approves: true,
            asked: false,
            known: false,
            disconnects: false,
            unknown_is_unregistered: false,
            deleted: false,
            certificate: None,
            life: 30 * 86_400 * S,
            ahead: Duration::ZERO,
            configuration: configuration("1", &[]),
            beats: Vec::new(),
            came: Vec::new(),
            unheard: VecDeque::new(),
            dropped: 0,
            stored: BTreeMap::new(),
        }
    }
}

pub(super) fn configuration(version: &str, workloads: &[&Workload]) -> ServerConfiguration {
    let workloads = workloads.iter().map(|workload| Arc::new((*workload).clone())).collect();
    ServerConfiguration {
        version: version.into(),
        desired: DesiredState { workloads, ..DesiredState::default() },
        problems: Vec::new(),
        period: 60 * S,
        hardware: HardwareScope::Omit,
        monitoring_interval: None,
        raw: version.as_bytes().into(),
    }
}

pub(super) fn refused(status: u16) -> CallFailure {
    CallFailure::Refused { status, message: String::new(), retry_after: None }
}

impl Edge {
    /// One that let the device in long ago, as the device remembers it.
    pub(super) fn remembered(now: Now, configuration: Option<ServerConfiguration>) -> PersistedLinkState {
        PersistedLinkState {
            certificate: Some((now.utc - 100 * S, now.utc + 30 * 86_400 * S)),
            configuration: configuration.map(Box::new),
            ..PersistedLinkState::default()
        }
    }

    pub(super) fn answer(&mut self, call: &Call, now: Now) -> Result<Answer, CallFailure> {
        self.came.push((call.kind(), now.up));
        if let Some(failure) = &self.broken
            && self.only.is_none_or(|only| only == call.kind())
        {
            return Err(failure.clone());
        }
        let clock = now.utc + self.ahead;
        let expired = self.certificate.is_none_or(|until| until <= clock);
        match call {
            Call::Enrol => {
                (self.asked, self.known) = (true, self.known || self.approves);
                Ok(Answer::Enrolled)
            }
            Call::Register if !self.known => Err(refused(404)),
            Call::Register => {
                let expires = clock + self.life;
                self.certificate = Some(expires);
                Ok(Answer::Registered { expires })
            }
            Call::Heartbeat(_) if self.certificate.is_none() => Err(refused(403)),
            Call::Configuration | Call::Control if expired => Err(refused(401)),
            Call::Configuration | Call::Heartbeat(_) if self.deleted => Err(refused(404)),
            Call::Control if self.unknown_is_unregistered && !self.known => {
                Ok(Answer::Controlled { disconnect: true })
            }
            _ if !self.known => Err(refused(404)),
            Call::Heartbeat(heartbeat) => {
                self.hear(heartbeat);
                Ok(Answer::Beaten)
            }
            Call::Configuration => {
                let configuration = self.configuration.clone();
                self.stored.insert(configuration.version.clone(), configuration.clone());
                Ok(Answer::Configured(Box::new(configuration)))
            }
            Call::Control => Ok(Answer::Controlled { disconnect: self.disconnects }),
        }
    }

    /// Every event comes once, or is counted by an equal one, but for those that are said to be dropped.
    fn hear(&mut self, heartbeat: &Heartbeat) {
        for event in &heartbeat.events {
            if event.reason == Reason::EventsDropped {
                let dropped: usize = event.message.split(' ').next().unwrap().parse().unwrap();
                self.dropped += dropped;
            } else {
                for _ in 0..event.times {
                    let told = self.unheard.iter().position(|told| *told == event.message);
                    self.unheard.remove(told.expect("doubled")).expect("it is there");
                }
            }
        }
        self.beats.push(heartbeat.clone());
    }

    pub(super) fn told(&mut self, notice: &Notice) {
        if notice.reason != Reason::EventsDropped {
            self.unheard.push_back(notice.message.clone());
        }
    }

    /// Of what was told until now nothing is expected any more.
    pub(super) fn expect_nothing(&mut self) {
        self.unheard.clear();
        self.dropped = 0;
    }

    pub(super) fn unheard(&self) -> usize {
        self.unheard.len() - self.dropped
    }

    /// What the state directory gives back for what was stored.
    pub(super) fn read(&self, raw: &[u8]) -> Option<Box<ServerConfiguration>> {
        let version = std::str::from_utf8(raw).unwrap();
        self.stored.get(version).cloned().map(Box::new)
    }

    /// Which calls came.
    pub(super) fn kinds(&self) -> Vec<CallKind> {
        self.came.iter().map(|(kind, _)| *kind).collect()
    }

    /// How many calls of this kind came since this time since boot.
    pub(super) fn count(&self, kind: CallKind, since: Duration) -> usize {
        self.came.iter().filter(|(other, at)| *other == kind && *at >= since).count()
    }

    pub(super) fn all_since(&self, since: Duration) -> usize {
        self.came.iter().filter(|(_, at)| *at >= since).count()
    }
}

/// A device that is linked, and has the server's configuration with these workloads.
pub(super) fn linked(workloads: &[&Workload]) -> World {
    let mut world = World::managed(PersistedLinkState::default());
    world.edge.configuration = configuration("1", workloads);
    world.edge.configuration.monitoring_interval = Some(300 * S);
    world.pass(200 * S);
    world.settle();
    assert_eq!(world.pods.len(), workloads.len(), "{:?}", world.said);
    world.pass(200 * S); // what was told of that has arrived
    world.edge.came.clear();
    world.edge.beats.clear();
    world.took();
    world.said.clear();
    world
}
