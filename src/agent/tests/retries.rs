//! What runs to its end, and is tried again for a while: `Job` and `CronJob`.

use super::*;

fn job(retries: u32) -> Workload {
    let schedule = schedule::Schedule::Service(schedule::Backoff::OF_RUNS);
    Workload { schedule, retries: Some(retries), restart: RestartPolicy::Never, ..workload("w", 1) }
}

fn starts(world: &mut World) -> usize {
    world.took().iter().filter(|it| it.starts_with("start")).count()
}

#[test]
fn a_job_is_tried_again_as_often_as_it_says_with_growing_waits_and_then_has_failed() {
    let w = job(2);
    let mut world = World::running(&[&w]);
    world.took();
    for wait in [10, 20] {
        world.exit(&w.id, 3, 5 * S);
        world.settle();
        world.pass((wait - 1) * S);
        assert_eq!(starts(&mut world), 0, "{wait}");
        world.pass(2 * S);
        assert_eq!(starts(&mut world), 1, "{wait}");
    }
    world.exit(&w.id, 3, 5 * S);
    world.settle();
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 3));
    assert!(world.explain("w").starts_with("w is failed"), "{}", world.explain("w"));
}

#[test]
fn a_job_that_ends_well_or_may_not_be_tried_again_runs_once() {
    for (w, code) in [(job(2), 0), (job(0), 3)] {
        let mut world = World::running(&[&w]);
        world.took();
        world.exit(&w.id, code, 5 * S);
        world.settle();
        world.pass(3600 * S);
        assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, code));
    }
}

#[test]
fn the_tries_of_a_job_share_its_deadline() {
    let w = Workload { deadline: Some(30 * S), ..job(5) };
    let mut world = World::running(&[&w]);
    world.pass(15 * S);
    world.exit(&w.id, 3, 5 * S);
    world.settle();
    world.pass(11 * S);
    assert_eq!(world.pods.len(), 1);
    world.pass(5 * S);
    world.took();
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 137));
}

#[test]
fn a_run_of_a_cron_job_is_tried_again_and_the_next_slot_begins_anew() {
    let w = Workload { retries: Some(1), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(14 * 60 * S);
    assert_eq!(starts(&mut world), 1);
    world.exit(&w.id, 3, 5 * S);
    world.settle();
    world.pass(11 * S);
    assert_eq!(starts(&mut world), 1, "the second try");
    world.exit(&w.id, 3, 5 * S);
    world.settle();
    world.pass(600 * S);
    assert_eq!(starts(&mut world), 0, "no third one");
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 1, "the next slot");
    world.exit(&w.id, 3, 5 * S);
    world.settle();
    world.pass(11 * S);
    assert_eq!(starts(&mut world), 1, "it is tried again, too");
}
