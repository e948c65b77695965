//! What podman's API answers about asking containers whether they are well: by what, where, and how it went.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::Deserialize;

use crate::agent::health::{Check, Probe};

/// Where a container is on its networks, in its inspection.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Networked {
    network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Endpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    address: String,
    #[serde(rename = "GlobalIPv6Address")]
    address_v6: String,
}

impl Networked {
    /// An address that reaches it from this device, if root's podman made its network.
    pub fn address(&self) -> Option<IpAddr> {
        let endpoints = self.network_settings.networks.iter().flat_map(BTreeMap::values);
        let mut addresses = endpoints.flat_map(|it| [&it.address, &it.address_v6]);
        addresses.find_map(|address| address.parse().ok())
    }
}

/// What `containers/NAME/exec` answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedExec {
    /// 64 hex digits.
    pub id: String,
}

/// What `exec/ID/json` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct InspectedExec {
    /// Whether its process lives.
    pub running: bool,
    /// It has ended, and not just never begun.
    pub can_remove: bool,
    /// Meaningless before it has ended.
    pub exit_code: i32,
    /// Of its process, while it lives.
    pub pid: i32,
}

/// What `images/NAME/json` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct InspectedImage {
    healthcheck: Option<Healthcheck>,
}

/// Times are in nanoseconds; 0: the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    test: Option<Vec<String>>,
    start_period: u64,
    interval: u64,
    timeout: u64,
    retries: u32,
}

impl InspectedImage {
    /// What its HEALTHCHECK asks for, with Docker's defaults.
    pub fn probe(self) -> Option<Probe> {
        let Healthcheck { test, start_period, interval, timeout, retries } = self.healthcheck?;
        let command = match test.as_deref()? {
            [kind, command @ ..] if kind == "CMD" && !command.is_empty() => command.to_vec(),
            [kind, line] if kind == "CMD-SHELL" => vec!["/bin/sh".into(), "-c".into(), line.clone()],
            _ => return None, // NONE
        };
        let time = |nanos: u64| match Duration::from_nanos(nanos) {
            Duration::ZERO => Duration::from_secs(30),
            time => time.max(Duration::from_secs(1)),
        };
        Some(Probe {
            check: Check::Exec(command),
            // the first one is an interval after the start, and none in the start period would count
            initial_delay: Duration::from_nanos(start_period).max(time(interval)),
            period: time(interval),
            timeout: time(timeout),
            failure_threshold: if retries == 0 { 3 } else { retries },
        })
    }
}

/// The last line that stands in what a process printed, as podman sends it: in frames of one byte for the stream,
/// three that say nothing, four for the length, and the data.
pub fn last_line(mut frames: &[u8]) -> String {
    let mut text = Vec::new();
    while let [_, _, _, _, a, b, c, d, rest @ ..] = frames {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (data, rest) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(data);
        frames = rest;
    }
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|char| !char.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_both_streams_is_kept_however_it_was_cut() {
        let frame = |stream: u8, text: &str| {
            let mut frame = vec![stream, 0, 0, 0, 0, 0, 0, text.len() as u8];
            frame.extend_from_slice(text.as_bytes());
            frame
        };
        let frames = [frame(1, "one\n"), frame(2, "tw"), frame(2, "o\u{7}\r\n\n")].concat();
        assert_eq!(last_line(&frames), "two");
        assert_eq!(last_line(&frames[..frames.len() - 13]), "tw");
        assert_eq!(last_line(&[1, 0, 0]), "");
        assert_eq!(last_line(&frame(1, &"x".repeat(250))).len(), 200);
    }

    #[test]
    fn a_healthcheck_is_a_command_or_a_line_for_the_shell_or_none() {
        let probe = |healthcheck: &str| {
            let text = format!(r#"{{"Healthcheck": {healthcheck}}}"#);
            serde_json::from_str::<InspectedImage>(&text).unwrap().probe()
        };
        let command = |healthcheck: &str| match probe(healthcheck).map(|probe| probe.check) {
            Some(Check::Exec(command)) => command.join("|"),
            other => panic!("{other:?}"),
        };
        assert_eq!(command(r#"{"Test": ["CMD", "a", "b c"]}"#), "a|b c");
        assert_eq!(command(r#"{"Test": ["CMD-SHELL", "a || exit 1"]}"#), "/bin/sh|-c|a || exit 1");
        for none in ["null", "{}", r#"{"Test": null}"#, r#"{"Test": ["NONE"]}"#, r#"{"Test": ["CMD"]}"#] {
            assert_eq!(probe(none), None, "{none}");
        }
        let times = |healthcheck: &str| {
            let probe = probe(healthcheck).unwrap();
            let times = [probe.initial_delay, probe.period, probe.timeout].map(|time| time.as_secs());
            (times, probe.failure_threshold)
        };
        assert_eq!(times(r#"{"Test": ["CMD", "a"]}"#), ([30, 30, 30], 3));
        let given = r#"{"Test": ["CMD", "a"], "StartPeriod": 9000000000, "Interval": 2000000000,
                        "Timeout": 4000000000, "Retries": 5}"#;
        assert_eq!(times(given), ([9, 2, 4], 5));
    }

    #[test]
    fn the_first_address_that_there_is_counts() {
        let address = |networks: &str| {
            let text = format!(r#"{{"NetworkSettings": {{"Networks": {networks}}}}}"#);
            serde_json::from_str::<Networked>(&text).unwrap().address().map(|address| address.to_string())
        };
        let two = r#"{"a": {"IPAddress": "", "GlobalIPv6Address": ""}, "b": {"IPAddress": "10.0.0.2"}}"#;
        assert_eq!(address(two).as_deref(), Some("10.0.0.2"));
        assert_eq!(address(r#"{"a": {"GlobalIPv6Address": "fd00::2"}}"#).as_deref(), Some("fd00::2"));
        assert_eq!(address("null"), None);
    }
}
