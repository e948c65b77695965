//! What podman's API answers about processes that are run in containers, and about where containers are.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

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
