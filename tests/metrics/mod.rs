//! The metrics endpoint as its users and its enemies see it: the real agent, its receiver, real sockets. No podman.
//!
//! | module | what it shows |
//! |---|---|
//! | [`answers`] | what a client that posts is promised |
//! | [`hostile`] | the attacks that end a bare tiny_http, or fill it up |
//! | [`reading`] | what a client that reads is promised, and that no lured browser reads |
//! | [`kills`] | nothing that got a 200 is lost by `kill -9` of either process, at any moment |
//!
//! `METRICS_KILLS=200` kills that often; the default is quick.

mod answers;
mod hostile;
mod kills;
mod reading;

use std::collections::BTreeMap;

use crate::support::{Device, free_port};

/// A device without podman whose agent takes metrics.
fn taking(name: &str) -> Device {
    let mut device = Device::without_podman(name);
    device.start_taking_metrics();
    device
}

/// Kills the agent, and asks another one what it remembers.
fn remembered(device: &mut Device) -> BTreeMap<String, f64> {
    device.kill();
    // One without posts: at its start it writes down what it remembers, and then nothing else.
    device.set("METRICS_LISTEN", format!("127.0.0.1:{}", free_port()));
    device.start_taking_metrics();
    let log = std::fs::read_to_string(device.path("run").join("metrics.log")).unwrap();
    device.kill();
    device.set("METRICS_LISTEN", device.address().to_string());
    // `seconds-since-boot name value`, after a first line that names the boot
    let lines = log.lines().skip(1).map(|line| line.split(' ').collect::<Vec<_>>());
    lines.map(|words| (words[1].to_owned(), words[2].parse().unwrap())).collect()
}
