//! Manifests by their outcome.

mod assembled;
mod probes;
mod secrets;
mod text;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::agent::model::{
    schedule::{Backoff, Cron, Schedule},
    workload::{DesiredState, Engine, RestartPolicy, Workload},
};

fn read(text: &str) -> FileContents {
    FileContents::read(&Arc::from("f.yaml"), text.as_bytes(), &Budget::default())
}

pub(super) fn assembled(text: &str) -> (DesiredState, Vec<String>) {
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

pub(super) fn only(text: &str) -> Workload {
    let (desired, problems) = assembled(text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(desired.workloads.len(), 1);
    Workload::clone(&desired.workloads[0])
}

pub(super) fn problems(text: &str) -> Vec<String> {
    assembled(text).1
}

fn names(desired: &DesiredState) -> Vec<&str> {
    desired.workloads.iter().map(|workload| workload.name()).collect()
}

#[test]
fn a_small_workload_gets_the_defaults() {
    let workload = only(&workload("web", ""));
    assert_eq!(workload.content.namespace, "default");
    assert_eq!(workload.content.engine, Engine::Podman { rootless: false });
    assert_eq!(workload.content.specification.value(), json!({"containers": [{"name": "c", "image": "i"}]}));
    assert_eq!((workload.restart, workload.schedule), (RestartPolicy::Always, Schedule::default()));
    assert_eq!(workload.grace, Duration::from_secs(10));
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
      tolerations: [1, 2.5, true, null]
      containers:
      - {name: c, image: i}
";
    let (desired, problems) = assembled(text);
    let scheduler = "nothing chooses between devices here; `spec.deviceSelector` does on the control plane";
    assert_eq!(
        problems,
        [format!(
            "f.yaml, document 1, line 20: spec.pod.spec.tolerations: means nothing on one device: {scheduler}"
        )]
    );
    let workload = Workload::clone(&desired.workloads[0]);
    assert_eq!(workload.content.engine, Engine::Podman { rootless: true });
    assert_eq!(workload.content.namespace, "prod");
    assert_eq!(workload.content.labels, [("team".into(), "red".into())]);
    assert_eq!(workload.content.annotations, [("note".into(), "hi".into())]);
    assert_eq!(workload.schedule, Schedule::Cron(Cron::parse("*/5 * * * *").unwrap(), Backoff::default()));
    assert_eq!((workload.restart, workload.grace), (RestartPolicy::OnFailure, Duration::from_secs(1)));
    assert_eq!(workload.content.specification.value()["tolerations"], json!([1, 2.5, true, null]));
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

const SLASHED_WINDOW: &str = r"spec.update.window.cron: `\` is taken for `/`";

#[test]
fn rules_of_updates_are_read_of_a_device_and_a_workload_and_leave_the_id_alone() {
    let rules = "{when: moving == 0, window: {cron: 0 2 * * *, duration: 2h}, deadline: 72h}";
    let update = format!("update: {rules}");
    let of = only(&workload("a", &update));
    assert_eq!(of.id, only(&workload("a", "")).id);
    let read = of.update.as_deref().unwrap();
    let window = read.window.as_ref().unwrap();
    assert_eq!(
        (read.when.as_deref(), read.deadline),
        (Some("moving == 0"), Some(Duration::from_secs(259_200)))
    );
    assert_eq!((window.cron.to_string(), window.duration.as_secs()), ("0 2 * * *".into(), 7_200));
    let (desired, problems) = assembled(&device("pi", &format!("spec: {{{update}}}")));
    assert_eq!((desired.update.as_ref(), problems.len()), (of.update.as_ref(), 0), "{problems:?}");
    assert!(only(&workload("a", "update: {}")).update.is_some(), "the lock counts");
    assert_eq!(only(&workload("a", "update: null")).update, None);
    let slashed = r"update: {window: {cron: '*\5 * * * *', duration: 2m}}";
    for text in [workload("a", slashed), device("pi", &format!("spec: {{{slashed}}}"))] {
        let (_, problems) = assembled(&text);
        assert!(problems.len() == 1 && problems[0].ends_with(SLASHED_WINDOW), "{problems:?}");
    }
    for (bad, said) in [
        ("{when: moving = 0}", "spec.update.when: "),
        ("{window: {cron: 0 2 * * *}}", "spec.update.window: missing field `duration`"),
        ("{window: {cron: 0 2 30 2 *, duration: 2h}}", "spec.update.window.cron: never comes"),
        ("{deadline: 2}", "spec.update.deadline: "),
        ("{deadline: '2'}", "spec.update.deadline: must be a time like"),
        ("{whem: moving == 0}", "spec.update.whem: unknown field"),
    ] {
        let (_, problems) = assembled(&workload("a", &format!("update: {bad}")));
        assert!(problems.len() == 1 && problems[0].contains(said), "{bad}: {problems:?}");
    }
}

#[test]
fn retry_becomes_a_back_off() {
    let backoff = |retry: &str| match only(&workload("a", &format!("retry: {retry}"))).schedule {
        Schedule::Service(backoff) => backoff,
        cron @ Schedule::Cron(..) => panic!("{cron:?}"),
    };
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
        ("restartPolicy: Never", "line 8: spec.pod.spec.containers: is missing"),
        ("containers:\n- name: a", "line 9: spec.pod.spec.containers[0].image: is missing"),
        (
            "containers:\n- image: i\n  name: \"a\\tb\"",
            "line 10: spec.pod.spec.containers[0].name: holds characters that can't be shown on a line",
        ),
        (
            "initContainers:\n- {name: a, image: i}\ncontainers:\n- {name: a, image: i}",
            "line 11: spec.pod.spec.containers[0].name: `a` names two containers",
        ),
        (
            "restartPolicy: Sometimes\ncontainers: [{name: a, image: i}]",
            "line 8: spec.pod.spec.restartPolicy: must be `Always`, `OnFailure` or `Never`, not `Sometimes`",
        ),
        (
            "terminationGracePeriodSeconds: -1\ncontainers: [{name: a, image: i}]",
            "line 8: spec.pod.spec.terminationGracePeriodSeconds: must be from 0 to 86400, not -1",
        ),
        (
            "containers:\n- name: a\n  image: i\n  env:\n  - name: PORT\n    value: 8080",
            "line 13: spec.pod.spec.containers[0].env[0].value: must be a text, not a number: put it in quotes",
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
    let contents = FileContents::read(&Arc::from("f"), bytes, &Budget::default());
    assert_eq!(contents.problems.last().unwrap().to_string(), "f, document 2, line 4: is not UTF-8");
}

#[test]
fn a_broken_workload_is_held_by_its_name() {
    let (desired, problems) = assembled(&(workload("a", "cron: []") + &workload("b", "")));
    assert_eq!((names(&desired), desired.unreadable.clone()), (vec!["b"], vec!["a".to_owned()]));
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_kubernetes_workload_says_what_has_no_effect_on_it_and_restarts_always() {
    let k8s = |spec: &str| workload("a", spec).replace("type: pod", "type: k8s");
    let profiles = "profiles: [{name: p, conditions: [{name: c, cpu: 1000}]}]\n";
    let (desired, problems) = assembled(&k8s(&format!("cron: '* * * * *'\nrootless: true\n{profiles}")));
    let a = &desired.workloads[0];
    assert_eq!((a.content.engine, a.is_service()), (Engine::Kubernetes, true));
    let said = ["spec.cron: has", "spec.rootless: has", "spec.profiles: a condition's `cpu` has"];
    assert_eq!(problems.len(), said.len());
    for (problem, said) in problems.iter().zip(said) {
        assert!(problem.ends_with(&format!("{said} no effect for `k8s`")), "{problem}");
    }
    let once = k8s("").replace("{containers", "{restartPolicy: Never, containers");
    let (desired, problems) = assembled(&once);
    assert_eq!((names(&desired).len(), desired.unreadable), (0, vec!["a".to_owned()]));
    assert!(problems[0].contains("line 8: spec.pod.spec.restartPolicy: must be Always"), "{problems:?}");
    assert_eq!(self::problems(&k8s("").replace("type: k8s", "type: vm")).len(), 1);
}

#[test]
fn what_is_not_supported_yet_is_said_clearly() {}

#[test]
fn other_kinds_and_versions_are_errors() {
    for (text, expected) in [
        ("kind: EdgeDevice", "line 1: apiVersion: is missing: write `management.project-flotta.io/v1alpha1`"),
        ("apiVersion: v1\nkind: EdgeDevice", "line 1: apiVersion: must be `management"),
        ("apiVersion: v1\nkind: Widget", "line 2: kind: `Widget` is unknown here"),
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
    assert_eq!(
        problems,
        ["f.yaml, document 1, line 9: spec.crom: unknown field: it has no effect: did you mean `cron`?"]
    );
    let known = "spec: {mounts: [], osInformation: {}, heartbeat: {periodSeconds: 5}}\nstatus: {phase: up}";
    assert_eq!(assembled(&device("pi", known)).1, Vec::<String>::new());
    assert_eq!(
        assembled(&device("pi", "spec: {heartbeat: {period: 5}}")).1,
        ["f.yaml, document 1, line 7: spec.heartbeat.period: unknown field: it has no effect"]
    );
}

#[test]
fn of_many_unknown_fields_only_some_are_listed() {
    let many: String = (0..5_000).map(|number| format!("x{number}: 1\n")).collect();
    let found = problems(&workload("a", &many));
    assert_eq!(found.len(), 21);
    assert_eq!(found[20], "f.yaml, document 1, line 2: 4980 more things have no effect");
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
        ["f.yaml, document 1, line 7: spec.profiles[1].name: `p` is defined twice: the first counts"]
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
fn a_bad_schedule_is_an_error_and_a_doubtful_one_a_warning() {
    let (desired, problems) = assembled(&workload("a", "cron: '61 * * * *'"));
    assert_eq!(desired.unreadable, ["a"]);
    assert!(problems[0].starts_with("f.yaml, document 1, line 9: spec.cron: "), "{problems:?}");
    let (desired, problems) = assembled(&workload("a", r"cron: '*\1 * * * *'"));
    assert_eq!(
        desired.workloads[0].schedule,
        Schedule::Cron(Cron::parse(r"*\1 * * * *").unwrap(), Backoff::default())
    );
    assert_eq!(problems, [r"f.yaml, document 1, line 9: spec.cron: `\` is taken for `/`"]);
    let retried = workload("a", "cron: '* * * * *'\nretry: {constantBackoff: {periodSeconds: 1}}");
    let (desired, problems) = assembled(&retried);
    assert_eq!(names(&desired), ["a"]);
    assert_eq!(
        problems,
        [
            "f.yaml, document 1, line 10: spec.retry: has no effect beside `spec.cron` without `restartPolicy: OnFailure`"
        ]
    );
    for part in [
        ("image: i", "image: i, restartPolicy: OnFailure"),
        ("containers:", "restartPolicy: OnFailure, containers:"),
    ] {
        let (desired, problems) = assembled(&retried.replace(part.0, part.1));
        assert_eq!(
            (desired.workloads[0].schedule.backoff(), problems.len()),
            (&Backoff::Constant(Duration::from_secs(1)), 0),
            "{problems:?}"
        );
    }
}

#[test]
fn a_kept_document_reads_the_same_again() {
    let file: Arc<str> = Arc::from("f.yaml");
    let contents = read(&format!("# first\n{}", workload("a", "crom: 1")));
    let mut again = FileContents::default();
    again.read_document(&file, contents.documents[0].source().clone(), &Budget::default());
    assert_eq!(again, contents);
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
        let contents = FileContents::read(&Arc::from("f"), &bytes, &Budget::default());
        let documents: Vec<&Document> = contents.documents.iter().collect();
        let (desired, _) = assemble(&documents, &contents.broken, "pi");
        prop_assert!(contents.broken.is_empty() || !contents.problems.is_empty());
        prop_assert!(desired.workloads.len() <= documents.len());
        let lines = bytes.split(|byte| *byte == b'\n').count() + 1;
        prop_assert!(contents.problems.iter().all(|problem| problem.line.is_none_or(|line| line <= lines)));
    }
}

#[test]
fn a_condition_may_say_for_how_long_and_until_when() {
    let read = |fields: &str| {
        assembled(&device(
            "pi",
            &format!("spec: {{profiles: [{{name: p, conditions: [{{name: c, {fields}}}]}}]}}"),
        ))
    };
    let (desired, problems) = read("expression: x > 60, for: 1m30s, until: x < 40");
    let condition = &desired.profiles[0].conditions[0];
    assert_eq!((condition.hold.as_secs(), condition.until.as_deref()), (90, Some("x < 40")));
    assert!(problems.is_empty(), "{problems:?}");
    let (_, problems) = read("expression: x > 60, for: soon");
    assert_eq!(
        problems,
        [
            "f.yaml, document 1, line 7: spec.profiles[0].conditions[0].for: must be a time like `90m`, `2h` or `1d12h`, \
          from 1s to 366d, not `soon`"
        ]
    );
}

#[test]
fn a_bad_name_costs_its_own_condition_or_profile_only() {
    let text = device(
        "pi",
        r#"spec:
  profiles:
  - name: "p\n[ERROR] forged"
    conditions: [{name: c, expression: cpu > 1}]
  - name: good
    conditions: [{name: "\u202e", expression: cpu > 1}, {name: c, expression: cpu > 2}, {name: silent}]"#,
    );
    let (desired, problems) = assembled(&text);
    let conditions: Vec<_> =
        desired.profiles[0].conditions.iter().map(|it| (&*it.name, &*it.expression)).collect();
    assert_eq!((desired.profiles.len(), &*desired.profiles[0].name), (1, "good"));
    assert_eq!(
        conditions,
        [("c", "cpu > 2"), ("silent", "")],
        "a condition without expression is never true"
    );
    let expected = "holds characters that can't be shown on a line";
    assert_eq!(
        problems,
        [
            format!("f.yaml, document 1, line 9: spec.profiles[0].name: {expected}"),
            format!("f.yaml, document 1, line 12: spec.profiles[1].conditions[0].name: {expected}"),
        ]
    );
    let listed = only(&workload("w", "profiles: [{name: good, conditions: [\"a\\eb\", c]}]"));
    assert_eq!(
        listed.profiles[0].conditions[0].name, "a\u{fffd}b\u{fffd}",
        "nothing can be called like this"
    );
    assert_eq!(listed.profiles[0].conditions[1].name, "c");
}

#[test]
fn names_that_the_control_plane_allows_are_taken() {
    let long = format!("a.{}", "b".repeat(250));
    for name in ["my.app", &long] {
        let taken = only(&workload(name, ""));
        assert_eq!(taken.name(), name);
        assert!(taken.id.as_str().len() <= 63 && taken.id.as_str().starts_with(&name[..5]), "{}", taken.id);
    }
    for name in ["nginx_1", "Main_1", "a b", "x"] {
        only(&workload("w", "").replace("name: c,", &format!("name: {name},")));
    }
}

#[test]
fn keys_and_paths_that_leave_their_volume_are_refused_in_every_kind() {
    for key in ["/abs/path", "../../x", "..data", ".", "a/b", ""] {
        for data in ["data", "binaryData"] {
            let map = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\n{data}: {{\"{key}\": \"\"}}"
            );
            let found = problems(&map);
            assert!(
                found[0].contains(&format!("line 4: {data}: ")) && found[0].contains("is no key"),
                "{found:?}"
            );
        }
    }
    for (volume, field) in [
        ("configMap: {name: m, items: [ITEM]}", "configMap"),
        ("secret: {secretName: m, items: [ITEM]}", "secret"),
        ("projected: {sources: [{configMap: {name: m, items: [ITEM]}}]}", "projected.sources[0].configMap"),
        ("projected: {sources: [{secret: {name: m, items: [ITEM]}}]}", "projected.sources[0].secret"),
        ("projected: {sources: [{downwardAPI: {items: [ITEM]}}]}", "projected.sources[0].downwardAPI"),
        ("downwardAPI: {items: [ITEM]}", "downwardAPI"),
    ] {
        for path in ["/abs", "../x", "a/../../x", "..x", ""] {
            let key =
                if volume.contains("downward") { "fieldRef: {fieldPath: metadata.name}" } else { "key: k" };
            let volume = volume.replace("ITEM", &format!("{{{key}, path: \"{path}\"}}"));
            let spec = format!("spec: {{volumes: [{{name: v, {volume}}}], containers");
            let found = problems(&workload("w", "").replace("spec: {containers", &spec));
            let expected = format!("spec.pod.spec.volumes[0].{field}.items[0].path: must be a relative path");
            assert!(found[0].contains(&expected), "{path}: {found:?}");
        }
    }
}
