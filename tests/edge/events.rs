//! What the server is told, whatever happens to the agent on the way.

use std::{fs, os::unix::fs::MetadataExt};

use super::Beats;
use crate::support::{Device, SLEEP, edge::Edge};

#[test]
fn events_on_their_way_when_the_agent_is_killed_arrive_once_from_the_next_one() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let mut device = Device::without_podman("events");
    device.talk_only_to(&edge);
    let told = ["the device is registered", "is applied: 0 workloads"];
    edge.tell("fault stall call=heartbeat");
    device.start();
    let file = device.path("run/server/unheard");
    device.wait_for("the events to be kept", || {
        let kept = fs::read_to_string(&file).unwrap_or_default();
        told.iter().all(|words| kept.contains(words)).then_some(())
    });
    device.kill();
    device.start();
    device.kill(); // before it said anything
    edge.tell("clear");
    assert_eq!(heard(&edge, &device, told), [0, 0]);

    device.start();
    device.wait_for("the server to hear them", || (heard(&edge, &device, told)[1] > 0).then_some(()));
    device.wait_for("them to be forgotten", || (!file.exists()).then_some(()));
    device.kill();
    device.start();
    let before = edge.beats(&device, 0).len();
    device.wait_for("more heartbeats", || (edge.beats(&device, 0).len() > before + 2).then_some(()));
    assert_eq!(heard(&edge, &device, told), [1, 1]);
}

#[test]
fn answers_in_another_order_write_nothing_and_are_no_event() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let mut device = Device::without_podman("shuffled");
    device.talk_only_to(&edge);
    for name in ["one", "two", "three", "four", "five"] {
        edge.workload(&device, name, SLEEP);
    }
    device.start();
    let file = device.state_dir().join("configuration");
    device.wait_for("the configuration to be kept", || file.exists().then_some(()));
    let seen = || fs::metadata(&file).map(|it| (it.ino(), it.mtime_nsec(), it.len())).unwrap();
    let (before, mark) = (seen(), edge.mark());
    let asked = || edge.since(mark).iter().filter(|it| it.is_good("configuration")).count();
    device.wait_for("ten more answers", || (asked() >= 10).then_some(()));
    assert_eq!(seen(), before);
    assert!(!device.state_dir().join("configuration.previous").exists());
    let beats = edge.beats(&device, 0);
    assert_eq!(beats.iter().filter(|beat| beat.tells("ConfigurationApplied", "")).count(), 1);
}

/// How often the server heard of an event with each of these words.
fn heard(edge: &Edge, device: &Device, told: [&str; 2]) -> [usize; 2] {
    let beats = edge.beats(device, 0);
    let messages: Vec<&str> =
        beats.iter().flat_map(|beat| beat.events()).map(|(_, message)| message).collect();
    told.map(|words| messages.iter().filter(|message| message.contains(words)).count())
}
