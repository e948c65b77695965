//! `describe` and `top`: what podman and the kernel know of a workload's containers.

use serde_json::{Value, json};

use super::{json, say};
use crate::support::{Device, IMAGE, SLEEP, free_port, workload};

#[test]
fn describe_tells_image_command_ports_mounts_limits_and_probes() {
    let Some(mut device) = Device::new("described") else { return };
    let port = free_port();
    let mut w = workload("web", SLEEP);
    let spec = &mut w["spec"]["pod"]["spec"];
    spec["volumes"] =
        json!([{"name": "data", "emptyDir": {}}, {"name": "etc", "hostPath": {"path": "/etc"}}]);
    let container = &mut spec["containers"][0];
    container["ports"] = json!([{"containerPort": 80, "hostPort": port}]);
    container["volumeMounts"] = json!([
        {"name": "data", "mountPath": "/data"}, {"name": "etc", "mountPath": "/host-etc", "readOnly": true},
    ]);
    container["resources"] =
        json!({"limits": {"memory": "64Mi", "cpu": "500m"}, "requests": {"memory": "16Mi", "cpu": "100m"}});
    container["livenessProbe"] =
        json!({"exec": {"command": ["echo", "fine"]}, "periodSeconds": 1, "timeoutSeconds": 30});
    container["readinessProbe"] = json!({"exec": {"command": ["sh", "-c", "echo not yet; false"]}, "periodSeconds": 1, "timeoutSeconds": 30});
    device.manifest("web.json", &w.to_string());
    device.start();
    let first = device.wait_for_running(&["web"]).remove(0);
    let text = device.wait_for("the probes' answers", || {
        let text = say(&device, &["describe", "web"]).1;
        (text.contains("readiness probe: failed: ") && text.contains("liveness probe: well")).then_some(text)
    });
    for expected in [
        "probe main: liveness probe: well",
        "probe main: readiness probe: failed: exit code 1: not yet\n",
        &format!("ports {port}/tcp to 80\n"),
        "\ncontainer main\n",
        &format!("\nimage {IMAGE}\ndigest sha256:"),
        "\ncommand sh -c trap 'exit 0' TERM;",
        "\nstate running\nstarted 20",
        " from /etc (read-only)",
        "/data from web-",
        "\nlimits memory 64Mi, cpu #, # processes\nrequests memory 16Mi, cpu #\n",
        "\naddress ",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in:\n{text}");
    }
    let described = json(&device, &["describe", "web", "--json"]);
    let main = &described["containers"][0];
    assert_eq!((&main["state"], &main["limits"][1]), (&json!("running"), &json!("cpu 500m")), "{described}");
    assert_eq!(main["requests"], json!(["memory 16Mi", "cpu 100m"]), "{described}");
    assert_eq!(described["probes"][1]["healthy"], false, "{described}");
    assert!(main["started"].as_str().unwrap().ends_with('Z'), "{described}");
    // an update that can't start: what runs meanwhile is shown
    w["spec"]["pod"]["spec"]["containers"][0]["image"] = "localhost/nobody:1".into();
    w["spec"]["pod"]["spec"]["containers"][0]["imagePullPolicy"] = "Never".into();
    device.manifest("web.json", &w.to_string());
    let in_pod = format!("\nin pod {}\naddress ", first.name);
    device.wait_for("the old pod's containers to be shown", || {
        let text = say(&device, &["describe", "web"]).1;
        (text.contains(&in_pod) && text.contains("\ncontainer main\n")).then_some(())
    });
}

#[test]
fn describe_tells_how_often_a_container_failed_and_how_it_ended() {
    let Some(mut device) = Device::new("ended") else { return };
    device.workload("crasher", "exit 7");
    device.start();
    device.wait_for("a second failure", || {
        let text = say(&device, &["describe", "crasher"]).1;
        let failed =
            "failures main: 2 in a row; the last: container 'main' ended with exit code 7 after # s\n";
        (text.contains(failed) && text.contains("\nstate exited\nstarted 20") && text.contains("\nexit 7\n"))
            .then_some(())
    });
}

#[test]
fn top_tells_what_workloads_and_containers_use_and_may() {
    let Some(mut device) = Device::new("top") else { return };
    let mut w = workload("busy", "while :; do :; done");
    w["spec"]["pod"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "64Mi"}});
    let idle = json!({"name": "idle", "image": IMAGE, "command": ["sh", "-c", SLEEP], "imagePullPolicy": "IfNotPresent",
        "resources": {"limits": {"memory": "32Mi"}}});
    w["spec"]["pod"]["spec"]["containers"].as_array_mut().unwrap().push(idle);
    device.manifest("busy.json", &w.to_string());
    device.workload("calm", SLEEP);
    device.start();
    device.wait_for_running(&["busy", "calm"]);
    let all = json(&device, &["top", "--json"]);
    let of = |all: &Value, list: &str, name: &str| {
        all[list].as_array().unwrap().iter().find(|it| it["name"] == name).expect(name).clone()
    };
    let (busy, calm) = (of(&all, "workloads", "busy"), of(&all, "workloads", "calm"));
    assert!(calm["memory"].as_u64().unwrap() > 0, "{all}");
    assert_eq!(all["schema_version"], 1, "{all}");
    let alone = json(&device, &["top", "busy", "--json"]);
    assert!(of(&alone, "containers", "idle")["memory"].as_u64().unwrap() > 0, "{alone}");
    // not each machine that runs tests lets containers be counted
    if let Some(cpu) = busy["cpu_percent"].as_f64() {
        assert!(cpu > 5.0 && cpu > calm["cpu_percent"].as_f64().unwrap(), "{all}");
    }
    if let Some(limit) = busy["memory_limit"].as_u64() {
        assert_eq!((limit, calm["memory_limit"].as_u64()), (96 << 20, None), "{all}");
        let row = say(&device, &["top", "busy"]).1;
        assert!(row.starts_with("CONTAINER MEMORY LIMIT CPU LIMIT PROCESSES LIMIT\n"), "{row}");
        assert!(row.contains(" 64 MiB ") && row.contains(" 32 MiB "), "{row}");
    }
    assert_eq!(say(&device, &["top", "nobody"]).0, 2);
}
