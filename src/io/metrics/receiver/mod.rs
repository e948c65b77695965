//! The receiver process: what it may do, and its threads.
//!
//! The frontend answers clients that read, and passes whole posts to tiny_http; a thread of `posts` reads them and asks
//! the agent to store what they say; another one answers them as the agent did. The process ends with the agent's end of
//! the socket pair, which is all that can be relied on: the parent-death signal follows a thread, and is cleared by a
//! change of user.

mod admission;
mod answer;
mod backend;
mod body;
mod connection;
mod frontend;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod origin;
mod outbox;
mod pages;
mod posts;
mod report_client;
mod request;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::{DumpableBehavior, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;
use tiny_http::Server;

use self::{frontend::Frontend, posts::PendingPosts, report_client::ReportClient};
use super::shared::{descriptors, process_limits::ReceiverLimits};
use crate::io::spawn_with_stack;

const STACK: usize = 64 * 1024;

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
    let pending = PendingPosts::default();
    let (acks, waiting) = (agent.try_clone()?, pending.clone());
    spawn_with_stack("acks", STACK, move || posts::answer_posts(acks, &waiting))?;
    spawn_with_stack("posts", STACK, move || posts::receive_posts(&server, agent, &pending, has_page))?;
    Frontend::new(control, ReportClient::new(asks)?, has_page, clients, descriptors)?.run()
}

/// Gives up what parsing foreign bytes doesn't need; how many clients that leaves room for. No RLIMIT_NPROC: it counts
/// all processes of the unprivileged user.
///
/// # Errors
/// The kernel doesn't let it, or too little is left.
pub fn confine() -> io::Result<usize> {
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let limits = ReceiverLimits::within_current_limits()?;
    for (resource, most) in limits.resources {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(limits.clients)
}
