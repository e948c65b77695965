//! The probes of a container: as Kubernetes defines them, as far as this agent can ask. Read by hand, as derived
//! readers of so many small shapes would make the binary noticeably larger.

use std::{net::Ipv6Addr, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    agent::model::probe::{Check, Host, Probe},
    wire::field::{Field, Finding},
};

/// A part of a document, and where it stands.
struct Part<'a> {
    value: &'a Value,
    at: Field,
}

impl<'a> Part<'a> {
    fn get(&self, key: &str) -> Part<'a> {
        Part { value: &self.value[key], at: self.at.then(key) }
    }

    fn is_there(&self) -> bool {
        !self.value.is_null()
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Finding> {
        Err(Finding { field: self.at.clone(), message: message.into() })
    }

    fn items(&self) -> Result<impl Iterator<Item = Part<'a>>, Finding> {
        let items = match self.value {
            Value::Null => &[][..],
            Value::Array(items) => items,
            _ => return self.fail("must be a list"),
        };
        let at = self.at.clone();
        Ok(items.iter().enumerate().map(move |(index, value)| Part { value, at: at.then(index) }))
    }

    /// Empty if it isn't there.
    fn text(&self) -> Result<&'a str, Finding> {
        match self.value {
            Value::Null => Ok(""),
            Value::String(text) => Ok(text),
            _ => self.fail("must be a text"),
        }
    }

    /// A text of nothing but these bytes.
    fn text_of(&self, is_fine: impl Fn(u8) -> bool, otherwise: &str) -> Result<&'a str, Finding> {
        let text = self.text()?;
        if text.bytes().all(is_fine) { Ok(text) } else { self.fail(format!("`{text}` {otherwise}")) }
    }

    /// A number of seconds or of times; 0 is the default, as in Kubernetes.
    fn number_or(&self, default: u32) -> Result<u32, Finding> {
        match (self.value, self.value.as_i64().and_then(|number| i32::try_from(number).ok())) {
            (Value::Null, _) | (_, Some(0)) => Ok(default),
            (_, Some(number @ 1..)) => Ok(number.unsigned_abs()),
            (other, _) => self.fail(format!("must be a number from 0 to {}, not {other}", i32::MAX)),
        }
    }

    fn seconds_or(&self, default: u32) -> Result<Duration, Finding> {
        self.number_or(default).map(|seconds| Duration::from_secs(seconds.into()))
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

/// Reads a liveness or startup probe; nothing but a finding if it is a good one that can't be made here.
pub(super) fn read(
    probe: &Value,
    at: Field,
    asked: Asked<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Arc<Probe>>, Finding> {
    let probe = Part { value: probe, at };
    if !probe.is_there() {
        return Ok(None);
    }
    let success = probe.get("successThreshold");
    if success.number_or(1)? != 1 {
        return success.fail("must be 1 for this probe");
    }
    let mut handlers = ["exec", "httpGet", "tcpSocket", "grpc"].into_iter();
    let Some(kind) = handlers.find(|kind| probe.get(kind).is_there()) else {
        return probe.fail("needs one of `exec`, `httpGet` and `tcpSocket`");
    };
    if handlers.any(|kind| probe.get(kind).is_there()) {
        return probe.fail("has more than one of `exec`, `httpGet`, `tcpSocket` and `grpc`");
    }
    let handler = probe.get(kind);
    let check = match kind {
        "exec" => Ok(exec(&handler)?),
        "httpGet" => http(&handler, asked)?,
        "tcpSocket" => tcp(&handler, asked)?,
        _ => Err("gRPC is not supported"),
    };
    let initial_delay = probe.get("initialDelaySeconds").seconds_or(0)?;
    let period = probe.get("periodSeconds").seconds_or(10)?;
    let timeout = probe.get("timeoutSeconds").seconds_or(1)?;
    let failure_threshold = probe.get("failureThreshold").number_or(3)?;
    match check {
        Ok(check) => Ok(Some(Arc::new(Probe { check, initial_delay, period, timeout, failure_threshold }))),
        Err(why) => {
            findings.push(Finding { field: handler.at, message: format!("has no effect: {why}") });
            Ok(None)
        }
    }
}

fn exec(handler: &Part<'_>) -> Result<Check, Finding> {
    let command = handler.get("command");
    let words = command.items()?.map(|word| word.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
    if words.is_empty() { command.fail("must not be empty") } else { Ok(Check::Exec(words)) }
}

/// The check, or why nobody can make it.
type Possible<T> = Result<T, &'static str>;

fn http(handler: &Part<'_>, asked: Asked<'_>) -> Result<Possible<Check>, Finding> {
    let target = asked.target(handler)?;
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    let path = handler.get("path").text_of(is_fine, "can't be a path: write other characters as %XX")?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut headers = Vec::new();
    for header in handler.get("httpHeaders").items()? {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = header.get("name");
        let text = name.text_of(is_token, "can't be a header")?;
        if text.is_empty() {
            return name.fail("must not be empty");
        }
        let is_fine = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let value = header.get("value").text_of(is_fine, "must be of printable ASCII characters")?;
        headers.push((text.to_owned(), value.to_owned()));
    }
    let scheme = handler.get("scheme");
    match scheme.text()? {
        "" | "HTTP" => Ok(target.map(|(host, port)| Check::Http { host, port, path, headers })),
        "HTTPS" => Ok(Err("HTTPS is not supported")),
        other => scheme.fail(format!("must be HTTP or HTTPS, not `{other}`")),
    }
}

fn tcp(handler: &Part<'_>, asked: Asked<'_>) -> Result<Possible<Check>, Finding> {
    let is_published = asked.rootless && !asked.host_network && handler.get("host").text()?.is_empty();
    Ok(match asked.target(handler)? {
        // podman takes them, and only then looks whether somebody listens behind
        Ok(_) if is_published => {
            Err("the port of a rootless pod takes connections even if nothing listens in the pod")
        }
        target => target.map(|(host, port)| Check::Tcp { host, port }),
    })
}

impl Asked<'_> {
    /// Whom to ask.
    fn target(self, handler: &Part<'_>) -> Result<Possible<(Host, u16)>, Finding> {
        let number = |port: &Value| port.as_u64().and_then(|port| u16::try_from(port).ok());
        let ports = self.ports.as_array().map_or(&[][..], Vec::as_slice);
        let port = handler.get("port");
        let wanted = match port.value {
            Value::String(name) => {
                let named = ports.iter().find(|port| port["name"] == name.as_str());
                let Some(number) = named.and_then(|port| number(&port["containerPort"])) else {
                    return port.fail(format!("the container has no port named `{name}`"));
                };
                number
            }
            value => match number(value) {
                Some(number @ 1..) => number,
                _ => return port.fail(format!("must be from 1 to 65535 or the name of a port, not {value}")),
            },
        };
        let named = |name: &str| Host::Named(name.to_owned());
        let host = handler.get("host");
        if host.text()?.parse::<Ipv6Addr>().is_ok() {
            return Ok(Ok((Host::Named(format!("[{}]", host.text()?)), wanted)));
        }
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        match host.text_of(is_fine, "can't be the name or address of a host")? {
            "" => {}
            host => return Ok(Ok((named(host), wanted))),
        }
        if self.host_network {
            return Ok(Ok((named("127.0.0.1"), wanted)));
        }
        if !self.rootless {
            return Ok(Ok((Host::Pod, wanted)));
        }
        let mut same = ports.iter().filter(|port| number(&port["containerPort"]) == Some(wanted));
        Ok(match same.find_map(|port| Some((port["hostIP"].as_str(), number(&port["hostPort"])?))) {
            Some((None | Some("" | "0.0.0.0"), port)) => Ok((named("127.0.0.1"), port)),
            Some((Some(address), port)) => Ok((named(address), port)),
            None => Err("a rootless pod can be asked only where the port has a `hostPort`"),
        })
    }
}
