//! What the server is told, whatever happens to the agent on the way.

use std::fs;

use crate::support::{Device, edge::Edge};

#[test]
fn events_on_their_way_when_the_agent_is_killed_arrive_once_from_the_next_one() {
    let mut device = Device::without_podman("events");
    let Some(edge) = Edge::start(&mut device, 1) else { return };
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
    assert_eq!(told.map(|words| edge.events(words)), [0, 0]);

    device.start();
    device.wait_for("the server to hear them", || (edge.events(told[1]) > 0).then_some(()));
    device.wait_for("them to be forgotten", || (!file.exists()).then_some(()));
    device.kill();
    device.start();
    let before = edge.heard("heartbeat").len();
    device.wait_for("more heartbeats", || (edge.heard("heartbeat").len() > before + 2).then_some(()));
    assert_eq!(told.map(|words| edge.events(words)), [1, 1]);
}
