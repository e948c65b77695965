//! The addresses that metrics are posted to: bound by the agent, handed down to every receiver that it starts.
//!
//! A listener stays open while a receiver is replaced, so a post that comes meanwhile waits in its backlog.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::handover::Handover;
use crate::io::listener::NamedUnixListener;
use crate::settings::ListenAddress;

/// The first wait after an address could not be bound, and the longest.
const RETRY_DELAY_RANGE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// After so many in a row that is told, and not before: the receiver of an agent that was killed needs a moment to let go.
const TOLD_AFTER_FAILURES: u32 = 3;
/// From one look at whether a unix socket still has its name to the next. It is rarely lost (to who cleans up its directory),
/// and the kernel would tell that with all else that happens in the directory, which may be any program's.
const NAME_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// How many connections the kernel keeps for a receiver that is being started.
const BACKLOG: i32 = 1024;
/// Who may write to a socket's file, and so connect.
const SOCKET_FILE_MODE: u32 = 0o666;

/// One address, bound or yet to be bound.
pub(super) struct ListenSocket {
    listen: ListenAddress,
    bound: Option<BoundSocket>,
    failures: u32,
    next: Duration,
}

enum BoundSocket {
    Tcp(OwnedFd),
    Unix(NamedUnixListener),
}

impl BoundSocket {
    fn listener(&self) -> &OwnedFd {
        match self {
            Self::Tcp(listener) => listener,
            Self::Unix(listener) => listener.socket(),
        }
    }
}

/// What became of an address.
#[derive(Debug)]
pub(super) enum BindChange {
    /// There is a listener.
    New,
    /// Another one than there was.
    Replaced,
    /// There is none.
    Failed(io::Error),
}

impl ListenSocket {
    pub(super) fn new(listen: ListenAddress) -> Self {
        Self { listen, bound: None, failures: 0, next: Duration::ZERO }
    }

    pub(super) fn address(&self) -> String {
        self.listen.to_string()
    }

    pub(super) fn listener(&self) -> Option<&OwnedFd> {
        self.bound.as_ref().map(BoundSocket::listener)
    }

    /// Its listener, if that has a name in the file system.
    pub(super) fn unix_listener(&self) -> Option<&OwnedFd> {
        match &self.bound {
            Some(BoundSocket::Unix(listener)) => Some(listener.socket()),
            _ => None,
        }
    }

    /// When to bind it again, or to see whether it is there still, in time since boot.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!matches!(self.bound, Some(BoundSocket::Tcp(_)))).then_some(self.next)
    }

    /// Binds the address, or goes on with what an earlier process left of it, if that is due; what came of it, if that
    /// is news.
    pub(super) fn bind(&mut self, now: Duration, handover: &Handover) -> Option<BindChange> {
        if self.deadline().is_none_or(|next| now < next) {
            return None;
        }
        self.next = now + NAME_CHECK_INTERVAL;
        let is_lost = match &self.bound {
            Some(BoundSocket::Unix(listener)) if !listener.is_path_current() => true,
            Some(_) => return None,
            None => false,
        };
        match bind(&self.listen, handover) {
            Ok(bound) => {
                log::info!("metrics are taken at {}", self.listen);
                self.bound = Some(bound);
                self.failures = 0;
                Some(if is_lost { BindChange::Replaced } else { BindChange::New })
            }
            Err(error) => {
                let (first, longest) = RETRY_DELAY_RANGE;
                self.next = now + first.saturating_mul(1 << self.failures.min(8)).min(longest);
                self.failures = self.failures.saturating_add(1);
                (self.failures >= TOLD_AFTER_FAILURES).then_some(BindChange::Failed(error))
            }
        }
    }
}

fn bind(listen: &ListenAddress, handover: &Handover) -> io::Result<BoundSocket> {
    let bound = match listen {
        ListenAddress::Tcp(address) => BoundSocket::Tcp(TcpListener::bind(address)?.into()),
        // Every process that can reach the file may post, as every one on this machine may by TCP: those of the pods that
        // it is mounted into run as any user.
        ListenAddress::Unix(path) => BoundSocket::Unix(match handover.take_listener(path) {
            Some(left) => NamedUnixListener::take_over(left, path)
                .or_else(|_| NamedUnixListener::bind(path, SOCKET_FILE_MODE))?,
            None => NamedUnixListener::bind(path, SOCKET_FILE_MODE)?,
        }),
    };
    rustix::net::listen(bound.listener(), BACKLOG)?;
    rustix::io::ioctl_fionbio(bound.listener(), true)?;
    Ok(bound)
}
