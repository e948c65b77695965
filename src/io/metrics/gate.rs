//! One thread between every client and tiny_http: it bounds their number, their bytes and their waits.
//!
//! A client's connection is `Reading` until a request is there whole, `Queued` for a lane to tiny_http, `Posted`
//! on one, `Answering`, and `Reading` again; or, after a refusal or the last answer, `Leaving`. Whoever asks when
//! all is full gets the place of the one that has gone longest without completing a request, so idlers and
//! dawdlers can't keep anybody out.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};

use super::http::{self, Refusal, Request};
use super::{descriptors, until};
use crate::io::since_boot;

/// Clients at once.
const MAX_CLIENTS: usize = 256;
/// Of all requests that aren't with tiny_http yet, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Answers of tiny_http are a line at most.
const MAX_ANSWER: usize = 4 * 1024;
/// From the first byte of a request to its last, and for reading an answer.
const REQUEST: Duration = Duration::from_secs(10);
/// From one request to the next.
const IDLE: Duration = Duration::from_secs(60);
/// From the end of a request to the agent's word.
const ANSWER: Duration = Duration::from_secs(5);
/// For a client to stop sending what was refused. Closed before that, TCP would throw the answer away.
const LEAVE: Duration = Duration::from_secs(2);
/// Without descriptors or memory for another client.
const PAUSE: Duration = Duration::from_millis(100);

const UNAVAILABLE: Refusal = Refusal("503 Service Unavailable", "the agent is busy");

pub(super) struct Gate {
    /// Brings listeners.
    control: OwnedFd,
    listeners: Vec<OwnedFd>,
    lanes: Vec<Lane>,
    clients: BTreeMap<u64, Client>,
    /// Clients whose requests wait for a lane, in order.
    queue: VecDeque<u64>,
    /// The name of the next client.
    next: u64,
    /// No new clients before this time.
    accept_from: Duration,
    scratch: Vec<u8>,
}

/// A connection to tiny_http, for one request at a time: answers can't be mixed up.
struct Lane {
    socket: OwnedFd,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    /// Whose request is on it, and whether the answer is without a body.
    serves: Option<(u64, bool)>,
}

struct Client {
    socket: OwnedFd,
    stage: Stage,
    inbox: Vec<u8>,
    request: Option<Request>,
    outbox: Vec<u8>,
    /// Since when no request was completed.
    since: Duration,
    /// When its stage has lasted too long.
    deadline: Duration,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Reading,
    Queued,
    Posted,
    Answering,
    Leaving,
}

#[derive(Clone, Copy)]
enum Ready {
    Control,
    Listener(usize),
    Lane(usize),
    Client(u64),
}

/// What a client's socket said, when it can't be used any more.
struct Gone;

impl Gate {
    pub(super) fn new(control: OwnedFd, lanes: impl Iterator<Item = OwnedFd>) -> io::Result<Self> {
        let lane = |socket| {
            rustix::io::ioctl_fionbio(&socket, true)?;
            Ok(Lane { socket, outbox: Vec::new(), inbox: Vec::new(), serves: None })
        };
        Ok(Self {
            control,
            listeners: Vec::new(),
            lanes: lanes.map(lane).collect::<io::Result<_>>()?,
            clients: BTreeMap::new(),
            queue: VecDeque::new(),
            next: 0,
            accept_from: Duration::ZERO,
            scratch: vec![0; 16 * 1024],
        })
    }

    /// Serves until the agent is gone.
    ///
    /// # Errors
    /// tiny_http is broken, or poll is.
    pub(super) fn run(mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            let now = since_boot();
            for ready in ready {
                match ready {
                    Ready::Control => match descriptors::receive(&self.control)? {
                        Some(listeners) => self.listeners.extend(listeners),
                        None => return Ok(()),
                    },
                    Ready::Listener(index) => self.accept(index, now),
                    Ready::Lane(index) => self.work(index, now)?,
                    Ready::Client(id) => self.attend(id, now),
                }
            }
            self.expire(now);
            self.dispatch(now)?;
        }
    }

    /// Waits until something is ready, or a deadline has passed.
    fn wait(&self) -> io::Result<Vec<Ready>> {
        let now = since_boot();
        let open =
            now >= self.accept_from && (self.clients.len() < MAX_CLIENTS || self.idler(|_| true).is_some());
        let listeners = self.listeners.iter().enumerate().filter(|_| open);
        let listeners = listeners.map(|(index, fd)| (Ready::Listener(index), fd, PollFlags::IN));
        let lanes = self.lanes.iter().enumerate().map(|(index, lane)| {
            let out = if lane.outbox.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            (Ready::Lane(index), &lane.socket, PollFlags::IN | out)
        });
        let clients = self.clients.iter().filter_map(|(&id, client)| match client.stage {
            Stage::Reading | Stage::Leaving => Some((Ready::Client(id), &client.socket, PollFlags::IN)),
            Stage::Answering => Some((Ready::Client(id), &client.socket, PollFlags::OUT)),
            // Not even watched: poll reports a hang-up, asked or not, again and again.
            Stage::Queued | Stage::Posted => None,
        });
        let control = std::iter::once((Ready::Control, &self.control, PollFlags::IN));
        let (names, mut fds): (Vec<_>, Vec<_>) = control
            .chain(listeners)
            .chain(lanes)
            .chain(clients)
            .map(|(name, fd, flags)| (name, PollFd::new(fd, flags)))
            .unzip();
        let paused = (now < self.accept_from).then_some(self.accept_from);
        let deadline = self.clients.values().map(|client| client.deadline).chain(paused).min();
        match poll(&mut fds, until(deadline, now).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = names.into_iter().zip(fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(name, _)| name).collect())
    }

    fn accept(&mut self, index: usize, now: Duration) {
        for _ in 0..MAX_CLIENTS / 4 {
            if self.clients.len() >= MAX_CLIENTS && !self.evict(|_| true) {
                return;
            }
            match accept_with(&self.listeners[index], SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    self.clients.insert(self.next, Client::new(socket, now));
                    self.next += 1;
                }
                Err(Errno::WOULDBLOCK) => return,
                // The client was faster, in going away again.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => {
                    log::debug!("failed to accept a connection: {error}");
                    self.evict(|_| true);
                    self.accept_from = now + PAUSE;
                    return;
                }
            }
        }
    }

    /// Reads from a client, or writes to it.
    fn attend(&mut self, id: u64, now: Duration) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        let outcome = match client.stage {
            Stage::Reading => client.read(&mut self.scratch, now),
            Stage::Leaving => client.receive(&mut self.scratch).map(|_| ()),
            Stage::Answering => client.write(now),
            Stage::Queued | Stage::Posted => Ok(()),
        };
        self.settle(id, outcome, now);
        while self.clients.values().map(|client| client.inbox.capacity()).sum::<usize>() > MAX_BYTES
            && self.evict(|client| !client.inbox.is_empty())
        {}
    }

    /// Draws the consequences of what happened to a client.
    fn settle(&mut self, id: u64, outcome: Result<(), Gone>, now: Duration) {
        match (outcome, self.clients.get_mut(&id)) {
            (Err(Gone), _) => _ = self.clients.remove(&id),
            (Ok(()), Some(client)) if client.stage == Stage::Reading && client.is_whole() => {
                client.stage = Stage::Queued;
                client.deadline = now + ANSWER;
                self.queue.push_back(id);
            }
            _ => {}
        }
    }

    /// Puts queued requests on free lanes.
    fn dispatch(&mut self, now: Duration) -> io::Result<()> {
        while let Some(index) = self.lanes.iter().position(|lane| lane.serves.is_none())
            && let Some(id) = self.queue.pop_front()
        {
            let Some(client) = self.clients.get_mut(&id).filter(|client| client.stage == Stage::Queued)
            else {
                continue;
            };
            let Some(request) = &client.request else { continue };
            let lane = &mut self.lanes[index];
            lane.serves = Some((id, request.bodiless_answer));
            lane.outbox.extend_from_slice(&request.head);
            lane.outbox.extend(client.inbox.drain(..request.body_length));
            client.inbox.shrink_to_fit();
            client.stage = Stage::Posted;
            self.work(index, now)?;
        }
        Ok(())
    }

    /// Moves bytes on a lane. Any failure is tiny_http's, and ends this process.
    fn work(&mut self, index: usize, now: Duration) -> io::Result<()> {
        let lane = &mut self.lanes[index];
        lane.write()?;
        let Some(mut answer) = lane.read(&mut self.scratch)? else { return Ok(()) };
        let Some((id, _)) = lane.serves.take() else { return Ok(()) };
        // It may have been told 503 meanwhile.
        let Some(client) = self.clients.get_mut(&id).filter(|client| client.stage == Stage::Posted) else {
            return Ok(());
        };
        if client.request.as_ref().is_some_and(|request| !request.keep_alive) {
            http::close_after(&mut answer);
        }
        let outcome = client.answer(answer, now);
        self.settle(id, outcome, now);
        Ok(())
    }

    fn expire(&mut self, now: Duration) {
        let late = self.clients.iter().filter(|(_, client)| client.deadline <= now);
        for (id, stage) in late.map(|(&id, client)| (id, client.stage)).collect::<Vec<_>>() {
            let waits = matches!(stage, Stage::Queued | Stage::Posted);
            let outcome = match self.clients.get_mut(&id) {
                Some(client) if waits => client.refuse(&UNAVAILABLE, now),
                _ => Err(Gone),
            };
            self.settle(id, outcome, now);
        }
    }

    /// The client that has gone longest without completing a request, of those without one under way.
    fn idler(&self, which: impl Fn(&Client) -> bool) -> Option<u64> {
        let waits = |client: &Client| matches!(client.stage, Stage::Queued | Stage::Posted);
        let idle = self.clients.iter().filter(|(_, client)| !waits(client) && which(client));
        idle.min_by_key(|(_, client)| client.since).map(|(&id, _)| id)
    }

    /// Drops that client; `false`: there is none.
    fn evict(&mut self, which: impl Fn(&Client) -> bool) -> bool {
        self.idler(which).and_then(|id| self.clients.remove(&id)).is_some()
    }
}

impl Lane {
    fn write(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match send(&self.socket, &self.outbox, SendFlags::NOSIGNAL) {
                Ok(sent) => _ = self.outbox.drain(..sent),
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        self.outbox.shrink_to(MAX_ANSWER);
        Ok(())
    }

    /// Reads; an answer that is whole comes out.
    fn read(&mut self, scratch: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        match recv(&self.socket, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => return Err(io::Error::other("tiny_http hung up")),
            Ok((read, _)) => self.inbox.extend_from_slice(&scratch[..read]),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let confused = || io::Error::other("tiny_http is confused");
        let Some((_, bodiless)) = self.serves else { return Err(confused()) };
        match http::answer_length(&self.inbox, bodiless).map_err(io::Error::other)? {
            Some(length) if length == self.inbox.len() => Ok(Some(std::mem::take(&mut self.inbox))),
            Some(length) if length < self.inbox.len() => Err(confused()),
            _ if self.inbox.len() > MAX_ANSWER => Err(confused()),
            _ => Ok(None),
        }
    }
}

impl Client {
    fn new(socket: OwnedFd, now: Duration) -> Self {
        Self {
            socket,
            stage: Stage::Reading,
            inbox: Vec::new(),
            request: None,
            outbox: Vec::new(),
            since: now,
            deadline: now + REQUEST,
        }
    }

    /// Reads what is there; how many bytes.
    fn receive(&mut self, scratch: &mut [u8]) -> Result<usize, Gone> {
        match recv(&self.socket, scratch, RecvFlags::empty()) {
            Ok((0, _)) => Err(Gone),
            Ok((read, _)) => Ok(read),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(0),
            Err(_) => Err(Gone),
        }
    }

    fn read(&mut self, scratch: &mut [u8], now: Duration) -> Result<(), Gone> {
        let read = self.receive(scratch)?;
        if self.inbox.is_empty() && self.request.is_none() {
            self.deadline = now + REQUEST;
        }
        self.inbox.extend_from_slice(&scratch[..read]);
        self.understand(now)
    }

    /// Takes the head off what was read.
    fn understand(&mut self, now: Duration) -> Result<(), Gone> {
        if self.request.is_none() {
            match http::parse(&self.inbox) {
                Ok(Some(request)) => {
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

    fn is_whole(&self) -> bool {
        self.request.as_ref().is_some_and(|request| self.inbox.len() >= request.body_length)
    }

    fn refuse(&mut self, refusal: &Refusal, now: Duration) -> Result<(), Gone> {
        log::debug!("refused a request: {}, {}", refusal.0, refusal.1);
        self.request = None;
        self.inbox = Vec::new();
        self.answer(refusal.answer(), now)
    }

    fn answer(&mut self, answer: Vec<u8>, now: Duration) -> Result<(), Gone> {
        self.outbox = answer;
        self.stage = Stage::Answering;
        self.deadline = now + REQUEST;
        self.write(now)
    }

    fn write(&mut self, now: Duration) -> Result<(), Gone> {
        while !self.outbox.is_empty() {
            match send(&self.socket, &self.outbox, SendFlags::NOSIGNAL) {
                Ok(sent) => _ = self.outbox.drain(..sent),
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(_) => return Err(Gone),
            }
        }
        self.outbox = Vec::new();
        if self.request.take().is_some_and(|request| request.keep_alive) {
            self.stage = Stage::Reading;
            self.since = now;
            self.deadline = now + if self.inbox.is_empty() { IDLE } else { REQUEST };
            // The next request may have come along with the last one.
            return self.understand(now);
        }
        self.stage = Stage::Leaving;
        self.deadline = now + LEAVE;
        shutdown(&self.socket, Shutdown::Write).map_err(|_| Gone)
    }
}
