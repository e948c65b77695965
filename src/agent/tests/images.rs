//! Images that the agent pulled, and that nothing needs any more.

use super::*;

fn image(name: &str) -> (Engine, String) {
    (PODMAN, name.into())
}

/// `w` with another image.
fn with_image(w: &Workload, image: &str) -> Workload {
    let mut content = w.content.clone();
    content.specification.edit(|it| it["containers"][0]["image"] = image.into());
    Workload::new(content)
}

fn pulls(world: &mut World, image: &str, before: Option<&str>) {
    world.fetched = vec![PulledImage { image: image.into(), before: before.map(Into::into) }];
}

fn discarded(world: &mut World) -> Vec<String> {
    world.took().into_iter().filter(|order| order.starts_with("discard ")).collect()
}

#[test]
fn an_image_goes_when_the_last_pod_that_used_it_has_gone() {
    let (a, b) = (with_image(&workload("a", 1), "old"), with_image(&workload("b", 1), "old"));
    let mut world = World::new();
    pulls(&mut world, "old", None);
    world.want_and_settle(&[&a, &b]);
    assert_eq!(world.pulled, [image("old")].into());
    world.want_and_settle(&[&b]);
    assert_eq!(discarded(&mut world), [""; 0]);
    world.want_and_settle(&[]);
    assert_eq!(discarded(&mut world), ["discard old"]);
    assert!(world.pulled.is_empty());
}

#[test]
fn an_updates_old_image_stays_until_there_is_no_return() {
    let w = with_image(&workload("w", 1), "old");
    let mut world = World::new();
    pulls(&mut world, "old", None);
    world.want_and_settle(&[&w]);
    world.pass(60 * S);
    pulls(&mut world, "new", None);
    world.want_and_settle(&[&with_image(&w, "new")]);
    assert_eq!(discarded(&mut world), [""; 0]);
    world.pass(10 * S);
    assert_eq!(discarded(&mut world), ["discard old"]);
    assert_eq!(world.pulled, [image("new")].into());
}

#[test]
fn an_image_goes_when_an_update_takes_the_place_of_a_pod_that_has_gone_before() {
    let update = Some(Box::new(update::UpdateRules { when: Some("no == 1".into()), ..Default::default() }));
    let w = Workload { update: update.clone(), ..with_image(&workload("w", 1), "old") };
    let profiles = gated("w", "low").profiles;
    let mut world = World::new();
    world.profiles[0].conditions[0].expression = "no == 1".into();
    pulls(&mut world, "old", None);
    world.want_and_settle(&[&w]);
    world.fetched.clear();
    world.want(&[&Workload { update, profiles, ..with_image(&w, "new") }]);
    world.broken = Some(Failure::Workload("no route".into()));
    world.answer(); // the pull
    world.broken = None;
    world.pass(60 * S);
    assert_eq!(discarded(&mut world), ["discard old"]);
}

#[test]
fn an_image_that_was_here_before_is_not_the_agents_to_remove() {
    let w = workload("w", 1);
    let mut world = World::new();
    pulls(&mut world, "i", Some("sha256:1")); // a newer one came in under its name
    world.want_and_settle(&[&w]);
    world.want_and_settle(&[]);
    assert_eq!(discarded(&mut world), [""; 0]);
}

#[test]
fn what_a_newer_image_took_the_name_of_goes_when_it_was_ours() {
    let mut w = workload("w", 1);
    w.schedule =
        schedule::Schedule::Cron(schedule::Cron::parse("* * * * *").unwrap(), schedule::Backoff::RUN_BACKOFF);
    let mut world = World::new();
    pulls(&mut world, "i", None);
    world.want(&[&w]);
    world.pass(70 * S);
    world.exit(&w.id, 0, S);
    pulls(&mut world, "i", Some("sha256:1"));
    world.pass(60 * S);
    world.exit(&w.id, 0, S);
    assert_eq!(discarded(&mut world), ["discard sha256:1"]);
    assert_eq!(world.pulled, [image("i")].into());
}

/// A workload that ran of an image which was pulled for it isn't wanted any more.
fn terminating(name: &str) -> World {
    let w = with_image(&workload("w", 1), name);
    let mut world = World::new();
    pulls(&mut world, name, None);
    world.want_and_settle(&[&w]);
    world.want(&[]);
    world
}

#[test]
fn an_image_in_use_elsewhere_is_tried_again_when_something_changes_and_not_sooner() {
    let mut world = terminating("old");
    world.answer(); // the pod's removal
    world.broken = Some(Failure::Workload("image is in use".into()));
    world.settle();
    world.pass(3600 * S);
    assert_eq!(discarded(&mut world), ["discard old"]);
    world.broken = None;
    world.want_and_settle(&[]);
    assert_eq!(discarded(&mut world), ["discard old"]);
    assert!(world.pulled.is_empty());
}

#[test]
fn an_image_that_a_lost_podman_was_to_remove_goes_when_it_answers_again() {
    let mut world = terminating("old");
    while !world.orders.iter().any(|it| matches!(it.task, Task::Discard(_))) {
        world.answer();
    }
    world.engine_gone = true;
    world.settle();
    assert_eq!(discarded(&mut world), ["discard old"]);
    world.engine_gone = false;
    world.pass(61 * S);
    assert_eq!(discarded(&mut world), ["discard old"]);
    assert!(world.pulled.is_empty());
}
