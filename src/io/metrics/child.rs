//! The receiver as the agent sees it: a process that nothing is believed of.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags};

use super::descriptors;
use crate::wire::frames::Post;

/// The hidden subcommand that [`run`](super::receiver::run)s the receiver; the log level comes after it.
pub const SUBCOMMAND: &str = "receive-metrics";
/// How many requests tiny_http works on at once: as many as its thread pool keeps threads for.
pub(super) const LANES: usize = 4;
/// `nobody`, on every distribution.
const NOBODY: u32 = 65534;
/// In bytes: for tiny_http's threads, which it starts without saying how large.
const STACK: &str = "65536";
/// The most bytes taken before they are worked on.
const INBOX: usize = 128 * 1024;

/// A receiver that lives as long as this value.
pub(super) struct Child {
    process: process::Child,
    posts: UnixStream,
    control: UnixStream,
    inbox: Vec<u8>,
}

impl Child {
    /// Starts a receiver: it reads posts from no address yet.
    pub(super) fn start(directory: &Path) -> io::Result<Self> {
        let (posts, stdin) = UnixStream::pair()?;
        let (control, controlled) = UnixStream::pair()?;
        let (private, lanes) = private_lanes(directory)?;
        // The link follows to the very program that runs, even when an upgrade has replaced the file since.
        let mut command = Command::new("/proc/self/exe");
        command.args([SUBCOMMAND, log::max_level().as_str()]).current_dir("/");
        command.env_clear().env("RUST_MIN_STACK", STACK).stdin(Stdio::from(OwnedFd::from(stdin)));
        if rustix::process::geteuid().is_root() {
            // With the user, std drops the supplementary groups.
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = Self { process: command.spawn()?, posts, control, inbox: Vec::new() };
        let mut descriptors = vec![controlled.as_fd(), private.as_fd()];
        descriptors.extend(lanes.iter().map(AsFd::as_fd));
        descriptors::send(&child.posts, &descriptors)?;
        child.posts.set_nonblocking(true)?;
        child.control.set_nonblocking(true)?;
        Ok(child)
    }

    /// Hands a listener down.
    pub(super) fn listen(&self, listener: &OwnedFd) -> io::Result<()> {
        descriptors::send(&self.control, &[listener.as_fd()])
    }

    /// What becomes readable when there are posts, or when the receiver is gone.
    pub(super) fn posts(&self) -> &UnixStream {
        &self.posts
    }

    /// Takes all the posts that have arrived whole.
    ///
    /// # Errors
    /// The receiver is gone, or sent what a sound one doesn't.
    pub(super) fn receive(&mut self) -> io::Result<Vec<Post>> {
        let mut chunk = [0; 8 * 1024];
        while self.inbox.len() < INBOX {
            match self.posts.read(&mut chunk) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended")),
                Ok(n) => self.inbox.extend(&chunk[..n]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut rest = &self.inbox[..];
        let mut posts = Vec::new();
        while let Some(post) = Post::take(&mut rest).map_err(io::Error::other)? {
            posts.push(post);
        }
        let taken = self.inbox.len() - rest.len();
        self.inbox.drain(..taken);
        self.inbox.shrink_to(chunk.len());
        Ok(posts)
    }

    /// Sends acknowledgements.
    ///
    /// # Errors
    /// Also when they don't fit into the socket: a sound receiver has only a few posts in flight.
    pub(super) fn answer(&mut self, acks: &[u8]) -> io::Result<()> {
        self.posts.write_all(acks)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have closed the pair and live on. Killed, it leaves nothing that could be waited for in vain.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// tiny_http serves only what it accepts itself. So it gets a listener whose every connection exists already,
/// and whose name is gone: nobody else can ever connect to it.
fn private_lanes(directory: &Path) -> io::Result<(UnixListener, Vec<UnixStream>)> {
    let directory = rustix::fs::openat(CWD, directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // Through the descriptor, as a socket's path may not be longer than 107 bytes.
    let name = format!("/proc/self/fd/{}/lanes", directory.as_raw_fd());
    _ = std::fs::remove_file(&name);
    let listener = UnixListener::bind(&name)?;
    let lanes: io::Result<_> = (0..LANES).map(|_| UnixStream::connect(&name)).collect();
    std::fs::remove_file(&name)?;
    Ok((listener, lanes?))
}
