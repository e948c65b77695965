//! What a container printed, piece by piece, becomes lines that may be shown.

use std::{
    collections::VecDeque,
    io::{self, Write},
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use super::place::PodmanContainer;
use crate::{
    agent::{redact::Redactor, sanitize},
    io::podman::PodmanReader,
};

/// Of a line, in bytes: what is longer is shown in pieces.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Whether it was read to its end.
pub(super) fn print(
    podman: &PodmanReader,
    container: &PodmanContainer,
    query: &[(&str, String)],
    lines: &mut LinePrinter<'_>,
) -> Result<bool, String> {
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (*key, &**value)).collect();
    let mut is_read = true;
    podman.logs(&container.id, &query, None, &mut |stream, bytes| {
        is_read = lines.push(stream, bytes);
        is_read
    })?;
    lines.flush();
    Ok(is_read)
}

/// As podman reads it: seconds since 1970, with a fraction.
pub(super) fn podman_timestamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
}

/// Pieces of two streams become lines.
pub(super) struct LinePrinter<'a> {
    redactor: &'a Redactor,
    container: &'a str,
    prefix: String,
    is_json: bool,
    /// What has no end yet.
    streams: [Vec<u8>; 2],
    /// So many of what comes are shown, at its end.
    pub(super) last: Option<(u32, VecDeque<String>)>,
}

impl<'a> LinePrinter<'a> {
    pub(super) fn new(redactor: &'a Redactor, container: &'a str, is_alone: bool, is_json: bool) -> Self {
        let prefix = if is_alone { String::new() } else { format!("{container} | ") };
        Self { redactor, container, prefix, is_json, streams: Default::default(), last: None }
    }

    /// Whether they are still read.
    pub(super) fn push(&mut self, stream: u8, bytes: &[u8]) -> bool {
        let at = usize::from(stream == 2);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line = std::mem::take(&mut self.streams[at]);
            line.extend_from_slice(piece);
            if line.ends_with(b"\n") || line.len() >= MAX_LINE_BYTES {
                if !self.print_line(at, &line) {
                    return false;
                }
                line.clear();
            }
            self.streams[at] = line;
        }
        true
    }

    pub(super) fn flush(&mut self) {
        for at in [0, 1] {
            let line = std::mem::take(&mut self.streams[at]);
            let _ = line.is_empty() || self.print_line(at, &line);
        }
        for line in self.last.take().into_iter().flat_map(|(_, lines)| lines) {
            let _ = io::stdout().write_all(line.as_bytes());
        }
    }

    fn print_line(&mut self, stream: usize, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line));
        let line = self.redactor.redact(&line);
        let shown = if self.is_json {
            let stream = ["stdout", "stderr"][stream];
            let line = json!({ "container": self.container, "stream": stream, "line": line });
            sanitize::sanitize_page(&line.to_string()).into_owned()
        } else {
            format!("{}{}", self.prefix, sanitize::sanitize_output_line(&line))
        };
        let shown = format!("{shown}\n");
        let Some((tail, lines)) = &mut self.last else {
            return io::stdout().write_all(shown.as_bytes()).is_ok();
        };
        lines.push_back(shown); // podman keeps no more than 10 MB
        if lines.len() > *tail as usize {
            lines.pop_front();
        }
        true
    }
}
