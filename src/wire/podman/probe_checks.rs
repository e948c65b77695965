//! What a container is asked by its probes and hooks, as far as this agent can ask.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use crate::{
    agent::model::probe::{Check, Probe, ProbeHost},
    wire::{
        field::{FieldPath, Finding},
        podspec::{
            container::ContainerPort,
            probe::{self, GrpcAction, HttpGetAction, Scheme},
            values::{Count, PortNumberOrName},
        },
    },
};

/// The container that is asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct ProbeTarget<'a> {
    pub(in crate::wire) host_network: bool,
    pub(in crate::wire) rootless: bool,
    pub(in crate::wire) ports: &'a [ContainerPort],
}

/// What can be asked, or why it can't be.
pub(in crate::wire) type OrUnsupported<T> = Result<T, &'static str>;

/// A probe; nothing but a finding if it is a good one that can't be made here.
pub(in crate::wire) fn to_probe(
    written: &probe::Probe,
    at: &FieldPath,
    asked: ProbeTarget<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Arc<Probe>> {
    let (kind, check) = if let Some(action) = &written.exec {
        ("exec", Ok(Check::Exec(action.command.clone())))
    } else if let Some(action) = &written.http_get {
        ("httpGet", asked.http_check(action))
    } else if let Some(action) = &written.tcp_socket {
        ("tcpSocket", asked.tcp_check(&action.host, &action.port))
    } else if let Some(action) = &written.grpc {
        ("grpc", asked.grpc_check(action))
    } else {
        return None;
    };
    // 0 is the default, as in Kubernetes
    let number = |written: Count, default| match u32::try_from(written.0) {
        Ok(number @ 1..) => number,
        _ => default,
    };
    let seconds = |written, default| Duration::from_secs(number(written, default).into());
    match check {
        Ok(check) => Some(Arc::new(Probe {
            check,
            initial_delay: seconds(written.initial_delay_seconds, 0),
            period: seconds(written.period_seconds, 10),
            timeout: seconds(written.timeout_seconds, 1),
            failure_threshold: number(written.failure_threshold, 3),
            success_threshold: number(written.success_threshold, 1),
        })),
        Err(why) => {
            findings.push(Finding { field: at.child(kind), message: format!("has no effect: {why}") });
            None
        }
    }
}

impl ProbeTarget<'_> {
    pub(in crate::wire) fn http_check(self, action: &HttpGetAction) -> OrUnsupported<Check> {
        let (host, port) = self.host_and_port(&action.host, &action.port)?;
        if action.scheme == Scheme::Https {
            return Err("HTTPS is not supported");
        }
        let slash = if action.path.starts_with('/') { "" } else { "/" };
        let path = format!("{slash}{}", action.path);
        let headers = action.http_headers.iter().map(|it| (it.name.clone(), it.value.clone())).collect();
        Ok(Check::Http { host, port, path, headers })
    }

    fn tcp_check(self, host: &str, port: &PortNumberOrName) -> OrUnsupported<Check> {
        let (named, port) = self.host_and_port(host, port)?;
        if self.rootless && !self.host_network && host.is_empty() {
            // podman takes them, and only then looks whether a program listens behind
            return Err("the port of a rootless pod takes connections even if nothing listens in the pod");
        }
        Ok(Check::Tcp { host: named, port })
    }

    fn grpc_check(self, action: &GrpcAction) -> OrUnsupported<Check> {
        let (host, port) = self.host_and_port("", &PortNumberOrName::Number(action.port.0))?;
        Ok(Check::Grpc { host, port, service: action.service.clone() })
    }

    /// Whom to ask.
    fn host_and_port(self, host: &str, port: &PortNumberOrName) -> OrUnsupported<(ProbeHost, u16)> {
        let wanted = match port {
            PortNumberOrName::Number(number) => *number,
            PortNumberOrName::Name(name) => {
                let named = self.ports.iter().find(|port| port.name.0 == *name);
                named.map_or(0, |port| port.container_port.0)
            }
        };
        let named = |name: &str| ProbeHost::Named(name.to_owned());
        if host.parse::<Ipv6Addr>().is_ok() {
            return Ok((ProbeHost::Named(format!("[{host}]")), wanted));
        }
        if !host.is_empty() {
            return Ok((named(host), wanted));
        }
        if self.host_network {
            return Ok((named("127.0.0.1"), wanted));
        }
        if !self.rootless {
            return Ok((ProbeHost::Pod, wanted));
        }
        let mut same = self.ports.iter().filter(|port| port.container_port.0 == wanted);
        match same.find(|port| port.host_port.0 > 0) {
            Some(port) => {
                let address = port.host_ip.map(|it| it.0).filter(|it| !it.is_unspecified());
                let address = address.map_or("127.0.0.1".to_owned(), |it| it.to_string());
                Ok((ProbeHost::Named(address), port.host_port.0))
            }
            None => Err("a rootless pod can be asked only where the port has a `hostPort`"),
        }
    }
}
