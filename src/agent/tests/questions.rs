//! What people are told who ask: why a workload runs or doesn't, and what to do, word by word.

use super::{
    edge::linked,
    model::pressure::{Level, Pressure, Resource},
    model::question::{Asker, Question, Reply, Wish},
    model::report::{Report, WorkloadState},
    view::{table::PageStyle, text},
    *,
};

const LOOK: PageStyle = PageStyle { width: 1000, colour: false };

impl World {
    pub(super) fn ask(&mut self, question: Question) -> Reply {
        self.happen(Event::Asked(Asker(1), question));
        self.replies.pop().expect("a reply")
    }

    pub(super) fn report(&mut self) -> Report {
        let Reply::Report(report) = self.ask(Question::Report) else { panic!("no report") };
        *report
    }

    pub(super) fn shown(&mut self, name: &str) -> report::Workload {
        self.report().workloads.into_iter().find(|it| it.name == name).expect(name)
    }

    pub(super) fn explain(&mut self, name: &str) -> String {
        // since when is told of each
        text::explain(&self.shown(name))
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("since: "))
            .collect()
    }

    pub(super) fn restart_of(&mut self, name: &str) -> Reply {
        self.happen(Event::Asked(Asker(1), Question::Wish(name.into(), Wish::Restart)));
        while self.replies.is_empty() {
            self.answer();
        }
        self.replies.remove(0)
    }
}

#[test]
fn a_workload_whose_condition_is_false_names_it_and_the_values() {
    let mut world = World::running(&[&gated("b", "low")]);
    assert_eq!(world.explain("b"), "b is running\n");
    world.post_and_settle("x", 12.0);
    assert_eq!(
        world.explain("b"),
        "b is inactive: profile 'p' doesn't hold: low is false: x < 3% || x == nil, and x is 12\n\
         remedy: it starts by itself when one of these is true; post the metrics that they need\n"
    );
    assert!(world.shown("b").well, "it does what it is to do");
}

#[test]
fn a_pod_that_was_found_runs_since_it_began_and_not_since_it_was_found() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.began = world.now.utc - 500 * S;
    world.restart();
    world.want_and_settle(&[&a]);
    assert_eq!(world.shown("a").since, Some(500));
}

#[test]
fn a_condition_that_is_not_defined_is_named() {
    let mut world = World::new();
    world.want_and_settle(&[&gated("b", "lwo")]);
    assert_eq!(
        world.explain("b"),
        "b is inactive: the device defines no condition 'lwo' in a profile 'p'\n\
         remedy: define it for this device, or take the profile 'p' out of the workload\n"
    );
}

#[test]
fn a_failed_workload_tells_its_exit_code_and_when_it_is_tried_again() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.exit(&a.id, 7, 3 * S);
    world.pass(5 * S);
    assert_eq!(
        world.explain("a"),
        "a is back-off: container 'a' ended with exit code 7 after 3 s\n\
         next: in 15s\n\
         remedy: see its output: 'device-worker-ng logs a'; 'device-worker-ng restart a' doesn't wait\n"
    );
    world.pass(20 * S);
    let shown = world.shown("a");
    assert_eq!((shown.state, shown.restarts, shown.since), (WorkloadState::Running, 1, Some(5)));
    assert_eq!(shown.failure.unwrap(), "container 'a' ended with exit code 7 after 3 s");
}

#[test]
fn an_image_that_can_not_be_pulled_is_told_with_its_registrys_words() {
    let mut world = World::new();
    world.broken = Some(Failure::Workload("failed to pull 'i': manifest unknown".into()));
    world.want_and_settle(&[&workload("a", 1)]);
    assert_eq!(
        world.explain("a"),
        "a is back-off: failed to pull 'i': manifest unknown\n\
         next: in 20s\n\
         remedy: check the image's name, the way to its registry, and imageRegistries; or load it with 'podman load'; 'device-worker-ng restart a' then doesn't wait\n"
    );
}

#[test]
fn a_workload_with_a_schedule_tells_when_its_next_slot_is() {
    let mut world = World::running(&[]);
    world.want_and_settle(&[&hourly("c")]);
    let shown = world.shown("c");
    assert_eq!(shown.state, WorkloadState::Scheduled);
    let left = shown.next.unwrap();
    assert!(left <= 3600, "{left}");
    let next = text::explain(&shown);
    assert!(next.starts_with("c is scheduled: it waits for its next slot\nsince: 0s\nnext: in "), "{next}");
}

#[test]
fn a_scheduled_run_that_failed_is_a_warning_a_state_and_a_failure_until_a_good_run() {
    let mut world = World::running(&[]);
    let w = hourly("w");
    world.want_and_settle(&[&w]);
    world.pass(3600 * S);
    world.said.clear();
    world.exit(&w.id, 3, 2 * S);
    let told = world.said.pop().unwrap();
    assert_eq!(
        (told.severity, told.reason, &*told.message),
        (
            notice::Severity::Warning,
            Reason::Failed,
            "workload 'w' has finished with exit code 3 after 2 s; its next run is at its next slot"
        )
    );
    world.pass(60 * S);
    let explained = "w is failed: it has finished with exit code 3 after 2 s; its next run is at its next slot\n\
                     last run: 1m0s ago, after 2s, with exit code 3\nnext: in ";
    assert!(world.explain("w").starts_with(explained), "{}", world.explain("w"));
    assert!(!world.shown("w").well && !world.report().device.healthy);
    let described = text::describe(&world.shown("w"), LOOK);
    let run = "\nlast run      1m0s ago, after 2s, with exit code 3\n";
    assert!(described.contains(run), "{described}");
    assert_eq!(world.agent.workloads["w"].server_status(), call::ServerWorkloadStatus::Crashed);
    // and so for an agent that starts meanwhile
    let mut later = World::with(world.remembered.clone());
    later.now = world.now;
    later.want(&[&w]);
    later.settle();
    assert_eq!(later.shown("w").state, WorkloadState::Failed);
    assert!(later.explain("w").contains("\nlast run: 1m0s ago, after 2s, with exit code 3\n"));
    world.pass(3600 * S);
    assert_eq!(world.shown("w").state, WorkloadState::Running);
    world.exit(&w.id, 0, 4 * S);
    let shown = world.shown("w");
    assert!(shown.well && world.report().device.healthy);
    assert_eq!((shown.state, shown.failure), (WorkloadState::Scheduled, None));
    let row = text::status_page(&world.report(), LOOK);
    assert!(row.contains("it waits for its next slot; last run 0s ago, after 4s, with exit code 0"), "{row}");
}

#[test]
fn a_scheduled_run_that_could_not_start_is_failed_until_a_good_run() {
    let mut world = World::running(&[]);
    world.want_and_settle(&[&hourly("w")]);
    world.broken = Some(Failure::Workload("no such command".into()));
    world.pass(3600 * S);
    assert_eq!(world.shown("w").state, WorkloadState::Failed);
    let explained = world.explain("w");
    assert!(explained.starts_with("w is failed: no such command; its next run is at its next slot\n"));
    assert!(!world.report().device.healthy);
    world.broken = None;
    world.pass(3600 * S);
    let id = world.pods.keys().next().unwrap().clone();
    world.exit(&id, 0, S);
    assert!(world.report().device.healthy && world.shown("w").failure.is_none());
}

#[test]
fn an_engine_that_does_not_answer_is_told_with_the_cause() {
    let mut world = World::new();
    world.engine_gone = true;
    world.want_and_settle(&[&workload("a", 1)]);
    assert_eq!(
        world.explain("a"),
        "a is unknown: podman doesn't answer: no socket\n\
         remedy: start it with 'systemctl enable --now podman.socket'; the setting is PODMAN_SOCKET\n"
    );
    assert!(!world.report().device.healthy);
}

#[test]
fn what_the_device_can_not_afford_is_told_with_what_it_is_short_of() {
    let mut world = World::running(&[]);
    let pressure = Pressure {
        resource: Resource::Disk,
        level: Level::Low,
        available: 100 << 20,
        reserve: 512 << 20,
        stalled: 0,
    };
    world.happen(Event::Pressure(pressure));
    world.want_and_settle(&[&workload("a", 1)]);
    assert_eq!(
        world.explain("a"),
        "a is held: nothing new is pulled or started: disk space is short: 100 MiB are left, the reserve is 512 MiB\n\
         remedy: free some; what is kept free is set by MEMORY_RESERVE and DISK_RESERVE\n"
    );
}

#[test]
fn a_workload_that_can_not_be_understood_tells_what_is_wrong_and_where() {
    let mut world = World::running(&[&workload("b", 1)]);
    let said =
        "a.yaml, document 1, line 9: spec.pod.spec.volumes[0]: there is no Secret `s` in namespace `default`";
    world.happen(Event::Problems(vec![notice::Problem { workload: Some("a".into()), message: said.into() }]));
    world.want_with_unreadable(&[&workload("b", 1)], &["a"]);
    world.settle();
    assert_eq!(
        world.explain("a"),
        format!(
            "a is rejected: {said}\n\
             remedy: correct it where it is written; nothing of it changes before that\n"
        )
    );
    assert_eq!(world.report().device.problems, [said]);
    world.want_with_unreadable(&[], &["a", "b"]);
    world.happen(Event::Problems(vec![notice::Problem {
        workload: Some("b".into()),
        message: "line 1".into(),
    }]));
    assert_eq!(world.explain("b"), "b is running\nnote: not all that is asked for counts: line 1\n");
}

#[test]
fn an_update_that_was_taken_back_is_told_while_the_old_content_runs() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.pass(11 * S);
    world.unstartable = true;
    world.want(&[&changed(&a)]);
    world.pass(119 * S);
    world.unstartable = false;
    world.step(world.now.up + 2 * S);
    world.happen(Event::Tick);
    world.settle();
    let shown = world.shown("a");
    assert_eq!((shown.state, shown.pod.unwrap()), (WorkloadState::Running, a.id.to_string()));
    assert_eq!(shown.notes.len(), 1, "{:?}", shown.notes);
    assert!(shown.notes[0].contains("what ran before is back"), "{:?}", shown.notes);
}

#[test]
fn a_server_that_can_not_be_reached_is_told_with_the_cause_and_the_next_try() {
    let mut world = linked(&[]);
    world.pass(60 * S);
    let server = world.report().device.server.unwrap();
    assert_eq!((server.link, server.troubles.len()), ("linked", 0));
    assert!(server.heard.unwrap() <= 60 && server.certificate.unwrap() > 86_400, "{server:?}");
    assert_eq!(server.configuration.unwrap(), "1");
    world.edge.broken = Some(CallFailure::Unreachable("no route to host".into()));
    world.pass(100 * S);
    let report = world.report();
    let shown = text::status_page(&report, LOOK);
    let second = shown.lines().nth(2).unwrap();
    assert_eq!(
        second.trim(),
        "the edge API can't be reached; it is tried again: no route to host",
        "{shown}"
    );
    assert!(report.device.server.unwrap().next.is_some());
}

#[test]
fn a_restart_waits_for_no_back_off_and_gives_a_running_workload_a_new_pod() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    assert_eq!(world.restart_of("a"), Reply::Done("a gets a new pod".into()));
    world.settle();
    assert_eq!(world.took(), ["rehearse", "remove", "start"].map(|verb| format!("{verb} {}", a.id)));
    world.exit(&a.id, 1, S);
    world.pass(S);
    assert_eq!(world.shown("a").state, WorkloadState::BackOff);
    assert_eq!(world.restart_of("a"), Reply::Done("a gets a new pod".into()));
    world.settle();
    assert_eq!(world.shown("a").state, WorkloadState::Running);
    assert_eq!(world.restart_of("unknown"), Reply::Unknown);
}

#[test]
fn a_restart_is_no_way_around_profiles_schedules_or_a_missing_engine() {
    let mut world = World::running(&[&gated("b", "low")]);
    world.post_and_settle("x", 5.0);
    let why = "profile 'p' doesn't hold: low is false: x < 3% || x == nil, and x is 5";
    assert_eq!(world.restart_of("b"), Reply::Refused(why.into()));
    world.want_and_settle(&[&hourly("c")]);
    assert!(matches!(world.restart_of("c"), Reply::Refused(_)));
    world.want_and_settle(&[&workload("a", 1)]);
    world.engine_gone = true;
    world.pass(130 * S);
    assert_eq!(world.restart_of("a"), Reply::Refused("podman doesn't answer: no socket".into()));
    world.settle();
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn a_restart_that_can_not_be_is_refused_and_leaves_the_running_pod() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.unfit = Some("image 'i' is not here");
    assert_eq!(world.restart_of("a"), Reply::Refused("image 'i' is not here".into()));
    world.unfit = None;
    world.engine_gone = true; // and nothing knows of that yet
    assert_eq!(world.restart_of("a"), Reply::Refused("podman doesn't answer: no socket".into()));
    world.engine_gone = false;
    world.pass(60 * S);
    let short =
        Pressure { resource: Resource::Disk, level: Level::Low, available: 1, reserve: 2, stalled: 0 };
    world.happen(Event::Pressure(short));
    let Reply::Refused(why) = world.restart_of("a") else { panic!("not refused") };
    assert!(why.contains("disk space is short"), "{why}");
    world.settle();
    assert!(!world.took().iter().any(|order| order.starts_with("remove")));
    assert_eq!(world.pods.len(), 1);
}

#[test]
fn an_asker_for_a_restart_hears_in_time_that_it_takes_longer() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.happen(Event::Asked(Asker(1), Question::Wish("a".into(), Wish::Restart)));
    let Reply::Refused(why) = world.ask(Question::Wish("a".into(), Wish::Restart)) else {
        panic!("not refused")
    };
    assert!(why.contains("was asked for already"), "{why}");
    let Wake::At(at) = world.wake else { panic!("it never replies") };
    world.step(at);
    world.happen(Event::Tick);
    assert_eq!(world.replies, [Reply::Checking]);
    world.settle();
    assert_eq!(world.took(), ["rehearse", "remove", "start"].map(|verb| format!("{verb} {}", a.id)));
}

#[test]
fn metrics_are_told_with_their_age_and_their_users() {
    let mut world = World::running(&[]);
    world.post("x", 2.5);
    world.post("y", 1.0);
    world.step(world.now.up + 65 * S);
    let shown = text::metrics_page(&world.report(), LOOK);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    let line = |name| lines.iter().find(|line| line[0] == name).unwrap();
    assert_eq!(line("x")[..], ["x", "2.5", "1m5s", "ago", "p.low"]);
    assert_eq!(line("y")[..], ["y", "1", "1m5s", "ago"]);
}

impl World {
    /// The wall clock is set to this many days since 1970, and the kernel says so.
    fn set_clock(&mut self, days: u32) {
        self.now.utc = SystemTime::UNIX_EPOCH + 86_400 * S * days;
        self.happen(Event::Clock);
        self.settle();
    }
}

#[test]
fn schedules_wait_for_a_right_clock_and_say_so_and_go_on_when_it_is_set() {
    let w = hourly("w");
    let mut world = World::running(&[]);
    world.agent.context.not_before = SystemTime::UNIX_EPOCH + 86_400 * S * 20_000;
    world.want_and_settle(&[&w]);
    assert_eq!(world.said[0].reason, Reason::ClockBehind);
    let cause =
        "the clock is at least 19988 days behind: cron schedules wait until it is set, see 'timedatectl'";
    let shown = world.shown("w");
    assert_eq!((shown.state, shown.well, shown.next), (WorkloadState::Scheduled, false, None));
    assert_eq!(shown.cause.as_deref(), Some(cause));
    let device = world.report().device;
    assert_eq!((device.healthy, device.problems), (false, vec![cause.to_owned()]));
    world.pass(7200 * S);
    assert!(world.took().is_empty() && world.said.len() == 1, "no slot by such a clock, and one word");
    world.set_clock(20_001);
    let shown = world.shown("w");
    assert_eq!((shown.well, shown.next), (true, Some(3600)));
    assert!(world.report().device.healthy && world.report().device.problems.is_empty());
    assert_eq!(world.said[1].reason, Reason::ClockRight);
    world.pass(3600 * S);
    assert_eq!(world.shown("w").state, WorkloadState::Running);
}

#[test]
fn a_clock_that_is_set_counts_at_once() {
    let mut world = World::running(&[]);
    world.want_and_settle(&[&hourly("w")]);
    for days in [100, 50, 2000] {
        world.set_clock(days);
        assert_eq!(world.shown("w").next, Some(3600), "{days}");
    }
}

#[test]
fn another_time_zone_counts_at_once() {
    let mut world = World::running(&[]);
    world.want(&[&hourly("w")]);
    world.set_clock(100);
    // half an hour east
    world.agent.context.next_slot = |cron, after| Some(next_slot(cron, after + 1800 * S)? - 1800 * S);
    world.happen(Event::Clock);
    world.settle();
    assert_eq!(world.shown("w").next, Some(1800));
}

#[test]
fn a_schedule_that_names_no_date_that_exists_never_runs_and_says_so() {
    let schedule = schedule::Schedule::Cron(
        schedule::Cron::parse("0 0 31 2 *").unwrap(),
        schedule::Backoff::RUN_BACKOFF,
    );
    let mut world = World::running(&[]);
    world.want_and_settle(&[&Workload { schedule, ..workload("w", 1) }]);
    let said = "w is scheduled: it never runs: no date that its cron schedule names exists\n";
    assert_eq!((world.explain("w").as_str(), world.shown("w").well), (said, false));
}

#[test]
fn workloads_for_other_devices_are_named() {
    let mut world = World::new();
    let elsewhere = vec!["a".to_owned(), "b".to_owned()];
    world.happen(Event::Desired(workload::DesiredState { elsewhere, ..workload::DesiredState::default() }));
    let status = text::status_page(&world.report(), LOOK);
    assert!(status.contains("\nnote    2 workloads are for other devices: a, b\n"), "{status}");
}

#[test]
fn what_an_update_falls_back_to_and_what_failed_is_described() {
    let w = workload("w", 1);
    let mut world = World::running(&[&w]);
    world.pass(60 * S);
    assert_eq!(world.shown("w").previous, None);
    let update = changed(&w);
    world.want(&[&update]);
    world.settle();
    assert_eq!(world.shown("w").previous, Some(w.id.to_string()));
    world.exit(&update.id, 7, S);
    let shown = world.shown("w");
    let described = text::describe(&shown, LOOK);
    let failed = &shown.failures[0];
    let row = format!(
        "failures       {}: {} in a row; the last: {}\n",
        failed.container, failed.failures, failed.cause
    );
    assert!(failed.cause.contains("exit code 7") && described.contains(&row), "{described}");
    assert!(described.contains(&format!("falls back to  {}\n", w.id)), "{described}");
}

#[test]
fn where_only_a_users_podman_answers_it_is_said_how_a_workload_gets_there() {
    let rootless = Engine::Podman { rootless: true };
    let mut world = World::new();
    world.agent = Agent::new(Setup { engines: vec![PODMAN, rootless], ..first_setup() });
    world.want(&[&workload("a", 1)]);
    for (ticket, engine) in world.orders.drain(..).map(|it| (it.ticket, it.engine)).collect::<Vec<_>>() {
        let gone = Err(Failure::Engine("no socket".into()));
        let result = if engine == rootless { Ok(Fact::Pods(vec![])) } else { gone };
        world.happen(Event::Done(Outcome { engine, ticket, result }));
    }
    let said = world.explain("a");
    assert!(
        said.contains("remedy: rootless podman answers: if that is meant, write 'rootless: true' "),
        "{said}"
    );
}
