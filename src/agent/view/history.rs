//! What has happened of late, as people and scripts read it: newest last.

use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use crate::agent::{
    model::{
        history::{History, HistoryEntry},
        notice::{Reason, Severity},
        time,
    },
    view::table::{PageStyle, table},
};

/// For scripts.
#[derive(Debug, Serialize)]
pub struct HistoryOutput<'a> {
    events: Vec<HistoryRow<'a>>,
}

#[derive(Debug, Serialize)]
struct HistoryRow<'a> {
    time: String,
    first: String,
    times: u32,
    severity: Severity,
    reason: Reason,
    workload: Option<&'a str>,
    message: &'a str,
}

/// What is about this workload, or all of it.
pub fn events<'a>(history: &'a History, about: Option<&str>) -> HistoryOutput<'a> {
    let is_meant = |it: &&HistoryEntry| about.is_none() || it.notice.workload_name() == about;
    let event = |HistoryEntry { at, first, notice }: &'a HistoryEntry| HistoryRow {
        time: epoch_timestamp(*at),
        first: epoch_timestamp(*first),
        times: notice.times,
        severity: notice.severity,
        reason: notice.reason,
        workload: notice.workload_name(),
        message: &notice.message,
    };
    HistoryOutput { events: history.iter().map(|it| &**it).filter(is_meant).map(event).collect() }
}

/// For people: a line each.
pub fn history_text(HistoryOutput { events }: &HistoryOutput<'_>, style: PageStyle) -> String {
    if events.is_empty() {
        return "nothing has happened, as far as is known\n".to_owned();
    }
    let row = |HistoryRow { time, first, times, reason, message, .. }: &HistoryRow<'_>| {
        let often = if *times > 1 { format!(" ({times} times since {first})") } else { String::new() };
        vec![time.clone(), format!("{reason:?}"), format!("{message}{often}")]
    };
    table(&events.iter().map(row).collect::<Vec<_>>(), style)
}

fn epoch_timestamp(seconds: u64) -> String {
    time::format_timestamp(UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH))
}
