//! Conditions and metrics by their outcome.

use super::*;
use crate::agent::model::{event::MAX_METRIC_NAMES, hysteresis::HysteresisState};

const NOW: Duration = Duration::from_secs(1000);

fn after(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

fn profile(name: &str, conditions: &[(&str, &str)]) -> Profile {
    let conditions = conditions
        .iter()
        .map(|(name, expression)| workload::Condition {
            name: (*name).to_owned(),
            expression: (*expression).to_owned(),
            ..workload::Condition::default()
        })
        .collect();
    Profile { name: name.to_owned(), conditions }
}

fn defined(conditions: &[(&str, &str)]) -> Conditions {
    let mut table = Conditions::new(None);
    assert_eq!(table.define(&[profile("p", conditions)], NOW), []);
    table
}

impl Conditions {
    /// Posts, and gives the names of the conditions that changed.
    fn post(&mut self, now: Duration, samples: &[(&str, Option<f64>)]) -> Vec<String> {
        let samples: Vec<_> =
            samples.iter().map(|(name, value)| Sample { name: (*name).to_owned(), value: *value }).collect();
        let mut changed = Vec::new();
        self.set(&samples, now, &mut changed);
        changed.iter().map(|id| self.conditions[id.index()].name.to_string()).collect()
    }

    fn expired(&mut self, now: Duration) -> usize {
        let mut changed = Vec::new();
        self.expire(now, &mut changed);
        changed.len()
    }

    fn says(&self, condition: &str) -> bool {
        self.holds(self.find("p", condition).expect(condition))
    }
}

#[test]
fn a_condition_changes_with_its_metric_and_says_so_once() {
    let mut table = defined(&[("low", "x<3% || x == nil"), ("high", "x > 40%")]);
    assert!(table.says("low") && !table.says("high"));
    assert_eq!(table.post(NOW, &[("x", Some(50.0))]), ["low", "high"]);
    assert!(!table.says("low") && table.says("high"));
    assert!(table.post(NOW, &[("x", Some(60.0))]).is_empty());
    assert_eq!(table.post(NOW, &[("x", None)]), ["low", "high"]);
    assert!(table.says("low") && !table.says("high"));
}

#[test]
fn of_several_values_in_one_post_the_last_counts() {
    let mut table = defined(&[("high", "x > 40"), ("both", "x > 40 && y > 40")]);
    assert!(table.post(NOW, &[("x", Some(50.0)), ("x", Some(30.0))]).is_empty());
    assert_eq!(table.post(NOW, &[("x", Some(50.0)), ("y", Some(50.0)), ("x", Some(51.0))]), ["high", "both"]);
}

#[test]
fn the_third_of_a_chain_counts() {
    let mut table = defined(&[("all", "a > 1 && b > 1 && c > 1")]);
    assert!(table.post(NOW, &[("a", Some(2.0)), ("b", Some(2.0))]).is_empty());
    assert_eq!(table.post(NOW, &[("c", Some(2.0))]), ["all"]);
    assert_eq!(table.post(NOW, &[("c", Some(0.0))]), ["all"]);
}

#[test]
fn names_match_exactly() {
    let mut table = defined(&[("very_hot", "heat > 90"), ("hot", "very_heat > 40")]);
    table.post(NOW, &[("heat", Some(99.0))]);
    assert!(table.says("very_hot") && !table.says("hot"));
    for (profile, condition) in [("p", "ho"), ("p", "Hot"), ("P", "hot"), ("", "hot"), ("p", "")] {
        assert_eq!(table.find(profile, condition), None, "{profile}/{condition}");
    }
}

#[test]
fn a_burst_of_posts_ends_in_the_right_state() {
    let mut table = defined(&[("high", "x > 199")]);
    let burst: Vec<_> = (0..200).map(|n| ("x", Some(f64::from(n)))).collect();
    table.post(NOW, &burst);
    for sample in &burst {
        table.post(NOW, &[*sample]);
    }
    assert!(!table.says("high"));
    assert_eq!(table.post(NOW, &[("x", Some(200.0))]), ["high"]);
}

#[test]
fn only_what_mentions_a_changed_metric_is_evaluated() {
    let names: Vec<_> = (0..1000).map(|n| format!("m{n}")).collect();
    let texts: Vec<_> = names.iter().map(|name| (name.as_str(), format!("{name} > 1 || x > 1"))).collect();
    let conditions: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let mut table = defined(&conditions);
    assert_eq!(table.evaluations, 1000, "everything once at first");

    let count = |table: &mut Conditions, samples: &[(&str, Option<f64>)]| {
        table.evaluations = 0;
        table.post(NOW, samples);
        table.evaluations
    };
    assert_eq!(count(&mut table, &[("m7", Some(2.0))]), 1);
    assert_eq!(count(&mut table, &[("m7", Some(2.0))]), 0, "the same value again");
    assert_eq!(count(&mut table, &[("m7", None), ("m7", None)]), 1);
    assert_eq!(count(&mut table, &[("stranger", Some(2.0))]), 0);
    assert_eq!(count(&mut table, &[("m1", Some(2.0)), ("m2", Some(2.0)), ("m1", Some(3.0))]), 2);
    assert_eq!(count(&mut table, &[("x", Some(2.0)), ("m1", Some(0.0))]), 1000);
}

#[test]
fn a_metric_that_nothing_mentions_yet_keeps_its_value() {
    let mut table = defined(&[("high", "x > 40")]);
    table.post(NOW, &[("y", Some(50.0)), ("x", Some(50.0)), ("z", Some(1.0)), ("z", None)]);
    assert_eq!(table.define(&[profile("p", &[("y", "y > 40"), ("z", "z == nil")])], NOW), []);
    assert!(table.says("y") && table.says("z"));
    assert_eq!(table.find("p", "high"), None);
    // and x, which nothing mentions now, is back in the next round
    assert_eq!(table.define(&[profile("p", &[("high", "x > 40")])], NOW), []);
    assert!(table.says("high"));
    assert_eq!(table.metrics.len(), 2, "z is forgotten: it has no value and no reader");
}

#[test]
fn what_was_acknowledged_counts_however_many_there_are() {
    let mut table = defined(&[("high", "x > 40")]);
    for n in 0..MAX_METRIC_NAMES {
        table.post(NOW, &[(&format!("m{n}"), Some(1.0))]);
    }
    // the receiver counts the batch as a whole, and hands it on by name
    table.post(NOW, &[("early", Some(50.0)), ("m0", None)]);
    assert_eq!(table.define(&[profile("p", &[("early", "early > 40")])], NOW), []);
    assert!(table.says("early"));
    assert_eq!(table.metrics.len(), MAX_METRIC_NAMES, "an unset name is forgotten");
}

#[test]
fn a_metric_past_its_time_to_live_is_nil_again() {
    let mut table = Conditions::new(Some(Duration::from_secs(30)));
    let conditions = [("known", "x != nil"), ("both", "x > 1 && y > 1")];
    assert_eq!(table.define(&[profile("p", &conditions)], NOW), []);
    assert_eq!(table.next_expiry(), Wake::Never);

    table.post(NOW, &[("x", Some(2.0)), ("stranger", Some(1.0))]);
    table.post(after(10), &[("y", Some(2.0))]);
    table.post(after(20), &[("x", Some(2.0))]); // the same value again counts as new
    assert_eq!(table.next_expiry(), Wake::At(after(30)));
    assert_eq!(table.expired(after(30)), 0);
    assert!(!table.metrics.contains_key("stranger"));

    assert_eq!(table.next_expiry(), Wake::At(after(40)));
    assert_eq!(table.expired(after(39)), 0);
    assert_eq!(table.expired(after(40)), 1);
    assert!(!table.says("both") && table.says("known"));

    assert_eq!(table.expired(after(60)), 1);
    assert!(!table.says("known"));
    assert_eq!(table.next_expiry(), Wake::Never);
}

#[test]
fn an_unset_metric_does_not_expire() {
    let mut table = Conditions::new(Some(Duration::from_secs(30)));
    table.define(&[profile("p", &[("known", "x != nil")])], NOW);
    table.post(NOW, &[("x", Some(2.0)), ("x", None), ("x", None)]);
    assert_eq!(table.next_expiry(), Wake::Never);
    table.post(after(5), &[("x", Some(2.0))]);
    assert_eq!(table.next_expiry(), Wake::At(after(35)));
    table.define(&[profile("p", &[("known", "x != nil")])], after(35));
    assert!(!table.says("known"), "a new definition doesn't revive what is too old");
}

#[test]
fn what_cannot_be_used_is_told_and_the_others_live() {
    let mut table = Conditions::new(None);
    let errors = table.define(
        &[
            profile("p", &[("bad", "x >"), ("good", "x > 1"), ("good", "x < 1")]),
            profile("p", &[("other", "x > 1")]),
            profile("q", &[("good", "x == nil")]),
        ],
        NOW,
    );
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "failed to read the condition 'bad' of the profile 'p': column 4: expected a number or nil\
             \n    x >\n       ^",
            "the profile 'p' defines the condition 'good' twice: only the first one counts",
            "the device defines the profile 'p' twice: only the first one counts",
        ]
    );
    assert_eq!(table.post(NOW, &[("x", Some(2.0))]), ["good", "good"]);
    assert!(table.says("good") && !table.says("bad"));
    assert_eq!(table.find("p", "other"), None);
    assert!(!table.holds(table.find("q", "good").expect("defined")));
    let shown: Vec<_> = table
        .conditions
        .iter()
        .map(|c| {
            format!(
                "{}/{} {}",
                c.profile,
                c.name,
                c.expression.as_ref().map_or("-".into(), |e| e.to_string())
            )
        })
        .collect();
    assert_eq!(shown, ["p/bad -", "p/good x > 1", "q/good x == nil"]);
}

/// True after `hold` seconds of `expression`, until `until`.
fn lasting(hold: u64, until: Option<&str>) -> Profile {
    let condition = workload::Condition {
        name: "hot".into(),
        expression: "x > 60".into(),
        hold: Duration::from_secs(hold),
        until: until.map(Into::into),
    };
    Profile { name: "p".into(), conditions: vec![condition] }
}

fn lasts(hold: u64, until: Option<&str>) -> Conditions {
    let mut table = Conditions::new(None);
    assert_eq!(table.define(&[lasting(hold, until)], NOW), []);
    table
}

#[test]
fn a_condition_with_an_end_of_its_own_stays_true_until_that_comes() {
    let mut table = lasts(0, Some("x < 40"));
    let mut posts = |x: Option<f64>| {
        table.post(NOW, &[("x", x)]);
        table.says("hot")
    };
    let values = [Some(50.0), Some(61.0), Some(50.0), Some(40.0), None, Some(39.0), Some(50.0), Some(61.0)];
    assert_eq!(values.map(&mut posts), [false, true, true, true, true, false, false, true]);
}

#[test]
fn where_both_are_true_it_is_not() {
    let mut table = lasts(0, Some("y == 1"));
    table.post(NOW, &[("x", Some(61.0)), ("y", Some(1.0))]);
    assert!(!table.says("hot"));
    assert_eq!(table.post(NOW, &[("y", Some(0.0))]), ["hot"]);
    assert_eq!(table.post(NOW, &[("y", Some(1.0))]), ["hot"]);
    assert!(!table.says("hot"));
}

#[test]
fn an_expression_has_to_be_true_for_as_long_as_it_says_without_a_break() {
    let mut table = lasts(30, None);
    table.post(NOW, &[("x", Some(61.0))]);
    assert_eq!((table.next_expiry(), table.says("hot")), (Wake::At(after(30)), false));
    table.post(after(20), &[("x", Some(70.0))]);
    assert_eq!(table.next_expiry(), Wake::At(after(30)), "it is true all the time");
    table.post(after(29), &[("x", Some(60.0))]);
    assert_eq!(table.next_expiry(), Wake::Never);
    table.post(after(29), &[("x", Some(61.0))]);
    assert_eq!(table.expired(after(59) - Duration::from_nanos(1)), 0);
    assert_eq!((table.expired(after(59)), table.says("hot"), table.next_expiry()), (1, true, Wake::Never));
    assert_eq!(table.post(after(59), &[("x", Some(60.0))]), ["hot"], "it ends at once");
}

#[test]
fn what_is_remembered_outlives_a_restart_and_another_definition_but_no_other_words() {
    let mut table = lasts(30, Some("x < 40"));
    table.post(after(5), &[("x", Some(61.0))]);
    let held = table.take_changed_hysteresis().expect("it began");
    assert!(table.take_changed_hysteresis().is_none());
    let resumed = |held: &[HysteresisState], profile: Profile, at: Duration| {
        let mut table = Conditions::new(None);
        table.restore_hysteresis(held.to_vec());
        table.set(&[Sample { name: "x".into(), value: Some(61.0) }], after(5), &mut Vec::new());
        table.define(&[profile], at);
        table
    };
    let again = resumed(&held, lasting(30, Some("x < 40")), after(20));
    assert_eq!((again.next_expiry(), again.says("hot")), (Wake::At(after(35)), false));
    assert!(resumed(&held, lasting(30, Some("x < 40")), after(35)).says("hot"));
    assert_eq!(resumed(&held, lasting(31, Some("x < 40")), after(20)).next_expiry(), Wake::At(after(51)));
    table.expired(after(35));
    table.post(after(36), &[("x", Some(50.0))]);
    let held = table.take_changed_hysteresis().expect("it is true");
    let mut again = Conditions::new(None);
    again.restore_hysteresis(held);
    again.define(&[lasting(30, Some("x < 40"))], after(40));
    assert!(again.says("hot"));
    table.define(&[lasting(30, Some("x < 40")), profile("q", &[("new", "x > 1")])], after(41));
    assert!(table.says("hot"));
    table.define(&[], after(42));
    table.forget_unreferenced();
    table.define(&[lasting(30, Some("x < 40"))], after(43));
    assert!(!table.says("hot"));
}

#[test]
fn an_end_that_cannot_be_read_is_told_and_the_condition_is_never_true() {
    let mut table = Conditions::new(None);
    let errors = table.define(&[lasting(0, Some("x <"))], NOW);
    assert!(
        errors[0].to_string().contains("'hot' of the profile 'p': column 4: expected a number"),
        "{errors:?}"
    );
    table.post(NOW, &[("x", Some(61.0))]);
    assert!(!table.says("hot"));
}
