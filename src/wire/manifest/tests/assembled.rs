//! What is meant for this device.

use super::*;

#[test]
fn workloads_are_chosen_by_device_and_labels() {
    let workloads = [
        workload("mine", "device: pi"),
        workload("other", "device: po"),
        workload("labels", "deviceSelector: {matchLabels: {site: roof}}"),
        workload("elsewhere", "deviceSelector: {matchLabels: {site: cellar}}"),
        workload("both", "device: pi\ndeviceSelector: {matchLabels: {site: cellar}}"),
        workload("neither", ""),
    ]
    .concat();
    assert_eq!(names(&assembled(&workloads).0), ["mine", "both", "neither"]);
    let with_device = device("pi", "") + &workloads;
    assert_eq!(names(&assembled(&with_device).0), ["mine", "labels", "both", "neither"]);
    let single = device("any-name", "") + &workload("a", "device: any-name") + &workload("b", "device: pi");
    assert_eq!(names(&assembled(&single).0), ["a", "b"]);
}

#[test]
fn of_several_devices_the_one_with_this_name_counts() {
    let profile = |name: &str| format!("spec: {{profiles: [{{name: {name}}}]}}");
    let two = device("po", &profile("p1")) + &device("pi", &profile("p2"));
    let (desired, problems) = assembled(&two);
    assert_eq!((desired.profiles[0].name.as_str(), problems), ("p2", vec![]));
    let (desired, problems) = assembled(&two.replace("name: pi", "name: pe"));
    assert!(desired.profiles.is_empty());
    assert!(problems[0].contains("none of the 2 EdgeDevices is named `pi`"), "{problems:?}");
}

#[test]
fn every_use_of_a_config_map_is_found() {
    let uses = |container: &str, rest: &str| {
        let text = workload("a", "").replace("image: i", &format!("image: i, {container}"));
        text.replace("containers:", &format!("{rest} containers:"))
    };
    for text in [
        uses("env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]", ""),
        uses("envFrom: [{configMapRef: {name: m}}]", ""),
        uses("", "volumes: [{name: v, configMap: {name: m}}],"),
        uses("", "volumes: [{name: v, projected: {sources: [{configMap: {name: m}}]}}],"),
        uses("", "initContainers: [{name: d, image: i, envFrom: [{configMapRef: {name: m}}]}],"),
    ] {
        let (desired, problems) = assembled(&text);
        assert_eq!((names(&desired), desired.unreadable.clone()), (vec![], vec!["a".to_owned()]), "{text}");
        assert!(problems[0].contains("there is no ConfigMap `m` in namespace `default`"), "{problems:?}");
        let found = only(&(text.clone() + &config_map("m", "1")));
        assert_eq!(found.content.config_maps.len(), 1);
        let changed = only(&(text + &config_map("m", "2")));
        assert_ne!(found.id, changed.id, "a changed ConfigMap makes another pod");
    }
}

#[test]
fn an_optional_config_map_may_be_missing_and_an_unused_one_changes_nothing() {
    let text = workload("a", "")
        .replace("image: i", "image: i, envFrom: [{configMapRef: {name: m, optional: true}}]");
    let without = only(&text);
    assert!(without.content.config_maps.is_empty());
    assert_eq!(without.id, only(&(text + &config_map("unused", "1"))).id);
}

#[test]
fn the_first_of_two_with_one_name_wins_and_both_places_are_named() {
    let text = workload("a", "cron: '1 * * * *'") + &workload("a", "cron: '2 * * * *'");
    let (desired, problems) = assembled(&text);
    assert_eq!(desired.workloads[0].schedule, Schedule::Cron(Cron::parse("1 * * * *").unwrap()));
    assert_eq!(
        problems,
        [
            "f.yaml, document 2, line 14: metadata.name: EdgeWorkload `a` has no effect: f.yaml, line 3 defines it first"
        ]
    );
}
