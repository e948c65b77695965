//! What heartbeats say: workloads, events and hardware.

use super::{
    call::{Hardware, WorkloadStatus},
    edge::{configuration, linked, refused},
    *,
};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_heartbeat_says_how_each_of_the_servers_workloads_is() {
    let (a, b, c) = (workload("a", 1), gated("b", "low"), hourly("c"));
    let mut world = linked(&[]);
    world.edge.configuration = configuration("2", &[&a, &b, &c]);
    world.edge.configuration.desired.profiles = world.profiles.clone();
    world.pass(100 * S);
    world.exit(&a.id, 1, S);
    world.broken = Some(Failure::Workload("no such command".into()));
    world.post("x", 5.0);
    world.pass(70 * S);
    let beat = world.edge.beats.last().unwrap();
    let named = |name: &str| beat.workloads.iter().find(|it| it.0 == name).unwrap().1;
    assert_eq!(named("a"), WorkloadStatus::Crashed);
    assert_eq!(named("b"), WorkloadStatus::Stopped);
    assert_eq!(named("c"), WorkloadStatus::Stopped);
    assert!(beat.degraded);
    world.broken = None;
    world.pass(200 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!(beat.workloads[0], ("a".into(), WorkloadStatus::Running));
    assert!(!beat.degraded);
}

#[test]
fn a_missing_engine_or_a_full_disk_degrades_the_device_and_is_told_once() {
    let mut world = linked(&[&workload("w", 1)]);
    world.engine_gone = true;
    world.pass(500 * S);
    assert!(world.edge.beats.last().unwrap().degraded);
    world.engine_gone = false;
    world.pass(200 * S);
    assert!(!world.edge.beats.last().unwrap().degraded);
    world.said.clear();
    for _ in 0..10 {
        world.happen(Event::Stored(Err("no space left on device".into())));
    }
    world.pass(70 * S);
    assert!(world.edge.beats.last().unwrap().degraded);
    world.happen(Event::Stored(Ok(())));
    world.pass(70 * S);
    assert!(!world.edge.beats.last().unwrap().degraded);
    assert_eq!(world.heard(), [Reason::StateNotKept, Reason::StateKept]);
}

#[test]
fn events_outlive_an_outage_and_the_oldest_are_dropped_and_counted() {
    let mut world = linked(&[]);
    world.edge.broken = Some(CallFailure::Unreachable("no route to host".into()));
    for n in 0..150 {
        world.happen(Event::Notice(Notice::info(Reason::Started, format!("event {n}"))));
        world.pass(10 * S);
    }
    world.edge.broken = None;
    world.edge.beats.clear();
    world.pass(302 * S); // the server checks that none is lost or doubled
    let first = &world.edge.beats[0];
    assert_eq!(first.events[0].message, "51 older events were dropped unsent", "one is the outage itself");
    assert_eq!(first.events.len(), 101);
    assert!(world.edge.beats[1..].iter().all(|beat| beat.events.len() < 2));
}

#[test]
fn a_long_event_is_cut_between_two_characters() {
    let mut world = linked(&[]);
    let message = "ä".repeat(5000);
    world.happen(Event::Notice(Notice::info(Reason::Started, message)));
    world.edge.restarted(); // it comes otherwise than it was told
    while world.calls.is_empty() || !matches!(world.calls.back(), Some(Call::Heartbeat(_))) {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    let Some(Call::Heartbeat(beat)) = world.calls.back() else { panic!() };
    let text = &beat.events[0].message;
    assert!(text.len() <= 1024 && text.len() > 1020 && text.ends_with("ä…"), "{}", text.len());
}

#[test]
fn hardware_is_sent_whole_once_then_what_changed_once_an_hour_and_not_at_all_if_not_included() {
    let mut world = linked(&[]);
    world.pass(600 * S);
    assert!(world.edge.beats.iter().all(|beat| beat.hardware == Hardware::Left));
    world.edge.configuration.hardware = Hardware::Delta;
    world.edge.broken = Some(refused(500));
    world.pass(600 * S);
    world.edge.broken = None;
    world.edge.beats.clear();
    world.pass(3 * HOUR);
    let sent: Vec<_> =
        world.edge.beats.iter().map(|beat| beat.hardware).filter(|it| *it != Hardware::Left).collect();
    assert_eq!(sent, [Hardware::Full, Hardware::Delta, Hardware::Delta]);
    world.edge.configuration.hardware = Hardware::Full;
    world.edge.beats.clear();
    world.pass(140 * S);
    assert!(world.edge.beats.iter().any(|beat| beat.hardware == Hardware::Full), "what is asked anew");
}

fn hourly(name: &str) -> Workload {
    let schedule = workload::Schedule::Cron(schedule::Cron::parse("0 * * * *").unwrap());
    Workload { schedule, ..workload(name, 1) }
}
