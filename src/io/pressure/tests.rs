//! Levels come from files and file systems, and only when they change.

use std::{fs, path::Path};

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::agent::shed::Level;

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: u64 = 1024;

struct Device {
    proc: tempfile::TempDir,
    events: Receiver<Event>,
    disks: Disks,
}

impl Device {
    /// With 512 MiB, of which this much is available.
    fn new(available: u64, memory: Reserve, disk: Reserve) -> Self {
        let proc = tempfile::tempdir().unwrap();
        meminfo(proc.path(), available);
        let (sender, events) = unbounded();
        let disks = Disks::default();
        let config = Config { memory, disk, disks: disks.clone(), proc: proc.path().into() };
        start(config, sender).unwrap();
        Self { proc, events, disks }
    }

    fn has(&self, available: u64) {
        meminfo(self.proc.path(), available);
    }

    fn next(&self) -> (Resource, Level) {
        match self.events.recv_timeout(PATIENCE).expect("an event") {
            Event::Pressure(pressure) => (pressure.resource, pressure.level),
            other => panic!("{other:?}"),
        }
    }
}

/// In place: the file stays open.
fn meminfo(proc: &Path, available: u64) {
    let (total, available) = (512 * MIB, available * MIB);
    let text = format!(
        "MemTotal:       {total:>8} kB\nMemFree:            1000 kB\nMemAvailable:   {available:>8} kB\n"
    );
    fs::write(proc.join("meminfo"), text).unwrap();
}

#[test]
fn what_is_short_at_the_start_is_told_before_anything_else_can_be() {
    let device = Device::new(63, Reserve::MEMORY, Reserve::OFF);
    assert_eq!(device.events.try_recv().map(|_| ()), Ok(()));
    let device = Device::new(64, Reserve::MEMORY, Reserve::OFF);
    assert!(device.events.try_recv().is_err());
}

#[test]
fn memory_that_runs_out_and_comes_back_is_told_once_a_level() {
    let device = Device::new(65, Reserve::MEMORY, Reserve::OFF);
    device.has(40);
    assert_eq!(device.next(), (Resource::Memory, Level::Low));
    device.has(30);
    assert_eq!(device.next(), (Resource::Memory, Level::Critical));
    device.has(300);
    assert_eq!(device.next(), (Resource::Memory, Level::Fine));
    assert!(device.events.is_empty());
}

#[test]
fn a_disk_that_becomes_known_is_looked_at_at_once() {
    let device = Device::new(300, Reserve::OFF, Reserve::ALL);
    device.disks.add(std::env::temp_dir());
    assert_eq!(device.next(), (Resource::Disk, Level::Low));
    assert!(disk(Path::new("/nowhere"), &Reserve::ALL).is_none());
}

#[test]
fn a_reserve_of_nothing_turns_it_off() {
    let device = Device::new(0, Reserve::OFF, Reserve::OFF);
    device.disks.add(std::env::temp_dir());
    assert!(device.events.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn the_share_of_time_that_all_waited_for_memory_is_measured_between_two_looks() {
    let device = Device::new(50, Reserve::MEMORY, Reserve::OFF);
    let waited = |total: u64| {
        let text = format!(
            "some avg10=9.00 avg60=9.00 avg300=9.00 total=99\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={total}\n"
        );
        fs::create_dir_all(device.proc.path().join("pressure")).unwrap();
        fs::write(device.proc.path().join("pressure/memory"), text).unwrap();
    };
    waited(5_000_000);
    let mut memory = Memory::open(device.proc.path(), &Reserve::MEMORY).unwrap();
    let mut stalled = |ms: u64| memory.read(Duration::from_millis(ms)).unwrap().stalled;
    assert_eq!(stalled(1000), 0, "what was before tells nothing");
    waited(5_250_000);
    assert_eq!(stalled(1100), 0, "that is too short to tell");
    assert_eq!(stalled(2000), 25);
    assert_eq!(stalled(3000), 0);
}

#[test]
fn the_kernels_pressure_stall_information_wakes_where_there_is_any() {
    let has = |path: &str| Path::new(path).exists();
    let memory = Memory::open(Path::new("/proc"), &Reserve::MEMORY).unwrap();
    // older kernels want a capability for it, whatever the window
    assert!(memory.trigger().is_none() || has("/proc/pressure/memory"));
    let (now, mut memory) = (since_boot(), memory);
    assert!(memory.read(now).unwrap().available > 0);
}
