//! Notices that the wall clock is set, and that the device has another time zone.

use std::{
    fs, io,
    mem::MaybeUninit,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    path::Path,
};

use crossbeam_channel::Sender;
use log::debug;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime},
};

use super::spawn;
use crate::agent::Event;

/// The directory and the name of the link to the time zone.
const LOCALTIME_LINK: (&str, &str) = ("/etc", "localtime");
/// Where the kernel can't tell of another zone it is looked for this often.
const ZONE_POLL_INTERVAL: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };
/// What reads the zone believes in the one that it knows for up to a second.
const ZONE_CACHED_FOR: Timespec = Timespec { tv_sec: 1, tv_nsec: 200_000_000 };
/// Later than any clock shows: the timer is there to be cancelled.
const FAR_FUTURE: Timespec = Timespec { tv_sec: 1 << 40, tv_nsec: 0 };

/// Starts the thread; it tells of each change as [`Event::Clock`].
///
/// # Errors
/// There is no thread or timer to be had.
pub fn start(events: Sender<Event>) -> io::Result<()> {
    let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
    arm(&timer)?;
    let zone = watch(Path::new(LOCALTIME_LINK.0))
        .inspect_err(|error| {
            debug!("'{}' can't be watched: {error}; it is looked at each minute", LOCALTIME_LINK.0)
        })
        .ok();
    spawn("clock", move || {
        if let Err(error) = run(&timer, zone.as_ref(), &events) {
            log::error!("failed to wait for the clock: {error}; that it is set is noticed within a minute");
        }
    })
}

/// The kernel cancels it when the clock is set.
fn arm(timer: &OwnedFd) -> rustix::io::Result<()> {
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &Itimerspec { it_interval: zero, it_value: FAR_FUTURE }).map(drop)
}

fn watch(dir: &Path) -> rustix::io::Result<OwnedFd> {
    let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let names = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::CLOSE_WRITE;
    inotify::add_watch(&watched, dir, names | WatchFlags::ONLYDIR)?;
    Ok(watched)
}

/// Until the loop has ended.
fn run(timer: &OwnedFd, zone: Option<&OwnedFd>, events: &Sender<Event>) -> io::Result<()> {
    let link = Path::new(LOCALTIME_LINK.0).join(LOCALTIME_LINK.1);
    let mut known = link_fingerprint(&link);
    loop {
        let mut files = [timer, zone.unwrap_or(timer)].map(|file| PollFd::new(file, PollFlags::IN));
        match poll(&mut files, if zone.is_none() { Some(&ZONE_POLL_INTERVAL) } else { None }) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let was_set = rustix::io::read(timer, &mut [0; 8]) == Err(Errno::CANCELED);
        if was_set {
            arm(timer)?;
        }
        if let Some(zone) = zone {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(zone, &mut buffer);
            while reader.next().is_ok() {}
        }
        let present = link_fingerprint(&link);
        let has_moved = present != known;
        known = present;
        if has_moved {
            let _ = poll(&mut [], Some(&ZONE_CACHED_FOR));
        }
        if (was_set || has_moved) && events.send(Event::Clock).is_err() {
            return Ok(());
        }
    }
}

/// Another one when the link was replaced.
fn link_fingerprint(link: &Path) -> Option<(u64, i64, i64)> {
    let found = fs::symlink_metadata(link).ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}
