//! Many devices and one server that was away: none of its seconds has far more requests than any other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{knob, now};
use crate::support::{Device, edge::Edge, pause};

#[test]
fn a_fleet_whose_server_comes_back_does_not_fall_upon_it() {
    let devices: usize = knob("FLEET", 20);
    let period: u32 = knob("FLEET_PERIOD", 2);
    let away: u64 = knob("FLEET_AWAY", 6);
    let Some(mut edge) = Edge::start(&["--period", &period.to_string()]) else { return };
    let mut fleet: Vec<Device> = (0..devices)
        .map(|number| {
            let mut device = Device::without_podman(&format!("fleet-{number}"));
            device.talk_only_to(&edge);
            device.set("LOG_LEVEL", "warn");
            device.start();
            device
        })
        .collect();
    fleet[0].wait_within(Duration::from_secs(300), "heartbeats of all devices", || {
        let beats = edge.since(0).into_iter().filter(|record| record.is_good("heartbeat"));
        let heard: BTreeSet<String> = beats.map(|record| record.device).collect();
        (heard.len() == devices).then_some(())
    });
    pause(u64::from(period) * 1000);
    let steady = 3.0 * devices as f64 / f64::from(period);

    edge.kill();
    pause(away * 1000);
    let (mark, back) = (edge.mark(), now());
    edge.start_again();
    pause(1000 * (u64::from(period) * 4 + away * 2));
    let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
    for record in edge.since(mark) {
        *seconds.entry((record.at - back) as i64).or_default() += 1;
    }
    fleet.iter_mut().for_each(Device::kill);

    let busiest = *seconds.values().max().unwrap();
    println!("{devices} devices, {steady:.0} requests a second are usual, the busiest second has {busiest}:");
    for (second, count) in &seconds {
        println!("{second:4} s {count:5} {}", "*".repeat(count * 60 / busiest));
    }
    let most = 3.0 * steady + 3.0 * steady.sqrt(); // a few more, where a fleet is so small that chance counts
    assert!(busiest as f64 <= most, "{busiest} requests in a second, {steady:.0} are usual");
}
