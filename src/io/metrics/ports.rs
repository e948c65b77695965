//! The addresses that metrics are posted to: bound by the agent, handed down to every receiver that it starts.
//!
//! A listener stays open while a receiver is replaced, so a post that comes meanwhile waits in its backlog.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::io::unix;
use crate::settings::ListenAddress;

/// The first wait after an address could not be bound, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// Failures that are nobody's business: the receiver of an agent that was killed needs a moment to let go.
const UNSAID: u32 = 3;
/// How many connections the kernel keeps for a receiver that is being started.
const BACKLOG: i32 = 1024;

/// One address, bound or yet to be bound.
pub(super) struct Port {
    listen: ListenAddress,
    listener: Option<OwnedFd>,
    failures: u32,
    next: Duration,
}

impl Port {
    pub(super) fn new(listen: ListenAddress) -> Self {
        Self { listen, listener: None, failures: 0, next: Duration::ZERO }
    }

    pub(super) fn listener(&self) -> Option<&OwnedFd> {
        self.listener.as_ref()
    }

    /// When to try to bind again, in time since boot; `None`: it is bound.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.listener.is_none().then_some(self.next)
    }

    /// Binds the address if that is due; `true`: there is a new listener.
    pub(super) fn bind(&mut self, now: Duration) -> bool {
        if self.listener.is_some() || now < self.next {
            return false;
        }
        match bind(&self.listen) {
            Ok(listener) => {
                log::info!("metrics are taken at {}", self.listen);
                self.listener = Some(listener);
                self.failures = 0;
                true
            }
            Err(error) => {
                let (first, longest) = RETRY;
                self.next = now + first.saturating_mul(1 << self.failures.min(8)).min(longest);
                self.failures += 1;
                if self.failures == UNSAID {
                    log::warn!("failed to listen on '{}': {error}; trying on", self.listen);
                }
                false
            }
        }
    }
}

fn bind(listen: &ListenAddress) -> io::Result<OwnedFd> {
    let listener = match listen {
        ListenAddress::Tcp(address) => OwnedFd::from(TcpListener::bind(address)?),
        ListenAddress::Unix(path) => {
            unix::remove_stale(path)?;
            let listener = UnixListener::bind(path)?;
            // Anybody who can reach the file may post, as anybody on this machine may by TCP: the processes of
            // the pods that it is mounted into run as any user.
            fs::set_permissions(path, Permissions::from_mode(0o666))?;
            listener.into()
        }
    };
    rustix::net::listen(&listener, BACKLOG)?;
    rustix::io::ioctl_fionbio(&listener, true)?;
    Ok(listener)
}
