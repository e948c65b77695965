//! `logs -f`: goes on with each start of a workload's containers, in this pod and those that come.

use std::{
    io,
    sync::{Arc, Mutex},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    lines::{LinePrinter, podman_timestamp, print},
    place::{PodmanContainer, WorkloadLocator},
};
use crate::{
    io::{clock, command_socket::ExitCode, lock},
    settings::CommandOptions,
    wire::podman::answers::parse_time,
};

/// From one look for what has started to the next.
const POLL_INTERVAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What is known of a container.
#[derive(Default)]
struct FollowedContainer {
    /// podman's.
    id: String,
    /// A thread reads it.
    is_read: bool,
    /// The start of the run that was read last.
    started: Option<i64>,
    /// What it printed until then is shown.
    until: Option<SystemTime>,
}

type SharedContainers = Arc<Mutex<Vec<FollowedContainer>>>;

/// What is shown of a container, and how.
#[derive(Clone, Copy)]
struct OutputOptions {
    since: Option<SystemTime>,
    tail: Option<u32>,
    is_alone: bool,
    is_json: bool,
}

/// Prints what comes until it isn't read any more, or nothing of the workload is left to start.
pub(super) fn follow(place: WorkloadLocator, options: &CommandOptions, is_json: bool) -> Result<u8, String> {
    let all = SharedContainers::default();
    let (mut place, mut is_first) = (Arc::new(place), true);
    loop {
        // podman may be away for a while
        let mut containers = place.containers().unwrap_or_default();
        let is_alone = options.container.is_some() || containers.len() == 1;
        containers.retain(|it| options.includes_container(&it.name));
        let age = options.since.filter(|_| is_first);
        let since = age.map(|age| clock::wall().checked_sub(age).unwrap_or(UNIX_EPOCH));
        let shown = OutputOptions { since, tail: options.tail.filter(|_| is_first), is_alone, is_json };
        containers.into_iter().for_each(|container| spawn_reader(&place, &all, container, shown));
        let is_idle = !lock(&all).iter().any(|it| it.is_read);
        if is_idle && place.is_finished() {
            return Ok(ExitCode::Good as u8);
        }
        let out = io::stdout();
        if poll(&mut [PollFd::new(&out, PollFlags::empty())], Some(&POLL_INTERVAL)).is_ok_and(|gone| gone > 0)
        {
            return Ok(ExitCode::Good as u8);
        }
        if let Ok(next) = place.refresh() {
            let Some(next) = next else { return Ok(ExitCode::Good as u8) };
            (place, is_first) = (Arc::new(next), false);
        }
    }
}

/// Has a thread print the container's present run, if none has yet.
fn spawn_reader(
    place: &Arc<WorkloadLocator>,
    all: &SharedContainers,
    container: PodmanContainer,
    mut shown: OutputOptions,
) {
    let mut known = lock(all);
    let at = known.iter().position(|it| it.id == container.id).unwrap_or(known.len());
    if at == known.len() {
        known.push(FollowedContainer {
            id: container.id.clone(),
            until: shown.since,
            ..FollowedContainer::default()
        });
    }
    let it = &mut known[at];
    if it.is_read || it.started == Some(container.started) {
        return;
    }
    (it.is_read, it.started, shown.since) = (true, Some(container.started), it.until);
    let (place, all) = (place.clone(), all.clone());
    thread::spawn(move || {
        let read = print_run(&place, &container, shown);
        let mut known = lock(&all);
        let it = &mut known[at];
        it.is_read = false;
        match read {
            Ok(until) => it.until = until,
            Err(_) => (it.started, it.until) = (None, Some(clock::wall())),
        }
    });
}

/// Prints one run, or what is left of it, and says until when all is shown.
fn print_run(
    place: &WorkloadLocator,
    container: &PodmanContainer,
    shown: OutputOptions,
) -> Result<Option<SystemTime>, String> {
    let OutputOptions { since, tail, is_alone, is_json } = shown;
    let podman = place.podman(place.workload_text("engine"));
    let mut lines = LinePrinter::new(&place.redactor, &container.name, is_alone, is_json);
    let mut query: Vec<_> = ["stdout", "stderr", "follow"].map(|key| (key, "true".to_owned())).into();
    query.extend(since.map(|since| ("since", podman_timestamp(since))));
    query.extend(tail.map(|tail| ("tail", tail.to_string())));
    print(&podman, container, &query, &mut lines)?;
    let state = &podman.get(&format!("containers/{}/json", container.id), &[])?["State"];
    let time = |field: &str| state[field].as_str().and_then(parse_time);
    let is_same =
        time("StartedAt").is_some_and(|at| podman_timestamp(at).starts_with(&container.started.to_string()));
    // podman may not know yet that it has ended
    let is_unknown = is_same && state["Running"] == true;
    let ended = if is_unknown { Some(clock::wall()) } else { time("FinishedAt") };
    Ok(ended.filter(|at| *at > UNIX_EPOCH).max(since))
}
