//! The probes of a container: as Kubernetes defines them, as far as this agent can ask.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{Finding, names::Filled, yaml::Field};
use crate::agent::health::{Check, Host, Probe};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProbeFields {
    exec: Option<Exec>,
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    grpc: Option<IgnoredAny>,
    #[serde(default)]
    initial_delay_seconds: Whole,
    #[serde(default)]
    period_seconds: Whole,
    #[serde(default)]
    timeout_seconds: Whole,
    #[serde(default)]
    failure_threshold: Whole,
    #[serde(default)]
    success_threshold: Whole,
}

#[derive(Debug, Deserialize)]
struct Exec {
    command: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    port: Port,
    host: Option<HostName>,
    path: Option<UrlPath>,
    scheme: Option<Scheme>,
    http_headers: Option<Vec<Header>>,
}

#[derive(Debug, Deserialize)]
struct TcpSocket {
    port: Port,
    host: Option<HostName>,
}

#[derive(Debug, Deserialize)]
struct Header {
    name: HeaderName,
    value: HeaderValue,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Scheme {
    Http,
    Https,
}

/// A number of seconds or of times; 0 is the default, as in Kubernetes.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(try_from = "Option<i64>")]
struct Whole(u32);

impl TryFrom<Option<i64>> for Whole {
    type Error = String;

    fn try_from(number: Option<i64>) -> Result<Self, String> {
        let number = number.unwrap_or_default();
        match u32::try_from(number) {
            Ok(number) if i32::try_from(number).is_ok() => Ok(Self(number)),
            _ => Err(format!("must be from 0 to {}, not {number}", i32::MAX)),
        }
    }
}

impl Whole {
    fn or(self, default: u32) -> u32 {
        if self.0 == 0 { default } else { self.0 }
    }

    fn seconds_or(self, default: u32) -> Duration {
        Duration::from_secs(self.or(default).into())
    }
}

/// A number, or the name of one of the container's ports.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Value")]
struct Port(Value);

impl TryFrom<Value> for Port {
    type Error = String;

    fn try_from(port: Value) -> Result<Self, String> {
        let is_fine = match &port {
            Value::Number(number) => number.as_u64().is_some_and(|number| (1..=65535).contains(&number)),
            other => other.as_str().is_some_and(|name| !name.is_empty()),
        };
        if is_fine {
            return Ok(Self(port));
        }
        Err(format!("must be from 1 to 65535 or the name of a port, not {port}"))
    }
}

/// What can stand between `http://` and a port; empty: none.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct HostName(String);

impl TryFrom<String> for HostName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.parse::<std::net::Ipv6Addr>().is_ok() {
            return Ok(Self(format!("[{name}]")));
        }
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Ok(Self(name));
        }
        Err(format!("`{name}` can't be the name or address of a host"))
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct UrlPath(String);

impl TryFrom<String> for UrlPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte)) {
            return Err(format!("`{path}` can't be a path: write other characters as %XX"));
        }
        Ok(Self(if path.starts_with('/') { path } else { format!("/{path}") }))
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "Filled")]
struct HeaderName(String);

impl TryFrom<Filled> for HeaderName {
    type Error = String;

    fn try_from(Filled(name): Filled) -> Result<Self, String> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.bytes().all(is_token) { Ok(Self(name)) } else { Err(format!("`{name}` can't be a header")) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct HeaderValue(String);

impl TryFrom<String> for HeaderValue {
    type Error = &'static str;

    fn try_from(value: String) -> Result<Self, Self::Error> {
        let is_fine = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if is_fine { Ok(Self(value)) } else { Err("must be of printable ASCII characters") }
    }
}

/// The container that a probe asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) host_network: bool,
    pub(super) rootless: bool,
    /// Its `ports`, as they are written.
    pub(super) ports: &'a Value,
}

impl ProbeFields {
    /// The probe; nothing but a finding if it is a good one that can't be made here.
    pub(super) fn probe(
        &self,
        at: &Field,
        asked: Asked<'_>,
        findings: &mut Vec<Finding>,
    ) -> Result<Option<Arc<Probe>>, Finding> {
        let fail = |field: Field, message: &str| Err(Finding { field, message: message.to_owned() });
        if self.success_threshold.or(1) != 1 {
            return fail(at.then("successThreshold"), "must be 1 for this probe");
        }
        let handlers = (&self.exec, &self.http_get, &self.tcp_socket, &self.grpc);
        let (check, why_not) = match handlers {
            (Some(exec), None, None, None) if exec.command.is_empty() => {
                return fail(at.then("exec").then("command"), "must not be empty");
            }
            (Some(exec), None, None, None) => (Ok(Check::Exec(exec.command.clone())), at.then("exec")),
            (None, Some(http), None, None) => {
                let at = at.then("httpGet");
                let target = asked.target(&http.port, http.host.as_ref(), &at)?;
                let check = match target {
                    _ if http.scheme == Some(Scheme::Https) => Err("HTTPS is not supported"),
                    target => target.map(|(host, port)| {
                        let header = |header: &Header| (header.name.0.clone(), header.value.0.clone());
                        let headers = http.http_headers.iter().flatten().map(header).collect();
                        let path = http.path.as_ref().map_or("/", |path| &path.0).to_owned();
                        Check::Http { host, port, path, headers }
                    }),
                };
                (check, at)
            }
            (None, None, Some(tcp), None) => {
                let at = at.then("tcpSocket");
                let check = match asked.target(&tcp.port, tcp.host.as_ref(), &at)? {
                    Ok(_)
                        if asked.is_published() && tcp.host.as_ref().is_none_or(|host| host.0.is_empty()) =>
                    {
                        Err("the port of a rootless pod takes connections even if nothing listens in the pod")
                    }
                    target => target.map(|(host, port)| Check::Tcp { host, port }),
                };
                (check, at)
            }
            (None, None, None, Some(_)) => (Err("gRPC is not supported"), at.then("grpc")),
            (None, None, None, None) => {
                return fail(at.clone(), "needs one of `exec`, `httpGet` and `tcpSocket`");
            }
            _ => return fail(at.clone(), "has more than one of `exec`, `httpGet`, `tcpSocket` and `grpc`"),
        };
        match check {
            Ok(check) => Ok(Some(Arc::new(Probe {
                check,
                initial_delay: Duration::from_secs(self.initial_delay_seconds.0.into()),
                period: self.period_seconds.seconds_or(10),
                timeout: self.timeout_seconds.seconds_or(1),
                failure_threshold: self.failure_threshold.or(3),
            }))),
            Err(why) => {
                findings.push(Finding { field: why_not, message: format!("has no effect: {why}") });
                Ok(None)
            }
        }
    }
}

impl Asked<'_> {
    /// Only its published ports can be reached from here.
    fn is_published(self) -> bool {
        self.rootless && !self.host_network
    }

    /// Whom to ask, or why nobody can.
    fn target(
        self,
        port: &Port,
        host: Option<&HostName>,
        at: &Field,
    ) -> Result<Result<(Host, u16), &'static str>, Finding> {
        let ports = self.ports.as_array().map_or(&[][..], Vec::as_slice);
        let number = |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok());
        let container_port = |port: &Value| number(&port["containerPort"]);
        let wanted = match &port.0 {
            Value::String(name) => {
                let named = ports.iter().find(|port| port["name"] == name.as_str());
                named.and_then(container_port).ok_or_else(|| Finding {
                    field: at.then("port"),
                    message: format!("the container has no port named `{name}`"),
                })?
            }
            port => number(port).unwrap_or_default(),
        };
        let named = |name: &str| Host::Named(name.to_owned());
        if let Some(HostName(host)) = host.filter(|host| !host.0.is_empty()) {
            return Ok(Ok((named(host), wanted)));
        }
        if self.host_network {
            return Ok(Ok((named("127.0.0.1"), wanted)));
        }
        if !self.rootless {
            return Ok(Ok((Host::Pod, wanted)));
        }
        let published = ports.iter().filter(|port| container_port(port) == Some(wanted));
        let published =
            published.filter_map(|port| Some((port["hostIP"].as_str(), number(&port["hostPort"])?)));
        Ok(match published.into_iter().next() {
            Some((None | Some("" | "0.0.0.0"), port)) => Ok((named("127.0.0.1"), port)),
            Some((Some(address), port)) => Ok((named(address), port)),
            None => Err("a rootless pod can be asked only where the port has a `hostPort`"),
        })
    }
}
