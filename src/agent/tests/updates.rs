//! Updates that come up, and updates that don't.

use super::{
    model::question::{Question, Reply},
    *,
};

/// A world where `w` has run for a while, and `update` is wanted.
fn updated(w: &Workload, update: &Workload) -> World {
    let mut world = World::running(&[w]);
    world.pass(60 * S);
    world.want(&[update]);
    world
}

/// A third content of the same name.
fn other(workload: &Workload) -> Workload {
    let mut content = workload.content.clone();
    content.labels.push(("other".into(), "yes".into()));
    Workload::new(content)
}

fn runs(world: &World) -> Vec<&WorkloadId> {
    let running = world.pods.iter().filter(|(_, pod)| pod.1 == ContainerState::Running);
    running.map(|(id, _)| id).collect()
}

impl World {
    /// Until the agent wants to be woken, and does something.
    fn pass_until_woken(&mut self) {
        let Wake::At(at) = self.wake else { panic!("it waits for nothing") };
        self.step(at.max(self.now.up));
        self.happen(Event::Tick);
    }

    /// Lets time pass in which no pod can be started.
    fn pass_failing(&mut self, time: Duration) {
        self.unstartable = true;
        self.pass(time);
        self.unstartable = false;
    }
}

/// Lets the update start and fail until its time is over.
fn fail(world: &mut World) {
    world.unstartable = true;
    world.pass(119 * S);
    assert!(runs(world).is_empty(), "it is tried until its time is over");
    world.unstartable = false;
    world.pass(S);
}

#[test]
fn an_update_that_does_not_come_up_is_taken_back_and_not_tried_until_it_changes() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    fail(&mut world);
    assert_eq!(runs(&world), [&w.id]);
    assert_eq!(world.heard().iter().filter(|reason| **reason == Reason::RolledBack).count(), 1);
    world.took();
    world.want(&[&bad]);
    world.pass(3600 * S);
    assert!(world.took().is_empty(), "the same content again is no reason to try it again");

    let good = other(&w);
    world.want(&[&good]);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&good.id]);
    assert_eq!(world.fallbacks["w"].good.id, good.id);
    assert_eq!(world.fallbacks["w"].failed, None);
}

#[test]
fn an_update_that_comes_up_late_stays() {
    let w = workload("w", 1);
    let update = changed(&w);
    let mut world = updated(&w, &update);
    world.pass_failing(90 * S);
    world.pass(300 * S);
    assert_eq!(runs(&world), [&update.id]);
    assert!(!world.heard().contains(&Reason::RolledBack));
}

#[test]
fn one_that_runs_for_a_few_seconds_at_a_time_has_not_come_up() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    world.settle();
    for _ in 0..6 {
        world.pass(3 * S);
        if runs(&world) == [&bad.id] {
            world.exit(&bad.id, 1, 3 * S);
        }
        world.pass(20 * S);
    }
    world.pass(30 * S);
    assert_eq!(runs(&world), [&w.id]);
}

#[test]
fn a_pod_of_which_a_container_failed_for_good_has_not_come_up() {
    let w = workload("w", 2);
    let bad = Workload { restart: RestartPolicy::Never, ..changed(&w) };
    let mut world = updated(&w, &bad);
    world.pass(S);
    world.second = Some(ContainerState::Exited { code: 1, at: world.now.utc, ran: S });
    world.happen(Event::Exited(PODMAN, bad.id.clone()));
    world.pass(60 * S);
    assert_eq!((runs(&world), &world.fallbacks["w"].good.id), (vec![&bad.id], &w.id));
    world.pass(60 * S);
    assert_eq!(runs(&world), [&w.id]);
}

#[test]
fn an_update_that_moves_to_another_podman_stops_nothing_before_it_is_known_to_be_able_to_start() {
    let w = workload("w", 1);
    let moved = Workload::new(Content { engine: ROOTLESS, ..w.content.clone() });
    let mut world = updated(&w, &moved);
    world.unfit = Some("no such directory");
    world.pass(600 * S);
    assert_eq!(runs(&world), [&w.id]);
    let is_rehearsal = |order: &Order| matches!(order.task, Task::Rehearse { .. });
    while !world.orders.iter().any(is_rehearsal) {
        match world.orders.is_empty() {
            true => world.pass_until_woken(),
            false => world.answer(),
        }
    }
    let Some(Task::Rehearse { moves, .. }) = world.orders.back().map(|it| &it.task) else { panic!() };
    assert!(moves, "its own pod may hold its ports, and that podman can't see it");
    world.unfit = None;
    world.pass(30 * S);
    assert!(world.log.contains(&format!("start {}", moved.id)), "{:?}", world.log);
}

#[test]
fn once_come_up_a_later_crash_is_no_reason_to_return() {
    let w = workload("w", 1);
    let update = changed(&w);
    let mut world = updated(&w, &update);
    world.pass(11 * S);
    world.exit(&update.id, 1, 11 * S);
    world.pass_failing(600 * S);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&update.id]);
}

#[test]
fn a_first_content_has_nothing_to_return_to_and_is_tried_on() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.want(&[&w]);
    world.pass_failing(600 * S);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&w.id]);
    assert!(!world.heard().contains(&Reason::RolledBack));
}

#[test]
fn a_second_update_that_fails_returns_to_what_came_up_last() {
    let w = workload("w", 1);
    let (bad, worse) = (changed(&w), other(&w));
    let mut world = updated(&w, &bad);
    world.unstartable = true;
    world.pass(60 * S);
    world.want(&[&worse]);
    world.pass(119 * S);
    assert!(runs(&world).is_empty(), "it has its own time");
    world.unstartable = false;
    world.pass(S);
    assert_eq!(runs(&world), [&w.id]);
    assert!(world.fallbacks["w"].failed.is_some());
    world.want(&[&w]);
    assert_eq!(world.fallbacks["w"].failed, None);
}

#[test]
fn what_came_up_is_remembered_whatever_is_asked_for_in_between() {
    let w = workload("w", 1);
    let (missing, bad) = (changed(&w), other(&w));
    let mut world = updated(&w, &missing);
    world.broken = Some(Failure::Workload("no such image".into()));
    world.pass(60 * S);
    world.broken = None;
    world.want_and_settle(&[&w]);
    world.want(&[&bad]); // before what was put back has proven itself again
    fail(&mut world);
    assert_eq!(runs(&world), [&w.id]);
}

#[test]
fn what_came_up_in_an_earlier_process_is_returned_to() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.pass(60 * S);
    world.agent =
        World::agent(FinishedRuns::new(), world.fallbacks.clone(), ManualStops::new(), true, None, 2);
    world.want(&[&changed(&w)]); // edited while no agent ran
    fail(&mut world);
    assert_eq!(runs(&world), [&w.id]);
}

#[test]
fn an_update_that_is_known_not_to_start_stops_nothing_and_says_why() {
    let w = workload("w", 1);
    let mut world = updated(&w, &changed(&w));
    world.unfit = Some("no such directory");
    world.pass(600 * S);
    assert_eq!(runs(&world), [&w.id]);
    assert!(!world.log.iter().any(|order| order.starts_with("remove")), "{:?}", world.log);
    let report = world.agent.report(world.now);
    let shown = &report.workloads[0];
    assert_eq!(
        (shown.state, shown.cause.as_deref()),
        (report::WorkloadState::BackOff, Some("no such directory"))
    );
    assert_eq!(shown.notes, ["what ran before stays until this is known to be able to start"]);
    assert!(!shown.well && !report.device.healthy);
    world.unfit = None;
    world.pass(60 * S);
    assert_eq!(runs(&world), [&changed(&w).id]);
}

#[test]
fn an_update_that_was_taken_back_is_what_to_correct_although_what_is_back_is_not_ready() {
    let w = dependencies::asked("w");
    let mut world = updated(&w, &changed(&w));
    fail(&mut world);
    world.pass(3600 * S);
    world.sick = Some("exit code 1");
    world.pass(30 * S);
    let report = world.agent.report(world.now);
    let shown = &report.workloads[0];
    assert_eq!((shown.state, shown.ready), (report::WorkloadState::Running, Some(false)));
    let remedy = shown.remedy.as_deref().unwrap_or_default();
    assert!(remedy.starts_with("correct that content: as it is, it isn't tried again"), "{remedy}");
}

#[test]
fn why_an_update_was_taken_back_is_told_until_it_changes() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    fail(&mut world);
    for _ in 0..2 {
        world.pass(3600 * S);
        let report = world.agent.report(world.now);
        let shown = &report.workloads[0];
        assert_eq!(shown.failure.as_deref(), Some("no such command"));
        assert!(shown.notes[0].ends_with("what ran before is back: no such command"), "{:?}", shown.notes);
        assert!(shown.remedy.is_some() && !shown.well && !report.device.healthy);
        world.agent =
            World::agent(FinishedRuns::new(), world.fallbacks.clone(), ManualStops::new(), true, None, 2);
        world.want(&[&bad]); // a new process knows, too
    }
    world.want(&[&w]);
    world.pass(60 * S);
    let report = world.agent.report(world.now);
    assert!(report.workloads[0].well && report.device.healthy);
}

#[test]
fn a_host_port_is_refused_while_another_workload_keeps_it_and_not_while_its_pod_leaves() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a, &b]);
    world.pass(60 * S);
    world.holders = vec![("80/tcp".into(), b.id.clone())];
    world.want(&[&changed(&a), &b]);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&a.id, &b.id]);
    let shown = &world.agent.report(world.now).workloads[0];
    assert_eq!(shown.cause.as_deref(), Some("host port 80/tcp is taken by workload 'b'"));
    world.want(&[&changed(&a), &changed(&b)]); // two that change places, for instance
    world.pass(60 * S);
    assert_eq!(runs(&world), [&changed(&a).id, &changed(&b).id]);
}

#[test]
fn a_start_that_takes_longer_than_an_update_has_is_judged_by_its_outcome() {
    let w = workload("w", 1);
    let mut world = updated(&w, &changed(&w));
    while !world.orders.iter().any(|order| matches!(order.task, Task::Start(..))) {
        world.answer();
    }
    world.step(world.now.up + 121 * S);
    world.happen(Event::Tick);
    assert!(!world.heard().contains(&Reason::RolledBack));
    let at = world.orders.iter().position(|order| matches!(order.task, Task::Start(..))).unwrap();
    let order = world.orders.remove(at).unwrap();
    let result = Err(Failure::Workload("init container 'i' did not end within 120 s".into()));
    world.happen(Event::Done(Outcome { engine: PODMAN, ticket: order.ticket, result }));
    world.pass(20 * S);
    assert_eq!(runs(&world), [&w.id]);
    let failed = world.fallbacks["w"].failed.as_ref().unwrap();
    assert!(failed.cause.contains("init container 'i'"), "{failed:?}");
}

#[test]
fn time_in_which_its_conditions_do_not_hold_or_its_engine_is_gone_does_not_count() {
    let w = gated("w", "low");
    let update = changed(&w);
    let mut world = updated(&w, &update);
    world.unstartable = true;
    world.pass(60 * S);
    world.post("x", 5.0);
    world.pass(600 * S);
    world.engine_gone = true;
    world.post("x", 1.0);
    world.pass(600 * S);
    (world.engine_gone, world.unstartable) = (false, false);
    world.pass(120 * S);
    assert_eq!(runs(&world), [&update.id]);
    assert!(!world.heard().contains(&Reason::RolledBack));
}

#[test]
fn images_that_do_not_come_leave_the_old_pod_running() {
    let w = workload("w", 1);
    let mut world = updated(&w, &changed(&w));
    world.broken = Some(Failure::Workload("no such image".into()));
    world.pass(600 * S);
    assert_eq!(runs(&world), [&w.id]);
    assert!(!world.heard().contains(&Reason::RolledBack));
}

#[test]
fn a_new_process_knows_what_was_given_up_and_what_to_return_to() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    world.unstartable = true;
    world.pass(60 * S);
    let reborn = |world: &mut World| {
        world.orders.clear();
        world.agent =
            World::agent(FinishedRuns::new(), world.fallbacks.clone(), ManualStops::new(), true, None, 2);
        world.want(&[&bad]);
    };
    reborn(&mut world); // in the middle of the trial
    world.pass(130 * S);
    world.unstartable = false;
    world.pass(20 * S); // what it returns to was tried, too
    assert_eq!(runs(&world), [&w.id]);
    reborn(&mut world);
    world.took();
    world.pass(3600 * S);
    assert_eq!(runs(&world), [&w.id]);
    assert_eq!(world.took(), [format!("look {}", w.id)]);
}

#[test]
fn what_was_taken_back_follows_todays_profiles() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    fail(&mut world);
    let gated = Workload { profiles: gated("w", "low").profiles, ..bad };
    world.want(&[&gated]);
    world.post_and_settle("x", 5.0);
    assert!(runs(&world).is_empty());
    world.post_and_settle("x", None);
    assert_eq!(runs(&world), [&w.id]);
    world.want_and_settle(&[]);
    assert!(world.pods.is_empty() && world.fallbacks.is_empty());
}

impl World {
    /// What is kept of what ran before.
    fn before(&self, name: &str) -> Option<Arc<Workload>> {
        self.befores.iter().rev().find(|it| &*it.0 == name)?.1.clone()
    }

    fn roll_back(&mut self, name: &str) -> Reply {
        let before = self.before(name);
        self.ask(Question::RollBack(name.into(), before))
    }
}

#[test]
fn a_person_returns_to_what_ran_before_until_another_content_is_asked_for() {
    let w = workload("w", 1);
    let (update, third) = (changed(&w), other(&w));
    let mut world = World::running(&[&w]);
    let nothing = Reply::Refused("nothing else ran before, as far as is known".into());
    world.pass(60 * S);
    assert_eq!(world.roll_back("w"), nothing);
    assert_eq!(world.roll_back("x"), Reply::Unknown);
    world.want(&[&update]);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&update.id]);
    let until = "until another content of it is asked for";
    let expected = format!("w returns to what ran before, pod '{}', {until}", w.id);
    assert_eq!(world.roll_back("w"), Reply::Done(expected));
    world.pass(60 * S);
    assert_eq!(runs(&world), [&w.id]);
    assert_eq!(
        world.explain("w"),
        format!("w is running\nnote: an operator rolled it back to what ran before, {until}\n")
    );
    assert!(world.report().device.healthy && world.shown("w").well, "that is no failure");
    let again = "its newest content is taken back already, and isn't tried until it changes";
    assert_eq!(world.roll_back("w"), Reply::Refused(again.into()));
    world.took();
    for seed in 1..3 {
        world.want(&[&update]);
        world.pass(600 * S);
        let took = world.took();
        let is_left = |it: &String| it.starts_with("look");
        assert!(took.iter().all(is_left) && runs(&world) == [&w.id], "the same is asked for: {took:?}");
        world.agent =
            World::agent(FinishedRuns::new(), world.fallbacks.clone(), ManualStops::new(), true, None, seed);
    }
    world.want(&[&third]);
    world.pass(60 * S);
    assert_eq!(runs(&world), [&third.id]);
    assert_eq!(world.explain("w"), "w is running\n");
    assert!(matches!(world.roll_back("w"), Reply::Done(_)));
    world.pass(60 * S);
    assert_eq!(runs(&world), [&w.id], "what was rolled back is not what ran before");
    world.want(&[]);
    world.pass(60 * S);
    assert_eq!((world.fallbacks.len(), world.before("w")), (0, None), "nothing is kept of what is gone");
}

#[test]
fn an_update_that_has_not_come_up_yet_is_taken_back_at_once_when_a_person_wants_that() {
    let w = workload("w", 1);
    let bad = changed(&w);
    let mut world = updated(&w, &bad);
    world.pass_failing(20 * S);
    assert!(matches!(world.roll_back("w"), Reply::Done(_)));
    world.pass(S);
    assert_eq!(runs(&world), [&w.id]);
    assert!(!world.heard().contains(&Reason::RolledBack));
}
