//! Requests to podman's API: each with a time limit and a bounded answer.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::de::DeserializeOwned;
use ureq::{Agent, Body, http};

use crate::{
    agent::model::order::Failure,
    io::unix::{self, CancelHandle},
    wire::{podman::answers::ErrorBody, strict},
};

/// The version of the API that is asked for: podman 4.3 to 6 all speak it.
const BASE: &str = "http://podman/v4.0.0/libpod/";
/// The longest answer that is read, in bytes: a list of a thousand pods is a megabyte.
const MAX_ANSWER: u64 = 8 << 20;
/// The longest line of an answer that comes line by line, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// As much is kept of an answer that may have no end, in bytes.
const MAX_KEPT_OUTPUT_BYTES: usize = 16 << 10;
/// For podman to begin such an answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked, as the query of an address.
pub(super) type Query<'a> = &'a [(&'a str, &'a str)];

/// podman's API on one socket.
pub(super) struct PodmanClient {
    agent: Agent,
    socket: PathBuf,
}

/// podman answered.
pub(super) struct PodmanAnswer {
    pub(super) status: u16,
    /// podman's version; 0 if it doesn't say.
    pub(super) major: u32,
    body: Vec<u8>,
}

impl PodmanAnswer {
    /// Whether it was done, or had been done before.
    pub(super) fn is_success(&self) -> bool {
        matches!(self.status, 200..=299 | 304)
    }

    pub(super) fn is_missing(&self) -> bool {
        self.status == 404
    }

    /// The content of an answer that says yes.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        if !self.is_success() {
            return Err(self.refusal());
        }
        strict::from_json(&self.body)
            .map_err(|error| Error::Broken(format!("failed to understand podman's answer: {error}")))
    }

    /// Nothing, if the answer says yes.
    pub(super) fn check_success(&self) -> Result<(), Error> {
        if self.is_success() { Ok(()) } else { Err(self.refusal()) }
    }

    /// What is not JSON.
    pub(super) fn text(&self) -> Result<String, Error> {
        self.check_success().map(|()| String::from_utf8_lossy(&self.body).trim().to_owned())
    }

    /// The same as it came.
    pub(super) fn bytes(&self) -> Result<&[u8], Error> {
        self.check_success().map(|()| &*self.body)
    }

    fn refusal(&self) -> Error {
        match strict::from_json(&self.body) {
            Ok(ErrorBody { message, .. }) if !message.is_empty() => Error::Refused(message),
            _ => Error::Broken(format!("podman answered with status {}", self.status)),
        }
    }
}

/// podman didn't do it.
pub(super) enum Error {
    /// It says why.
    Refused(String),
    /// It can't be reached, or what it says makes no sense.
    Broken(String),
    /// It didn't answer in time.
    Late(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Workload(reason) => Self::Refused(reason),
            Failure::Engine(reason) => Self::Broken(reason),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(reason) => Self::Workload(reason),
            Error::Broken(reason) | Error::Late(reason) => Self::Engine(reason),
        }
    }
}

impl PodmanClient {
    pub(super) fn new(socket: &Path) -> Self {
        Self { agent: unix::unix_http_client(socket), socket: socket.into() }
    }

    /// The same for one request, which ends when it is hung up.
    pub(super) fn with_hangup(&self, hangup: CancelHandle) -> Self {
        Self { agent: unix::cancellable_unix_client(&self.socket, hangup), socket: self.socket.clone() }
    }

    pub(super) fn get(&self, path: &str, query: Query, limit: Duration) -> Result<PodmanAnswer, Error> {
        let request = self.agent.get(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        self.read(request.config().timeout_global(Some(limit)).build().call())
    }

    pub(super) fn delete(&self, path: &str, query: Query, limit: Duration) -> Result<PodmanAnswer, Error> {
        let request = self.agent.delete(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        self.read(request.config().timeout_global(Some(limit)).build().call())
    }

    /// The body is `application/yaml`, as which JSON passes, too.
    pub(super) fn post(
        &self,
        path: &str,
        query: Query,
        body: &str,
        limit: Duration,
    ) -> Result<PodmanAnswer, Error> {
        self.read(self.post_raw(path, query, body, None, limit))
    }

    /// Whether there is such a thing.
    pub(super) fn exists(&self, path: &str, query: Query, limit: Duration) -> Result<bool, Error> {
        let request = self.agent.head(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        let answer = self.read(request.config().timeout_global(Some(limit)).build().call())?;
        if answer.is_missing() { Ok(false) } else { answer.check_success().map(|()| true) }
    }

    /// Puts an archive.
    pub(super) fn put(
        &self,
        path: &str,
        query: Query,
        body: &[u8],
        limit: Duration,
    ) -> Result<PodmanAnswer, Error> {
        let request = self.agent.put(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        let request = request.content_type("application/x-tar");
        self.read(request.config().timeout_global(Some(limit)).build().send(body))
    }

    fn post_raw(
        &self,
        path: &str,
        query: Query,
        body: &str,
        credentials: Option<&str>,
        limit: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let mut request = self.agent.post(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        if let Some(credentials) = credentials {
            request = request.header("X-Registry-Auth", credentials);
        }
        // podman takes a body of a form's type for parameters, and then misses it
        let request = request.content_type("application/yaml");
        request.config().timeout_global(Some(limit)).build().send(body)
    }

    /// Posts with credentials for a registry, and hands each line of a good answer to `line` as it comes.
    pub(super) fn post_lines(
        &self,
        path: &str,
        query: Query,
        credentials: Option<&str>,
        limit: Duration,
        line: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let response = self
            .post_raw(path, query, "", credentials, limit)
            .map_err(|error| self.unreachable_error(error))?;
        if !response.status().is_success() {
            return self.read(Ok(response))?.check_success();
        }
        self.read_lines(response, line)
    }

    /// Posts, and reads the answer from its head on for at most `limit`. Says how it begins.
    pub(super) fn post_with_body_timeout(
        &self,
        path: &str,
        body: &str,
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        let request = self.agent.post(format!("{BASE}{path}")).content_type("application/json").config();
        let request =
            request.timeout_global(Some(HEAD_TIMEOUT + limit)).timeout_recv_body(Some(limit)).build();
        let response = request.send(body).map_err(|error| self.unreachable_error(error))?;
        if !response.status().is_success() {
            self.read(Ok(response))?.check_success()?;
            return Ok(Vec::new());
        }
        let (mut reader, mut begin, mut buffer) = (response.into_body().into_reader(), Vec::new(), [0; 2048]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(begin),
                Ok(amount) => {
                    let room = MAX_KEPT_OUTPUT_BYTES.saturating_sub(begin.len());
                    begin.extend_from_slice(&buffer[..amount.min(room)]);
                }
                Err(error) => match self.unreachable_error(error.into()) {
                    Error::Late(_) => return Ok(begin),
                    error => return Err(error),
                },
            }
        }
    }

    /// Gets an answer without end, and hands each line to `line` as it comes; returns when podman hangs up.
    pub(super) fn stream_lines(
        &self,
        path: &str,
        query: Query,
        line: impl FnMut(&[u8]),
    ) -> Result<(), Error> {
        let request = self.agent.get(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        // no limit: podman says nothing at all, not even a status, before the first event
        let response = request.call().map_err(|error| self.unreachable_error(error))?;
        if !response.status().is_success() {
            return self.read(Ok(response))?.check_success();
        }
        self.read_lines(response, line)
    }

    /// Gets what is divided into frames (a stream's number, the length, and then that many bytes), and hands them on in
    /// pieces with that number, until `hear` says no. Without a limit a person waits, who can end it.
    pub(super) fn stream_frames(
        &self,
        path: &str,
        query: Query,
        limit: Option<Duration>,
        hear: &mut dyn FnMut(u8, &[u8]) -> bool,
    ) -> Result<(), Error> {
        let request = self.agent.get(format!("{BASE}{path}")).query_pairs(query.iter().copied());
        let response = request
            .config()
            .timeout_global(limit)
            .build()
            .call()
            .map_err(|error| self.unreachable_error(error))?;
        if !response.status().is_success() {
            return self.read(Ok(response))?.check_success();
        }
        let mut reader = BufReader::with_capacity(8192, response.into_body().into_reader());
        let (mut stream, mut left, mut head) = (0, 0, Vec::with_capacity(8));
        loop {
            let piece = reader.fill_buf().map_err(|error| self.unreachable_error(error.into()))?;
            if piece.is_empty() {
                return Ok(());
            }
            let used;
            if left > 0 {
                used = piece.len().min(left);
                left -= used;
                if !hear(stream, &piece[..used]) {
                    return Ok(());
                }
            } else {
                used = piece.len().min(8 - head.len());
                head.extend_from_slice(&piece[..used]);
                if let [first, _, _, _, length @ ..] = &head[..]
                    && let Ok(length) = <[u8; 4]>::try_from(length)
                {
                    (stream, left) = (*first, u32::from_be_bytes(length) as usize);
                    head.clear();
                }
            }
            reader.consume(used);
        }
    }

    fn read_lines(&self, response: http::Response<Body>, mut line: impl FnMut(&[u8])) -> Result<(), Error> {
        let mut reader = BufReader::with_capacity(2048, response.into_body().into_reader());
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut buffer);
            match read.map_err(|error| self.unreachable_error(error.into()))? {
                0 => return Ok(()),
                _ => line(&buffer),
            }
        }
    }

    fn read(&self, result: Result<http::Response<Body>, ureq::Error>) -> Result<PodmanAnswer, Error> {
        let response = result.map_err(|error| self.unreachable_error(error))?;
        let status = response.status().as_u16();
        let version = response.headers().get("libpod-api-version").and_then(|version| version.to_str().ok());
        let major = version.and_then(|version| version.split('.').next()?.parse().ok()).unwrap_or(0);
        let body = response.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(PodmanAnswer { status, major, body: body.map_err(|error| self.unreachable_error(error))? })
    }

    fn unreachable_error(&self, error: ureq::Error) -> Error {
        let socket = self.socket.display();
        match error {
            ureq::Error::Timeout(_) => Error::Late(format!("podman at '{socket}' didn't answer in time")),
            ureq::Error::Io(error) => Error::Broken(format!("failed to reach podman at '{socket}': {error}")),
            error => Error::Broken(format!("failed to talk to podman at '{socket}': {error}")),
        }
    }
}
