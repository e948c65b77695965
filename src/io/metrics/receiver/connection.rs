//! A client's connection: what it has sent, and what it is answered.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::answer::RefusalResponse;
use super::outbox::send_what_fits;
use super::pages::GetResource;
use super::request::{self, Request};

/// From the first byte of a request to its last, and for reading an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// From one request to the next.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// For a client to stop sending what was refused. Closed before that, TCP would throw the answer away.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    /// It came over a unix socket: no browser does.
    pub(super) is_local: bool,
    pub(super) stage: Stage,
    pub(super) inbox: Vec<u8>,
    pub(super) request: Option<Request>,
    outbox: Vec<u8>,
    /// What follows the outbox: shared with all that read the same.
    pub(super) body: Option<Rc<Vec<u8>>>,
    /// How much of it is sent.
    sent: usize,
    /// Since when no request was completed.
    pub(super) since: Duration,
    /// When its stage has lasted too long.
    pub(super) deadline: Duration,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Stage {
    /// Its request isn't whole.
    Reading,
    /// Its request waits for a backend.
    Queued,
    /// Its request is with a backend.
    Forwarded,
    /// The agent is to be asked for what it reads.
    AwaitsReport,
    Answering,
    /// After the last answer or a refusal: until it stops to send.
    Lingering,
}

/// What a client's socket said, when it can't be used any more.
pub(super) struct ClientGone;

impl Connection {
    pub(super) fn new(socket: OwnedFd, is_local: bool, now: Duration) -> Self {
        Self {
            socket,
            is_local,
            stage: Stage::Reading,
            inbox: Vec::new(),
            request: None,
            outbox: Vec::new(),
            body: None,
            sent: 0,
            since: now,
            deadline: now + REQUEST_TIMEOUT,
        }
    }

    /// Reads what is there; how many bytes.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Result<usize, ClientGone> {
        match recv(&self.socket, scratch, RecvFlags::empty()) {
            Ok((0, _)) => Err(ClientGone),
            Ok((read, _)) => Ok(read),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(0),
            Err(_) => Err(ClientGone),
        }
    }

    pub(super) fn read(&mut self, scratch: &mut [u8], now: Duration) -> Result<(), ClientGone> {
        let read = self.receive(scratch)?;
        if self.inbox.is_empty() && self.request.is_none() {
            self.deadline = now + REQUEST_TIMEOUT;
        }
        self.inbox.extend_from_slice(&scratch[..read]);
        self.take_head(now)
    }

    /// Takes the head off what was read.
    fn take_head(&mut self, now: Duration) -> Result<(), ClientGone> {
        if self.request.is_none() {
            match request::parse(&self.inbox) {
                Ok(Some(request)) => {
                    if let Err(refusal) = request.check(self.is_local) {
                        return self.refuse(&refusal, now);
                    }
                    self.inbox.drain(..request.head_length);
                    if request.expects_continue && self.inbox.len() < request.body_length {
                        // So short that it fits into any socket that nothing was written to yet.
                        _ = send(&self.socket, b"HTTP/1.1 100 Continue\r\n\r\n", SendFlags::NOSIGNAL);
                    }
                    self.request = Some(request);
                }
                Ok(None) => {}
                Err(refusal) => return self.refuse(&refusal, now),
            }
        }
        Ok(())
    }

    pub(super) fn is_request_complete(&self) -> bool {
        self.request.as_ref().is_some_and(|request| self.inbox.len() >= request.body_length)
    }

    pub(super) fn refuse(&mut self, refusal: &RefusalResponse, now: Duration) -> Result<(), ClientGone> {
        log::debug!("refused a request: {}, {}", refusal.0, refusal.1);
        self.request = None;
        self.inbox = Vec::new();
        self.answer(refusal.to_response_bytes(), now)
    }

    pub(super) fn answer(&mut self, answer: Vec<u8>, now: Duration) -> Result<(), ClientGone> {
        self.outbox = answer;
        self.stage = Stage::Answering;
        self.deadline = now + REQUEST_TIMEOUT;
        self.write(now)
    }

    /// Answers with what was asked for.
    pub(super) fn answer_get(
        &mut self,
        get: GetResource,
        body: &Rc<Vec<u8>>,
        now: Duration,
    ) -> Result<(), ClientGone> {
        let (keep_alive, bodiless) = self
            .request
            .as_ref()
            .map_or((false, true), |request| (request.keep_alive, request.bodiless_answer));
        self.body = (!bodiless).then(|| body.clone());
        self.answer(get.response_head(body, keep_alive), now)
    }

    /// It waits for others, and not they for it.
    pub(super) fn is_awaiting_answer(&self) -> bool {
        matches!(self.stage, Stage::Queued | Stage::Forwarded | Stage::AwaitsReport)
    }

    pub(super) fn write(&mut self, now: Duration) -> Result<(), ClientGone> {
        if !send_what_fits(&self.socket, &mut self.outbox).map_err(|_| ClientGone)? {
            return Ok(());
        }
        while let Some(rest) = self.body.as_ref().and_then(|body| body.get(self.sent..))
            && !rest.is_empty()
        {
            match send(&self.socket, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => self.sent += sent,
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(_) => return Err(ClientGone),
            }
        }
        (self.outbox, self.body, self.sent) = (Vec::new(), None, 0);
        if self.request.take().is_some_and(|request| request.keep_alive) {
            self.stage = Stage::Reading;
            self.since = now;
            self.deadline = now + if self.inbox.is_empty() { IDLE_TIMEOUT } else { REQUEST_TIMEOUT };
            // The next request may have come along with the last one.
            return self.take_head(now);
        }
        self.stage = Stage::Lingering;
        self.deadline = now + LINGER_TIMEOUT;
        shutdown(&self.socket, Shutdown::Write).map_err(|_| ClientGone)
    }
}
