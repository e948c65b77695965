//! The device comes first. What is short here is never really short: the reserve is set above what there is.

use std::fs;

use rustix::process::Signal;

use crate::support::{Device, SLEEP, pause, podman, workload};

/// Starts the agent with this reserve, or lets it read its settings again.
fn reserve(device: &mut Device, key: &str, reserve: &str) {
    let text = format!("{key}: {reserve}\nDEFAULT_MEMORY_LIMIT: 256Mi\nDEFAULT_CPU_LIMIT: 0.5\n");
    let config = device.config(&[], &text);
    if fs::read_to_string(device.path("log")).is_ok() {
        device.signal(Signal::HUP);
        device.wait_for_log("starting again to read the settings");
    } else {
        device.start();
    }
    assert!(config.exists());
}

#[test]
fn below_a_reserve_a_workload_is_held_and_said_so_and_starts_when_there_is_enough() {
    for (key, resource) in [("MEMORY_RESERVE", "memory"), ("DISK_RESERVE", "disk space")] {
        let Some(mut device) = Device::new("held") else { return };
        device.workload("late", SLEEP);
        reserve(&mut device, key, "100%");
        device.wait_for_log(&format!("{resource} is short: "));
        device.wait_for_log("nothing new is pulled or started");
        device.wait_for_log("asks for 1 workload");
        pause(1000); // in which it would have started
        assert!(device.pods().is_empty(), "{}", device.log());
        reserve(&mut device, key, "0");
        device.wait_for_running(&["late"]);
    }
}

#[test]
fn the_workload_that_takes_too_much_goes_first_and_others_run_on() {
    let Some(mut device) = Device::new("shed") else { return };
    let hold = format!("x=$(head -c 40000000 /dev/zero | tr '\\0' a); {SLEEP}");
    let mut eater = workload("eater", &hold);
    eater["spec"]["pod"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = "10Mi".into();
    eater["metadata"]["annotations"]["podman/priority"] = "7".into();
    device.manifest("eater.json", &eater.to_string());
    device.workload("modest", SLEEP);
    reserve(&mut device, "MEMORY_RESERVE", "0");
    let before = device.wait_for_running(&["eater", "modest"]);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    reserve(&mut device, "MEMORY_RESERVE", &format!("{}Ki", total * 3));
    device.wait_for_log("workload 'eater' is stopped: memory is short: ");
    assert_eq!(device.wait_for_running(&["modest"]), before[1..]);
    let log = device.log();
    let line = log.lines().find(|line| line.contains("'eater' is stopped")).unwrap();
    assert!(
        line.contains("MiB, more than the 10 MiB it may; its priority is 7; it comes back when"),
        "{line}"
    );
    assert!(!log.contains("its profiles don't hold"), "{log}");
}

#[test]
fn a_container_without_limits_has_the_default_ones_and_podmans_disk_is_watched() {
    let Some(mut device) = Device::new("limits") else { return };
    device.workload("plain", SLEEP);
    reserve(&mut device, "DEFAULT_PIDS_LIMIT", "77");
    let pods = device.wait_for_running(&["plain"]);
    let (name, ..) = &pods[0].containers[0];
    let host =
        podman::call(&device.socket, "GET", &format!("containers/{name}/json"), "").1["HostConfig"].clone();
    let info = podman::call(&device.socket, "GET", "info", "").1;
    assert_eq!((&host["Memory"], &host["CpuQuota"]), (&(256 << 20).into(), &50_000.into()), "{host}");
    assert_eq!(host["Annotations"]["io.podman.annotations.pids-limit/main"], serde_json::Value::Null);
    device
        .wait_for_log(&format!("the disk of '{}' is watched", info["store"]["graphRoot"].as_str().unwrap()));
}
