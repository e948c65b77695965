//! Workloads that depend on others, by `dependsOn` and by conditions.

use super::*;

fn after(name: &str, other: &str) -> Workload {
    Workload { depends_on: vec![other.into()], ..workload(name, 1) }
}

/// Asked every second whether it is ready.
pub(super) fn asked(name: &str) -> Workload {
    let readiness = probe::Probe {
        check: probe::Check::Exec(vec!["ready".into()]),
        initial_delay: Duration::ZERO,
        period: S,
        timeout: S,
        failure_threshold: 1,
        success_threshold: 1,
    };
    let readiness = Some(Arc::new(readiness));
    let probes = vec![probe::Probes { container: "a".into(), startup: None, liveness: None, readiness }];
    Workload { probes, ..workload(name, 1) }
}

/// While `expression` holds.
fn conditional(world: &mut World, expression: &str) -> Workload {
    world.profiles[0].conditions[0].expression = expression.into();
    gated("a", "low")
}

/// The first depends on the second, and runs; the second isn't ready any more.
fn without_its_need() -> (World, Workload, Workload) {
    let (a, b) = (after("a", "b"), asked("b"));
    let mut world = World::new();
    world.want(&[&a, &b]);
    world.pass(30 * S);
    world.sick = Some("exit code 1");
    world.pass(30 * S);
    (world, a, b)
}

fn starts(world: &mut World) -> Vec<String> {
    world.took().into_iter().filter(|it| it.starts_with("start")).collect()
}

#[test]
fn nothing_is_started_before_what_it_depends_on_is_ready_and_that_is_explained() {
    let (a, b) = (after("a", "b"), asked("b"));
    let mut world = World::new();
    world.sick = Some("exit code 1");
    world.want(&[&a, &b]);
    world.pass(30 * S);
    assert_eq!(starts(&mut world), [format!("start {}", b.id)]);
    assert_eq!(
        world.explain("a"),
        "a is starting: it waits for 'b', which is running and not ready since 30s\n\
         remedy: it starts by itself when that is ready; see 'device-worker-ng explain b'\n"
    );
    world.sick = None;
    world.pass(2 * S);
    assert_eq!(starts(&mut world), [format!("start {}", a.id)]);
}

#[test]
fn what_was_ended_for_being_unhealthy_is_not_ready_while_it_is_looked_at() {
    let (a, mut b) = (after("a", "b"), asked("b"));
    b.probes[0].liveness = b.probes[0].readiness.clone();
    let mut world = World::new();
    world.sick = Some("exit code 1");
    world.want(&[&a, &b]);
    world.pass(5 * S);
    assert_eq!(starts(&mut world), [format!("start {}", b.id)]);
}

#[test]
fn what_runs_goes_on_without_what_it_depends_on_and_a_new_start_waits_for_it() {
    let (mut world, a, _) = without_its_need();
    assert!(world.pods.contains_key(&a.id));
    world.took();
    world.pods.remove(&a.id);
    world.pass(300 * S);
    assert!(starts(&mut world).is_empty());
    world.sick = None;
    world.pass(2 * S);
    assert_eq!(starts(&mut world), [format!("start {}", a.id)]);
}

#[test]
fn an_update_waits_for_what_it_depends_on_while_the_old_pod_runs() {
    let (mut world, a, b) = without_its_need();
    let new = Workload { depends_on: a.depends_on.clone(), ..changed(&a) };
    world.want(&[&new, &b]);
    world.pass(60 * S);
    assert!(world.pods.contains_key(&a.id));
    world.sick = None;
    world.pass(30 * S);
    assert!(world.pods.contains_key(&new.id) && !world.pods.contains_key(&a.id));
}

#[test]
fn what_has_ended_well_is_ready_and_what_failed_is_not() {
    for (code, pods) in [(0, 2), (3, 1)] {
        let b = Workload { restart: RestartPolicy::Never, ..workload("b", 1) };
        let mut world = World::running(&[&b]);
        world.exit(&b.id, code, S);
        world.settle();
        world.want_and_settle(&[&after("a", "b"), &b]);
        assert_eq!(world.pods.len(), pods, "exit code {code}");
    }
}

#[test]
fn what_nothing_asks_for_is_waited_for_and_told() {
    let mut world = World::new();
    world.want_and_settle(&[&after("a", "b")]);
    assert!(world.pods.is_empty());
    let told =
        "workload 'a': it depends on 'b', which nothing on this device asks for: it isn't started before";
    assert_eq!(world.agent.report(world.now).device.problems, [told]);
    let explained = world.explain("a");
    assert!(
        explained.starts_with("a is starting: it waits for 'b', which nothing on this device asks for\n")
    );
}

#[test]
fn a_circle_is_told_and_explained_as_long_as_there_is_one() {
    let mut world = World::new();
    let (a, b) = (conditional(&mut world, "workload.b.ready == 1"), after("b", "a"));
    world.want_and_settle(&[&a, &b]);
    assert!(world.pods.is_empty());
    let problems = |world: &World| world.agent.report(world.now).device.problems;
    let told = problems(&world);
    assert_eq!(told[0], "workload 'a' depends on itself: a -> workload.b.ready -> a; it isn't started");
    assert_eq!(told.len(), 2);
    let explained = world.explain("a");
    assert!(
        explained.contains("depends on itself: a -> workload.b.ready -> a; it isn't started"),
        "{explained}"
    );
    let a = conditional(&mut world, "x == nil || workload.b.ready == 1");
    world.want_and_settle(&[&a, &b]);
    assert_eq!((world.pods.len(), problems(&world).len()), (2, 0));
}

#[test]
fn a_deployment_waits_for_a_pod() {
    let mut a = after("a", "b");
    a.content.engine = Engine::Kubernetes;
    let a = Workload { depends_on: a.depends_on.clone(), ..Workload::new(a.content) };
    let (b, mut world) = (asked("b"), World::new());
    world.sick = Some("exit code 1");
    world.want(&[&a, &b]);
    world.pass(30 * S);
    let applied = |world: &mut World| world.took().iter().any(|it| it.starts_with("apply"));
    assert!(!applied(&mut world));
    world.sick = None;
    world.pass(5 * S);
    assert!(applied(&mut world));
}

#[test]
fn a_condition_on_another_workload_follows_it() {
    let mut world = World::new();
    let (a, b) = (conditional(&mut world, "workload.b.ready == 1"), asked("b"));
    world.want(&[&a, &b]);
    world.pass(10 * S);
    assert!(world.pods.contains_key(&a.id));
    world.sick = Some("exit code 1");
    world.pass(10 * S);
    assert!(!world.pods.contains_key(&a.id));
    let explained = world.explain("a");
    let why = "low is false: workload.b.ready == 1, and workload.b.ready is 0\n";
    assert!(explained.contains(why), "{explained}");
    world.sick = None;
    world.pass(10 * S);
    assert!(world.pods.contains_key(&a.id));
    world.want(&[&a]);
    world.pass(10 * S);
    assert!(!world.pods.contains_key(&a.id), "there is no such workload any more");
}

#[test]
fn neither_a_lost_podman_nor_a_restart_of_the_agent_changes_such_a_condition() {
    let mut world = World::new();
    let (a, b) = (conditional(&mut world, "workload.b.ready == 1"), asked("b"));
    world.want(&[&a, &b]);
    world.pass(10 * S);
    world.took();
    world.engine_gone = true;
    world.exit(&b.id, 0, S);
    world.pass(100 * S);
    world.engine_gone = false;
    world.pods.get_mut(&b.id).unwrap().1 = ContainerState::Running;
    world.pass(100 * S);
    world.agent = Agent::new(Setup { built_in_metrics: world.built_in_metrics.clone(), ..first_setup() });
    world.orders.clear();
    world.want(&[&a, &b]);
    world.pass(100 * S);
    let took: Vec<_> = world.took().into_iter().filter(|it| !it.starts_with("probe")).collect();
    assert!(took.iter().all(|it| it.starts_with("look")), "{took:?}");
}

#[test]
fn an_exit_code_is_known_after_the_first_run() {
    let mut world = World::new();
    let a = conditional(&mut world, "workload.b.last_exit == 3");
    let b = Workload { restart: RestartPolicy::Never, ..workload("b", 1) };
    world.want_and_settle(&[&a, &b]);
    assert!(!world.pods.contains_key(&a.id));
    world.exit(&b.id, 3, S);
    world.settle();
    assert!(world.pods.contains_key(&a.id));
}

#[test]
fn a_condition_that_ends_what_makes_it_true_brings_rest() {
    let mut world = World::new();
    let a = conditional(&mut world, "workload.a.running == 0");
    world.want(&[&a]);
    world.pass(60 * S);
    assert!(world.heard().contains(&Reason::Flapping));
}

#[test]
fn the_time_that_is_left_is_explained_and_the_start_is_neither_early_nor_late() {
    let mut world = World::new();
    let a = conditional(&mut world, "heat > 60");
    let condition = &mut world.profiles[0].conditions[0];
    (condition.hold, condition.until) = (30 * S, Some("heat < 40".into()));
    world.want_and_settle(&[&a]);
    world.post_and_settle("heat", 70.0);
    world.pass(20 * S);
    let explained = world.explain("a");
    let why = "low is false: heat > 60 for 30s until heat < 40, and heat is 70: true in 10s\n";
    assert!(explained.contains(why), "{explained}");
    world.pass(10 * S - Duration::from_millis(1));
    assert!(world.pods.is_empty());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.pods.len(), 1);
    world.agent = Agent::new(Setup { lasting: world.lasting.clone(), ..first_setup() });
    world.orders.clear();
    world.post("heat", 50.0);
    world.want(&[&a]);
    world.pass(S);
    assert_eq!((world.pods.len(), starts(&mut world).len()), (1, 1), "it goes on");
    world.post_and_settle("heat", 39.0);
    assert!(world.pods.is_empty());
}

#[test]
fn a_condition_follows_the_hour_and_the_agent_wakes_when_it_changes_and_not_before() {
    let mut world = World::new(); // it is Monday, 13:46:40
    let a = conditional(&mut world, "time.hour >= 14 && time.hour < 16 && time.weekday == 1");
    world.want_and_settle(&[&a]);
    assert!(world.pods.is_empty());
    let explained = world.explain("a");
    assert!(explained.contains(", and time.hour is 13, time.weekday is 1\n"), "{explained}");
    world.pass(799 * S);
    assert!(world.pods.is_empty());
    world.pass(S);
    assert_eq!(world.pods.len(), 1);
    world.pass(2 * 3600 * S - S);
    assert_eq!(world.pods.len(), 1);
    world.pass(S);
    assert!(world.pods.is_empty());
    // set back by an hour, and then to Tuesday
    world.now.utc -= 3600 * S;
    world.happen(Event::Clock);
    world.settle();
    assert_eq!(world.pods.len(), 1);
    world.now.utc += 86_400 * S;
    world.happen(Event::Clock);
    world.settle();
    assert!(world.pods.is_empty());
}

#[test]
fn a_condition_over_the_hour_that_lasts_outlives_a_restart() {
    let mut world = World::new(); // it is 13:46:40
    let a = conditional(&mut world, "time.hour >= 13");
    world.profiles[0].conditions[0].hold = 600 * S;
    world.want_and_settle(&[&a]);
    world.pass(600 * S);
    assert_eq!(starts(&mut world).len(), 1);
    let (built_in_metrics, lasting) = (world.built_in_metrics.clone(), world.lasting.clone());
    world.agent = Agent::new(Setup { built_in_metrics, lasting, ..first_setup() });
    world.orders.clear();
    world.want(&[&a]);
    world.pass(S);
    assert_eq!((world.pods.len(), starts(&mut world).len()), (1, 0), "it goes on");
}

#[test]
fn by_a_clock_that_is_wrong_it_is_no_time_of_the_day() {
    let mut world = World::new();
    let a = conditional(&mut world, "time.hour == nil");
    world.want_and_settle(&[&a]);
    assert!(world.pods.is_empty());
    world.agent.context.not_before = world.now.utc + 3600 * S;
    world.pass(60 * S);
    assert_eq!(world.pods.len(), 1);
}
