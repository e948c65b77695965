//! What the server is told, whatever happens to the agent on the way.

use std::fs;

use super::Beats;
use crate::support::{Device, edge::Edge};

#[test]
fn events_on_their_way_when_the_agent_is_killed_arrive_once_from_the_next_one() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let mut device = Device::without_podman("events");
    device.unset("MANIFESTS");
    device.talk_to(&edge);
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

/// How often the server heard of an event with each of these words.
fn heard(edge: &Edge, device: &Device, told: [&str; 2]) -> [usize; 2] {
    let beats = edge.beats(device, 0);
    let messages: Vec<&str> =
        beats.iter().flat_map(|beat| beat.events()).map(|(_, message)| message).collect();
    told.map(|words| messages.iter().filter(|message| message.contains(words)).count())
}
