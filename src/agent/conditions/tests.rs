//! Conditions and metrics by their outcome.

use super::*;

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
fn strangers_are_bounded_and_take_no_place_from_what_is_mentioned() {
    let mut table = defined(&[("high", "x > 40")]);
    for n in 0..2 * MAX_METRICS {
        table.post(NOW, &[(&format!("m{n}"), Some(1.0))]);
    }
    assert_eq!(table.metrics.len(), MAX_METRICS + 1);
    assert_eq!(table.post(NOW, &[("x", Some(50.0))]), ["high"]);
    table.post(NOW, &[("m0", None), ("late", Some(1.0))]);
    assert!(table.metrics.contains_key("late"), "an unset name makes room");
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
