//! The conversation with the edge API: carries out one [`Call`] at a time of each kind, over mutual TLS.
//!
//! ```text
//! Call ─ wire/message ─► Request ─ client ─► ureq ─ tls ─► server
//! Event::Answered ◄─ wire/message ◄─ body, or a CallFailure from failure
//! ```
//!
//! Each call has a short-lived thread of its own, so that one that is slow holds up no other for long.

mod client;
mod failure;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use crossbeam_channel::{Receiver, Sender, bounded};
use log::warn;
use serde_json::Value;

use self::client::{EdgeApi, Target};
use super::{
    cached_configuration, hardware,
    identity::{Identity, IdentityStore},
    lock, spawn_with_stack,
    state::Store,
    tls::{TrustedClock, crypto},
};
use crate::{
    agent::{
        Event,
        model::{
            call::{Answer, Call, CallFailure, HardwareScope, ServerConfiguration},
            subsystem::Storage,
        },
    },
    settings::Settings,
    wire::{
        edge_api::{self, Header},
        manifest::{self, UnknownFields},
    },
};

/// A call waits this long for the one before it, because they can share its connection; then it goes its own way.
const PREVIOUS_CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the edge API is, and who this device is to it.
#[derive(Debug, Clone)]
pub struct EdgeApiConfig {
    /// `https://host:port`.
    pub url: String,
    /// The name in the server's certificate, if it isn't the host of the URL.
    pub name: Option<String>,
    /// The URL of an http proxy.
    pub proxy: Option<String>,
    /// The namespace to enrol into.
    pub namespace: String,
    /// What a field that nothing knows does to its workload.
    pub unknown_fields: UnknownFields,
    /// Who this device is, and which CAs it trusts.
    pub(crate) identity: IdentityStore,
}

impl EdgeApiConfig {
    /// As the settings have it; nothing when they name no server.
    pub fn from_settings(settings: &Settings, state: Store) -> Option<Self> {
        Some(Self {
            url: settings.server.clone()?,
            name: settings.server_name.clone(),
            proxy: settings.proxy.clone(),
            namespace: settings.namespace.clone(),
            unknown_fields: settings.unknown_fields,
            identity: IdentityStore::from_settings(settings, state),
        })
    }
}

/// Asks the server once, in the name of this device, something that changes nothing: what it said, or what is wrong
/// and what can be done about it.
///
/// # Errors
/// A sentence, and a remedy.
pub fn probe(config: EdgeApiConfig) -> Result<&'static str, (String, &'static str)> {
    let server = CallWorker::start(config, bounded(1).0);
    match server.shared.ask_as_self(&Call::Control) {
        Ok(_) => Ok("it answers, and knows this device"),
        Err(CallFailure::Refused { status: 401 | 403, .. }) => {
            Ok("it answers, and doesn't know this device's certificate (yet)")
        }
        Err(CallFailure::Refused { status: 404, .. }) => Ok("it answers, and doesn't know this device"),
        Err(CallFailure::Refused { status, message, .. }) => {
            Err((format!("it answers {status}: {message}"), "see the server's log"))
        }
        Err(CallFailure::Unreachable(cause)) => {
            Err((cause, "check SERVER, the name server, the route, a firewall, and whether the server runs"))
        }
        Err(CallFailure::Untrusted(cause)) => Err((cause, "check CA_ROOT, SERVER_NAME, and the clock")),
        Err(CallFailure::Nonsense(cause)) => Err((cause, "is this the edge API?")),
        Err(CallFailure::Taken(cause)) => Err((cause, "see above")),
        Err(CallFailure::Local(cause)) => Err((cause, "see above")),
    }
}

/// Carries out calls to the edge API.
pub struct CallWorker {
    shared: Arc<SharedCallWorker>,
}

struct SharedCallWorker {
    target: Target,
    namespace: String,
    unknown_fields: UnknownFields,
    identity: IdentityStore,
    clock: Arc<TrustedClock>,
    events: Sender<Event>,
    /// In the identity of this device; made when first needed, and again when it was not trusted: files change.
    api: Mutex<Option<Arc<EdgeApi>>>,
    /// The device's pair is in memory only.
    in_memory_only: AtomicBool,
    /// Holds one token: whose turn it is.
    turn: (Sender<()>, Receiver<()>),
    /// What the server knows of the hardware.
    known_hardware: Mutex<Option<Value>>,
}

impl CallWorker {
    /// Gets ready; nothing is asked yet.
    pub fn start(config: EdgeApiConfig, events: Sender<Event>) -> Self {
        let target = Target::new(&config.url, config.name.clone(), config.proxy.clone());
        Self::with_target(target, config, events)
    }

    fn with_target(target: Target, config: EdgeApiConfig, events: Sender<Event>) -> Self {
        let turn = bounded(1);
        let _ = turn.0.send(());
        let shared = SharedCallWorker {
            target,
            clock: Arc::new(TrustedClock::load(config.identity.state.clone())),
            identity: config.identity,
            namespace: config.namespace,
            unknown_fields: config.unknown_fields,
            events,
            api: Mutex::new(None),
            in_memory_only: AtomicBool::new(false),
            turn,
            known_hardware: Mutex::new(None),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Forgets who this device is: the next call comes from a stranger.
    pub fn reset_client(&self) {
        *lock(&self.shared.api) = None;
    }

    /// Takes the call, and never blocks. Its answer comes as an [`Event::Answered`]; or at once, from here, if no
    /// thread can be started for it.
    #[must_use = "an answer that comes from here comes from nowhere else"]
    pub fn submit(&self, call: Call) -> Option<Event> {
        let shared = Arc::clone(&self.shared);
        let kind = call.kind();
        // a configuration is as deep as a manifest may be
        let error = spawn_with_stack("server", manifest::READER_STACK_BYTES, move || shared.carry_out(&call))
            .err()?;
        let failure = CallFailure::Local(format!("failed to start a thread for the server: {error}"));
        Some(Event::Answered(kind, Err(failure)))
    }
}

impl SharedCallWorker {
    fn carry_out(&self, call: &Call) {
        let (put, take) = &self.turn;
        let token = take.recv_timeout(PREVIOUS_CALL_TIMEOUT);
        let result = self.perform_call(call);
        if token.is_ok() {
            let _ = put.try_send(());
        }
        let _ = self.events.send(Event::Answered(call.kind(), result)); // an error: the agent ends
    }

    fn perform_call(&self, call: &Call) -> Result<Answer, CallFailure> {
        let nonsense = |cause| CallFailure::Nonsense(format!("the answer of '{}' {cause}", self.target.url));
        match call {
            Call::Register => self.register(),
            Call::Enrol => self.ask_with_either_identity(call, "").map(|_| Answer::Enrolled),
            Call::Heartbeat(_) => self.ask_as_self(call).map(|_| Answer::Beaten),
            Call::Configuration => {
                let api = self.api()?;
                if self.in_memory_only.load(Ordering::Relaxed) {
                    self.promote_identity(&api.parties.identity); // perhaps the disk takes it now
                }
                let body = self.ask_as(&api, call, "")?;
                let found = edge_api::configuration(&body, &self.identity.device_id, self.unknown_fields);
                let found = found.map_err(nonsense)?;
                let raw = cached_configuration::content_to_cache(&self.identity.state, &found);
                Ok(Answer::Configured(Box::new(ServerConfiguration { raw, ..found.meaning })))
            }
            Call::Control => {
                let disconnect =
                    edge_api::is_disconnect_command(&self.ask_as_self(call)?).map_err(nonsense)?;
                Ok(Answer::Controlled { disconnect })
            }
        }
    }

    /// Asks as who this device is now.
    fn ask_as_self(&self, call: &Call) -> Result<Vec<u8>, CallFailure> {
        let api = self.api()?;
        self.ask_as(&api, call, "")
    }

    fn ask_as(&self, api: &EdgeApi, call: &Call, certificate_request: &str) -> Result<Vec<u8>, CallFailure> {
        let hardware = self.hardware_for_call(call);
        let header = Header {
            device: &self.identity.device_id,
            namespace: &self.namespace,
            message_id: &message_id()?,
            sent: self.clock.now(),
        };
        let request = edge_api::request(call, header, hardware.as_ref(), certificate_request)
            .map_err(|error| CallFailure::Local(format!("failed to write a message: {error}")))?;
        // an event that is told twice happened twice, as far as the server knows
        let may_repeat = !matches!(call, Call::Heartbeat(beat) if !beat.events.is_empty());
        let result = api.call(&request, may_repeat);
        if result.is_ok() {
            self.trust(self.clock.now()); // the server's certificate is valid by it
        }
        match &result {
            Ok(_) if hardware.is_some() => *lock(&self.known_hardware) = hardware,
            Err(CallFailure::Untrusted(_) | CallFailure::Refused { status: 401 | 403, .. }) => {
                *lock(&self.api) = None;
            }
            _ => {}
        }
        result
    }

    /// Asks for something that the bootstrap certificate is good for as well: the device's own may be of a CA
    /// that the server knows no more. Each answer counts for its own certificate, and what was refused for the other's
    /// sake alone says nothing.
    fn ask_with_either_identity(
        &self,
        call: &Call,
        certificate_request: &str,
    ) -> Result<Vec<u8>, CallFailure> {
        let ask = |api: &EdgeApi| {
            let result = self.ask_as(api, call, certificate_request);
            result.map_err(|failure| self.explain_failure(call, api, failure))
        };
        let api = self.api()?;
        let result = ask(&api);
        let other = match &result {
            Err(CallFailure::Refused { status: 401 | 403, .. } | CallFailure::Taken(_)) => {
                if api.parties.identity.received.is_some() {
                    self.identity.bootstrap_identity().ok()
                } else {
                    self.identity.own_identity()
                }
            }
            _ => None,
        };
        let Some(other) = other else { return result };
        match ask(&self.api_for_identity(other)?) {
            Ok(body) => Ok(body),
            Err(CallFailure::Refused { status: 401 | 403, .. }) => result,
            Err(failure @ (CallFailure::Refused { .. } | CallFailure::Taken(_))) => Err(failure),
            Err(_) => result,
        }
    }

    /// A registration with the shared certificate that ends in a 500: to the edge API a stranger asks then.
    fn explain_failure(&self, call: &Call, api: &EdgeApi, failure: CallFailure) -> CallFailure {
        match failure {
            CallFailure::Refused { status: 500, .. }
                if matches!(call, Call::Register) && api.parties.identity.received.is_none() =>
            {
                let (id, namespace) = (&self.identity.device_id, &self.namespace);
                CallFailure::Taken(format!(
                    "the server answers 500: most likely it has registered a device '{id}' before, with another \
                     certificate. If so, delete it there ('kubectl delete edgedevice {id} -n {namespace}'), and this \
                     device asks to be let in anew"
                ))
            }
            failure => failure,
        }
    }

    fn register(&self) -> Result<Answer, CallFailure> {
        if let Some(next) = self.identity.next() {
            match self.try_identity(next, false) {
                Err(CallFailure::Refused { .. } | CallFailure::Untrusted(_)) => {} // asked for anew
                result => return result,
            }
        }
        let request = self.identity.request_certificate().map_err(CallFailure::Local)?;
        let body = self.ask_with_either_identity(&Call::Register, &request.pem)?;
        let next = edge_api::certificate(&body).and_then(|certificate| {
            self.identity.receive_certificate(&request, &certificate, self.clock.now())
        });
        let next = next.map_err(|cause| {
            CallFailure::Nonsense(format!("the answer of '{}' to a registration: {cause}", self.target.url))
        });
        self.try_identity(next?, true)
    }

    /// Tries a pair, and makes it the device's own if the server takes it. One that was left over may be that of a
    /// device which is unregistered by now.
    fn try_identity(&self, next: Identity, is_new: bool) -> Result<Answer, CallFailure> {
        let (not_before, expires) = (next.pair.facts.not_before, next.pair.facts.not_after);
        let api = self.api_for_identity(next)?;
        match self.ask_as(&api, &Call::Control, "") {
            Ok(body) if !is_new && edge_api::is_disconnect_command(&body) == Ok(true) => {
                let message = "the server unregistered the device of this certificate".to_owned();
                return Err(CallFailure::Refused { status: 404, message, retry_after: None });
            }
            // a device that was deleted meanwhile: the pair is good all the same
            Ok(_) | Err(CallFailure::Refused { status: 404, .. }) => {}
            Err(failure) => return Err(failure),
        }
        self.trust(not_before);
        self.promote_identity(&api.parties.identity);
        *lock(&self.api) = Some(Arc::new(api));
        Ok(Answer::Registered { expires })
    }

    /// A trusted server vouches for this time.
    fn trust(&self, time: SystemTime) {
        if let Some(time) = self.clock.record_trusted_time(time) {
            let _ = self.events.send(Event::NotBefore(time)); // an error: the agent ends
        }
    }

    /// Makes a pair the device's own, on disk if possible.
    fn promote_identity(&self, identity: &Identity) {
        let kept = self.identity.promote(identity).map_err(|error| error.to_string());
        self.in_memory_only.store(kept.is_err(), Ordering::Relaxed);
        let _ = self.events.send(Event::Stored(Storage::Identity, kept)); // an error: the agent ends
    }

    fn api(&self) -> Result<Arc<EdgeApi>, CallFailure> {
        if let Some(api) = &*lock(&self.api) {
            return Ok(api.clone());
        }
        let own = self.identity.own_identity();
        let identity = match self.identity.bootstrap_identity() {
            Ok(bootstrap) if self.identity.is_reenrolment_requested() => Ok(bootstrap),
            bootstrap => own.map_or(bootstrap, Ok),
        };
        let api = Arc::new(self.api_for_identity(identity.map_err(CallFailure::Local)?)?);
        if let Some(fault) = api.parties.identity.pair.facts.fault(self.clock.now()) {
            warn!("{} {fault}", api.parties.identity.origin); // it may still do for registering
        }
        *lock(&self.api) = Some(api.clone());
        Ok(api)
    }

    fn api_for_identity(&self, identity: Identity) -> Result<EdgeApi, CallFailure> {
        let roots = self.identity.roots().map_err(CallFailure::Local)?;
        EdgeApi::new(&self.target, roots, self.identity.ca_root.clone(), identity, self.clock.clone())
            .map_err(CallFailure::Local)
    }

    /// The hardware that goes with a call. The server forgets what it isn't told again, so that a change is told
    /// by telling everything.
    fn hardware_for_call(&self, call: &Call) -> Option<Value> {
        let wanted = match call {
            Call::Enrol | Call::Register => HardwareScope::Full,
            Call::Heartbeat(beat) => beat.hardware,
            Call::Configuration | Call::Control => HardwareScope::Omit,
        };
        match wanted {
            HardwareScope::Omit => None,
            HardwareScope::Full => inventory(),
            HardwareScope::IfChanged => {
                inventory().filter(|now| lock(&self.known_hardware).as_ref() != Some(now))
            }
        }
    }
}

fn inventory() -> Option<Value> {
    serde_json::to_value(hardware::inventory()).ok()
}

/// A random UUID (RFC 9562, version 4).
fn message_id() -> Result<String, CallFailure> {
    let mut bytes = [0; 16];
    let filled = crypto::provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| CallFailure::Local("the system has no random numbers".to_owned()))?;
    let random = u128::from_be_bytes(bytes);
    let random = random & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{random:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
