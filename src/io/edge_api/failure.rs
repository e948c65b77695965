//! What went wrong with a call, in sentences that a person can act on.

use std::{
    io::ErrorKind,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::DateTime;
use rustls::{AlertDescription, CertificateError, pki_types::UnixTime};
use ureq::Error;

use crate::{
    agent::{model::call::CallFailure, sanitize},
    io::{
        identity::Identity,
        tls::{TrustedClock, certificate::DisplayTime, crypto},
    },
    wire::text::truncate,
};

/// Of what a server says besides its status, in bytes.
const MAX_MESSAGE_BYTES: usize = 200;

/// Who talks to whom, as a failure names it.
pub(super) struct Parties {
    pub(super) identity: Identity,
    pub(super) clock: Arc<TrustedClock>,
    /// The server's URL.
    pub(super) server: String,
    pub(super) ca_root: Option<PathBuf>,
}

/// An answer that isn't a good one.
pub(super) fn from_status(
    status: u16,
    body: &[u8],
    retry_after: Option<&str>,
    parties: &Parties,
) -> CallFailure {
    let mut message = first_line(body);
    if matches!(status, 401 | 403) {
        let said = if message.is_empty() { "" } else { ": " };
        message = format!("the server doesn't accept {}{said}{message}", describe_credentials(parties));
    }
    let retry_after = retry_after.and_then(|text| parse_retry_after(text.trim(), parties.clock.now()));
    CallFailure::Refused { status, message, retry_after }
}

/// No answer, or only part of one.
pub(super) fn from_error(error: Error, parties: &Parties) -> CallFailure {
    let server = &parties.server;
    let unreachable = |cause: &str| CallFailure::Unreachable(format!("failed to reach '{server}': {cause}"));
    match error {
        Error::Io(error) => match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(cause) => CallFailure::Untrusted(format!(
                "no trust between '{server}' and this device: {}",
                describe_tls_error(cause, parties)
            )),
            // (in words of its own the library points to its documentation)
            None if error.kind() == ErrorKind::UnexpectedEof => unreachable("it hung up"),
            None => unreachable(&error.to_string()),
        },
        Error::Timeout(_) => unreachable("it didn't answer in time"),
        Error::HostNotFound => unreachable("its name leads to no address"),
        Error::BodyExceedsLimit(limit) => {
            CallFailure::Nonsense(format!("the answer is larger than {limit} bytes"))
        }
        Error::Protocol(cause) => CallFailure::Nonsense(format!("the answer is no HTTP: {cause}")),
        Error::Tls(cause) => CallFailure::Local(cause.to_owned()),
        error => unreachable(&error.to_string()),
    }
}

/// `Retry-After`: seconds, or a date.
fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(seconds.into())),
        // an HTTP date is one of e-mail's
        Err(_) => SystemTime::from(DateTime::parse_from_rfc2822(text).ok()?).duration_since(now).ok(),
    }
}

/// The first line of what the server said, cut.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * MAX_MESSAGE_BYTES)]);
    let line = text.trim().lines().next().unwrap_or_default();
    sanitize::sanitize_line(truncate(line, MAX_MESSAGE_BYTES)).into_owned()
}

/// Which certificate was shown, and what is wrong with it as far as this device can tell.
fn describe_credentials(parties: &Parties) -> String {
    let identity = &parties.identity;
    match identity.pair.facts.fault(parties.clock.now()) {
        Some(fault) => format!("{}, which {fault}", identity.origin),
        None => identity.origin.to_owned(),
    }
}

fn describe_tls_error(error: &rustls::Error, parties: &Parties) -> String {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(cause) => describe_certificate_error(cause, parties),
        Error::AlertReceived(alert) => match alert {
            AlertDescription::ProtocolVersion => "the server doesn't speak TLS 1.3".into(),
            AlertDescription::UnrecognisedName => "the server doesn't know the name: see SERVER_NAME".into(),
            alert => {
                format!(
                    "the server doesn't accept {} (TLS alert {})",
                    describe_credentials(parties),
                    u8::from(*alert)
                )
            }
        },
        Error::InvalidMessage(_) => "the server doesn't speak TLS on this port".to_owned(),
        error => crypto::tls_error_message(error),
    }
}

fn describe_certificate_error(error: &CertificateError, parties: &Parties) -> String {
    let date = |time: &UnixTime| DisplayTime(UNIX_EPOCH + Duration::from_secs(time.as_secs()));
    match error {
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().map(|name| strip_name_wrapper(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!(
                "the server's certificate is for {names}, and not for {}: see SERVER_NAME",
                expected.to_str()
            )
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let path = parties.ca_root.as_deref().unwrap_or("CA_ROOT".as_ref()).display();
            format!("the server's certificate is not signed by a CA in '{path}'")
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate expired on {}, and the clock reads {}",
            date(not_after),
            date(time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate is not valid before {}, and the clock reads {}",
            date(not_before),
            date(time)
        ),
        error => format!(
            "the server's certificate can't be accepted: {}",
            crypto::certificate_error_message(error)
        ),
    }
}

/// The name in `DnsName("name")` and the like, as rustls lists them.
fn strip_name_wrapper(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(parse_retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", now), Some(Duration::from_secs(30)));
        for nothing in ["", "-1", "soon", "99999999999", "Sun, 06 Nov 1994 08:49:00 GMT"] {
            assert_eq!(parse_retry_after(nothing, now), None, "{nothing}");
        }
    }

    #[test]
    fn what_a_server_says_becomes_one_short_clean_line() {
        assert_eq!(first_line(b"\r\n a\x1b[31mb\nsecond"), "a\\u001b[31mb");
        assert_eq!(first_line(&[b'x'; 100_000]).len(), MAX_MESSAGE_BYTES);
        assert!(first_line("ä".repeat(500).as_bytes()).len() <= MAX_MESSAGE_BYTES);
        assert_eq!(first_line(b"\xff\xfe"), "\u{fffd}\u{fffd}");
    }
}
