//! What podman's API answers about asking containers whether they are well: by what, where, and how it went.

use std::{net::IpAddr, time::Duration};

use serde_json::Value;

use crate::agent::model::probe::{Check, Probe};

/// An address that reaches an inspected container from this device, if root's podman made its network.
pub fn container_address(container: &Value) -> Option<IpAddr> {
    let networks = container["NetworkSettings"]["Networks"].as_object()?;
    let addresses = networks.values().flat_map(|it| [&it["IPAddress"], &it["GlobalIPv6Address"]]);
    addresses.filter_map(Value::as_str).find_map(|address| address.parse().ok())
}

/// How far a process in a container is that was asked for by `exec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecState {
    /// It lives, as this process.
    Running(i32),
    /// It has ended, with this exit code.
    Ended(i32),
    /// It has not begun.
    Created,
}

impl ExecState {
    /// What `exec/ID/json` answers.
    pub fn read(session: &Value) -> Self {
        let number = |key: &str| session[key].as_i64().and_then(|number| i32::try_from(number).ok());
        match (session["Running"] == true, session["CanRemove"] == true) {
            (true, _) => Self::Running(number("Pid").unwrap_or(0)),
            (false, true) => Self::Ended(number("ExitCode").unwrap_or(-1)),
            (false, false) => Self::Created,
        }
    }
}

/// What an inspected image's HEALTHCHECK asks for, with Docker's defaults.
pub fn parse_healthcheck(image: &Value) -> Option<Probe> {
    let healthcheck = &image["Healthcheck"];
    let test: Vec<&str> = healthcheck["Test"].as_array()?.iter().filter_map(Value::as_str).collect();
    let command = match &test[..] {
        ["CMD", command @ ..] if !command.is_empty() => command,
        ["CMD-SHELL", line] => &["/bin/sh", "-c", line],
        _ => return None, // NONE
    };
    let nanos = |key: &str| Duration::from_nanos(healthcheck[key].as_u64().unwrap_or(0));
    let time = |key: &str| match nanos(key) {
        Duration::ZERO => Duration::from_secs(30),
        time => time.max(Duration::from_secs(1)),
    };
    let retries = healthcheck["Retries"].as_u64().and_then(|retries| u32::try_from(retries).ok());
    Some(Probe {
        check: Check::Exec(command.iter().map(ToString::to_string).collect()),
        // the first one is an interval after the start, and none in the start period would count
        initial_delay: nanos("StartPeriod").max(time("Interval")),
        period: time("Interval"),
        timeout: time("Timeout"),
        failure_threshold: retries.filter(|retries| *retries > 0).unwrap_or(3),
        success_threshold: 1,
    })
}

/// The last line that stands in what a process printed, as podman sends it: in frames of one byte for the stream,
/// three that say nothing, four for the length, and the data.
pub fn last_printed_line(mut frames: &[u8]) -> String {
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
        assert_eq!(last_printed_line(&frames), "two");
        assert_eq!(last_printed_line(&frames[..frames.len() - 13]), "tw");
        assert_eq!(last_printed_line(&[1, 0, 0]), "");
        assert_eq!(last_printed_line(&frame(1, &"x".repeat(250))).len(), 200);
    }

    #[test]
    fn a_command_that_has_not_begun_has_not_ended_well() {
        let read = |session: &str| ExecState::read(&serde_json::from_str(session).unwrap());
        assert_eq!(read(r#"{"Running": true, "Pid": 7, "ExitCode": 0}"#), ExecState::Running(7));
        assert_eq!(read(r#"{"Running": false, "CanRemove": true, "ExitCode": 3}"#), ExecState::Ended(3));
        assert_eq!(read(r#"{"Running": false, "CanRemove": false, "ExitCode": 0}"#), ExecState::Created);
    }

    #[test]
    fn a_healthcheck_is_a_command_or_a_line_for_the_shell_or_none() {
        let probe = |healthcheck: &str| {
            let text = format!(r#"{{"Healthcheck": {healthcheck}}}"#);
            super::parse_healthcheck(&serde_json::from_str(&text).unwrap())
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
            super::container_address(&serde_json::from_str(&text).unwrap()).map(|address| address.to_string())
        };
        let two = r#"{"a": {"IPAddress": "", "GlobalIPv6Address": ""}, "b": {"IPAddress": "10.0.0.2"}}"#;
        assert_eq!(address(two).as_deref(), Some("10.0.0.2"));
        assert_eq!(address(r#"{"a": {"GlobalIPv6Address": "fd00::2"}}"#).as_deref(), Some("fd00::2"));
        assert_eq!(address("null"), None);
    }
}
