//! `Secret`s and registry credentials from a server.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::device_of;
use crate::support::{
    Device, SLEEP,
    edge::{Edge, for_device},
    search, workload,
};

fn secret(edge: &Edge, name: &str, data: Value) {
    let secret =
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data });
    edge.manifest(&format!("{name}.json"), &secret);
}

fn user(device: &Device) -> Value {
    let mut user = for_device(device, workload("user", SLEEP));
    user["spec"]["imageRegistries"] = json!({ "secretRef": { "name": "pull" } });
    user["spec"]["pod"]["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "s" } }]);
    user
}

#[test]
fn secrets_come_with_the_configuration_and_go_with_the_servers_word() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "secrets") else { return };
    device.set("LOG_LEVEL", "trace");
    let unique = || fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned();
    let values = [unique(), unique(), unique()];
    let auth = |password: &str| {
        json!({ ".dockerconfigjson": json!({ "auths": {
        "r.example": { "username": "u", "password": password },
    }}).to_string() })
    };
    secret(&edge, "pull", auth(&values[0]));
    secret(&edge, "s", json!({ "k": values[1] }));
    edge.manifest("user.json", &user(&device));
    edge.workload(&device, "zz-other", SLEEP);
    device.start();
    let first = device.wait_for_running(&["user", "zz-other"]);
    let kept = |value: &str| search::holders(&device.path("."), value);
    assert!(kept(&values[0]).iter().all(|file| search::is_private(Path::new(file))));

    // each change is a new pod of its users alone
    secret(&edge, "s", json!({ "k": values[2] }));
    let mut pods = vec![first[0].id.clone()];
    let mut next = |what: &str| {
        device.wait_for(what, || (device.pods().first()?.id != pods[pods.len() - 1]).then_some(()));
        let running = device.wait_for_running(&["user", "zz-other"]);
        assert_eq!(running[1], first[1]);
        pods.push(running[0].id.clone());
    };
    next("a pod with the new secret");
    secret(&edge, "pull", auth(&values[1]));
    next("a pod with the new credentials");

    // credentials that make no sense hold back their workload, and the server hears why
    secret(&edge, "pull", json!({ ".dockerconfigjson": values[0] }));
    edge.wait_for(&device, 0, "an event about the credentials", |it| {
        it.tells("ConfigurationRejected", "imageRegistries.authFile: is no JSON")
    });
    device.wait_for_running(&["user", "zz-other"]);

    edge.tell(&format!("disconnect {}", device.id));
    device.wait_for_running(&[]);
    device.wait_for("no trace of them", || {
        values.iter().all(|value| search::holders(&device.state_dir(), value).is_empty()).then_some(())
    });
    let told = fs::read_to_string(edge.path("log.json")).unwrap();
    for value in &values {
        assert!(!told.contains(value) && !device.whole_log().contains(value), "{}", device.whole_log());
    }
}
