//! The device comes first: who goes when memory or disk runs short, and how they come back.

use super::*;
use crate::agent::model::pressure::{Level, Pressure, Resource};

const MIB: u64 = 1 << 20;

/// A workload that requests this much memory and has this priority.
fn important(name: &str, priority: i64, request: u64) -> Workload {
    let mut content = workload(name, 1).content;
    content.annotations.push(("priority".into(), priority.to_string()));
    if request > 0 {
        let requests = json!({ "requests": { "memory": format!("{request}Mi") } });
        content.specification.edit(|it| it["containers"][0]["resources"] = requests);
    }
    Workload::new(content)
}

impl World {
    fn press(&mut self, resource: Resource, level: Level) {
        let available = if level == Level::Fine { 200 * MIB } else { 10 * MIB };
        let pressure = Pressure { resource, level, available, reserve: 32 * MIB, stalled: 0 };
        self.happen(Event::Pressure(pressure));
    }

    fn memory(&mut self, level: Level) {
        self.press(Resource::Memory, level);
    }

    fn memory_and_settle(&mut self, level: Level) {
        self.memory(level);
        self.settle();
    }

    /// What each uses from now on, in MiB.
    fn uses(&mut self, uses: &[(&Workload, u64)]) {
        self.uses = uses.iter().map(|(workload, mib)| (workload.id.clone(), mib * MIB)).collect();
    }

    /// The names of the workloads that have a pod.
    fn alive(&self) -> Vec<&str> {
        self.pods.values().map(|(name, ..)| name.as_str()).collect()
    }

    /// Those that go, in their order, while memory stays critical.
    fn victims(&mut self) -> Vec<String> {
        self.memory(Level::Critical);
        self.pass(300 * S);
        let evicted = self.said.iter().filter(|notice| notice.reason == Reason::Evicted);
        evicted.map(|notice| notice.message.split('\'').nth(1).unwrap().into()).collect()
    }

    fn told(&self, reason: Reason) -> Vec<&str> {
        self.said.iter().filter(|it| it.reason == reason).map(|it| it.message.as_str()).collect()
    }
}

#[test]
fn below_the_reserve_nothing_new_is_pulled_or_started_and_what_runs_stays() {
    let (old, new) = (workload("old", 1), workload("new", 1));
    let mut world = World::running(&[&old]);
    world.memory(Level::Low);
    world.want(&[&old, &new]);
    world.pass(600 * S);
    assert_eq!(world.took(), [""; 0]);
    assert_eq!(world.alive(), ["old"]);
    assert_eq!(
        world.told(Reason::DeviceLow),
        ["memory is short: 10 MiB are left, the reserve is 32 MiB; nothing new is pulled or started"]
    );
    world.memory_and_settle(Level::Fine);
    assert_eq!(world.alive(), ["new", "old"]);
    assert_eq!(world.told(Reason::DeviceRecovered), ["there is enough memory again: 200 MiB are left"]);
}

#[test]
fn a_start_waits_until_nothing_is_short_any_more() {
    let mut world = World::running(&[]);
    world.memory(Level::Low);
    world.press(Resource::Disk, Level::Low);
    world.want(&[&workload("a", 1)]);
    world.memory_and_settle(Level::Fine);
    assert!(world.alive().is_empty());
    world.press(Resource::Disk, Level::Fine);
    world.settle();
    assert_eq!(world.alive(), ["a"]);
}

#[test]
fn a_failed_workload_is_not_started_again_while_the_device_is_low() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.memory(Level::Low);
    world.exit(&a.id, 1, 5 * S);
    world.took();
    world.pass(300 * S);
    assert!(world.took().iter().all(|order| order.starts_with("look")));
    assert!(world.explain("a").starts_with("a is held: nothing new is pulled or started"));
    world.memory_and_settle(Level::Fine);
    assert_eq!(world.took(), [format!("restart a of {}", a.id)]);
}

#[test]
fn the_old_content_runs_on_while_the_new_one_must_not_start() {
    let old = workload("a", 1);
    let new = changed(&old);
    let mut world = World::running(&[&old]);
    world.want(&[&new]);
    world.memory(Level::Low); // its images are on their way already
    world.settle();
    world.pass(60 * S);
    assert!(world.pods.contains_key(&old.id), "{:?}", world.log);
    world.memory_and_settle(Level::Fine);
    assert_eq!(world.ids(), [&new.id]);
}

#[test]
fn who_uses_more_than_it_asked_for_goes_first_then_the_lowest_priority_then_the_largest() {
    let greedy = important("greedy", 9, 10);
    let silent = important("silent", 5, 0);
    let humble = important("humble", -1, 100);
    let large = important("large", 0, 100);
    let small = important("small", 0, 100);
    let tiny = important("tiny", -9, 0);
    let all = [&greedy, &silent, &humble, &large, &small, &tiny];
    let mut world = World::running(&all);
    let mut uses: Vec<_> = all.into_iter().zip([11, 30, 20, 90, 80, 0]).collect();
    uses[5].1 = 0; // nothing is gained
    world.uses(&uses);
    assert_eq!(world.victims(), ["silent", "greedy", "humble", "large", "small"]);
    assert_eq!(world.alive(), ["tiny"]);
}

#[test]
fn an_eviction_names_the_resource_the_numbers_and_why_this_one() {
    let (a, b) = (important("a", 0, 64), important("b", 3, 0));
    let mut world = World::running(&[&a, &b]);
    world.uses(&[(&a, 210), (&b, 5)]);
    world.victims();
    let before = "is stopped: memory is short: 10 MiB are left, the reserve is 32 MiB; it uses";
    let after = "it comes back when all is fine, but not within 60 s";
    assert_eq!(
        world.told(Reason::Evicted),
        [
            format!("workload 'a' {before} 210 MiB, more than the 64 MiB it may; its priority is 0; {after}"),
            format!("workload 'b' {before} 5 MiB and requests none; its priority is 3; {after}"),
        ]
    );
}

/// A world with `a` and `b` in which memory is critical and `a` has to go.
fn with_a_victim() -> (World, Workload) {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a, &b]);
    world.uses(&[(&a, 50), (&b, 40)]);
    world.memory(Level::Critical);
    world.answer(); // who uses how much
    (world, a)
}

#[test]
fn one_goes_at_a_time_and_the_next_only_when_that_did_not_help() {
    let (mut world, a) = with_a_victim();
    assert_eq!(world.took(), [format!("remove {}", a.id)]);
    let Some(Order { task: Task::Remove { grace, .. }, .. }) = world.orders.front() else { panic!() };
    assert_eq!(*grace, Grace::Shortest);
    world.step(world.now.up + 30 * S);
    world.happen(Event::Tick);
    assert_eq!(world.orders.len(), 1, "its pod is not gone yet");
    world.settle();
    world.pass(9 * S);
    assert_eq!(world.alive(), ["b"]);
    world.memory(Level::Low);
    world.pass(300 * S);
    assert_eq!(world.alive(), ["b"]);
}

#[test]
fn a_pod_that_does_not_go_is_not_waited_for_for_ever() {
    let (mut world, _) = with_a_victim();
    let stuck = world.orders.pop_front().unwrap();
    world.pass(61 * S);
    assert_eq!(world.alive(), ["a"], "{stuck:?}");
}

#[test]
fn they_come_back_one_at_a_time_the_most_important_first_when_all_has_been_fine_for_a_minute() {
    let (a, b) = (important("a", 0, 0), important("b", 1, 0));
    let mut world = World::running(&[&a, &b]);
    world.uses(&[(&a, 50), (&b, 40)]);
    assert_eq!(world.victims(), ["a", "b"]);
    world.memory(Level::Low);
    world.pass(300 * S);
    world.memory(Level::Fine);
    world.pass(59 * S);
    assert!(world.alive().is_empty());
    world.pass(S);
    world.settle();
    assert_eq!(world.alive(), ["b"]);
    world.pass(59 * S);
    assert_eq!(world.alive(), ["b"]);
    world.pass(S);
    world.settle();
    assert_eq!(world.alive(), ["a", "b"]);
    assert_eq!(world.told(Reason::EvictionOver).len(), 2);
}

#[test]
fn who_has_to_go_again_stays_away_twice_as_long_up_to_an_hour() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.uses(&[(&a, 50)]);
    let mut away = Vec::new();
    for _ in 0..8 {
        world.memory_and_settle(Level::Critical);
        let since = world.now.up;
        world.memory(Level::Fine);
        while world.alive().is_empty() {
            world.pass(S);
        }
        away.push((world.now.up - since).as_secs());
    }
    assert_eq!(away, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    world.pass(3601 * S);
    world.memory_and_settle(Level::Critical);
    world.memory(Level::Fine);
    world.pass(61 * S);
    assert_eq!(world.alive(), ["a"], "an hour without trouble is forgiven");
}

/// A world whose only workload was evicted, as memory is critical.
fn with_an_evicted() -> (World, Workload) {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.uses(&[(&a, 50)]);
    world.memory_and_settle(Level::Critical);
    (world, a)
}

#[test]
fn another_content_gets_another_try_and_a_removed_workload_is_forgotten() {
    let (mut world, a) = with_an_evicted();
    world.memory_and_settle(Level::Fine);
    assert!(world.alive().is_empty());
    world.want_and_settle(&[&changed(&a)]);
    assert_eq!(world.alive(), ["a"]);
    world.want_and_settle(&[]);
    world.want_and_settle(&[&a]);
    assert_eq!(world.alive(), ["a"]);
}

#[test]
fn an_update_that_waited_starts_as_soon_as_nothing_is_short_although_what_ran_was_evicted() {
    let rules = update::UpdateRules { when: Some("moving == 0".into()), ..Default::default() };
    let a = Workload { update: Some(Box::new(rules)), ..workload("a", 1) };
    let new = Workload { update: a.update.clone(), ..changed(&a) };
    let mut world = World::running(&[&a]);
    world.post("moving", 1.0);
    world.pass(11 * S);
    world.want_and_settle(&[&new]);
    world.uses(&[(&a, 50)]);
    world.memory_and_settle(Level::Critical);
    assert!(world.alive().is_empty());
    world.memory_and_settle(Level::Fine);
    assert_eq!(world.ids(), [&new.id]);
    world.pass(600 * S);
    assert_eq!(world.told(Reason::EvictionOver), [""; 0], "what was evicted is gone");
}

#[test]
fn an_evicted_workload_is_stopped_to_the_server_and_no_failure() {
    let (mut world, _) = with_an_evicted();
    let tracked = &world.agent.workloads["a"];
    assert_eq!(tracked.server_status(), call::ServerWorkloadStatus::Stopped);
    assert!(!world.heard().contains(&Reason::Inactive), "its profiles hold");
}

#[test]
fn what_a_default_limit_allows_is_not_too_much() {
    let (a, b) = (workload("a", 1), important("b", 1, 10));
    let mut world = World::running(&[&a, &b]);
    world.agent.evictions = eviction::Evictions::new(Some(64 * MIB));
    world.uses(&[(&a, 60), (&b, 20)]);
    assert_eq!(world.victims(), ["b", "a"]);
}

#[test]
fn where_no_eviction_can_make_room_it_is_said_once_and_seldom_tried() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.memory(Level::Critical);
    let before = world.agent.context.last.0;
    world.pass(600 * S);
    assert_eq!(world.alive(), ["a"]);
    assert_eq!(world.told(Reason::DeviceLow).len(), 2, "that it is low, and that no workload can help");
    assert_eq!(world.agent.context.last.0 - before, 20, "10 lists and 10 looks at what each uses");
}

#[test]
fn what_cannot_be_helped_does_not_keep_the_other_from_being_seen_to() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.press(Resource::Disk, Level::Critical);
    let measuring = world.orders.pop_front().unwrap();
    world.uses(&[(&a, 50)]);
    world.memory(Level::Critical); // before it is known how much disk space each uses
    world.settle();
    world.orders.push_back(measuring);
    world.settle();
    assert_eq!(world.told(Reason::Evicted).len(), 1);
    assert!(world.told(Reason::Evicted)[0].contains("memory is short"));
}

#[test]
fn a_podman_that_has_no_memory_to_answer_is_not_waited_for() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.uses(&[(&a, 50)]);
    world.engine_gone = true;
    world.pass(120 * S);
    assert_eq!(world.agent.missing_engines().count(), 1);
    world.memory(Level::Critical);
    let usage = world.orders.iter().position(|order| matches!(order.task, Task::Usage(_))).unwrap();
    let Order { engine, ticket, .. } = world.orders.remove(usage).unwrap();
    let result = Ok(Fact::Usage(world.uses.clone())); // which needs no podman
    world.happen(Event::Done(Outcome { engine, ticket, result }));
    assert!(world.took().contains(&format!("remove {}", a.id)));
    world.engine_gone = false;
    world.pass(120 * S);
    assert!(world.alive().is_empty(), "{:?}", world.said);
}

#[test]
fn an_engine_that_does_not_tell_is_asked_again() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.uses(&[(&a, 50)]);
    world.broken = Some(Failure::Workload("busy".into()));
    world.engine_gone = true;
    world.memory_and_settle(Level::Critical);
    assert_eq!(world.alive(), ["a"]);
    (world.broken, world.engine_gone) = (None, false);
    world.pass(15 * S);
    assert!(world.alive().is_empty());
}

#[test]
fn a_priority_that_is_no_number_is_reported_and_counts_as_none() {
    let mut content = workload("a", 1).content;
    content.annotations.push(("priority".into(), "high".into()));
    let mut world = World::new();
    world.want(&[&Workload::new(content)]);
    let told = world.told(Reason::ConfigurationRejected);
    assert_eq!(
        told,
        ["workload 'a': the annotation priority, 'high', is no whole number, so its priority is 0"]
    );
}

#[test]
fn while_something_is_short_the_device_is_degraded_and_the_present_amount_is_shown_but_told_once() {
    let mut world = World::running(&[&workload("a", 1)]);
    let left = |mib: u64, level| {
        let (available, reserve) = (mib * MIB, 32 * MIB);
        Event::Pressure(Pressure { resource: Resource::Disk, level, available, reserve, stalled: 0 })
    };
    for mib in [20, 7, 25] {
        world.happen(left(mib, Level::Low));
        let device = world.agent.report(world.now).device;
        let shortage = format!("disk space is short: {mib} MiB are left, the reserve is 32 MiB");
        assert_eq!((device.healthy, device.shortages), (false, vec![shortage]));
    }
    assert_eq!(world.told(Reason::DeviceLow).len(), 1);
    world.happen(left(200, Level::Fine));
    assert!(world.agent.report(world.now).device.healthy);
}
