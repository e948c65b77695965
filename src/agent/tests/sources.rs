//! Two sources, and what becomes of a configuration, named by its outcome.

use super::{edge::configuration, *};

/// With a directory of manifests and a server, of which this much is known.
fn both(kept: PersistedLinkState) -> World {
    let mut world = World::setup(FinishedRuns::new(), true, Some(kept.clone()));
    world.kept = kept;
    world.profiles.clear();
    if let Some(configuration) = &world.kept.configuration {
        world.edge.configuration = (**configuration).clone();
    }
    (world.edge.known, world.edge.certificate) = (true, Some(world.now.utc + 86_400 * S));
    world
}

fn known(workloads: &[&Workload]) -> PersistedLinkState {
    Edge::remembered(World::new().now, Some(configuration("1", workloads)))
}

#[test]
fn the_server_wins_a_name_and_it_is_said_once() {
    let (server, own, other) = (workload("w", 1), changed(&workload("w", 1)), workload("other", 1));
    let mut world = both(known(&[&server]));
    world.want_and_settle(&[&own, &other]);
    assert_eq!(world.ids(), [&other.id, &server.id]);
    world.want(&[&own, &other]);
    let said = "workload 'w': both the server and a manifest define it; the server's counts";
    assert_eq!(world.said.iter().filter(|notice| notice.message == said).count(), 1);
    world.edge.configuration = configuration("2", &[]);
    world.pass(66 * S); // the name is free again
    assert_eq!(world.ids(), [&other.id, &own.id]);
}

#[test]
fn profiles_are_merged_and_the_servers_win_their_name_and_it_is_said_once() {
    let profile = |name: &str, expression: &str| Profile {
        name: name.into(),
        conditions: vec![Condition {
            name: "low".into(),
            expression: expression.into(),
            ..Condition::default()
        }],
    };
    let (server, own) = (gated("server", "low"), gated("own", "low"));
    let mut kept = known(&[&server]);
    kept.configuration.as_mut().unwrap().desired.profiles = vec![profile("p", "1 < 2")];
    let mut world = both(kept);
    world.profiles = vec![profile("p", "1 > 2"), profile("q", "1 < 2")];
    let mut q = gated("q", "low");
    q.profiles[0].name = "q".into();
    world.want_and_settle(&[&own, &q]);
    assert_eq!(world.pods.len(), 3, "{:?}", world.said);
    world.want(&[&own, &q]);
    let said: Vec<_> = world.said.iter().filter(|notice| notice.reason != Reason::Started).collect();
    let [Notice { reason: Reason::ConfigurationRejected, message, .. }] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(message, "profile 'p': both the server and a manifest define it; the server's counts");
}

#[test]
fn the_servers_rules_for_updates_count_and_it_is_said_once() {
    let rules = |when: &str| {
        Some(Box::new(update::UpdateRules { when: Some(when.into()), ..update::UpdateRules::default() }))
    };
    let (server, own) = (workload("server", 1), workload("own", 1));
    let mut kept = known(&[&server]);
    kept.configuration.as_mut().unwrap().desired.update = rules("x == 1");
    let mut world = both(kept);
    world.update = rules("x == 2");
    world.want_and_settle(&[&own]);
    world.want(&[&own]);
    let said = "update: both the server and a manifest define the device's rules; the server's count";
    assert_eq!(world.said.iter().filter(|notice| notice.message == said).count(), 1, "{:?}", world.said);
}

#[test]
fn nothing_goes_before_both_sources_were_read() {
    let (server, own) = (workload("server", 1), workload("own", 1));
    for server_first in [true, false] {
        let mut world = match server_first {
            true => both(known(&[&server])),
            false => both(PersistedLinkState { configuration: None, ..known(&[]) }),
        };
        for workload in [&server, &own] {
            let pod = (workload.name().into(), ContainerState::Running, 1);
            world.pods.insert(workload.id.clone(), pod);
        }
        if server_first {
            world.happen(Event::Tick);
        } else {
            world.edge.broken = Some(CallFailure::Unreachable("no network".into()));
            world.want(&[&own]);
        }
        world.settle();
        world.pass(3600 * S);
        assert_eq!(world.pods.len(), 2);
        assert!(world.took().iter().all(|order| order.starts_with("look")));
        world.edge.broken = None;
        world.edge.configuration = configuration("1", &[&server]);
        world.want(&[]);
        world.pass(400 * S);
        assert_eq!(world.ids(), [&server.id]);
    }
}

#[test]
fn a_workload_of_manifests_that_finished_is_not_forgotten_while_only_the_server_was_read() {
    let mut once = workload("once", 1);
    once.restart = RestartPolicy::Never;
    let finished = FinishedRuns::from([(once.id.clone(), WELL)]);
    let mut world = World::setup(finished, true, Some(known(&[])));
    world.happen(Event::Tick);
    world.want_and_settle(&[&once]);
    assert!(world.pods.is_empty());
}

#[test]
fn what_is_removed_goes_although_another_manifest_cannot_be_read() {
    let (server, own) = (workload("server", 1), workload("own", 1));
    let mut world = both(known(&[&server]));
    world.want_and_settle(&[&own]);
    world.partial = true;
    world.want(&[]);
    world.edge.configuration = configuration("2", &[]);
    world.pass(100 * S);
    assert!(world.pods.is_empty());
}

#[test]
fn a_workload_the_server_sent_broken_stays_as_it_was() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = both(known(&[&a, &b]));
    world.want_and_settle(&[]);
    world.edge.configuration = configuration("2", &[]);
    world.edge.configuration.desired.unreadable = vec!["a".into(), "c".into()];
    world.edge.configuration.problems = vec!["workload 'a': no containers".into()];
    world.said.clear();
    world.pass(200 * S);
    assert_eq!(world.ids(), [&a.id]);
    let rejected = world.heard().iter().filter(|it| **it == Reason::ConfigurationRejected).count();
    assert_eq!(rejected, 1);
    let beat = world.edge.beats.last().unwrap();
    assert_eq!(beat.workloads.iter().map(|it| &*it.0).collect::<Vec<_>>(), ["a", "c"]);
    assert!(beat.degraded, "'c' was never understood");
    world.edge.configuration.problems.push("workload 'c': no name".into());
    world.pass(66 * S);
    assert_eq!(world.heard(), [Reason::ConfigurationRejected, Reason::ConfigurationApplied]);
}

#[test]
fn a_workload_the_server_sent_broken_is_not_taken_from_a_manifest_and_that_is_said() {
    let (own, new) = (workload("own", 1), workload("new", 1));
    let mut world = both(known(&[]));
    world.want_and_settle(&[&own]);
    world.edge.configuration = configuration("2", &[]);
    world.edge.configuration.desired.unreadable = vec!["own".into(), "new".into()];
    world.pass(100 * S);
    world.want(&[&own, &new]);
    world.pass(100 * S);
    assert_eq!(world.ids(), [&own.id], "what ran stays, and nothing else starts");
    for name in ["own", "new"] {
        let said =
            format!("workload '{name}': both the server and a manifest define it; the server's counts");
        assert_eq!(world.said.iter().filter(|notice| notice.message == said).count(), 1, "{:?}", world.said);
    }
    world.edge.configuration = configuration("3", &[]);
    world.pass(100 * S); // the names are free again
    assert_eq!(world.ids(), [&new.id, &own.id]);
}

#[test]
fn a_crashed_workload_of_a_manifest_degrades_the_device_too() {
    let own = workload("own", 1);
    let mut world = both(known(&[]));
    world.want(&[&own]);
    world.broken = Some(Failure::Workload("no such image".into()));
    world.pass(140 * S);
    let beat = world.edge.beats.last().unwrap();
    assert!(beat.degraded && beat.workloads.is_empty());
}

#[test]
fn another_version_of_the_same_content_does_nothing_but_is_sent_back() {
    let w = workload("w", 1);
    let mut world = both(known(&[&w]));
    world.want_and_settle(&[]);
    world.pass(100 * S);
    world.took();
    world.said.clear();
    for version in 2..50 {
        world.edge.configuration = configuration(&version.to_string(), &[&w]);
        world.pass(66 * S);
    }
    world.pass(66 * S);
    assert!(world.took().is_empty() && world.heard().is_empty());
    assert_eq!(world.edge.beats.last().unwrap().version, "49");
    assert_eq!(world.kept.configuration.as_ref().unwrap().version, "1", "nothing was written");
}

#[test]
fn a_changed_configuration_is_applied_told_once_and_stored() {
    let (w, new) = (workload("w", 1), changed(&workload("w", 1)));
    let mut world = both(known(&[&w]));
    world.want_and_settle(&[]);
    world.pass(100 * S);
    world.said.clear();
    world.edge.configuration = configuration("2", &[&new]);
    world.pass(300 * S);
    let applied = world.heard().iter().filter(|it| **it == Reason::ConfigurationApplied).count();
    assert_eq!(applied, 1);
    assert_eq!(world.ids(), [&new.id]);
    assert_eq!(world.kept.configuration.as_ref().unwrap().version, "2");
    world.edge.broken = Some(CallFailure::Unreachable("no network".into()));
    world.pods.clear(); // and it holds over a reboot without a network
    world.restart();
    world.settle();
    assert_eq!(world.ids(), [&new.id]);
}

#[test]
fn a_configuration_that_could_not_be_stored_is_stored_when_the_disk_takes_it() {
    let mut world = both(known(&[]));
    world.want(&[]);
    world.edge.configuration = configuration("2", &[&workload("w", 1)]);
    world.pass(140 * S);
    world.kept.configuration = None;
    world.happen(Event::Stored(Storage::State, Err("no space left on device".into())));
    world.pass(66 * S);
    assert_eq!(world.kept.configuration.take().unwrap().version, "2");
    world.happen(Event::Stored(Storage::State, Ok(())));
    world.pass(140 * S);
    assert!(world.kept.configuration.is_none(), "once is enough");
}

#[test]
fn a_disconnect_leaves_what_manifests_want() {
    let (server, own, shared) = (workload("server", 1), workload("own", 1), workload("shared", 1));
    let mut world = both(known(&[&server, &shared]));
    let own_shared = changed(&shared);
    world.want_and_settle(&[&own, &own_shared]);
    world.edge.disconnects = true;
    world.pass(66 * S);
    let mut expected = [&own.id, &own_shared.id];
    expected.sort();
    assert_eq!(world.ids(), expected);
}

#[test]
fn a_disconnect_leaves_no_content_of_the_server_also_where_not_all_manifests_are_known() {
    for partial in [false, true] {
        let (server, own, shared) = (workload("server", 1), workload("own", 1), workload("shared", 1));
        let mut world = both(known(&[&server, &shared]));
        world.partial = partial;
        let own_shared = changed(&shared);
        world.want_and_settle(&[&own, &own_shared]);
        world.pass(20 * S);
        let good =
            |world: &World| -> Vec<_> { world.fallbacks.values().map(|it| it.good.id.clone()).collect() };
        assert_eq!(good(&world), [own.id.clone(), server.id.clone(), shared.id.clone()]);
        world.edge.disconnects = true;
        world.pass(100 * S);
        assert_eq!(good(&world), [own.id.clone(), own_shared.id.clone()], "partial: {partial}");
        assert!(world.befores.iter().all(|(_, before)| before.is_none()), "{:?}", world.befores);
    }
}

#[test]
fn after_a_disconnect_no_rule_of_updates_keeps_what_was_the_servers() {
    let server = workload("w", 1);
    let rules = update::UpdateRules { when: Some("1 > 2".into()), ..update::UpdateRules::default() };
    let own = Workload { update: Some(Box::new(rules)), ..changed(&server) };
    let mut world = both(known(&[&server]));
    world.want_and_settle(&[&own]);
    world.pass(20 * S);
    world.edge.disconnects = true;
    world.pass(66 * S);
    assert_eq!(world.ids(), [&own.id]);
    assert!(world.updates.iter().all(|it| it.runs.is_none()), "{:?}", world.updates);
}

#[test]
fn the_server_sets_how_often_engines_are_looked_at_but_not_to_a_loop() {
    let mut world = both(known(&[]));
    world.want(&[]);
    world.pass(100 * S);
    for (asked, expected) in [(Some(7200 * S), 0), (Some(Duration::ZERO), 360), (None, 60)] {
        world.edge.configuration.monitoring_interval = asked;
        world.pass(140 * S);
        let before = world.agent.context.last.0;
        world.pass(3600 * S);
        assert_eq!(world.agent.context.last.0 - before, expected);
    }
}
