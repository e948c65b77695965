//! Updates that don't reach every device at once. Which content of a workload a device gets is decided by its place in
//! an order, and by how far the rollout has come, which stands in the workload's status: every replica decides the same,
//! and none keeps anything.
//!
//! ```text
//! (new content) ─► Progressing ─ all devices have it, and it runs ─► Complete
//!                    │    ▲
//!           a device fails │ annotation flotta/resume
//!                    ▼    │
//!                    Paused
//! ```

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    beat::{is_failing, is_running},
    given::{content, revision},
    known::Known,
    place::{Place, place},
    resources::{RolloutStatus, WorkloadState},
};

/// A new value of it lets a rollout go on that was paused.
const RESUME: &str = "flotta/resume";
/// How long a workload has to run on a device before the next one gets it, where nothing else is said.
const READY_SECONDS: i64 = 15;
/// So many devices at once, where nothing else is said.
const UNAVAILABLE: &str = "10%";

/// How the new content is on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It doesn't have it yet.
    Waiting,
    /// It has it, and it isn't known yet whether it works.
    Underway,
    Done,
    Failed(String),
    /// The device isn't heard of: nothing waits for it.
    Away,
}

fn status(workload: &Value) -> Option<RolloutStatus> {
    serde_json::from_value(workload["status"]["rollout"].clone()).ok()
}

/// How the device is with what it was given.
pub(crate) fn progress(
    workload: &Value,
    known: &Known,
    (state, given, is_applied): (Option<&WorkloadState>, Option<&str>, bool),
    now: Timestamp,
) -> (Place, Progress) {
    let current = workload["revision"].as_str().unwrap_or_default();
    let place = place(workload, known);
    if given != Some(current) {
        return (place, Progress::Waiting);
    }
    if let Some(state) = state.filter(|state| state.rolled_back.as_deref() == Some(current)) {
        return (
            place,
            Progress::Failed(format!("{}: {}", known.name, state.reason.as_deref().unwrap_or("rolled back"))),
        );
    }
    if !matches!(known.status.phase.as_deref(), Some("Up" | "Degraded")) {
        return (place, Progress::Away);
    }
    let Some(state) = state.filter(|_| is_applied) else { return (place, Progress::Underway) };
    if is_failing(state) {
        let why = state.reason.as_deref().unwrap_or("it fails");
        return (place, Progress::Failed(format!("{}: {why}", known.name)));
    }
    let since = [&known.status.last_synced_time, &state.last_transition_time];
    let since = since.into_iter().flatten().map(|time| time.0).max();
    let ready = workload["spec"]["rollout"]["minReadySeconds"].as_i64().unwrap_or(READY_SECONDS);
    let is_ready = since.is_none_or(|since| now.duration_since(since) >= SignedDuration::from_secs(ready));
    // One that its conditions or its schedule don't let run is as it should be.
    let is_settled = matches!(state.phase.as_deref(), Some("Stopped" | "Exited"));
    match (is_running(state) || is_settled) && is_ready {
        true => (place, Progress::Done),
        false => (place, Progress::Underway),
    }
}

/// What the rollout's status has to become.
pub(crate) fn advance(workload: &Value, devices: &BTreeMap<Place, Progress>) -> Option<RolloutStatus> {
    if workload["spec"]["rollout"].is_null() {
        return None;
    }
    let content = content(workload);
    let current = revision(&content);
    let resume = workload["metadata"]["annotations"][RESUME].as_str().map(str::to_owned);
    let before = status(workload);
    let mut next = match before {
        Some(before) if before.revision == current => before,
        // What ran before the rollout was asked for is what there is to return to.
        None if !workload["status"]["observedGeneration"].is_null() => {
            return Some(complete(&content, resume));
        }
        before => begun(before, &content, resume.clone()),
    };
    if next.phase == "Complete" {
        return Some(next);
    }
    if next.resumed != resume {
        next.tolerated = failures(devices).len() as i64;
        next.resumed = resume;
    }
    let failures = failures(devices);
    let pauses = workload["spec"]["rollout"]["pauseOnFailure"] != false;
    if pauses && failures.len() as i64 > next.tolerated {
        next.phase = "Paused".to_owned();
        let first = failures.first().map_or("", |first| first);
        next.message = Some(format!("{} of {} devices failed: {first}", failures.len(), released(devices)));
        return Some(next);
    }
    next.phase = "Progressing".to_owned();
    release(workload, devices, &mut next);
    if !devices.values().any(|progress| matches!(progress, Progress::Waiting | Progress::Underway)) {
        return Some(complete(&content, next.resumed));
    }
    let all = devices.len();
    next.message = Some(format!("{} of {all} devices have it", released(devices)));
    Some(next)
}

/// Lets the next devices have it, as many as may be on the way at once, within one wave.
fn release(workload: &Value, devices: &BTreeMap<Place, Progress>, next: &mut RolloutStatus) {
    let underway =
        devices.values().filter(|it| matches!(it, Progress::Underway | Progress::Failed(_))).count();
    let most = most_unavailable(&workload["spec"]["rollout"]["maxUnavailable"], devices.len());
    let mut free = most.saturating_sub(underway);
    let tolerated = usize::try_from(next.tolerated).unwrap_or(0);
    // (those that a person looked at don't stand in the way)
    free += tolerated.min(failures(devices).len());
    // A wave begins when those before it are through.
    let open = devices.iter().find(|(_, it)| matches!(it, Progress::Waiting | Progress::Underway));
    let Some(wave) = open.map(|(place, _)| place.wave) else { return };
    let waiting = devices.iter().filter(|(place, it)| place.wave == wave && **it == Progress::Waiting);
    if let Some((place, _)) = waiting.take(free.min(most)).last() {
        next.released = next.released.max(Some(*place));
    }
}

fn begun(before: Option<RolloutStatus>, content: &Value, resume: Option<String>) -> RolloutStatus {
    let stable = before.and_then(|before| before.stable);
    let revision = revision(content);
    if stable.as_ref().is_some_and(|stable| self::revision(stable) == revision) {
        // A person returned to what was there before.
        return complete(content, resume);
    }
    RolloutStatus {
        revision,
        phase: "Progressing".to_owned(),
        stable,
        resumed: resume,
        ..RolloutStatus::default()
    }
}

fn complete(content: &Value, resumed: Option<String>) -> RolloutStatus {
    RolloutStatus {
        revision: revision(content),
        phase: "Complete".to_owned(),
        stable: Some(content.clone()),
        released: Some(Place::LAST),
        resumed,
        ..RolloutStatus::default()
    }
}

fn failures(devices: &BTreeMap<Place, Progress>) -> Vec<&str> {
    devices
        .values()
        .filter_map(|it| if let Progress::Failed(why) = it { Some(why.as_str()) } else { None })
        .collect()
}

fn released(devices: &BTreeMap<Place, Progress>) -> usize {
    devices.values().filter(|it| **it != Progress::Waiting).count()
}

/// A number, or a share of all; at least one, as nothing would ever change else.
fn most_unavailable(given: &Value, all: usize) -> usize {
    let share =
        |text: &str| text.trim_end_matches('%').parse::<usize>().map(|share| all * share.min(100) / 100);
    let most = match given {
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(text) if text.ends_with('%') => share(text).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    most.or_else(|| share(UNAVAILABLE).ok()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(image: &str, status: Option<&RolloutStatus>) -> Value {
        json!({
            "metadata": {"name": "w"},
            "spec": {"rollout": {"maxUnavailable": 2, "waves": [{"matchLabels": {"ring": "first"}}]},
                     "pod": {"spec": {"image": image}}},
            "status": status.map(|status| json!({"rollout": status, "observedGeneration": 1})),
        })
    }

    /// Places of devices: two of the first wave, six others.
    fn places() -> Vec<Place> {
        (0..8).map(|n| Place { wave: u32::from(n >= 2), within: n }).collect()
    }

    /// How devices are where those that have it are so.
    fn devices(status: &RolloutStatus, those: impl Fn(usize) -> Progress) -> BTreeMap<Place, Progress> {
        let has_it = |place: &Place| status.released.is_some_and(|released| *place <= released);
        let each =
            |(n, place): (usize, Place)| (place, if has_it(&place) { those(n) } else { Progress::Waiting });
        places().into_iter().enumerate().map(each).collect()
    }

    fn step(status: &RolloutStatus, those: impl Fn(usize) -> Progress) -> RolloutStatus {
        advance(&workload("new", Some(status)), &devices(status, those)).unwrap()
    }

    fn count(status: &RolloutStatus) -> usize {
        places().iter().filter(|place| status.released.is_some_and(|released| **place <= released)).count()
    }

    fn begin() -> RolloutStatus {
        let old = complete(&content(&workload("old", None)), None);
        advance(&workload("new", Some(&old)), &devices(&RolloutStatus::default(), |_| Progress::Waiting))
            .unwrap()
    }

    #[test]
    fn a_wave_waits_for_the_one_before_and_no_more_than_allowed_are_on_the_way() {
        let mut status = begin();
        assert_eq!((status.phase.as_str(), count(&status)), ("Progressing", 2));
        status = step(&status, |_| Progress::Underway);
        assert_eq!(count(&status), 2, "the first wave isn't through");
        status = step(&status, |n| if n == 0 { Progress::Done } else { Progress::Underway });
        assert_eq!(count(&status), 2, "the first wave isn't through");
        status = step(&status, |_| Progress::Done);
        assert_eq!(count(&status), 4);
        status = step(&status, |n| if n == 3 { Progress::Underway } else { Progress::Done });
        assert_eq!(count(&status), 5, "one is on the way");
        while status.phase == "Progressing" {
            status = step(&status, |_| Progress::Done);
        }
        assert_eq!(status, complete(&content(&workload("new", None)), None));
    }

    #[test]
    fn a_failure_stops_it_and_a_person_lets_it_go_on() {
        let failed = |n| if n == 1 { Progress::Failed("x".to_owned()) } else { Progress::Done };
        let status = step(&begin(), failed);
        assert_eq!((status.phase.as_str(), count(&status)), ("Paused", 2));
        assert_eq!(step(&status, failed).phase, "Paused");
        let mut resumed = workload("new", Some(&status));
        resumed["metadata"]["annotations"] = json!({"flotta/resume": "1"});
        let status = advance(&resumed, &devices(&status, failed)).unwrap();
        assert_eq!((status.phase.as_str(), count(&status)), ("Progressing", 4));
        // (status 4 has it now, with the one failure that was looked at; another one stops it again)
        let again = |n| if n == 1 || n == 3 { Progress::Failed("x".to_owned()) } else { Progress::Done };
        let mut resumed = workload("new", Some(&status));
        resumed["metadata"]["annotations"] = json!({"flotta/resume": "1"});
        assert_eq!(advance(&resumed, &devices(&status, again)).unwrap().phase, "Paused");
    }

    #[test]
    fn silent_devices_hold_up_nothing() {
        let status = step(&begin(), |_| Progress::Away);
        assert_eq!(count(&status), 4);
    }

    #[test]
    fn a_change_on_the_way_begins_anew_from_what_was_complete_and_its_return_is_complete_at_once() {
        let status = begin();
        let none = devices(&RolloutStatus::default(), |_| Progress::Waiting);
        let other = advance(&workload("other", Some(&status)), &none).unwrap();
        assert_eq!(other.stable, status.stable);
        assert_ne!(other.revision, status.revision);
        let back = advance(&workload("old", Some(&status)), &none).unwrap();
        assert_eq!(back.phase, "Complete");
    }

    #[test]
    fn a_place_is_read_as_it_was_written_and_the_last_one_is_behind_all() {
        for place in places().into_iter().chain([Place::LAST]) {
            let text = serde_json::to_value(place).unwrap();
            assert!(text.is_string());
            assert_eq!(serde_json::from_value::<Place>(text).unwrap(), place);
            assert!(place <= Place::LAST);
        }
    }

    #[test]
    fn shares_are_of_all_and_never_nothing() {
        assert_eq!(most_unavailable(&json!("25%"), 8), 2);
        assert_eq!(most_unavailable(&json!("1%"), 8), 1);
        assert_eq!(most_unavailable(&json!(3), 8), 3);
        assert_eq!(most_unavailable(&Value::Null, 50), 5);
    }
}
