//! Each rule of the link to the edge API, named by its outcome.

use super::{
    edge::{configuration, linked, refused},
    model::call::ServerWorkloadStatus,
    *,
};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_unknown_device_enrols_registers_and_runs_what_the_server_wants() {
    let w = workload("w", 1);
    let mut world = World::managed(PersistedLinkState::default());
    world.edge.configuration = configuration("7", &[&w]);
    world.pass(15 * S);
    assert_eq!(world.edge.kinds()[..2], [CallKind::Enrol, CallKind::Register]);
    assert_eq!(world.ids(), [&w.id]);
    assert_eq!(world.heard(), [Reason::Registered, Reason::ConfigurationApplied, Reason::Started]);
    world.pass(120 * S);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!((beat.version.as_str(), beat.degraded), ("7", false));
    assert_eq!(beat.workloads, [("w".to_string(), ServerWorkloadStatus::Running)]);
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn each_state_of_the_link_has_words_for_people() {
    assert_eq!(World::new().agent.link_summary(), None, "no server is given");
    let mut world = World::managed(PersistedLinkState::default());
    world.happen(Event::Tick);
    assert_eq!(world.agent.link_summary(), Some("enrolling"));
    let mut words = Vec::new();
    let mut follow = |world: &mut World, time: Duration| {
        for _ in 0..time.as_secs() {
            world.pass(S);
            let word = world.agent.link_summary().unwrap();
            if words.last() != Some(&word) {
                words.push(word);
            }
        }
        std::mem::take(&mut words)
    };
    world.edge.approves = false;
    assert_eq!(follow(&mut world, 60 * S), ["registering"]);
    world.edge.known = true;
    let last = |words: Vec<&'static str>| *words.last().unwrap();
    assert_eq!(last(follow(&mut world, 302 * S)), "linked");
    world.edge.broken = Some(CallFailure::Unreachable("connection refused".into()));
    assert_eq!(last(follow(&mut world, HOUR)), "unreachable");
    world.edge.broken = None;
    assert_eq!(last(follow(&mut world, HOUR)), "linked");
    world.restart();
    world.happen(Event::Tick);
    assert_eq!(world.agent.link_summary(), Some("connecting"), "the server was not heard yet");
    world.edge.disconnects = true;
    assert_eq!(last(follow(&mut world, HOUR)), "disconnected");
}

#[test]
fn a_device_that_is_not_approved_asks_for_days_ever_more_slowly_and_says_so_once() {
    let mut world = World::managed(PersistedLinkState::default());
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
fn a_device_whose_certificate_was_lost_on_the_way_asks_to_be_let_in_as_soon_as_it_is_deleted() {
    let mut world = World::managed(PersistedLinkState::default());
    (world.edge.broken, world.edge.only) = (Some(refused(500)), Some(CallKind::Register));
    world.pass(HOUR);
    let since = world.now.up;
    world.edge.known = false; // a person deleted it, and lets it in when it asks
    (world.edge.broken, world.edge.only) = (None, None);
    world.pass(302 * S + 302 * S);
    assert_eq!(world.edge.count(CallKind::Enrol, since), 1);
    assert_eq!(world.heard().last(), Some(&Reason::ConfigurationApplied));
}

#[test]
fn a_registered_device_does_not_register_again_when_it_restarts() {
    let mut world = linked(&[]);
    world.restart();
    world.pass(HOUR);
    assert!(
        !world.edge.kinds().contains(&CallKind::Enrol) && !world.edge.kinds().contains(&CallKind::Register)
    );
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
        let Some(index) = world.calls.iter().position(|call| call.kind() != CallKind::Configuration) else {
            continue;
        };
        world.calls.swap(0, index);
        beats += usize::from(world.calls[0].kind() == CallKind::Heartbeat);
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
fn when_one_call_is_answered_again_the_others_follow_within_a_period() {
    let mut world = linked(&[]);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        world.edge.broken = Some(CallFailure::Unreachable("no route".into()));
        world.pass(3600 * S);
        let since = world.now.up;
        world.edge.broken = None;
        world.pass(310 * S);
        let kinds = [CallKind::Heartbeat, CallKind::Configuration, CallKind::Control];
        let first = |kind| world.edge.came.iter().find(|it| it.0 == kind && it.1 >= since).unwrap().1;
        let firsts = kinds.map(first);
        longest = longest.max(*firsts.iter().max().unwrap() - *firsts.iter().min().unwrap());
    }
    assert!(longest <= 61 * S, "{longest:?}");
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

/// A heartbeat, the configuration and control messages are asked for, and not answered yet.
fn leave_three_calls_open(world: &mut World) {
    while world.calls.len() < 3 {
        world.step(world.now.up + S);
        world.happen(Event::Tick);
    }
    world.calls.clear();
}

#[test]
fn a_late_answer_to_an_earlier_link_says_nothing_about_this_one() {
    let mut world = linked(&[]);
    leave_three_calls_open(&mut world);
    for kind in [CallKind::Configuration, CallKind::Control] {
        world.happen(Event::Answered(kind, Err(refused(401))));
    }
    world.pass(2 * S);
    assert_eq!(world.heard(), [Reason::Failed, Reason::Failed, Reason::Unauthorized, Reason::Registered]);
    world.happen(Event::Answered(CallKind::Heartbeat, Err(refused(404))));
    world.happen(Event::Tick);
    assert_eq!(world.calls.iter().map(Call::kind).collect::<Vec<_>>(), [CallKind::Heartbeat]);
    world.calls.clear();
    world.happen(Event::Answered(CallKind::Heartbeat, Err(refused(404))));
    assert!(!world.heard().contains(&Reason::DeviceUnknown));
}

#[test]
fn a_certificate_that_is_refused_as_another_devices_leads_to_no_new_registration() {
    let mut world = linked(&[]);
    world.edge.broken = Some(refused(403));
    world.pass(DAY);
    assert_eq!(world.edge.count(CallKind::Register, Duration::ZERO), 0);
    assert_eq!(world.agent.link_summary(), Some("linked"));
    world.edge.broken = None;
    world.pass(400 * S);
    assert_eq!(world.edge.unheard(), 0);
}

#[test]
fn a_heartbeat_that_passes_does_not_break_the_row_of_401s() {
    let mut world = linked(&[]);
    leave_three_calls_open(&mut world);
    world.happen(Event::Answered(CallKind::Configuration, Err(refused(401))));
    world.happen(Event::Answered(CallKind::Heartbeat, Ok(Answer::Beaten)));
    assert!(!world.heard().contains(&Reason::Unauthorized), "one proves nothing");
    world.happen(Event::Answered(CallKind::Control, Err(refused(401))));
    assert_eq!(world.heard().last(), Some(&Reason::Unauthorized));
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
fn a_deleted_device_hears_so_before_anything_follows_from_a_404() {
    let w = workload("w", 1);
    for seconds in 0..60 {
        let mut world = linked(&[&w]);
        world.pass(seconds * S);
        let since = world.now.up;
        (world.edge.deleted, world.edge.disconnects) = (true, true);
        world.pass(70 * S);
        assert!(world.pods.is_empty() && world.kept.disconnected, "{seconds}");
        world.pass(DAY);
        assert!(world.edge.count(CallKind::Enrol, since) == 0, "{seconds}");
    }
}

#[test]
fn a_device_whose_registration_is_not_found_asks_why_before_it_asks_to_be_let_in() {
    let gone = |world: &mut World, disconnects: bool| {
        (world.edge.broken, world.edge.only) = (Some(refused(401)), Some(CallKind::Configuration));
        (world.edge.known, world.edge.disconnects) = (false, disconnects);
        world.edge.unknown_is_unregistered = disconnects;
        world.pass(600 * S);
    };
    let mut world = linked(&[]);
    gone(&mut world, true);
    assert_eq!(world.agent.link_summary(), Some("disconnected"));
    assert_eq!(world.edge.count(CallKind::Enrol, Duration::ZERO), 0);
    let mut world = linked(&[]);
    gone(&mut world, false);
    assert!(world.edge.count(CallKind::Enrol, Duration::ZERO) > 0, "{:?}", world.edge.came);
}

#[test]
fn a_registration_that_fails_for_ever_degrades_the_device_and_says_what_to_do() {
    let failures = [
        refused(500),
        CallFailure::Taken("delete it there first".into()),
        CallFailure::Local("no CERT".into()),
    ];
    for failure in failures {
        let mut world = World::managed(PersistedLinkState::default());
        (world.edge.broken, world.edge.only) = (Some(failure.clone()), Some(CallKind::Register));
        world.pass(HOUR);
        let report = world.agent.report(world.now);
        assert!(!report.device.healthy, "{failure:?}");
        assert_eq!(report.device.server.unwrap().troubles.len(), 1);
        world.edge.broken = None;
        world.pass(302 * S);
        assert!(world.agent.report(world.now).device.healthy);
    }
    let mut world = World::managed(PersistedLinkState::default());
    world.edge.approves = false;
    world.pass(DAY);
    assert!(world.agent.report(world.now).device.healthy, "waiting for approval is no failure");
}

#[test]
fn a_change_of_state_brings_the_next_heartbeat_forward() {
    let w = workload("w", 1);
    let mut world = linked(&[]);
    world.edge.configuration = configuration("2", &[&w]);
    let runs = |world: &World| {
        let beat = world.edge.beats.last().unwrap();
        beat.workloads.first().is_some_and(|it| it.1 == ServerWorkloadStatus::Running)
    };
    while world.pods.is_empty() {
        world.pass(S / 10);
    }
    world.pass(8 * S);
    assert!(runs(&world));
    world.pass(120 * S);
    world.exit(&w.id, 1, S);
    world.pass(8 * S);
    assert_eq!(world.edge.beats.last().unwrap().workloads[0].1, ServerWorkloadStatus::Crashed);
    let since = world.now.up;
    for _ in 0..180 {
        world.pass(20 * S);
        world.exit(&w.id, 1, S);
    }
    let beats = world.edge.count(CallKind::Heartbeat, since);
    assert!(beats < 60 * 4, "no stream of them: {beats} in an hour");
}

#[test]
fn after_the_disconnect_nothing_is_said_to_be_tried_again() {
    let mut world = linked(&[]);
    (world.edge.broken, world.edge.only) = (Some(refused(503)), Some(CallKind::Heartbeat));
    world.pass(66 * S);
    let troubles = |world: &World| world.agent.report(world.now).device.server.unwrap().troubles;
    assert!(troubles(&world)[0].contains("it is tried again"));
    world.edge.disconnects = true;
    world.pass(66 * S);
    assert_eq!(world.agent.link_summary(), Some("disconnected"));
    assert_eq!(troubles(&world), [""; 0]);
}

#[test]
fn a_configuration_in_another_order_is_neither_applied_nor_told_nor_written() {
    let profile = |name: &str, conditions: [&str; 2]| Profile {
        name: name.into(),
        conditions: conditions
            .map(|name| Condition { name: name.into(), expression: "x > 1".into(), ..Condition::default() })
            .into(),
    };
    let listed = |names: [&str; 2]| {
        let condition = |name: &str| ListedCondition { name: name.into(), cpu: None };
        let conditions: Vec<_> = names.map(condition).into();
        ["p", "q"].map(|name| ListedProfile { name: name.into(), conditions: conditions.clone() })
    };
    let (mut a, b) = (workload("a", 1), workload("b", 1));
    a.profiles = listed(["hot", "low"]).into();
    let mut first = configuration("1", &[&a, &b]);
    first.desired.profiles = vec![profile("p", ["hot", "low"]), profile("q", ["hot", "low"])];
    first.desired.unreadable = vec!["c".into(), "d".into()];
    first.problems = vec!["one".into(), "another".into()];
    a.profiles = listed(["low", "hot"]).into_iter().rev().collect();
    let mut second = configuration("2", &[&b, &a]);
    second.desired.profiles = vec![profile("q", ["low", "hot"]), profile("p", ["low", "hot"])];
    second.desired.unreadable = vec!["d".into(), "c".into()];
    second.problems = vec!["another".into(), "one".into()];

    let mut world = linked(&[]);
    world.edge.configuration = first;
    world.pass(200 * S);
    world.took();
    world.said.clear();
    world.edge.configuration = second.clone();
    world.pass(HOUR);
    assert_eq!((world.heard(), world.took()), (vec![], vec![]));
    assert_eq!(world.kept.configuration.as_ref().unwrap().version, "1", "nothing is written");
    assert_eq!(world.edge.beats.last().unwrap().version, "2");
    second.desired.profiles[0].conditions[0].expression = "x > 2".into();
    world.edge.configuration = second;
    world.pass(70 * S);
    assert_eq!(world.heard(), [Reason::ConfigurationApplied]);
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
    world.calls.make_contiguous().sort_by_key(|call| call.kind() != CallKind::Control);
    world.settle();
    assert!(world.pods.is_empty());
    assert!(world.kept.disconnected && world.kept.configuration.is_none());
}
