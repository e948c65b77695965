//! Probes and hooks.

use core::net::Ipv6Addr;

use crate::wire::podspec::{
    container::{Container, RestartPolicy},
    lifecycle::LifecycleHandler,
    pod::PodSpec,
    probe::{ExecAction, HttpGetAction, Probe},
    reader::{Class, Notes},
    values::PortName,
};

pub(super) fn check(container: &Container, spec: &PodSpec, is_init: bool, notes: &mut Notes) {
    let probes = [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ];
    // an init container that stays, a sidecar, may have them
    let is_short = is_init && container.restart_policy != Some(RestartPolicy::Always);
    for (key, probe) in probes {
        let Some(probe) = probe else { continue };
        notes.below(key, |notes| {
            if is_short {
                notes.add(Class::Value, "an init container that ends can't have one");
            }
            self::probe(probe, container, key == "readinessProbe", notes);
        });
    }
    let Some(lifecycle) = &container.lifecycle else { return };
    notes.below("lifecycle", |notes| {
        if is_short {
            notes.add(Class::Value, "an init container that ends can't have one");
        }
        for (key, hook) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(hook) = hook {
                notes.below(key, |notes| self::hook(hook, container, spec, notes));
            }
        }
    });
}

fn hook(hook: &LifecycleHandler, container: &Container, spec: &PodSpec, notes: &mut Notes) {
    let given = [hook.exec.is_some(), hook.http_get.is_some(), hook.sleep.is_some()];
    notes.exactly_one(&given, &["exec", "httpGet", "sleep"]);
    if let Some(action) = &hook.exec {
        exec(action, notes);
    }
    if let Some(action) = &hook.http_get {
        http(action, container, notes);
    }
    let grace = spec.termination_grace_period_seconds.map_or(30, |grace| grace.0);
    if let Some(action) = &hook.sleep
        && action.seconds.0 > grace
    {
        let message = format!("must not be longer than `terminationGracePeriodSeconds` ({grace})");
        notes.at(["sleep".into(), "seconds".into()], |notes| notes.add(Class::Value, message));
    }
}

fn probe(probe: &Probe, container: &Container, is_readiness: bool, notes: &mut Notes) {
    if !is_readiness && probe.success_threshold.0 > 1 {
        notes.add_at("successThreshold", Class::Shape, "must be 1 for this probe");
    }
    let given =
        [probe.exec.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some(), probe.grpc.is_some()];
    notes.exactly_one(&given, &["exec", "httpGet", "tcpSocket", "grpc"]);
    if let Some(action) = &probe.exec {
        exec(action, notes);
    }
    if let Some(action) = &probe.http_get {
        http(action, container, notes);
    }
    if let Some(action) = &probe.tcp_socket {
        notes.below("tcpSocket", |notes| target(&action.host, &action.port, container, notes));
    }
}

fn exec(action: &ExecAction, notes: &mut Notes) {
    if action.command.is_empty() && !notes.has_any_below(&["exec"]) {
        notes.at(["exec".into(), "command".into()], |notes| notes.add(Class::Shape, "must not be empty"));
    }
}

fn http(action: &HttpGetAction, container: &Container, notes: &mut Notes) {
    notes.below("httpGet", |notes| {
        target(&action.host, &action.port, container, notes);
        let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
        if !action.path.bytes().all(is_fine) {
            let message = format!("`{}` can't be a path: write other characters as %XX", action.path);
            notes.add_at("path", Class::Shape, message);
        }
        for (index, header) in action.http_headers.iter().enumerate() {
            let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            notes.at(["httpHeaders".into(), index.into()], |notes| {
                if !header.name.bytes().all(is_token) {
                    let message = format!("`{}` can't be a header", header.name);
                    notes.add_at("name", Class::Shape, message);
                }
                if !header.value.bytes().all(is_plain) {
                    let message = format!("`{}` must be of printable ASCII characters", header.value);
                    notes.add_at("value", Class::Shape, message);
                }
            });
        }
    });
}

fn target(host: &str, port: &PortName, container: &Container, notes: &mut Notes) {
    if let PortName::Name(name) = port
        && !container.ports.iter().any(|port| port.name.0 == *name && port.container_port.0 > 0)
    {
        let message = format!("the container has no port named `{name}`");
        notes.add_at("port", Class::Shape, message);
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if !host.bytes().all(is_fine) && host.parse::<Ipv6Addr>().is_err() {
        let message = format!("`{host}` can't be the name or address of a host");
        notes.add_at("host", Class::Shape, message);
    }
}
