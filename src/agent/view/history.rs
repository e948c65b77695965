//! What has happened of late, as people and scripts read it: newest last.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::agent::{
    model::{
        history::{Happened, History},
        notice::{Reason, Severity},
        time,
    },
    view::table::{Look, table},
};

/// For scripts.
#[derive(Debug, Serialize)]
pub struct Events<'a> {
    events: Vec<Event<'a>>,
}

#[derive(Debug, Serialize)]
struct Event<'a> {
    time: String,
    first: String,
    times: u32,
    severity: Severity,
    reason: Reason,
    workload: Option<&'a str>,
    message: &'a str,
}

/// What is about this workload, or all of it.
pub fn events<'a>(history: &'a History, about: Option<&str>) -> Events<'a> {
    let is_meant = |it: &&Happened| about.is_none() || it.notice.about() == about;
    let event = |Happened { at, first, notice }: &'a Happened| Event {
        time: stamp(*at),
        first: stamp(*first),
        times: notice.times,
        severity: notice.severity,
        reason: notice.reason,
        workload: notice.about(),
        message: &notice.message,
    };
    Events { events: history.iter().map(|it| &**it).filter(is_meant).map(event).collect() }
}

/// For people: a line each.
pub fn text(Events { events }: &Events<'_>, look: Look) -> String {
    if events.is_empty() {
        return "nothing has happened, as far as is known\n".to_owned();
    }
    let row = |Event { time, first, times, reason, message, .. }: &Event<'_>| {
        let often = if *times > 1 { format!(" ({times} times since {first})") } else { String::new() };
        vec![time.clone(), format!("{reason:?}"), format!("{message}{often}")]
    };
    table(&events.iter().map(row).collect::<Vec<_>>(), look)
}

fn stamp(seconds: u64) -> String {
    time::stamp(UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH))
}
