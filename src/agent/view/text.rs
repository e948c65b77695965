//! A report as people read it on a terminal: plain tables, one line a thing.

use std::fmt::Write;

use super::table::{PageStyle, table};
use crate::agent::{
    model::report::{ContainerFailure, LastRun, LinkReport, ProbeResult, Report, Workload, WorkloadState},
    sanitize::sanitize_line,
};

/// The device and everything on it.
pub fn status_page(report: &Report, style: PageStyle) -> String {
    let device = &report.device;
    let health = if device.healthy { "healthy" } else { "degraded" };
    let mut rows = vec![vec!["device".to_owned(), format!("{}: {health}", device.id)]];
    if let Some(server) = &device.server {
        rows.push(vec!["server".to_owned(), link_line(server)]);
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
    if let Some(text) = foreign_workloads_text(&device.elsewhere) {
        rows.push(vec!["note".to_owned(), text]);
    }
    let mut text = table(&rows, style);
    text.push('\n');
    if report.workloads.is_empty() {
        text.push_str("no workloads\n");
    } else {
        text.push_str(&table(&[vec![workload_counts(&report.workloads)]], style));
        let mut rows = vec![table_header(&["WORKLOAD", "STATE", "SINCE", "RESTARTS", "NEXT", "CPU", "WHY"])];
        let mut workloads: Vec<&Workload> = report.workloads.iter().collect();
        workloads.sort_by_key(|workload| urgency(workload));
        rows.extend(workloads.into_iter().map(workload_row));
        text.push_str(&table(&rows, style));
    }
    let conditions: Vec<_> = report
        .profiles
        .iter()
        .flat_map(|profile| profile.conditions.iter().map(move |condition| (profile, condition)))
        .map(|(profile, it)| vec![profile.name.clone(), it.name.clone(), yes_or_no(it.holds), it.why.clone()])
        .collect();
    if !conditions.is_empty() {
        let heads = table_header(&["PROFILE", "CONDITION", "HOLDS", "WHY"]);
        let _ = write!(text, "\n{}", table(&[vec![heads], conditions].concat(), style));
    }
    text
}

/// For example `12 workloads: 9 running, 2 inactive, 1 failed`.
fn workload_counts(workloads: &[Workload]) -> String {
    let mut states = WorkloadState::ALL;
    states.sort_by_key(|state| *state != WorkloadState::Running);
    let of = |state: WorkloadState| {
        let count = workloads.iter().filter(|workload| workload.state == state).count();
        (count > 0).then(|| format!("{count} {}", state.state_name()))
    };
    let are = if workloads.len() == 1 { "workload" } else { "workloads" };
    let counts: Vec<String> = states.into_iter().filter_map(of).collect();
    format!("{} {are}: {}", workloads.len(), counts.join(", "))
}

/// What isn't as it should be comes first, then what may become so.
fn urgency(workload: &Workload) -> u8 {
    match workload.state {
        _ if workload.well => 2,
        WorkloadState::Pulling | WorkloadState::Starting | WorkloadState::Stopping => 1,
        _ => 0,
    }
}

/// Said of `what` that is for another device.
pub fn for_another_device_text(what: &str) -> String {
    format!("{what} is for another device")
}

/// The same of all, for example `2 workloads are for other devices: a, b`.
pub fn foreign_workloads_text(names: &[String]) -> Option<String> {
    let are = if names.len() == 1 { "workload is" } else { "workloads are" };
    (!names.is_empty()).then(|| format!("{} {are} for other devices: {}", names.len(), names.join(", ")))
}

fn workload_row(workload: &Workload) -> Vec<String> {
    let run = workload.last_run.filter(|_| workload.cron.is_some());
    let run = run.map(|run| format!("last run {}", last_run_text(run)));
    let why = [workload.cause.clone(), run, workload.notes.first().cloned()];
    let why: Vec<String> = why.into_iter().flatten().collect();
    vec![
        workload.name.clone(),
        workload.state.state_name().to_owned(),
        duration_or_dash(workload.since),
        workload.restarts.to_string(),
        duration_or_dash(workload.next),
        workload.cpu.map_or_else(|| "-".to_owned(), cpu_percent_text),
        why.join("; "),
    ]
}

/// One workload, with all that is known of it.
pub fn describe(workload: &Workload, style: PageStyle) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut rows: Vec<(&str, String)> = vec![
        ("name", workload.name.clone()),
        ("state", workload.state.state_name().to_owned()),
        ("since", duration_or_dash(workload.since)),
        ("why", text(&workload.cause)),
        ("remedy", text(&workload.remedy)),
        ("next", workload.next.map(|left| format!("in {}", format_duration(left))).unwrap_or_default()),
        ("restarts", workload.restarts.to_string()),
        ("last failure", text(if workload.failure == workload.cause { &None } else { &workload.failure })),
        ("last run", workload.last_run.map(last_run_text).unwrap_or_default()),
        ("cron", text(&workload.cron)),
        ("cpu limit", workload.cpu.map(cpu_percent_text).unwrap_or_default()),
        ("engine", text(&workload.engine)),
        ("pod", text(&workload.pod)),
        ("falls back to", text(&workload.previous)),
        ("from", workload.source.to_owned()),
    ];
    for ContainerFailure { container, failures, cause } in &workload.failures {
        rows.push(("failures", format!("{container}: {failures} in a row; the last: {cause}")));
    }
    for ProbeResult { container, probe, healthy, output } in &workload.probes {
        let says = match healthy {
            Some(true) => "well",
            Some(false) => "failed",
            None => "no answer yet",
        };
        let output = if output.is_empty() { String::new() } else { format!(": {output}") };
        rows.push(("probe", format!("{container}: {probe}: {says}{output}")));
    }
    rows.extend(workload.notes.iter().map(|note| ("note", note.clone())));
    for profile in &workload.profiles {
        rows.push((
            "profile",
            format!("{}: {}", profile.name, if profile.holds { "holds" } else { "doesn't hold" }),
        ));
        for condition in &profile.conditions {
            let limit = condition.cpu.map(|cpu| format!(" (limits the CPU to {})", cpu_percent_text(cpu)));
            let is = if condition.holds { "true" } else { "false" };
            let limit = limit.unwrap_or_default();
            rows.push(("", format!("{} is {is}: {}{limit}", condition.name, condition.why)));
        }
    }
    rows.retain(|(_, value)| !value.is_empty());
    table(&rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect::<Vec<_>>(), style)
}

/// Why a workload runs, or doesn't, and what can be done.
pub fn explain(workload: &Workload) -> String {
    let Workload { name, state, since, cause, remedy, last_run, next, notes, .. } = workload;
    let mut text = format!("{name} is {}", state.state_name());
    if let Some(cause) = cause {
        let _ = write!(text, ": {}", sanitize_line(cause));
    }
    text.push('\n');
    if let Some(since) = since {
        let _ = writeln!(text, "since: {}", format_duration(*since));
    }
    if let Some(run) = last_run {
        let _ = writeln!(text, "last run: {}", self::last_run_text(*run));
    }
    if let Some(left) = next {
        let _ = writeln!(text, "next: in {}", format_duration(*left));
    }
    for note in notes {
        let _ = writeln!(text, "note: {}", sanitize_line(note));
    }
    if let Some(remedy) = remedy {
        let _ = writeln!(text, "remedy: {}", sanitize_line(remedy));
    }
    text
}

/// The metrics, and who asks for them.
pub fn metrics_page(report: &Report, style: PageStyle) -> String {
    let mut rows = vec![table_header(&["METRIC", "VALUE", "POSTED", "USED BY"])];
    for metric in &report.metrics {
        let mut users = Vec::new();
        for profile in &report.profiles {
            let mentions =
                profile.conditions.iter().filter(|it| it.tests.iter().any(|test| test.metric == metric.name));
            users.extend(mentions.map(|condition| format!("{}.{}", profile.name, condition.name)));
        }
        let value = metric.value.map_or_else(|| "nil".to_owned(), |value| value.to_string());
        let age = metric.age.map_or_else(|| "-".to_owned(), |age| format!("{} ago", format_duration(age)));
        rows.push(vec![metric.name.clone(), value, age, users.join(", ")]);
    }
    if rows.len() == 1 {
        "no metrics: none was posted, and no condition mentions one\n".into()
    } else {
        table(&rows, style)
    }
}

/// For example `linked; heard 12s ago; asked again in 48s; certificate for 20d3h; configuration '42' of 12s ago`.
fn link_line(server: &LinkReport) -> String {
    let mut parts = vec![server.link.to_owned()];
    parts.extend(server.heard.map(|age| format!("heard {} ago", format_duration(age))));
    match server.next {
        Some(left) => parts.push(format!("asked again in {}", format_duration(left))),
        None if server.link == "disconnected" => parts.push("until 'device-worker-ng register'".to_owned()),
        None => parts.push("being asked".to_owned()),
    }
    parts.extend(server.certificate.map(|left| match left {
        0.. => format!("certificate for {}", format_duration(left.unsigned_abs())),
        _ => format!("certificate ended {} ago", format_duration(left.unsigned_abs())),
    }));
    if let Some(version) = &server.configuration {
        let age = server.configuration_age.map(|age| format!(" of {} ago", format_duration(age)));
        parts.push(format!("configuration '{version}'{}", age.unwrap_or_default()));
    }
    parts.join("; ")
}

/// For example `5m2s ago, after 3s, with exit code 1`.
fn last_run_text(LastRun { code, ended, ran }: LastRun) -> String {
    let ended = ended.map(|age| format!("{} ago, ", format_duration(age))).unwrap_or_default();
    let ran = ran.map(|ran| format!("after {}, ", format_duration(ran))).unwrap_or_default();
    format!("{ended}{ran}with exit code {code}")
}

fn table_header(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn yes_or_no(holds: bool) -> String {
    if holds { "yes" } else { "no" }.to_owned()
}

fn duration_or_dash(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), format_duration)
}

/// CPU time in µs per 100,000 µs, in per cent of a core.
fn cpu_percent_text(cpu: u64) -> String {
    format!("{}%", cpu as f64 / 1000.0)
}

/// The two largest units.
pub fn format_duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::report::Device;

    #[test]
    fn failures_come_first_and_all_are_counted() {
        let workload =
            |name: &str, state, well| Workload { name: name.into(), state, well, ..Workload::default() };
        let workloads = vec![
            workload("a", WorkloadState::Inactive, true),
            workload("b", WorkloadState::Running, true),
            workload("c", WorkloadState::Pulling, false),
            workload("d", WorkloadState::Running, false),
            workload("e", WorkloadState::Failed, false),
            workload("f", WorkloadState::Running, true),
        ];
        let device = Device {
            id: "dev1".into(),
            healthy: false,
            server: None,
            engines: vec![],
            shortages: vec![],
            problems: vec![],
            elsewhere: vec!["x".into(), "y".into()],
        };
        let report = Report { version: "0", device, workloads, profiles: vec![], metrics: vec![] };
        let text = status_page(&report, PageStyle { width: 80, colour: false });
        let names: Vec<&str> = text.lines().skip(5).map(|line| &line[..1]).collect();
        assert_eq!(names, ["d", "e", "c", "a", "b", "f"], "{text}");
        let counts = "6 workloads: 3 running, 1 pulling, 1 inactive, 1 failed";
        assert_eq!(text.lines().nth(3), Some(counts), "{text}");
        assert!(text.contains("note    2 workloads are for other devices: x, y\n"), "{text}");
        let narrow = status_page(&report, PageStyle { width: 40, colour: false });
        assert!(narrow.contains("\n6 workloads: 3 running, 1 pulling, 1\ninactive, 1 failed\n"), "{narrow}");
    }
}
