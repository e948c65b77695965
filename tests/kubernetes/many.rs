//! Two hundred of them.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

use super::cluster::{Cluster, DEPLOYMENTS};
use crate::support::{Device, pause};

const COUNT: usize = 200;

fn pss(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn two_hundred_gated_deployments_settle_with_one_request_each() {
    let Some(mut cluster) = Cluster::start_own() else { return };
    let mut device = Device::without_podman("many");
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    let words = cluster.kill();
    cluster.restart(&words, &cluster.audit("agent").each_ref().map(String::as_str));
    device.set("LOG_LEVEL", "info");
    let mut all = Vec::new();
    for n in 0..COUNT {
        let mut workload = cluster.workload(&format!("w{n}"));
        workload["spec"]["profiles"] = json!([{"name": "p", "conditions": ["low"]}]);
        all.push(workload.to_string());
    }
    device.manifest("all.yaml", &all.join("\n---\n"));
    device.start_taking_metrics();
    let started = Instant::now();
    let scaled_to = |replicas: u64| {
        device.wait_for("all Deployments", || {
            let list = cluster.get(DEPLOYMENTS);
            let items = list["items"].as_array()?;
            let right = items.iter().filter(|it| it["spec"]["replicas"] == replicas).count();
            (right == COUNT).then_some(())
        });
    };
    for x in [1, 5, 1] {
        assert_eq!(device.post("x", x), 200);
        scaled_to(if x == 5 { 0 } else { 1 });
    }
    let settled = started.elapsed();
    // how long to look whether it stays quiet
    let quiet = std::env::var("KUBE_QUIET").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
    pause(Duration::from_secs(quiet).as_millis() as u64);
    let requests = cluster.requests();
    let memory = pss(device.pid());
    println!(
        "settled three times in {settled:?}, then quiet for {quiet} s: {requests:?}, {memory} KiB (PSS)"
    );
    let count = |verb: &str| requests.get(verb).copied().unwrap_or_default();
    assert_eq!(count("patch"), 3 * COUNT);
    assert!(count("list") as u64 <= 1 + started.elapsed().as_secs() / 60, "{requests:?}");
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(!device.log().contains("[WARN]"), "{}", device.log());
}
