//! Which container is asked whether it is well, when, and what an unhealthy one leads to.

use super::{
    model::probe::{Check, Probe, Probes},
    *,
};

impl World {
    pub(super) fn probed(&self) -> Fact {
        Fact::Probed { healthy: self.sick.is_none(), output: self.sick.unwrap_or_default().into() }
    }
}

fn probe(initial_delay: u64, period: u64, failure_threshold: u32) -> Option<Arc<Probe>> {
    Some(Arc::new(Probe {
        check: Check::Exec(vec!["true".into()]),
        initial_delay: initial_delay as u32 * S,
        period: period as u32 * S,
        timeout: S,
        failure_threshold,
        success_threshold: 1,
    }))
}

/// A workload of one container that is asked every 10 s, after 5 s.
fn watched() -> Workload {
    let mut workload = workload("w", 1);
    workload.probes =
        vec![Probes { container: "a".into(), startup: None, liveness: probe(5, 10, 3), readiness: None }];
    workload
}

#[test]
fn a_container_is_asked_after_its_initial_delay_and_then_once_a_period() {
    let mut world = World::running(&[&watched()]);
    world.pass(5 * S - Duration::from_millis(1));
    assert!(world.took().is_empty());
    world.pass(S);
    assert_eq!(world.took(), ["probe a"]);
    world.pass(60 * S);
    assert_eq!(world.took(), ["probe a"; 6]);
    assert!(world.heard().is_empty());
}

#[test]
fn failures_in_a_row_end_the_container_and_start_it_again_after_its_back_off() {
    let w = watched();
    let mut world = World::running(&[&w]);
    world.sick = Some("exit code 1: no /ok");
    world.pass(25 * S);
    let (end, look) = (format!("end a of {}", w.id), format!("look {}", w.id));
    assert_eq!(world.took(), ["probe a", "probe a", "probe a", &end, &look]);
    assert_eq!(world.said[0].reason, Reason::Unhealthy);
    assert_eq!(
        world.said[0].message,
        "workload 'w': container 'a' is unhealthy: its liveness probe failed 3 times: exit code 1: no /ok; it is \
         started anew after its back-off"
    );
    assert_eq!(world.said.len(), 1, "{:?}", world.said);
    let shown = world.explain("w");
    assert!(shown.starts_with("w is back-off: container 'a' is unhealthy: its liveness"), "{shown}");
    assert!(shown.contains("next: in 20s"), "{shown}");
    world.sick = None;
    world.pass(20 * S);
    assert_eq!(world.took(), [format!("restart a of {}", w.id)]);
    world.pass(5 * S);
    assert_eq!(world.took(), ["probe a"], "what runs anew has its own initial delay");
}

impl World {
    /// Lets time pass in which probes find something wrong.
    fn pass_sick(&mut self, time: Duration) {
        self.sick = Some("no");
        self.pass(time);
        self.sick = None;
    }
}

#[test]
fn a_success_between_failures_forgives_them() {
    let mut world = World::running(&[&watched()]);
    for _ in 0..5 {
        world.pass_sick(20 * S);
        world.pass(10 * S);
    }
    assert!(world.heard().is_empty());
}

/// A world whose workload may fail so many startup probes.
fn starting_up(failures: u32) -> World {
    let mut w = watched();
    w.probes[0].startup = probe(2, 2, failures);
    World::running(&[&w])
}

#[test]
fn liveness_waits_for_the_startup_probe_to_go_well_once() {
    let mut world = starting_up(30);
    world.pass_sick(50 * S); // far more than liveness would bear
    world.took();
    world.pass(2 * S);
    assert_eq!(world.took(), ["probe a"; 2], "the last of the one, and the first of the other");
    world.pass(20 * S);
    assert_eq!(world.took(), ["probe a"; 2]);
    assert!(world.heard().is_empty());
}

#[test]
fn a_container_that_never_starts_up_is_unhealthy_too() {
    let mut world = starting_up(5);
    world.sick = Some("not yet");
    world.pass(10 * S);
    assert!(world.said[0].message.contains("its startup probe failed 5 times: not yet"), "{:?}", world.said);
}

#[test]
fn a_probe_that_podman_could_not_make_says_nothing() {
    let mut world = World::running(&[&watched()]);
    for failure in [Failure::Engine("no socket".into()), Failure::Workload("no such container".into())] {
        world.broken = Some(failure);
        world.pass(100 * S);
        assert_eq!(world.took(), ["probe a"; 10]);
        assert!(world.heard().is_empty());
    }
}

#[test]
fn at_most_one_probe_of_a_container_is_under_way() {
    let mut world = World::running(&[&watched()]);
    world.step(world.now.up + 5 * S);
    world.happen(Event::Tick);
    for _ in 0..5 {
        world.step(world.now.up + 10 * S);
        world.want(&[&watched()]); // it has its turn
    }
    let probes = world.orders.iter().filter(|order| matches!(order.task, Task::Probe { .. }));
    assert_eq!(probes.count(), 1);
}

#[test]
fn a_slow_probe_delays_no_stop_and_its_answer_means_nothing_to_the_next_pod() {
    let mut w = gated("w", "low");
    w.probes =
        vec![Probes { container: "a".into(), startup: None, liveness: probe(0, 10, 1), readiness: None }];
    let mut world = World::new();
    world.want(&[&w]);
    world.happen(Event::Tick);
    while world.orders.front().is_some_and(|order| !matches!(order.task, Task::Probe { .. })) {
        world.answer();
    }
    let slow = world.orders.pop_front().expect("a probe");
    world.took();
    world.post_and_settle("x", 9.0);
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
    world.post_and_settle("x", 1.0);
    let result = Ok(Fact::Probed { healthy: false, output: "late".into() });
    world.happen(Event::Done(Outcome { engine: slow.engine, ticket: slow.ticket, result }));
    world.pass(30 * S);
    assert!(!world.heard().contains(&Reason::Unhealthy));
}

#[test]
fn containers_that_ended_well_are_not_asked_before_a_list_shows_that_they_run_again() {
    let mut w = watched();
    w.restart = RestartPolicy::Never;
    w.content.specification = workload("w", 2).content.specification;
    let mut world = World::running(&[&w]);
    world.happen(Event::Exited(PODMAN, w.id.clone()));
    let look = world.orders.pop_front().expect("a look");
    let ended = ContainerState::Exited { code: 0, at: world.now.utc, ran: S };
    let containers = [("a", ended), ("b", ContainerState::Running)];
    let containers = containers.map(|(name, state)| Container {
        name: name.into(),
        state,
        out_of_memory: None,
        healthcheck: None,
    });
    let result = Ok(Fact::Pod(Pod { containers: containers.into(), ..Pod::default() }));
    world.happen(Event::Done(Outcome { engine: look.engine, ticket: look.ticket, result }));
    world.took();
    world.sick = Some("connection refused");
    world.pass(50 * S);
    assert!(world.took().is_empty());
    world.pass(20 * S);
    assert_eq!(world.took()[..2], [format!("look {}", w.id), "probe a".into()]);
}

#[test]
fn an_unhealthy_container_that_is_never_restarted_is_ended_for_good() {
    let mut w = watched();
    w.restart = RestartPolicy::Never;
    let mut world = World::running(&[&w]);
    world.sick = Some("no");
    world.pass(3600 * S);
    let (end, look) = (format!("end a of {}", w.id), format!("look {}", w.id));
    assert_eq!(world.took()[3..], [end, look]);
    assert_eq!(world.heard(), [Reason::Unhealthy, Reason::Failed]);
    assert_eq!(world.remembered[&w.id].code, 143);
}

#[test]
fn a_changed_schedule_keeps_what_the_probes_told() {
    let mut w = watched();
    let mut world = World::running(&[&w]);
    world.sick = Some("no");
    world.pass(20 * S);
    w.schedule = schedule::Schedule::Service(schedule::Backoff::Constant(7 * S));
    world.want(&[&w]);
    world.pass(5 * S);
    assert!(world.said[0].message.contains("failed 3 times"), "{:?}", world.said);
    world.took();
    world.pass(7 * S);
    assert_eq!(world.took(), [format!("restart a of {}", w.id)]);
}

#[test]
fn an_images_healthcheck_counts_where_there_is_no_liveness_probe() {
    let mut world = World::new();
    world.healthcheck = probe(30, 30, 2);
    let (w, v) = (watched(), workload("v", 1));
    world.want(&[&w, &v]);
    world.happen(Event::Tick);
    world.settle();
    world.took();
    world.sick = Some("no");
    world.pass(60 * S);
    let message = |name: &str| {
        let about = format!("workload '{name}': container");
        let told = world.said.iter().find(|said| said.message.starts_with(&about));
        told.map(|said| said.message.clone()).unwrap_or_default()
    };
    assert!(message("w").contains("its liveness probe failed 3 times"), "{:?}", world.said);
    assert!(message("v").contains("its image's HEALTHCHECK failed 2 times"), "{:?}", world.said);
}

#[test]
fn a_container_that_is_not_ready_runs_on_and_people_see_it() {
    let mut w = workload("w", 1);
    let readiness =
        probe(0, 10, 2).map(|probe| Arc::new(Probe { success_threshold: 2, ..Probe::clone(&probe) }));
    w.probes = vec![Probes { container: "a".into(), startup: None, liveness: None, readiness }];
    let mut world = World::new();
    world.sick = Some("exit code 1: no database");
    world.want_and_settle(&[&w]);
    let ready = |world: &World| world.agent.report(world.now).workloads[0].ready;
    let explained = world.explain("w");
    let cause = "note: container 'a' is not ready: its readiness probe failed: exit code 1: no database\n";
    assert!(explained.starts_with("w is running\n") && explained.contains(cause), "{explained}");
    assert_eq!(ready(&world), Some(false));
    (world.sick, _) = (None, world.heard());
    world.pass(10 * S);
    assert_eq!(ready(&world), Some(false), "once isn't enough");
    world.pass(10 * S);
    assert_eq!(ready(&world), Some(true));
    assert!(world.heard().is_empty(), "that it becomes ready is no news");
    world.sick = Some("exit code 1");
    world.pass(10 * S);
    assert_eq!(ready(&world), Some(true));
    world.took();
    world.pass(60 * S);
    assert_eq!((ready(&world), world.took()), (Some(false), vec!["probe a".to_owned(); 6]));
    world.sick = None;
    world.pass(20 * S);
    assert_eq!(ready(&world), Some(true));
    let said: Vec<_> = world.said.iter().map(|notice| &*notice.message).collect();
    let not = "workload 'w': container 'a' is not ready: its readiness probe failed: exit code 1";
    assert_eq!(said, [not, "workload 'w': container 'a' is ready again"]);
}

#[test]
fn nothing_is_ready_before_its_startup_probe_went_well() {
    let mut w = workload("w", 1);
    w.probes = vec![Probes {
        container: "a".into(),
        startup: probe(0, 10, 30),
        liveness: None,
        readiness: probe(0, 10, 1),
    }];
    let mut world = World::new();
    world.sick = Some("exit code 1");
    world.want(&[&w]);
    world.pass(30 * S);
    assert_eq!(world.took().iter().filter(|it| *it == "probe a").count(), 4);
    let explained = world.explain("w");
    assert!(explained.contains("note: container 'a' is not ready: it is starting\n"), "{explained}");
    world.sick = None;
    world.pass(20 * S);
    assert_eq!(world.agent.report(world.now).workloads[0].ready, Some(true));
}
