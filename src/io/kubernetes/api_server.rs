//! Requests to the API server: each with a time limit and a bounded answer.

use std::{
    io::{BufRead, BufReader, Read},
    sync::Arc,
    time::Duration,
};

use crossbeam_channel::after;
use serde_json::Value;
use ureq::{
    Agent, Body,
    http::{Request, Response, header},
};

use super::access::{BearerToken, ClusterAccess};
use crate::{
    agent::model::order::Failure,
    io::{
        http,
        tls::{self, TrustedClock, crypto},
    },
    wire::text::truncate,
};

/// Orders that are carried out at once, each with a connection.
pub(super) const WORKERS: usize = 4;
/// For one request, its answer's last byte included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a thousand Deployments with all that is noted of their fields.
const MAX_RESPONSE_BYTES: u64 = 32 << 20;
/// Of a watch; etcd takes nothing that is larger.
const MAX_LINE_BYTES: u64 = 2 << 20;
/// API servers close unused connections later than this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often a busy server is asked before it counts as one that is away: as often as by Kubernetes' own clients. For how
/// long it is waited for at a time, in seconds, and in all.
const TRIES: u32 = 10;
const MAX_RETRY_AFTER_SECONDS: u64 = 10;
const MAX_TOTAL_RETRY_WAIT: Duration = Duration::from_secs(30);
/// Of what a server says, in bytes.
const MAX_REASON_BYTES: usize = 400;

/// The API server, seen by one identity.
pub(super) struct ApiServerClient {
    agent: Agent,
    server: String,
    token: Option<BearerToken>,
}

/// Why nothing came of a request.
pub(super) enum Error {
    /// The server says no, with this status, and why.
    Refused(u16, String),
    /// It can't be reached, isn't trusted, or makes no sense.
    Broken(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            // says nothing of the workload: the credentials, the server's load, what is behind the server
            Error::Refused(401 | 429 | 502..=504, cause) | Error::Broken(cause) => Self::Engine(cause),
            Error::Refused(_, cause) => Self::Workload(cause),
        }
    }
}

impl ApiServerClient {
    /// Nothing is sent yet. The error is a sentence about what can't be used.
    pub(super) fn new(access: ClusterAccess, clock: Arc<TrustedClock>) -> Result<Self, String> {
        let ClusterAccess { server, server_name, roots, pair, token } = access;
        let what = format!("the server's URL '{server}'");
        let name = tls::server_name(&what, &server, server_name.as_deref(), "")?;
        let http = http::config()
            .timeout_global(Some(REQUEST_TIMEOUT))
            .max_idle_connections(WORKERS)
            .max_idle_connections_per_host(WORKERS)
            .max_idle_age(IDLE_TIMEOUT)
            .build();
        let (agent, _) = tls::https_client(http, name, roots, pair.as_ref(), clock)?;
        Ok(Self { agent, server: server.trim_end_matches('/').to_owned(), token })
    }

    /// Asks, and reads the answer of a server that agrees. A `PATCH` is a server-side apply.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (mut tries, mut waited) = (1, Duration::ZERO);
        let bytes = loop {
            let mut response = self.send(method, path, &body, REQUEST_TIMEOUT)?;
            let status = response.status().as_u16();
            let limit = if response.status().is_success() { MAX_RESPONSE_BYTES } else { 64 << 10 };
            let bytes = response.body_mut().with_config().limit(limit).read_to_vec();
            let bytes = bytes.map_err(|error| self.unreachable_error(&error))?;
            match retry_after(&response) {
                Some(wait) if tries < TRIES && waited + wait <= MAX_TOTAL_RETRY_WAIT => {
                    let _ = after(wait).recv();
                    waited += wait;
                }
                _ if response.status().is_success() => break bytes,
                _ => return Err(self.refusal_error(status, &bytes)),
            }
            tries += 1;
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Broken(format!("failed to understand '{}': {error}", self.server)))
    }

    /// Gets an answer that ends within `limit`, and hands each line to `line` as it comes.
    pub(super) fn stream_lines(
        &self,
        path: &str,
        limit: Duration,
        started: &mut bool,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut response = self.send("GET", path, "", limit)?;
        if !response.status().is_success() {
            let said = response.body_mut().with_config().limit(64 << 10).read_to_vec().unwrap_or_default();
            return Err(self.refusal_error(response.status().as_u16(), &said));
        }
        *started = true;
        let mut reader = BufReader::with_capacity(4096, response.into_body().into_reader());
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut buffer);
            match read.map_err(|error| self.unreachable_error(&error.into()))? {
                0 => return Ok(()),
                _ => line(&buffer),
            }
        }
    }

    fn send(&self, method: &str, path: &str, body: &str, limit: Duration) -> Result<Response<Body>, Error> {
        let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        request = request.header(header::CONTENT_TYPE, kind).header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            let token = token.read().map_err(Error::Broken)?;
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body.as_bytes()).map_err(|error| self.unreachable_error(&error.into()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(limit));
        let request = request.allow_non_standard_methods(true).build(); // a DELETE with a body
        self.agent.run(request).map_err(|error| self.unreachable_error(&error))
    }

    fn refusal_error(&self, status: u16, said: &[u8]) -> Error {
        let said: Value = serde_json::from_slice(said).unwrap_or_default();
        let said = truncate(said["message"].as_str().unwrap_or_default(), MAX_REASON_BYTES);
        let message = match status {
            401 => format!("'{}' doesn't accept this device's credentials (401)", self.server),
            _ => format!("'{}' refuses ({status}): {said}", self.server),
        };
        Error::Refused(status, message)
    }

    fn unreachable_error(&self, error: &ureq::Error) -> Error {
        let cause = match error {
            ureq::Error::Timeout(_) => "it didn't answer in time".to_owned(),
            ureq::Error::Io(error) => crypto::connection_error_message(error),
            error => error.to_string(),
        };
        Error::Broken(format!("failed to reach '{}': {cause}", self.server))
    }
}

/// How long a server that is busy asks to be left alone.
fn retry_after<T>(response: &Response<T>) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    (seconds <= MAX_RETRY_AFTER_SECONDS).then(|| Duration::from_secs(seconds.max(1)))
}
