//! The text of a setting becomes a value, or a sentence that says what is allowed.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::{
    agent::model::quantity,
    wire::{dns_names::is_dns_subdomain, manifest::UnknownFields},
};

/// Where to listen for metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAddress {
    /// An IP address and a port; port 0 takes any that is free.
    Tcp(SocketAddr),
    /// A unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    /// The loopback on the README's port.
    pub(super) fn defaults() -> Vec<Self> {
        vec![Self::Tcp((Ipv4Addr::LOCALHOST, 8080).into()), Self::Tcp((Ipv6Addr::LOCALHOST, 8080).into())]
    }
}

/// A list of addresses, its items perhaps lists themselves, with commas. `localhost` stands for both loopbacks.
pub(super) fn parse_listen_addresses(items: &[String]) -> Result<Vec<ListenAddress>, String> {
    let mut addresses = Vec::new();
    let all = items.iter().flat_map(|item| item.split(',')).map(str::trim).filter(|item| !item.is_empty());
    for item in all {
        let named = item.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
        let mut add = |address: ListenAddress| {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        };
        if let Some(port) = named {
            add(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, port).into()));
            add(ListenAddress::Tcp((Ipv6Addr::LOCALHOST, port).into()));
        } else if let Some(path) = item.strip_prefix("unix:") {
            // what the kernel's sockaddr_un takes
            if !path.starts_with('/') || path.len() > 107 {
                return Err(format!("`{item}`: a unix socket is unix:/PATH, its path at most 107 bytes"));
            }
            add(ListenAddress::Unix(path.into()));
        } else {
            let address = item.parse();
            add(ListenAddress::Tcp(address.map_err(|_| {
                format!("`{item}` must be IP:PORT ([::1]:8080 for IPv6), localhost:PORT or unix:/PATH")
            })?));
        }
    }
    match addresses.len() {
        0 => Err("must name an address".to_owned()),
        1..=16 => Ok(addresses),
        _ => Err("at most 16 addresses".to_owned()),
    }
}

/// What to keep free of something: a share of the whole, within bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reserve {
    percent: f64,
    least: u64,
    most: u64,
}

impl Reserve {
    /// For a device of 512 MiB: 64 MiB. podman needs about that much to stop a pod.
    pub const DEFAULT_MEMORY: Self = Self { percent: 10.0, least: 64 << 20, most: 512 << 20 };
    /// Of each disk.
    pub const DEFAULT_DISK: Self = Self { percent: 5.0, least: 0, most: 1 << 30 };

    #[cfg(test)]
    pub(crate) const OFF: Self = Self { percent: 0.0, least: 0, most: 0 };
    #[cfg(test)]
    pub(crate) const ALL: Self = Self { percent: 100.0, least: 0, most: u64::MAX };

    /// In bytes, given the whole; 0: nothing.
    pub fn bytes_of(&self, whole: u64) -> u64 {
        ((whole as f64 / 100.0 * self.percent) as u64).clamp(self.least, self.most)
    }
}

/// `64Mi`, `64MiB`, a number of bytes, or `5%`.
pub(super) fn parse_reserve(text: &str) -> Result<Reserve, String> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent = percent.trim().parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
        let percent = percent.ok_or("must be a share from 0% to 100%")?;
        return Ok(Reserve { percent, least: 0, most: u64::MAX });
    }
    let bytes = parse_bytes(text).ok_or("must be like 64Mi, 64MiB or 5%; 0 turns it off")?;
    Ok(Reserve { percent: 0.0, least: bytes, most: bytes })
}

fn parse_bytes(text: &str) -> Option<u64> {
    quantity::parse_bytes(text.strip_suffix('B').unwrap_or(text))
}

/// No container starts with less than podman's own least.
pub(super) fn parse_memory_limit(text: &str) -> Result<Option<u64>, String> {
    const MIN_MEMORY: u64 = 4 << 20;
    let limit =
        if text == "none" { Some(None) } else { parse_bytes(text).filter(|it| *it >= MIN_MEMORY).map(Some) };
    limit.ok_or_else(|| "must be `none`, or at least 4Mi, like 64Mi".to_owned())
}

/// In thousandths of a core; podman knows no less than ten.
pub(super) fn parse_cpu_limit(text: &str) -> Result<Option<u32>, String> {
    let parse =
        || u32::try_from(quantity::parse_thousandths(text)?).ok().filter(|limit| *limit >= 10).map(Some);
    let limit = if text == "none" { Some(None) } else { parse() };
    limit.ok_or_else(|| "must be `none`, or cores: at least 0.01, like 0.5 or 500m".to_owned())
}

pub(super) fn parse_pids_limit(text: &str) -> Result<Option<u32>, String> {
    let limit = if text == "none" { Some(None) } else { text.parse().ok().filter(|it| *it > 0).map(Some) };
    limit.ok_or_else(|| "must be `none`, or a whole number of at least 1".to_owned())
}

/// `none`, or a time: seconds when it has no unit.
pub(super) fn parse_ttl(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        _ => None,
    };
    let seconds = number.parse::<u32>().ok().zip(factor).map(|(number, factor)| u64::from(number) * factor);
    match seconds {
        Some(seconds @ 1..) => Ok(Some(Duration::from_secs(seconds))),
        _ => Err("must be `none`, or a whole number of at least 1: seconds, or with s, m or h".to_owned()),
    }
}

pub(super) fn parse_switch(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}

pub(super) fn parse_log_level(text: &str) -> Result<log::LevelFilter, String> {
    match text.parse() {
        Ok(level) if level != log::LevelFilter::Off => Ok(level),
        _ => Err("must be error, warn, info, debug or trace".to_owned()),
    }
}

pub(super) fn parse_unknown_fields(text: &str) -> Result<UnknownFields, String> {
    match text {
        "refuse" => Ok(UnknownFields::Refuse),
        "warn" => Ok(UnknownFields::Warn),
        _ => Err("must be `refuse` or `warn`".to_owned()),
    }
}

pub(super) fn parse_device_id(text: &str) -> Result<String, String> {
    if is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err("must be lower-case DNS-1123: lower-case letters, digits, inner hyphens and inner dots".to_owned())
}

pub(super) fn parse_namespace(text: &str) -> Result<String, String> {
    if crate::wire::dns_names::is_dns_label(text) {
        return Ok(text.to_owned());
    }
    Err("must be a lower-case DNS-1123 label: letters, digits and inner hyphens, at most 63".to_owned())
}

/// An `https` URL with a host; no credentials, which would end up in logs.
pub(super) fn parse_server_url(text: &str) -> Result<String, String> {
    parse_url(text, "https")
        .map_err(|cause| format!("must be an https URL like https://edge.example:8043: {cause}"))
}

/// A proxy that is asked to CONNECT. TLS goes through it, not to it.
pub(super) fn parse_proxy_url(text: &str) -> Result<String, String> {
    parse_url(text, "http")
        .map_err(|cause| format!("must be a proxy's URL like http://proxy.example:3128: {cause}"))
}

fn parse_url(text: &str, scheme: &str) -> Result<String, String> {
    let uri: ureq::http::Uri = text.parse().map_err(|error| format!("{error}"))?;
    if uri.scheme_str() != Some(scheme) {
        return Err(format!("its scheme must be {scheme}"));
    }
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    if authority.contains('@') {
        return Err("it must not carry a user name or password".to_owned());
    }
    // `http` reads a port that is no number, or too large, as none
    let has_bad_port = uri.port().is_none() && !authority.ends_with(']') && authority.contains(':')
        || uri.port().is_some_and(|port| port.as_u16() == 0);
    if uri.host().unwrap_or_default().is_empty() || has_bad_port {
        return Err("it names no host, or no port from 1 to 65535".to_owned());
    }
    Ok(text.to_owned())
}

/// Of what a server may prove to be.
pub(super) fn parse_host_name(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if is_dns_subdomain(&lower) || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    Err("must be a host name or an IP address".to_owned())
}
