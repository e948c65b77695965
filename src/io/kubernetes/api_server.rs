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

use super::access::{Access, BearerToken};
use crate::{
    agent::model::order::Failure,
    io::{
        http,
        tls::{self, TrustedClock, crypto},
    },
    wire::text::cut,
};

/// Orders that are carried out at once, each with a connection.
pub(super) const WORKERS: usize = 4;
/// For one request, its answer's last byte included.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes: a thousand Deployments with all that is noted of their fields.
const LARGEST: u64 = 32 << 20;
/// Of a watch; etcd takes nothing that is larger.
const LONGEST_LINE: u64 = 2 << 20;
/// API servers close unused connections later than this.
const IDLE: Duration = Duration::from_secs(75);
/// How often a busy server is asked before it counts as one that is away: as often as by Kubernetes' own clients. For how
/// long it is waited for at a time, in seconds, and in all.
const TRIES: u32 = 10;
const LONGEST_WAIT: u64 = 10;
const LONGEST_WAITS: Duration = Duration::from_secs(30);
/// Of what a server says, in bytes.
const LONGEST_REASON: usize = 400;

/// The API server, seen by one identity.
pub(super) struct ApiServer {
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

impl ApiServer {
    /// Nothing is sent yet. The error is a sentence about what can't be used.
    pub(super) fn new(access: Access, clock: Arc<TrustedClock>) -> Result<Self, String> {
        let Access { server, server_name, roots, pair, token } = access;
        let what = format!("the server's URL '{server}'");
        let name = tls::server_name(&what, &server, server_name.as_deref(), "")?;
        let http = http::config()
            .timeout_global(Some(LIMIT))
            .max_idle_connections(WORKERS)
            .max_idle_connections_per_host(WORKERS)
            .max_idle_age(IDLE)
            .build();
        let (agent, _) = tls::agent(http, name, roots, pair.as_ref(), clock)?;
        Ok(Self { agent, server: server.trim_end_matches('/').to_owned(), token })
    }

    /// Asks, and reads the answer of a server that agrees. A `PATCH` is a server-side apply.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let (mut tries, mut waited) = (1, Duration::ZERO);
        let bytes = loop {
            let mut response = self.send(method, path, &body, LIMIT)?;
            let status = response.status().as_u16();
            let limit = if response.status().is_success() { LARGEST } else { 64 << 10 };
            let bytes = response.body_mut().with_config().limit(limit).read_to_vec();
            let bytes = bytes.map_err(|error| self.unreachable(&error))?;
            match wait(&response) {
                Some(wait) if tries < TRIES && waited + wait <= LONGEST_WAITS => {
                    let _ = after(wait).recv();
                    waited += wait;
                }
                _ if response.status().is_success() => break bytes,
                _ => return Err(self.refused(status, &bytes)),
            }
            tries += 1;
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::Broken(format!("failed to understand '{}': {error}", self.server)))
    }

    /// Gets an answer that ends within `limit`, and hands each line to `line` as it comes.
    pub(super) fn follow(
        &self,
        path: &str,
        limit: Duration,
        started: &mut bool,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Error> {
        let mut response = self.send("GET", path, "", limit)?;
        if !response.status().is_success() {
            let said = response.body_mut().with_config().limit(64 << 10).read_to_vec().unwrap_or_default();
            return Err(self.refused(response.status().as_u16(), &said));
        }
        *started = true;
        let mut reader = BufReader::with_capacity(4096, response.into_body().into_reader());
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut buffer);
            match read.map_err(|error| self.unreachable(&error.into()))? {
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
        let request = request.body(body.as_bytes()).map_err(|error| self.unreachable(&error.into()))?;
        let request = self.agent.configure_request(request).timeout_global(Some(limit));
        let request = request.allow_non_standard_methods(true).build(); // a DELETE with a body
        self.agent.run(request).map_err(|error| self.unreachable(&error))
    }

    fn refused(&self, status: u16, said: &[u8]) -> Error {
        let said: Value = serde_json::from_slice(said).unwrap_or_default();
        let said = cut(said["message"].as_str().unwrap_or_default(), LONGEST_REASON);
        let message = match status {
            401 => format!("'{}' doesn't accept this device's credentials (401)", self.server),
            _ => format!("'{}' refuses ({status}): {said}", self.server),
        };
        Error::Refused(status, message)
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let cause = match error {
            ureq::Error::Timeout(_) => "it didn't answer in time".to_owned(),
            ureq::Error::Io(error) => crypto::why_broken(error),
            error => error.to_string(),
        };
        Error::Broken(format!("failed to reach '{}': {cause}", self.server))
    }
}

/// How long a server that is busy asks to be left alone.
fn wait<T>(response: &Response<T>) -> Option<Duration> {
    if !matches!(response.status().as_u16(), 429 | 503) {
        return None;
    }
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    (seconds <= LONGEST_WAIT).then(|| Duration::from_secs(seconds.max(1)))
}
