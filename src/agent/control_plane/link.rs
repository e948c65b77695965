//! The link to the edge API: which calls are made, and when.
//!
//! ```text
//!  no certificate              200, 208                 a certificate          one is remembered
//!  ──────────────► Enrolling ───────────► Registering ───────────────► Linked ◄─────────────────
//!                   ▲    ▲                │  ▲    ▲                   │ │  │
//!                   │    └── 404, the ────┘  │    └──── 401 twice ────┘ │  │
//!                   │        tenth           │ one is remembered        │  │
//!                   │                        │ that has ended           │  │
//!                   └────── 404 to control, too: it is forgotten ─────────┘  │
//!                                                disconnect, in any state ─┴──► Disconnected
//! ```
//!
//! To a 404 the server may have an explanation: control is asked before anything else follows from it, and so it is
//! when a registration with the device's own certificate is answered by 404.
//!
//! In `Linked` heartbeats, configuration, control messages and the certificate's renewal each go at their own
//! pace; elsewhere there is one call at a time. What runs on the device depends on none of it.
//!
//! All waits are in time since boot, which never steps. Only a certificate's times are the wall clock's: it is
//! renewed when two thirds of its time have passed by either clock, and if the wall clock makes no sense, the
//! server's 401 tells what it would have told.

mod call_pace;
mod linked;
mod troubles;

use std::time::{Duration, SystemTime};

use crate::agent::model::{
    call::{Answer, CallFailure, CallKind, DEFAULT_CALL_PERIOD, MAX_PERIOD, PersistedLinkState},
    notice::{Notice, Reason},
    random::Random,
    time::{Now, Wake},
    vec_map::VecMap,
};
use call_pace::{CallPace, FIRST_WAIT};
use linked::{LinkedState, earliest_renewal};
use troubles::Troubles;

/// A shorter one would be an attack on both sides.
const MIN_PERIOD: Duration = Duration::from_secs(1);
/// After a step that went well, the next one comes within this.
const NEXT_STEP_SPREAD: Duration = Duration::from_secs(1);
/// Registrations answered by 404, until the device asks to be let in again: its request may be lost.
const NOT_FOUND_TRIES: u32 = 10;

/// The link, and the calls under way.
#[derive(Debug)]
pub(in crate::agent) struct Link {
    state: LinkState,
    /// Counts the changes of state: the answer to a call of an earlier state says nothing about this one.
    epoch: u32,
    /// With the epoch that each was made in.
    under_way: VecMap<CallKind, u32>,
    pub(in crate::agent) troubles: Troubles,
    /// Between two calls of a kind, while linked.
    period: Duration,
    /// Links in a row that no good answer came by: how slow to be with the next.
    vain: u32,
    /// When this process received a certificate.
    certified: Option<Duration>,
    /// When the present certificate ends.
    pub(in crate::agent) expires: Option<SystemTime>,
    /// When this process last had a good answer.
    pub(in crate::agent) heard: Option<Duration>,
}

#[derive(Debug)]
enum LinkState {
    /// The device asks to be let in.
    Enrolling(CallPace),
    /// The device asks for a certificate.
    Registering {
        pace: CallPace,
        /// How many more times 404 means that it is not approved yet.
        tries_left: u32,
        /// The device was registered before: why it isn't any more is asked first.
        was_linked: bool,
        /// When that is asked.
        control: CallPace,
    },
    /// The device has a certificate that should do.
    Linked(LinkedState),
    /// The server unregistered the device: nothing is said any more.
    Disconnected,
}

impl LinkState {
    /// With the certificate that the device has.
    fn registering_again(pace: CallPace) -> Self {
        Self::Registering { pace, tries_left: 1, was_linked: true, control: CallPace::NEVER }
    }
}

impl Link {
    /// The link as an earlier process left it. Nothing is said before a random part of the period is over.
    pub(in crate::agent) fn restore(remembered: &PersistedLinkState, now: Now, random: &mut Random) -> Self {
        let period =
            remembered.configuration.as_ref().map_or(DEFAULT_CALL_PERIOD, |it| clamp_period(it.period));
        let first = CallPace::due_within(FIRST_WAIT, now.up, random);
        let state = match remembered.certificate {
            _ if remembered.disconnected => LinkState::Disconnected,
            None => LinkState::Enrolling(first),
            // With a clock that is behind it doesn't look ended: a 401 will tell.
            Some((_, until)) if now.utc >= until => LinkState::registering_again(first),
            Some((since, until)) => {
                let spread = period.min(DEFAULT_CALL_PERIOD);
                let mut linked = LinkedState::new(spread, spread, now.up, random);
                let passed = now.utc.duration_since(since).unwrap_or_default();
                linked.plan_renewal(since, until, passed, now.up, random);
                LinkState::Linked(linked)
            }
        };
        Self {
            state,
            epoch: 0,
            under_way: VecMap::default(),
            troubles: Troubles::default(),
            period,
            vain: 0,
            certified: None,
            expires: remembered.certificate.map(|(_, until)| until),
            heard: None,
        }
    }

    /// The state, or what is more urgent to know.
    pub(in crate::agent) fn summary(&self) -> &'static str {
        let is_unheard =
            |(kind, at): &(CallKind, Wake)| *at != Wake::Never && self.troubles.is_unreachable(*kind);
        match self.state {
            LinkState::Disconnected => self.state_name(),
            _ if self.planned_calls().iter().any(is_unheard) => "unreachable",
            LinkState::Linked(_) if self.heard.is_none() => "connecting",
            _ => self.state_name(),
        }
    }

    pub(in crate::agent) fn state_name(&self) -> &'static str {
        match self.state {
            LinkState::Enrolling(_) => "enrolling",
            LinkState::Registering { .. } => "registering",
            LinkState::Linked(_) => "linked",
            LinkState::Disconnected => "disconnected",
        }
    }

    /// Whether the device still talks to the server.
    pub(in crate::agent) fn is_enabled(&self) -> bool {
        !matches!(self.state, LinkState::Disconnected)
    }

    /// The device gets no certificate, and that doesn't look like passing by itself.
    pub(in crate::agent) fn needs_a_person(&self) -> bool {
        self.troubles.needs_a_person()
    }

    /// How often to call from now on.
    pub(in crate::agent) fn set_period(&mut self, period: Duration, now: Duration, random: &mut Random) {
        let period = clamp_period(period);
        if std::mem::replace(&mut self.period, period) != period
            && let LinkState::Linked(linked) = &mut self.state
        {
            for pace in [&mut linked.heartbeat, &mut linked.configuration, &mut linked.control] {
                pace.on_period_shortened(period, now, random);
            }
        }
    }

    /// The calls to make now. They are taken for made.
    pub(in crate::agent) fn take_due_calls(&mut self, now: Now) -> Vec<CallKind> {
        if let LinkState::Linked(linked) = &mut self.state
            && self.certified.is_none_or(|at| now.up >= earliest_renewal(at))
            && linked.renewal_utc.take_if(|at| *at <= now.utc).is_some()
        {
            linked.renewal.at = linked.renewal.at.earlier(Wake::At(now.up));
        }
        let mut due = Vec::new();
        for (kind, wake) in self.planned_calls() {
            if matches!(wake, Wake::At(at) if at <= now.up) && !self.under_way.contains_key(&kind) {
                self.under_way.insert(kind, self.epoch);
                due.push(kind);
                if let (CallKind::Heartbeat, LinkState::Linked(linked)) = (kind, &mut self.state) {
                    linked.note_heartbeat_sent(now.up, self.period);
                }
            }
        }
        due
    }

    /// There is something that the server should know soon.
    pub(in crate::agent) fn hurry_heartbeat(&mut self, now: Duration, random: &mut Random) {
        if let LinkState::Linked(linked) = &mut self.state {
            linked.hurry_heartbeat(now, random);
        }
    }

    /// When the next call is due.
    pub(in crate::agent) fn next_wake(&self) -> Wake {
        let waiting = self.planned_calls().into_iter().filter(|(kind, _)| !self.under_way.contains_key(kind));
        waiting.map(|(_, wake)| wake).min().unwrap_or(Wake::Never)
    }

    fn planned_calls(&self) -> [(CallKind, Wake); 4] {
        let mut planned = [(CallKind::Enrol, Wake::Never); 4];
        match &self.state {
            LinkState::Enrolling(pace) => planned[0] = (CallKind::Enrol, pace.at),
            LinkState::Registering { control, .. } if control.at != Wake::Never => {
                planned[0] = (CallKind::Control, control.at);
            }
            LinkState::Registering { pace, .. } => planned[0] = (CallKind::Register, pace.at),
            LinkState::Linked(linked) => {
                planned = [
                    (CallKind::Heartbeat, linked.heartbeat.at),
                    (CallKind::Configuration, linked.configuration.at),
                    (CallKind::Control, linked.control.at),
                    (CallKind::Register, linked.renewal.at),
                ];
            }
            LinkState::Disconnected => {}
        }
        planned
    }

    /// A call was answered, or not. Says what people should know.
    pub(in crate::agent) fn on_answer(
        &mut self,
        kind: CallKind,
        result: &Result<Answer, CallFailure>,
        now: Now,
        random: &mut Random,
    ) -> Vec<Notice> {
        let epoch = self.under_way.remove(&kind);
        if !self.is_enabled() {
            return Vec::new();
        }
        if result.is_ok() {
            self.heard = Some(now.up);
        }
        let mut notices = self.troubles.note_result(kind, result);
        notices.extend(match result {
            Ok(Answer::Controlled { disconnect: true }) => Some(self.on_disconnected()),
            // A certificate is good news in any state.
            Ok(Answer::Registered { expires }) => Some(self.on_registered(*expires, now, random)),
            _ if epoch != Some(self.epoch) => None,
            Ok(_) => {
                self.on_success(kind, now.up, random);
                None
            }
            Err(failure) => self.on_failure(kind, failure, now.up, random),
        });
        notices
    }

    fn on_success(&mut self, kind: CallKind, now: Duration, random: &mut Random) {
        match &mut self.state {
            LinkState::Enrolling(pace) if kind == CallKind::Enrol => {
                let pace = *pace;
                self.on_enrolled(pace, now, random);
            }
            // it is known after all
            LinkState::Registering { control, tries_left, .. } => {
                (*control, *tries_left) = (CallPace::NEVER, 1)
            }
            LinkState::Linked(linked) => {
                linked.unknown = 0;
                if kind != CallKind::Heartbeat {
                    (linked.unauthorized, linked.proven, self.vain) = (0, true, 0);
                }
                let Some(pace) = linked.pace_of(kind) else { return };
                let was_away = pace.has_failed();
                pace.on_success(self.period, now, random);
                if was_away {
                    let others = [&mut linked.heartbeat, &mut linked.configuration, &mut linked.control];
                    others.into_iter().for_each(|it| it.on_server_back(self.period, now, random));
                }
            }
            _ => {}
        }
    }

    fn on_failure(
        &mut self,
        kind: CallKind,
        failure: &CallFailure,
        now: Duration,
        random: &mut Random,
    ) -> Option<Notice> {
        let status = match failure {
            CallFailure::Refused { status, .. } => *status,
            _ => 0,
        };
        match &mut self.state {
            LinkState::Enrolling(pace) => pace.on_failure(FIRST_WAIT, failure, now, random),
            LinkState::Registering { pace, control, .. } if kind == CallKind::Control => {
                let pace = *pace;
                match failure {
                    CallFailure::Refused { .. } => self.enrol_again(pace),
                    _ => control.on_failure(FIRST_WAIT, failure, now, random),
                }
            }
            LinkState::Registering { pace, tries_left, was_linked, control } => {
                pace.on_failure(FIRST_WAIT, failure, now, random);
                match status {
                    404 => *tries_left = tries_left.saturating_sub(1),
                    // The server has registered this device, and wants a certificate that this side never got:
                    // a person has to delete it there, and then it must ask to be let in again.
                    500 => *tries_left = 1,
                    _ if matches!(failure, CallFailure::Taken(_)) => *tries_left = 1,
                    _ => {}
                }
                if *tries_left == 0 && *was_linked {
                    *control = CallPace::due_within(NEXT_STEP_SPREAD, now, random);
                } else if *tries_left == 0 {
                    let pace = *pace;
                    self.enrol_again(pace);
                }
            }
            LinkState::Linked(linked) => {
                let first = if kind == CallKind::Register { FIRST_WAIT } else { self.period };
                let pace = linked.pace_of(kind)?;
                pace.on_failure(first, failure, now, random);
                if kind == CallKind::Register {
                    pace.delay_until(earliest_renewal(now));
                }
                linked.unauthorized += u32::from(status == 401);
                linked.unknown += u32::from(status == 404);
                if linked.unauthorized >= 2 {
                    return Some(self.on_unauthorized(now, random));
                }
                if status == 404 && kind != CallKind::Control {
                    linked.control.at =
                        linked.control.at.earlier(CallPace::due_within(NEXT_STEP_SPREAD, now, random).at);
                } else if status == 404 && linked.unknown >= 2 {
                    return Some(self.on_device_unknown(now, random));
                }
            }
            LinkState::Disconnected => {}
        }
        None
    }

    fn enter_state(&mut self, state: LinkState) {
        self.state = state;
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Enrolling → Registering: the request is stored, or the device exists. Registering tells which.
    fn on_enrolled(&mut self, mut pace: CallPace, now: Duration, random: &mut Random) {
        pace.at = CallPace::due_within(NEXT_STEP_SPREAD, now, random).at;
        let control = CallPace::NEVER;
        self.enter_state(LinkState::Registering {
            pace,
            tries_left: NOT_FOUND_TRIES,
            was_linked: false,
            control,
        });
    }

    /// Registering → Enrolling, at the pace that the registrations had.
    fn enrol_again(&mut self, pace: CallPace) {
        self.enter_state(LinkState::Enrolling(pace));
    }

    /// Any state → Linked; in Linked this was the renewal.
    fn on_registered(&mut self, expires: SystemTime, now: Now, random: &mut Random) -> Notice {
        let is_renewal = matches!(self.state, LinkState::Linked(_));
        if !is_renewal {
            self.enter_state(LinkState::Linked(LinkedState::new(
                NEXT_STEP_SPREAD,
                self.period.min(DEFAULT_CALL_PERIOD),
                now.up,
                random,
            )));
        }
        (self.certified, self.expires) = (Some(now.up), Some(expires));
        if let LinkState::Linked(linked) = &mut self.state {
            linked.unauthorized = 0;
            linked.plan_renewal(now.utc, expires, Duration::ZERO, now.up, random);
        }
        let what =
            if is_renewal { "the device's certificate is renewed" } else { "the device is registered" };
        Notice::info(Reason::Registered, what)
    }

    /// Linked → Registering, with the present certificate.
    fn on_unauthorized(&mut self, now: Duration, random: &mut Random) -> Notice {
        let mut pace = self.pace_after_link(now, random);
        pace.delay_until(self.certified.map_or(now, earliest_renewal));
        self.enter_state(LinkState::registering_again(pace));
        let message = "the server doesn't accept the device's certificate; the device registers again";
        Notice::warning(Reason::Unauthorized, message)
    }

    /// Linked → Enrolling.
    fn on_device_unknown(&mut self, now: Duration, random: &mut Random) -> Notice {
        let pace = self.pace_after_link(now, random);
        self.enter_state(LinkState::Enrolling(pace));
        let message = "the server doesn't know this device any more; what it runs stays, and it asks to be let \
                       in again";
        Notice::warning(Reason::DeviceUnknown, message)
    }

    /// A link that brought nothing makes the next one slower.
    fn pace_after_link(&mut self, now: Duration, random: &mut Random) -> CallPace {
        if matches!(&self.state, LinkState::Linked(linked) if !linked.proven) {
            self.vain = self.vain.saturating_add(1);
        }
        CallPace::after_failures(self.vain, FIRST_WAIT, now, random)
    }

    /// Any state → Disconnected.
    fn on_disconnected(&mut self) -> Notice {
        self.troubles = Troubles::default(); // nothing is tried again
        self.enter_state(LinkState::Disconnected);
        Notice::warning(Reason::Disconnected, "the server unregistered this device; its workloads go")
    }
}

fn clamp_period(period: Duration) -> Duration {
    period.clamp(MIN_PERIOD, MAX_PERIOD)
}
