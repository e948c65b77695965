//! Slow orders don't hold up others.

use std::time::Duration;

use device_worker_ng::agent::order::{Fact, Outcome, Task};
use serde_json::{Value, json};

use super::bed::{Bed, container, pod, states, workload};
use crate::support::{Gate, SLEEP};

#[test]
fn a_slow_stop_and_a_slow_play_do_not_delay_another_start() {
    let Some(bed) = Bed::new() else { return };
    let gate = Gate::new();
    let slow = |name: &str, mut specification: Value| {
        gate.mount(&mut specification);
        workload(name, specification)
    };
    let deaf = format!("trap '' TERM; {}", Gate::WAIT);
    let deaf = slow("deaf", json!({ "containers": [container("a", &deaf)] }));
    let play = slow(
        "slow",
        json!({ "initContainers": [container("i", Gate::WAIT)], "containers": [container("a", SLEEP)] }),
    );
    let quick = workload("quick", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&deaf);
    let stopping = bed.submit(Task::Remove { id: deaf.id.clone(), grace: Duration::from_secs(60) });
    let playing = bed.submit(Task::Start(play));
    assert_eq!(states(&bed.start(&quick)), ["a running"]);
    assert!(bed.events.is_empty(), "the slow ones were over too early to show anything");
    gate.open();
    for _ in 0..2 {
        match bed.outcome() {
            Outcome { ticket, result, .. } if ticket == stopping => assert_eq!(result, Ok(Fact::Gone)),
            Outcome { ticket, result, .. } => {
                assert_eq!((ticket, states(&pod(result))), (playing, vec!["a running".into()]));
            }
        }
    }
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
