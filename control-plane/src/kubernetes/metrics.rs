//! What the cluster has, as OpenMetrics.

use std::{collections::BTreeMap, fmt::Write, sync::atomic::Ordering::Relaxed};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::{asked::AskedStage, caches::Caches};
use crate::metrics::{counter, gauge, head};

/// A certificate that ends sooner should have been renewed: devices do so in time.
const ENDING: i64 = 3 * 86_400;

/// All families.
pub(super) fn text(caches: &Caches, ca: &str) -> String {
    let mut out = String::new();
    let devices = caches.devices.objects();
    let mut phases: BTreeMap<&str, usize> = BTreeMap::new();
    for device in &devices {
        *phases.entry(device.status.phase.as_deref().unwrap_or("Approved")).or_default() += 1;
    }
    head(&mut out, "flotta_devices", "gauge", "EdgeDevices by phase.");
    for (phase, count) in phases {
        let _ = writeln!(out, "flotta_devices{{phase=\"{phase}\"}} {count}");
    }
    let soon = Timestamp::now().as_second() + ENDING;
    let ends = |device: &super::known::Known| {
        device
            .status
            .certificate
            .as_ref()
            .is_some_and(|certificate| certificate.not_after.0.as_second() < soon)
    };
    let ending = devices.iter().filter(|device| ends(device)).count();
    let help = "Devices whose certificate ends within three days, or has ended.";
    gauge(&mut out, "flotta_certificates_ending", help, ending as f64);
    let is_former = |device: &super::known::Known| {
        device.status.certificate.as_ref().is_some_and(|certificate| certificate.ca.as_deref() != Some(ca))
    };
    let former = devices.iter().filter(|device| is_former(device)).count();
    let help = "Devices whose certificate is of a former CA: they need it until they have renewed theirs.";
    gauge(&mut out, "flotta_certificates_of_former_cas", help, former as f64);
    let requests = caches.requests.objects();
    let waiting = requests.iter().filter(|it| matches!(it.stage, AskedStage::Waiting(_)));
    gauge(&mut out, "flotta_requests_waiting", "Devices that wait to be let in.", waiting.count() as f64);
    head(&mut out, "flotta_workload_devices", "gauge", "Devices of each EdgeWorkload, by how it is there.");
    let workloads = caches.workloads.all();
    for ((namespace, name), workload) in &workloads {
        for state in ["desired", "running", "failing", "updated"] {
            let count = workload["status"][state].as_i64().unwrap_or(0);
            let labels = format!("namespace=\"{namespace}\",workload=\"{name}\",state=\"{state}\"");
            let _ = writeln!(out, "flotta_workload_devices{{{labels}}} {count}");
        }
    }
    head(&mut out, "flotta_rollouts", "gauge", "Rollouts of EdgeWorkloads, by phase.");
    for phase in ["Progressing", "Paused", "Complete"] {
        let is_it = |workload: &Value| workload["status"]["rollout"]["phase"] == phase;
        let count = workloads.iter().filter(|(_, workload)| is_it(workload)).count();
        let _ = writeln!(out, "flotta_rollouts{{phase=\"{phase}\"}} {count}");
    }
    let is_refused = |workload: &Value| {
        let conditions = workload["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|it| it["type"] == "Accepted" && it["status"] == "False")
    };
    let refused = workloads.iter().filter(|(_, workload)| is_refused(workload)).count();
    gauge(&mut out, "flotta_workloads_refused", "EdgeWorkloads that devices can't run.", refused as f64);
    counter(&mut out, "flotta_kubernetes_writes", "Writes to the API server.", caches.writes.load(Relaxed));
    out
}
