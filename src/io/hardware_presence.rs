//! Notices that hardware comes or goes which conditions ask for. The kernel announces it, and udev does once its links
//! are there; what is announced is not read: all that is asked for is looked at again, and so no lost announcement
//! does harm. Source: netlink(7), kobject_uevent.c of the kernel, libudev-monitor.c of systemd.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::FileTypeExt},
    path::Path,
    sync::{Arc, Mutex},
};

use crossbeam_channel::Sender;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SocketFlags, SocketType, bind,
        netlink::{KOBJECT_UEVENT, SocketAddrNetlink},
        recv, socket_with,
    },
};

use super::{lock, spawn};
use crate::agent::{
    Event,
    expression::parse_hardware_metric,
    model::{gather::gather, record::BuiltInMetrics, subsystem::Subsystem},
};

/// The kernel's announcements, and udev's.
const UEVENT_GROUPS: u32 = 1 | 2;
/// From one try to get a socket to the next.
const RETRY_INTERVAL: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
/// A hub that is plugged in brings hundreds of announcements: they gather for so long, and are one.
const COALESCE_DELAY: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// How many are taken before what is asked for is looked at.
const MAX_DRAINED_MESSAGES: usize = 4096;

/// What conditions ask for, and the thread that looks at it, if they ever asked.
pub struct HardwarePresence {
    events: Sender<Event>,
    open: SocketOpener,
    watcher: Option<Arc<PresenceWatcher>>,
}

/// Gets a socket that hears announcements.
type SocketOpener = fn() -> rustix::io::Result<OwnedFd>;

/// What the thread is asked.
struct PresenceWatcher {
    asked: Mutex<PresenceRequest>,
    /// Wakes the thread.
    wake: OwnedFd,
}

struct PresenceRequest {
    /// As conditions call it.
    names: Vec<Arc<str>>,
    /// It is to be told whether it has changed or not.
    anew: bool,
}

impl HardwarePresence {
    /// Nothing is asked for yet.
    pub fn new(events: Sender<Event>) -> Self {
        Self { events, open: open_uevent_socket, watcher: None }
    }

    /// Has all of this looked at, now and whenever some may have come or gone. Never blocks.
    pub fn watch_names(&mut self, names: Vec<Arc<str>>) -> Option<Event> {
        let is_none = names.is_empty();
        let asked = PresenceRequest { names, anew: true };
        if let Some(watcher) = &self.watcher {
            *lock(&watcher.asked) = asked;
            let _ = rustix::io::write(&watcher.wake, &1_u64.to_ne_bytes()); // when it is full it wakes already
            return None;
        }
        let started =
            if is_none { Ok(None) } else { PresenceWatcher::start(&self.events, self.open, asked).map(Some) };
        match started {
            Ok(watcher @ Some(_)) => self.watcher = watcher,
            other => {
                return Some(Event::Works(Subsystem::Hardware, other.map(drop).map_err(|it| it.to_string())));
            }
        }
        None
    }
}

impl PresenceWatcher {
    fn start(events: &Sender<Event>, open: SocketOpener, asked: PresenceRequest) -> io::Result<Arc<Self>> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let watcher = Arc::new(Self { asked: Mutex::new(asked), wake });
        let (of_thread, events) = (watcher.clone(), events.clone());
        spawn("presence", move || {
            let _ = of_thread.run(&events, open); // the agent ends
        })?;
        Ok(watcher)
    }

    /// Until the agent ends.
    fn run(&self, events: &Sender<Event>, open: SocketOpener) -> Option<()> {
        let (mut socket, mut told) = (None, BuiltInMetrics::new());
        loop {
            let (names, anew) = {
                let mut asked = lock(&self.asked);
                (asked.names.clone(), std::mem::take(&mut asked.anew))
            };
            if names.is_empty() || socket.is_none() {
                let opened = if names.is_empty() { Ok(None) } else { open().map(Some) };
                let works = opened.as_ref().map(drop).map_err(|it| format!("no announcements: {it}"));
                events.send(Event::Works(Subsystem::Hardware, works)).ok()?;
                socket = opened.ok().flatten();
            }
            let found: BuiltInMetrics =
                gather(names.iter().filter_map(|name| Some((name.clone(), presence_metric(name)?))));
            if anew || found != told {
                events.send(Event::Hardware(found.clone())).ok()?;
                told = found;
            }
            let patience = (socket.is_none() && !names.is_empty()).then_some(&RETRY_INTERVAL);
            let files = [&self.wake, socket.as_ref().unwrap_or(&self.wake)];
            let _ = poll(&mut files.map(|file| PollFd::new(file, PollFlags::IN)), patience);
            let _ = poll(&mut [], Some(&COALESCE_DELAY));
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            socket.iter().for_each(drain);
        }
    }
}

/// A socket that hears them.
fn open_uevent_socket() -> rustix::io::Result<OwnedFd> {
    open_netlink_socket(UEVENT_GROUPS)
}

fn open_netlink_socket(groups: u32) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    Ok(socket)
}

/// What they say is not read. Too many at once are an error that is read like one of them.
fn drain(socket: &OwnedFd) {
    for _ in 0..MAX_DRAINED_MESSAGES {
        match recv(socket, &mut [0; 1], RecvFlags::empty()) {
            Ok(_) | Err(Errno::NOBUFS | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Whether the device has what conditions call so, 1 or 0; none: that is no hardware, or can't be told.
pub(super) fn presence_metric(name: &str) -> Option<f64> {
    Some(f64::from(u8::from(is_present(Path::new("/"), parse_hardware_metric(name)?)?)))
}

/// Whether the device has this, by the files below `root`; none: that can't be told, as while too many files are open.
fn is_present(root: &Path, hardware: &str) -> Option<bool> {
    device_exists(root, hardware)
        .or_else(|error| if is_absence(&error) { Ok(false) } else { Err(error) })
        .ok()
}

fn device_exists(root: &Path, hardware: &str) -> io::Result<bool> {
    if let Some(interface) = hardware.strip_prefix("net:") {
        return Ok(fs::metadata(root.join("sys/class/net").join(interface))?.is_dir());
    }
    if let Some(ids) = hardware.strip_prefix("usb:") {
        let mut found = Ok(false);
        for device in fs::read_dir(root.join("sys/bus/usb/devices"))? {
            match matches_usb_ids(&device?.path(), ids) {
                Ok(true) => return Ok(true),
                Err(error) if !is_absence(&error) => found = Err(error),
                _ => {} // an interface of a device has no ids
            }
        }
        return found;
    }
    let node = fs::metadata(root.join(hardware.trim_start_matches('/')))?.file_type();
    Ok(node.is_char_device() || node.is_block_device())
}

fn matches_usb_ids(device: &Path, ids: &str) -> io::Result<bool> {
    let id = |file| fs::read_to_string(device.join(file));
    Ok([id("idVendor")?.trim(), ":", id("idProduct")?.trim()].concat().eq_ignore_ascii_case(ids))
}

/// Whether this says that there is no such thing. Any other error says nothing of the device.
fn is_absence(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::NODEV | Errno::NXIO))
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::symlink,
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const LOOPBACK: &str = "device.present(\"net:lo\")";

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for dir in
            ["dev/serial/by-id", "sys/class/net/eth1", "sys/bus/usb/devices/1-1", "sys/bus/usb/devices/usb1"]
        {
            fs::create_dir_all(root.path().join(dir)).unwrap();
        }
        root
    }

    #[test]
    fn a_node_or_a_link_to_one_is_there_and_neither_a_file_nor_a_dangling_link_is() {
        let root = tree();
        let dev = root.path().join("dev");
        symlink("/dev/null", dev.join("serial/by-id/usb-A")).unwrap();
        symlink("nothing", dev.join("video0")).unwrap();
        fs::write(dev.join("file"), "").unwrap();
        let is_there = |name| is_present(root.path(), name);
        assert_eq!(is_there("/dev/serial/by-id/usb-A"), Some(true));
        let absent = ["/dev/video0", "/dev/file", "/dev/serial", "/dev/none", "/dev/file/0"];
        assert_eq!(absent.map(is_there), [Some(false); 5]);
        assert_eq!(is_present(Path::new("/"), "/dev/null"), Some(true));
    }

    #[test]
    fn an_interface_and_a_usb_device_are_there_by_their_names() {
        let root = tree();
        fs::write(root.path().join("sys/class/net/bonding_masters"), "").unwrap();
        let device = root.path().join("sys/bus/usb/devices/1-1");
        fs::write(device.join("idVendor"), "1a86\n").unwrap();
        fs::write(device.join("idProduct"), "75ab\n").unwrap();
        let is_there = |name| is_present(root.path(), name);
        assert_eq!(["net:eth1", "usb:1a86:75ab", "usb:1A86:75AB"].map(is_there), [Some(true); 3]);
        assert_eq!(
            ["net:eth2", "net:bonding_masters", "usb:1a86:75ac", "usb:75ab:1a86"].map(is_there),
            [Some(false); 4]
        );
        let nothing = tempfile::tempdir().unwrap();
        assert_eq!(["net:eth1", "usb:1a86:75ab"].map(|it| is_present(nothing.path(), it)), [Some(false); 2]);
    }

    #[test]
    fn what_cant_be_read_is_not_gone() {
        let root = tree();
        let usb = root.path().join("sys/bus/usb/devices");
        let is_there = |name| is_present(root.path(), name);
        for link in ["dev/video0", "sys/class/net/eth2"] {
            symlink(root.path().join(link), root.path().join(link)).unwrap(); // ELOOP, for root too
        }
        assert_eq!(["/dev/video0", "/dev/video0/0", "net:eth2"].map(is_there), [None; 3]);
        fs::create_dir_all(usb.join("1-1/idVendor")).unwrap(); // EISDIR
        fs::create_dir_all(usb.join("1-2")).unwrap();
        fs::write(usb.join("1-2/idVendor"), "1a86\n").unwrap();
        fs::write(usb.join("1-2/idProduct"), "75ab\n").unwrap();
        assert_eq!(["usb:1a86:75ab", "usb:1a86:75ac"].map(is_there), [Some(true), None]);
        fs::remove_dir_all(&usb).unwrap();
        symlink(&usb, &usb).unwrap();
        assert_eq!(is_there("usb:1a86:75ab"), None);
    }

    #[test]
    fn only_what_says_that_there_is_nothing_is_absence() {
        let is = |errno: Errno| is_absence(&errno.into());
        assert_eq!([Errno::NOENT, Errno::NOTDIR, Errno::NODEV, Errno::NXIO].map(is), [true; 4]);
        assert_eq!([Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::ACCESS, Errno::IO].map(is), [false; 5]);
    }

    fn started(names: &[&str]) -> (HardwarePresence, Receiver<Event>) {
        let (sender, events) = unbounded();
        let mut presence = HardwarePresence::new(sender);
        assert_eq!(presence.watch_names(names.iter().map(|name| Arc::from(*name)).collect()), None);
        (presence, events)
    }

    fn next(events: &Receiver<Event>) -> BuiltInMetrics {
        loop {
            match events.recv_timeout(PATIENCE).unwrap() {
                Event::Hardware(found) => return found,
                works => assert_eq!(works, Event::Works(Subsystem::Hardware, Ok(()))),
            }
        }
    }

    #[test]
    fn each_look_is_answered_whether_something_has_changed_or_not() {
        let (mut presence, events) = started(&[LOOPBACK, "device.present(\"/dev/none\")"]);
        let found =
            BuiltInMetrics::from([(LOOPBACK.into(), 1.0), ("device.present(\"/dev/none\")".into(), 0.0)]);
        assert_eq!(next(&events), found);
        presence.watch_names(found.keys().cloned().collect());
        assert_eq!(next(&events), found);
        presence.watch_names(Vec::new());
        assert_eq!(next(&events), BuiltInMetrics::new());
    }

    #[test]
    fn that_nothing_is_announced_is_told_and_tried_again() {
        static TRIES: AtomicU32 = AtomicU32::new(0);
        let open = || match TRIES.fetch_add(1, Ordering::SeqCst) {
            0 => Err(Errno::PERM),
            _ => open_uevent_socket(),
        };
        let (sender, events) = unbounded();
        let mut presence = HardwarePresence { open, ..HardwarePresence::new(sender) };
        presence.watch_names(vec![LOOPBACK.into()]);
        let told = |result| {
            assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::Works(Subsystem::Hardware, result))
        };
        told(Err("no announcements: Operation not permitted (os error 1)".into()));
        let found = Event::Hardware(BuiltInMetrics::from([(LOOPBACK.into(), 1.0)]));
        assert_eq!(events.recv_timeout(PATIENCE).unwrap(), found, "it is looked at all the same");
        told(Ok(()));
    }

    #[test]
    fn more_announcements_than_fit_are_one() {
        let announce = || fs::write("/sys/class/mem/null/uevent", "change");
        if let Err(error) = announce() {
            return println!("skipped: nothing can be announced: {error}");
        }
        let hears_on = || {
            let socket = open_netlink_socket(1).unwrap(); // what udev says of these comes at any time
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1);
            (0..200).for_each(|_| announce().unwrap());
            drain(&socket);
            let hears = || recv(&socket, &mut [0; 1], RecvFlags::empty());
            hears() == Err(Errno::AGAIN) && announce().is_ok() && hears().is_ok()
        };
        // the machine may announce something of its own in between
        assert!((0..20).any(|_| hears_on()), "nothing is left of them, and the next is heard");
    }

    #[test]
    fn nothing_is_started_before_something_is_asked_for() {
        let (sender, events) = unbounded();
        let mut presence = HardwarePresence::new(sender);
        // nothing is missed that isn't asked for, whatever failed before
        assert_eq!(presence.watch_names(Vec::new()), Some(Event::Works(Subsystem::Hardware, Ok(()))));
        assert!(presence.watcher.is_none() && events.is_empty());
    }
}
