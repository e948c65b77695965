//! Certificates that end while the agent runs.

use super::{device_of, knob};
use crate::support::{SLEEP, edge::Edge, pause};

#[test]
fn certificates_are_renewed_in_time_and_no_heartbeat_is_late_for_it() {
    const PERIOD: f64 = 2.0;
    let life: u64 = knob("CERTIFICATE_SECONDS", 15);
    let seconds = (knob("CERTIFICATE_MINUTES", 0.75) * 60.0) as u64;
    let Some(edge) = Edge::start(&["--certificate-seconds", &life.to_string(), "--period", "2"]) else {
        return;
    };
    let Some(mut device) = device_of(&edge, "renewal") else { return };
    edge.workload(&device, "renewed", SLEEP);
    device.start();
    let before = device.wait_for_running(&["renewed"]);
    let mark = edge.mark();
    pause(seconds * 1000);
    let records = edge.since(mark);
    let beats: Vec<f64> = records.iter().filter(|it| it.is_good("heartbeat")).map(|it| it.at).collect();
    let gaps = beats.windows(2).map(|pair| pair[1] - pair[0]);
    let longest = gaps.fold(0.0, f64::max);
    let renewed = records.iter().filter(|record| record.is_good("register")).count() as u64;
    println!("{} heartbeats, the longest gap {longest:.2} s; {renewed} renewals", beats.len());
    assert!(beats.len() as f64 > seconds as f64 / PERIOD * 0.8, "{} heartbeats", beats.len());
    assert!(longest <= 2.0 * PERIOD, "no heartbeat for {longest} s");
    // due at two thirds of a life, or every ten seconds; one may be due before or after
    let expected = seconds / (life * 2 / 3).max(10);
    assert!((expected - 1..=expected + 1).contains(&renewed), "{renewed} renewals instead of {expected}");
    let refused: Vec<_> = records.iter().filter(|record| record.status != 200).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(device.pods(), before);
}
