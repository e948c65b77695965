//! What podman's API answers. Which answer it is meant to be is unknown: each reader gets it.

use std::time::{Duration, SystemTime};

use device_worker_ng::wire::{
    podman::{answers as podman, session},
    strict::from_json,
};
use serde_json::Value;

pub(super) fn run(input: &[u8]) {
    session_text(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    time(text);
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let is_mapping = value.is_object();
    macro_rules! typed {
        ($($kind:ident),*) => { $(
            let read = from_json::<podman::$kind>(input);
            assert!(read.is_err() || is_mapping, "a list was taken for {}", stringify!($kind));
        )* };
    }
    typed!(
        ListedPod,
        InspectedPod,
        InspectedContainer,
        InspectedPodContainer,
        InspectedState,
        ErrorBody,
        ListedPodContainer,
        ListedVolume
    );
    typed!(PullProgress, InspectedImage, ContainerEvent, ListedContainer);
    if let Ok(pods) = from_json::<Vec<podman::ListedPod>>(input) {
        for pod in &pods {
            pod.is_running();
        }
    }
    if let Ok(pod) = from_json::<podman::InspectedPod>(input) {
        assert!(pod.containers().all(|container| container.id != pod.infra_id));
    }
    if let Ok(container) = from_json::<podman::InspectedContainer>(input) {
        container.state.to_container_state();
        container.cpu_limit();
        time(&container.created);
    }
    podman::memory_usage(&value, "c1");
    podman::disk_usage(&value, "web-0123456789ab");
    podman::storage_root(&value);
    session::container_address(&value);
    session::ExecState::read(&value);
    if let Some(probe) = session::parse_healthcheck(&value) {
        assert!(probe.period >= Duration::from_secs(1) && probe.timeout >= Duration::from_secs(1));
        assert!(probe.failure_threshold > 0);
    }
}

fn session_text(input: &[u8]) {
    let line = session::last_printed_line(input);
    assert!(line.chars().count() <= 200);
    assert!(!line.contains(char::is_control), "{line:?}");
}

/// A time that was read is the one that is written.
fn time(text: &str) {
    let Some(time) = podman::parse_time(text) else { return };
    let expected = chrono::DateTime::parse_from_rfc3339(text);
    // a day that its month doesn't have, or a leap second
    let Ok(expected) = expected else { return };
    let gap = SystemTime::from(expected).duration_since(time).unwrap_or_else(|error| error.duration());
    assert!(gap < Duration::from_secs(2), "{text}: {gap:?} away");
}
