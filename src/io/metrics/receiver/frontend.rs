//! One thread between every client and tiny_http: it reads requests whole, within limits, and hands them on.
//!
//! A connection is `Reading` until a request is there whole, `Queued` for a backend, `Forwarded` to it, `Answering`, and
//! `Reading` again; or, after a refusal or the last answer, `Lingering`.
//!
//! A client that only reads never gets to a backend, where posts would wait behind it: it `AwaitsReport`, and all that
//! read the same share one report of the agent's.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, accept_with, getsockname};

use super::admission::{Connections, MAX_CLIENTS};
use super::answer::{self, RefusalResponse};
use super::backend::Backend;
use super::connection::{ClientGone, Stage};
use super::pages::{self, GetResource};
use super::report_client::ReportClient;
use crate::io::metrics::shared::descriptors;
use crate::io::{clock::poll_timeout, since_boot};

/// Clients that wait for a report at once; posts find a place beside them.
const MAX_READERS: usize = 32;
/// From the end of a request to the agent's word.
const AGENT_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Without descriptors or memory for another client.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// In which all sockets of an agent that ends are closed.
const AGENT_HANGUP_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

const UNAVAILABLE: RefusalResponse = RefusalResponse("503 Service Unavailable", "the agent is busy");

pub(super) struct Frontend {
    /// Brings listeners.
    control: OwnedFd,
    /// Each with whether it is a unix socket.
    listeners: Vec<(OwnedFd, bool)>,
    reports: ReportClient,
    /// Whether there is a status page.
    has_page: bool,
    backends: Vec<Backend>,
    connections: Connections,
    /// Those whose requests wait for a backend, in order.
    queue: VecDeque<u64>,
    /// Those that read something, in order.
    readers: VecDeque<(u64, GetResource)>,
    /// Those that the report is for which the agent was asked for.
    asked_for: Vec<u64>,
    /// No new clients before this time.
    accept_from: Duration,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy)]
enum ReadySource {
    Control,
    Agent,
    Listener(usize),
    Backend(usize),
    Client(u64),
}

impl Frontend {
    pub(super) fn new(
        control: OwnedFd,
        reports: ReportClient,
        has_page: bool,
        clients: usize,
        backends: impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        Ok(Self {
            control,
            listeners: Vec::new(),
            reports,
            has_page,
            backends: backends.map(Backend::new).collect::<io::Result<_>>()?,
            connections: Connections::new(clients),
            queue: VecDeque::new(),
            readers: VecDeque::new(),
            asked_for: Vec::new(),
            accept_from: Duration::ZERO,
            scratch: vec![0; 16 * 1024],
        })
    }

    /// Serves until the agent is gone.
    ///
    /// # Errors
    /// tiny_http is broken, or poll is.
    pub(super) fn run(mut self) -> io::Result<()> {
        match self.serve() {
            // whichever of its sockets was seen to end first
            Err(_) if self.has_agent_hung_up() => Ok(()),
            result => result,
        }
    }

    /// The agent has gone, in an orderly way or not: nothing failed here.
    fn has_agent_hung_up(&self) -> bool {
        let mut control = [PollFd::new(&self.control, PollFlags::IN)];
        poll(&mut control, Some(&AGENT_HANGUP_WAIT)).is_ok() && control[0].revents().contains(PollFlags::HUP)
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            let now = since_boot();
            for ready in ready {
                match ready {
                    ReadySource::Control => match descriptors::receive(&self.control)? {
                        Some(listeners) => self.listeners.extend(listeners.into_iter().map(with_is_unix)),
                        None => return Ok(()),
                    },
                    ReadySource::Agent => self.hand_on_report(now)?,
                    ReadySource::Listener(index) => self.accept(index, now),
                    ReadySource::Backend(index) => self.drive_backend(index, now)?,
                    ReadySource::Client(id) => self.handle_client(id, now),
                }
            }
            self.expire(now);
            // Behind a request that is answered at once there may be one for the other.
            while self.serve_readers(now)? | self.dispatch(now)? {}
        }
    }

    /// Waits until something is ready, or a deadline has passed.
    fn wait(&self) -> io::Result<Vec<ReadySource>> {
        let now = since_boot();
        let open = now >= self.accept_from && self.connections.can_accept();
        let listeners = self.listeners.iter().enumerate().filter(|_| open);
        let listeners = listeners.map(|(index, (fd, _))| (ReadySource::Listener(index), fd, PollFlags::IN));
        let backends = self.backends.iter().enumerate().map(|(index, backend)| {
            let out = if backend.is_sending() { PollFlags::OUT } else { PollFlags::empty() };
            (ReadySource::Backend(index), backend.socket(), PollFlags::IN | out)
        });
        let clients = self.connections.iter().filter_map(|(id, connection)| match connection.stage {
            Stage::Reading | Stage::Lingering => {
                Some((ReadySource::Client(id), &connection.socket, PollFlags::IN))
            }
            Stage::Answering => Some((ReadySource::Client(id), &connection.socket, PollFlags::OUT)),
            // Not even watched: poll reports a hang-up, asked or not, again and again.
            Stage::Queued | Stage::Forwarded | Stage::AwaitsReport => None,
        });
        let control = (ReadySource::Control, &self.control, PollFlags::IN);
        let agent = (ReadySource::Agent, self.reports.socket(), PollFlags::IN);
        let (names, mut fds): (Vec<_>, Vec<_>) = [control, agent]
            .into_iter()
            .chain(listeners)
            .chain(backends)
            .chain(clients)
            .map(|(name, fd, flags)| (name, PollFd::new(fd, flags)))
            .unzip();
        let paused = (now < self.accept_from).then_some(self.accept_from);
        let deadline = self.connections.iter().map(|(_, it)| it.deadline).chain(paused).min();
        match poll(&mut fds, poll_timeout(deadline, now).as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = names.into_iter().zip(fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(name, _)| name).collect())
    }

    fn accept(&mut self, index: usize, now: Duration) {
        for _ in 0..MAX_CLIENTS / 4 {
            if !self.connections.make_room() {
                return;
            }
            let (listener, is_local) = &self.listeners[index];
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => self.connections.add(socket, *is_local, now),
                Err(Errno::WOULDBLOCK) => return,
                // The client was faster, in going away again.
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => {
                    log::debug!("failed to accept a connection: {error}");
                    self.connections.drop_idlest();
                    self.accept_from = now + ACCEPT_RETRY_DELAY;
                    return;
                }
            }
        }
    }

    /// Reads from a client, or writes to it.
    fn handle_client(&mut self, id: u64, now: Duration) {
        let Some(client) = self.connections.get_mut(id) else { return };
        let outcome = match client.stage {
            Stage::Reading => client.read(&mut self.scratch, now),
            Stage::Lingering => client.receive(&mut self.scratch).map(|_| ()),
            Stage::Answering => client.write(now),
            Stage::Queued | Stage::Forwarded | Stage::AwaitsReport => Ok(()),
        };
        self.apply_outcome(id, outcome, now);
        self.connections.limit_request_bytes();
    }

    /// Draws the consequences of what happened to a client.
    fn apply_outcome(&mut self, id: u64, outcome: Result<(), ClientGone>, now: Duration) {
        match (outcome, self.connections.get_mut(id)) {
            (Err(ClientGone), _) => self.connections.remove(id),
            (Ok(()), Some(client)) if client.stage == Stage::Reading && client.is_request_complete() => {
                client.deadline = now + AGENT_ANSWER_TIMEOUT;
                let get = client.request.as_ref().and_then(|request| request.get);
                match get.filter(|get| self.has_page || *get == GetResource::Metrics) {
                    Some(get) => {
                        client.stage = Stage::AwaitsReport;
                        self.readers.push_back((id, get));
                    }
                    None => {
                        client.stage = Stage::Queued;
                        self.queue.push_back(id);
                    }
                }
            }
            _ => {}
        }
    }

    /// Answers readers that can be answered here, and asks the agent for the report that the next of the others wait for;
    /// `true`: there was one.
    fn serve_readers(&mut self, now: Duration) -> io::Result<bool> {
        let (mut waiting, mut is_any) = (Vec::new(), false);
        while let Some((id, get)) = self.readers.pop_front() {
            let Some(client) = self.connections.get_mut_at_stage(id, Stage::AwaitsReport) else { continue };
            let outcome = if get.report_kind().is_none() {
                let page = Rc::new(pages::STATUS_PAGE_GZIP.to_vec());
                client.answer_get(get, &page, now)
            } else if waiting.len() + self.asked_for.len() < MAX_READERS {
                waiting.push((id, get));
                continue;
            } else {
                client.refuse(&UNAVAILABLE, now)
            };
            is_any = true;
            self.apply_outcome(id, outcome, now);
            self.connections.limit_report_bytes();
        }
        self.readers = waiting.into();
        if let Some((_, first)) = self.readers.front().copied()
            && let Some(kind) = first.report_kind()
            && self.reports.is_idle()
        {
            self.reports.request(kind)?;
            self.asked_for =
                self.readers.iter().filter(|(_, get)| *get == first).map(|(id, _)| *id).collect();
            self.readers.retain(|(_, get)| *get != first);
            is_any = true;
        }
        Ok(is_any)
    }

    /// Hands on what the agent answers.
    fn hand_on_report(&mut self, now: Duration) -> io::Result<()> {
        let Some(answer) = self.reports.receive(&mut self.scratch)? else { return Ok(()) };
        let answer = answer.map(Rc::new);
        for id in std::mem::take(&mut self.asked_for) {
            let Some(client) = self.connections.get_mut_at_stage(id, Stage::AwaitsReport) else { continue };
            let outcome = match (&answer, client.request.as_ref().and_then(|request| request.get)) {
                (Ok(report), Some(get)) => client.answer_get(get, report, now),
                (Err(why), _) => client.refuse(&RefusalResponse(UNAVAILABLE.0, why.reason()), now),
                _ => Err(ClientGone),
            };
            self.apply_outcome(id, outcome, now);
        }
        self.connections.limit_report_bytes();
        Ok(())
    }

    /// Gives queued requests to free backends; `true`: there was one.
    fn dispatch(&mut self, now: Duration) -> io::Result<bool> {
        let mut is_any = false;
        while let Some(index) = self.backends.iter().position(Backend::is_free)
            && let Some(id) = self.queue.pop_front()
        {
            let Some(client) = self.connections.get_mut_at_stage(id, Stage::Queued) else { continue };
            let Some(request) = &client.request else { continue };
            let body = client.inbox.drain(..request.body_length);
            self.backends[index].assign_request(id, request.bodiless_answer, &request.head, body);
            client.inbox.shrink_to_fit();
            client.stage = Stage::Forwarded;
            self.drive_backend(index, now)?;
            is_any = true;
        }
        Ok(is_any)
    }

    /// Moves bytes to and from a backend. Any failure is tiny_http's, and ends this process.
    fn drive_backend(&mut self, index: usize, now: Duration) -> io::Result<()> {
        let Some((id, mut answer)) = self.backends[index].exchange_bytes(&mut self.scratch)? else {
            return Ok(());
        };
        let Some(client) = self.connections.get_mut_at_stage(id, Stage::Forwarded) else { return Ok(()) };
        if client.request.as_ref().is_some_and(|request| !request.keep_alive) {
            answer::add_connection_close(&mut answer);
        }
        let outcome = client.answer(answer, now);
        self.apply_outcome(id, outcome, now);
        Ok(())
    }

    fn expire(&mut self, now: Duration) {
        let late = self.connections.iter().filter(|(_, connection)| connection.deadline <= now);
        for id in late.map(|(id, _)| id).collect::<Vec<_>>() {
            let outcome = match self.connections.get_mut(id) {
                Some(client) if client.is_awaiting_answer() => client.refuse(&UNAVAILABLE, now),
                _ => Err(ClientGone),
            };
            self.apply_outcome(id, outcome, now);
        }
    }
}

/// A listener, and whether it is a unix socket.
fn with_is_unix(listener: OwnedFd) -> (OwnedFd, bool) {
    let is_local =
        getsockname(&listener).is_ok_and(|address| address.address_family() == AddressFamily::UNIX);
    (listener, is_local)
}
