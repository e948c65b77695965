//! Sockets of the file system that outlive this process. A pod that has one mounted as a file has that very inode for
//! as long as it lives, and a new socket is another one: so the next agent goes on with the same.
//!
//! The service manager keeps it meanwhile, also when this process is killed (`FileDescriptorStoreMax=` in the unit,
//! [`FDSTORE=1`](https://www.freedesktop.org/software/systemd/man/latest/sd_pid_notify_with_fds.html)); a program that
//! takes this one's place inherits it. Both tell so by the variables of systemd's socket activation.

use std::{
    os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd},
    os::unix::net::UnixListener,
    path::Path,
    sync::Mutex,
};

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use sd_notify::NotifyState;

use crate::io::lock;

/// In the service manager's store, whose other descriptors would be another's affair.
const FD_STORE_NAME: NotifyState<'static> = NotifyState::FdName("metrics");
/// The first number of an inherited descriptor: from there on they stand side by side.
const FIRST_INHERITED_FD: i32 = 512;

/// The listeners that an earlier process left, and those that this one leaves to the next.
#[derive(Debug, Default)]
pub struct Handover {
    left: Mutex<Vec<UnixListener>>,
    kept: Mutex<Vec<OwnedFd>>,
}

impl Handover {
    /// What was left to this process. As it takes the variables out of the environment it comes before any thread.
    pub fn of_environment() -> Self {
        let mut given = ListenFd::from_env();
        let left = (0..given.len()).filter_map(|at| given.take_unix_listener(at).ok().flatten());
        // under other numbers: those from `FIRST_INHERITED_FD` on must be free for the next program
        let left = left.filter_map(|listener| listener.try_clone().ok()).collect();
        Self { left: Mutex::new(left), kept: Mutex::default() }
    }

    /// The listener that was left of this path.
    pub(super) fn take_listener(&self, path: &Path) -> Option<OwnedFd> {
        let mut left = lock(&self.left);
        let is_it =
            |socket: &UnixListener| socket.local_addr().is_ok_and(|it| it.as_pathname() == Some(path));
        let at = left.iter().position(is_it)?;
        Some(left.swap_remove(at).into())
    }

    /// These, and no others, are left to the next process.
    pub(super) fn store_listeners<'a>(&self, listeners: impl Iterator<Item = &'a OwnedFd>) {
        lock(&self.left).clear();
        let listeners: Vec<OwnedFd> = listeners.filter_map(|listener| listener.try_clone().ok()).collect();
        let stored = sd_notify::notify(&[NotifyState::FdStoreRemove, FD_STORE_NAME]).and_then(|()| {
            let borrowed: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
            match &borrowed[..] {
                [] => Ok(()),
                some => sd_notify::notify_with_fds(&[NotifyState::FdStore, FD_STORE_NAME], some),
            }
        });
        if let Err(error) = stored {
            log::debug!("the service manager keeps no listener: {error}");
        }
        *lock(&self.kept) = listeners;
    }

    /// What a program that takes this one's place must find in its environment. From now on it inherits the listeners.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut count = 0;
        for listener in &*lock(&self.kept) {
            match fcntl_dupfd_cloexec(listener, FIRST_INHERITED_FD + count) {
                Ok(copy)
                    if copy.as_raw_fd() == FIRST_INHERITED_FD + count
                        && fcntl_setfd(&copy, FdFlags::empty()).is_ok() =>
                {
                    _ = copy.into_raw_fd(); // it is the next program's
                    count += 1;
                }
                _ => break, // that one makes a new socket
            }
        }
        let values =
            [count, FIRST_INHERITED_FD, std::process::id().cast_signed()].map(|value| value.to_string());
        ["LISTEN_FDS", "LISTEN_FDS_FIRST_FD", "LISTEN_PID"].into_iter().zip(values).collect()
    }
}
