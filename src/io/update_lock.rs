//! The lock by which any program on the device holds updates back: a file that it locks with `flock`. A program that dies
//! holds nothing any more, and the kernel wakes who waits for the lock.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use crossbeam_channel::{Sender, bounded};
use log::warn;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::{files, spawn};
use crate::agent::Event;

/// The file's name in the runtime directory.
const NAME: &str = "update.lock";

/// The way to the thread that looks at the lock.
#[derive(Debug)]
pub struct UpdateLock(Sender<()>);

impl UpdateLock {
    /// Makes the file, and starts the thread.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(runtime_dir: &Path, events: Sender<Event>) -> io::Result<Self> {
        let path = runtime_dir.join(NAME);
        if let Err(error) = open(&path) {
            warn!("failed to make '{}': {error}; programs can't hold updates back by it", path.display());
        }
        let (asks, asked) = bounded(1);
        spawn("update-lock", move || {
            while asked.recv().is_ok() {
                if request_check(&path, &events).is_err() {
                    return; // the agent ends
                }
            }
        })?;
        Ok(Self(asks))
    }

    /// Asks for [`Event::UpdateLock`], and never blocks.
    pub fn request_check(&self) {
        let _ = self.0.try_send(()); // full: it was asked
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut options = File::options();
    files::open_with_options(options.create(true).truncate(false).write(true).mode(0o600), path)
}

/// Tells whether it is held, and if it is, when it isn't any more. A lock that can't be looked at holds nothing back.
fn request_check(path: &Path, events: &Sender<Event>) -> Result<(), ()> {
    let tell = |held| events.send(Event::UpdateLock(held)).map_err(drop);
    let wait = |file: &File, how| match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(io::Error::from(error)),
    };
    let is_free = open(path).and_then(|file| {
        if wait(&file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(true);
        }
        if tell(true).is_ok() {
            wait(&file, FlockOperation::LockExclusive)?;
        }
        Ok(true)
    });
    if let Err(error) = is_free {
        warn!("failed to look at '{}': {error}; it holds no update back", path.display());
    }
    tell(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_held_is_told_and_its_end_as_well_also_that_of_one_that_others_share() {
        let dir = tempfile::tempdir().unwrap();
        let (events, inbox) = bounded(8);
        let lock = UpdateLock::start(&dir.path().join("run"), events).unwrap();
        lock.request_check();
        assert_eq!(inbox.recv().unwrap(), Event::UpdateLock(false));
        for how in [FlockOperation::LockExclusive, FlockOperation::LockShared] {
            let file = File::open(dir.path().join("run").join(NAME)).unwrap();
            flock(&file, how).unwrap();
            lock.request_check();
            assert_eq!(inbox.recv().unwrap(), Event::UpdateLock(true));
            assert!(inbox.is_empty());
            drop(file);
            assert_eq!(inbox.recv().unwrap(), Event::UpdateLock(false));
        }
    }
}
