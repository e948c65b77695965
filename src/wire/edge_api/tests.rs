//! What the server says, as it was seen on the wire, and what it must never make of a device.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::*;
use crate::{
    agent::model::{
        call::{Call, HardwareScope, Heartbeat, ServerConfiguration, ServerWorkloadStatus},
        notice::{Notice, Reason},
        schedule::{Backoff, Schedule},
        workload::Workload,
    },
    wire::manifest::{Budget, FileContents, UnknownFields, assemble},
};

fn read(content: Value) -> ServerConfiguration {
    let body = json!({"type": "data", "directive": "device", "content": content}).to_string();
    configuration(body.as_bytes(), "dev", UnknownFields::Refuse).unwrap().meaning
}

/// A configuration of one workload: what is given, over what has to be there.
fn with_workload(fields: Value) -> ServerConfiguration {
    let mut workload = json!({"name": "web", "specification": SPECIFICATION});
    workload.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    read(json!({"device_id": "dev", "version": "7", "workloads": [workload]}))
}

const SPECIFICATION: &str = "containers:\n- name: a\n  image: busybox\n";

fn only(configuration: &ServerConfiguration) -> &Workload {
    assert_eq!(configuration.desired.workloads.len(), 1, "{:?}", configuration.problems);
    &configuration.desired.workloads[0]
}

#[test]
fn the_same_workload_has_the_same_id_from_a_manifest_and_from_the_server() {
    let manifests = r#"
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata:
  name: full1
  labels: {podman/team: red, other: blue}
  annotations: {podman/note: hello}
spec:
  type: pod
  rootless: true
  cron: "*/5 * * * *"
  profiles: [{name: perf, conditions: [{name: low, cpu: 50000}]}]
  pod:
    spec:
      volumes: [{name: v, configMap: {name: cm1}}]
      containers:
      - name: main
        image: localhost/busybox:test
        command: [/bin/sleep, "1000"]
        ports: [{containerPort: 80}]
        envFrom: [{configMapRef: {name: cm1}}]
        volumeMounts: [{mountPath: /cfg, name: v}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: cm1}
data: {KEY1: value1}
"#;
    let contents = FileContents::read(&"m.yaml".into(), manifests.as_bytes(), &Budget::default());
    let documents: Vec<_> = contents.documents.iter().collect();
    let (desired, problems) = assemble(&documents, &contents.broken, "dev");
    assert!(problems.is_empty() && contents.problems.is_empty(), "{problems:?} {:?}", contents.problems);

    // as a server marshals it: keys sorted, empty parts and defaults filled in, labels stripped
    let specification = "containers:\n- command:\n  - /bin/sleep\n  - \"1000\"\n  envFrom:\n  - configMapRef:\n      \
                         name: cm1\n  image: localhost/busybox:test\n  name: main\n  ports:\n  - containerPort: 80\n    \
                         protocol: TCP\n  resources: {}\n  volumeMounts:\n  - mountPath: /cfg\n    name: v\n\
                         volumes:\n- configMap:\n    name: cm1\n  name: v\n";
    let map = "apiVersion: v1\ndata:\n  KEY1: value1\nkind: ConfigMap\nmetadata:\n  creationTimestamp: null\n  name: cm1\n";
    let configuration = with_workload(json!({
        "name": "full1",
        "kind": "pod",
        "namespace": "default",
        "labels": {"team": "red"},
        "annotations": {"note": "hello"},
        "rootless": true,
        "cron": "*/5 * * * *",
        "profiles": [{"name": "perf", "conditions": [{"name": "low", "cpu": {"cpu": 50000}}]}],
        "specification": specification,
        "configmaps": [map],
    }));
    let (from_manifest, from_server) = (&*desired.workloads[0], only(&configuration));
    assert_eq!(from_server.id, from_manifest.id);
    assert_eq!(from_server.profiles, from_manifest.profiles);
    assert_eq!(from_server.schedule, from_manifest.schedule);
    assert_eq!(from_server.restart, from_manifest.restart);
}

#[test]
fn a_period_beyond_all_measure_is_no_error() {
    let heartbeat = json!({"period_seconds": 1e300});
    let configuration = read(json!({"device_id": "dev", "configuration": {"heartbeat": heartbeat}}));
    assert_eq!((configuration.period, configuration.problems.len()), (Duration::MAX, 0));
}

#[test]
fn every_field_can_be_missing_or_null() {
    for content in [
        json!({"device_id": "dev"}),
        json!({"device_id": "dev", "version": null, "configuration": null, "workloads": null, "secrets": null}),
        json!({"device_id": "dev", "configuration": {"heartbeat": null, "profiles": null, "mounts": null}}),
        json!({"workloads": [], "configuration": {"heartbeat": {"period_seconds": 0, "hardware_profile": null}}}),
    ] {
        let configuration = read(content);
        assert_eq!(configuration.desired, Default::default());
        assert_eq!(configuration.period, Duration::from_secs(60));
        assert_eq!(configuration.hardware, HardwareScope::Omit);
        assert_eq!((configuration.monitoring_interval, configuration.problems.len()), (None, 0));
    }
    let null = Value::Null;
    let configuration = with_workload(json!({
        "kind": null, "namespace": null, "labels": null, "annotations": null, "configmaps": null, "cron": null,
        "rootless": null, "retry": null, "profiles": null, "imageRegistries": null, "data": null, "metrics": null,
    }));
    assert_eq!(only(&configuration), only(&with_workload(json!({}))));
    assert_eq!(only(&configuration).content.namespace, "default");
    assert!(configuration.problems.is_empty() && null.is_null());
}

#[test]
fn rules_of_updates_arrive_and_those_that_cannot_be_read_let_none_through() {
    let update = json!({"when": "moving == 0", "window": {"cron": "0 2 * * *", "duration": "2h"}});
    let configuration = with_workload(json!({"update": update}));
    assert_eq!(only(&configuration).update.as_ref().unwrap().when.as_deref(), Some("moving == 0"));
    let of_device = |update| read(json!({"device_id": "dev", "configuration": {"update": update}}));
    assert_eq!(of_device(update).desired.update, only(&configuration).update);
    let slashed = of_device(json!({"window": {"cron": "*\\5 * * * *", "duration": "2m"}}));
    assert!(slashed.problems[0].message.ends_with(r"update.window.cron: `\` is taken for `/`"));
    assert!(slashed.desired.update.unwrap().window.is_some());
    let bad = of_device(json!({"deadline": "soon"}));
    assert_eq!(bad.desired.update.unwrap().when.as_deref(), Some(""), "never true");
    let said = "the configuration's update.deadline: must be a time like";
    assert!(bad.problems[0].message.starts_with(said), "{:?}", bad.problems);
}

#[test]
fn what_is_no_configuration_of_this_device_is_an_error() {
    let with = |content: Value| {
        configuration(json!({"content": content}).to_string().as_bytes(), "dev", UnknownFields::Refuse)
    };
    let error = |content| with(content).unwrap_err();
    assert!(configuration(b"<html>", "dev", UnknownFields::Refuse).unwrap_err().starts_with("is no message"));
    assert!(configuration(b"{}", "dev", UnknownFields::Refuse).unwrap_err().contains("without content"));
    assert!(error(json!({})).contains("neither a device_id nor workloads"));
    assert!(error(json!("text")).contains("neither a device_id nor workloads"));
    assert!(error(json!({"device_id": "other"})).contains("'other'"));
    assert!(error(json!({"workloads": {"name": "web"}})).contains("no list in workloads"));
    assert!(error(json!({"workloads": vec![1; 1001]})).contains("1001 workloads"));
}

#[test]
fn one_bad_workload_or_profile_is_skipped_and_the_rest_applied() {
    let configuration = read(json!({
        "device_id": "dev",
        "configuration": {"profiles": [
            {"name": "good", "conditions": [{"name": "c", "expression": "((("}]},
            {"name": "bad", "conditions": [{"name": "c", "expression": 5}]},
            null,
        ]},
        "workloads": [
            {"name": "good", "specification": SPECIFICATION},
            {"name": "text", "specification": "containers: ["},
            {"name": "empty", "specification": "containers:\n- name: a\n  image: ''\n"},
            {"name": "typed", "specification": SPECIFICATION, "cron": "61 * * * *"},
            {"name": "vm", "kind": "vm", "specification": SPECIFICATION},
            {"name": "good", "specification": "other"},
            {"name": "Not A Name", "specification": SPECIFICATION},
            {"specification": SPECIFICATION},
            null,
        ],
    }));
    let names: Vec<_> = configuration.desired.workloads.iter().map(|workload| workload.name()).collect();
    assert_eq!(names, ["good"]);
    assert_eq!(configuration.desired.unreadable, ["Not A Name", "empty", "text", "typed", "vm"]);
    assert_eq!(configuration.desired.profiles.len(), 1);
    let expected = [
        "profile 'bad' is skipped: conditions[0].expression: ",
        "profiles[2] is skipped: ",
        "workloads[0] is left as it is: ",
        "workloads[1] is left as it is: ",
        "workload 'Not A Name' is left as it is: name: ",
        "workload 'empty' is left as it is: specification, line 3: containers[0].image: must not be empty",
        "workload 'good' is there twice",
        "workload 'text' is left as it is: specification: ",
        "workload 'typed' is left as it is: cron: ",
        "workload 'vm' is left as it is: type: must be `pod` or `k8s`, not `vm`",
    ];
    assert_eq!(configuration.problems.len(), expected.len(), "{:#?}", configuration.problems);
    for (problem, start) in configuration.problems.iter().map(|it| &it.message).zip(expected) {
        assert!(problem.starts_with(start), "{problem} <> {start}");
    }
}

/// The configuration with these secrets, and a workload that has this below its specification.
fn with_secrets(secrets: Value, reference: &str) -> ServerConfiguration {
    read(json!({
        "device_id": "dev",
        "secrets": secrets,
        "workloads": [{"name": "web", "specification": format!("{SPECIFICATION}{reference}\n")}],
    }))
}

const SECRET_REFERENCE: &str = "  envFrom: [{secretRef: {name: sec1}}]";

#[test]
fn a_workload_gets_the_secrets_that_it_names_by_value() {
    let secrets = |value: &str| json!([{"name": "sec1", "data": format!(r#"{{"k": "{value}"}}"#)}, {"name": "x", "data": "{}"}]);
    let one = with_secrets(secrets("dg=="), SECRET_REFERENCE);
    assert_eq!(only(&one).content.secrets.0, json!({"sec1": {"k": "dg=="}}));
    assert_ne!(only(&one).id, only(&with_secrets(secrets("dw=="), SECRET_REFERENCE)).id);
    assert_eq!(only(&with_secrets(secrets("dg=="), "")).id, only(&with_secrets(json!(null), "")).id);
}

#[test]
fn a_missing_or_broken_secret_holds_its_workload_and_nothing_secret_is_said() {
    for reference in [
        SECRET_REFERENCE,
        "  env: [{name: A, valueFrom: {secretKeyRef: {name: sec1, key: k}}}]",
        "volumes: [{name: v, secret: {secretName: sec1}}]",
        "volumes: [{name: v, projected: {sources: [{secret: {name: sec1}}]}}]",
    ] {
        let configuration = with_secrets(json!(null), reference);
        assert_eq!(configuration.desired.unreadable, ["web"], "{reference}");
        assert!(
            configuration.problems[0].message.contains("line 4")
                && configuration.problems[0].message.contains("`sec1`")
        );
    }
    for data in
        [json!("hunter2"), json!(["hunter2"]), json!(r#"{"k": "hunter2"}"#), json!(r#"{"k": ["hunter2"]}"#)]
    {
        let configuration = with_secrets(json!([{"name": "sec1", "data": data}]), SECRET_REFERENCE);
        let problems: String = configuration.problems.iter().map(|it| it.message.as_str()).collect();
        assert!(
            problems.contains("secret 'sec1' is skipped: ") && !problems.contains("hunter2"),
            "{problems}"
        );
        assert_eq!(configuration.desired.unreadable, ["web"]);
    }
}

#[test]
fn credentials_for_registries_are_checked_and_nothing_secret_is_said() {
    let auth = r#"{"auths": {"r.io": {"auth": "dTpw"}}}"#;
    let good = with_workload(json!({"imageRegistries": {"authFile": auth}}));
    assert_eq!(only(&good).content.auth.0, auth);
    let without = only(&with_workload(json!({}))).id.clone();
    assert_ne!(only(&good).id, without);
    for nothing in [json!({"authFile": ""}), json!({}), json!(null)] {
        assert_eq!(only(&with_workload(json!({"imageRegistries": nothing}))).id, without);
    }
    let specification = format!("imagePullSecrets: [{{name: pull}}]\n{SPECIFICATION}");
    let named = with_workload(json!({"specification": specification}));
    let message = &named.problems[0].message;
    assert!(message.contains("imagePullSecrets[0].name: has no effect: the server sent no"), "{message}");
    assert_eq!(only(&named).content.auth.0, json!(null));
    let sent = json!({"specification": specification, "imageRegistries": {"authFile": auth}});
    assert_eq!(only(&with_workload(sent)).content.auth.0, auth);
    for bad in ["hunter2", r#"{"auths": {"r.io": {"auth": "hunter2"}}}"#] {
        let configuration = with_workload(json!({"imageRegistries": {"authFile": bad}}));
        assert_eq!(configuration.desired.unreadable, ["web"]);
        let problem = &configuration.problems[0].message;
        assert!(problem.contains("imageRegistries.authFile: ") && !problem.contains("hunter2"), "{problem}");
    }
}

#[test]
fn a_whole_configuration_is_understood() {
    let configuration = read(json!({
        "ansible_playbook": "- hosts: all",
        "configuration": {
            "heartbeat": {"hardware_profile": {"include": true, "scope": "full"}, "period_seconds": 5},
            "metrics": {"receiver": {"request_num_samples": 30000, "timeout_seconds": 10}},
            "mounts": [],
            "os": {"commit_id": "abc", "hosted_objects_url": "http://x"},
            "profiles": [
                {"name": "perf", "conditions": [{"name": "low", "expression": "cpu<=25%"}]},
                {"name": "power", "conditions": []},
            ],
        },
        "device_id": "dev",
        "secrets": [{"name": "sec1", "data": "{}"}],
        "version": "1033",
        "workloads": [{"name": "web", "kind": "pod", "profiles": [], "specification": SPECIFICATION}],
        "workloads_monitoring_interval": 15,
    }));
    assert_eq!(only(&configuration).name(), "web");
    assert_eq!(configuration.desired.profiles.len(), 2);
    assert_eq!(configuration.desired.profiles[0].conditions[0].expression, "cpu<=25%");
    assert_eq!(configuration.version, "1033");
    assert_eq!((configuration.period, configuration.hardware), (Duration::from_secs(5), HardwareScope::Full));
    assert_eq!(configuration.monitoring_interval, Some(Duration::from_secs(15)));
    assert!(configuration.problems.is_empty(), "{:?}", configuration.problems);
}

#[test]
fn the_order_of_what_the_server_makes_of_maps_says_nothing() {
    let map = |name: &str| format!("kind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n");
    let web = |maps: Value| {
        let specification = "containers: [{name: a, image: i, envFrom: [{configMapRef: {name: one}}, \
                             {configMapRef: {name: two}}]}]";
        json!({"name": "web", "specification": specification, "configmaps": maps})
    };
    let (nameless, twin) =
        (json!({"kind": "pod"}), json!({"name": "web", "specification": "containers: []"}));
    let secrets = [json!({"name": "s", "data": "{}"}), json!({"name": "t", "data": "{"})];
    let workloads = [web(json!([map("one"), map("two")])), nameless.clone(), twin.clone(), json!(7)];
    let first = read(json!({"device_id": "dev", "workloads": workloads, "secrets": secrets}));
    let workloads = [json!(7), twin, nameless, web(json!([map("two"), map("one")]))];
    let secrets: Vec<_> = secrets.into_iter().rev().collect();
    let second = read(json!({"device_id": "dev", "workloads": workloads, "secrets": secrets}));
    assert_eq!(first, second);
    assert_eq!((first.desired.workloads.len(), first.problems.len()), (1, 4), "{:?}", first.problems);
}

#[test]
fn both_shapes_of_conditions_and_limits_are_read() {
    let listed = |conditions: Value| {
        only(&with_workload(json!({"profiles": [{"name": "p", "conditions": conditions}]}))).profiles.clone()
    };
    let object =
        listed(json!([{"name": "a", "cpu": {"cpu": 10000}}, {"name": "b", "cpu": null}, {"name": "c"}]));
    assert_eq!(object, listed(json!([{"name": "a", "cpu": 10000}, "b", {"name": "c", "cpu": {}}])));
    assert_eq!(object[0].conditions[0].cpu, Some(10000));
}

#[test]
fn retry_is_flat_and_a_zero_says_nothing() {
    let schedule = |retry: Value| only(&with_workload(json!({"retry": retry}))).schedule.clone();
    let constant = |seconds| Schedule::Service(Backoff::Constant(Duration::from_secs(seconds)));
    assert_eq!(schedule(json!({"backoff": "constantBackoff", "periodSeconds": 7})), constant(7));
    assert_eq!(schedule(json!({"backoff": "constantBackoff", "periodSeconds": 0})), constant(20));
    assert_eq!(schedule(json!({})), constant(20));
    let exponential = json!({"backoff": "exponentialBackoff", "initialIntervalSeconds": 3, "multiplier": 0, "randomizationFactor": 0.5});
    let initial = Duration::from_secs(3);
    let expected = Backoff::Exponential { initial, multiplier: 2.0, randomization: 0.5 };
    assert_eq!(schedule(exponential), Schedule::Service(expected));
    let bad = with_workload(json!({"retry": {"backoff": "constantBackoff", "periodSeconds": -1}}));
    assert!(
        bad.problems[0].message.contains("retry.constantBackoff.periodSeconds: must be from 0.1 to 86400"),
        "{:?}",
        bad.problems
    );
}

#[test]
fn aliases_cannot_make_a_configuration_large() {
    let bomb = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 20].join(","));
    let workload = |index: usize| json!({"name": format!("w{index}"), "specification": bomb});
    let workloads: Vec<_> = (0..40).map(workload).collect();
    let configuration = read(json!({"workloads": workloads}));
    assert!(
        configuration.problems.last().unwrap().message.contains("too large"),
        "{:?}",
        configuration.problems.last()
    );
}

const HEADER: Header<'_> = Header { device: "dev", namespace: "ns", message_id: "id", sent: UNIX_EPOCH };

fn body(call: &Call, hardware: Option<&Value>) -> (String, Value) {
    let request = request(call, HEADER, hardware, "CSR").unwrap();
    (request.path, serde_json::from_str(&request.body.unwrap()).unwrap())
}

#[test]
fn each_call_is_the_request_that_the_server_expects() {
    let hardware = json!({"hostname": "h"});
    let get = |call| request(&call, HEADER, None, "").unwrap();
    assert_eq!(get(Call::Configuration), Request { path: "/data/dev/in".into(), body: None });
    assert_eq!(get(Call::Control), Request { path: "/control/dev/in".into(), body: None });

    let (path, enrol) = body(&Call::Enrol, Some(&hardware));
    assert_eq!(path, "/data/dev/out");
    assert_eq!(
        enrol,
        json!({"type": "data", "message_id": "id", "directive": "enrolment", "version": 1,
               "sent": "1970-01-01T00:00:00Z",
               "content": {"features": {"hardware": hardware}, "target_namespace": "ns"}})
    );
    // without this field the server drops the connection
    assert_eq!(body(&Call::Enrol, None).1["content"]["features"], json!({}));
    let (_, register) = body(&Call::Register, None);
    assert_eq!(register["directive"], "registration");
    assert_eq!(register["content"], json!({"certificate_request": "CSR"}));

    let beat = Heartbeat {
        degraded: true,
        version: "7".into(),
        workloads: vec![("web".into(), ServerWorkloadStatus::Deploying)],
        events: vec![Notice::warning(Reason::ImagePullFailed, "ä".repeat(600))],
        hardware: HardwareScope::Omit,
    };
    let (_, beat) = body(&Call::Heartbeat(beat), None);
    let message = beat["content"]["events"][0]["message"].as_str().unwrap();
    assert!(message.len() <= 1024 && message.ends_with('…'), "{}", message.len());
    assert_eq!(beat["content"]["events"][0]["reason"], "ImagePullFailed");
    assert_eq!(beat["content"]["events"][0]["type"], "warn");
    assert_eq!(beat["content"]["workloads"], json!([{"name": "web", "status": "Deploying"}]));
    assert_eq!(beat["content"]["status"], "degraded");
    // an empty structure would overwrite what the server knows
    assert!(beat["content"].get("hardware").is_none());
}

#[test]
fn control_messages_are_read() {
    assert_eq!(is_disconnect_command(b""), Ok(false));
    assert_eq!(is_disconnect_command(b"\n"), Ok(false));
    assert_eq!(is_disconnect_command(br#"{"type":"command","content":null}"#), Ok(false));
    assert_eq!(is_disconnect_command(br#"{"content":{"command":"other"}}"#), Ok(false));
    assert_eq!(
        is_disconnect_command(br#"{"type":"command","content":{"command":"disconnect","arguments":null}}"#),
        Ok(true)
    );
    assert!(is_disconnect_command(b"<html>").is_err());
}

#[test]
fn a_certificate_is_found_or_missed() {
    assert_eq!(certificate(br#"{"content":{"certificate":"PEM"}}"#).as_deref(), Ok("PEM"));
    for bad in [r#"{"content":{"certificate":""}}"#, r#"{"content":{}}"#, r#"{"content":7}"#, "{}", ""] {
        assert!(certificate(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn what_an_earlier_version_accepted_and_kept_is_not_judged_anew() {
    let content = json!({"device_id": "dev", "workloads": [
        {"name": "web", "specification": "hostNetwrok: true\n".to_owned() + SPECIFICATION},
    ]});
    let body = |content: &Value| json!({"content": content}).to_string();
    let kept = |content: &Value| cached_configuration(body(content).as_bytes(), "dev").unwrap().meaning;
    assert_eq!(kept(&content).desired.workloads[0].name(), "web");
    let fresh = configuration(body(&content).as_bytes(), "dev", UnknownFields::Refuse).unwrap();
    assert_eq!(fresh.meaning.desired.unreadable, ["web"]);
    assert!(fresh.meaning.problems[0].message.contains("line 1: hostNetwrok: unknown field"));
    let again = |before: Option<&Value>| kept(&fresh.to_cached(before)).desired;
    assert_eq!(again(Some(&content)).workloads[0].name(), "web");
    assert_eq!(again(None).unreadable, ["web"], "what never ran doesn't begin to after a restart");
}

#[test]
fn a_field_that_nothing_knows_holds_a_workload_back_or_is_a_warning_as_the_settings_say() {
    let body = json!({"content": {"device_id": "dev", "workloads": [
        {"name": "a", "specification": "{containers: [{name: c, image: i, newField: x}]}"},
    ]}});
    let read = |unknown| configuration(body.to_string().as_bytes(), "dev", unknown).unwrap().meaning;
    let refused = read(UnknownFields::Refuse);
    assert_eq!(
        (refused.desired.workloads.len(), &refused.desired.unreadable[..]),
        (0, &["a".to_owned()][..])
    );
    let taken = read(UnknownFields::Warn);
    assert_eq!((taken.desired.workloads.len(), taken.problems.len()), (1, 1));
    assert!(
        taken.problems[0].message.contains("containers[0].newField: unknown field"),
        "{:?}",
        taken.problems
    );
}
