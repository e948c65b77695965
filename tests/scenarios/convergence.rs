//! Whatever happens to pods and engine, the device ends up as its manifests want it, and nothing waits for
//! another workload.

use serde_json::json;

use crate::support::{Device, Gate, SLEEP, podman, proxy::Proxy, workload};

/// Process ids in a container, as the host counts them.
pub(super) fn container_pid(name: &str) -> i32 {
    let (_, inspect) = podman::call(&podman::socket(), "GET", &format!("containers/{name}/json"), "");
    inspect["State"]["Pid"].as_i64().expect("a pid") as i32
}

pub(super) fn retried(name: &str, script: &str, seconds: u32) -> serde_json::Value {
    let mut workload = workload(name, script);
    workload["spec"]["retry"] = serde_json::json!({"constantBackoff": {"periodSeconds": seconds}});
    workload
}

#[test]
fn a_crashing_workload_is_retried_after_its_back_off_and_not_by_podman() {
    let Some(mut device) = Device::new("crash") else { return };
    device.manifest("c.json", &retried("c", "exit 7", 2).to_string());
    device.start();
    device.wait_for("three crashes", || {
        (device.log().matches("ended with exit code 7").count() >= 3).then_some(())
    });
    let log = device.log();
    assert!(log.contains("tried again in 2 s") || log.contains("tried again in 1 s"), "{log}");
}

#[test]
fn a_container_killed_from_outside_is_noticed_at_once() {
    let Some(mut device) = Device::new("killed") else { return };
    let before = device.run_alone("k", &retried("k", SLEEP, 1));
    let pid = rustix::process::Pid::from_raw(container_pid(&before.containers[0].0)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    device.wait_for_log("ended with exit code 137"); // long before the full look of the minute
    device.wait_for_restart(&before, "main");
}

#[test]
fn a_workload_that_ends_well_under_on_failure_or_never_is_not_started_again() {
    let Some(mut device) = Device::new("ends") else { return };
    for (name, policy, code) in [("good", "OnFailure", 0), ("bad", "Never", 3)] {
        let mut workload = retried(name, &format!("exit {code}"), 1);
        workload["spec"]["pod"]["spec"]["restartPolicy"] = policy.into();
        device.manifest(&format!("{name}.json"), &workload.to_string());
    }
    device.start();
    device.wait_for_log("workload 'good' has finished with exit code 0");
    device.wait_for_log("workload 'bad' has finished with exit code 3");
    let before = device.pods();
    // What would restart them is over when a later workload runs, dies and is back.
    device.manifest("zz.json", &retried("zz", "sleep 1", 1).to_string());
    device.wait_for("two runs", || {
        (device.log().matches("container 'main' ended with exit code 0").count() >= 2).then_some(())
    });
    let ids = |pods: Vec<podman::Pod>| -> Vec<_> {
        pods.into_iter().filter(|pod| pod.workload != "zz").map(|pod| (pod.id, pod.containers)).collect()
    };
    assert_eq!(ids(before), ids(device.pods()));
}

#[test]
fn a_pod_whose_work_is_done_ends_although_its_sidecar_goes_on() {
    let Some(mut device) = Device::new("sidecar") else { return };
    let mut job = workload("job", "sleep 1; exit 4");
    let spec = &mut job["spec"]["pod"]["spec"];
    let mut sidecar = spec["containers"][0].clone();
    sidecar["name"] = "beside".into();
    sidecar["command"] = json!(["sh", "-c", SLEEP]);
    sidecar["restartPolicy"] = "Always".into();
    (spec["restartPolicy"], spec["initContainers"]) = ("Never".into(), json!([sidecar]));
    device.manifest("job.json", &job.to_string());
    device.start();
    device.wait_for_log("workload 'job' has finished with exit code 4");
    device.wait_for_log("workload 'job': its pod is gone");
    assert!(device.pods().is_empty(), "{:?}", device.pods());
    let said = String::from_utf8(device.run(&["explain", "job"]).stdout).unwrap();
    assert!(said.starts_with("job is failed: it has finished with exit code 4"), "{said}");
}

#[test]
fn a_pod_ends_when_its_active_deadline_is_over_and_stays_ended_after_a_restart_of_the_agent() {
    let Some(mut device) = Device::new("deadline") else { return };
    let mut limited = workload("limited", SLEEP);
    limited["spec"]["pod"]["spec"]["activeDeadlineSeconds"] = json!(2);
    device.manifest("limited.json", &limited.to_string());
    device.start();
    device.wait_for_log("its activeDeadlineSeconds (2) are over; it is stopped");
    device.wait_for("no pod", || device.pods().is_empty().then_some(()));
    device.kill();
    device.start();
    // What would start it is over when another one runs.
    device.manifest("other.json", &workload("other", SLEEP).to_string());
    let running = device.wait_for_running(&["other"]);
    assert_eq!(running.len(), 1);
    assert_eq!(device.pods().len(), 1, "{}", device.log());
    let said = String::from_utf8(device.run(&["explain", "limited"]).stdout).unwrap();
    assert!(said.contains("limited is failed: it has finished with exit code 137"), "{said}");
}

#[test]
fn a_workload_that_cannot_start_is_reported_with_its_reason_leaves_nothing_and_runs_when_mended() {
    let Some(mut device) = Device::new("reasons") else { return };
    let broken = [
        ("command", serde_json::json!({"command": ["/nope"]}), "/nope"),
        (
            "image",
            serde_json::json!({"image": "localhost/no-such-image:1", "imagePullPolicy": "Never"}),
            "no-such-image",
        ),
    ];
    for (name, fields, _) in &broken {
        let mut workload = retried(name, SLEEP, 3);
        for (field, value) in fields.as_object().unwrap() {
            workload["spec"]["pod"]["spec"]["containers"][0][field] = value.clone();
        }
        device.manifest(&format!("{name}.json"), &workload.to_string());
    }
    device.start();
    for (name, _, reason) in &broken {
        device.wait_for("the reason", || {
            device
                .log()
                .lines()
                .any(|line| line.contains(&format!("workload '{name}'")) && line.contains(reason))
                .then_some(())
        });
    }
    device.wait_for_running(&[]);
    for (name, ..) in &broken {
        device.workload(name, SLEEP);
    }
    device.wait_for_running(&["command", "image"]);
}

#[test]
fn a_slow_pull_a_slow_init_container_and_a_slow_stop_delay_no_other() {
    let Some(mut device) = Device::new("slow") else { return };
    let proxy = device.behind_proxy();
    let gate = Gate::new();
    let mut stubborn = workload("stubborn", &format!("trap '' TERM; {}", Gate::WAIT));
    let spec = &mut stubborn["spec"]["pod"]["spec"];
    spec["terminationGracePeriodSeconds"] = 60.into();
    gate.mount(spec);
    device.manifest("stubborn.json", &stubborn.to_string());
    device.start();
    device.wait_for_running(&["stubborn"]);

    proxy.hold("images/pull");
    let mut puller = workload("puller", SLEEP);
    puller["spec"]["pod"]["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    device.manifest("puller.json", &puller.to_string());
    let mut slow = workload("slow-init", SLEEP);
    let spec = &mut slow["spec"]["pod"]["spec"];
    spec["initContainers"] = spec["containers"].clone();
    spec["initContainers"][0]["name"] = "wait".into();
    spec["initContainers"][0]["command"][2] = Gate::WAIT.into();
    gate.mount(spec);
    device.manifest("slow-init.json", &slow.to_string());
    device.remove_manifest("stubborn.json");
    device.wait_for("all three to be under way", || {
        let asked = |part: &str| !proxy.requests(part).is_empty();
        (asked("images/pull") && asked("/stop") && proxy.requests("pods/create").len() >= 2).then_some(())
    });
    device.workload("quick", SLEEP);
    device.wait_for("the quick one to run while the others wait", || {
        let pods = device.pods();
        let status = |name: &str| pods.iter().find(|pod| pod.workload == name).map(|pod| pod.status.clone());
        let quick = status("quick")? == "Running";
        if quick {
            assert!(status("stubborn").is_some(), "the slow stop was over too early to show anything");
            let slow = pods.iter().filter(|pod| pod.workload == "slow-init");
            let mut main = slow.flat_map(|pod| &pod.containers).filter(|(name, ..)| name.ends_with("-main"));
            assert!(main.all(|(_, _, started)| *started <= 0), "its init container runs on");
            assert_eq!(status("puller"), None);
        }
        quick.then_some(())
    });
    proxy.release();
    gate.open();
    device.wait_for_running(&["puller", "quick", "slow-init"]);
}

#[test]
fn init_containers_end_when_the_conditions_do() {
    let Some(mut device) = Device::new("cut-short") else { return };
    device.profiles(&[("low", "load < 5 || load == nil")]);
    let mut slow = workload("slow", SLEEP);
    slow["spec"]["profiles"] = json!([{ "name": "p", "conditions": [{ "name": "low" }] }]);
    let spec = &mut slow["spec"]["pod"]["spec"];
    spec["initContainers"] = spec["containers"].clone();
    spec["initContainers"][0]["name"] = "wait".into();
    let gate = Gate::new();
    spec["initContainers"][0]["command"][2] = Gate::WAIT.into();
    gate.mount(spec);
    device.manifest("slow.json", &slow.to_string());
    device.start();
    let init_runs = |pod: &podman::Pod| {
        pod.containers.iter().any(|(name, _, started)| name.ends_with("-wait") && *started > 0)
    };
    device.wait_for("the init container to run", || device.pods().iter().any(init_runs).then_some(()));
    assert_eq!(device.post("load", 9), 200);
    device.wait_for("nothing of it to be left", || device.pods().is_empty().then_some(()));
    let log = device.log();
    assert!(log.contains("workload 'slow': its start is cut short: its profiles don't hold"), "{log}");
    assert!(!log.contains("tried again"), "it was no failure: {log}");
    gate.open();
    assert_eq!(device.post("load", 1), 200);
    device.wait_for_running(&["slow"]);
}

#[test]
fn an_engine_that_goes_away_and_comes_back_finds_the_same_pods() {
    let Some(mut device) = Device::new("away-engine") else { return };
    let proxy_path = device.path("podman.sock");
    let real = device.socket.clone();
    device.socket = proxy_path.clone();
    device.workload("a", SLEEP);
    device.start(); // no socket yet
    device.wait_for_log("podman doesn't answer");
    Proxy::start(&proxy_path, real);
    device.wait_for_log("podman answers again");
    device.wait_for_running(&["a"]);
}

#[test]
fn a_pod_removed_behind_the_agents_back_comes_back() {
    let Some(mut device) = Device::new("removed") else { return };
    let before = device.run_alone("r", &retried("r", SLEEP, 1));
    podman::remove(&podman::socket(), &before.name);
    device.wait_for_another(&before);
}

#[test]
fn in_another_pid_namespace_exits_are_noticed_by_podmans_events() {
    let Some(mut device) = Device::new("namespace") else { return };
    device.manifest("n.json", &retried("n", "sleep 2; exit 5", 1).to_string());
    let mut two = retried("two", "sleep 3; exit 6", 1);
    let containers = two["spec"]["pod"]["spec"]["containers"].as_array_mut().unwrap();
    containers.push(containers[0].clone());
    (containers[1]["name"], containers[1]["command"]) =
        ("other".into(), serde_json::json!(["sh", "-c", SLEEP]));
    device.manifest("two.json", &two.to_string());
    device.start_wrapped(&["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    device.wait_for("two exits of each", || {
        let log = device.log();
        [5, 6]
            .iter()
            .all(|code| log.matches(&format!("ended with exit code {code}")).count() >= 2)
            .then_some(())
    });
    assert_eq!(device.log().matches("listening to its events instead").count(), 1);
}
