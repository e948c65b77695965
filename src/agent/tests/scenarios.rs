//! Each rule of reconciliation, named by its outcome.

use super::*;

#[test]
fn a_workload_is_pulled_and_started_once_and_then_left_alone() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    assert_eq!(world.took(), [format!("pull {}", w.id), format!("start {}", w.id)]);
    assert_eq!(world.heard(), [Reason::Started]);
    world.pass(3600 * S);
    assert!(world.took().is_empty());
}

#[test]
fn an_idle_agent_asks_for_one_list_a_minute_whatever_it_runs() {
    let workloads: Vec<_> = (0..50).map(|i| workload(&format!("w{i}"), 1)).collect();
    let mut world = World::running(&workloads.iter().collect::<Vec<_>>());
    let before = world.agent.context.last.0;
    world.pass(3600 * S);
    assert_eq!(world.agent.context.last.0 - before, 60);
}

#[test]
fn a_condition_that_turns_false_removes_the_pod_and_true_again_starts_it_at_once() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]); // x is nil
    world.post_and_settle("x", 5.0);
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
    assert_eq!(world.heard(), [Reason::Inactive, Reason::Stopped]);
    world.post_and_settle("x", 2.0);
    assert_eq!(world.took(), [format!("start {}", w.id)]);
}

#[test]
fn a_condition_that_turns_true_again_ends_the_back_off() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, S);
    world.post_and_settle("x", 5.0);
    world.took();
    world.post_and_settle("x", None);
    assert_eq!(world.took(), [format!("start {}", w.id)]);
}

#[test]
fn a_workload_starts_only_if_each_profile_it_lists_has_a_condition_that_holds() {
    let mut w = gated("w", "low");
    let hot = vec![
        ListedCondition { name: "very_hot".into(), cpu: None },
        ListedCondition { name: "hot".into(), cpu: None },
    ];
    w.profiles.push(ListedProfile { name: "p".into(), conditions: hot });
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    assert!(world.took().is_empty());
    world.post_and_settle("hot", 2.0);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_profile_or_condition_that_the_device_lacks_is_false_and_told_once() {
    let (mut a, b) = (gated("a", "hott"), gated("b", "ho"));
    a.profiles[0].name = "q".into();
    let mut world = World::new();
    world.want(&[&a, &b]);
    world.post_and_settle("hot", 500.0);
    assert!(world.pods.is_empty());
    assert_eq!(
        world.said.iter().map(|notice| notice.message.as_str()).collect::<Vec<_>>(),
        [
            "workload 'a': the device has no condition 'hott' in a profile 'q', so it is false",
            "workload 'b': the device has no condition 'ho' in a profile 'p', so it is false"
        ]
    );
    world.said.clear();
    world.want(&[&a, &b]);
    assert!(world.heard().is_empty());
}

#[test]
fn a_workload_that_mounts_the_socket_for_posts_itself_runs_and_that_is_told_once() {
    let mut content = workload("w", 1).content;
    content.specification = json!({
        "volumes": [{ "name": "v", "hostPath": { "path": "/run/posts/metrics.sock" } }],
        "containers": [{ "name": "c0", "image": "i" }],
    })
    .into();
    let w = Workload::new(content);
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    assert_eq!(world.pods.len(), 1);
    let is_it = |text: &str| text.starts_with("workload 'w': it mounts the socket '/run/posts/metrics.sock'");
    assert_eq!(world.said.iter().filter(|notice| is_it(&notice.message)).count(), 1);
    let device = world.agent.report(world.now).device;
    assert!(device.problems.iter().any(|problem| is_it(problem)) && device.healthy, "{device:?}");
}

#[test]
fn two_hundred_posts_at_once_and_then_one_more_end_in_the_right_state() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]);
    for i in 0..200 {
        world.post("x", f64::from(i % 7) + 10.0);
    }
    world.post_and_settle("x", 1.0);
    world.pass(S);
    assert_eq!(world.pods.len(), 1);
    assert_eq!(world.took(), [format!("remove {}", w.id), format!("start {}", w.id)]);
}

#[test]
fn a_workload_whose_conditions_flap_rests_and_then_runs_again() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]);
    for _ in 0..4 {
        world.post_and_settle("x", 9.0);
        world.post_and_settle("x", 1.0);
        world.pass(S);
    }
    assert!(world.heard().contains(&Reason::Flapping));
    assert!(world.pods.is_empty());
    world.pass(30 * S);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_failed_workload_is_started_again_20_s_after_its_exit() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 1, 2 * S);
    assert_eq!(world.took(), [format!("look {}", w.id)]);
    assert_eq!(
        world.said[0].message,
        "workload 'w': container 'a' ended with exit code 1 after 2 s; tried again in 20 s"
    );
    world.pass(20 * S - Duration::from_millis(1));
    assert!(world.took().is_empty());
    world.pass(S);
    assert_eq!(world.took(), [format!("restart a of {}", w.id)]);
}

#[test]
fn an_exit_that_was_noticed_late_counts_from_when_it_happened() {
    let w = workload("w", 1);
    let mut world = World::new();
    let ended = ContainerState::Exited { code: 1, at: world.now.utc - 15 * S, ran: S };
    world.pods.insert(w.id.clone(), ("w".into(), ended, 1));
    world.want_and_settle(&[&w]);
    world.pass(6 * S);
    assert_eq!(world.took().last(), Some(&format!("restart a of {}", w.id)));
}

#[test]
fn a_workload_that_the_engine_refuses_is_retried_with_back_off_and_its_image_asked_for_again() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.want(&[&w]);
    world.answer(); // the list
    world.answer(); // the pull
    world.broken = Some(Failure::Workload("port 80 is taken".into()));
    world.settle();
    assert_eq!(world.said.last().unwrap().message, "workload 'w': port 80 is taken; tried again in 20 s");
    world.broken = None;
    world.pass(21 * S);
    assert_eq!(world.took()[2..], [format!("pull {}", w.id), format!("start {}", w.id)]);
}

#[test]
fn an_image_that_cannot_be_pulled_is_said_and_tried_again() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.broken = Some(Failure::Workload("no such image".into()));
    world.want_and_settle(&[&w]);
    assert_eq!(world.heard(), [Reason::ImagePullFailed]);
    world.broken = None;
    world.pass(21 * S);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_changed_manifest_pulls_while_the_old_pod_runs_and_then_replaces_it() {
    let w = workload("w", 1);
    let new = changed(&w);
    let mut world = World::running(&[&w]);
    world.want(&[&new]);
    assert_eq!(world.took(), [format!("pull {}", new.id)]);
    assert!(world.pods.contains_key(&w.id));
    world.settle();
    let [rehearse, start] = ["rehearse", "start"].map(|verb| format!("{verb} {}", new.id));
    assert_eq!(world.took(), [rehearse, format!("remove {}", w.id), start]);
    assert_eq!(world.ids(), [&new.id]);
}

#[test]
fn a_new_image_that_cannot_be_pulled_leaves_the_old_pod_running() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.broken = Some(Failure::Workload("no such image".into()));
    world.want_and_settle(&[&changed(&w)]);
    world.pass(100 * S);
    assert!(world.pods.contains_key(&w.id));
}

#[test]
fn going_back_to_the_old_manifest_before_the_new_one_started_keeps_the_old_pod() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.want(&[&changed(&w)]);
    world.want_and_settle(&[&w]);
    assert!(world.took().iter().all(|order| !order.starts_with("remove") && !order.starts_with("start")));
    assert!(world.pods.contains_key(&w.id));
}

#[test]
fn a_change_in_the_middle_of_a_start_ends_with_one_pod_of_the_new_content() {
    let w = workload("w", 1);
    let new = changed(&w);
    let mut world = World::new();
    world.want(&[&w]);
    world.answer(); // the list
    world.answer(); // the pull; the start is under way
    world.want_and_settle(&[&new]);
    assert_eq!(world.ids(), [&new.id]);
}

#[test]
fn changing_profiles_or_back_off_touches_no_pod() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    let mut gated = gated("w", "low");
    gated.schedule = schedule::Schedule::Service(schedule::Backoff::Constant(S));
    assert_eq!(gated.id, w.id);
    world.want_and_settle(&[&gated]);
    assert!(world.took().is_empty());
    world.post("x", 5.0); // but it is in force
    world.settle();
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
}

#[test]
fn a_removed_workload_goes_and_an_emptied_directory_empties_the_device() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a, &b]);
    world.want_and_settle(&[&b]);
    assert_eq!(world.ids(), [&b.id]);
    world.want_and_settle(&[]);
    assert!(world.pods.is_empty());
    assert_eq!(world.agent.workloads.len(), 0);
}

#[test]
fn nothing_is_removed_before_it_is_known_what_is_wanted() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1));
    world.happen(Event::Tick);
    world.settle();
    world.pass(600 * S);
    assert!(world.took().is_empty());
    world.want_and_settle(&[]);
    assert_eq!(world.took(), [format!("remove {}", w.id)]);
}

#[test]
fn a_running_pod_is_adopted_without_a_restart_whether_the_list_or_the_manifest_comes_first() {
    let w = workload("w", 1);
    for list_first in [true, false] {
        let mut world = World::new();
        world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1));
        if list_first {
            world.happen(Event::Tick);
            world.settle();
        }
        world.want_and_settle(&[&w]);
        assert_eq!(world.took(), [format!("look {}", w.id)]);
        assert_eq!(world.heard(), [Reason::Adopted]);
    }
}

#[test]
fn a_pod_that_an_interrupted_agent_half_made_is_made_anew_at_once() {
    let w = workload("w", 2);
    let mut world = World::new();
    world.pods.insert(w.id.clone(), ("w".into(), ContainerState::Running, 1));
    world.want_and_settle(&[&w]);
    assert_eq!(world.pods[&w.id].2, 2);
    assert!(world.took().contains(&format!("remove {}", w.id)));
}

#[test]
fn a_pod_of_ours_that_belongs_to_no_workload_is_removed() {
    let (w, orphan) = (workload("w", 1), workload("orphan", 1));
    let old = changed(&w);
    let mut world = World::new();
    for (id, name) in [(&w.id, "w"), (&orphan.id, "orphan"), (&old.id, "w")] {
        world.pods.insert(id.clone(), (name.into(), ContainerState::Running, 1));
    }
    world.want_and_settle(&[&w]);
    assert_eq!(world.ids(), [&w.id]);
}

#[test]
fn a_found_pod_has_its_own_time_to_end_whatever_that_is() {
    let orphan = workload("orphan", 1);
    let mut world = World::new();
    world.pods.insert(orphan.id.clone(), ("orphan".into(), ContainerState::Running, 1));
    world.want(&[]);
    while !matches!(world.orders.front(), Some(Order { task: Task::Remove { .. }, .. })) {
        world.answer();
    }
    let expected = Task::Remove { id: orphan.id, grace: Grace::Own };
    assert_eq!(world.orders.front().map(|order| &order.task), Some(&expected));
}

#[test]
fn what_could_not_be_understood_this_time_stays_as_it_was() {
    let (a, b) = (workload("a", 1), workload("b", 1));
    let mut world = World::running(&[&a]);
    world.pods.insert(b.id.clone(), ("b".into(), ContainerState::Running, 1)); // from before this process
    world.want_with_unreadable(&[], &["a", "b"]);
    world.settle();
    world.pass(120 * S);
    assert_eq!(world.pods.len(), 2);
    world.exit(&a.id, 1, S); // it is still looked after
    world.pass(21 * S);
    assert_eq!(world.pods[&a.id].1, ContainerState::Running);
    world.want_and_settle(&[]);
    assert!(world.pods.is_empty());
}

#[test]
fn what_an_earlier_process_left_stays_while_a_part_of_what_is_wanted_cannot_be_read() {
    let (a, b, c) = (workload("a", 1), workload("b", 1), workload("c", 1));
    let mut world = World::running(&[&a]);
    world.pods.insert(b.id.clone(), ("b".into(), ContainerState::Running, 1)); // from before this process
    world.partial = true;
    world.want_and_settle(&[&c]);
    world.pass(120 * S);
    assert_eq!(world.ids(), [&b.id, &c.id], "that `a` goes is an order");
    let left = world.agent.report(world.now).workloads.into_iter().find(|it| it.name == "b").unwrap();
    assert_eq!(left.cause.unwrap(), "no manifest that can be read asks for it");
    world.partial = false;
    world.want_and_settle(&[&c]);
    assert_eq!(world.ids(), [&c.id]);
}

#[test]
fn a_pod_that_vanished_behind_the_agents_back_comes_back_after_the_back_off() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.pods.clear();
    world.pass(61 * S); // the full look
    assert_eq!(world.heard(), [Reason::BackOff]);
    world.pass(20 * S);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn an_engine_that_is_gone_is_told_once_and_its_workloads_run_when_it_is_back() {
    let w = workload("w", 1);
    let mut world = World::new();
    world.engine_gone = true;
    world.want_and_settle(&[&w]);
    world.pass(600 * S);
    assert_eq!(world.heard(), [Reason::EngineMissing]);
    world.engine_gone = false;
    world.pass(31 * S);
    assert_eq!(world.heard(), [Reason::EngineBack, Reason::Started]);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_restart_of_the_engine_leaves_running_pods_alone() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.engine_gone = true;
    world.pass(120 * S);
    world.engine_gone = false;
    world.pass(120 * S);
    assert!(world.took().is_empty());
    assert_eq!(world.heard(), [Reason::EngineMissing, Reason::EngineBack]);
}

#[test]
fn a_never_workload_that_finished_does_not_run_again_after_a_reboot() {
    let mut w = workload("w", 1);
    w.restart = RestartPolicy::Never;
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 3, S);
    assert_eq!(world.heard(), [Reason::Failed]);
    assert_eq!(world.remembered[&w.id].code, 3);
    world.pass(600 * S);
    assert_eq!(world.took(), [format!("look {}", w.id)]);
    let mut rebooted = World::with(world.remembered.clone());
    rebooted.want(&[&w]);
    rebooted.settle();
    assert!(rebooted.took().is_empty());
    rebooted.want(&[]); // and it is forgotten with its workload
    assert!(rebooted.remembered.is_empty());
    rebooted.want(&[&w]);
    rebooted.settle();
    assert_eq!(rebooted.pods.len(), 1);
}

#[test]
fn a_cron_workload_runs_once_a_slot_and_keeps_its_finished_pod_until_the_next() {
    let w = hourly("w");
    let mut world = World::new(); // 13:46:40
    world.want_and_settle(&[&w]);
    world.pass(799 * S);
    assert!(world.took().is_empty());
    world.pass(S);
    assert_eq!(world.took(), [format!("pull {}", w.id), format!("start {}", w.id)]);
    world.exit(&w.id, 4, 5 * S);
    assert_eq!(world.remembered[&w.id].code, 4);
    world.took();
    world.pass(3599 * S);
    assert!(world.took().is_empty() && world.pods.contains_key(&w.id), "neither retried nor removed");
    world.pass(S);
    assert_eq!(
        world.took(),
        [format!("remove {}", w.id), format!("pull {}", w.id), format!("start {}", w.id)]
    );
    world.pass(2 * 3600 * S);
    assert!(world.took().is_empty(), "none while one runs");
}

#[test]
fn what_has_finished_stays_so_whatever_becomes_of_its_conditions() {
    let (mut once, hourly) = (gated("once", "low"), hourly("hourly"));
    once.restart = RestartPolicy::Never;
    let hourly = Workload { profiles: once.profiles.clone(), ..hourly };
    let mut world = World::new();
    world.post("x", 1.0);
    world.want_and_settle(&[&once, &hourly]);
    world.pass(800 * S);
    for id in [&once.id, &hourly.id] {
        world.exit(id, 0, S);
    }
    world.took();
    for x in [50.0, 1.0, 50.0] {
        world.post_and_settle("x", x);
        world.pass(60 * S);
    }
    assert_eq!((world.took().len(), world.pods.len()), (0, 2), "their logs are there to be read");
    assert!(world.explain("once").starts_with("once is finished"), "{}", world.explain("once"));
    assert!(world.explain("hourly").contains("a slot would be skipped"), "{}", world.explain("hourly"));
}

#[test]
fn a_cron_run_that_cannot_start_waits_for_the_next_slot() {
    let w = hourly("w");
    let mut world = World::new();
    world.want_and_settle(&[&w]);
    world.broken = Some(Failure::Workload("no such image".into()));
    world.pass(900 * S);
    assert_eq!(world.took().len(), 1);
    world.broken = None;
    world.pass(3499 * S);
    assert!(world.took().is_empty());
    world.pass(100 * S);
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_cron_run_found_by_a_new_agent_goes_on_and_a_finished_one_is_not_repeated() {
    let w = hourly("w");
    for finished in [false, true] {
        let mut world = World::with(if finished {
            FinishedRuns::from([(w.id.clone(), WELL)])
        } else {
            FinishedRuns::new()
        });
        let state = match finished {
            true => ContainerState::Exited { code: 0, at: world.now.utc - 10 * S, ran: S },
            false => ContainerState::Running,
        };
        world.pods.insert(w.id.clone(), ("w".into(), state, 1));
        world.want_and_settle(&[&w]);
        world.pass(60 * S);
        assert!(world.took().iter().all(|order| order.starts_with("look")));
        world.pass(3600 * S);
        let ran_again = world.took().contains(&format!("start {}", w.id));
        assert_eq!(ran_again, finished);
    }
}

#[test]
fn a_cron_workload_that_becomes_a_service_runs_and_the_other_way_round_goes_on() {
    let cron = hourly("w");
    let service = workload("w", 1);
    let mut world = World::new();
    world.want_and_settle(&[&cron]);
    world.want_and_settle(&[&service]);
    assert_eq!(world.pods.len(), 1);
    world.took();
    world.want_and_settle(&[&cron]);
    world.pass(7200 * S);
    assert!(world.took().iter().all(|order| order.starts_with("look")));
    world.exit(&cron.id, 0, S);
    world.want_and_settle(&[&service]);
    world.pass(120 * S);
    assert_eq!(world.pods[&cron.id].1, ContainerState::Running);
}

#[test]
fn processes_that_end_while_the_engine_says_they_run_are_not_looked_at_in_a_hot_loop() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    for _ in 0..100 {
        world.happen(Event::Exited(PODMAN, w.id.clone()));
        world.settle();
        world.pass(Duration::from_millis(10));
    }
    assert!(world.took().len() <= 3);
}

#[test]
fn a_removal_that_fails_is_tried_again_after_5_s_and_not_whenever_something_happens() {
    let w = gated("w", "low");
    let mut world = World::running(&[&w]);
    world.broken = Some(Failure::Workload("device or resource busy".into()));
    world.post_and_settle("x", 5.0);
    for i in 0..20 {
        world.post_and_settle("x", 5.0 + f64::from(i));
    }
    assert_eq!(world.took().len(), 1);
    world.broken = None;
    world.pass(5 * S);
    assert_eq!(world.took().len(), 1);
    assert!(world.pods.is_empty());
}

#[test]
fn the_same_content_has_the_same_id_whatever_the_order_and_the_empty_parts() {
    let mut content = workload("w", 1).content;
    content.labels = vec![("a".into(), "1".into()), ("b".into(), "2".into())];
    content.specification =
        json!({"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]}).into();
    let mut other = content.clone();
    other.labels.reverse();
    other.specification = json!({"containers": [{"image": "i", "resources": {}, "name": "c",
        "ports": [{"protocol": "TCP", "containerPort": 80}]}], "nodeSelector": null})
    .into();
    assert_eq!(Workload::new(content.clone()).id, Workload::new(other).id);
    content.labels[0].1 = "3".into();
    let id = Workload::new(content).id;
    assert_ne!(id, workload("w", 1).id);
}

#[test]
fn a_long_name_is_cut_in_the_id_which_never_exceeds_a_host_name() {
    let id = workload(&"n".repeat(63), 1).id;
    assert_eq!(id.as_str().len(), 63);
    assert!(id.as_str().starts_with(&format!("{}-", "n".repeat(50))));
}
