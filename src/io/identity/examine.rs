//! Keys and certificates as `doctor` looks at them.

use std::time::Duration;

use super::store::IdentityStore;
use crate::io::tls::{TrustedClock, certificate::DisplayTime};

/// Certificates that end sooner than this are worth a word.
const EXPIRY_WARNING_PERIOD: Duration = Duration::from_secs(2 * 86_400);

/// To a device without a certificate the server doesn't say which of the two it is.
const UNAPPROVED_REMEDY: &str = "the device gets one when it is approved on the server; if the server knows it from before, delete \
                          it there first: 'kubectl delete edgedevice' with its DEVICE_ID";

/// A file that says who this device is, or whom it trusts.
pub(crate) struct IdentityCheck {
    pub(crate) what: &'static str,
    pub(crate) says: String,
    /// What to do about it, if something is wrong.
    pub(crate) fault: Option<&'static str>,
    /// Without it the device can't talk to its server.
    pub(crate) matters: bool,
}

/// The CA, the bootstrap pair, and the device's own.
pub(crate) fn examine(store: &IdentityStore) -> Vec<IdentityCheck> {
    let now = TrustedClock::load(store.state.clone()).now();
    let own = store.own_identity();
    let ca = match store.roots() {
        Ok(roots) => (format!("{} CAs are trusted", roots.len()), None),
        Err(cause) => (cause, Some("put the CA of the edge API into the file that CA_ROOT names")),
    };
    let bootstrap = match store.bootstrap_identity().map(|it| it.pair.facts) {
        Ok(facts) => match facts.fault(now) {
            None => (format!("it is valid until {}", DisplayTime(facts.not_after)), None),
            Some(fault) => (fault, Some("it still does for registering")),
        },
        Err(cause) => (cause, Some("set CERT and KEY to the pair that the edge API was installed with")),
    };
    let certificate = match &own {
        Some(own) => match own.pair.facts.fault(now) {
            Some(fault) => (fault, Some("the device asks for another by itself; see SERVER")),
            None => {
                let until = own.pair.facts.not_after;
                let is_late = until.duration_since(now).unwrap_or_default() < EXPIRY_WARNING_PERIOD;
                let remedy = is_late.then_some("it is renewed by itself; see SERVER");
                (format!("it is valid until {}", DisplayTime(until)), remedy)
            }
        },
        None => ("there is none yet".into(), Some(UNAPPROVED_REMEDY)),
    };
    let examined = |what, (says, fault), matters| IdentityCheck { what, says, fault, matters };
    vec![
        examined("CA_ROOT", ca, true),
        examined("CERT and KEY", bootstrap, own.is_none()),
        examined("the device's own certificate", certificate, false),
    ]
}
