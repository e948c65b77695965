//! What runs to its end, and is tried again for a while: `Job` and `CronJob`.

use super::*;

fn job(retries: u32) -> Workload {
    let schedule = schedule::Schedule::Service(schedule::Backoff::RUN_BACKOFF);
    Workload { schedule, retries: Some(retries), restart: RestartPolicy::Never, ..workload("w", 1) }
}

fn starts(world: &mut World) -> usize {
    world.took().iter().filter(|it| it.starts_with("start")).count()
}

/// Of containers in their pod.
fn restarts(world: &mut World) -> usize {
    world.took().iter().filter(|it| it.starts_with("restart a of")).count()
}

#[test]
fn a_job_is_tried_again_as_often_as_it_says_with_growing_waits_and_then_has_failed() {
    let w = job(2);
    let mut world = World::running(&[&w]);
    for wait in [10, 20] {
        world.exit(&w.id, 3, 5 * S);
        world.pass((wait - 1) * S);
        assert_eq!(starts(&mut world), 0, "{wait}");
        world.pass(2 * S);
        assert_eq!(starts(&mut world), 1, "{wait}");
    }
    world.exit(&w.id, 3, 5 * S);
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 3));
    assert!(world.explain("w").starts_with("w is failed"), "{}", world.explain("w"));
}

#[test]
fn a_job_that_ends_well_or_may_not_be_tried_again_runs_once() {
    for (w, code) in [(job(2), 0), (job(0), 3)] {
        let mut world = World::running(&[&w]);
        world.exit(&w.id, code, 5 * S);
        world.pass(3600 * S);
        assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, code));
    }
}

#[test]
fn the_tries_of_a_job_share_its_deadline() {
    let w = Workload { deadline: Some(30 * S), ..job(5) };
    let mut world = World::running(&[&w]);
    world.pass(15 * S);
    world.exit(&w.id, 3, 5 * S);
    world.pass(11 * S);
    assert_eq!(world.pods.len(), 1);
    world.pass(5 * S);
    world.took();
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 137));
}

#[test]
fn a_run_of_a_cron_job_is_tried_again_and_the_next_slot_begins_anew() {
    let w = Workload { retries: Some(1), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(14 * 60 * S);
    assert_eq!(starts(&mut world), 1);
    let run_by_hand = "; 'device-worker-ng run w' gives it a run now";
    let remedy =
        |world: &World| world.agent.report(world.now).workloads[0].remedy.clone().unwrap_or_default();
    world.exit(&w.id, 3, 5 * S);
    assert_eq!(
        remedy(&world),
        "see its output: 'device-worker-ng logs w'",
        "it waits: it can't be run by hand"
    );
    world.pass(11 * S);
    assert_eq!(starts(&mut world), 1, "the second try");
    world.exit(&w.id, 3, 5 * S);
    world.pass(600 * S);
    assert!(remedy(&world).ends_with(run_by_hand), "{}", remedy(&world));
    assert_eq!(starts(&mut world), 0, "no third one");
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 1, "the next slot");
    world.exit(&w.id, 3, 5 * S);
    world.pass(11 * S);
    assert_eq!(starts(&mut world), 1, "it is tried again, too");
}

#[test]
fn a_run_that_conditions_end_between_its_tries_leaves_the_next_slot_its_whole_time() {
    let plain = Workload { retries: Some(3), deadline: Some(600 * S), ..hourly("w") };
    let w = Workload { profiles: gated("w", "low").profiles, ..plain };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(14 * 60 * S);
    world.exit(&w.id, 3, 5 * S);
    world.post_and_settle("x", 5.0);
    world.took();
    world.post_and_settle("x", 1.0);
    assert_eq!(starts(&mut world), 0, "not before its next slot");
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.pods.len()), (1, 1), "{:?}", world.said);
}

#[test]
fn what_fails_in_a_run_is_started_again_in_its_pod_until_it_ends_well_and_takes_no_slot_meanwhile() {
    let w = Workload { restart: RestartPolicy::OnFailure, ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(14 * 60 * S);
    assert_eq!(starts(&mut world), 1);
    for wait in [10, 20, 40] {
        world.exit(&w.id, 3, 5 * S);
        assert!(world.explain("w").starts_with("w is back-off"), "{}", world.explain("w"));
        world.pass((wait - 1) * S);
        assert_eq!(restarts(&mut world), 0);
        world.pass(S);
        assert_eq!(restarts(&mut world), 1);
    }
    world.pass(2 * 3600 * S);
    assert_eq!((starts(&mut world), world.pods.len()), (0, 1), "a run is going on");
    world.exit(&w.id, 0, 5 * S);
    assert_eq!(world.remembered[&w.id].code, 0);
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 1, "the next slot");
}

#[test]
fn a_cron_job_starts_its_container_again_as_often_as_it_says_also_after_a_start_that_failed() {
    let w = Workload { retries: Some(2), restart: RestartPolicy::OnFailure, ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.unstartable = true;
    world.pass(805 * S);
    assert_eq!(starts(&mut world), 1);
    world.unstartable = false;
    world.pass(10 * S);
    assert_eq!(starts(&mut world), 1, "the first try");
    world.exit(&w.id, 3, 5 * S);
    world.pass(11 * S);
    assert_eq!(restarts(&mut world), 1, "the second");
    world.exit(&w.id, 4, 5 * S);
    world.pass(600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 4));
    assert_eq!(world.pods.len(), 1, "its logs stay");
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 1, "the next slot");
    world.exit(&w.id, 3, 5 * S);
    world.pass(11 * S);
    assert_eq!(restarts(&mut world), 1, "it is tried again, too");
}

#[test]
fn the_time_of_a_run_ends_it_while_a_container_waits() {
    let w = Workload { deadline: Some(30 * S), restart: RestartPolicy::OnFailure, ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(800 * S);
    world.exit(&w.id, 3, S);
    world.took();
    world.pass(31 * S);
    let took = world.took();
    assert_eq!(took.last(), Some(&format!("remove {}", w.id)), "{took:?}");
    assert_eq!(world.remembered[&w.id].code, run::KILLED_EXIT_CODE);
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 1, "the next slot");
}

#[test]
fn another_agent_goes_on_with_a_run_whose_container_waits_and_whose_pod_is_half_made() {
    let w = Workload { deadline: Some(600 * S), restart: RestartPolicy::OnFailure, ..hourly("w") };
    for half in [false, true] {
        let mut world = World::new(); // 13:46:40
        world.want(&[&w]);
        world.pass(800 * S);
        world.exit(&w.id, 3, S);
        world.began = world.now.utc;
        if half {
            world.pods.get_mut(&w.id).unwrap().1 = ContainerState::Stuck("created".into());
        }
        world.restart();
        world.want_and_settle(&[&w]);
        world.pass(21 * S);
        let expected = if half { format!("start {}", w.id) } else { format!("restart a of {}", w.id) };
        let took = world.took();
        assert_eq!(took.last(), Some(&expected), "{took:?}");
        world.pass(601 * S);
        assert!(world.took().contains(&format!("remove {}", w.id)), "its time is over");
    }
}

#[test]
fn a_container_may_say_for_itself_that_it_is_started_again_in_a_run() {
    let mut content = workload("w", 2).content;
    content.specification.edit(|it| it["containers"][0]["restartPolicy"] = "OnFailure".into());
    let w = Workload { schedule: hourly("w").schedule, ..Workload::new(content) };
    assert!(
        w.restarts_after_exit("a", 3) && !w.restarts_after_exit("a", 0) && !w.restarts_after_exit("b", 3)
    );
    let w = Workload { schedule: schedule::Schedule::default(), ..w };
    assert!(!w.restarts_after_exit("a", 0) && w.restarts_after_exit("b", 0));
}

#[test]
fn a_job_that_ended_well_after_tries_in_its_pod_does_not_run_again() {
    let w = Workload { restart: RestartPolicy::OnFailure, ..job(2) };
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 3, 5 * S);
    world.pass(11 * S);
    assert_eq!(restarts(&mut world), 1);
    world.exit(&w.id, 0, 5 * S);
    world.pods.clear();
    world.pass(3600 * S);
    assert_eq!(starts(&mut world), 0);
    assert!(world.explain("w").starts_with("w is finished"), "{}", world.explain("w"));
}

#[test]
fn the_last_five_runs_of_a_cron_workload_are_shown_newest_first() {
    let w = hourly("w");
    let mut world = World::new();
    world.want(&[&w]);
    for code in 0..7 {
        world.pass(3600 * S);
        world.exit(&w.id, code, 5 * S);
    }
    let report = world.agent.report(world.now);
    let codes: Vec<i32> = report.workloads[0].runs.iter().map(|run| run.code).collect();
    assert_eq!(codes, [6, 5, 4, 3, 2]);
    assert_eq!(report.workloads[0].last_run, report.workloads[0].runs.first().copied());
}

#[test]
fn a_slot_has_its_whole_time_and_all_its_tries_after_a_run_that_was_lost() {
    for clock in [false, true] {
        let w = Workload {
            retries: Some(1),
            deadline: Some(600 * S),
            restart: RestartPolicy::OnFailure,
            ..hourly("w")
        };
        let mut world = World::new(); // 13:46:40
        world.want(&[&w]);
        world.pass(805 * S);
        world.exit(&w.id, 3, 5 * S);
        world.engine_gone = true;
        world.pass(30 * S);
        world.pods.clear();
        world.engine_gone = false;
        world.pass(900 * S);
        assert_eq!(world.pods.len(), 0, "{:?}", world.said);
        world.took();
        world.pass(2700 * S);
        assert_eq!((starts(&mut world), world.pods.len()), (1, 1), "the next slot: {:?}", world.said);
        world.exit(&w.id, 3, 5 * S);
        if clock {
            world.agent.context.not_before = world.now.utc + 86_400 * S;
        }
        world.pass(11 * S);
        assert_eq!(restarts(&mut world), 1, "{:?}", world.said);
    }
}

#[test]
fn a_slot_whose_images_cannot_be_had_is_tried_again_after_a_run_with_a_deadline_that_ended_well() {
    let w = Workload { retries: Some(1), deadline: Some(600 * S), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(805 * S);
    world.exit(&w.id, 0, 5 * S);
    world.is_offline = true;
    world.pass(3594 * S);
    world.said.clear();
    world.pass(4 * S);
    world.is_offline = false;
    world.took();
    world.pass(30 * S);
    assert_eq!(starts(&mut world), 1, "{:?}", world.said);
}

#[test]
fn a_wrong_clock_takes_no_try_from_a_run() {
    let w = Workload { retries: Some(1), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(805 * S);
    world.exit(&w.id, 3, 5 * S);
    world.agent.context.not_before = world.now.utc + 86_400 * S;
    world.took();
    world.pass(30 * S);
    assert_eq!(starts(&mut world), 1, "{:?}", world.said);
}

#[test]
fn a_clock_that_is_set_back_behind_what_a_server_vouched_for_holds_cron_until_it_is_there_again() {
    let mut world = World::new(); // 13:46:40
    world.want(&[&hourly("w")]);
    world.happen(Event::NotBefore(world.now.utc));
    world.happen(Event::NotBefore(world.now.utc - 86_400 * S));
    world.now.utc -= 5400 * S;
    world.happen(Event::Clock);
    assert_eq!(world.heard(), [Reason::ClockBehind]);
    world.pass(5300 * S);
    assert_eq!(starts(&mut world), 0, "{:?}", world.said);
    world.pass(1000 * S);
    assert_eq!((starts(&mut world), world.heard()[0]), (1, Reason::ClockRight));
}

#[test]
fn a_job_that_failed_for_good_stays_ended_when_podman_fails_as_its_pod_is_removed() {
    for stays in [true, false] {
        let w = Workload { deadline: Some(30 * S), ..job(2) };
        let mut world = World::running(&[&w]);
        world.engine_gone = true;
        world.pass(31 * S);
        world.engine_gone = false;
        if !stays {
            world.pods.clear();
        }
        world.took();
        world.pass(3600 * S);
        assert_eq!((starts(&mut world), world.pods.len()), (0, 0), "{stays}: {:?}", world.said);
        let told = world.explain("w");
        assert!(told.starts_with("w is failed") && !told.contains("backoffLimit"), "{told}");
    }
}

#[test]
fn what_still_runs_of_a_job_that_has_ended_is_removed_by_the_next_agent() {
    let w = job(2);
    let mut world = World::running(&[&w]);
    world.remembered.insert(w.id.clone(), run::Run { code: 137, ended: None, ran: None });
    world.restart();
    world.want_and_settle(&[&w]);
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), world.pods.len()), (0, 0), "{:?}", world.said);
}

#[test]
fn a_container_that_is_not_to_come_back_ends_its_run_although_its_pod_says_otherwise() {
    let mut content = workload("w", 1).content;
    content.specification.edit(|it| it["containers"][0]["restartPolicy"] = "Never".into());
    let base = Workload { schedule: hourly("w").schedule, ..Workload::new(content) };
    let w = Workload { restart: RestartPolicy::OnFailure, ..base };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(805 * S);
    world.exit(&w.id, 3, 5 * S);
    world.took();
    world.pass(600 * S);
    assert_eq!((starts(&mut world), world.remembered[&w.id].code), (0, 3));
}

#[test]
fn a_start_that_fails_is_tried_again_if_a_container_of_the_run_comes_back() {
    let mut content = workload("w", 1).content;
    content.specification.edit(|it| it["containers"][0]["restartPolicy"] = "OnFailure".into());
    let w = Workload { schedule: hourly("w").schedule, ..Workload::new(content) };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.unstartable = true;
    world.pass(805 * S);
    world.unstartable = false;
    world.took();
    world.pass(20 * S);
    assert_eq!(starts(&mut world), 1, "{:?}", world.said);
}

#[test]
fn two_containers_that_fail_at_once_with_one_try_left_end_the_run() {
    let mut w = Workload { restart: RestartPolicy::OnFailure, ..job(1) };
    w = Workload { content: workload("w", 2).content, id: workload("w", 2).id, ..w };
    let mut world = World::running(&[&w]);
    world.exit(&w.id, 3, 5 * S);
    world.pass(3600 * S);
    assert_eq!((starts(&mut world), restarts(&mut world)), (0, 0));
    assert_eq!(world.remembered[&w.id].code, 3);
}

#[test]
fn a_pod_that_podman_failed_to_remove_between_two_tries_costs_and_gives_none() {
    let w = Workload { retries: Some(1), ..hourly("w") };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(805 * S);
    world.pods.get_mut(&w.id).unwrap().2 = 0; // half of it is gone
    world.happen(Event::Exited(PODMAN, w.id.clone()));
    world.settle();
    assert_eq!(world.heard().last(), Some(&Reason::BackOff), "the try is to follow");
    world.engine_gone = true;
    world.pass(11 * S);
    world.engine_gone = false;
    world.took();
    world.pass(60 * S);
    assert_eq!(starts(&mut world), 1, "the try: {:?}", world.said);
    world.exit(&w.id, 3, 5 * S);
    world.pass(600 * S);
    assert_eq!(starts(&mut world), 0, "no other: {:?}", world.said);
}

#[test]
fn a_run_that_is_over_is_not_tried_again_because_podman_won_t_tell_of_its_pod() {
    let plain = Workload { retries: Some(3), deadline: Some(30 * S), ..hourly("w") };
    let w = Workload { restart: RestartPolicy::OnFailure, ..plain };
    let mut world = World::new(); // 13:46:40
    world.want(&[&w]);
    world.pass(801 * S);
    world.engine_gone = true;
    world.pass(31 * S); // its time is over, and its removal gets lost
    world.engine_gone = false;
    world.broken = Some(Failure::Workload("podman won't".into()));
    world.pass(61 * S);
    world.broken = None;
    world.took();
    world.pass(600 * S);
    assert_eq!((starts(&mut world), world.pods.len()), (0, 0), "{:?}", world.said);
}

#[test]
fn a_job_whose_pod_cannot_start_is_tried_again_until_it_can() {
    for lacks_image in [true, false] {
        let w = job(2);
        let mut world = World::new();
        (world.is_offline, world.unstartable) = (lacks_image, !lacks_image);
        world.want(&[&w]);
        world.pass(3600 * S);
        assert!(world.explain("w").starts_with("w is back-off"), "{}", world.explain("w"));
        (world.is_offline, world.unstartable) = (false, false);
        world.pass(300 * S);
        assert_eq!(world.pods.len(), 1, "{:?}", world.said);
    }
}
