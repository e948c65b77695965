//! Each rule of the link to the edge API, named by its outcome.

use super::{
    call::{Hardware, WorkloadStatus},
    edge::{configuration, refused},
    *,
};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

/// A device that is linked, and has the server's configuration with these workloads.
fn linked(workloads: &[&Workload]) -> World {
    let mut world = World::managed(Remembered::default());
    world.edge.configuration = configuration("1", workloads);
    world.edge.configuration.monitoring_interval = Some(300 * S);
    world.pass(200 * S);
    world.settle();
    assert_eq!(world.pods.len(), workloads.len(), "{:?}", world.said);
    world.pass(200 * S); // what was told of that has arrived
    world.edge.came.clear();
    world.edge.beats.clear();
    world.took();
    world.said.clear();
    world
}

fn kinds(world: &World) -> Vec<CallKind> {
    world.edge.came.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn an_unknown_device_enrols_registers_and_runs_what_the_server_wants() {
    let w = workload("w", 1);
    let mut world = World::managed(Remembered::default());
    world.edge.configuration = configuration("7", &[&w]);
    world.pass(15 * S);
    assert_eq!(kinds(&world)[..2], [CallKind::Enrol, CallKind::Register]);
    assert_eq!(world.pods.keys().collect::<Vec<_>>(), [&w.id]);
    assert_eq!(world.heard(), [Reason::Registered, Reason::ConfigurationApplied, Reason::Started]);
    world.pass(120 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!((beat.version.as_str(), beat.degraded), ("7", false));
    assert_eq!(beat.workloads, [("w".to_string(), WorkloadStatus::Running)]);
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn a_device_nobody_approves_asks_for_days_ever_more_slowly_and_says_so_once() {
    let mut world = World::managed(Remembered::default());
    world.edge.approves = false;
    world.pass(HOUR);
    let since = world.now.up;
    world.pass(3 * DAY);
    let (enrol, register) =
        (world.edge.count(CallKind::Enrol, since), world.edge.count(CallKind::Register, since));
    assert!((72 * 20..72 * 30).contains(&register), "{register} in three days");
    assert!((100..230).contains(&enrol), "a lost request is made anew: {enrol}");
    assert_eq!(world.heard(), [Reason::AwaitingApproval]);
    world.edge.known = true;
    world.pass(302 * S);
    assert_eq!(world.heard(), [Reason::Registered, Reason::ConfigurationApplied]);
}

#[test]
fn a_registered_device_does_not_register_again_when_it_restarts() {
    let mut world = linked(&[]);
    world.restart();
    world.pass(HOUR);
    assert!(!kinds(&world).contains(&CallKind::Enrol) && !kinds(&world).contains(&CallKind::Register));
    assert!(world.edge.count(CallKind::Heartbeat, Duration::ZERO) > 50);
}

#[test]
fn a_remembered_configuration_runs_before_the_first_call() {
    let w = workload("w", 1);
    let now = World::new().now;
    let mut world = World::managed(Edge::remembered(now, Some(configuration("1", &[&w]))));
    assert!(world.calls.is_empty());
    world.settle();
    assert_eq!(world.pods.len(), 1);
    assert!(world.edge.came.is_empty());
}

#[test]
fn each_kind_of_call_comes_once_a_period_give_or_take_a_tenth() {
    let mut world = linked(&[]);
    world.pass(HOUR);
    for kind in [CallKind::Heartbeat, CallKind::Configuration, CallKind::Control] {
        let at: Vec<_> = world.edge.came.iter().filter(|call| call.0 == kind).map(|call| call.1).collect();
        let gaps: BTreeSet<u128> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        assert!(gaps.iter().all(|gap| (54_000..=66_000).contains(gap)), "{kind:?}: {gaps:?}");
        assert!(gaps.len() > 40, "{kind:?}: no two devices keep step");
    }
}

#[test]
fn a_new_period_counts_at_once() {
    let mut world = linked(&[]);
    world.edge.configuration.period = 5 * S;
    while world.edge.count(CallKind::Configuration, Duration::ZERO) == 0 {
        world.pass(S);
    }
    let since = world.now.up;
    world.pass(60 * S);
    assert!((10..=14).contains(&world.edge.count(CallKind::Heartbeat, since)));
    world.edge.configuration.period = Duration::ZERO; // never a loop
    world.pass(6 * S);
    let since = world.now.up;
    world.pass(60 * S);
    assert!(world.edge.count(CallKind::Heartbeat, since) < 70);
    world.edge.configuration.period = Duration::MAX;
    world.edge.configuration.monitoring_interval = Some(DAY);
    world.pass(10 * S);
    let since = world.now.up;
    world.pass(10 * DAY);
    assert!((9..=11).contains(&world.edge.count(CallKind::Heartbeat, since)));
}

#[test]
fn a_slow_configuration_holds_up_no_heartbeat_and_nothing_is_asked_twice() {
    let mut world = linked(&[]);
    let mut beats = 0;
    for _ in 0..600 {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
        let Some(index) = world.calls.iter().position(|call| edge::kind(call) != CallKind::Configuration)
        else {
            continue;
        };
        world.calls.swap(0, index);
        beats += usize::from(edge::kind(&world.calls[0]) == CallKind::Heartbeat);
        world.call();
    }
    assert_eq!(world.calls.len(), 1);
    assert!((9..=11).contains(&beats), "{beats}");
}

#[test]
fn a_server_that_is_away_is_asked_about_once_in_150_s_per_kind_and_missed_once() {
    let mut world = linked(&[]);
    world.edge.broken = Some(CallFailure::Unreachable("connection refused".into()));
    world.pass(HOUR);
    let first_hour = world.edge.all_since(Duration::ZERO);
    let since = world.now.up;
    world.pass(10 * HOUR);
    let per_hour = world.edge.all_since(since) / 10;
    assert!(first_hour < 120, "{first_hour}");
    assert!((60..90).contains(&per_hour), "{per_hour}");
    assert_eq!(world.heard(), [Reason::ServerMissing]);
    world.edge.broken = None;
    world.pass(301 * S);
    assert_eq!(world.heard(), [Reason::ServerBack]);
    world.pass(301 * S);
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn another_cause_is_said_and_the_same_one_is_not() {
    let mut world = linked(&[]);
    for cause in ["connection refused", "timed out", "connection refused", "timed out"] {
        world.edge.broken = Some(CallFailure::Unreachable(cause.into()));
        world.pass(HOUR);
    }
    assert_eq!(world.heard(), [Reason::ServerMissing, Reason::ServerMissing]);
    for n in 0..1000 {
        world.edge.broken = Some(CallFailure::Nonsense(format!("byte {n}")));
        world.pass(60 * S);
    }
    assert!(world.heard().len() < 20);
}

#[test]
fn retry_after_is_honoured_up_to_an_hour() {
    let mut world = linked(&[]);
    let later = |seconds| CallFailure::Refused {
        status: 503,
        message: "busy".into(),
        retry_after: Some(Duration::from_secs(seconds)),
    };
    world.edge.broken = Some(later(600));
    world.pass(66 * S);
    let since = world.now.up;
    world.pass(534 * S);
    assert_eq!(world.edge.all_since(since), 0);
    world.pass(500 * S);
    assert_eq!(world.edge.all_since(since), 3);
    world.edge.broken = Some(later(u64::MAX));
    world.pass(1000 * S);
    world.edge.broken = None;
    let since = world.now.up;
    world.pass(HOUR + 300 * S);
    assert!(world.edge.count(CallKind::Heartbeat, since) > 0);
}

#[test]
fn one_401_proves_nothing_and_two_lead_to_a_new_registration() {
    let mut world = linked(&[]);
    world.edge.certificate = Some(world.now.utc); // it ends before its time: the server's clock was set
    while kinds(&world).iter().all(|kind| *kind == CallKind::Heartbeat) {
        world.pass(S);
    }
    assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 0);
    world.pass(130 * S);
    assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 1);
    assert_eq!(world.edge.count(CallKind::Enrol, Duration::ZERO), 0);
    let heard = world.heard();
    assert!(heard.ends_with(&[Reason::Unauthorized, Reason::Registered]), "{heard:?}");
}

#[test]
fn a_server_that_takes_no_certificate_of_its_own_is_asked_ever_more_slowly() {
    let mut world = linked(&[]);
    world.edge.life = Duration::ZERO;
    world.edge.certificate = Some(world.now.utc);
    world.pass(HOUR);
    let since = world.now.up;
    world.pass(4 * HOUR);
    let registrations = world.edge.count(CallKind::Register, since) / 4;
    assert!((8..40).contains(&registrations), "{registrations} an hour");
    world.edge.life = DAY;
    world.pass(HOUR);
    assert!(world.edge.certificate.unwrap() > world.now.utc);
}

#[test]
fn a_certificate_is_renewed_at_two_thirds_of_its_life_without_a_gap_in_the_heartbeats() {
    let mut world = linked(&[]);
    world.edge.configuration.period = 5 * S;
    world.edge.life = 60 * S;
    world.edge.certificate = Some(world.now.utc);
    world.pass(300 * S);
    (world.edge.came, world.said) = (Vec::new(), Vec::new());
    world.pass(600 * S);
    let renewed: Vec<_> =
        world.edge.came.iter().filter(|call| call.0 == CallKind::Register).map(|call| call.1).collect();
    assert!((13..=16).contains(&renewed.len()), "{}", renewed.len());
    assert!(renewed.windows(2).all(|pair| pair[1] - pair[0] >= 38 * S && pair[1] - pair[0] <= 42 * S));
    let beats: Vec<_> =
        world.edge.came.iter().filter(|call| call.0 == CallKind::Heartbeat).map(|call| call.1).collect();
    assert!(beats.windows(2).all(|pair| pair[1] - pair[0] < 10 * S));
    assert!(world.heard().iter().all(|reason| *reason == Reason::Registered), "no 401 in between");
}

#[test]
fn certificates_of_one_second_are_renewed_every_10_s_at_most() {
    let mut world = linked(&[]);
    world.edge.life = S;
    world.edge.certificate = Some(world.now.utc);
    world.pass(HOUR);
    let renewed: Vec<_> =
        world.edge.came.iter().filter(|call| call.0 == CallKind::Register).map(|call| call.1).collect();
    assert!(renewed.windows(2).all(|pair| pair[1] - pair[0] >= 10 * S));
}

#[test]
fn a_renewal_that_fails_is_tried_again_and_the_link_goes_on() {
    let mut world = linked(&[]);
    world.edge.broken = Some(CallFailure::Local("the disk is full".into()));
    world.edge.only = Some(CallKind::Register);
    world.edge.configuration.period = HOUR;
    world.edge.configuration.monitoring_interval = Some(DAY);
    world.pass(25 * DAY);
    let tries: Vec<_> =
        world.edge.came.iter().filter(|call| call.0 == CallKind::Register).map(|call| call.1).collect();
    assert!((1500..4500).contains(&tries.len()), "{} in five days", tries.len());
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= 10 * S));
    assert_eq!(world.heard(), [Reason::ConfigurationApplied, Reason::Failed]);
    world.edge.broken = None;
    world.pass(400 * S);
    assert_eq!(world.heard(), [Reason::Registered]);
}

#[test]
fn a_wall_clock_that_is_set_past_two_thirds_of_the_life_renews_at_once_but_10_s_after_the_last() {
    for (waited, renewed) in [(0, 0), (60, 1)] {
        let mut world = World::managed(Remembered::default());
        while world.kept.certificate.is_none() {
            world.pass(S);
        }
        world.pass(S * waited);
        world.edge.came.clear();
        world.now.utc += 25 * DAY;
        world.happen(Event::Tick);
        world.pass(3 * S);
        assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), renewed);
        world.pass(10 * S);
        world.happen(Event::Tick);
        world.settle();
        assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 1);
    }
}

#[test]
fn a_certificate_that_ended_while_the_device_was_off_is_replaced_first() {
    let mut world = linked(&[]);
    world.step(world.now.up + 31 * DAY);
    world.restart();
    world.pass(12 * S);
    assert_eq!(kinds(&world)[0], CallKind::Register);
    assert!(!kinds(&world).contains(&CallKind::Enrol));
    assert_eq!(world.heard(), [Reason::Registered]);
}

#[test]
fn a_clock_that_starts_in_1970_neither_renews_without_end_nor_keeps_a_certificate_that_ended() {
    let mut world = linked(&[]);
    world.edge.certificate = Some(world.now.utc + DAY); // of which the device knows nothing
    world.edge.ahead = 31 * DAY;
    world.now.utc = SystemTime::UNIX_EPOCH;
    world.restart();
    world.pass(DAY);
    assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 1, "a 401 told");
    assert!(world.edge.count(CallKind::Configuration, world.now.up - HOUR) > 50);
}

#[test]
fn a_clock_years_ahead_does_not_renew_without_end() {
    let mut world = linked(&[]);
    let real = world.now.utc;
    world.edge.approves = true;
    world.now.utc += 4000 * DAY;
    for offline in [false, true] {
        if offline {
            world.restart();
        }
        let since = world.now.up;
        // The server's clock goes right.
        for _ in 0..HOUR.as_secs() {
            world.step(world.now.up + S);
            world.happen(Event::Tick);
            let wrong = std::mem::replace(&mut world.now.utc, real);
            while let Some(call) = world.calls.pop_front() {
                let result = world.edge.answer(&call, world.now);
                if let Ok(Answer::Registered { expires }) = result {
                    world.kept.certificate = Some((wrong, expires));
                }
                world.now.utc = wrong;
                world.happen(Event::Answered(edge::kind(&call), result));
                world.now.utc = real;
            }
            world.now.utc = wrong;
        }
        assert_eq!(world.edge.count(CallKind::Register, since), 1);
        assert!(world.edge.count(CallKind::Heartbeat, since) > 50);
    }
}

#[test]
fn a_deleted_device_keeps_what_runs_says_so_once_and_asks_to_be_let_in_again() {
    let w = workload("w", 1);
    let mut world = linked(&[&w]);
    (world.edge.known, world.edge.approves) = (false, false);
    world.pass(DAY);
    assert_eq!(world.pods.len(), 1);
    assert!(world.took().is_empty());
    assert!(world.edge.asked);
    let heard = world.heard();
    assert_eq!(heard.iter().filter(|reason| **reason == Reason::DeviceUnknown).count(), 1);
    assert!(heard.len() < 6, "{heard:?}");
    assert!(world.edge.all_since(world.now.up - HOUR) < 40);
    world.edge.known = true;
    world.pass(400 * S);
    assert_eq!(world.heard().last(), Some(&Reason::Registered));
    assert!(world.took().is_empty(), "the same configuration: nothing is touched");
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn a_refusal_now_and_then_is_not_believed() {
    let mut world = linked(&[]);
    for status in [401, 404, 403, 404, 401, 401, 404, 404] {
        world.edge.broken = Some(refused(status));
        let before = world.edge.came.len();
        while world.edge.came.len() == before {
            world.step(world.now.up + S);
            world.happen(Event::Tick);
            if !world.calls.is_empty() {
                world.call();
            }
            world.edge.broken = (world.edge.came.len() == before).then(|| refused(status));
        }
        world.pass(300 * S);
    }
    assert_eq!(world.edge.count(CallKind::Enrol, Duration::ZERO), 0);
    assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 0);
}

#[test]
fn a_late_answer_to_an_earlier_link_says_nothing_about_this_one() {
    let mut world = linked(&[]);
    while world.calls.len() < 3 {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    world.calls.clear();
    for kind in [CallKind::Configuration, CallKind::Control] {
        world.happen(Event::Answered(kind, Err(refused(401))));
    }
    world.pass(2 * S);
    assert_eq!(world.heard(), [Reason::Failed, Reason::Failed, Reason::Unauthorized, Reason::Registered]);
    world.happen(Event::Answered(CallKind::Heartbeat, Err(refused(404))));
    world.happen(Event::Tick);
    assert_eq!(world.calls.iter().map(edge::kind).collect::<Vec<_>>(), [CallKind::Heartbeat]);
    world.calls.clear();
    world.happen(Event::Answered(CallKind::Heartbeat, Err(refused(404))));
    assert!(!world.heard().contains(&Reason::DeviceUnknown));
}

#[test]
fn disconnect_takes_the_servers_workloads_and_holds_over_restarts() {
    let w = workload("w", 1);
    let mut world = linked(&[&w]);
    world.edge.disconnects = true;
    world.pass(66 * S);
    assert!(world.pods.is_empty());
    assert_eq!(world.heard()[0], Reason::Disconnected);
    assert!(world.kept.disconnected && world.kept.certificate.is_none());
    assert!(world.kept.configuration.is_none());
    let since = world.now.up;
    world.pass(DAY);
    world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1)); // its removal was cut short
    world.restart();
    world.pass(DAY);
    assert!(world.pods.is_empty());
    assert_eq!(world.edge.all_since(since), 0);
}

#[test]
fn a_configuration_that_comes_after_the_disconnect_is_not_applied() {
    let w = workload("w", 1);
    let mut world = linked(&[]);
    world.edge.configuration = configuration("2", &[&w]);
    world.edge.disconnects = true;
    while world.calls.len() < 3 {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    world.calls.make_contiguous().sort_by_key(|call| edge::kind(call) != CallKind::Control);
    world.settle();
    assert!(world.pods.is_empty());
    assert!(world.kept.disconnected && world.kept.configuration.is_none());
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
