//! `--check` by what it prints.

use std::{ffi::OsString, fs};

use super::*;
use crate::settings::{Host, Invocation, ListenAddress};

const DEVICE: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeDevice
metadata: {name: pi}
spec:
  profiles:
  - name: perf
    conditions:
    - {name: low, expression: x<3%||x==nil}
    - {name: middle, expression: (cpu>5)&&cpu<=90.50%}
    - {name: bad, expression: cpu >}
";

const WORKLOADS: &str = "\
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: web}
spec:
  type: pod
  retry: {exponentialBackoff: {initialIntervalSeconds: 2, multiplier: 3, randomizationFactor: 0.5}}
  profiles:
  - {name: perf, conditions: [{name: low, cpu: 50000}, middle]}
  - {name: power, conditions: [ok]}
  pod: {spec: {containers: [{name: c, image: i, envFrom: [{configMapRef: {name: m}}]}]}}
---
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: night}
spec: {type: pod, rootless: true, cron: 0 3 * * *, pod: {spec: {containers: [{name: c, image: i}]}}}
---
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: once}
spec:
  type: pod
  retries: 5
  pod: {spec: {restartPolicy: Never, containers: [{name: c}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data: {k: v}
";

fn settings(dir: &std::path::Path) -> Settings {
    let args = ["--check", "--log-level=debug"].map(OsString::from);
    let environment = [
        ("EDGE_DEVICE_MANIFESTS", dir.to_str().unwrap()),
        ("EDGE_DEVICE_DEVICE_ID", "pi"),
        ("XDG_RUNTIME_DIR", "/run/user/0"),
    ];
    let environment = environment.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let host =
        Host { uid: 0, machine_id: "/nowhere".into(), config: "/nowhere".into(), run: "/nowhere".into() };
    match Settings::load(args, environment, &host).unwrap() {
        Invocation::Check(settings, ..) => *settings,
        other => panic!("{other:?}"),
    }
}

fn without_settings(report: &CheckReport) -> &str {
    report.text.split_once("\n\n").unwrap().1
}

#[test]
fn everything_that_was_understood_and_everything_that_was_not_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("device.yaml"), DEVICE).unwrap();
    fs::write(dir.path().join("workloads.yaml"), WORKLOADS).unwrap();
    let report = check(&settings(dir.path()), false);
    assert!(!report.is_good);
    assert_eq!(report.text.replace(dir.path().to_str().unwrap(), "/m"), include_str!("expected.txt"));
}

#[test]
fn warnings_alone_are_good() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("w.yaml"), WORKLOADS.replace("{name: c}", "{name: c, image: i}")).unwrap();
    let report = check(&settings(dir.path()), false);
    assert!(report.is_good, "{}", report.text);
    assert!(!check(&settings(dir.path()), true).is_good, "strictly");
    assert!(
        report.text.ends_with("\n3 workloads and 0 profiles from 1 file: 0 errors, 3 warnings.\n"),
        "{}",
        report.text
    );
}

#[test]
fn when_updates_are_allowed_is_printed_of_a_workload_and_of_its_device() {
    let dir = tempfile::tempdir().unwrap();
    let update = "update: {when: moving == 0, window: {cron: 0 2 * * *, duration: 90m}, deadline: 3d}";
    let workloads = WORKLOADS.replace("{name: c}", "{name: c, image: i}");
    let workloads = workloads.replace("  retries: 5", &format!("  {update}"));
    fs::write(dir.path().join("d.yaml"), format!("{DEVICE}  update: {{}}\n")).unwrap();
    fs::write(dir.path().join("w.yaml"), workloads).unwrap();
    let text = check(&settings(dir.path()), false).text;
    let own = "    updated      while `moving == 0`, at `0 2 * * *` for 1h30m, after 3d0h at the latest\n";
    let device = "    updated      while update.lock isn't held\n";
    assert!(text.contains(&format!("{own}{device}")), "{text}");
    assert_eq!(text.matches(device).count(), 3, "{text}");
}

#[test]
fn an_empty_directory_is_good_and_a_missing_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let report = check(&settings(dir.path()), false);
    assert!(report.is_good);
    let expected = "Device pi\n  no profiles\n\nWorkloads\n  none\n\n0 workloads and 0 profiles from 0 files: \
                    0 errors, 0 warnings.\n";
    assert_eq!(without_settings(&report), expected);
    let report = check(&settings(&dir.path().join("missing")), false);
    assert!(
        !report.is_good && report.text.contains("missing: can't be read: No such file"),
        "{}",
        report.text
    );
}

#[test]
fn for_scripts_each_problem_is_listed_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("workloads.yaml"), WORKLOADS).unwrap();
    let read: serde_json::Value = check(&settings(dir.path()), false).json.parse().unwrap();
    assert_eq!(read["schema_version"], 1);
    let problems = read["problems"].as_array().unwrap();
    let first = &problems[0];
    assert_eq!((&first["severity"], &first["workload"]), (&json!("error"), &json!("once")), "{first}");
    assert_eq!((&first["file"], &first["document"]), (&json!("workloads.yaml"), &json!(3)), "{first}");
    assert_eq!(
        (&first["line"], &first["field"]),
        (&json!(23), &json!("spec.pod.spec.containers[0].image")),
        "{first}"
    );
    let about_two = problems.iter().find(|it| it["file"].is_null()).unwrap();
    assert_eq!(
        (&about_two["workload"], &about_two["severity"]),
        (&json!("web"), &json!("warning")),
        "{about_two}"
    );
    let none = check(&settings(&dir.path().join("missing")), false).json;
    assert!(none.contains("can't be read: No such file"), "{none}");
}

#[test]
fn nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("w.yaml"), WORKLOADS).unwrap();
    let mut settings = settings(dir.path());
    settings.state_dir = dir.path().join("state");
    settings.runtime_dir = dir.path().join("run");
    check(&settings, false);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_will_never_run_here_is_said_and_fails_strictly() {
    let pod = "pod: {spec: {containers: [{name: c, image: i}]}}";
    let workload = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{name: {name}}}\n\
             spec: {{type: pod, {spec}, {pod}}}\n"
        )
    };
    let checked = |text: &str, is_strict| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("w.yaml"), text).unwrap();
        check(&settings(dir.path()), is_strict)
    };
    let others = workload("a", "device: other") + &workload("b", "deviceSelector: {matchLabels: {x: y}}");
    let never = workload("c", "cron: 0 0 31 2 *");
    let gated = workload("d", "profiles: [{name: unknown, conditions: [x]}]");
    for (text, said) in [
        (others, "\n  2 workloads are for other devices: a, b\n"),
        (
            never,
            "warning: w.yaml, document 1, line 5: spec.cron: never comes: no date that it names exists\n",
        ),
        (gated, "warning: workload `d`: the device has no profile `unknown`\n"),
    ] {
        let report = checked(&text, false);
        assert!(report.is_good && report.text.contains(said), "{}", report.text);
        let strict = checked(&text, true);
        assert!(!strict.is_good && !strict.json.contains("\"problems\":[]"), "{}", strict.json);
    }
    let read: serde_json::Value = checked(&workload("a", "device: other"), true).json.parse().unwrap();
    let note = json!([{"severity": "note", "file": null, "document": null, "line": null, "workload": "a", "field": null,
        "text": "it is for another device"}]);
    assert_eq!(read["problems"], note);
}

#[test]
fn a_socket_for_posts_that_is_mounted_itself_is_a_warning_and_its_directory_is_not() {
    let checked = |path: &str, mount: &str| {
        let dir = tempfile::tempdir().unwrap();
        let workload = format!(
            "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{name: w}}\n\
             spec: {{type: pod, pod: {{spec: {{volumes: [{{name: v, hostPath: {{path: {path}}}}}], containers: \
             [{{name: c, image: i, volumeMounts: [{{name: v, mountPath: /x{mount}}}]}}]}}}}}}\n"
        );
        fs::write(dir.path().join("w.yaml"), workload).unwrap();
        let mut settings = settings(dir.path());
        settings.metrics_listen = vec![ListenAddress::Unix("/run/posts/m.sock".into())];
        check(&settings, true)
    };
    let warning = "\n  warning: workload `w`: it mounts the socket '/run/posts/m.sock', which is another one once \
                   the agent was stopped: mount its directory instead, '/run/posts'\n";
    for (path, mount) in [("/run/posts/m.sock", ""), ("/run/posts", ", subPath: m.sock")] {
        let report = checked(path, mount);
        assert!(!report.is_good && report.text.contains(warning), "{}", report.text);
    }
    for (path, mount) in [("/run/posts", ""), ("/run/posts", ", subPath: other"), ("/run/other.sock", "")] {
        let report = checked(path, mount);
        assert!(report.is_good, "{}", report.text);
    }
}

#[test]
fn objects_of_kubernetes_are_shown_as_what_they_become() {
    const POD: &str = "containers: [{name: c, image: i}]";
    let template = format!(
        "selector: {{matchLabels: {{a: b}}}}, template: {{metadata: {{labels: {{a: b}}}}, spec: {{{POD}}}}}"
    );
    let job = |limit: &str| format!("{limit}template: {{spec: {{restartPolicy: Never, {POD}}}}}");
    for (kind, spec, said) in [
        ("v1, kind: Pod", POD.to_owned(), "always; again after 20 s"),
        ("apps/v1, kind: Deployment", template.clone(), "always; again after 20 s"),
        (
            "apps/v1, kind: StatefulSet",
            format!("serviceName: db, {template}"),
            "\n    also named   db, db.default, ",
        ),
        ("apps/v1, kind: DaemonSet", template, "always; again after 20 s"),
        ("batch/v1, kind: Job", job("backoffLimit: 0, "), "once; not again after a failure"),
        ("batch/v1, kind: Job", job("backoffLimit: 1, "), "once; after a failure once again"),
        ("batch/v1, kind: Job", job(""), "once; after a failure up to 6 times again"),
        (
            "batch/v1, kind: CronJob",
            format!("schedule: 0 3 * * *, jobTemplate: {{spec: {{{}}}}}", job("")),
            "at `0 3 * * *`; after a failure up to 6 times again",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let text = format!("{{apiVersion: {kind}, metadata: {{name: it}}, spec: {{{spec}}}}}\n");
        fs::write(dir.path().join("w.yaml"), text).unwrap();
        let report = check(&settings(dir.path()), true);
        assert!(report.is_good && report.text.contains("\n  it-"), "{kind}: {}", report.text);
        assert!(report.text.contains(said), "{kind}: {}", report.text);
    }
}
