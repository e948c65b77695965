//! Requests to the edge API in one identity: each with a time limit and a bounded answer. Another identity takes
//! another client, because connections and resumed sessions belong to the old one.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustls::RootCertStore;
use ureq::{Agent, Error, Proxy, http::header};

use super::failure::{self, Parties};
use crate::{
    agent::model::call::CallFailure,
    io::{
        http,
        identity::Identity,
        tls::{self, TrustedClock},
    },
    wire::edge_api::{self, Request},
};

/// For one call, its answer's last byte included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const MAX_RESPONSE_BYTES: u64 = 8 << 20;
/// Of an answer that says no, only a line is of interest.
const MAX_ERROR_BODY_BYTES: u64 = 64 << 10;
/// How long an unused connection is kept: longer than any sensible period. Most servers close earlier.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Where the server is, and how to get there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `https://host:port`, perhaps with a path.
    pub(super) url: String,
    /// What its certificate must name, if not the host.
    pub(super) name: Option<String>,
    pub(super) proxy: Option<String>,
    /// Of [`REQUEST_TIMEOUT`], which tests don't wait for.
    pub(super) limit: Duration,
}

impl Target {
    pub(super) fn new(url: &str, name: Option<String>, proxy: Option<String>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), name, proxy, limit: REQUEST_TIMEOUT }
    }
}

/// The edge API, seen by one identity.
pub(super) struct EdgeApi {
    agent: Agent,
    base: String,
    connections: Arc<AtomicUsize>,
    pub(super) parties: Parties,
}

impl EdgeApi {
    /// Nothing is sent yet. The error is a sentence about what can't be used.
    pub(super) fn new(
        target: &Target,
        roots: RootCertStore,
        ca_root: Option<PathBuf>,
        identity: Identity,
        clock: Arc<TrustedClock>,
    ) -> Result<Self, String> {
        let name = tls::server_name("SERVER", &target.url, target.name.as_deref(), ": set SERVER_NAME")?;
        let proxy = target.proxy.as_deref().map(Proxy::new).transpose();
        let http = http::config()
            .proxy(proxy.map_err(|error| format!("PROXY: {error}"))?)
            .timeout_global(Some(target.limit))
            .max_idle_connections(1)
            .max_idle_connections_per_host(1)
            .max_idle_age(IDLE_TIMEOUT)
            .build();
        let (agent, connections) = tls::https_client(http, name, roots, Some(&identity.pair), clock.clone())?;
        let base = match target.url.ends_with(edge_api::BASE_PATH) {
            true => target.url.clone(),
            false => format!("{}{}", target.url, edge_api::BASE_PATH),
        };
        Ok(Self {
            agent,
            base,
            connections,
            parties: Parties { identity, clock, server: target.url.clone(), ca_root },
        })
    }

    /// Asks, and reads the answer of a server that agrees. What may be asked twice is asked again when the server
    /// closed a kept connection just then.
    pub(super) fn call(&self, request: &Request, may_repeat: bool) -> Result<Vec<u8>, CallFailure> {
        let before = self.connections.load(Ordering::Relaxed);
        let mut result = self.send_once(request);
        if let Err(RequestError::Http(Error::Io(error))) = &result
            && may_repeat
            && was_closed(error)
            && self.connections.load(Ordering::Relaxed) == before
        {
            result = self.send_once(request);
        }
        result.map_err(|failed| match failed {
            RequestError::Refused(failure) => failure,
            RequestError::Http(error) => failure::from_error(error, &self.parties),
        })
    }

    fn send_once(&self, request: &Request) -> Result<Vec<u8>, RequestError> {
        let url = format!("{}{}", self.base, request.path);
        let response = match &request.body {
            Some(body) => self.agent.post(url).content_type("application/json").send(body),
            None => self.agent.get(url).call(),
        };
        let (parts, body) = response?.into_parts();
        if parts.status.is_success() {
            return Ok(body.into_with_config().limit(MAX_RESPONSE_BYTES).read_to_vec()?);
        }
        let said = body.into_with_config().limit(MAX_ERROR_BODY_BYTES).read_to_vec().unwrap_or_default();
        let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after = text(header::RETRY_AFTER);
        Err(RequestError::Refused(failure::from_status(
            parts.status.as_u16(),
            &said,
            retry_after,
            &self.parties,
        )))
    }
}

enum RequestError {
    Refused(CallFailure),
    Http(Error),
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self::Http(error)
    }
}

fn was_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}
