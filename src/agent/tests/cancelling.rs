//! Starts that are cut short: init containers may take minutes.

use super::*;

impl World {
    /// A world in which the start of this is under way.
    pub(super) fn starting(w: &Workload) -> Self {
        let mut world = Self::new();
        world.want(&[w]);
        while !world.orders.iter().any(|order| matches!(order.task, Task::Start(..))) {
            world.answer();
        }
        world.took();
        world
    }
}

#[test]
fn a_condition_that_turns_false_while_the_pod_is_made_cuts_that_short_and_is_no_failure() {
    let w = gated("w", "low");
    let mut world = World::starting(&w);
    world.post("x", 9.0);
    assert_eq!(world.took(), [format!("cancel {}", w.id)]);
    world.post_and_settle("x", 10.0);
    assert!(world.pods.is_empty() && world.took().is_empty());
    assert_eq!(world.heard(), [Reason::Inactive, Reason::Stopped]);
    world.post_and_settle("x", 1.0);
    assert_eq!(world.took(), [format!("start {}", w.id)], "it doesn't wait, as after a failure");
}

#[test]
fn a_start_that_failed_by_itself_when_it_was_cut_short_is_no_failure_either() {
    let w = gated("w", "low");
    let mut world = World::starting(&w);
    world.post("x", 9.0);
    world.post("x", 1.0);
    let order = world.orders.pop_front().unwrap();
    let result = Err(Failure::Workload("an init container has ended with exit code 137".into()));
    world.happen(Event::Done(Outcome { engine: order.engine, ticket: order.ticket, result }));
    world.settle();
    assert_eq!(world.took(), [format!("cancel {}", w.id), format!("start {}", w.id)]);
    assert!(!world.heard().contains(&Reason::BackOff));
}

#[test]
fn a_pod_that_was_made_before_its_start_could_be_cut_short_is_stopped_or_runs_on_as_is_right_then() {
    for (x, expected) in [(9.0, true), (1.0, false)] {
        let w = gated("w", "low");
        let mut world = World::starting(&w);
        world.post("x", 9.0);
        let cancel = world.orders.pop_back().unwrap(); // comes too late
        assert_eq!(cancel.task, Task::Cancel(w.id.clone()));
        world.post_and_settle("x", x);
        assert_eq!(world.pods.is_empty(), expected);
    }
}

#[test]
fn an_update_whose_start_came_about_all_the_same_has_its_time_to_come_up_and_no_more() {
    let w = gated("w", "low");
    let update = Workload { profiles: w.profiles.clone(), ..changed(&w) };
    let mut world = World::running(&[&w]);
    world.pass(60 * S);
    world.want(&[&update]);
    while !world.orders.iter().any(|order| matches!(order.task, Task::Start(..))) {
        world.answer();
    }
    world.post("x", 9.0);
    world.orders.retain(|order| !matches!(order.task, Task::Cancel(_))); // comes too late
    world.post_and_settle("x", 1.0);
    for _ in 0..60 {
        if world.pods.get(&update.id).is_some_and(|pod| pod.1 == ContainerState::Running) {
            world.exit(&update.id, 1, 3 * S);
        }
        world.pass(10 * S);
    }
    assert!(world.heard().contains(&Reason::RolledBack));
    assert_eq!(world.ids(), [&w.id]);
}

#[test]
fn another_content_does_not_wait_for_the_start_of_the_one_before() {
    let (old, new) = (workload("w", 1), workload("w", 2));
    let mut world = World::starting(&old);
    world.want(&[&new]);
    assert_eq!(world.took(), [format!("cancel {}", old.id), format!("pull {}", new.id)]);
    world.settle();
    assert_eq!(world.ids(), [&new.id]);
}

#[test]
fn a_workload_that_is_not_wanted_any_more_is_not_made_to_its_end() {
    let w = workload("w", 1);
    let mut world = World::starting(&w);
    world.want_and_settle(&[]);
    assert_eq!(world.took(), [format!("cancel {}", w.id), format!("remove {}", w.id)]);
    assert!(world.pods.is_empty());
}
