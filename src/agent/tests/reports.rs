//! What heartbeats say: workloads, events and hardware.

use super::{
    edge::{configuration, linked, refused},
    model::call::{HardwareScope, ServerWorkloadStatus},
    *,
};

const HOUR: Duration = Duration::from_secs(3600);

/// What the server is told next.
fn next_beat(world: &mut World) -> &call::Heartbeat {
    world.pass(70 * S);
    world.edge.beats.last().unwrap()
}

fn assert_degraded_until_stored(what: Storage, world: &mut World) {
    assert!(next_beat(world).degraded);
    world.happen(Event::Stored(what, Ok(())));
    assert!(!next_beat(world).degraded);
    assert_eq!(world.heard(), [Reason::StateNotKept, Reason::StateKept]);
}

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
    assert_eq!(named("a"), ServerWorkloadStatus::Crashed);
    assert_eq!(named("b"), ServerWorkloadStatus::Stopped);
    assert_eq!(named("c"), ServerWorkloadStatus::Stopped);
    assert!(beat.degraded);
    world.broken = None;
    world.pass(200 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!(beat.workloads[0], ("a".into(), ServerWorkloadStatus::Running));
    assert!(!beat.degraded);
}

#[test]
fn what_may_not_run_is_stopped_for_the_server_whatever_is_still_under_way() {
    let status = |world: &World| world.agent.workloads["w"].server_status();
    let mut world = World::new();
    world.want(&[&gated("w", "low")]);
    assert_eq!(status(&world), ServerWorkloadStatus::Deploying);
    world.post("x", 5.0);
    assert_eq!(status(&world), ServerWorkloadStatus::Stopped, "podman has not told yet");
    world.post("x", 1.0);
    while !world.orders.iter().any(|order| matches!(order.task, Task::Pull(_))) {
        world.answer();
    }
    assert_eq!(status(&world), ServerWorkloadStatus::Deploying);
    world.post("x", 5.0);
    assert_eq!(status(&world), ServerWorkloadStatus::Stopped, "its images are on their way");
    world.settle();
    assert_eq!(status(&world), ServerWorkloadStatus::Stopped);
}

#[test]
fn what_has_done_its_work_has_exited() {
    let job = Workload { restart: workload::RestartPolicy::Never, ..workload("job", 1) };
    let mut world = linked(&[&job]);
    world.exit(&job.id, 0, S);
    world.pass(70 * S);
    assert_eq!(world.edge.beats.last().unwrap().workloads, [("job".into(), ServerWorkloadStatus::Exited)]);
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
        world.happen(Event::Stored(Storage::State, Err("no space left on device".into())));
    }
    assert_degraded_until_stored(Storage::State, &mut world);
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
    assert_eq!(first.events[0].message, "51 older events were dropped unheard", "one is the outage itself");
    assert_eq!(first.events.len(), 101);
    assert!(world.edge.beats[1..].iter().all(|beat| beat.events.len() < 2));
}

#[test]
fn repeats_are_counted_and_warnings_come_first() {
    let mut world = linked(&[]);
    for _ in 0..900 {
        world.happen(Event::Notice(Notice::info(Reason::Started, "started")));
        world.happen(Event::Notice(Notice::warning(Reason::BackOff, "failed")));
        world.pass(4 * S);
    }
    world.pass(400 * S);
    assert_eq!(world.edge.unheard(), 0);
    let heard: Vec<_> = world.edge.beats.iter().flat_map(|beat| &beat.events).collect();
    assert!(heard.len() <= 2 * 14, "{}", heard.len());
    assert_eq!(heard.iter().map(|event| event.times).sum::<u32>(), 1800);
    assert!(heard.chunks(2).all(|pair| pair[0].message == "failed"), "{heard:?}");
}

#[test]
fn events_outlive_the_agent_and_so_does_what_was_on_its_way_when_it_was_killed() {
    let mut world = linked(&[]);
    world.edge.broken = Some(CallFailure::Unreachable("no route to host".into()));
    world.happen(Event::Notice(Notice::info(Reason::Started, "on its way")));
    while !world.calls.iter().any(|call| call.kind() == CallKind::Heartbeat) {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    world.happen(Event::Notice(Notice::info(Reason::Started, "waiting")));
    world.restart(); // and the call was never answered
    world.edge.broken = None;
    world.pass(200 * S); // the server checks that none is lost or doubled
    let heard: Vec<_> = world.edge.beats.iter().flat_map(|beat| &beat.events).collect();
    assert!(heard[0].message == "on its way" && heard[1].message == "waiting", "{heard:?}");
    assert!(world.edge.unheard() == 0 && world.kept.unheard.is_empty());
    world.restart();
    world.pass(200 * S); // nor now
}

#[test]
fn what_was_heard_is_taken_out_of_what_is_kept_with_the_answer_and_nothing_is_written_without_an_event() {
    let mut world = linked(&[]);
    world.writes = 0;
    world.pass(HOUR);
    assert_eq!((world.edge.beats.len() > 50, world.writes), (true, 0));
    world.happen(Event::Notice(Notice::info(Reason::Started, "an event")));
    assert_eq!((world.kept.unheard.events.len(), world.writes), (1, 1));
    while !world.calls.iter().any(|call| call.kind() == CallKind::Heartbeat) {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    assert_eq!((world.kept.unheard.events.len(), world.writes), (1, 1), "it is on its way");
    world.settle();
    assert_eq!((world.kept.unheard.is_empty(), world.writes), (true, 2));
}

#[test]
fn without_a_server_no_event_is_kept() {
    let mut world = World::running(&[&workload("w", 1)]);
    world.happen(Event::Notice(Notice::info(Reason::Started, "an event")));
    assert_eq!(world.writes, 0);
}

#[test]
fn events_that_the_server_refuses_twice_are_dropped_and_counted_and_the_next_ones_arrive() {
    let mut world = linked(&[]);
    (world.edge.broken, world.edge.only) = (Some(refused(422)), Some(CallKind::Heartbeat));
    world.happen(Event::Notice(Notice::info(Reason::Started, "a bad one")));
    world.pass(HOUR);
    let dropped = "2 events are dropped: the server refuses heartbeats with them"; // and the refusal itself
    assert_eq!(world.said.iter().filter(|it| it.reason == Reason::EventsDropped).count(), 1);
    assert!(world.said.iter().any(|it| it.message == dropped), "{:?}", world.said);
    world.edge.broken = None;
    world.happen(Event::Notice(Notice::info(Reason::Started, "a good one")));
    world.pass(400 * S);
    let heard: Vec<_> =
        world.edge.beats.iter().flat_map(|beat| &beat.events).map(|it| &*it.message).collect();
    assert_eq!(heard, ["2 older events were dropped unheard", "a good one"]);
    assert!(world.kept.unheard.is_empty());
}

#[test]
fn events_wait_for_a_server_that_refuses_for_another_reason() {
    for status in [404, 401, 500, 503] {
        let mut world = linked(&[]);
        (world.edge.broken, world.edge.only) = (Some(refused(status)), Some(CallKind::Heartbeat));
        world.happen(Event::Notice(Notice::info(Reason::Started, "an event")));
        world.pass(HOUR);
        world.edge.broken = None;
        world.pass(HOUR);
        assert_eq!(world.edge.unheard(), 0, "{status}");
        assert!(
            world.edge.beats.iter().any(|beat| beat.events.iter().any(|it| it.message == "an event")),
            "{status}"
        );
    }
}

#[test]
fn a_certificate_that_is_in_memory_only_degrades_the_device_until_it_is_on_disk() {
    let mut world = linked(&[]);
    world.happen(Event::Stored(Storage::Identity, Err("no space left on device".into())));
    world.happen(Event::Stored(Storage::State, Ok(()))); // of something else
    assert_degraded_until_stored(Storage::Identity, &mut world);
}

#[test]
fn events_that_cannot_be_kept_are_said_once_and_not_because_of_that_again_and_again() {
    let mut world = linked(&[]);
    world.happen(Event::Notice(Notice::info(Reason::Started, "an event")));
    for _ in 0..100 {
        let result = if world.kept.unheard.is_empty() { Ok(()) } else { Err("read-only".into()) };
        world.happen(Event::Stored(Storage::Unheard, result));
        world.pass(60 * S);
    }
    assert_eq!(world.heard(), [Reason::Started, Reason::StateNotKept]);
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn a_long_event_is_cut_between_two_characters() {
    let mut world = linked(&[]);
    let message = "ä".repeat(5000);
    world.happen(Event::Notice(Notice::info(Reason::Started, message)));
    world.edge.expect_nothing(); // it comes otherwise than it was told
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
    assert!(world.edge.beats.iter().all(|beat| beat.hardware == HardwareScope::Omit));
    world.edge.configuration.hardware = HardwareScope::IfChanged;
    world.edge.broken = Some(refused(500));
    world.pass(600 * S);
    world.edge.broken = None;
    world.edge.beats.clear();
    world.pass(3 * HOUR);
    let sent: Vec<_> =
        world.edge.beats.iter().map(|beat| beat.hardware).filter(|it| *it != HardwareScope::Omit).collect();
    assert_eq!(sent, [HardwareScope::Full, HardwareScope::IfChanged, HardwareScope::IfChanged]);
    world.edge.configuration.hardware = HardwareScope::Full;
    world.edge.beats.clear();
    world.pass(140 * S);
    assert!(world.edge.beats.iter().any(|beat| beat.hardware == HardwareScope::Full), "what is asked anew");
}
