//! Certificates: when they are renewed, and what becomes of those that the server doesn't take.

use super::{
    edge::{linked, refused},
    *,
};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn one_401_proves_nothing_and_two_lead_to_a_new_registration() {
    let mut world = linked(&[]);
    world.edge.certificate = Some(world.now.utc); // it ends before its time: the server's clock was set
    while world.edge.kinds().iter().all(|kind| *kind == CallKind::Heartbeat) {
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
fn a_device_whose_renewal_is_refused_again_and_again_says_that_it_is_degraded() {
    let mut world = linked(&[]);
    world.edge.life = DAY;
    world.edge.certificate = Some(world.now.utc);
    world.pass(HOUR);
    assert!(!world.edge.beats.last().unwrap().degraded);
    (world.edge.broken, world.edge.only) = (Some(refused(500)), Some(CallKind::Register));
    world.pass(20 * HOUR);
    assert!(world.edge.beats.last().unwrap().degraded);
    world.edge.broken = None;
    world.pass(HOUR);
    assert!(!world.edge.beats.last().unwrap().degraded);
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
        let mut world = World::managed(PersistedLinkState::default());
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
    assert_eq!(world.edge.kinds()[0], CallKind::Register);
    assert!(!world.edge.kinds().contains(&CallKind::Enrol));
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
                world.happen(Event::Answered(call.kind(), result));
                world.now.utc = real;
            }
            world.now.utc = wrong;
        }
        assert_eq!(world.edge.count(CallKind::Register, since), 1);
        assert!(world.edge.count(CallKind::Heartbeat, since) > 50);
    }
}
