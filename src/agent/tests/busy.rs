//! Who keeps the processor busy, and who wants too many processes, is named and goes on.

use super::*;
use crate::agent::model::{
    notice::Severity,
    pressure::{Level, Pressure, Resource},
};

impl World {
    fn strain(&mut self, level: Level) {
        let pressure = Pressure { resource: Resource::Cpu, level, available: 0, reserve: 0, stalled: 80 };
        self.happen(Event::Pressure(pressure));
        self.settle();
    }

    /// What each has used since it began, in seconds of the whole processor.
    fn used(&mut self, seconds: &[(&Workload, u64)]) {
        let uses = seconds.iter().map(|(workload, seconds)| (workload.id.clone(), seconds * 1_000_000));
        self.uses = uses.collect();
    }

    fn warnings(&mut self) -> Vec<String> {
        let said = std::mem::take(&mut self.said).into_iter();
        said.filter(|it| it.severity == Severity::Warning).map(|it| it.to_string()).collect()
    }
}

#[test]
fn who_keeps_the_processor_busy_is_named_once_and_goes_on() {
    let (calm, spin, more) = (workload("calm", 1), workload("spin", 1), workload("more", 1));
    let mut world = World::running(&[&calm, &spin]);
    for _ in 0..2 {
        world.used(&[(&calm, 500), (&spin, 100)]);
        world.strain(Level::Low);
        world.step(world.now.up + 30 * S);
        world.used(&[(&calm, 509), (&spin, 120)]);
        world.strain(Level::Critical);
        assert_eq!(
            world.warnings(),
            [
                "CpuBusy: workload 'spin' keeps the processor busy: it used 66 % of it for 30 s, and processes waited \
                 for it 80 % of the time; it goes on, with its share"
            ]
        );
        world.want(&[&calm, &spin, &more]);
        world.pass(600 * S);
        world.strain(Level::Fine);
    }
    assert_eq!(world.pods.len(), 3, "nothing is stopped, and new ones are started");
}

#[test]
fn an_engine_that_does_not_tell_hides_no_workload_of_another() {
    let (mut content, spin) = (workload("calm", 1).content, workload("spin", 1));
    content.engine = Engine::Podman { rootless: true };
    let mut world = World::running(&[&Workload::new(content), &spin]);
    world.used(&[(&spin, 100)]);
    world.strain(Level::Low);
    world.step(world.now.up + 30 * S);
    let pressure =
        Pressure { resource: Resource::Cpu, level: Level::Critical, available: 0, reserve: 0, stalled: 80 };
    world.happen(Event::Pressure(pressure));
    let uses = Fact::Usage(vec![(spin.id.clone(), 125_000_000)]);
    let answers = [Ok(uses), Err(Failure::Engine("gone".into()))];
    let asked: Vec<_> = world.orders.drain(..).filter(|it| matches!(it.task, Task::Usage(_))).collect();
    assert_eq!(asked.len(), 2);
    for (Order { engine, ticket, .. }, result) in asked.into_iter().zip(answers) {
        world.happen(Event::Done(Outcome { engine, ticket, result }));
    }
    assert_eq!(world.warnings().len(), 1);
}

#[test]
fn no_workload_is_named_for_what_others_do_with_the_processor() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a, &b]);
    world.used(&[(&a, 500)]);
    world.strain(Level::Low);
    world.step(world.now.up + 30 * S);
    world.used(&[(&a, 514), (&b, 900)]); // what b had used before isn't known
    world.strain(Level::Critical);
    assert_eq!(world.warnings(), [""; 0]);
}

#[test]
fn who_comes_to_a_processor_that_is_busy_already_is_named_as_well() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a, &b]);
    world.strain(Level::Low); // none of these: the device has just started
    let mut named = Vec::new();
    for (of_a, of_b) in [(0, 0), (20, 5), (40, 10), (45, 30)] {
        world.step(world.now.up + 30 * S);
        world.used(&[(&a, of_a), (&b, of_b)]);
        world.strain(Level::Critical);
        named.push(
            world.warnings().iter().map(|it| it.split('\'').nth(1).unwrap().to_owned()).collect::<String>(),
        );
    }
    assert_eq!(named, ["", "a", "", "b"]);
}

#[test]
fn who_wants_more_processes_than_it_may_have_is_named() {
    let forks = workload("forks", 1);
    let mut world = World::running(&[&forks]);
    for (id, limit) in [(&forks.id, Some(512)), (&forks.id, None), (&workload("other", 1).id, Some(512))] {
        world.happen(Event::Refused(PODMAN, id.clone(), limit));
    }
    assert_eq!(
        world.warnings(),
        [
            "ProcessLimit: workload 'forks' wants more processes than the 512 it may have: they are refused",
            "ProcessLimit: workload 'forks' wants more processes than it may have: they are refused"
        ]
    );
    assert_eq!(world.took(), [""; 0]);
}
