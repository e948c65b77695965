//! Slow orders don't hold up others.

use std::time::{Duration, Instant};

use device_worker_ng::agent::model::order::{Fact, Failure, Grace, Order, Outcome, Task, Ticket};
use serde_json::{Value, json};

use super::bed::{Bed, ENGINE, container, pod, states, workload};
use crate::support::{Gate, SLEEP, poll};

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
    let stopping =
        bed.submit(Task::Remove { id: deaf.id.clone(), grace: Grace::Given(Duration::from_secs(60)) });
    let playing = bed.submit(Task::Start(play, None));
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
fn a_start_that_is_cut_short_ends_soon_and_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    let workload = workload(
        "cut",
        json!({ "initContainers": [container("i", deaf)], "containers": [container("a", SLEEP)] }),
    );
    let cancel = || {
        let task = Task::Cancel(workload.id.clone());
        let outcome = bed.podman.submit(Order { engine: ENGINE, ticket: Ticket(0), task });
        assert_eq!(outcome.map(|it| it.result), Some(Ok(Fact::Gone)), "at once");
    };
    for begun in [false, true] {
        let start = bed.submit(Task::Start(workload.clone(), None));
        if begun {
            poll(|| (bed.state(&workload.id, "i")["Status"] == "running").then_some(())).expect("it runs");
        }
        let at = Instant::now();
        cancel();
        let outcome = bed.outcome();
        assert_eq!((outcome.ticket, outcome.result), (start, Ok(Fact::Gone)));
        assert!(at.elapsed() < Duration::from_secs(30), "a play may take 120 s");
        assert_eq!(bed.remains(&workload.id), [""; 0]);
        cancel(); // of nothing
    }
}

#[test]
fn a_list_does_not_wait_for_a_slow_init_container() {
    let Some(bed) = Bed::new() else { return };
    let gate = Gate::new();
    let mut specification =
        json!({ "initContainers": [container("i", Gate::WAIT)], "containers": [container("a", SLEEP)] });
    gate.mount(&mut specification);
    let slow = workload("slow", specification);
    let start = bed.submit(Task::Start(slow.clone(), None));
    poll(|| (bed.state(&slow.id, "i")["Status"] == "running").then_some(())).expect("it runs");
    assert_eq!(bed.list().len(), 1);
    gate.open();
    let outcome = bed.outcome();
    assert_eq!((outcome.ticket, states(&pod(outcome.result))), (start, vec!["a running".into()]));
}

#[test]
fn an_init_container_that_never_ends_is_named_and_nothing_else_waits_for_it() {
    let Some(bed) = Bed::new() else { return };
    let stuck = workload(
        "stuck",
        json!({
            "initContainers": [container("first", "true"), container("second", "exec sleep infinity")],
            "containers": [container("a", SLEEP)],
        }),
    );
    let quick = workload("quick", json!({ "containers": [container("a", SLEEP)] }));
    let (at, start) = (Instant::now(), bed.submit(Task::Start(stuck.clone(), None)));
    poll(|| (bed.state(&stuck.id, "second")["Status"] == "running").then_some(())).expect("it runs");
    while at.elapsed() < Duration::from_secs(110) {
        let others = Instant::now();
        assert_eq!(states(&bed.start(&quick)), ["a running"]);
        assert_eq!(
            bed.order(Task::Rehearse { workload: quick.clone(), moves: false })
                .map_err(|it| format!("{it:?}")),
            Ok(Fact::Fit { fetched: vec![], holders: vec![] })
        );
        assert_eq!(states(&bed.look(&quick)), ["a running"]);
        assert_eq!(bed.remove(&quick), Ok(Fact::Gone));
        assert!(others.elapsed() < Duration::from_secs(60), "they took {:?}", others.elapsed());
        std::thread::sleep(Duration::from_secs(15));
    }
    let outcome = bed.outcome();
    let why = "init container 'second' did not end within 120 s";
    assert_eq!((outcome.ticket, outcome.result), (start, Err(Failure::Workload(why.into()))));
    assert!(at.elapsed() < Duration::from_secs(180), "it took {:?}", at.elapsed());
    assert_eq!(bed.remains(&stuck.id), [""; 0]);
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
