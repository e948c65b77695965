//! What passes between a device and its server on ordinary days, and when the server's answers are odd.

use serde_json::json;

use super::{Beats, device_of, linked};
use crate::support::{
    SLEEP,
    edge::{Edge, for_device},
    pause, workload,
};

#[test]
fn a_stranger_is_let_in_runs_its_pods_and_tells_each_event_once() {
    let Some(edge) = Edge::start(&["--approve", "never", "--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "stranger") else { return };
    edge.workload(&device, "greeter", SLEEP);
    device.start();
    let asks = edge.wait_for(&device, 0, "the device to ask to be let in", |it| it.is_good("enrol"));
    assert!(asks.content["features"]["hardware"]["cpu"].is_object(), "{asks:?}");
    edge.wait_for(&device, 0, "a registration too early", |it| it.call == "register" && it.status == 404);
    assert_eq!(device.pods(), []);
    edge.tell(&format!("approve {}", device.id));
    device.wait_for_running(&["greeter"]);
    edge.wait_for_running(&device, 0, "greeter");
    let mark = edge.mark();
    let is_late = |beats: &[_]| beats.len() >= 3;
    device.wait_for("three more heartbeats", || is_late(&edge.beats(&device, mark)).then_some(()));
    let beats = edge.beats(&device, 0);
    for (reason, part) in [
        ("AwaitingApproval", ""),
        ("Registered", ""),
        ("ConfigurationApplied", "1 workloads"),
        ("Started", "'greeter'"),
    ] {
        let told = beats.iter().filter(|beat| beat.tells(reason, part)).count();
        assert_eq!(told, 1, "{reason}: {beats:#?}");
    }
    let last = &beats[beats.len() - 1];
    assert_eq!(last.content["status"], "up");
    assert!(edge.since(0).iter().any(|it| it.version.as_deref() == last.content["version"].as_str()));
}

#[test]
fn answers_that_make_no_sense_touch_nothing_and_an_empty_list_is_an_order() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some((device, before)) = linked(&edge, "answers", "answered") else { return };
    for trouble in ["500", "503", "404", "401", "html", "empty", "truncated", "types", "cut", "huge"] {
        let mark = edge.mark();
        edge.tell(&format!("fault {trouble} call=configuration times=1"));
        edge.wait_for(&device, mark, trouble, |it| it.trouble.as_deref() == Some(trouble));
        edge.wait_for(&device, mark, "a good answer again", |it| it.is_good("configuration"));
        if trouble != "cut" {
            // (an answer that breaks off is asked for again at once)
            edge.wait_for(&device, mark, "an event", |it| {
                it.tells("Failed", "failed to get the configuration")
            });
        }
        assert_eq!(device.pods(), before, "{trouble}");
    }

    // A ConfigMap that isn't there: the server can say nothing at all.
    let mut needy = workload("needy", SLEEP);
    needy["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "site"}}]);
    let mark = edge.mark();
    edge.manifest("needy.json", &for_device(&device, needy));
    edge.wait_for(&device, mark, "a 500", |it| it.call == "configuration" && it.status == 500);
    assert_eq!(device.pods(), before);
    edge.manifest(
        "site.json",
        &json!({"kind": "ConfigMap", "metadata": {"name": "site"}, "data": {"A": "b"}}),
    );
    let both = device.wait_for_running(&["answered", "needy"]);
    assert_eq!(both[0], before[0]);

    // One workload of no use, and the others go on.
    let mut odd = workload("odd", SLEEP);
    odd["spec"]["pod"]["spec"]["containers"] = json!("none");
    let mark = edge.mark();
    edge.manifest("odd.json", &for_device(&device, odd));
    edge.workload(&device, "third", SLEEP);
    let all = device.wait_for_running(&["answered", "needy", "third"]);
    assert_eq!(all[..2], both[..]);
    edge.wait_for(&device, mark, "an event", |it| it.tells("ConfigurationRejected", "'odd'"));
    edge.wait_for(&device, mark, "a degraded device", |it| {
        it.workload("odd") == Some("Crashed") && it.content["status"] == "degraded"
    });

    let mark = edge.mark();
    for name in ["answered.json", "needy.json", "odd.json", "third.json"] {
        edge.remove_manifest(name);
    }
    device.wait_for_running(&[]);
    edge.wait_for(&device, mark, "a heartbeat without workloads", |it| {
        it.call == "heartbeat" && it.content["workloads"] == json!([]) && it.content["status"] == "up"
    });
}

#[test]
fn a_device_that_was_deleted_clears_up_and_does_not_ask_to_be_let_in_again() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some((device, _)) = linked(&edge, "deleted", "orphaned") else { return };
    let mark = edge.mark();
    edge.tell(&format!("delete {}", device.id));
    device.wait_for_running(&[]);
    device.wait_for_log("the server unregistered this device");
    pause(3000);
    assert!(!edge.since(mark).iter().any(|it| it.call == "enrol" || it.call == "register"));
}

#[test]
fn an_unregistered_device_clears_up_keeps_its_manifests_and_is_silent_until_told_otherwise() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "dismissed") else { return };
    device.set("MANIFESTS", device.manifests().display().to_string());
    device.workload("local", SLEEP);
    edge.workload(&device, "dismissed", SLEEP);
    device.start();
    let before = device.wait_for_running(&["dismissed", "local"]);
    edge.wait_for_running(&device, 0, "dismissed");
    edge.tell(&format!("disconnect {}", device.id));
    assert_eq!(device.wait_for_running(&["local"]), before[1..]);
    device.wait_for_log("the server unregistered this device");
    for name in ["identity", "configuration"] {
        device.wait_for(name, || (!device.state_dir().join(name).exists()).then_some(()));
    }
    let mark = edge.mark();
    device.kill();
    device.start();
    device.wait_for_log("runs already");
    pause(11_000); // any other device calls within 10 s
    assert_eq!(edge.since(mark).len(), 0);

    device.kill();
    edge.tell(&format!("delete {}", device.id));
    let output = device.run(&["register"]);
    assert!(output.status.success(), "{output:?}");
    device.start();
    edge.wait_for_running(&device, mark, "dismissed");
    assert_eq!(device.wait_for_running(&["dismissed", "local"])[1], before[1]);
}
