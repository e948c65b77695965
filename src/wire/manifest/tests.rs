//! Manifests by their outcome.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::workload::{Backoff, Desired, Engine, RestartPolicy, Workload};

fn read(text: &str) -> Contents {
    Contents::read(&Arc::from("f.yaml"), text.as_bytes())
}

fn assembled(text: &str) -> (Desired, Vec<String>) {
    let contents = read(text);
    let documents: Vec<&Document> = contents.documents.iter().collect();
    let (desired, more) = assemble(&documents, &contents.broken, "pi");
    (desired, contents.problems.iter().chain(&more).map(ToString::to_string).collect())
}

/// A workload whose `spec` has these lines besides a small pod.
fn workload(name: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("\n  {line}")).collect();
    format!(
        "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata:\n  name: {name}\n\
         spec:\n  type: pod\n  pod: {{spec: {{containers: [{{name: c, image: i}}]}}}}{spec}\n"
    )
}

fn device(name: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\n\
         metadata:\n  name: {name}\n  labels: {{site: roof}}\n{rest}\n"
    )
}

fn config_map(name: &str, value: &str) -> String {
    format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: \"{value}\"}}\n")
}

fn only(text: &str) -> Workload {
    let (desired, problems) = assembled(text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(desired.workloads.len(), 1);
    Workload::clone(&desired.workloads[0])
}

fn problems(text: &str) -> Vec<String> {
    assembled(text).1
}

fn names(desired: &Desired) -> Vec<&str> {
    desired.workloads.iter().map(|workload| workload.name()).collect()
}

#[test]
fn a_small_workload_gets_the_defaults() {
    let workload = only(&workload("web", ""));
    assert_eq!(workload.content.namespace, "default");
    assert_eq!(workload.content.engine, Engine::Podman { rootless: false });
    assert_eq!(workload.content.specification, json!({"containers": [{"name": "c", "image": "i"}]}));
    assert_eq!((workload.restart, workload.backoff), (RestartPolicy::Always, Backoff::default()));
    assert_eq!((workload.grace, workload.cron), (Duration::from_secs(10), None));
    assert!(workload.profiles.is_empty());
}

#[test]
fn everything_written_arrives() {
    let text = "
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: web
  namespace: prod
  labels: {podman/team: red, other: x}
  annotations: {podman/note: hi, podman/: x}
spec:
  type: pod
  rootless: true
  cron: '*/5 * * * *'
  profiles:
  - {name: perf, conditions: [{name: low, cpu: 50000}, {name: mid, cpu: {cpu: 20000}}]}
  - {name: power, conditions: [ok]}
  pod:
    spec:
      restartPolicy: OnFailure
      terminationGracePeriodSeconds: 0
      unknownToUs: [1, 2.5, true, null]
      containers:
      - {name: c, image: i}
";
    let workload = only(text);
    assert_eq!(workload.content.engine, Engine::Podman { rootless: true });
    assert_eq!(workload.content.namespace, "prod");
    assert_eq!(workload.content.labels, [("team".into(), "red".into())]);
    assert_eq!(workload.content.annotations, [("note".into(), "hi".into())]);
    assert_eq!(workload.cron.as_deref(), Some("*/5 * * * *"));
    assert_eq!((workload.restart, workload.grace), (RestartPolicy::OnFailure, Duration::from_secs(1)));
    assert_eq!(workload.content.specification["unknownToUs"], json!([1, 2.5, true, null]));
    let listed: Vec<_> = workload
        .profiles
        .iter()
        .flat_map(|profile| profile.conditions.iter().map(|c| (&*profile.name, &*c.name, c.cpu)))
        .collect();
    assert_eq!(listed, [("perf", "low", Some(50000)), ("perf", "mid", Some(20000)), ("power", "ok", None)]);
}

#[test]
fn the_order_of_labels_and_keys_leaves_the_id_alone() {
    let one = "{apiVersion: management.project-flotta.io/v1alpha1, kind: EdgeWorkload,
        metadata: {name: a, labels: {podman/x: '1', podman/y: '2'}},
        spec: {type: pod, pod: {spec: {containers: [{name: c, image: i, env: []}]}}}}";
    let other = "{spec: {pod: {spec: {containers: [{image: i, name: c}]}}, type: pod},
        metadata: {labels: {podman/y: '2', podman/x: '1'}, name: a},
        kind: EdgeWorkload, apiVersion: management.project-flotta.io/v1alpha1}";
    assert_eq!(only(one).id, only(other).id);
    assert_ne!(only(one).id, only(&one.replace("image: i", "image: j")).id);
}

#[test]
fn profiles_cron_and_retry_leave_the_id_alone() {
    let more = "cron: '* * * * *'\nprofiles: [{name: p, conditions: [c]}]";
    assert_eq!(only(&workload("a", "")).id, only(&workload("a", more)).id);
}

#[test]
fn retry_becomes_a_back_off() {
    let backoff = |retry: &str| only(&workload("a", &format!("retry: {retry}"))).backoff;
    assert_eq!(backoff("{}"), Backoff::default());
    assert_eq!(backoff("{constantBackoff: {periodSeconds: 3}}"), Backoff::Constant(Duration::from_secs(3)));
    let exponential =
        "{exponentialBackoff: {initialIntervalSeconds: 1.5, multiplier: 3, randomizationFactor: 0.5}}";
    let initial = Duration::from_millis(1500);
    assert_eq!(backoff(exponential), Backoff::Exponential { initial, multiplier: 3.0, randomization: 0.5 });
}

#[test]
fn an_absurd_retry_is_an_error_that_says_what_is_allowed() {
    for (retry, part) in [
        (
            "{constantBackoff: {periodSeconds: 0}}",
            "line 9: spec.retry.constantBackoff.periodSeconds: must be from",
        ),
        ("{constantBackoff: {periodSeconds: -1}}", "0.1 to 86400"),
        ("{constantBackoff: {periodSeconds: .inf}}", "not a finite number"),
        ("{constantBackoff: {periodSeconds: 1e30}}", "0.1 to 86400"),
        ("{exponentialBackoff: {initialIntervalSeconds: 1, multiplier: 0.5}}", "from 1 to 100"),
        ("{exponentialBackoff: {initialIntervalSeconds: 1, randomizationFactor: 50}}", "share of the wait"),
        ("{constantBackoff: {periodSeconds: 1}, exponentialBackoff: {initialIntervalSeconds: 1}}", "both"),
    ] {
        let found = problems(&workload("a", &format!("retry: {retry}")));
        assert!(found.len() == 1 && found[0].contains(part), "{retry}: {found:?}");
    }
}

#[test]
fn an_error_names_file_document_line_and_field() {
    let text = format!("{}{}", workload("a", ""), workload("b", "profiles:\n- name: p\n  conditions: []"));
    assert_eq!(
        problems(&text),
        [
            "f.yaml, document 2, line 18: spec.profiles[0]: `p` lists no condition, so the workload could never run"
        ]
    );
}

#[test]
fn mistakes_in_the_pod_specification_are_found_with_their_line() {
    let pod = |pod: &str| {
        let head =
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {name: a}\n";
        let pod: String = pod.lines().map(|line| format!("\n      {line}")).collect();
        problems(&format!("{head}spec:\n  type: pod\n  pod:\n    spec:{pod}\n"))
    };
    for (spec, expected) in [
        ("containers: []", "line 8: spec.pod.spec.containers: must list at least one container"),
        ("restartPolicy: Never", "line 7: spec.pod.spec: missing field `containers`"),
        ("containers:\n- name: a\n- name: b", "line 9: spec.pod.spec.containers[0]: missing field `image`"),
        (
            "containers:\n- image: i\n  name: C",
            "line 10: spec.pod.spec.containers[0].name: `C` can't be a name: it takes 1 to 63 lower-case letters, \
             digits and inner hyphens",
        ),
        (
            "initContainers:\n- {name: a, image: i}\ncontainers:\n- {name: a, image: i}",
            "line 11: spec.pod.spec.containers[0].name: `a` names two containers",
        ),
        (
            "restartPolicy: Sometimes\ncontainers: [{name: a, image: i}]",
            "line 8: spec.pod.spec.restartPolicy: unknown variant `Sometimes`, expected one of `Always`, \
             `OnFailure`, `Never`",
        ),
        (
            "terminationGracePeriodSeconds: -1\ncontainers: [{name: a, image: i}]",
            "line 8: spec.pod.spec.terminationGracePeriodSeconds: must be from 0 to 86400 seconds, not -1",
        ),
        (
            "containers:\n- name: a\n  image: i\n  env:\n  - name: PORT\n    value: 8080",
            "line 13: spec.pod.spec.containers[0].env[0].value: invalid type: integer `8080`, expected a string",
        ),
    ] {
        assert_eq!(pod(spec), [format!("f.yaml, document 1, {expected}")], "{spec}");
    }
}

#[test]
fn a_broken_document_leaves_its_neighbours_alone() {
    let text = format!("{}---\na: [\n{}", workload("a", ""), workload("b", ""));
    let (desired, problems) = assembled(&text);
    assert_eq!(names(&desired), ["a", "b"]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("f.yaml, document 2, line 1"), "{problems:?}");
}

#[test]
fn syntax_errors_count_their_lines_in_the_file() {
    let text = format!("{}---\nkind: x\n  y: z\n", workload("a", ""));
    let contents = read(&text);
    let problem = &contents.problems[0];
    assert_eq!((problem.document, problem.line), (Some(2), Some(11)), "{problem}");
    let bytes = b"a: 1\n---\nb: 2\nc: \xff\n";
    let contents = Contents::read(&Arc::from("f"), bytes);
    assert_eq!(contents.problems.last().unwrap().to_string(), "f, document 2, line 4: is not UTF-8");
}

#[test]
fn a_broken_workload_is_held_by_its_name() {
    let (desired, problems) = assembled(&(workload("a", "cron: []") + &workload("b", "")));
    assert_eq!((names(&desired), desired.held.clone()), (vec!["b"], vec!["a".to_owned()]));
    assert_eq!(problems.len(), 1);
}

#[test]
fn what_is_not_supported_yet_is_said_clearly() {
    let k8s = workload("a", "").replace("type: pod", "type: k8s");
    assert_eq!(
        problems(&k8s),
        ["f.yaml, document 1, line 7: spec.type: `k8s` is not supported yet: only `pod` is"]
    );
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: hunter2}";
    assert_eq!(
        problems(secret),
        ["f.yaml, document 1, line 2: kind: Secrets are not supported yet: it has no effect"]
    );
    let (desired, problems) = assembled(&workload("a", "imageRegistries: {secretRef: {name: s}}"));
    assert_eq!(names(&desired), ["a"]);
    assert!(problems[0].contains("spec.imageRegistries: credentials are not supported yet"), "{problems:?}");
}

#[test]
fn other_kinds_and_versions_are_errors() {
    for (text, expected) in [
        ("kind: EdgeDevice", "line 1: apiVersion: is missing: write `management.project-flotta.io/v1alpha1`"),
        ("apiVersion: v1\nkind: EdgeDevice", "line 1: apiVersion: must be `management"),
        ("apiVersion: apps/v1\nkind: Deployment", "line 2: kind: `Deployment` is unknown here"),
        ("apiVersion: v1", "line 1: kind: is missing"),
        ("- 1", "line 1: kind: is missing"),
        ("hello", "line 1: kind: is missing"),
    ] {
        let found = problems(text);
        assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
    }
}

#[test]
fn an_unknown_field_is_a_warning_with_its_line_and_a_known_one_is_not() {
    let (desired, problems) =
        assembled(&workload("a", "crom: x\nmetrics: {port: 1}\ndata: {}\nlogCollection: x"));
    assert_eq!(names(&desired), ["a"]);
    assert_eq!(problems, ["f.yaml, document 1, line 9: spec.crom: unknown field: it has no effect"]);
    let known = "spec: {mounts: [], osInformation: {}, heartbeat: {periodSeconds: 5}}\nstatus: {phase: up}";
    assert_eq!(assembled(&device("pi", known)).1, Vec::<String>::new());
    assert_eq!(
        assembled(&device("pi", "spec: {heartbeat: {period: 5}}")).1,
        ["f.yaml, document 1, line 7: spec.heartbeat.period: unknown field: it has no effect"]
    );
}

#[test]
fn profiles_are_read_from_both_places() {
    let profiles = "profiles: [{name: p, conditions: [{name: c, expression: cpu > 5}]}]";
    for text in [format!("spec: {{{profiles}}}"), format!("spec: {{heartbeat: {{{profiles}}}}}")] {
        let (desired, problems) = assembled(&device("any", &text));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(desired.profiles[0].conditions[0].expression, "cpu > 5");
    }
    let twice = "spec: {profiles: [{name: p}, {name: p}]}";
    assert_eq!(
        assembled(&device("pi", twice)).1,
        ["f.yaml, document 1, line 7: spec.profiles: `p` is defined twice"]
    );
}

#[test]
fn a_bad_cpu_limit_is_an_error() {
    for cpu in ["0", "999", "0.5", "-1", "half", "2000000000", "{cpu: 3}"] {
        let found = problems(&workload(
            "a",
            &format!("profiles: [{{name: p, conditions: [{{name: c, cpu: {cpu}}}]}}]"),
        ));
        assert!(found.len() == 1 && found[0].contains("conditions[0].cpu"), "{cpu}: {found:?}");
    }
}

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
        assert_eq!((names(&desired), desired.held.clone()), (vec![], vec!["a".to_owned()]), "{text}");
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
    assert_eq!(desired.workloads[0].cron.as_deref(), Some("1 * * * *"));
    assert_eq!(
        problems,
        [
            "f.yaml, document 2, line 14: metadata.name: EdgeWorkload `a` has no effect: f.yaml, line 3 defines it first"
        ]
    );
}

#[test]
fn a_bad_schedule_is_an_error_and_a_doubtful_one_a_warning() {
    let (desired, problems) = assembled(&workload("a", "cron: '61 * * * *'"));
    assert_eq!(desired.held, ["a"]);
    assert!(problems[0].starts_with("f.yaml, document 1, line 9: spec.cron: "), "{problems:?}");
    let (desired, problems) = assembled(&workload("a", r"cron: '*\1 * * * *'"));
    assert_eq!(desired.workloads[0].cron.as_deref(), Some(r"*\1 * * * *"));
    assert_eq!(problems, [r"f.yaml, document 1, line 9: spec.cron: `\` is taken for `/`"]);
    let (desired, problems) =
        assembled(&workload("a", "cron: '* * * * *'\nretry: {constantBackoff: {periodSeconds: 1}}"));
    assert_eq!(names(&desired), ["a"]);
    assert_eq!(problems, ["f.yaml, document 1, line 10: spec.retry: has no effect beside `spec.cron`"]);
}

#[test]
fn merge_keys_and_anchors_work_everywhere() {
    let text = "
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: a}
spec:
  type: pod
  pod:
    spec:
      containers:
      - &base {name: one, image: i, args: [x]}
      - {<<: *base, name: two}
      - {<<: [{image: j}, *base], name: three}
";
    let containers = &only(text).content.specification["containers"];
    assert_eq!(containers[1], json!({"name": "two", "image": "i", "args": ["x"]}));
    assert_eq!(containers[2], json!({"name": "three", "image": "j", "args": ["x"]}));
}

#[test]
fn keys_that_are_no_strings_or_stand_twice_are_errors() {
    let found = problems("kind: ConfigMap\ndata:\n  8080: x\n");
    assert!(found[0].contains("line 3") && found[0].contains("a key that is a string"), "{found:?}");
    let found = problems("kind: ConfigMap\ndata:\n  a: x\n  a: y\n");
    assert!(found[0].contains("line 4") && found[0].contains("`a` stands here twice"), "{found:?}");
}

#[test]
fn aliases_that_would_fill_the_memory_are_refused() {
    let long = "x".repeat(10_000);
    let text = format!("a: &a {long}\nb: [{}]\n", "*a,".repeat(10_000));
    let found = problems(&text);
    assert!(found[0].contains("aliases make it too large"), "{}", &found[0][..200.min(found[0].len())]);
}

#[test]
fn marker_lines_cut_the_stream_and_empty_parts_do_not_count() {
    let cut = |text: &'static str| -> Vec<(usize, usize, &str)> {
        let chunks = yaml::documents(text.as_bytes());
        chunks.iter().map(|c| (c.number, c.lines_before, std::str::from_utf8(c.text).unwrap())).collect()
    };
    assert_eq!(
        cut("\u{feff}# x\n---\na: 1\n--- # y\n\n---\nb: 2"),
        [(1, 1, "---\na: 1\n"), (2, 5, "---\nb: 2")]
    );
    assert_eq!(cut("%YAML 1.1\n---\na: 1\n...\nb: 2\n"), [(1, 1, "---\na: 1\n"), (2, 4, "b: 2\n")]);
    assert_eq!(cut("a: |\n  ---\n  x\n----\n"), [(1, 0, "a: |\n  ---\n  x\n----\n")]);
    assert_eq!(cut("a\r\n---\r\nb\r\n"), [(1, 0, "a\r\n"), (2, 1, "---\r\nb\r\n")]);
    assert_eq!(cut("--- {a: 1}\n"), [(1, 0, "--- {a: 1}\n")]);
    assert_eq!(cut(""), []);
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"m\"},\n\t\
                \"data\": {\"a\": \"\\u00e4\\/\\n\"}\n}";
    let contents = read(text);
    assert_eq!(contents.problems, []);
    let Resource::ConfigMap(map) = &contents.documents[0].resource else { panic!() };
    assert_eq!(map.whole["data"]["a"], "ä/\n");
}

#[test]
fn a_kept_document_reads_the_same_again() {
    let file: Arc<str> = Arc::from("f.yaml");
    let contents = read(&format!("# first\n{}", workload("a", "crom: 1")));
    let mut again = Contents::default();
    again.read_document(&file, contents.documents[0].source().clone());
    assert_eq!(again, contents);
}

#[test]
fn too_many_documents_are_refused_as_a_whole() {
    let contents = read(&"---\na\n".repeat(1001));
    assert_eq!(contents.problems[0].to_string(), "f.yaml: has 1001 documents: at most 1000 are read");
    assert_eq!(contents.broken, [Broken::Other]);
}

#[test]
fn deep_nesting_is_an_error_at_once_and_within_the_stack_of_the_manifests_thread() {
    let ways = [
        format!("a: {}", "[".repeat(1 << 20)),
        format!("a: {}1{}", "[".repeat(900), "]".repeat(900)),
        format!("a: {}1{}", "[".repeat(120), "]".repeat(120)),
        format!("a: [{}", "{a: ".repeat(120)),
        format!("{}1", "- ".repeat(100_000)),
    ];
    let thread = std::thread::Builder::new().stack_size(super::STACK).spawn(move || {
        for text in ways {
            assert_eq!(read(&text).problems.len(), 1);
        }
    });
    thread.unwrap().join().unwrap();
}

/// Valid text with a few bytes changed: comes further in than noise does.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let text = device("pi", "spec: {profiles: [{name: p, conditions: [{name: c, expression: x > 1}]}]}")
        + &workload(
            "a",
            "retry: {constantBackoff: {periodSeconds: 3}}\nprofiles: [{name: p, conditions: [c]}]",
        )
        + &config_map("m", "1");
    let length = text.len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..8);
    changes.prop_map(move |changes| {
        let mut bytes = text.clone().into_bytes();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop_oneof![nearly_valid(), prop::collection::vec(any::<u8>(), 0..300)]) {
        let contents = Contents::read(&Arc::from("f"), &bytes);
        let documents: Vec<&Document> = contents.documents.iter().collect();
        let (desired, _) = assemble(&documents, &contents.broken, "pi");
        prop_assert!(contents.broken.is_empty() || !contents.problems.is_empty());
        prop_assert!(desired.workloads.len() <= documents.len());
        let lines = bytes.split(|byte| *byte == b'\n').count() + 1;
        prop_assert!(contents.problems.iter().all(|problem| problem.line.is_none_or(|line| line <= lines)));
    }
}
