//! `Secret`s and registry credentials from a server.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use super::device_of;
use crate::support::{
    Device, SLEEP,
    edge::{Edge, for_device},
    give_secret, podman, search, unique, workload,
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
    device.set("MANIFESTS", device.manifests().display().to_string());
    device.workload("zzz-own", SLEEP);
    device.manifest("torn.json", "{"); // so not all that manifests want is known
    device.start();
    let all = ["user", "zz-other", "zzz-own"];
    let first = device.wait_for_running(&all);
    let kept = |value: &str| search::holders(&device.path("."), value);
    assert!(kept(&values[0]).iter().all(|file| search::is_private(Path::new(file))));

    // each change is a new pod of its users alone
    secret(&edge, "s", json!({ "k": values[2] }));
    let mut last = first[0].clone();
    let mut next = || {
        last = device.wait_for_another(&last);
        assert_eq!(device.wait_for_running(&all)[1], first[1]);
    };
    next();
    secret(&edge, "pull", auth(&values[1]));
    next();

    // credentials that make no sense hold back their workload, and the server hears why
    secret(&edge, "pull", json!({ ".dockerconfigjson": values[0] }));
    edge.wait_for(&device, 0, "an event about the credentials", |it| {
        it.tells("ConfigurationRejected", "imageRegistries.authFile: is no JSON")
    });
    device.wait_for_running(&all);

    device.wait_for("what the user may return to", || {
        let names = |it: Vec<String>| it.iter().any(|file| file.ends_with("/fallbacks"));
        names(kept(&values[2])).then_some(())
    });
    edge.tell(&format!("disconnect {}", device.id));
    assert_eq!(device.wait_for_running(&["zzz-own"]), first[2..]);
    device.wait_for("no trace of them", || {
        let places = [device.state_dir(), device.path("run")];
        let mut all =
            places.iter().flat_map(|place| values.iter().map(|value| search::holders(place, value)));
        all.all(|files| files.is_empty()).then_some(())
    });
    let told = fs::read_to_string(edge.path("log.json")).unwrap();
    for value in &values {
        assert!(!told.contains(value) && !device.whole_log().contains(value), "{}", device.whole_log());
    }
}

#[test]
fn an_update_that_is_taken_back_takes_its_secret_along_and_the_old_one_returns() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "returns") else { return };
    device.set("LOG_LEVEL", "trace");
    let (old, new) = (unique(), unique());
    let sum = ring::digest::digest(&ring::digest::SHA256, old.as_bytes());
    let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    // comes up with the old value only, in its variable and in its file
    let check = "sum() { sha256sum | cut -c-64; }; for x in $K $(cat /v/k); do printf %s $x | sum; done";
    let script = format!("[ \"$(echo $({check}))\" = '{sum} {sum}' ] || exit 7; echo end; {SLEEP}");
    let mut user = for_device(&device, workload("user", &script));
    user["spec"]["retry"] = json!({ "constantBackoff": { "periodSeconds": 30 } });
    give_secret(&mut user);
    secret(&edge, "s", json!({ "k": old }));
    edge.manifest("user.json", &user);
    device.start();
    let before = device.wait_for_running(&["user"]);
    device.wait_for_log("workload 'user' is started");
    let state = device.state_dir();
    let kept = |value: &str, directory: PathBuf| -> Vec<String> {
        let files = search::holders(&directory, value);
        assert!(files.iter().all(|file| search::is_private(Path::new(file))), "{files:?}");
        let inside =
            |file: &String| file.strip_prefix(&format!("{}/", directory.display())).map(str::to_owned);
        files.iter().filter_map(inside).collect()
    };
    // it counts as having come up once it has run for 10 s
    device.wait_for("it to have come up", || {
        let started = before[0].containers[0].2;
        (super::now() > started as f64 + 12.0).then_some(())
    });

    secret(&edge, "s", json!({ "k": new }));
    device.wait_for_log("ended with exit code 7");
    device.wait_within(Duration::from_secs(240), "the update to be taken back", || {
        device.log().contains("its update has not come up within 120 s").then_some(())
    });
    let after = device.wait_for_running(&["user"]);
    assert_eq!(after[0].name, before[0].name, "the content is the old one");
    let container = format!("{}-main", after[0].name);
    device.wait_for("the old value", || podman::logs(&container).contains("end\n").then_some(()));
    edge.wait_for(&device, 0, "the event", |it| it.tells("RolledBack", "what ran before returns"));
    let volume = format!("volumes/rootful/{}/v/k", after[0].name);
    assert_eq!(kept(&old, device.path("run")), [volume.as_str()]);
    assert_eq!(kept(&new, device.path("run")), [""; 0]);
    assert_eq!(kept(&old, state.clone()), ["configuration.previous", "fallbacks", "fallbacks.previous"]);
    assert_eq!(kept(&new, state.clone()), ["configuration"]);
    assert_eq!(search::podmans_holders(&podman::socket(), &new), [""; 0]);

    // and the next agent knows all that
    device.kill();
    device.start();
    device.wait_for_log("workload 'user' runs already");
    assert_eq!(device.wait_for_running(&["user"]), after);
    edge.tell(&format!("disconnect {}", device.id));
    device.wait_for_running(&[]);
    device.wait_for("no trace of them", || {
        let places = [state.clone(), device.path("run")];
        let mut all = places.iter().flat_map(|place| [&old, &new].map(|value| search::holders(place, value)));
        all.all(|files| files.is_empty()).then_some(())
    });
    let told = fs::read_to_string(edge.path("log.json")).unwrap();
    for value in [&old, &new] {
        assert!(!told.contains(value) && !device.whole_log().contains(value), "{}", device.whole_log());
    }
}
