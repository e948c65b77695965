//! CPU limits per condition.

use super::*;

/// Runs while x is below 3 or unset, with these limits: of `low`, and of a second profile's `hot`.
fn limited(low: Option<u64>, hot: Option<u64>) -> Workload {
    let mut w = workload("w", 1);
    let listed = |name: &str, cpu| {
        vec![ListedCondition { name: "low".into(), cpu: low }, ListedCondition { name: name.into(), cpu }]
    };
    w.profiles = vec![ListedProfile { name: "p".into(), conditions: listed("hot", hot) }];
    w
}

fn limit_of(world: &World, w: &Workload) -> Option<u64> {
    world.limits.get(&w.id).copied()
}

#[test]
fn the_smallest_limit_of_the_conditions_that_hold_applies_at_once_without_a_restart() {
    let w = limited(Some(50_000), Some(20_000));
    let mut world = World::running(&[&w]);
    assert_eq!(limit_of(&world, &w), Some(50_000), "as soon as the pod runs");
    world.post_and_settle("hot", 2.0);
    assert_eq!(limit_of(&world, &w), Some(20_000));
    world.post_and_settle("x", 10.0);
    assert_eq!(limit_of(&world, &w), Some(20_000), "low is false");
    world.post("x", None);
    world.post_and_settle("hot", None);
    assert_eq!(limit_of(&world, &w), Some(50_000));
    assert!(world.took().iter().all(|order| order.starts_with("limit ")));
    world.pass(3600 * S);
    assert!(world.took().is_empty());
}

#[test]
fn a_condition_without_a_limit_does_not_lift_anothers_and_when_none_gives_one_the_pod_is_free() {
    let w = limited(None, Some(20_000));
    let mut world = World::running(&[&w]);
    assert_eq!(limit_of(&world, &w), None);
    world.post_and_settle("hot", 2.0);
    assert_eq!(limit_of(&world, &w), Some(20_000));
    world.post_and_settle("hot", 0.0);
    assert_eq!(limit_of(&world, &w), None);
    assert_eq!(world.took().len(), 2);
}

#[test]
fn a_new_pod_gets_its_limit_again_and_an_adopted_one_the_limit_of_today() {
    let w = limited(Some(50_000), None);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, S);
    world.limits.clear(); // the new pod's control group is new
    world.pass(30 * S);
    assert_eq!(limit_of(&world, &w), Some(50_000));
    world.took();

    world.limits.insert(w.id.clone(), 7_000); // a limit that the profiles gave before the agent's restart
    let fresh = World::new();
    world.agent = fresh.agent;
    world.want_and_settle(&[&w]);
    assert_eq!(limit_of(&world, &w), Some(50_000));
    assert_eq!(world.took(), [format!("look {}", w.id), format!("limit {} Some(50000)", w.id)]);
}

#[test]
fn a_limit_given_to_a_running_workload_or_taken_from_it_restarts_nothing() {
    let free = workload("w", 1);
    let bound = limited(Some(50_000), None);
    let mut world = World::running(&[&free]);
    world.want_and_settle(&[&bound]);
    assert_eq!(limit_of(&world, &bound), Some(50_000));
    world.want_and_settle(&[&free]);
    assert_eq!(limit_of(&world, &free), None);
    assert_eq!(world.took().len(), 2);
}

#[test]
fn where_limits_cannot_be_had_it_is_said_once_and_the_workload_runs() {
    let w = limited(Some(50_000), Some(20_000));
    let mut world = World::new();
    world.want(&[&w]);
    world.answer(); // the list
    world.answer(); // the images
    world.answer(); // the start
    world.broken = Some(Failure::Workload("no control group".into()));
    world.settle();
    for hot in [2.0, 0.0, 2.0, 0.0] {
        world.post_and_settle("hot", hot);
    }
    assert_eq!(world.heard(), [Reason::Started, Reason::Unsupported]);
    assert_eq!(world.pods.len(), 1);
    world.took();
    world.pass(600 * S);
    assert!(world.took().is_empty(), "what was refused is not tried again and again");
}

#[test]
fn a_limit_that_the_engine_did_not_answer_is_tried_again() {
    let w = limited(None, Some(20_000));
    let mut world = World::running(&[&w]);
    world.engine_gone = true;
    world.post_and_settle("hot", 2.0);
    world.pass(S);
    world.engine_gone = false;
    world.pass(60 * S);
    assert_eq!(limit_of(&world, &w), Some(20_000));
}

#[test]
fn a_limit_whose_outcome_comes_while_the_pod_is_not_wanted_is_none_of_the_next_one() {
    let w = limited(None, Some(20_000));
    let mut world = World::running(&[&w]);
    world.post("hot", 2.0);
    world.want(&[]); // removed, and limited before that is done
    world.settle();
    world.want_and_settle(&[&w]);
    assert_eq!(limit_of(&world, &w), Some(20_000));
}

#[test]
fn a_pod_is_made_with_its_limit() {
    let w = limited(Some(50_000), None);
    let mut world = World::starting(&w);
    world.settle();
    assert_eq!(limit_of(&world, &w), Some(50_000));
    assert_eq!(world.took(), [""; 0], "nothing is left to do");
}

#[test]
fn a_limit_that_met_no_pod_yet_is_given_when_there_is_one() {
    let w = limited(None, Some(20_000));
    let mut world = World::starting(&w);
    world.post("hot", 2.0);
    let limit = world.orders.pop_back().expect("a limit");
    assert_eq!(limit.task, Task::Limit { id: w.id.clone(), cpu: Some(20_000) });
    world.settle(); // the pod is there
    world.happen(Event::Done(Outcome { engine: limit.engine, ticket: limit.ticket, result: Ok(Fact::Gone) }));
    world.settle();
    assert_eq!(limit_of(&world, &w), Some(20_000));
}

#[test]
fn the_pods_own_limit_holds_where_no_condition_gives_a_smaller_one() {
    let w = Workload { cpu: Some(30_000), ..limited(Some(50_000), Some(20_000)) };
    let mut world = World::running(&[&w]);
    assert_eq!(limit_of(&world, &w), Some(30_000));
    world.post_and_settle("hot", 2.0);
    assert_eq!(limit_of(&world, &w), Some(20_000));
    world.post_and_settle("hot", None);
    assert_eq!(limit_of(&world, &w), Some(30_000));
}
