//! Slow orders don't hold up others.

use std::time::{Duration, Instant};

use device_worker_ng::agent::order::{Fact, Task};
use serde_json::json;

use super::bed::{Bed, container, pod, states, workload};
use crate::support::SLEEP;

#[test]
fn a_slow_stop_and_a_slow_play_do_not_delay_another_start() {
    let Some(bed) = Bed::new() else { return };
    let deaf = workload(
        "deaf",
        json!({ "containers": [container("a", "trap '' TERM; while true; do sleep 1; done")] }),
    );
    let slow = workload(
        "slow",
        json!({
            "initContainers": [container("i", "sleep 6")],
            "containers": [container("a", SLEEP)],
        }),
    );
    let quick = workload("quick", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&deaf);
    let began = Instant::now();
    let stop = bed.submit(Task::Remove { id: deaf.id.clone(), grace: Duration::from_secs(10) });
    let play = bed.submit(Task::Start(slow.clone()));
    std::thread::park_timeout(Duration::from_millis(500)); // both are under way
    let start = bed.submit(Task::Start(quick.clone()));
    let outcomes = [bed.outcome(), bed.outcome(), bed.outcome()];
    let took = began.elapsed();
    let order: Vec<_> = outcomes.iter().map(|outcome| outcome.ticket).collect();
    assert_eq!(order, [start, play, stop], "{took:?}");
    assert!(took > Duration::from_secs(9), "the stop didn't wait for its grace: {took:?}");
    let [quick_up, slow_up, deaf_gone] = outcomes.map(|outcome| outcome.result);
    assert_eq!(states(&pod(quick_up)), ["a running"]);
    assert_eq!(states(&pod(slow_up)), ["a running"]);
    assert_eq!(deaf_gone, Ok(Fact::Gone));
}

#[test]
fn more_orders_than_places_are_all_answered_once() {
    let Some(bed) = Bed::new() else { return };
    let mut asked: Vec<_> = (0..100).map(|_| bed.submit(Task::List)).collect();
    let mut answered: Vec<_> = (0..100).map(|_| bed.outcome().ticket).collect();
    asked.sort_unstable();
    answered.sort_unstable();
    assert_eq!(asked, answered);
    assert!(bed.events.is_empty());
}
