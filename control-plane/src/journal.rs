//! What people and tests get to see: a line per request on stdout, and the whole of it as JSON.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;
use time::{OffsetDateTime, macros::format_description};

use crate::faults::Call;

/// One request and what became of it; one JSON object, one line.
#[derive(Serialize)]
pub(crate) struct Entry<'a> {
    /// When it was answered: seconds since 1970.
    pub(crate) at: f64,
    /// Requests on one connection have the same number.
    pub(crate) connection: u64,
    pub(crate) device: &'a str,
    pub(crate) call: Call,
    /// 0: no answer.
    pub(crate) status: u16,
    /// Bytes of the request's line and headers.
    pub(crate) head: usize,
    /// Bytes of its body.
    pub(crate) body: usize,
    /// How the server misbehaved.
    pub(crate) trouble: Option<&'a str>,
    /// The posted message's content.
    pub(crate) content: &'a Value,
    /// Of the configuration that was the answer.
    pub(crate) version: Option<&'a str>,
    /// The answer, if it was JSON, before any misbehaviour. Not for the file: it has secrets, and is long.
    #[serde(skip)]
    pub(crate) answer: &'a Value,
}

pub(crate) struct Journal {
    file: Option<Mutex<File>>,
    quiet: bool,
    /// What was last said of a device's polls: only changes are worth a line.
    last: Mutex<HashMap<(String, String), String>>,
}

impl Journal {
    pub(crate) fn open(path: Option<&Path>, quiet: bool) -> Result<Self> {
        let file = path.map(|path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.with_context(|| format!("failed to open '{}'", path.display()))
        });
        Ok(Self { file: file.transpose()?.map(Mutex::new), quiet, last: Mutex::default() })
    }

    /// A line for people.
    pub(crate) fn say(&self, text: &str) {
        let time = OffsetDateTime::now_utc()
            .format(format_description!("[hour]:[minute]:[second].[subsecond digits:3]"));
        // The reader may be gone: no reason to stop serving.
        let _ = writeln!(std::io::stdout(), "{} {text}", time.unwrap_or_default());
    }

    /// A line about a connection that came to nothing. There may be thousands.
    pub(crate) fn note_trouble(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    pub(crate) fn note(&self, entry: &Entry<'_>) {
        if let Some(file) = &self.file
            && let Ok(mut line) = serde_json::to_vec(entry)
        {
            line.push(b'\n');
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.write_all(&line) {
                self.say(&format!("failed to write the JSON log: {error}"));
            }
        }
        if self.quiet {
            return;
        }
        let Entry { device, call, status, .. } = entry;
        let trouble = entry.trouble.map(|trouble| format!(" ({trouble})")).unwrap_or_default();
        let line = format!("{device} {call} {status}{trouble}{}", details(entry));
        if matches!(call, Call::Configuration | Call::Control) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.insert(((*device).to_owned(), call.to_string()), line.clone()).as_ref() == Some(&line) {
                return;
            }
        }
        self.say(&line);
        for event in entry.content["events"].as_array().into_iter().flatten() {
            let text = |key: &str| event[key].as_str().unwrap_or("?");
            self.say(&format!("{device} event [{}] {}: {}", text("type"), text("reason"), text("message")));
        }
    }
}

/// What is worth seeing of this kind of request.
fn details(entry: &Entry<'_>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let list = |value: &Value, each: &dyn Fn(&Value) -> String| {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().map(each).collect::<Vec<_>>().join(" ")
    };
    match entry.call {
        Call::Heartbeat => {
            let content = entry.content;
            let workloads =
                list(&content["workloads"], &|w| format!("{}={}", text(&w["name"]), text(&w["status"])));
            let hardware = if content["hardware"].is_null() { "" } else { " with hardware" };
            format!(
                " {} version={}: {workloads}{hardware}",
                text(&content["status"]),
                text(&content["version"])
            )
        }
        // Without the version: it changes all the time.
        Call::Configuration if entry.status == 200 => {
            format!(": {}", list(&entry.answer["content"]["workloads"], &|workload| text(&workload["name"])))
        }
        Call::Control if !entry.answer.is_null() => {
            format!(": {}", text(&entry.answer["content"]["command"]))
        }
        _ => String::new(),
    }
}
