//! Lists that come late, from several engines, or before it is known what is to run.

use super::*;

/// Takes the next order that is a list, whichever engine it is for.
fn take_list(world: &mut World) -> Order {
    let place = world.orders.iter().position(|order| order.task == Task::List).expect("a list");
    world.orders.remove(place).unwrap()
}

fn tell(world: &mut World, list: &Order, pods: Vec<PodSummary>) {
    let Order { engine, ticket, .. } = *list;
    world.happen(Event::Done(Outcome { engine, ticket, result: Ok(Fact::Pods(pods)) }));
}

fn summary(w: &Workload, running: bool) -> PodSummary {
    PodSummary { id: w.id.clone(), workload: w.name().into(), running, replaced: false }
}

#[test]
fn a_list_made_before_a_start_came_to_its_end_does_not_make_the_pod_missing() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.want(&[&w]);
    world.answer(); // the first list
    world.answer(); // the images
    world.step(world.now.up + 60 * S);
    world.happen(Event::Tick);
    let list = take_list(&mut world);
    world.answer(); // the start
    assert_eq!(world.agent.workload_states().next().unwrap(), WorkloadState::Running);
    world.took();
    tell(&mut world, &list, vec![]); // as it was before
    world.settle();
    world.pass(600 * S);
    assert_eq!(world.took(), [""; 0]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn what_is_left_on_a_podman_that_comes_later_goes_and_one_that_nothing_needs_may_go() {
    let w = workload("w", 1);
    let old = Workload::new(Content { engine: ROOTLESS, ..workload("old", 1).content });
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    world.took();
    world.happen(Event::Socket(ROOTLESS, true));
    let list = take_list(&mut world);
    assert_eq!(list.engine, ROOTLESS);
    tell(&mut world, &list, vec![summary(&old, false)]);
    world.happen(Event::Socket(ROOTLESS, false));
    assert_eq!(world.agent.report(world.now).device.engines.len(), 2, "a pod of ours is there");
    world.settle();
    assert_eq!(world.took(), [format!("remove {}", old.id)]);
    for engine in [ROOTLESS, PODMAN] {
        world.happen(Event::Socket(engine, false));
    }
    world.pass(600 * S);
    let reasons: Vec<_> = world.said.iter().map(|notice| notice.reason).collect();
    assert_eq!(reasons, [Reason::Started, Reason::Removed]);
}

#[test]
fn nothing_waits_on_for_a_podman_that_went_before_it_told_what_it_has() {
    for is_answered in [true, false] {
        let w = workload("w", 1);
        let mut world = World::new();
        world.agent = Agent::new(Setup { engines: vec![PODMAN, ROOTLESS], ..first_setup() });
        world.want(&[&w]);
        let (one, other) = (take_list(&mut world), take_list(&mut world));
        let (podman, rootless) = if one.engine == PODMAN { (one, other) } else { (other, one) };
        tell(&mut world, &podman, vec![]);
        world.answer(); // the images
        assert!(world.orders.is_empty(), "rootless podman has not told: {:?}", world.orders);
        if is_answered {
            world.happen(Event::Socket(ROOTLESS, false));
            tell(&mut world, &rootless, vec![]);
        } else {
            let result = Err(Failure::Engine("no socket".into()));
            world.happen(Event::Done(Outcome { engine: ROOTLESS, ticket: rootless.ticket, result }));
            world.happen(Event::Socket(ROOTLESS, false));
        }
        world.settle();
        assert_eq!(world.ids(), [&w.id]);
    }
}

#[test]
fn a_workload_that_moved_to_another_engine_while_the_agent_was_away_starts_when_its_old_pod_has_gone() {
    let old = workload("w", 1);
    let mut content = old.content.clone();
    content.engine = ROOTLESS;
    let new = Workload::new(content);
    let mut world = World::new();
    world.agent = Agent::new(Setup { engines: vec![PODMAN, ROOTLESS], ..first_setup() });
    world.want(&[&new]);
    let (one, other) = (take_list(&mut world), take_list(&mut world));
    let (podman, rootless) = if one.engine == PODMAN { (one, other) } else { (other, one) };
    tell(&mut world, &rootless, vec![]);
    world.answer(); // the images
    assert!(world.orders.is_empty(), "podman has not told: {:?}", world.orders);
    tell(&mut world, &podman, vec![summary(&old, true)]);
    world.settle();
    let order = |verb: &str, w: &Workload| format!("{verb} {}", w.id);
    let expected =
        [order("pull", &new), order("rehearse", &new), order("remove", &old), order("start", &new)];
    assert_eq!(world.took(), expected);
}

#[test]
fn an_engine_that_does_not_answer_does_not_hold_up_the_workloads_of_another() {
    let w = workload("w", 1);
    let mut content = workload("other", 1).content;
    content.engine = ROOTLESS;
    let other = Workload::new(content);
    let mut world = World::new();
    world.want(&[&w, &other]);
    while let Some(place) = world.orders.iter().position(|order| order.engine == ROOTLESS) {
        let Order { engine, ticket, .. } = world.orders.remove(place).unwrap();
        let result = Err(Failure::Engine("no socket".into()));
        world.happen(Event::Done(Outcome { engine, ticket, result }));
    }
    for _ in 0..3 {
        world.answer(); // the list, the images, the start
    }
    assert_eq!(world.ids(), [&w.id]);
}

#[test]
fn what_has_finished_stays_finished_although_its_pod_was_seen_before_it_was_wanted() {
    let mut w = workload("w", 1);
    w.restart = RestartPolicy::Never;
    let mut world = World::with([(w.id.clone(), WELL)].into());
    let ended = ContainerState::Exited { code: 0, at: world.now.utc, ran: S };
    world.pods.insert(w.id.clone(), ("w".into(), ended, 1));
    world.happen(Event::Tick);
    world.answer(); // the list is quicker than the manifests
    world.broken = Some(Failure::Workload("no".into()));
    world.want_and_settle(&[&w]);
    world.broken = None;
    world.pass(600 * S);
    assert_eq!(world.took(), [""; 0]);
}

#[test]
fn a_start_that_comes_about_when_all_has_finished_is_undone() {
    let mut w = workload("w", 1);
    w.restart = RestartPolicy::Never;
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    world.exit(&w.id, 0, S);
    world.took();
    world.step(world.now.up + 60 * S);
    world.happen(Event::Tick);
    let list = take_list(&mut world);
    world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1)); // another pod of that name
    tell(&mut world, &list, vec![PodSummary { replaced: true, ..summary(&w, false) }]);
    world.settle();
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
    assert!(
        world.pods.is_empty() && world.explain("w").starts_with("w is finished"),
        "{}",
        world.explain("w")
    );
}

#[test]
fn a_pod_found_while_its_images_come_in_is_adopted_or_stopped_as_its_conditions_want() {
    for x in [None, Some(5.0)] {
        let w = gated("w", "low");
        let mut world = World::new();
        world.want(&[&w]);
        world.answer(); // the list: nothing is there
        world.step(world.now.up + 60 * S);
        world.happen(Event::Tick);
        world.post("x", x);
        let list = take_list(&mut world);
        world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1)); // from an earlier agent's last order
        tell(&mut world, &list, vec![summary(&w, true)]);
        world.settle();
        let verb = if x.is_none() { "look" } else { "remove" };
        assert_eq!(world.took(), [format!("pull {}", w.id), format!("{verb} {}", w.id)], "{x:?}");
    }
}
