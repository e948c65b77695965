//! What the containers of a workload printed, as podman keeps it.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{
    follow,
    lines::{Lines, print, seconds},
    output::Screen,
    place::{Container, Location},
};
use crate::{
    io::{clock, command_socket::ExitCode, outputs::piece, podman::Reading},
    settings::Options,
    wire::{podman::answers::parse_time, podspec::nearest::nearest},
};

/// Prints them, and says with what code to end.
pub(super) fn logs(place: Location, options: &Options, screen: &Screen) -> Result<u8, String> {
    let name = place.text("name");
    if place.text("engine") == "kubernetes" {
        return Ok(screen.fail(ExitCode::Bad, &kubectl(name, options)));
    }
    let mut containers = place.containers()?;
    let kept = place.kept().filter(|_| containers.is_empty() || options.previous);
    let names: Vec<&str> = match &kept {
        Some((name, _)) if containers.is_empty() => vec![name],
        _ => containers.iter().map(|it| &*it.name).collect(),
    };
    if let Some(wanted) =
        options.container.as_ref().filter(|it| !names.is_empty() && !names.contains(&&***it))
    {
        let near = nearest(wanted, names.iter().copied());
        let near = near
            .map_or_else(|| format!(", but: {}", names.join(", ")), |it| format!(": did you mean '{it}'?"));
        return Ok(screen.fail(ExitCode::Unknown, &format!("'{name}' has no container '{wanted}'{near}")));
    }
    containers.retain(|it| options.include_container(&it.name));
    if containers.is_empty() {
        if let Some(kept) = kept {
            show(&place, kept, options, screen);
        } else if !options.follow {
            return Ok(screen.fail(ExitCode::Bad, &none(&place)));
        }
    }
    if options.follow && !options.previous {
        return follow::follow(place, options, screen.is_json);
    }
    let podman = place.podman(place.text("engine"));
    let is_alone = containers.len() == 1;
    let mut is_any = containers.is_empty();
    for container in &containers {
        let lines = Lines::new(&place.redactor, &container.name, is_alone, screen.is_json);
        is_any |= of_container(&podman, container, options, lines)?;
    }
    if is_any {
        return Ok(ExitCode::Good as u8);
    }
    if let Some(kept) = place.kept().filter(|(name, _)| options.include_container(name)) {
        show(&place, kept, options, screen);
        return Ok(ExitCode::Good as u8);
    }
    let text = format!(
        "no container of '{name}' ran before in this pod; what an earlier pod printed went with that pod"
    );
    Ok(screen.fail(ExitCode::Bad, &text))
}

/// Why there is nothing to show.
fn none(place: &Location) -> String {
    let (name, cause) = (place.text("name"), place.text("cause"));
    let why = if cause.is_empty() { place.text("state") } else { cause };
    format!(
        "'{name}' has no pod at present, and podman keeps what containers print only as long as their pod: {why}"
    )
}

/// What was kept of a container whose pod could not be started.
fn show(place: &Location, (name, printed): (String, Vec<u8>), options: &Options, screen: &Screen) {
    let mut lines = Lines::new(&place.redactor, &name, true, screen.is_json);
    lines.last = options.tail.map(|tail| (tail, VecDeque::new()));
    let mut rest = &*printed;
    while let Some((stream, piece, after)) = piece(rest) {
        lines.take(stream, piece);
        rest = after;
    }
    lines.end();
}

/// What shows it in a cluster.
fn kubectl(name: &str, options: &Options) -> String {
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
fn of_container(
    podman: &Reading,
    container: &Container,
    options: &Options,
    mut lines: Lines<'_>,
) -> Result<bool, String> {
    let mut query = vec![("stdout", "true".to_owned()), ("stderr", "true".to_owned())];
    let mut since = options.since.map(|age| clock::wall().checked_sub(age).unwrap_or(UNIX_EPOCH));
    if options.previous {
        let Some((begin, end)) = previous(podman, container)? else { return Ok(false) };
        since = since.max(Some(begin));
        // podman would count lines of the present run, too
        lines.last = options.tail.filter(|_| end.is_some()).map(|tail| (tail, VecDeque::new()));
        query.extend(end.map(|end| ("until", seconds(end))));
    }
    query.extend(since.map(|since| ("since", seconds(since))));
    let tail = options.tail.filter(|_| lines.last.is_none());
    query.extend(tail.map(|tail| ("tail", tail.to_string())));
    print(podman, container, &query, &mut lines).map(|_| true)
}

/// When the run before the present one began, and ended at the latest. (The one that ended last is the previous one where
/// none runs.)
fn previous(
    podman: &Reading,
    container: &Container,
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
        let said = kubectl("web", &Options::default());
        assert!(said.ends_with(": kubectl logs deployment/web --all-containers"), "{said}");
        let (container, since) = (Some("main".to_owned()), Some(Duration::from_secs(600)));
        let options = Options { follow: true, since, tail: Some(5), container, ..Options::default() };
        let said = kubectl("web", &options);
        assert!(said.ends_with(": kubectl logs deployment/web -c main -f --since=600s --tail=5"), "{said}");
    }
}
