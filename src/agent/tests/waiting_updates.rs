//! Updates that wait until they are allowed.

use super::{
    model::{
        question::{Question, Reply, Wish},
        report::WorkloadState,
    },
    update::{UpdateRules, Window},
    *,
};

/// May only be replaced while nothing moves.
fn standing() -> UpdateRules {
    UpdateRules { when: Some("moving == 0".into()), ..UpdateRules::default() }
}

/// At full hours, for ten minutes.
fn hours() -> UpdateRules {
    let cron = schedule::Cron::parse("0 * * * *").unwrap();
    UpdateRules { window: Some(Window { cron, duration: 600 * S }), ..UpdateRules::default() }
}

fn with(workload: &Workload, rules: UpdateRules) -> Workload {
    Workload { update: Some(Box::new(rules)), ..workload.clone() }
}

fn third(workload: &Workload) -> Workload {
    let mut content = workload.content.clone();
    content.labels.push(("third".into(), "yes".into()));
    Workload { update: workload.update.clone(), ..Workload::new(content) }
}

/// A world in which the first of these has come up, while `moving` is 1; and two contents.
fn moving(rules: UpdateRules) -> (World, Workload, Workload) {
    let a = with(&workload("a", 1), rules);
    let new = Workload { update: a.update.clone(), ..changed(&a) };
    let mut world = World::running(&[&a]);
    world.post("moving", 1.0);
    world.pass(11 * S);
    world.took();
    (world, a, new)
}

/// What one content does when another takes its place, and all is here.
fn switched(from: &Workload, to: &Workload) -> [String; 3] {
    [format!("rehearse {}", to.id), format!("remove {}", from.id), format!("start {}", to.id)]
}

impl World {
    fn runs(&self) -> Vec<&WorkloadId> {
        let running = self.pods.iter().filter(|(_, pod)| pod.1 == ContainerState::Running);
        running.map(|(id, _)| id).collect()
    }

    /// Another process, which knows what was kept; `reboots`: no pod runs any more.
    fn reborn(&mut self, reboots: bool) {
        self.orders.clear();
        if reboots {
            self.pods.clear();
            self.now.up = 10 * S;
        }
        self.agent = Agent::new(Setup {
            finished: self.remembered.clone(),
            fallbacks: self.fallbacks.clone(),
            stops: self.stops.clone(),
            updates: self.updates.clone(),
            ..first_setup()
        });
        self.happen(Event::Tick);
    }

    fn let_update(&mut self, name: &str) -> Reply {
        self.ask(Question::Wish(name.into(), Wish::Update))
    }
}

#[test]
fn images_are_pulled_at_once_and_the_switch_waits_until_it_is_allowed() {
    let (mut world, a, new) = moving(standing());
    world.want_and_settle(&[&new]);
    assert_eq!(world.took(), [format!("pull {}", new.id)]);
    world.pass(86_400 * S);
    assert_eq!(world.took(), [""; 0]);
    assert_eq!(world.runs(), [&a.id]);
    let said = world.explain("a");
    let waits = "an update waits since 1d0h: moving == 0, and moving is 1; \
                 'device-worker-ng update a --now' lets it go ahead";
    assert_eq!(said, format!("a is running\nnote: {waits}\n"));
    assert!(world.shown("a").well);
    let update = world.shown("a").update.unwrap();
    assert_eq!((update.pod, update.since, update.until), (new.id.to_string(), 86_400, None));
    let status = |world: &World| world.agent.workloads["a"].server_status();
    assert_eq!(status(&world), call::ServerWorkloadStatus::Deploying, "what is asked for isn't there yet");
    world.post_and_settle("moving", 0.0);
    assert_eq!(world.took(), switched(&a, &new));
    assert_eq!((world.shown("a").state, world.shown("a").update), (WorkloadState::Running, None));
    assert!(!world.updates.is_empty(), "until it has come up");
    world.pass(11 * S);
    assert!(world.updates.is_empty());
    assert_eq!(world.fallbacks["a"].good.id, new.id);
}

#[test]
fn a_first_start_and_what_fails_may_not_run_or_has_ended_do_not_wait() {
    let rules = || Some(Box::new(standing()));
    let a = with(&workload("a", 1), standing());
    let new = with(&changed(&a), standing());
    let mut world = World::new();
    world.post("moving", 1.0);
    world.unstartable = true;
    world.want_and_settle(&[&a]);
    world.unstartable = false;
    world.want_and_settle(&[&new]);
    assert_eq!(world.runs(), [&new.id], "it failed, and never ran");

    let (mut world, a, new) = moving(standing());
    world.unstartable = true;
    world.want(&[&new]);
    world.exit(&a.id, 1, 11 * S);
    world.pass(S);
    world.unstartable = false;
    world.pass(30 * S);
    assert_eq!(world.runs(), [&new.id], "nothing of it runs");

    let inactive = Workload { update: rules(), ..gated("a", "low") };
    let mut world = World::running(&[&inactive]);
    world.pass(11 * S);
    world.post("moving", 1.0);
    world.want_and_settle(&[&Workload { update: rules(), ..changed(&inactive) }]);
    assert_eq!(world.runs(), [&inactive.id]);
    world.post_and_settle("x", 50.0);
    world.took();
    world.post_and_settle("x", None);
    assert_eq!(world.runs(), [&changed(&inactive).id], "its conditions let it go in between");
}

#[test]
fn what_runs_stays_and_is_started_again_until_the_images_are_here() {
    let rules = UpdateRules { deadline: Some(3600 * S), ..standing() };
    let (mut world, a, new) = moving(rules);
    world.is_offline = true;
    world.want_and_settle(&[&new]);
    world.exit(&a.id, 1, 11 * S);
    world.pass(600 * S);
    assert_eq!(world.runs(), [&a.id], "it failed, and is started again");
    world.pass(7200 * S);
    assert_eq!(world.runs(), [&a.id], "its deadline is over");
    world.is_offline = false;
    world.pass(3600 * S);
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn an_update_does_not_rest_for_what_ran_before_it() {
    let a = with(&gated("a", "low"), standing());
    let new = with(&changed(&a), standing());
    let mut world = World::running(&[&a]);
    world.post("moving", 1.0);
    world.pass(11 * S);
    world.is_offline = true;
    world.want_and_settle(&[&new]);
    world.is_offline = false;
    for x in [Some(50.0), None, Some(50.0), None, Some(50.0), None] {
        world.post_and_settle("x", x);
    }
    assert!(world.heard().contains(&Reason::Flapping) && world.pods.is_empty(), "{:?}", world.log);
    world.pass(25 * S); // its images are here
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn what_could_not_start_yet_is_not_let_through() {
    let (mut world, a, new) = moving(standing());
    let new = Workload { depends_on: vec!["b".into()], ..new };
    world.post("moving", 0.0);
    world.want_and_settle(&[&new]);
    world.pass(30 * S);
    world.post("moving", 1.0);
    world.want_and_settle(&[&new, &workload("b", 1)]);
    world.pass(30 * S);
    assert!(world.pods.contains_key(&a.id), "'b' is ready while it isn't allowed");
    world.post_and_settle("moving", 0.0);
    assert!(world.pods.contains_key(&new.id) && !world.pods.contains_key(&a.id));
}

#[test]
fn windows_open_and_close_by_the_wall_clock_and_wait_while_it_is_wrong() {
    let (mut world, a, new) = moving(hours()); // 46 minutes and 51 s past the hour
    world.want_and_settle(&[&new]);
    assert!(
        world.explain("a").contains("its window (0 * * * *) is closed, and opens in 13m"),
        "{}",
        world.explain("a")
    );
    world.pass(780 * S);
    assert_eq!(world.runs(), [&a.id]);
    world.pass(20 * S);
    assert_eq!(world.runs(), [&new.id]);

    let (mut world, a, new) = moving(hours());
    world.now.utc += 1100 * S; // five minutes past: it is open
    world.want_and_settle(&[&new]);
    assert_eq!(world.runs(), [&new.id]);
    world.pass(30 * S);
    world.now.utc += 600 * S;
    world.want_and_settle(&[&a]);
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn the_deadline_counts_from_the_first_that_waited_over_restarts_and_reboots() {
    for reboots in [false, true] {
        let rules = UpdateRules { deadline: Some(3600 * S), ..standing() };
        let (mut world, a, new) = moving(rules);
        world.want_and_settle(&[&new]);
        world.pass(1800 * S);
        let newer = third(&new);
        world.want_and_settle(&[&newer]);
        assert_eq!(world.took(), [format!("pull {}", new.id), format!("pull {}", newer.id)]);
        assert!(world.explain("a").contains("waits since 30m0s"), "{}", world.explain("a"));
        assert!(world.explain("a").contains("at the latest in 30m0s"), "{}", world.explain("a"));
        world.reborn(reboots);
        world.post("moving", 1.0);
        world.want_and_settle(&[&newer]);
        assert_eq!(world.runs(), [&a.id], "reboots: {reboots}");
        world.pass(1790 * S);
        assert_eq!(world.runs(), [&a.id]);
        world.pass(20 * S);
        assert_eq!(world.runs(), [&newer.id]);
    }
}

#[test]
fn a_content_that_changed_while_the_agent_was_away_waits_as_well() {
    let (mut world, a, new) = moving(standing());
    for reboots in [false, true] {
        world.reborn(reboots);
        world.post("moving", 1.0);
        world.want_and_settle(&[&new]);
        world.pass(30 * S);
        assert_eq!(world.runs(), [&a.id], "reboots: {reboots}");
        world.updates.clear();
    }
    world.post("moving", 0.0);
    world.pass(30 * S);
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn what_ran_starts_after_a_reboot_also_where_podman_answers_before_manifests_are_read() {
    let (mut world, a, new) = moving(standing());
    world.want_and_settle(&[&new]);
    world.reborn(true);
    world.settle();
    world.post("moving", 1.0);
    world.want_and_settle(&[&new]);
    world.pass(30 * S);
    assert_eq!(world.runs(), [&a.id]);
}

#[test]
fn a_switch_that_has_begun_goes_on_over_a_false_condition_and_a_reboot() {
    let (mut world, _, new) = moving(standing());
    world.want_and_settle(&[&new]);
    world.post("moving", 0.0);
    world.post("moving", 1.0);
    world.settle();
    assert_eq!(world.runs(), [&new.id]);
    world.reborn(true);
    world.post("moving", 1.0);
    world.want_and_settle(&[&new]);
    assert_eq!(world.runs(), [&new.id], "although the earlier content came up last");
}

#[test]
fn an_update_that_fails_is_taken_back_at_once() {
    let (mut world, a, new) = moving(standing());
    world.want_and_settle(&[&new]);
    world.unstartable = true;
    world.post("moving", 0.0);
    world.post("moving", 1.0);
    world.pass(119 * S);
    world.unstartable = false;
    world.pass(2 * S);
    assert_eq!(world.runs(), [&a.id]);
    assert!(world.updates.is_empty());
}

#[test]
fn what_is_asked_for_again_waits_for_nothing() {
    let (mut world, a, new) = moving(standing());
    world.want_and_settle(&[&new]);
    world.want_and_settle(&[&a]);
    assert_eq!(world.explain("a"), "a is running\n");
    world.post_and_settle("moving", 0.0);
    assert_eq!(world.runs(), [&a.id]);
    assert!(world.updates.is_empty());
    world.want_and_settle(&[]);
    assert_eq!(world.runs(), [] as [&WorkloadId; 0], "a removal doesn't wait");
}

#[test]
fn images_that_cannot_be_pulled_are_tried_again_and_nothing_goes_before_they_are_here() {
    let (mut world, a, new) = moving(standing());
    world.broken = Some(Failure::Workload("no such image".into()));
    world.want_and_settle(&[&new]);
    world.post("moving", 0.0);
    world.pass(S);
    assert_eq!(world.runs(), [&a.id]);
    assert!(world.explain("a").contains("since 1s: no such image; "), "{}", world.explain("a"));
    assert!(world.heard().contains(&Reason::ImagePullFailed));
    assert_eq!(world.agent.workloads["a"].server_status(), call::ServerWorkloadStatus::Crashed);
    world.broken = None;
    world.pass(40 * S);
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn a_person_lets_it_go_ahead() {
    let (mut world, _, new) = moving(standing());
    assert_eq!(world.let_update("a"), Reply::Refused("no update of it waits".into()));
    world.want_and_settle(&[&new]);
    let said = "a is updated now; 'device-worker-ng explain a' tells how it is";
    assert_eq!(world.let_update("a"), Reply::Done(said.into()));
    world.settle();
    assert_eq!(world.runs(), [&new.id]);
    assert_eq!(world.let_update("b"), Reply::Unknown);
}

#[test]
fn what_ended_while_its_update_waited_runs_again_when_it_is_asked_for_again() {
    let (_, a, new) = moving(standing());
    let once = |it: &Workload| Workload { restart: workload::RestartPolicy::Never, ..it.clone() };
    let (a, new) = (once(&a), once(&new));
    let mut world = World::running(&[&a]);
    world.post("moving", 1.0);
    world.want_and_settle(&[&new]);
    assert_eq!(world.runs(), [&a.id]);
    world.exit(&a.id, 0, 60 * S);
    world.settle();
    assert_eq!(world.runs(), [&new.id]);
    let a = Workload { update: None, ..a };
    world.want_and_settle(&[&a]);
    assert_eq!(world.runs(), [&a.id]);
}

#[test]
fn the_rules_of_the_device_hold_beside_those_of_a_workload() {
    let (mut world, a, new) = moving(standing());
    world.update = Some(Box::new(UpdateRules {
        when: Some("battery > 30".into()),
        deadline: Some(7200 * S),
        ..UpdateRules::default()
    }));
    world.want_and_settle(&[&new]);
    let said = world.explain("a");
    assert!(
        said.contains(
            "moving == 0, and moving is 1; battery > 30, and battery is not posted; at the latest in 2h0m"
        ),
        "{said}"
    );
    world.post_and_settle("moving", 0.0);
    assert_eq!(world.runs(), [&a.id]);
    world.post_and_settle("battery", 31.0);
    assert_eq!(world.runs(), [&new.id]);
    assert!(
        world.report().profiles.iter().all(|it| !it.name.is_empty()),
        "no profile of the agent's own is shown"
    );
}

#[test]
fn rules_that_change_or_go_count_for_what_waits() {
    let (mut world, a, new) = moving(standing());
    world.want_and_settle(&[&new]);
    world.want_and_settle(&[&with(&new, hours())]);
    assert_eq!(world.runs(), [&a.id]);
    assert!(world.explain("a").contains("its window"), "{}", world.explain("a"));
    world.want_and_settle(&[&Workload { update: None, ..new.clone() }]);
    assert_eq!(world.runs(), [&new.id]);
}

#[test]
fn a_program_that_holds_the_lock_holds_updates_back_at_the_moment_of_the_switch() {
    let a = with(&workload("a", 1), UpdateRules::default());
    let new = with(&changed(&a), UpdateRules::default());
    let mut world = World::running(&[&a]);
    world.pass(11 * S);
    let (updates, fallbacks) = (world.updates.clone(), world.fallbacks.clone());
    world.agent = Agent::new(Setup { updates, fallbacks, update_lock: true, ..first_setup() });
    world.want_and_settle(&[&a]);
    world.took();
    world.want_and_settle(&[&new]);
    assert_eq!(world.took(), [format!("pull {}", new.id), "ask for the lock".into()]);
    world.happen(Event::UpdateLock(true));
    world.pass(3600 * S);
    assert_eq!(world.took(), [""; 0]);
    let said = world.explain("a");
    assert!(said.contains("since 1h0m: a program holds update.lock in RUNTIME_DIR; "), "{said}");
    world.happen(Event::UpdateLock(false));
    world.settle();
    assert_eq!(world.took(), switched(&a, &new));
    world.pass(11 * S);
    world.want_and_settle(&[&a]);
    assert_eq!(world.took().last().unwrap(), "ask for the lock", "it may be held again");
}
