//! A report as people read it on a terminal: plain tables, one line a thing.

use std::fmt::Write;

use crate::agent::{
    legible::line,
    model::report::{LastRun, LinkReport, Report, Workload},
};

/// The device and everything on it.
pub fn status(report: &Report) -> String {
    let device = &report.device;
    let health = if device.healthy { "healthy" } else { "degraded" };
    let mut rows = vec![vec!["device".to_owned(), format!("{}: {health}", device.id)]];
    if let Some(server) = &device.server {
        rows.push(vec!["server".to_owned(), conversation(server)]);
        rows.extend(server.troubles.iter().map(|trouble| vec![String::new(), trouble.clone()]));
    }
    for engine in &device.engines {
        let state = match (&engine.cause, engine.ready) {
            (_, true) => "answers".to_owned(),
            (Some(cause), _) => format!("doesn't answer: {cause}"),
            (None, _) => "has not answered yet".to_owned(),
        };
        rows.push(vec![engine.name.clone(), state]);
    }
    rows.extend(device.shortages.iter().map(|shortage| vec!["short".to_owned(), shortage.clone()]));
    rows.extend(device.problems.iter().map(|problem| vec!["problem".to_owned(), problem.clone()]));
    if let Some(text) = elsewhere(&device.elsewhere) {
        rows.push(vec!["note".to_owned(), text]);
    }
    let mut text = table(&rows);
    text.push('\n');
    if report.workloads.is_empty() {
        text.push_str("no workloads\n");
    } else {
        let mut rows = vec![heads(&["WORKLOAD", "STATE", "SINCE", "RESTARTS", "NEXT", "CPU", "WHY"])];
        rows.extend(report.workloads.iter().map(row));
        text.push_str(&table(&rows));
    }
    let conditions: Vec<_> = report
        .profiles
        .iter()
        .flat_map(|profile| profile.conditions.iter().map(move |condition| (profile, condition)))
        .map(|(profile, it)| vec![profile.name.clone(), it.name.clone(), yes(it.holds), it.why.clone()])
        .collect();
    if !conditions.is_empty() {
        let heads = heads(&["PROFILE", "CONDITION", "HOLDS", "WHY"]);
        let _ = write!(text, "\n{}", table(&[vec![heads], conditions].concat()));
    }
    text
}

/// For example `2 workloads are for other devices: a, b`.
pub fn elsewhere(names: &[String]) -> Option<String> {
    let are = if names.len() == 1 { "workload is" } else { "workloads are" };
    (!names.is_empty()).then(|| format!("{} {are} for other devices: {}", names.len(), names.join(", ")))
}

fn row(workload: &Workload) -> Vec<String> {
    let run = workload.last_run.filter(|_| workload.cron.is_some());
    let run = run.map(|run| format!("last run {}", last_run(run)));
    let why = [workload.cause.clone(), run, workload.notes.first().cloned()];
    let why: Vec<String> = why.into_iter().flatten().collect();
    vec![
        workload.name.clone(),
        workload.state.word().to_owned(),
        ago(workload.since),
        workload.restarts.to_string(),
        ago(workload.next),
        workload.cpu.map_or_else(|| "-".to_owned(), share),
        why.join("; "),
    ]
}

/// One workload, with all that is known of it.
pub fn describe(workload: &Workload) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut rows: Vec<(&str, String)> = vec![
        ("name", workload.name.clone()),
        ("state", workload.state.word().to_owned()),
        ("since", ago(workload.since)),
        ("why", text(&workload.cause)),
        ("remedy", text(&workload.remedy)),
        ("next", workload.next.map(|left| format!("in {}", duration(left))).unwrap_or_default()),
        ("restarts", workload.restarts.to_string()),
        ("last failure", text(&workload.failure)),
        ("last run", workload.last_run.map(last_run).unwrap_or_default()),
        ("cron", text(&workload.cron)),
        ("cpu limit", workload.cpu.map(share).unwrap_or_default()),
        ("engine", text(&workload.engine)),
        ("pod", text(&workload.pod)),
        ("from", workload.source.to_owned()),
    ];
    rows.extend(workload.notes.iter().map(|note| ("note", note.clone())));
    for profile in &workload.profiles {
        rows.push((
            "profile",
            format!("{}: {}", profile.name, if profile.holds { "holds" } else { "doesn't hold" }),
        ));
        for condition in &profile.conditions {
            let limit = condition.cpu.map(|cpu| format!(" (limits the CPU to {})", share(cpu)));
            let is = if condition.holds { "true" } else { "false" };
            let limit = limit.unwrap_or_default();
            rows.push(("", format!("{} is {is}: {}{limit}", condition.name, condition.why)));
        }
    }
    rows.retain(|(_, value)| !value.is_empty());
    table(&rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect::<Vec<_>>())
}

/// Why a workload runs, or doesn't, and what can be done.
pub fn explain(workload: &Workload) -> String {
    let Workload { name, state, cause, remedy, last_run, next, notes, .. } = workload;
    let mut text = format!("{name} is {}", state.word());
    if let Some(cause) = cause {
        let _ = write!(text, ": {}", line(cause));
    }
    text.push('\n');
    if let Some(run) = last_run {
        let _ = writeln!(text, "last run: {}", self::last_run(*run));
    }
    if let Some(left) = next {
        let _ = writeln!(text, "next: in {}", duration(*left));
    }
    for note in notes {
        let _ = writeln!(text, "note: {}", line(note));
    }
    if let Some(remedy) = remedy {
        let _ = writeln!(text, "remedy: {}", line(remedy));
    }
    text
}

/// The metrics, and who asks for them.
pub fn metrics(report: &Report) -> String {
    let mut rows = vec![heads(&["METRIC", "VALUE", "POSTED", "USED BY"])];
    for metric in &report.metrics {
        let mut users = Vec::new();
        for profile in &report.profiles {
            let mentions =
                profile.conditions.iter().filter(|it| it.tests.iter().any(|test| test.metric == metric.name));
            users.extend(mentions.map(|condition| format!("{}.{}", profile.name, condition.name)));
        }
        let value = metric.value.map_or_else(|| "nil".to_owned(), |value| value.to_string());
        let age = metric.age.map_or_else(|| "-".to_owned(), |age| format!("{} ago", duration(age)));
        rows.push(vec![metric.name.clone(), value, age, users.join(", ")]);
    }
    if rows.len() == 1 {
        "no metrics: none was posted, and no condition mentions one\n".into()
    } else {
        table(&rows)
    }
}

/// For example `linked; heard 12s ago; asked again in 48s; certificate for 20d3h; configuration '42' of 12s ago`.
fn conversation(server: &LinkReport) -> String {
    let mut parts = vec![server.link.to_owned()];
    parts.extend(server.heard.map(|age| format!("heard {} ago", duration(age))));
    match server.next {
        Some(left) => parts.push(format!("asked again in {}", duration(left))),
        None if server.link == "disconnected" => parts.push("until 'device-worker-ng register'".to_owned()),
        None => parts.push("being asked".to_owned()),
    }
    parts.extend(server.certificate.map(|left| match left {
        0.. => format!("certificate for {}", duration(left.unsigned_abs())),
        _ => format!("certificate ended {} ago", duration(left.unsigned_abs())),
    }));
    if let Some(version) = &server.configuration {
        let age = server.configuration_age.map(|age| format!(" of {} ago", duration(age)));
        parts.push(format!("configuration '{version}'{}", age.unwrap_or_default()));
    }
    parts.join("; ")
}

/// For example `5m2s ago, after 3s, with exit code 1`.
fn last_run(LastRun { code, ended, ran }: LastRun) -> String {
    let ended = ended.map(|age| format!("{} ago, ", duration(age))).unwrap_or_default();
    let ran = ran.map(|ran| format!("after {}, ", duration(ran))).unwrap_or_default();
    format!("{ended}{ran}with exit code {code}")
}

fn heads(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn yes(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_owned()
}

fn ago(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), duration)
}

/// CPU time in µs per 100,000 µs, in per cent of a core.
fn share(cpu: u64) -> String {
    format!("{}%", cpu as f64 / 1000.0)
}

/// The two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Columns as wide as their widest cell; the last one as it comes.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| line(cell)).collect()).collect();
    let mut widths = vec![0; columns];
    for row in &rows {
        for (cell, width) in row.iter().zip(&mut widths) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut shown = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(shown, "{cell:<width$}  ");
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}
