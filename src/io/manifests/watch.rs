//! Notices that a directory's files change, by inotify, and which of them are being written.

use std::{
    collections::BTreeMap,
    fs,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::{Errno, Result},
};

use super::listing::is_manifest_or_quadlet;
use crate::io::clock::monotonic_time;

/// A writer that holds a file open longer is not waited for.
const MAX_WRITE_WAIT: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 5 });

/// A watched directory.
#[derive(Debug)]
pub(super) struct DirectoryWatch {
    inotify: OwnedFd,
    dir: PathBuf,
    identity: Option<(u64, u64)>,
    /// Files that were changed and not closed since, and when that began.
    writing: BTreeMap<String, Duration>,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SeenChange {
    /// Files came, went or were closed after writing.
    pub(super) change: bool,
    /// The directory itself went or was replaced: watch anew.
    pub(super) lost: bool,
}

impl DirectoryWatch {
    pub(super) fn new(dir: &Path) -> Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let files = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::CLOSE_WRITE | WatchFlags::ATTRIB;
        let names = WatchFlags::MOVED_FROM | WatchFlags::MOVED_TO | WatchFlags::DELETE;
        let itself = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, dir, files | names | itself)?;
        Ok(Self { inotify, dir: dir.to_owned(), identity: dir_identity(dir), writing: BTreeMap::new() })
    }

    /// Whether the path leads to the same directory still: a link to it may point elsewhere by now.
    pub(super) fn is_current(&self) -> bool {
        self.identity == dir_identity(&self.dir)
    }

    pub(super) fn is_being_written(&self, name: &str) -> bool {
        self.writing.contains_key(name)
    }

    /// When the first of the present writers is not waited for any longer.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.writing.values().min().map(|since| *since + MAX_WRITE_WAIT)
    }

    /// Gives up on writers that take too long; whether there was one.
    pub(super) fn drop_slow_writers(&mut self, now: Duration) -> bool {
        let before = self.writing.len();
        self.writing.retain(|_, since| now < *since + MAX_WRITE_WAIT);
        self.writing.len() < before
    }

    /// Waits for something to see, at most until `deadline`.
    pub(super) fn wait(&mut self, deadline: Duration) -> Result<SeenChange> {
        if !wait(&mut [PollFd::new(&self.inotify, PollFlags::IN)], deadline)? {
            return Ok(SeenChange::default());
        }
        let now = monotonic_time();
        let mut seen = SeenChange::default();
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::WOULDBLOCK) => return Ok(seen),
                Err(error) => return Err(error),
            };
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.writing.clear();
                seen.change = true;
            }
            let gone =
                ReadFlags::IGNORED | ReadFlags::UNMOUNT | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
            seen.lost |= flags.intersects(gone);
            let Some(name) = event.file_name().map(|name| name.to_string_lossy()) else { continue };
            // Kubernetes replaces a whole ConfigMap directory by moving its link `..data`
            if name.starts_with("..") {
                seen.change = true;
            }
            if !is_manifest_or_quadlet(&name) {
                continue;
            }
            let begins = flags.contains(ReadFlags::MODIFY)
                || flags.contains(ReadFlags::CREATE) && is_open_by_creator(&self.dir.join(&*name));
            if begins {
                self.writing.entry(name.into_owned()).or_insert(now);
            } else {
                if !flags.contains(ReadFlags::ATTRIB) {
                    self.writing.remove(&*name);
                }
                seen.change = true;
            }
        }
    }
}

/// Whether a new name is that of a file which its maker has open: not so for links of either sort.
fn is_open_by_creator(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}

fn dir_identity(dir: &Path) -> Option<(u64, u64)> {
    fs::metadata(dir).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Waits until something is there to read, or until the deadline: then `false`.
pub(super) fn wait(files: &mut [PollFd<'_>], deadline: Duration) -> Result<bool> {
    loop {
        // rounded up to milliseconds, as the kernel may do the opposite and make this a busy loop
        let left = deadline.saturating_sub(monotonic_time()) + Duration::from_millis(1);
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos() as _ };
        match poll(files, Some(&left)) {
            Err(Errno::INTR) => {}
            result => return result.map(|ready| ready > 0),
        }
    }
}
