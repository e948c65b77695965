//! A container that ends is started again in its pod.

use super::{schedule::Backoff, *};

const POLICY: Backoff = Backoff::Exponential { initial: S, multiplier: 10.0, randomization: 0.0 };

fn crashing() -> Workload {
    Workload { schedule: schedule::Schedule::Service(POLICY), ..workload("w", 1) }
}

/// How long it waits after it ended.
fn waits(world: &mut World, w: &Workload, ran: Duration) -> u64 {
    world.exit(&w.id, 1, ran);
    world.took();
    let before = world.now.up;
    for _ in 0..1000 {
        world.pass(S);
        if world.took() == [format!("restart a of {}", w.id)] {
            return (world.now.up - before).as_secs();
        }
    }
    panic!("never");
}

#[test]
fn each_end_waits_longer_until_a_long_run_forgives_them() {
    let w = crashing();
    let mut world = World::running(&[&w]);
    assert_eq!([2, 2, 299].map(|ran| waits(&mut world, &w, ran * S)), [1, 10, 100]);
    assert_eq!([300, 2].map(|ran| waits(&mut world, &w, ran * S)), [1, 10]);
    assert_eq!(world.agent.report(world.now).workloads[0].restarts, 5);
}

#[test]
fn people_and_the_server_are_told_who_ended_and_when_it_is_started_again() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 7, 3 * S);
    let explained = world.explain("w");
    assert!(
        explained.starts_with("w is back-off: container 'a' ended with exit code 7 after 3 s\n"),
        "{explained}"
    );
    assert!(explained.contains("next: in 20s\n"), "{explained}");
    assert_eq!(world.agent.workloads["w"].server_status(), call::ServerWorkloadStatus::Crashed);
    world.pass(20 * S);
    assert_eq!(world.agent.workloads["w"].server_status(), call::ServerWorkloadStatus::Running);
    assert!(world.explain("w").starts_with("w is running\n"), "{}", world.explain("w"));
    assert_eq!(world.heard(), [Reason::BackOff, Reason::Started]);
}

#[test]
fn conditions_that_fail_meanwhile_stop_the_pod_at_once_and_its_next_start_does_not_wait() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, S);
    world.took();
    world.post_and_settle("x", 9.0);
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
    world.post_and_settle("x", 1.0);
    assert_eq!(world.took(), [format!("start {}", w.id)]);
    world.pass(30 * S);
    assert!(world.took().is_empty());
}

#[test]
fn another_agent_goes_on_where_this_one_was_killed() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, S);
    world.pass(15 * S);
    world.restart();
    world.want_and_settle(&[&w]);
    world.took();
    world.pass(5 * S);
    assert_eq!(world.took(), [format!("restart a of {}", w.id)]);
}

#[test]
fn a_pod_whose_only_container_cannot_be_started_again_is_made_anew() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, S);
    world.took();
    world.unstartable = true;
    world.pass(20 * S);
    assert_eq!(world.took(), [format!("restart a of {}", w.id)]);
    assert_eq!(world.said.last().unwrap().message, "workload 'w': no such command; tried again in 20 s");
    world.unstartable = false;
    world.pass(20 * S);
    assert_eq!(world.took(), [format!("remove {}", w.id), format!("start {}", w.id)]);
}

#[test]
fn a_container_whose_hook_failed_is_ended_and_started_again_in_its_pod_after_its_back_off() {
    let w = crashing();
    let mut world = World::new();
    world.unhooked = Some("container 'a': its postStart hook failed: exit code 1");
    world.want_and_settle(&[&w]);
    let [end, look, restart] = ["end a of", "look", "restart a of"].map(|what| format!("{what} {}", w.id));
    let took = world.took();
    assert_eq!(took[took.len() - 2..], [end.clone(), look.clone()]);
    let said = &world.said.last().unwrap().message;
    assert_eq!(
        *said,
        "workload 'w': container 'a': its postStart hook failed: exit code 1; it is started anew after its back-off"
    );
    let explained = world.explain("w");
    assert!(explained.starts_with("w is back-off: container 'a': its postStart hook failed"), "{explained}");
    world.pass(S);
    assert_eq!(world.took(), [restart.clone(), end, look]);
    world.unhooked = None;
    world.pass(9 * S);
    assert_eq!(world.took(), [""; 0], "the second wait is longer");
    world.pass(2 * S);
    assert_eq!(world.took(), [restart]);
    assert!(world.explain("w").starts_with("w is running\n"), "{}", world.explain("w"));
}

#[test]
fn a_container_that_waits_to_be_started_again_has_finished_as_soon_as_its_workload_gets_a_cron_schedule() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 0, S);
    assert_eq!(
        world.agent.workload_states().collect::<Vec<_>>(),
        [WorkloadState::BackOff],
        "its back-off is under way"
    );
    world.want_and_settle(&[&hourly("w")]);
    assert_eq!(world.agent.workload_states().collect::<Vec<_>>(), [WorkloadState::Scheduled]);
}
