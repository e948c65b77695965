//! What a person stopped by hand.

use super::{
    edge::linked,
    model::{
        question::{Question, Reply, Wish},
        report::WorkloadState,
    },
    *,
};

const STOP: Wish = Wish::Stop { until_changed: false };
const UNTIL_CHANGED: Wish = Wish::Stop { until_changed: true };
/// What is said of `a` while it is stopped.
const EXPLAINED: &str = "a is stopped: an operator stopped it at 1970-01-12T13:46:40Z\n\
                         remedy: start it with 'device-worker-ng start a'\n";

impl World {
    /// What is replied to the wish, before anything comes of it.
    fn wish(&mut self, name: &str, wish: Wish) -> String {
        match self.ask(Question::Wish(name.into(), wish)) {
            Reply::Done(said) => said,
            reply => panic!("{reply:?}"),
        }
    }

    /// Another process, which knows what was kept.
    fn next_process(&mut self) {
        self.orders.clear();
        let (finished, fallbacks) = (self.remembered.clone(), self.fallbacks.clone());
        self.agent = Self::agent(finished, fallbacks, self.stops.clone(), true, None, 7);
        self.happen(Event::Tick);
    }

    fn state_of(&mut self, name: &str) -> WorkloadState {
        self.shown(name).state
    }
}

/// A world in which `a` has come up.
fn come_up() -> (World, Workload) {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.pass(11 * S);
    (world, a)
}

#[test]
fn what_is_stopped_by_hand_goes_and_says_why_and_how_to_start_it() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    let said = world.wish("a", STOP);
    assert_eq!(said, "a is stopped until 'device-worker-ng start a'");
    assert_eq!(world.state_of("a"), WorkloadState::Stopping);
    world.settle();
    assert_eq!(world.took(), [format!("remove {}", a.id)]);
    assert_eq!(world.explain("a"), EXPLAINED);
    assert!(world.shown("a").well && world.report().device.healthy);
    assert_eq!(world.agent.workloads["a"].server_status(), call::ServerWorkloadStatus::Stopped);
    assert_eq!(world.heard(), [Reason::Commanded, Reason::Inactive, Reason::Stopped]);
    let already = "a is stopped already: an operator stopped it at 1970-01-12T13:46:40Z";
    let until = format!("{already}, until another content is asked for");
    for (wish, said) in [(STOP, already), (UNTIL_CHANGED, &until), (UNTIL_CHANGED, &until), (STOP, already)] {
        assert_eq!(world.wish("a", wish), said, "what holds from now on");
    }
    assert_eq!(world.wish("a", Wish::Start), "a may run again; 'device-worker-ng explain a' tells how it is");
    world.settle();
    assert_eq!(world.state_of("a"), WorkloadState::Running);
    let said = world.wish("a", Wish::Start);
    assert_eq!(said, "a was not stopped; 'device-worker-ng explain a' tells how it is");
    assert!(world.stops.is_empty(), "nothing is kept of it");
    assert_eq!(world.ask(Question::Wish("b".into(), STOP)), Reply::Unknown);
}

#[test]
fn a_stop_outlives_metrics_another_content_and_the_process_and_ends_with_the_workload() {
    let gated = gated("a", "low");
    let mut world = World::running(&[&gated]);
    world.wish("a", STOP);
    world.settle();
    for value in [5.0, 1.0] {
        world.post_and_settle("x", value);
    }
    let changed = changed(&gated);
    world.want(&[&changed]);
    world.pass(300 * S);
    world.next_process();
    world.want(&[&changed]);
    world.pass(300 * S);
    assert_eq!((world.pods.len(), world.state_of("a")), (0, WorkloadState::Stopped));
    world.want_with_unreadable(&[], &["b"]); // one can't be understood: the other may be what it was about
    assert_eq!(world.stops.len(), 1);
    world.want(&[]);
    assert!(world.stops.is_empty());
    world.want_and_settle(&[&changed]);
    assert_eq!(world.state_of("a"), WorkloadState::Running, "it is another one");
}

#[test]
fn a_stop_until_it_changes_ends_with_another_content_and_no_sooner() {
    let a = gated("a", "low");
    let mut world = World::running(&[&a]);
    let said = world.wish("a", UNTIL_CHANGED);
    assert_eq!(said, "a is stopped until 'device-worker-ng start a', or another content of it is asked for");
    world.next_process();
    world.want_and_settle(&[&a]);
    let ungated = Workload { profiles: Vec::new(), ..a.clone() };
    world.want(&[&ungated]);
    world.pass(300 * S);
    assert_eq!(world.state_of("a"), WorkloadState::Stopped);
    assert!(world.explain("a").contains("Z, until another content is asked for\n"), "{}", world.explain("a"));
    world.want_and_settle(&[&changed(&a)]);
    assert_eq!((world.state_of("a"), world.stops.len()), (WorkloadState::Running, 0));
    world.wish("a", UNTIL_CHANGED);
    world.wish("a", STOP); // for good
    world.want_and_settle(&[&a]);
    assert_eq!(world.state_of("a"), WorkloadState::Stopped);
}

#[test]
fn what_an_update_was_taken_back_to_stays_stopped_until_something_else_is_asked_for() {
    let (mut world, a) = come_up();
    let bad = changed(&a);
    world.unstartable = true;
    world.want(&[&bad]);
    world.pass(119 * S);
    world.unstartable = false;
    world.pass(2 * S);
    assert!(world.pods.contains_key(&a.id));
    world.wish("a", UNTIL_CHANGED);
    world.settle();
    world.want(&[&bad]); // the same again
    world.settle();
    assert_eq!((world.state_of("a"), world.pods.len()), (WorkloadState::Stopped, 0));
    world.wish("a", Wish::Start);
    world.settle();
    assert!(world.pods.contains_key(&a.id), "and not what didn't come up");
}

#[test]
fn an_update_that_was_stopped_by_hand_is_not_taken_back_for_that() {
    let (mut world, a) = come_up();
    let new = changed(&a);
    world.want_and_settle(&[&new]);
    world.wish("a", STOP);
    world.pass(600 * S);
    assert_eq!((world.state_of("a"), world.fallbacks["a"].failed.clone()), (WorkloadState::Stopped, None));
    world.wish("a", Wish::Start);
    world.pass(11 * S);
    assert!(world.pods.contains_key(&new.id) && world.fallbacks["a"].good.id == new.id);
}

#[test]
fn what_is_in_its_back_off_goes_too_and_starts_at_once_when_it_may() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.exit(&a.id, 1, S);
    world.wish("a", STOP);
    world.pass(60 * S);
    assert_eq!((world.state_of("a"), world.pods.len()), (WorkloadState::Stopped, 0));
    assert!(world.report().device.healthy);
    let why = "an operator stopped it at 1970-01-12T13:46:40Z; start it with 'device-worker-ng start a'";
    assert_eq!(world.restart_of("a"), Reply::Refused(why.into()));
    world.wish("a", Wish::Start);
    world.settle();
    assert_eq!(world.state_of("a"), WorkloadState::Running);
}

#[test]
fn a_stop_by_hand_is_no_change_of_conditions_to_rest_from() {
    let mut world = World::running(&[&workload("a", 1)]);
    for _ in 0..10 {
        world.wish("a", STOP);
        world.settle();
        world.wish("a", Wish::Start);
        world.settle();
    }
    assert_eq!(world.state_of("a"), WorkloadState::Running);
    assert!(!world.heard().contains(&Reason::Flapping));
}

#[test]
fn no_slot_of_a_stopped_workload_is_used() {
    let w = hourly("w");
    let mut world = World::running(&[]);
    world.want(&[&w]);
    world.wish("w", STOP);
    world.pass(3 * 3600 * S);
    assert_eq!((world.took().len(), world.state_of("w")), (0, WorkloadState::Stopped));
    world.wish("w", Wish::Start);
    world.settle();
    assert_eq!(
        (world.took().len(), world.state_of("w")),
        (0, WorkloadState::Scheduled),
        "and none is made up"
    );
    world.pass(3600 * S);
    assert_eq!(world.state_of("w"), WorkloadState::Running);
    world.exit(&w.id, 3, S);
    world.wish("w", STOP);
    world.settle();
    assert_eq!((world.state_of("w"), world.shown("w").exit), (WorkloadState::Stopped, Some(3)));
    assert!(world.report().device.healthy, "it is not to run");
}

#[test]
fn a_run_whose_retries_were_stopped_is_over_and_the_next_slots_has_its_time() {
    let w = Workload { retries: Some(3), deadline: Some(60 * S), ..hourly("w") };
    let mut world = World::running(&[]);
    world.want(&[&w]);
    world.pass(801 * S); // its slot
    world.exit(&w.id, 1, S);
    world.wish("w", STOP);
    world.settle();
    world.wish("w", Wish::Start);
    world.pass(3600 * S);
    assert_eq!(world.state_of("w"), WorkloadState::Running);
}

#[test]
fn a_stop_without_the_engine_counts_when_it_answers() {
    let a = workload("a", 1);
    let mut world = World::running(&[&a]);
    world.engine_gone = true;
    world.pass(130 * S);
    let said = world.wish("a", STOP);
    assert_eq!(
        said,
        "a is stopped until 'device-worker-ng start a'; podman doesn't answer: no socket: it goes later"
    );
    let notes = world.shown("a").notes;
    assert!(notes.iter().any(|note| note.starts_with("an operator stopped it")), "{notes:?}");
    world.next_process();
    world.want_and_settle(&[&a]);
    world.engine_gone = false;
    world.pass(130 * S);
    assert_eq!((world.state_of("a"), world.pods.len()), (WorkloadState::Stopped, 0));
}

#[test]
fn a_deployment_is_scaled_to_nothing_while_it_is_stopped() {
    let mut a = workload("a", 1);
    a.content.engine = Engine::Kubernetes;
    let a = Workload::new(a.content);
    let mut world = World::new();
    world.want_and_settle(&[&a]);
    world.took();
    world.wish("a", STOP);
    world.settle();
    assert_eq!(world.took(), [format!("apply {} 0", a.id)]);
    assert_eq!(world.explain("a"), EXPLAINED);
    world.want(&[&a]);
    assert_eq!(world.stops.len(), 1);
    world.wish("a", Wish::Start);
    world.settle();
    assert_eq!(world.took(), [format!("apply {} 1", a.id)]);
}

#[test]
fn a_stop_by_a_wrong_clock_tells_no_date() {
    let mut world = World::running(&[&workload("a", 1)]);
    world.agent.context.not_before = SystemTime::UNIX_EPOCH + 86_400 * S * 20_000;
    world.wish("a", STOP);
    world.settle();
    assert!(world.explain("a").starts_with("a is stopped: an operator stopped it\n"));
}

#[test]
fn what_the_servers_workload_is_stopped_for_is_kept_too_and_told_as_stopped() {
    let a = workload("a", 1);
    let mut world = linked(&[&a]);
    world.settle();
    world.wish("a", STOP);
    world.settle();
    world.restart();
    world.pass(120 * S);
    assert_eq!((world.pods.len(), world.state_of("a")), (0, WorkloadState::Stopped));
    assert_eq!(world.agent.workloads["a"].server_status(), call::ServerWorkloadStatus::Stopped);
}

impl World {
    fn refusal(&mut self, name: &str) -> String {
        match self.ask(Question::Wish(name.into(), Wish::Run)) {
            Reply::Refused(why) => why,
            reply => panic!("{reply:?}"),
        }
    }
}

#[test]
fn a_run_by_hand_is_one_more_run_and_the_slots_come_as_they_would_have() {
    let w = Workload { profiles: gated("w", "low").profiles, ..hourly("w") };
    let mut world = World::running(&[]); // 13:46:40
    world.want(&[&w]);
    world.settle();
    let slot = world.shown("w").next;
    for _ in 0..2 {
        assert_eq!(world.wish("w", Wish::Run), "w gets a run now; its slots stay as they are");
        assert_eq!(world.refusal("w"), "a run is going on");
        world.settle();
        assert_eq!(
            (world.state_of("w"), world.refusal("w")),
            (WorkloadState::Running, "a run is going on".into())
        );
        world.exit(&w.id, 0, S);
        assert_eq!((world.state_of("w"), world.shown("w").next), (WorkloadState::Scheduled, slot));
    }
    assert_eq!(world.took().iter().filter(|order| order.starts_with("start")).count(), 2);
    world.pass(800 * S);
    assert_eq!(
        (world.state_of("w"), world.refusal("w")),
        (WorkloadState::Running, "a run is going on".into())
    );
    world.exit(&w.id, 0, S);
    world.pass(3500 * S);
    assert_eq!(world.took().iter().filter(|order| order.starts_with("start")).count(), 1);
}

#[test]
fn a_slot_that_comes_while_a_run_by_hand_goes_on_is_gone_even_if_that_ends_soon() {
    let w = hourly("w");
    let mut world = World::new(); // 13:46:40
    world.want_and_settle(&[&w]);
    world.pass(790 * S);
    world.wish("w", Wish::Run);
    world.pass(20 * S);
    world.exit(&w.id, 0, 25 * S);
    world.pass(600 * S);
    assert_eq!(world.took().iter().filter(|order| order.starts_with("start")).count(), 1);
}

#[test]
fn a_run_by_hand_is_refused_with_what_is_in_its_way() {
    let w = Workload { profiles: gated("w", "low").profiles, retries: Some(1), ..hourly("w") };
    let mut world = World::running(&[&workload("a", 1)]);
    world.want(&[&w, &workload("a", 1)]);
    world.settle();
    assert_eq!(world.refusal("a"), "it has no cron schedule: it runs whenever its conditions let it");
    world.post("x", 5.0);
    world.settle();
    assert_eq!(world.refusal("w"), "profile 'p' doesn't hold: low is false: x < 3% || x == nil, and x is 5");
    world.post("x", 1.0);
    world.wish("w", STOP);
    assert!(world.refusal("w").ends_with("; start it with 'device-worker-ng start w'"));
    world.wish("w", Wish::Start);
    world.agent.context.not_before = SystemTime::UNIX_EPOCH + 86_400 * S * 20_000;
    assert!(world.refusal("w").contains("days behind"));
    world.agent.context.not_before = SystemTime::UNIX_EPOCH;
    world.wish("w", Wish::Run);
    world.settle();
    world.exit(&w.id, 1, S);
    assert_eq!(world.refusal("w"), "its last run failed, and is tried again in a moment");
    world.took();
    world.pass(20 * S);
    assert!(world.took().contains(&format!("start {}", w.id)), "it is tried again as that of a slot");
    world.engine_gone = true;
    world.pass(130 * S);
    assert_eq!(world.refusal("w"), "podman doesn't answer: no socket");
    let Reply::Refused(why) = world.restart_of("w") else { panic!("not refused") };
    assert_eq!(why, "podman doesn't answer: no socket");
}
