//! A device that boots when its server, or what it needs to talk to it, isn't there.

use std::fs;

use rustix::process::Signal;

use super::{device_of, linked};
use crate::support::{Device, SLEEP, edge::Edge};

/// As after a reboot: no agent, no pods.
fn boot(device: &mut Device) {
    device.kill();
    device.lose_pods();
    device.start();
}

#[test]
fn a_device_without_its_ca_boots_runs_its_workloads_says_why_and_links_when_the_ca_is_back() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(foreign) = Edge::start(&[]) else { return };
    let Some(mut device) = device_of(&edge, "no-ca") else { return };
    let ca = device.path("ca.pem");
    device.set("CA_ROOT", ca.display().to_string());
    let good = fs::read(edge.path("edge/ca.pem")).unwrap();
    fs::write(&ca, &good).unwrap();
    edge.workload(&device, "without-ca", SLEEP);
    device.start();
    device.wait_for_running(&["without-ca"]);
    edge.wait_for_running(&device, 0, "without-ca");
    let quoted = ca.display().to_string();
    let foreign = fs::read(foreign.path("edge/ca.pem")).unwrap();
    let cases: [(&str, Option<&[u8]>, &str); 4] = [
        ("missing", None, "No such file"),
        ("garbage", Some(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"), ""),
        ("empty", Some(b""), ""),
        ("foreign", Some(&foreign), "is not signed by a CA in"),
    ];
    for (case, content, cause) in cases {
        fs::remove_file(&ca).unwrap();
        if let Some(content) = content {
            fs::write(&ca, content).unwrap();
        }
        device.kill(); // what it says until then is no matter
        let mark = edge.mark();
        device.lose_pods();
        device.start();
        let running = device.wait_for_running(&["without-ca"]);
        device.wait_for(case, || {
            let log = device.log();
            let mut lines = log.lines();
            lines
                .any(|line| line.contains("WARN") && line.contains(&quoted) && line.contains(cause))
                .then_some(())
        });
        assert_eq!(edge.since(mark).len(), 0, "{case}");
        let _ = fs::remove_file(&ca);
        fs::write(&ca, &good).unwrap();
        if case == "missing" {
            device.signal(Signal::HUP); // a person need not wait for the next try
        }
        edge.wait_for_running(&device, mark, "without-ca");
        assert_eq!(device.pods(), running, "{case}");
        assert!(!edge.since(mark).iter().any(|it| it.call == "register" || it.call == "enrol"), "{case}");
    }
}

#[test]
fn a_device_whose_server_is_away_boots_runs_its_workloads_and_tells_later_what_happened() {
    let Some(mut edge) = Edge::start(&["--period", "1"]) else { return };
    let Some((mut device, _)) = linked(&edge, "no-server", "without-server") else { return };
    for door in ["refuse", "silent", "killed"] {
        match door {
            "killed" => edge.kill(),
            door => drop(edge.tell(&format!("door {door}"))),
        }
        let mark = edge.mark();
        boot(&mut device);
        let running = device.wait_for_running(&["without-server"]);
        if door != "silent" {
            device.wait_for_log("the edge API can't be reached"); // (a silent one is given up after 30 s)
        }
        match door {
            "killed" => edge.start_again(),
            _ => drop(edge.tell("clear")),
        }
        edge.wait_for(&device, mark, "an event", |it| {
            it.is_good("heartbeat") && it.tells("Started", "'without-server'")
        });
        assert_eq!(device.pods(), running, "{door}");
    }
}
