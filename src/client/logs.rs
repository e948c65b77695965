//! What the containers of a workload printed, as podman keeps it.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{
    follow,
    lines::{LinePrinter, podman_timestamp, print},
    output::Screen,
    place::{PodmanContainer, WorkloadLocator},
};
use crate::{
    io::{clock, command_socket::ExitCode, outputs::split_frame, podman::PodmanReader},
    settings::CommandOptions,
    wire::{podman::answers::parse_time, podspec::nearest::nearest_word},
};

/// Prints them, and says with what code to end.
pub(super) fn logs(place: WorkloadLocator, options: &CommandOptions, screen: &Screen) -> Result<u8, String> {
    let name = place.workload_text("name");
    if place.workload_text("engine") == "kubernetes" {
        return Ok(screen.print_failure(ExitCode::Bad, &kubectl_hint(name, options)));
    }
    let mut containers = place.containers()?;
    let kept = place.saved_output().filter(|_| containers.is_empty() || options.previous);
    let names: Vec<&str> = match &kept {
        Some((name, _)) if containers.is_empty() => vec![name],
        _ => containers.iter().map(|it| &*it.name).collect(),
    };
    if let Some(wanted) =
        options.container.as_ref().filter(|it| !names.is_empty() && !names.contains(&&***it))
    {
        let near = nearest_word(wanted, names.iter().copied());
        let near = near
            .map_or_else(|| format!(", but: {}", names.join(", ")), |it| format!(": did you mean '{it}'?"));
        return Ok(
            screen.print_failure(ExitCode::Unknown, &format!("'{name}' has no container '{wanted}'{near}"))
        );
    }
    containers.retain(|it| options.includes_container(&it.name));
    if containers.is_empty() {
        if let Some(kept) = kept {
            print_saved_output(&place, kept, options, screen);
        } else if !options.follow {
            return Ok(screen.print_failure(ExitCode::Bad, &no_pod_message(&place)));
        }
    }
    if options.follow && !options.previous {
        return follow::follow(place, options, screen.is_json);
    }
    let podman = place.podman(place.workload_text("engine"));
    let is_alone = containers.len() == 1;
    let mut is_any = containers.is_empty();
    for container in &containers {
        let lines = LinePrinter::new(&place.redactor, &container.name, is_alone, screen.is_json);
        is_any |= print_container(&podman, container, options, lines)?;
    }
    if is_any {
        return Ok(ExitCode::Good as u8);
    }
    if let Some(kept) = place.saved_output().filter(|(name, _)| options.includes_container(name)) {
        print_saved_output(&place, kept, options, screen);
        return Ok(ExitCode::Good as u8);
    }
    let text = format!(
        "no container of '{name}' ran before in this pod; what an earlier pod printed went with that pod"
    );
    Ok(screen.print_failure(ExitCode::Bad, &text))
}

/// Why there is nothing to show.
fn no_pod_message(place: &WorkloadLocator) -> String {
    let (name, cause) = (place.workload_text("name"), place.workload_text("cause"));
    let why = if cause.is_empty() { place.workload_text("state") } else { cause };
    format!(
        "'{name}' has no pod at present, and podman keeps what containers print only as long as their pod: {why}"
    )
}

/// What was kept of a container whose pod could not be started.
fn print_saved_output(
    place: &WorkloadLocator,
    (name, printed): (String, Vec<u8>),
    options: &CommandOptions,
    screen: &Screen,
) {
    let mut lines = LinePrinter::new(&place.redactor, &name, true, screen.is_json);
    lines.last = options.tail.map(|tail| (tail, VecDeque::new()));
    let mut rest = &*printed;
    while let Some((stream, piece, after)) = split_frame(rest) {
        lines.push(stream, piece);
        rest = after;
    }
    lines.flush();
}

/// What shows it in a cluster.
fn kubectl_hint(name: &str, options: &CommandOptions) -> String {
    let mut command = format!("kubectl logs deployment/{name}");
    match &options.container {
        Some(container) => command.push_str(&format!(" -c {container}")),
        None => command.push_str(" --all-containers"),
    }
    for (flag, is_given) in [(" -f", options.follow), (" --previous", options.previous)] {
        command.push_str(if is_given { flag } else { "" });
    }
    command.extend(options.since.map(|since| format!(" --since={}s", since.as_secs())));
    command.extend(options.tail.map(|lines| format!(" --tail={lines}")));
    format!("'{name}' runs in a cluster, which has its output: {command}")
}

/// Whether there is such a run.
fn print_container(
    podman: &PodmanReader,
    container: &PodmanContainer,
    options: &CommandOptions,
    mut lines: LinePrinter<'_>,
) -> Result<bool, String> {
    let mut query = vec![("stdout", "true".to_owned()), ("stderr", "true".to_owned())];
    let mut since = options.since.map(|age| clock::wall().checked_sub(age).unwrap_or(UNIX_EPOCH));
    if options.previous {
        let Some((begin, end)) = previous_run(podman, container)? else { return Ok(false) };
        since = since.max(Some(begin));
        // podman would count lines of the present run, too
        lines.last = options.tail.filter(|_| end.is_some()).map(|tail| (tail, VecDeque::new()));
        query.extend(end.map(|end| ("until", podman_timestamp(end))));
    }
    query.extend(since.map(|since| ("since", podman_timestamp(since))));
    let tail = options.tail.filter(|_| lines.last.is_none());
    query.extend(tail.map(|tail| ("tail", tail.to_string())));
    print(podman, container, &query, &mut lines).map(|_| true)
}

/// When the run before the present one began, and ended at the latest. (The one that ended last is the previous one where
/// none runs.)
fn previous_run(
    podman: &PodmanReader,
    container: &PodmanContainer,
) -> Result<Option<(SystemTime, Option<SystemTime>)>, String> {
    let state = &podman.get(&format!("containers/{}/json", container.id), &[])?["State"];
    let Some(started) = state["StartedAt"].as_str().and_then(parse_time) else { return Ok(None) };
    let filters = json!({ "container": [container.id], "event": ["init"] }).to_string();
    let query = [("stream", "false"), ("since", "0"), ("filters", &*filters)];
    let events = podman.get_lines("events", &query)?;
    let at = |event: &Value| Some(UNIX_EPOCH + Duration::from_nanos(event["timeNano"].as_u64()?));
    let mut begins: Vec<SystemTime> = events.iter().filter_map(at).collect();
    begins.sort_unstable();
    if state["Running"] != true {
        return Ok(Some((begins.last().copied().unwrap_or(started), None)));
    }
    // podman may keep no events; and it notes the start of what has printed something already
    let Some(present) = begins.pop() else { return Ok(Some((UNIX_EPOCH, Some(started)))) };
    Ok(begins.last().map(|begin| (*begin, Some(present))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_in_a_cluster_is_shown_by_kubectl_with_the_same_flags() {
        let said = kubectl_hint("web", &CommandOptions::default());
        assert!(said.ends_with(": kubectl logs deployment/web --all-containers"), "{said}");
        let (container, since) = (Some("main".to_owned()), Some(Duration::from_secs(600)));
        let options =
            CommandOptions { follow: true, since, tail: Some(5), container, ..CommandOptions::default() };
        let said = kubectl_hint("web", &options);
        assert!(said.ends_with(": kubectl logs deployment/web -c main -f --since=600s --tail=5"), "{said}");
    }
}
