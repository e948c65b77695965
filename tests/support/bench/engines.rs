//! Memory with everything on at once: a server, both podmans, a cluster, and an open status page.

use serde_json::Value;

use super::{
    Report,
    cluster::{Cluster, DEPLOYMENTS},
    pss_kib,
    support::{
        Device, SLEEP,
        edge::{Edge, for_device},
        http::exchange,
        rootless::Rootless,
        workload,
    },
};

/// What the agent and its receiver may take with all engines, in KiB.
const MOST: u64 = 4096;

pub(super) fn measure(report: &mut Report) {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(rootless) = Rootless::find() else { return };
    let Some(cluster) = Cluster::start() else { return };
    let mut device = Device::new("engines").expect("podman");
    rootless.add_to(&mut device);
    device.talk_only_to(&edge);
    device.set("NAMESPACE", cluster.namespace.clone());
    device.set("KUBECONFIG", cluster.user("agent", true).display().to_string());
    let save = |device: &Device, name: &str, workload: Value| {
        edge.manifest(&format!("{name}.json"), &for_device(device, workload));
        name.to_owned()
    };
    device.set("STATUS_PAGE", "true");
    device.start();
    let mut pods = Vec::new();
    for (count, of_each) in [(0, 4), (4, 10)] {
        for index in count..of_each {
            let [user, root, deployment] = ["r", "w", "k"].map(|kind| format!("{kind}{index:02}"));
            let mut by_user = workload(&user, SLEEP);
            by_user["spec"]["rootless"] = true.into();
            pods.push(save(&device, &user, by_user));
            pods.push(save(&device, &root, workload(&root, SLEEP)));
            save(&device, &deployment, cluster.workload(&deployment));
        }
        pods.sort();
        device.wait_for_running(&pods.iter().map(String::as_str).collect::<Vec<_>>());
        device.wait_for("the Deployments", || {
            let found = cluster.get(DEPLOYMENTS);
            (found["items"].as_array()?.len() == of_each).then_some(())
        });
        assert_eq!(device.post("x", 1), 200);
        let mark = edge.mark();
        device.wait_for("heartbeats", || {
            let beats = edge.since(mark).into_iter().filter(|it| it.is_good("heartbeat"));
            (beats.count() > 5).then_some(())
        });
        // an open page has asked meanwhile
        for _ in 0..20 {
            assert_eq!(exchange(device.address(), "GET /status.json HTTP/1.1\r\n\r\n").unwrap().0, 200);
        }
        let pss = pss_kib(device.pid());
        report.add(&format!("PSS of agent and receiver, {of_each} workloads on each engine"), pss, "KiB");
        assert!(pss <= MOST, "more than {MOST} KiB");
    }
}
