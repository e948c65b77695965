//! Pods that may be active for so long only.

use super::*;

fn limited() -> Workload {
    Workload { deadline: Some(30 * S), ..workload("w", 1) }
}

/// Its time is over after so many seconds, and not before.
fn assert_over_after(seconds: u32, world: &mut World, w: &Workload) {
    world.pass((seconds - 1) * S);
    assert!(world.took().is_empty());
    world.pass(S);
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
    let heard = world.heard();
    assert_eq!(heard[heard.len() - 2..], [Reason::DeadlineExceeded, Reason::Stopped]);
    assert_eq!(world.remembered[&w.id].code, 137);
    assert!(world.pods.is_empty());
}

#[test]
fn a_pod_ends_as_failed_when_its_time_is_over_and_is_not_started_again() {
    let w = limited();
    let mut world = World::running(&[&w]);
    assert_over_after(30, &mut world, &w);
    let said = "w is failed: its activeDeadlineSeconds (30) are over; it is not started again\n";
    assert!(world.explain("w").starts_with(said), "{}", world.explain("w"));
    world.pass(3600 * S);
    assert!(world.took().is_empty());
    let mut rebooted = World::with(world.remembered.clone());
    rebooted.want(&[&w]);
    rebooted.settle();
    assert!(rebooted.took().is_empty());
}

#[test]
fn a_restart_by_hand_gives_it_its_time_anew() {
    let w = limited();
    let mut world = World::running(&[&w]);
    world.pass(40 * S);
    assert!(world.pods.is_empty());
    world.restart_of("w");
    world.settle();
    assert_eq!(world.pods.len(), 1);
    world.took();
    world.pass(29 * S);
    assert_eq!(world.pods.len(), 1);
    world.pass(2 * S);
    assert!(world.pods.is_empty());
}

#[test]
fn one_that_was_there_before_this_process_has_what_is_left_of_its_time() {
    let w = limited();
    let mut world = World::running(&[&w]);
    world.began = world.now.utc - 25 * S;
    world.restart();
    world.want_and_settle(&[&w]);
    world.took();
    assert_over_after(5, &mut world, &w);
}

#[test]
fn init_containers_count_and_their_start_is_cut_short() {
    let w = limited();
    let mut world = World::starting(&w);
    world.step(world.now.up + 30 * S);
    world.happen(Event::Tick);
    assert_eq!(world.took(), [format!("cancel {}", w.id)]);
    world.pass(3600 * S);
    assert!(world.took().is_empty() && world.pods.is_empty());
    assert_eq!(world.remembered[&w.id].code, 137);
}

#[test]
fn a_pod_of_a_cron_schedule_ends_and_runs_again_at_its_next_slot() {
    let w = Workload { deadline: Some(30 * S), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(14 * 60 * S);
    assert!(world.pods.is_empty());
    let took = world.took();
    assert_eq!(took.last(), Some(&format!("remove {}", w.id)), "{took:?}");
    world.pass(3600 * S);
    let took = world.took();
    assert!(took.contains(&format!("start {}", w.id)), "{took:?}");
}
