//! What others say, as it is told: without values of `Secret`s, and fit to be shown.

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::{
    model::confidential::Confidential,
    model::probe::{Check, Probe, Probes},
    model::question::{Asker, Question, Reply},
    *,
};

/// A workload that knows a secret, and is asked whether it is well.
fn confidential(name: &str, value: &str) -> Workload {
    let mut content = workload(name, 1).content;
    content.secrets = Confidential(json!({ "s": { "k": BASE64_STANDARD.encode(value) } }));
    let check = Check::Exec(vec!["true".into()]);
    let liveness = Probe {
        check,
        initial_delay: S,
        period: 10 * S,
        timeout: S,
        failure_threshold: 1,
        success_threshold: 1,
    };
    let liveness = Some(Arc::new(liveness));
    Workload {
        probes: vec![Probes { container: "a".into(), startup: None, liveness, readiness: None }],
        ..Workload::new(content)
    }
}

/// All that people are told.
fn told(world: &mut World) -> String {
    world.happen(Event::Asked(Asker(1), Question::Report));
    let Some(Reply::Report(report)) = world.replies.pop() else { panic!() };
    let said: Vec<_> = world.said.iter().map(|notice| notice.message.as_str()).collect();
    format!("{} {}", serde_json::to_string(&*report).unwrap(), said.join(" "))
}

#[test]
fn no_value_of_a_secret_is_told_whatever_a_container_or_an_engine_says() {
    let mut world = World::running(&[&confidential("w", "hunter2")]);
    world.sick = Some("exit code 1: it is hunter2, or aHVudGVyMg");
    world.pass(2 * S);
    let shown = told(&mut world);
    assert!(shown.contains("exit code 1: it is (confidential), or (confidential)"), "{shown}");
    world.sick = None;
    world.broken = Some(Failure::Workload("no hunter2 here".into()));
    world.pass(60 * S);
    world.happen(Event::Notice(Notice::warning(Reason::Failed, "hunter2 is wrong")));
    let shown = told(&mut world);
    assert!(shown.contains("no (confidential) here") && shown.contains("(confidential) is wrong"), "{shown}");
    assert!(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"), "{shown}");
}

#[test]
fn the_values_of_what_just_left_are_not_told_either() {
    let mut world = World::running(&[&confidential("w", "hunter2"), &confidential("v", "sesame!")]);
    world.want(&[&confidential("v", "sesame!")]);
    world.broken = Some(Failure::Workload("failed to stop what knows hunter2".into()));
    world.settle();
    let shown = told(&mut world);
    assert!(shown.contains("what knows (confidential)"), "{shown}");
}

#[test]
fn a_name_that_is_a_secrets_value_too_stays_a_name() {
    let camera = confidential("camera", "camera");
    let mut world = World::running(&[&camera]);
    world.pass(120 * S);
    assert!(!world.took().iter().any(|order| order.starts_with("remove")));
    assert!(told(&mut world).contains("\"name\":\"camera\""));
}

#[test]
fn what_engines_say_is_one_line_that_changes_no_other() {
    let mut world = World::running(&[&workload("w", 1)]);
    let id = workload("w", 1).id;
    world.broken = Some(Failure::Workload("no\n[ERROR] such\x1b[2J \u{202e}image".into()));
    world.exit(&id, 1, S);
    let shown = told(&mut world);
    assert!(shown.contains("no [ERROR] such\\\\u001b[2J \\\\u202eimage"), "{shown}");
    assert!(world.said.iter().all(|notice| !notice.message.contains(['\n', '\x1b', '\u{202e}'])));
}
