//! The receiver process: what it may do, and its threads.
//!
//! The gate answers who reads, and passes whole posts to tiny_http; `posts` reads them and asks the agent to store what they say;
//! `acks` answers them as the agent did. The process ends with the agent's end of the socket pair, which is all
//! that can be relied on: the parent-death signal follows a thread, and is cleared by a change of user.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use tiny_http::{Header, Method, Request, Response, Server};

use super::gate::Gate;
use super::inquiry::Inquiry;
use super::{descriptors, post, reader, store};
use crate::io::lock;
use crate::wire::own::frames::{Post, Refused, Verdict, read_ack};

/// In bytes, stacks included: what it has, and what it needs at least.
const MEMORY: (u64, u64) = (16 * 1024 * 1024, 2 * 1024 * 1024);
/// Connections, listeners, lanes, and what tiny_http duplicates: what it has, and what it needs at least.
const DESCRIPTORS: (u64, u64) = (400, 64);
/// Of them, those that no client has.
const RESERVED: u64 = 48;
const STACK: usize = 64 * 1024;

/// Requests that wait for the agent's word; never more than there are lanes.
type Pending = Arc<Mutex<Vec<(u32, Request)>>>;

/// Receives posts until the agent is gone; standard input is one end of its socket pair. `has_page`: there is a
/// status page. `clients`: as many as [`confine`] says.
///
/// # Errors
/// Something that the agent cures by starting another receiver. That the agent has gone is none.
pub fn run(has_page: bool, clients: usize) -> io::Result<()> {
    let agent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some(descriptors) = descriptors::receive(&agent)? else { return Ok(()) };
    let mut descriptors = descriptors.into_iter();
    let (Some(control), Some(private), Some(asks)) =
        (descriptors.next(), descriptors.next(), descriptors.next())
    else {
        return Err(io::Error::other("started by hand: this is a part of the agent"));
    };
    let server = Server::from_listener(UnixListener::from(private), None).map_err(io::Error::other)?;
    let pending = Pending::default();
    let (acks, waiting) = (agent.try_clone()?, pending.clone());
    let thread = |name: &str| thread::Builder::new().name(name.into()).stack_size(STACK);
    thread("acks").spawn(move || answer_acknowledged(acks, &waiting))?;
    thread("posts").spawn(move || take_posts(&server, agent, &pending, has_page))?;
    Gate::new(control, Inquiry::new(asks)?, has_page, clients, descriptors)?.run()
}

/// What it may have at most, within the agent's own limits.
///
/// # Errors
/// That is too little.
pub(super) fn limits() -> io::Result<[(Resource, u64); 3]> {
    let within = |resource, name: &str, (most, least): (u64, u64)| match getrlimit(resource).maximum {
        Some(limit) if limit < least => Err(io::Error::other(format!(
            "the limit '{name}' of this process is {limit}, and at least {least} is needed"
        ))),
        limit => Ok((resource, limit.map_or(most, |limit| limit.min(most)))),
    };
    let descriptors = within(Resource::Nofile, "nofile", DESCRIPTORS)?;
    Ok([(Resource::Core, 0), descriptors, within(Resource::Data, "data", MEMORY)?])
}

/// Gives up what parsing foreign bytes doesn't need; how many clients that leaves room for. No RLIMIT_NPROC: it counts
/// everything of `nobody`'s.
///
/// # Errors
/// The kernel doesn't let it, or too little is left.
pub fn confine() -> io::Result<usize> {
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let limits = limits()?;
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(limits[1].1.saturating_sub(RESERVED) as usize)
}

fn take_posts(server: &Server, mut agent: UnixStream, pending: &Pending, has_page: bool) {
    let mut frame = Vec::new();
    for (id, mut request) in (0..u32::MAX).cycle().zip(server.incoming_requests()) {
        match read(&mut request, has_page) {
            Ok(post) => {
                frame.clear();
                Post { id, samples: post }.write(&mut frame);
                lock(pending).push((id, request));
                // A failure means that the agent is gone: the gate sees it too, and ends the process.
                _ = agent.write_all(&frame);
            }
            Err(refusal) => respond(request, refusal),
        }
    }
}

type Answer = (u16, String);

fn read(request: &mut Request, has_page: bool) -> Result<Vec<crate::agent::Sample>, Answer> {
    let path = reader::path(request.url());
    if path != "/metrics" {
        return Err(match (reader::is_page(path), has_page) {
            (true, true) => (405, "the status page is only read".into()),
            (true, false) => (404, Refused::Off.reason().into()),
            _ => (404, "metrics are posted to /metrics".into()),
        });
    }
    // Any method with a body is a post: `curl -X -H …`, as printed in many a README, has the method `-H`.
    let length = request.body_length().unwrap_or(0);
    if length == 0 && *request.method() != Method::Post {
        return Err((405, "metrics are posted, or read by GET".into()));
    }
    let mut body = Vec::with_capacity(length);
    request.as_reader().read_to_end(&mut body).map_err(|error| (400, error.to_string()))?;
    post::read(&body).map_err(|reason| (400, reason))
}

fn answer_acknowledged(mut agent: UnixStream, pending: &Pending) {
    let mut ack = [0; 5];
    while agent.read_exact(&mut ack).is_ok() {
        let (id, verdict) = read_ack(ack);
        let mut waiting = lock(pending);
        let request = waiting.iter().position(|(of, _)| *of == id).map(|at| waiting.swap_remove(at).1);
        drop(waiting);
        let answer = match verdict {
            Verdict::Stored => (200, String::new()),
            Verdict::TooManyNames => (400, format!("there are {} names already", store::MAX_NAMES)),
            Verdict::NotStored => (503, "the agent could not store it".into()),
        };
        if let Some(request) = request {
            respond(request, answer);
        }
    }
}

fn respond(request: Request, (status, reason): Answer) {
    let allow = if reader::is_page(reader::path(request.url())) { "GET, HEAD" } else { "GET, HEAD, POST" };
    let reason = if reason.is_empty() { reason } else { reason + "\n" };
    let mut response = Response::from_string(reason).with_status_code(status);
    if status == 405
        && let Ok(allow) = Header::from_bytes("Allow", allow)
    {
        response.add_header(allow);
    }
    // The gate holds the other end, and sees it closed.
    _ = request.respond(response);
}
