//! Many devices and one server: no second may see far more calls than any other.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::{edge::configuration, *};
use crate::agent::{control_plane::link::Link, model::random::Random};

const DEVICES: u32 = 500;

/// The most calls in any one second from `from` on, of a fleet whose server is away for `outage`, and how many
/// are usual. The calls take no time, which is the worst for the server.
fn busiest_second(period: Duration, outage: Duration) -> (u32, u32) {
    let start = World::new().now;
    let at = |up: Duration| Now { up, utc: start.utc + (up - start.up) };
    let mut known = configuration("1", &[]);
    known.period = period;
    let mut fleet: Vec<(Link, Random)> = (0..DEVICES)
        .map(|device| {
            let mut random = Random::new(u64::from(device + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let remembered = Edge::remembered(start, Some(known.clone()));
            (Link::restore(&remembered, start, &mut random), random)
        })
        .collect();
    let mut next: BinaryHeap<_> =
        fleet.iter().zip(0..).map(|((link, _), device)| Reverse((link.next_wake(), device))).collect();
    let (away, back) = (start.up + 3 * period, start.up + 3 * period + outage);
    let mut seconds: BTreeMap<u64, u32> = BTreeMap::new();
    while let Some(Reverse((Wake::At(up), device))) = next.pop() {
        if up > back + 300 * S {
            break;
        }
        let (link, random): &mut (Link, Random) = &mut fleet[device];
        for kind in link.take_due_calls(at(up)) {
            *seconds.entry(up.as_secs()).or_default() += 1;
            let result = match up >= away && up < back {
                true => Err(CallFailure::Unreachable("connection refused".into())),
                false => Ok(Answer::Beaten),
            };
            link.on_answer(kind, &result, at(up), random);
        }
        next.push(Reverse((link.next_wake(), device)));
    }
    let busiest = seconds.range(start.up.as_secs()..).map(|(_, calls)| *calls).max().unwrap();
    (busiest, 3 * DEVICES / period.as_secs() as u32)
}

#[test]
fn a_fleet_whose_server_comes_back_never_exceeds_three_times_its_steady_rate() {
    for (period, outage) in [(20, 3), (20, 20), (60, 5), (60, 60), (60, 1800)] {
        let (busiest, steady) = busiest_second(S * period, S * outage);
        assert!(
            busiest <= 3 * steady,
            "{busiest} calls in a second, {steady} are usual: {period} s, away for {outage} s"
        );
    }
}
