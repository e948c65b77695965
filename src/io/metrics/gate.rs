//! One thread between every client and tiny_http: it bounds their number, their bytes and their waits.
//!
//! A client's connection is `Reading` until a request is there whole, `Queued` for a lane to tiny_http, `Posted`
//! on one, `Answering`, and `Reading` again; or, after a refusal or the last answer, `Leaving`. Whoever asks when
//! all is full gets the place of the one that has gone longest without completing a request, so idlers and
//! dawdlers can't keep anybody out.
//!
//! Who only wants to read never gets on a lane, where posts would wait behind it: it is `Asked`, and all who ask
//! for the same share one answer of the agent.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, accept_with, getsockname, recv, send};

use super::client::{Client, Gone, Stage};
use super::http::{self, Get, Refusal};
use super::inquiry::Inquiry;
use super::{descriptors, reader};
use crate::io::{clock::until, since_boot};
use crate::wire::own::frames::{Kind, MAX_REPORT};

/// Clients at once, where descriptors allow.
const MAX_CLIENTS: usize = 256;
/// Of all requests that aren't with tiny_http yet, in bytes.
const MAX_BYTES: usize = 1024 * 1024;
/// Answers of tiny_http are a line at most.
const MAX_ANSWER: usize = 4 * 1024;
/// Who waits for the agent's report at once; posts find a place beside them.
const MAX_ASKERS: usize = 32;
/// Of all answers that are on their way, in bytes: one that is read slowly, and a new one.
const MAX_TOLD: usize = 2 * MAX_REPORT;
/// From the end of a request to the agent's word.
const ANSWER: Duration = Duration::from_secs(5);
/// Without descriptors or memory for another client.
const PAUSE: Duration = Duration::from_millis(100);
/// In which all sockets of an agent that ends are closed.
const MOMENT: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

const UNAVAILABLE: Refusal = Refusal("503 Service Unavailable", "the agent is busy");

pub(super) struct Gate {
    /// Brings listeners.
    control: OwnedFd,
    /// Each with whether it is a unix socket.
    listeners: Vec<(OwnedFd, bool)>,
    inquiry: Inquiry,
    /// Whether there is a status page.
    has_page: bool,
    lanes: Vec<Lane>,
    clients: BTreeMap<u64, Client>,
    /// How many there may be at once.
    most: usize,
    /// Clients whose requests wait for a lane, in order.
    queue: VecDeque<u64>,
    /// Clients that want to read something, in order.
    askers: VecDeque<(u64, Get)>,
    /// Those of them whom the answer that the agent owes is for.
    asking: Vec<u64>,
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

#[derive(Clone, Copy)]
enum Ready {
    Control,
    Agent,
    Listener(usize),
    Lane(usize),
    Client(u64),
}

impl Gate {
    pub(super) fn new(
        control: OwnedFd,
        inquiry: Inquiry,
        has_page: bool,
        clients: usize,
        lanes: impl Iterator<Item = OwnedFd>,
    ) -> io::Result<Self> {
        let lane = |socket| {
            rustix::io::ioctl_fionbio(&socket, true)?;
            Ok(Lane { socket, outbox: Vec::new(), inbox: Vec::new(), serves: None })
        };
        Ok(Self {
            control,
            listeners: Vec::new(),
            inquiry,
            has_page,
            lanes: lanes.map(lane).collect::<io::Result<_>>()?,
            clients: BTreeMap::new(),
            most: clients.min(MAX_CLIENTS),
            queue: VecDeque::new(),
            askers: VecDeque::new(),
            asking: Vec::new(),
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
        match self.serve() {
            // whichever of its sockets was seen to end first
            Err(_) if self.is_alone() => Ok(()),
            result => result,
        }
    }

    /// The agent has gone, in an orderly way or not: nothing failed here.
    fn is_alone(&self) -> bool {
        let mut control = [PollFd::new(&self.control, PollFlags::IN)];
        poll(&mut control, Some(&MOMENT)).is_ok() && control[0].revents().contains(PollFlags::HUP)
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            let now = since_boot();
            for ready in ready {
                match ready {
                    Ready::Control => match descriptors::receive(&self.control)? {
                        Some(listeners) => self.listeners.extend(listeners.into_iter().map(with_family)),
                        None => return Ok(()),
                    },
                    Ready::Agent => self.tell(now)?,
                    Ready::Listener(index) => self.accept(index, now),
                    Ready::Lane(index) => self.work(index, now)?,
                    Ready::Client(id) => self.attend(id, now),
                }
            }
            self.expire(now);
            // Behind a request that is answered at once there may be one for the other.
            while self.inform(now)? | self.dispatch(now)? {}
        }
    }

    /// Waits until something is ready, or a deadline has passed.
    fn wait(&self) -> io::Result<Vec<Ready>> {
        let now = since_boot();
        let open =
            now >= self.accept_from && (self.clients.len() < self.most || self.idler(|_| true).is_some());
        let listeners = self.listeners.iter().enumerate().filter(|_| open);
        let listeners = listeners.map(|(index, (fd, _))| (Ready::Listener(index), fd, PollFlags::IN));
        let lanes = self.lanes.iter().enumerate().map(|(index, lane)| {
            let out = if lane.outbox.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            (Ready::Lane(index), &lane.socket, PollFlags::IN | out)
        });
        let clients = self.clients.iter().filter_map(|(&id, client)| match client.stage {
            Stage::Reading | Stage::Leaving => Some((Ready::Client(id), &client.socket, PollFlags::IN)),
            Stage::Answering => Some((Ready::Client(id), &client.socket, PollFlags::OUT)),
            // Not even watched: poll reports a hang-up, asked or not, again and again.
            Stage::Queued | Stage::Posted | Stage::Asked => None,
        });
        let control = (Ready::Control, &self.control, PollFlags::IN);
        let agent = (Ready::Agent, self.inquiry.socket(), PollFlags::IN);
        let (names, mut fds): (Vec<_>, Vec<_>) = [control, agent]
            .into_iter()
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
            if self.clients.len() >= self.most && !self.evict(|_| true) {
                return;
            }
            let (listener, is_local) = &self.listeners[index];
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    self.clients.insert(self.next, Client::new(socket, *is_local, now));
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
            Stage::Queued | Stage::Posted | Stage::Asked => Ok(()),
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
                client.deadline = now + ANSWER;
                let get = client.request.as_ref().and_then(|request| request.get);
                match get.filter(|get| self.has_page || *get == Get::Metrics) {
                    Some(get) => {
                        client.stage = Stage::Asked;
                        self.askers.push_back((id, get));
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

    /// Answers who can be answered here, and asks the agent for the next of the others; `true`: there was one.
    fn inform(&mut self, now: Duration) -> io::Result<bool> {
        let (mut askers, mut is_any) = (Vec::new(), false);
        while let Some((id, get)) = self.askers.pop_front() {
            let Some(client) = self.clients.get_mut(&id).filter(|client| client.stage == Stage::Asked) else {
                continue;
            };
            let outcome = if get == Get::Page {
                let page = Rc::new(reader::PAGE.as_bytes().to_vec());
                client.inform(get, &page, now)
            } else if askers.len() + self.asking.len() < MAX_ASKERS {
                askers.push((id, get));
                continue;
            } else {
                client.refuse(&UNAVAILABLE, now)
            };
            is_any = true;
            self.settle(id, outcome, now);
            self.economize();
        }
        self.askers = askers.into();
        if let Some((_, first)) = self.askers.front().copied()
            && self.inquiry.is_idle()
        {
            let kind = if first == Get::Metrics { Kind::Metrics } else { Kind::Status };
            self.inquiry.ask(kind)?;
            self.asking = self.askers.iter().filter(|(_, get)| *get == first).map(|(id, _)| *id).collect();
            self.askers.retain(|(_, get)| *get != first);
            is_any = true;
        }
        Ok(is_any)
    }

    /// Hands on what the agent answers.
    fn tell(&mut self, now: Duration) -> io::Result<()> {
        let Some(answer) = self.inquiry.receive(&mut self.scratch)? else { return Ok(()) };
        let answer = answer.map(Rc::new);
        for id in std::mem::take(&mut self.asking) {
            // It may have been told 503 meanwhile.
            let Some(client) = self.clients.get_mut(&id).filter(|client| client.stage == Stage::Asked) else {
                continue;
            };
            let outcome = match (&answer, client.request.as_ref().and_then(|request| request.get)) {
                (Ok(report), Some(get)) => client.inform(get, report, now),
                (Err(why), _) => client.refuse(&Refusal(UNAVAILABLE.0, why.reason()), now),
                _ => Err(Gone),
            };
            self.settle(id, outcome, now);
        }
        self.economize();
        Ok(())
    }

    /// Drops slow readers while there are too many different answers on their way.
    fn economize(&mut self) {
        let told = |clients: &BTreeMap<u64, Client>| {
            let bodies = clients.values().filter_map(|client| client.body.as_ref());
            bodies
                .map(|body| (Rc::as_ptr(body), body.len()))
                .collect::<BTreeMap<_, _>>()
                .values()
                .sum::<usize>()
        };
        while told(&self.clients) > MAX_TOLD && self.evict(|client| client.body.is_some()) {}
    }

    /// Puts queued requests on free lanes; `true`: there was one.
    fn dispatch(&mut self, now: Duration) -> io::Result<bool> {
        let mut is_any = false;
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
            is_any = true;
        }
        Ok(is_any)
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
        for id in late.map(|(&id, _)| id).collect::<Vec<_>>() {
            let outcome = match self.clients.get_mut(&id) {
                Some(client) if client.waits() => client.refuse(&UNAVAILABLE, now),
                _ => Err(Gone),
            };
            self.settle(id, outcome, now);
        }
    }

    /// The client that has gone longest without completing a request, of those without one under way.
    fn idler(&self, which: impl Fn(&Client) -> bool) -> Option<u64> {
        let idle = self.clients.iter().filter(|(_, client)| !client.waits() && which(client));
        idle.min_by_key(|(_, client)| client.since).map(|(&id, _)| id)
    }

    /// Drops that client; `false`: there is none.
    fn evict(&mut self, which: impl Fn(&Client) -> bool) -> bool {
        self.idler(which).and_then(|id| self.clients.remove(&id)).is_some()
    }
}

/// A listener, and whether it is a unix socket.
fn with_family(listener: OwnedFd) -> (OwnedFd, bool) {
    let is_local =
        getsockname(&listener).is_ok_and(|address| address.address_family() == AddressFamily::UNIX);
    (listener, is_local)
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
