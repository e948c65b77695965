//! Reports as an agent could make them, of devices that no test could bring.

use device_worker_ng::agent::model::report::{
    Comparison, Condition, Device, EngineState, LastRun, Metric, Profile, Report, Workload, WorkloadState,
};
use serde_json::{Value, json};

/// What all have that wait for the same.
pub(super) const REMEDY: &str = "start podman: 'systemctl enable --now podman.socket'";
/// As long as one may be.
const LONG: &str = "camera-uploader-of-the-second-floor-with-a-name-that-is-so-long";

/// A device with so many workloads, most of which are well.
pub(super) fn report(count: usize) -> Report {
    let device = Device {
        id: format!("made-{count}"),
        healthy: count == 0,
        engines: vec![EngineState { name: "podman".into(), ready: true, cause: None }],
        problems: match count {
            0 => vec![],
            _ => vec!["/etc/device-worker-ng/manifests/pump.yaml, line 3: 'replicas' has no effect".into()],
        },
        elsewhere: if count > 5 { vec!["kiosk".into(), "till".into()] } else { vec![] },
        ..Device::default()
    };
    // (not in their natural order)
    let workloads = (0..count).rev().map(workload).collect();
    let (profiles, metrics) = if count == 0 { (vec![], vec![]) } else { (profiles(), metrics()) };
    Report { version: env!("CARGO_PKG_VERSION"), device, workloads, profiles, metrics }
}

fn workload(number: usize) -> Workload {
    let state = match number {
        0 => WorkloadState::BackOff,
        1..=4 => [
            WorkloadState::Running,
            WorkloadState::Inactive,
            WorkloadState::Scheduled,
            WorkloadState::Running,
        ][number - 1],
        _ if number % 10 == 5 => WorkloadState::Unknown,
        _ if number % 13 == 7 => WorkloadState::Failed,
        _ if number % 17 == 8 => WorkloadState::Pulling,
        _ => WorkloadState::Running,
    };
    let (cause, remedy) = match state {
        WorkloadState::BackOff => (
            "container 'main' ended with exit code 3 after 2s; it is started again in 44s",
            format!("see what it printed: 'device-worker-ng logs w{number}'"),
        ),
        WorkloadState::Inactive => {
            ("condition power.charged doesn't hold: battery > 60, and battery is 42", String::new())
        }
        WorkloadState::Unknown => ("podman has not told yet what it has", REMEDY.to_owned()),
        WorkloadState::Failed => ("container 'main' ended with exit code 1", String::new()),
        WorkloadState::Pulling => ("image registry.example:5000/a/b/c:1.2.3 is being pulled", String::new()),
        _ => ("", String::new()),
    };
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let run = |n: u64| LastRun { code: i32::from(n == 2), ended: Some(100 + n * 300), ran: Some(7) };
    let is_cron = state == WorkloadState::Scheduled;
    Workload {
        name: if number == 4 { LONG.to_owned() } else { format!("w{number}") },
        pod: Some(format!("w{number}-0123456789ab")),
        engine: Some("podman".into()),
        source: "manifests",
        state,
        well: matches!(state, WorkloadState::Running | WorkloadState::Inactive | WorkloadState::Scheduled),
        since: Some(number as u64 * 977),
        restarts: if state == WorkloadState::BackOff { 17 } else { 0 },
        next: (is_cron || state == WorkloadState::BackOff).then_some(44),
        cause: text(cause),
        remedy: text(&remedy),
        cpu: (number == 1).then_some(50_000),
        cron: is_cron.then(|| "*/5 * * * *".to_owned()),
        last_run: is_cron.then(|| run(0)),
        runs: if is_cron { (0..5).map(run).collect() } else { vec![] },
        ..Workload::default()
    }
}

/// Many thresholds, close to each other.
fn profiles() -> Vec<Profile> {
    let condition = |n: u32| Condition {
        name: format!("step-{n}"),
        expression: format!("battery > {n}"),
        hold: None,
        until: None,
        next: None,
        holds: n < 42,
        why: format!("battery > {n}, and battery is 42"),
        tests: vec![Comparison { metric: "battery".into(), operator: ">", value: Some(f64::from(n)) }],
    };
    let mut conditions: Vec<Condition> = (38..50).map(condition).collect();
    let limit = |value| Comparison { metric: "temperature".into(), operator: "<", value: Some(value) };
    let tests = vec![limit(69.8), limit(70.0), limit(70.2), limit(90.0)];
    conditions.push(Condition { name: LONG.into(), tests, ..condition(0) });
    vec![Profile { name: "power".into(), conditions }]
}

fn metrics() -> Vec<Metric> {
    let metric = |name: &str, value| Metric { name: name.into(), value: Some(value), age: Some(3) };
    vec![metric("battery", 42.0), metric("temperature", 64.25), metric(&LONG.replace('-', "_"), 1e12)]
}

/// What happened on such a device.
pub(super) fn past() -> Value {
    let event = |workload: &str, message: &str, times: u32| {
        json!({"time": "2026-03-01T10:00:00Z", "first": "2026-02-28T09:00:00Z", "times": times,
            "severity": "Info", "reason": "Started", "workload": workload, "message": message})
    };
    json!({"events": [
        event("w0", "workload 'w0' was started for the first time", 1),
        event("w3", "workload 'w3' has finished", 12),
        event("w0", "workload 'w0' is in back-off <b>now</b>", 40),
    ]})
}
