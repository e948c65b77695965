//! Conditions that ask whether the device has a piece of hardware.

use super::*;
use model::{record::BuiltInMetrics, subsystem::Subsystem};

const CAMERA: &str = "device.present(\"/dev/video0\")";

/// While the camera is there.
fn filming(world: &mut World) -> Workload {
    world.profiles[0].conditions[0].expression = format!("{CAMERA} == 1");
    gated("a", "low")
}

/// Runs although nothing was asked of the device yet.
fn running() -> (World, Workload) {
    let mut world = World::running(&[&gated("a", "low")]);
    let a = filming(&mut world);
    (world, a)
}

#[test]
fn plugging_it_in_starts_what_needs_it_and_pulling_it_out_stops_that() {
    let mut world = World::new();
    let a = filming(&mut world);
    world.want_and_settle(&[&a]);
    assert!(world.pods.is_empty());
    let why = "low is false: device.present(\"/dev/video0\") == 1, and device.present(\"/dev/video0\") is 0\n\
               remedy: it starts by itself when one of these is true\n"; // nothing can be posted
    assert!(world.explain("a").ends_with(why), "{}", world.explain("a"));
    world.plugged.insert(CAMERA);
    world.look();
    world.settle();
    assert_eq!(world.pods.len(), 1);
    world.plugged.clear();
    world.look();
    world.settle();
    assert!(world.pods.is_empty());
    assert!(world.took().contains(&format!("remove {}", a.id)));
}

#[test]
fn an_announcement_that_is_lost_counts_after_a_minute() {
    let mut world = World::new();
    let a = filming(&mut world);
    world.want_and_settle(&[&a]);
    world.pass(S);
    world.plugged.insert(CAMERA);
    world.pass(58 * S);
    assert!(world.pods.is_empty());
    world.pass(S);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn nothing_is_looked_at_that_no_condition_asks_for() {
    let mut world = World::new();
    world.want_and_settle(&[&gated("a", "low")]);
    world.pass(600 * S);
    assert_eq!(world.looks, 0);
    let before = world.profiles.clone();
    let a = filming(&mut world);
    world.want_and_settle(&[&a]);
    assert_eq!((world.looks, &world.watched[..]), (1, &[Arc::from(CAMERA)][..]));
    world.want_and_settle(&[&a]);
    assert_eq!(world.looks, 1, "it is known already");
    world.profiles = before;
    world.want_and_settle(&[&a]);
    assert_eq!((world.looks, &world.watched[..]), (2, &[][..]));
    world.pass(600 * S);
    assert_eq!(world.looks, 2);
}

#[test]
fn what_runs_isnt_stopped_before_it_is_known_whether_the_device_is_there() {
    let (mut world, a) = running();
    world.blind = true;
    world.plugged.insert(CAMERA);
    world.want_and_settle(&[&a]);
    world.pass(4 * S);
    world.blind = false;
    world.look();
    world.pass(10 * S);
    assert_eq!((world.pods.len(), world.took()), (1, Vec::new()));
}

#[test]
fn what_cant_be_told_of_the_device_stays_as_it_was() {
    let (mut world, a) = running();
    world.plugged.insert(CAMERA);
    world.want_and_settle(&[&a]);
    world.took();
    world.happen(Event::Hardware(BuiltInMetrics::new()));
    world.blind = true;
    world.pass(600 * S);
    assert_eq!((world.pods.len(), world.took()), (1, Vec::new()));
    assert_eq!(world.built_in_metrics.get(CAMERA), Some(&1.0));
}

#[test]
fn a_first_look_that_cant_tell_holds_up_what_runs_as_none_does() {
    let (mut world, a) = running();
    world.blind = true;
    world.want_and_settle(&[&a]);
    world.happen(Event::Hardware(BuiltInMetrics::new()));
    world.pass(4 * S);
    assert_eq!((world.pods.len(), world.took()), (1, Vec::new()));
    world.pass(S);
    assert_eq!(world.pods.len(), 0);
}

#[test]
fn where_nothing_can_be_looked_at_that_holds_nothing_up_for_long() {
    let (mut world, a) = running();
    world.blind = true;
    world.want_and_settle(&[&a, &workload("b", 1)]);
    world.pass(4 * S);
    assert_eq!(world.pods.keys().next(), Some(&a.id));
    world.pass(S);
    assert_eq!(world.pods.values().map(|it| &*it.0).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_restart_of_the_agent_changes_nothing() {
    let (mut world, a) = running();
    world.plugged.insert(CAMERA);
    world.want_and_settle(&[&a]);
    world.took();
    world.agent = Agent::new(Setup { built_in_metrics: world.built_in_metrics.clone(), ..first_setup() });
    (world.blind, world.orders) = (true, VecDeque::new());
    world.want_and_settle(&[&a]);
    world.pass(30 * S);
    assert_eq!((world.pods.len(), world.took()), (1, vec![format!("look {}", a.id)]));
}

#[test]
fn that_nothing_is_announced_degrades_the_device() {
    let mut world = World::new();
    world.happen(Event::Works(Subsystem::Hardware, Err("no announcements: EPERM".into())));
    let report = world.agent.report(world.now);
    let why = "hardware that comes or goes is noticed a minute later: no announcements: EPERM";
    assert_eq!((report.device.healthy, report.device.problems), (false, vec![why.into()]));
}
