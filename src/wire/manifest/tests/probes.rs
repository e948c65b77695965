//! Probes: what is written is asked, what can't be asked is said, and what makes no sense is refused.

use super::*;
use crate::agent::model::probe::{Check, Probe, ProbeHost, Probes};

/// A workload whose pod has these fields beside its container, and whose container has these beside its image.
fn with(pod: &str, container: &str) -> String {
    let spec = format!("spec: {{{pod} containers: [{{name: c, image: i, {container}}}]}}");
    workload("web", "").replace("spec: {containers: [{name: c, image: i}]}", &spec)
}

fn probed(text: &str) -> (Vec<Probes>, Vec<String>) {
    let (desired, problems) = assembled(text);
    (desired.workloads.iter().flat_map(|workload| workload.probes.clone()).collect(), problems)
}

fn liveness(text: &str) -> Probe {
    let (probes, problems) = probed(text);
    assert_eq!(problems, Vec::<String>::new());
    Probe::clone(probes[0].liveness.as_ref().expect("a liveness probe"))
}

/// The single problem, from the container on.
fn problem(text: &str) -> String {
    let (probes, problems) = probed(text);
    assert!(probes.is_empty(), "{probes:?}");
    match &problems[..] {
        [problem] => problem.split("containers[0].").nth(1).unwrap_or(problem).to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_probe_that_says_only_what_to_ask_gets_the_defaults_of_kubernetes() {
    let expected = Probe {
        check: Check::Exec(vec!["test".into(), "-e".into(), "/ok".into()]),
        initial_delay: Duration::ZERO,
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(1),
        failure_threshold: 3,
        success_threshold: 1,
    };
    assert_eq!(liveness(&with("", "livenessProbe: {exec: {command: [test, -e, /ok]}}")), expected);
    let zeros = "initialDelaySeconds: 0, periodSeconds: 0, timeoutSeconds: 0, failureThreshold: 0";
    let text = format!("livenessProbe: {{exec: {{command: [test, -e, /ok]}}, {zeros}}}");
    assert_eq!(liveness(&with("", &text)), expected);
}

#[test]
fn every_field_of_both_probes_arrives() {
    let (probes, problems) = probed(&with(
        "",
        "ports: [{name: web, containerPort: 8080}],
         startupProbe: {tcpSocket: {port: web}, periodSeconds: 2, failureThreshold: 30},
         readinessProbe: {exec: {command: [a]}, successThreshold: 4},
         livenessProbe: {httpGet: {port: web, path: 'health?deep=1', scheme: HTTP, host: '',
           httpHeaders: [{name: X-A, value: b c}]},
           initialDelaySeconds: 5, periodSeconds: 7, timeoutSeconds: 3, failureThreshold: 2, successThreshold: 1}",
    ));
    assert_eq!(problems, Vec::<String>::new());
    let [Probes { container, startup: Some(startup), liveness: Some(liveness), readiness: Some(readiness) }] =
        &probes[..]
    else {
        panic!("{probes:?}")
    };
    assert_eq!((container.as_str(), &startup.check), ("c", &Check::Tcp { host: ProbeHost::Pod, port: 8080 }));
    assert_eq!((&readiness.check, readiness.success_threshold), (&Check::Exec(vec!["a".into()]), 4));
    assert_eq!((startup.period, startup.failure_threshold), (Duration::from_secs(2), 30));
    let expected = Check::Http {
        host: ProbeHost::Pod,
        port: 8080,
        path: "/health?deep=1".into(),
        headers: vec![("X-A".into(), "b c".into())],
    };
    assert_eq!(liveness.check, expected);
    let seconds = (liveness.initial_delay.as_secs(), liveness.period.as_secs(), liveness.timeout.as_secs());
    assert_eq!((seconds, liveness.failure_threshold), ((5, 7, 3), 2));
}

#[test]
fn a_pod_is_asked_where_this_device_can_reach_it() {
    let get = |pod: &str, container: &str| match liveness(&with(pod, container)).check {
        Check::Http { host: ProbeHost::Named(host), port, .. } => format!("{host}:{port}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(get("hostNetwork: true,", "livenessProbe: {httpGet: {port: 80}}"), "127.0.0.1:80");
    assert_eq!(get("", "livenessProbe: {httpGet: {port: 80, host: 'fd00::1'}}"), "[fd00::1]:80");
    let rootless = |container: &str| format!("{}\n  rootless: true\n", with("", container).trim_end());
    let ports = "ports: [{containerPort: 81, hostPort: 8081}, {containerPort: 80, hostPort: 8080}]";
    let published = rootless(&format!("{ports}, livenessProbe: {{httpGet: {{port: 80}}}}"));
    let Check::Http { host, port, .. } = liveness(&published).check else { panic!() };
    assert_eq!((host, port), (ProbeHost::Named("127.0.0.1".into()), 8080));
    assert_eq!(
        problem(&rootless("livenessProbe: {httpGet: {port: 80}}")),
        "livenessProbe.httpGet: has no effect: a rootless pod can be asked only where the port has a `hostPort`"
    );
    assert_eq!(
        problem(&rootless(&format!("{ports}, startupProbe: {{tcpSocket: {{port: 80}}}}"))),
        "startupProbe.tcpSocket: has no effect: the port of a rootless pod takes connections even if nothing \
         listens in the pod"
    );
}

#[test]
fn what_cannot_be_asked_is_said_and_the_workload_runs_without() {
    let text = with("", "livenessProbe: {httpGet: {port: 443, scheme: HTTPS}}");
    assert_eq!(problem(&text), "livenessProbe.httpGet: has no effect: HTTPS is not supported");
    assert_eq!(names(&assembled(&text).0), ["web"]);
}

#[test]
fn a_probe_that_makes_no_sense_refuses_the_workload_and_shows_its_field() {
    for (probe, expected) in [
        ("{}", ": needs `exec`, `httpGet`, `tcpSocket` or `grpc`"),
        (
            "{exec: {command: [a]}, tcpSocket: {port: 1}}",
            ": has more than one of `exec`, `httpGet`, `tcpSocket` or `grpc`",
        ),
        ("{exec: {command: []}}", ".exec.command: must not be empty"),
        ("{exec: {command: a}}", ".exec.command: must be a list, not a text"),
        ("{tcpSocket: {port: 0}}", ".tcpSocket.port: must be from 1 to 65535 or the name of a port, not 0"),
        ("{grpc: {service: a}}", ".grpc.port: is missing"),
        ("{grpc: {port: web}}", ".grpc.port: must be a whole number, not a text"),
        ("{httpGet: {port: web}}", ".httpGet.port: the container has no port named `web`"),
        (
            "{httpGet: {port: 1, path: 'a b'}}",
            ".httpGet.path: `a b` can't be a path: write other characters as %XX",
        ),
        ("{httpGet: {port: 1, host: 'a/b'}}", ".httpGet.host: `a/b` can't be the name or address of a host"),
        (
            "{httpGet: {port: 1, scheme: http}}",
            ".httpGet.scheme: must be `HTTP` or `HTTPS`, not `http`: did you mean `HTTP`?",
        ),
        (
            "{httpGet: {port: 1, httpHeaders: [{name: 'a b', value: c}]}}",
            ".httpGet.httpHeaders[0].name: `a b` can't be a header",
        ),
        ("{exec: {command: [a]}, periodSeconds: -1}", ".periodSeconds: must be from 0 to 2147483647, not -1"),
        ("{exec: {command: [a]}, successThreshold: 2}", ".successThreshold: must be 1 for this probe"),
    ] {
        let text = with("", &format!("livenessProbe: {probe}"));
        assert_eq!(problem(&text), format!("livenessProbe{expected}"));
        assert!(assembled(&text).0.workloads.is_empty());
    }
}

#[test]
fn a_grpc_server_is_asked_for_itself_or_for_a_service() {
    let asked = |action: &str| liveness(&with("", &format!("livenessProbe: {{grpc: {action}}}"))).check;
    let grpc = |service: &str| Check::Grpc { host: ProbeHost::Pod, port: 9000, service: service.into() };
    assert_eq!(asked("{port: 9000}"), grpc(""));
    assert_eq!(asked("{port: 9000, service: database}"), grpc("database"));
}

#[test]
fn sidecars_are_asked_as_well() {
    let sidecar = "{name: s, image: i, restartPolicy: Always, livenessProbe: {exec: {command: [a]}}}";
    let (probes, problems) = probed(&with(&format!("initContainers: [{sidecar}],"), ""));
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(probes.iter().map(|it| &*it.container).collect::<Vec<_>>(), ["s"]);
}
