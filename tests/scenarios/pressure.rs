//! The device comes first. What is short here is never really short: the reserve is set above what there is.

use std::fs;

use rustix::process::Signal;

use crate::support::{Device, SLEEP, pause, podman, workload};

/// What the next agent finds in its settings.
fn set(device: &mut Device, key: &str, value: &str) {
    let text = format!("{key}: {value}\nDEFAULT_MEMORY_LIMIT: 256Mi\nDEFAULT_CPU_LIMIT: 0.5\n");
    device.config(&[], &text);
}

fn reload(device: &Device) {
    device.signal(Signal::HUP);
    device.wait_for_log("starting again to read the settings");
}

#[test]
fn below_a_reserve_a_workload_is_held_and_said_so_and_starts_when_there_is_enough() {
    for (key, resource) in [("MEMORY_RESERVE", "memory"), ("DISK_RESERVE", "disk space")] {
        let Some(mut device) = Device::new("held") else { return };
        device.workload("late", SLEEP);
        set(&mut device, key, "100%");
        device.start();
        device.wait_for_log(&format!("{resource} is short: "));
        device.wait_for_log("nothing new is pulled or started");
        device.wait_for_log("asks for 1 workload");
        pause(1000); // in which it would have started
        assert!(device.pods().is_empty(), "{}", device.log());
        set(&mut device, key, "0");
        reload(&device);
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
    set(&mut device, "MEMORY_RESERVE", "0");
    device.start();
    let before = device.wait_for_running(&["eater", "modest"]);
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    set(&mut device, "MEMORY_RESERVE", &format!("{}Ki", total * 3));
    reload(&device);
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
    set(&mut device, "DEFAULT_PIDS_LIMIT", "77");
    device.start();
    let pods = device.wait_for_running(&["plain"]);
    let (name, ..) = &pods[0].containers[0];
    let container = podman::call(&device.socket, "GET", &format!("containers/{name}/json"), "").1;
    let host = &container["HostConfig"];
    assert_eq!((&host["Memory"], &host["CpuQuota"]), (&(256 << 20).into(), &50_000.into()), "{host}");
    assert_eq!(host["PidsLimit"], 77, "{host}");
    let info = podman::call(&device.socket, "GET", "info", "").1;
    let storage = info["store"]["graphRoot"].as_str().unwrap();
    device.wait_for_log(&format!("the disk of '{storage}' is watched"));
}
