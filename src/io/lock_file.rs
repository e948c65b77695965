//! Two agents with one state directory would take each other's pods for their own. A directory that can't be written is
//! no reason not to run workloads: it is locked as soon as it can be.

use std::{
    fs::{DirBuilder, File},
    io, mem,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crossbeam_channel::Sender;
use rustix::{
    event::{Timespec, poll},
    fs::{FlockOperation, fcntl_lock},
    io::Errno,
};

use super::{files, spawn};
use crate::agent::{Event, model::subsystem::Subsystem};

/// From one try to the next.
const RETRY_INTERVAL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Locks the state directory while the file is open; the inner error is why it can't be locked.
///
/// # Errors
/// Another agent has it.
pub fn lock(state_dir: &Path) -> Result<Result<File, String>, String> {
    let path = state_dir.join("lock");
    let open = || {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let mut options = File::options();
        let file =
            files::open_with_options(options.create(true).truncate(false).write(true).mode(0o600), &path)?;
        // the process's own: of one that was killed the receiver, which is a child, may live a moment longer
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Ok(None),
            Err(error) => Err(io::Error::from(error)),
        }
    };
    match open() {
        Ok(Some(file)) => Ok(Ok(file)),
        Ok(None) => {
            Err(format!("another device-worker-ng uses the state directory '{}'", state_dir.display()))
        }
        Err(error) => Ok(Err(format!("failed to lock '{}': {error}", path.display()))),
    }
}

/// Says that it couldn't be locked, and why, and tries again until it is.
///
/// # Errors
/// The thread can't be started.
pub fn lock_with_retries(state_dir: PathBuf, mut cause: String, events: Sender<Event>) -> io::Result<()> {
    spawn("lock", move || {
        while events.send(Event::Works(Subsystem::Lock, Err(cause))).is_ok() {
            let _ = poll(&mut [], Some(&RETRY_INTERVAL));
            cause = match lock(&state_dir) {
                Ok(Ok(file)) => {
                    mem::forget(file); // it stays locked as long as this process lives
                    let _ = events.send(Event::Works(Subsystem::Lock, Ok(()))); // or the agent ends
                    return;
                }
                Ok(Err(cause)) | Err(cause) => cause,
            };
        }
    })
}
