//! Levels come from files and file systems, and only when they change.

use std::{fs, path::Path};

use crossbeam_channel::{Receiver, unbounded};

use super::*;
use crate::agent::model::pressure::Level;

const PATIENCE: Duration = Duration::from_secs(20);
const MIB: u64 = 1024;

struct Device {
    proc: tempfile::TempDir,
    events: Receiver<Event>,
    disks: WatchedDisks,
}

impl Device {
    /// With 512 MiB, of which this much is available.
    fn new(available: u64, memory: Reserve, disk: Reserve) -> Self {
        let proc = tempfile::tempdir().unwrap();
        meminfo(proc.path(), available);
        let (sender, events) = unbounded();
        let disks = WatchedDisks::default();
        let reserves = PressureConfig { memory, disk, disks: disks.clone(), proc: proc.path().into() };
        start(reserves, sender).unwrap();
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
    let device = Device::new(63, Reserve::DEFAULT_MEMORY, Reserve::OFF);
    assert_eq!(device.events.try_recv().map(|_| ()), Ok(()));
    let device = Device::new(64, Reserve::DEFAULT_MEMORY, Reserve::OFF);
    assert!(device.events.try_recv().is_err());
}

#[test]
fn memory_that_runs_out_and_comes_back_is_told_once_a_level() {
    let device = Device::new(65, Reserve::DEFAULT_MEMORY, Reserve::OFF);
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
    assert!(read_disk(Path::new("/nowhere"), &Reserve::ALL).is_none());
}

#[test]
fn a_reserve_of_nothing_turns_it_off() {
    let device = Device::new(0, Reserve::OFF, Reserve::OFF);
    device.disks.add(std::env::temp_dir());
    assert!(device.events.recv_timeout(Duration::from_millis(300)).is_err());
}

#[test]
fn a_device_that_waits_for_memory_tells_although_more_than_the_reserve_is_left() {
    let device = Device::new(100, Reserve::OFF, Reserve::OFF);
    fs::create_dir(device.proc.path().join("pressure")).unwrap();
    let text =
        "some avg10=99.00 avg60=9.00 avg300=9.00 total=99\nfull avg10=31.45 avg60=0.00 avg300=0.00 total=5\n";
    fs::write(device.proc.path().join("pressure/memory"), text).unwrap();
    let (sender, events) = unbounded();
    let proc = device.proc.path().into();
    start(
        PressureConfig {
            memory: Reserve::DEFAULT_MEMORY,
            disk: Reserve::OFF,
            disks: WatchedDisks::default(),
            proc,
        },
        sender,
    )
    .unwrap();
    let Ok(Event::Pressure(pressure)) = events.try_recv() else { panic!("nothing is told") };
    assert_eq!((pressure.level, pressure.stalled), (Level::Critical, 31));
}

#[test]
fn the_kernels_pressure_stall_information_wakes_where_there_is_any() {
    let has = |path: &str| Path::new(path).exists();
    let memory = MemorySource::open(Path::new("/proc"), &Reserve::DEFAULT_MEMORY).unwrap();
    // older kernels want a capability for it, whatever the window
    assert!(memory.open_psi_trigger().is_none() || has("/proc/pressure/memory"));
    assert!(memory.read().unwrap().available > 0);
}
