//! `--check`: says what settings and manifests mean, and touches nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    agent::{
        expression::Expression,
        model::{
            gather::gather,
            schedule::{Backoff, Schedule},
            update::UpdateRules,
            workload::{DesiredState, ListedProfile, Profile, RestartPolicy, Workload},
        },
        mounts::socket_mount_warning,
        sanitize,
        view::{
            document::json_document,
            text::{for_another_device_text, foreign_workloads_text, format_duration},
        },
    },
    io::{
        clock,
        manifests::{Snapshot, read_once},
    },
    settings::Settings,
    wire::manifest::{Problem, Severity},
};

/// What was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// For people.
    pub text: String,
    /// For scripts.
    pub json: String,
    /// Whether the agent can do all that is asked for; warnings don't count.
    pub is_good: bool,
}

/// Reads the manifests that the settings name, and reports on both.
/// `is_strict`: for warnings it isn't good either, nor for workloads that are for other devices.
pub fn check(settings: &Settings, is_strict: bool) -> CheckReport {
    let mut text = String::from("Settings\n");
    for setting in &settings.listing {
        push_line(&mut text, &format!("  {:<20} {}  ({})", setting.key, setting.value, setting.source));
    }
    let Some(dir) = &settings.manifests else {
        text.push_str("\nNo manifests: MANIFESTS is not given.\n");
        return CheckReport { text, json: json_document("problems", "[]", clock::wall()), is_good: true };
    };
    let snapshot = read_once(dir, &settings.device_id, settings.unknown_fields).unwrap_or_else(|cause| {
        let file = Arc::from(dir.to_string_lossy());
        let problems = vec![Problem::for_file(&file, format!("can't be read: {cause}"))];
        Snapshot { desired: DesiredState::default(), problems, files: 0 }
    });
    let Snapshot { desired, problems, files } = snapshot;
    write_device(&mut text, &settings.device_id, &desired.profiles);
    write_workloads(&mut text, &desired);
    let mut doubts = undefined_references(&desired);
    let sockets = settings.metrics_sockets();
    doubts.extend(
        desired
            .workloads
            .iter()
            .filter_map(|workload| Some((workload.name(), socket_mount_warning(workload, &sockets)?))),
    );
    if !problems.is_empty() || !doubts.is_empty() {
        text.push_str("\nProblems\n");
    }
    for problem in &problems {
        let word = severity_word(problem.severity);
        push_line(&mut text, &format!("  {word}: {}", problem.to_string().replace('\n', "\n  ")));
    }
    for (workload, doubt) in &doubts {
        push_line(&mut text, &format!("  warning: workload `{workload}`: {doubt}"));
    }
    let those = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let errors = those(Severity::Error);
    let warnings = those(Severity::Warning) + doubts.len();
    let counts = [
        pluralize(desired.workloads.len(), "workload"),
        pluralize(desired.profiles.len(), "profile"),
        pluralize(files, "file"),
        pluralize(errors, "error"),
        pluralize(warnings, "warning"),
    ];
    let [workloads, profiles, files, errors_text, warnings_text] = counts;
    text.push('\n');
    push_line(
        &mut text,
        &format!("{workloads} and {profiles} from {files}: {errors_text}, {warnings_text}."),
    );
    let is_doubtful = warnings > 0 || !desired.elsewhere.is_empty();
    let json =
        json_document("problems", &problems_json(&problems, &doubts, &desired.elsewhere), clock::wall());
    CheckReport { text, json, is_good: errors == 0 && !(is_strict && is_doubtful) }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// For scripts. What is about several documents has neither file nor line.
fn problems_json(problems: &[Problem], doubts: &[(&str, String)], elsewhere: &[String]) -> String {
    let listed = |severity, it: Option<&Problem>, workload: Option<&str>, text: &str| {
        let field = it.map(|it| &*it.field).filter(|field| !field.is_empty());
        json!({"severity": severity_word(severity), "file": it.map(|it| &*it.file), "document": it.and_then(|it| it.document),
            "line": it.and_then(|it| it.line), "workload": workload, "field": field, "text": text})
    };
    let of_documents =
        problems.iter().map(|it| listed(it.severity, Some(it), it.workload.as_deref(), &it.message));
    let several = doubts.iter().map(|(workload, text)| (Severity::Warning, *workload, &**text));
    let text = for_another_device_text("it");
    let others = elsewhere.iter().map(|name| (Severity::Note, &**name, &*text));
    let of_several =
        several.chain(others).map(|(severity, workload, text)| listed(severity, None, Some(workload), text));
    Value::Array(of_documents.chain(of_several).collect()).to_string()
}

fn push_line(text: &mut String, content: &str) {
    let _ = writeln!(text, "{}", sanitize::sanitize_message(content));
}

fn pluralize(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn write_device(text: &mut String, id: &str, profiles: &[Profile]) {
    text.push('\n');
    push_line(text, &format!("Device {id}"));
    if profiles.is_empty() {
        push_line(text, "  no profiles");
    }
    for profile in profiles {
        push_line(text, &format!("  profile {}", profile.name));
        let names = profile.conditions.iter().map(|condition| condition.name.chars().count());
        let width = names.max().unwrap_or_default();
        for condition in &profile.conditions {
            let shown = match Expression::parse_only(&condition.expression) {
                Ok(expression) => {
                    let hold = condition.hold.as_secs();
                    let hold = if hold > 0 { format!(" for {hold}s") } else { String::new() };
                    let until = condition.until.as_ref().map(|text| format!(" until {text}"));
                    format!("{expression}{hold}{}", until.unwrap_or_default())
                }
                Err(_) => "never: it can't be understood, see below".to_owned(),
            };
            push_line(text, &format!("    {:<width$}  {shown}", condition.name));
        }
    }
}

/// When an update may take its place.
fn format_update_rules(rules: &UpdateRules) -> String {
    let when = rules.when.as_ref().map(|when| format!("while `{when}`"));
    let window = rules
        .window
        .as_ref()
        .map(|it| format!("at `{}` for {}", it.cron, format_duration(it.duration.as_secs())));
    let deadline =
        rules.deadline.map(|limit| format!("after {} at the latest", format_duration(limit.as_secs())));
    let parts: Vec<String> = when.into_iter().chain(window).chain(deadline).collect();
    if parts.is_empty() { "while update.lock isn't held".to_owned() } else { parts.join(", ") }
}

fn write_workloads(text: &mut String, desired: &DesiredState) {
    text.push_str("\nWorkloads\n");
    if desired.workloads.is_empty() {
        push_line(text, "  none");
    }
    for workload in &desired.workloads {
        push_line(text, &format!("  {}", workload.id));
        let mut row = |left: &str, right: &str| push_line(text, &format!("    {left:<12} {right}"));
        row("engine", &workload.content.engine.to_string());
        row("runs", &format_schedule(workload));
        for profile in &workload.profiles {
            row("while", &format_profile(profile));
        }
        let rules = workload.update.as_deref().into_iter().chain(desired.update.as_deref());
        rules.for_each(|rules| row("updated", &format_update_rules(rules)));
        if !workload.depends_on.is_empty() {
            row("after", &workload.depends_on.join(", "));
        }
        let names = workload.content.config_maps.iter().filter_map(|map| map["metadata"]["name"].as_str());
        let names: Vec<&str> = names.collect();
        if !names.is_empty() {
            row("config maps", &names.join(", "));
        }
        let names: Vec<&str> = workload.content.secrets.secret_names().collect();
        if !names.is_empty() {
            row("secrets", &names.join(", "));
        }
        if !workload.content.aliases.is_empty() {
            row("also named", &workload.content.aliases.join(", "));
        }
        if !workload.content.auth.0.is_null() {
            row("registries", "with credentials");
        }
    }
    if let Some(elsewhere) = foreign_workloads_text(&desired.elsewhere) {
        push_line(text, &format!("  {elsewhere}"));
    }
    if !desired.unreadable.is_empty() {
        push_line(text, &format!("  held back: {}", desired.unreadable.join(", ")));
    }
}

fn format_schedule(workload: &Workload) -> String {
    let backoff = match &workload.schedule {
        Schedule::Cron(cron, _) if !workload.any_restarts_on_failure() => {
            return format!("at `{cron}`{}", format_retries(workload));
        }
        schedule => schedule.backoff(),
    };
    let wait = match backoff {
        Backoff::Constant(wait) => format!("after {} s", wait.as_secs_f64()),
        Backoff::Exponential { initial, multiplier, randomization } => {
            let first = initial.as_secs_f64();
            let most = Backoff::MAX_DELAY.as_secs();
            let spread = randomization * 100.0;
            format!("after {first} s, each time × {multiplier} up to {most} s, ± {spread} %")
        }
    };
    let begin = match &workload.schedule {
        Schedule::Cron(cron, _) => Some(format!("at `{cron}`")),
        Schedule::Service(_) if workload.restart == RestartPolicy::OnFailure => {
            Some("until it ends well".to_owned())
        }
        Schedule::Service(_) => None,
    };
    match (begin, workload.restart) {
        (Some(begin), _) => {
            let most = workload.retries.map_or_else(String::new, |most| format!(", {most} times at most"));
            format!("{begin}; after a failure again {wait}{most}")
        }
        (None, RestartPolicy::Never) => format!("once{}", format_retries(workload)),
        (None, _) => format!("always; again {wait}"),
    }
}

fn format_retries(workload: &Workload) -> String {
    workload.retries.map_or_else(String::new, |most| match most {
        0 => "; not again after a failure".to_owned(),
        1 => "; after a failure once again".to_owned(),
        most => format!("; after a failure up to {most} times again"),
    })
}

fn format_profile(profile: &ListedProfile) -> String {
    let conditions: Vec<String> = profile
        .conditions
        .iter()
        .map(|condition| match condition.cpu {
            Some(cpu) => format!("{} (at most {} % of a core)", condition.name, cpu as f64 / 1000.0),
            None => condition.name.clone(),
        })
        .collect();
    format!("{}: {}", profile.name, conditions.join(" or "))
}

/// What workloads list and the device doesn't define: false, and always so.
fn undefined_references<'a>(desired: &'a DesiredState) -> Vec<(&'a str, String)> {
    let conditions = |profile: &'a Profile| gather(profile.conditions.iter().map(|c| c.name.as_str()));
    let defined: BTreeMap<&str, BTreeSet<&str>> =
        gather(desired.profiles.iter().map(|profile| (profile.name.as_str(), conditions(profile))));
    let mut doubts = Vec::new();
    for workload in &desired.workloads {
        for profile in &workload.profiles {
            let name = workload.name();
            let Some(conditions) = defined.get(profile.name.as_str()) else {
                doubts.push((name, format!("the device has no profile `{}`", profile.name)));
                continue;
            };
            let missing = profile.conditions.iter().filter(|c| !conditions.contains(c.name.as_str()));
            doubts.extend(missing.map(|condition| {
                (name, format!("profile `{}` has no condition `{}`", profile.name, condition.name))
            }));
        }
    }
    doubts
}

#[cfg(test)]
mod tests;
