//! Probes and hooks.

use core::net::Ipv6Addr;

use crate::wire::podspec::{
    container::{Container, RestartPolicy},
    lifecycle::LifecycleHandler,
    pod::PodSpec,
    probe::{ExecAction, HttpGetAction, Probe},
    reader::{FindingClass, ReadContext},
    values::PortNumberOrName,
};

pub(super) fn check(container: &Container, spec: &PodSpec, is_init: bool, notes: &mut ReadContext) {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    // an init container that stays, a sidecar, may have them
    let is_short = is_init && container.restart_policy != Some(RestartPolicy::Always);
    for (key, probe) in probes {
        let Some(probe) = probe else { continue };
        notes.at_child(key, |notes| {
            if is_short {
                notes.add(FindingClass::Value, "an init container that ends can't have one");
            }
            self::check_probe(probe, container, key == "readinessProbe", notes);
        });
    }
    let Some(lifecycle) = &container.lifecycle else { return };
    notes.at_child("lifecycle", |notes| {
        if is_short {
            notes.add(FindingClass::Value, "an init container that ends can't have one");
        }
        for (key, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(hook) = hook {
                notes.at_child(key, |notes| self::hook(hook, container, spec, notes));
            }
        }
    });
}

fn hook(hook: &LifecycleHandler, container: &Container, spec: &PodSpec, notes: &mut ReadContext) {
    let given = [hook.exec.is_some(), hook.http_get.is_some(), hook.sleep.is_some()];
    notes.check_exactly_one(&given, &["exec", "httpGet", "sleep"]);
    if let Some(action) = &hook.exec {
        check_exec(action, notes);
    }
    if let Some(action) = &hook.http_get {
        http(action, container, notes);
    }
    let grace = spec.termination_grace_period_seconds.map_or(30, |grace| grace.0);
    if let Some(action) = &hook.sleep
        && action.seconds.0 > grace
    {
        let message = format!("must not be longer than `terminationGracePeriodSeconds` ({grace})");
        notes.at_path(["sleep".into(), "seconds".into()], |notes| notes.add(FindingClass::Value, message));
    }
}

fn check_probe(probe: &Probe, container: &Container, is_readiness: bool, notes: &mut ReadContext) {
    if !is_readiness && probe.success_threshold.0 > 1 {
        notes.add_at("successThreshold", FindingClass::Shape, "must be 1 for this probe");
    }
    let given =
        [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    notes.check_exactly_one(&given, &["exec", "httpGet", "tcpSocket", "grpc"]);
    if let Some(action) = &probe.exec {
        check_exec(action, notes);
    }
    if let Some(action) = &probe.http_get {
        http(action, container, notes);
    }
    if let Some(action) = &probe.tcp_socket {
        notes
            .at_child("tcpSocket", |notes| check_host_and_port(&action.host, &action.port, container, notes));
    }
}

fn check_exec(action: &ExecAction, notes: &mut ReadContext) {
    if action.command.is_empty() && !notes.has_any_below(&["exec"]) {
        notes.at_path(["exec".into(), "command".into()], |notes| {
            notes.add(FindingClass::Shape, "must not be empty")
        });
    }
}

fn http(action: &HttpGetAction, container: &Container, notes: &mut ReadContext) {
    notes.at_child("httpGet", |notes| {
        check_host_and_port(&action.host, &action.port, container, notes);
        let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        if !action.path.bytes().all(is_fine) {
            let message = format!("`{}` can't be a path: write other characters as %XX", action.path);
            notes.add_at("path", FindingClass::Shape, message);
        }
        for (index, header) in action.http_headers.iter().enumerate() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            notes.at_path(["httpHeaders".into(), index.into()], |notes| {
                if !header.name.bytes().all(is_token) {
                    let message = format!("`{}` can't be a header", header.name);
                    notes.add_at("name", FindingClass::Shape, message);
                }
                if !header.value.bytes().all(is_plain) {
                    let message = format!("`{}` must be of printable ASCII characters", header.value);
                    notes.add_at("value", FindingClass::Shape, message);
                }
            });
        }
    });
}

fn check_host_and_port(host: &str, port: &PortNumberOrName, container: &Container, notes: &mut ReadContext) {
    if let PortNumberOrName::Name(name) = port
        && !container.ports.iter().any(|port| port.name.0 == *name && port.container_port.0 > 0)
    {
        let message = format!("the container has no port named `{name}`");
        notes.add_at("port", FindingClass::Shape, message);
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !host.bytes().all(is_fine) && host.parse::<Ipv6Addr>().is_err() {
        let message = format!("`{host}` can't be the name or address of a host");
        notes.add_at("host", FindingClass::Shape, message);
    }
}
