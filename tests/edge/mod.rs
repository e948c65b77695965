//! The real agent and the development edge API, with real podman: what both sides see when all goes well, and
//! when the device, its disk, its clockwork of certificates, the network or the server don't.
//!
//! | variable | default | |
//! |---|---|---|
//! | `EDGE_KILLS` | 20 | `kill -9` that often |
//! | `CERTIFICATE_SECONDS`, `CERTIFICATE_MINUTES` | 15, 0.75 | the life of a certificate, and for how long they are renewed |
//! | `FLEET`, `FLEET_PERIOD`, `FLEET_AWAY` | 20, 2, 6 | devices, seconds between their calls, and how long their server is away |
//! | `CHAOS_SECONDS`, `CHAOS_SEED` | 45 (the network: 30), random | how long everything, or the network, fails, and in which order |

mod certificates;
mod chaos;
mod disk;
mod events;
mod fleet;
mod kills;
mod linking;
mod network;
mod outages;
mod secrets;
mod sources;

use std::{
    fmt::Debug,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::support::{
    Device, SLEEP,
    edge::{Edge, Record},
    podman::Pod,
};

/// A device that knows its workloads from this edge API alone.
fn device_of(edge: &Edge, name: &str) -> Option<Device> {
    let mut device = Device::new(name)?;
    device.talk_only_to(edge);
    Some(device)
}

/// Such a device whose only workload runs, as the edge API knows.
fn linked(edge: &Edge, name: &str, workload: &str) -> Option<(Device, Vec<Pod>)> {
    let mut device = device_of(edge, name)?;
    edge.workload(&device, workload, SLEEP);
    device.start();
    let pods = device.wait_for_running(&[workload]);
    edge.wait_for_running(&device, 0, workload);
    Some((device, pods))
}

/// A number from the environment.
fn knob<T: FromStr<Err: Debug>>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Seconds since 1970, by the clock that records are noted by.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Chance that a seed repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        Self(now().to_bits())
    }

    /// One of `0..sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len() as u64) as usize]
    }
}

trait Beats {
    /// The device's heartbeats that were taken in since a mark, answered or not.
    fn beats(&self, device: &Device, mark: usize) -> Vec<Record>;
}

impl Beats for Edge {
    fn beats(&self, device: &Device, mark: usize) -> Vec<Record> {
        let mut records = self.since(mark);
        records.retain(|it| it.device == device.id && it.call == "heartbeat" && it.status == 200);
        records
    }
}
