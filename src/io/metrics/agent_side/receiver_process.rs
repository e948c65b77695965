//! The receiver process as the agent sees it: it is not trusted.

use std::env;
use std::fs::DirBuilder;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::report_server::ReportServer;
use crate::io::metrics::shared::{descriptors, process_limits::ReceiverLimits};
use crate::wire::own::frames::Post;

/// The hidden subcommand that [`run`](crate::io::metrics::receiver::run)s the receiver; after it come the log level, and whether
/// there is a status page.
pub const SUBCOMMAND: &str = "receive-metrics";
/// How many requests tiny_http works on at once: as many as its thread pool keeps threads for.
const BACKENDS: usize = 4;
/// Where it gets its connections, for a moment.
const BACKENDS_NAME: &str = "backends";
/// The user without rights, on every distribution.
const UNPRIVILEGED_UID: u32 = 65534;
/// In bytes: for tiny_http's threads, which it starts without saying how large.
const STACK: &str = "65536";
/// The most bytes taken before they are worked on.
const MAX_INBOX_BYTES: usize = 128 * 1024;

/// A receiver that lives as long as this value.
pub(super) struct ReceiverProcess {
    process: Child,
    posts: UnixStream,
    control: UnixStream,
    /// Where it asks for reports.
    reports: UnixStream,
    inbox: Vec<u8>,
}

impl ReceiverProcess {
    /// Starts a receiver: it reads posts from no address yet.
    pub(super) fn start(directory: &Path, report_server: &ReportServer) -> io::Result<Self> {
        ReceiverLimits::within_current_limits()?; // it would end at once, and again and again
        let (posts, stdin) = UnixStream::pair()?;
        let (control, controlled) = UnixStream::pair()?;
        let (reports, asks) = UnixStream::pair()?;
        let (private, backends) = private_backends(directory).map_err(|error| {
            let path = directory.join(BACKENDS_NAME);
            io::Error::new(error.kind(), format!("failed to listen on '{}': {error}", path.display()))
        })?;
        // The link follows to the very program that runs, even when an upgrade has replaced the file since.
        let mut command = Command::new("/proc/self/exe");
        let page = report_server.has_page.to_string();
        command.args([SUBCOMMAND, log::max_level().as_str(), page.as_str()]).current_dir("/");
        command.env_clear().env("RUST_MIN_STACK", STACK).stdin(Stdio::from(OwnedFd::from(stdin)));
        command.envs(env::var_os("JOURNAL_STREAM").map(|stream| ("JOURNAL_STREAM", stream)));
        if rustix::process::geteuid().is_root() {
            // With the user, std drops the supplementary groups.
            command.uid(UNPRIVILEGED_UID).gid(UNPRIVILEGED_UID);
        }
        let receiver = Self { process: command.spawn()?, posts, control, reports, inbox: Vec::new() };
        let mut descriptors = vec![controlled.as_fd(), private.as_fd(), asks.as_fd()];
        descriptors.extend(backends.iter().map(AsFd::as_fd));
        descriptors::send(&receiver.posts, &descriptors)?;
        receiver.posts.set_nonblocking(true)?;
        receiver.control.set_nonblocking(true)?;
        let (report_server, reports) = (report_server.clone(), receiver.reports.try_clone()?);
        crate::io::spawn("reports", move || {
            let Err(error) = report_server.run(&reports);
            log::debug!("the metrics receiver gets no reports any more: {error}");
            // It sees that, and is replaced.
            _ = reports.shutdown(Shutdown::Both);
        })?;
        Ok(receiver)
    }

    /// Hands a listener down.
    pub(super) fn pass_listener(&self, listener: &OwnedFd) -> io::Result<()> {
        descriptors::send(&self.control, &[listener.as_fd()])
    }

    /// What becomes readable when there are posts, or when the receiver is gone.
    pub(super) fn posts_socket(&self) -> &UnixStream {
        &self.posts
    }

    /// Takes all the posts that have arrived whole.
    ///
    /// # Errors
    /// The receiver is gone, or sent what a sound one doesn't.
    pub(super) fn receive(&mut self) -> io::Result<Vec<Post>> {
        let mut chunk = [0; 8 * 1024];
        while self.inbox.len() < MAX_INBOX_BYTES {
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
        while let Some(post) = Post::decode(&mut rest).map_err(io::Error::other)? {
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
    pub(super) fn send_acks(&mut self, acks: &[u8]) -> io::Result<()> {
        self.posts.write_all(acks)
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        // It may have closed the pair and live on. Killed, it leaves nothing that could be waited for in vain.
        _ = self.process.kill();
        _ = self.process.wait();
        // Others may hold its end by now.
        _ = self.reports.shutdown(Shutdown::Both);
    }
}

/// Tells a process that takes this one's place by `exec` which receivers it inherits.
const INHERITED_RECEIVERS_VAR: &str = "DEVICE_WORKER_NG_RECEIVERS";

/// What to put into the environment of a program that takes this one's place: it has to wait for the receivers
/// that end when it begins.
pub fn inherited_receivers_env() -> (&'static str, String) {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    (INHERITED_RECEIVERS_VAR, lists.collect())
}

/// Waits for the receivers of the program whose place this one took: no other process can.
///
/// # Errors
/// No thread could be started.
pub(super) fn reap_inherited() -> io::Result<()> {
    let Ok(left) = std::env::var(INHERITED_RECEIVERS_VAR) else { return Ok(()) };
    crate::io::spawn("reaper", move || {
        for pid in left.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            // They end because their socket pair did. What isn't a child of ours is an error at once.
            _ = waitpid(Some(pid), WaitOptions::empty());
        }
    })
}

/// tiny_http serves only what it accepts itself. So it gets a listener whose every connection exists already,
/// and whose name is gone: nothing else can ever connect to it.
fn private_backends(directory: &Path) -> io::Result<(UnixListener, Vec<UnixStream>)> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let directory = rustix::fs::openat(CWD, directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // Through the descriptor, as a socket's path may not be longer than 107 bytes.
    let name = format!("/proc/self/fd/{}/{BACKENDS_NAME}", directory.as_raw_fd());
    _ = std::fs::remove_file(&name);
    let listener = UnixListener::bind(&name)?;
    let backends: io::Result<_> = (0..BACKENDS).map(|_| UnixStream::connect(&name)).collect();
    std::fs::remove_file(&name)?;
    Ok((listener, backends?))
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags};

    use super::*;
    use crate::agent::Sample;

    /// A receiver, and what it says to the agent.
    fn receiver() -> (ReceiverProcess, UnixStream) {
        let (posts, says) = UnixStream::pair().unwrap();
        posts.set_nonblocking(true).unwrap();
        let (control, reports) = (posts.try_clone().unwrap(), posts.try_clone().unwrap());
        let process = Command::new("sleep").arg("60").spawn().unwrap();
        (ReceiverProcess { process, posts, control, reports, inbox: Vec::new() }, says)
    }

    #[test]
    fn posts_that_arrive_in_pieces_are_taken_when_they_are_whole() {
        let (mut receiver, mut says) = receiver();
        let post = Post { id: 9, samples: vec![Sample { name: "a".into(), value: Some(1.0) }] };
        let mut bytes = Vec::new();
        post.write(&mut bytes);
        post.write(&mut bytes);
        says.write_all(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(receiver.receive().unwrap(), std::slice::from_ref(&post));
        assert_eq!(receiver.receive().unwrap(), []);
        says.write_all(&bytes[bytes.len() - 1..]).unwrap();
        assert_eq!(receiver.receive().unwrap(), [post]);
    }

    #[test]
    fn a_receiver_that_sends_garbage_or_takes_no_answers_is_given_up() {
        let (mut garbler, mut says) = receiver();
        says.write_all(&[0xff; 64]).unwrap();
        garbler.receive().unwrap_err();
        let (mut deaf, _says) = receiver();
        (0..10_000).try_for_each(|_| deaf.send_acks(&[0; 1000])).unwrap_err();
        let (mut gone, says) = receiver();
        drop(says);
        // Whatever another test is just starting holds a copy of `says` until its exec.
        rustix::event::poll(&mut [PollFd::new(gone.posts_socket(), PollFlags::IN)], None).unwrap();
        gone.receive().unwrap_err();
    }

    #[test]
    fn a_receiver_does_not_outlive_its_value() {
        let (receiver, _says) = receiver();
        let path = format!("/proc/{}", receiver.process.id());
        assert!(Path::new(&path).exists());
        drop(receiver);
        assert!(!Path::new(&path).exists(), "not even as a zombie");
    }
}
