//! `kill -9` at moments that hurt: while the device enrols, registers, renews its certificate and writes its
//! configuration.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ring::digest::{SHA256, digest};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
};
use serde_json::json;

use super::{Dice, device_of, knob};
use crate::support::{
    Device, SLEEP,
    edge::{Edge, for_device},
    pause, workload,
};

/// Devices that are killed at the same time.
const DEVICES: u64 = 5;
/// A moment that doesn't come is not waited for any longer: a device without a certificate calls within 10 s.
const LONGEST: Duration = Duration::from_secs(12);

/// Bytes of a workload that never runs: what is written down takes a while.
const LARGE: usize = 1 << 20;

/// When to kill.
#[derive(Debug)]
enum Moment {
    /// A time after the start.
    After(u64),
    /// So many changes of the state directory after the start, and a bit.
    Change(u64),
    /// When the edge API has done what this call asks for, and a bit.
    Call(&'static str),
}

/// What became of the rounds.
#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    /// A request was signed, and the kill came before its first certificate was on disk: the device gets another.
    stranded: u64,
    /// Rounds in which the kill came before the server knew the device well.
    enrolling: u64,
    /// Rounds in which the kill came with a key on disk whose certificate had not come.
    applying: u64,
    /// Rounds in which the kill left a file half-written beside the whole one.
    writing: u64,
    renewed: usize,
}

#[test]
fn a_killed_agent_comes_back_registered_with_whole_files_and_the_same_pods() {
    let Some(edge) = Edge::start(&["--certificate-seconds", "30", "--period", "1", "--quiet"]) else {
        return;
    };
    let kills: u64 = knob("EDGE_KILLS", 20);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let start = |n| {
            let edge = &edge;
            scope.spawn(move || rounds(edge, n, kills.div_ceil(DEVICES)))
        };
        let devices: Vec<_> = (0..DEVICES).map(start).collect();
        devices.into_iter().filter_map(|device| device.join().unwrap()).collect()
    });
    tallies.iter().for_each(|tally| println!("{tally:?}"));
    let stranded: u64 = tallies.iter().map(|tally| tally.stranded).sum();
    println!(
        "{stranded} devices were killed before they had the certificate that was signed for them, and got another"
    );
}

fn rounds(edge: &Edge, n: u64, rounds: u64) -> Option<Tally> {
    let mut device = device_of(edge, &format!("killed-{n}"))?;
    let mut dice = Dice::new();
    println!("seed of {}: {}", device.id, dice.0);
    let mut tally = Tally::default();
    edge.profiles(&device, &[("never", "x < 0")]);
    edge.workload(&device, &format!("steady-{n}"), SLEEP);
    let mut large = workload(&format!("large-{n}"), &"#".repeat(LARGE));
    large["spec"]["profiles"] = json!([{"name": "p", "conditions": ["never"]}]);
    edge.manifest(&format!("large-{n}.json"), &for_device(&device, large));
    device.start();
    let before = device.wait_for_running(&[&format!("steady-{n}")]);
    edge.wait_for_running(&device, 0, &format!("steady-{n}"));
    for round in 1..=rounds {
        let is_fresh = dice.roll(3) == 0;
        if is_fresh {
            device.kill();
            edge.tell(&format!("delete {}", device.id));
            fs::remove_dir_all(device.state_dir()).unwrap();
        }
        fs::create_dir_all(device.state_dir()).unwrap();
        let mark = edge.mark();
        let expression = format!("x < {round}");
        edge.profiles(&device, &[("never", &expression)]); // no reason to touch a pod
        let moment = moment(is_fresh, &mut dice);
        wait_for(&moment, edge, &mut device, mark, is_fresh, &mut dice);
        device.kill();
        tally.kills += 1;
        check_files(&device, &moment, &mut tally);
        let killed = edge.mark();
        let earlier = edge.since(mark);
        let signed = earlier.iter().any(|it| it.device == device.id && it.is_good("register"));
        tally.enrolling += u64::from(is_fresh && !signed);
        let is_stranded = is_fresh && signed && !has_certificate(&device);
        tally.stranded += u64::from(is_stranded);
        device.start();
        edge.wait_for(&device, killed, "the device to come back", |it| it.is_good("configuration"));
        let again = edge.find(&device, killed, |it| it.is_good("register"));
        assert!(!is_stranded || again.is_some(), "{moment:?}: {}", device.log());
        device.wait_for("this round's configuration on disk", || {
            let kept = fs::read_to_string(device.state_dir().join("configuration")).ok()?;
            kept.contains(&expression).then_some(())
        });
        assert_eq!(device.pods(), before, "{moment:?}");
    }
    let log = device.whole_log();
    assert!(!log.contains("damaged") && !log.contains("failed to read"), "{log}");
    tally.renewed = log.matches("certificate is renewed").count();
    Some(tally)
}

fn moment(is_fresh: bool, dice: &mut Dice) -> Moment {
    match dice.roll(6) {
        0 => Moment::After(dice.roll(1500)),
        1 => Moment::Call(if is_fresh { dice.pick(&["enrol", "register"]) } else { "configuration" }),
        2 => Moment::Call(if is_fresh { "register" } else { dice.pick(&["register", "heartbeat"]) }),
        // a fresh device writes its lock, its key, its pair twice, the clock and the configuration
        _ => Moment::Change(1 + dice.roll(if is_fresh { 40 } else { 9 })),
    }
}

/// The agent is started if it doesn't run.
fn wait_for(moment: &Moment, edge: &Edge, device: &mut Device, mark: usize, is_fresh: bool, dice: &mut Dice) {
    let changes = Changes::of(&device.state_dir());
    if is_fresh {
        device.start();
    }
    let deadline = Instant::now() + if is_fresh { LONGEST } else { LONGEST / 4 };
    match *moment {
        Moment::After(milliseconds) => pause(milliseconds),
        Moment::Change(number) => {
            changes.wait_for(number, deadline);
            thread::sleep(Duration::from_micros(dice.roll(2) * dice.roll(2000)));
        }
        Moment::Call(call) => {
            while edge.find(device, mark, |record| record.call == call).is_none() && Instant::now() < deadline
            {
                pause(1);
            }
            thread::sleep(Duration::from_micros(dice.roll(20_000)));
        }
    }
}

/// What inotify says of a directory.
struct Changes(rustix::fd::OwnedFd);

impl Changes {
    fn of(directory: &Path) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&inotify, directory, WatchFlags::ALL_EVENTS).unwrap();
        Self(inotify)
    }

    fn wait_for(&self, number: u64, deadline: Instant) {
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut seen = 0;
        while seen < number {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => return,
                Ok(event) => {
                    let read = ReadFlags::ACCESS | ReadFlags::OPEN | ReadFlags::CLOSE_NOWRITE;
                    seen += u64::from(!event.events().intersects(read));
                }
                Err(_) => {
                    let wait = Timespec::try_from(left).unwrap();
                    poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait)).unwrap();
                }
            }
        }
    }
}

/// Each file that counts is whole: `<SHA-256 of the content>\n<content>`.
fn check_files(device: &Device, moment: &Moment, tally: &mut Tally) {
    let mut names = Vec::new();
    for entry in fs::read_dir(device.state_dir()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        names.push(name.clone());
        if name == "lock" || name.ends_with(".new") {
            continue;
        }
        let (sum, content) = bytes.split_at(bytes.len().min(64));
        let content = content.strip_prefix(b"\n").unwrap_or_default();
        let hash = digest(&SHA256, content);
        let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert!(sum == hex.as_bytes(), "{moment:?} tore '{name}'");
    }
    tally.writing += u64::from(names.iter().any(|name| name.ends_with(".new")));
    let next = fs::read_to_string(device.state_dir().join("identity-next")).unwrap_or_default();
    tally.applying += u64::from(next.contains("PRIVATE KEY") && !next.contains("CERTIFICATE"));
}

/// Whether any certificate was kept.
fn has_certificate(device: &Device) -> bool {
    let mut files = fs::read_dir(device.state_dir()).unwrap().flatten();
    files.any(|file| {
        let is_identity = file.file_name().to_string_lossy().starts_with("identity");
        is_identity && fs::read_to_string(file.path()).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
    })
}
