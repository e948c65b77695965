//! `Secret`s reach containers, and nothing of them stays anywhere.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use device_worker_ng::agent::{
    Event,
    model::{
        confidential::Confidential,
        order::{Fact, Failure, Task},
        workload::Workload,
    },
};
use serde_json::{Value, json};

use super::bed::{Bed, container, pod, states, workload_with};
use crate::support::{SLEEP, podman, poll, search, unique};

/// A workload with the Secret `s`, whose key `k` has this value.
fn with_secret(name: &str, value: &str, specification: Value) -> Arc<Workload> {
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "m": name } });
    let mut content = workload_with(name, specification, vec![map]).content.clone();
    content.secrets = Confidential(json!({ "s": { "k": BASE64_STANDARD.encode(value) } }));
    Arc::new(Workload::new(content))
}

/// Shows variables and files, and runs on.
fn specification(show: &str) -> Value {
    let mut main = container("main", &format!("{show}; echo end; {SLEEP}"));
    main["env"] = json!([{ "name": "ONE", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    main["envFrom"] =
        json!([{ "configMapRef": { "name": "cm" } }, { "secretRef": { "name": "s" }, "prefix": "ALL_" }]);
    main["volumeMounts"] = json!([
        { "name": "v", "mountPath": "/v" },
        { "name": "p", "mountPath": "/p" },
        { "name": "v", "mountPath": "/one", "subPath": "k" },
    ]);
    json!({
        "containers": [main],
        "volumes": [
            { "name": "v", "secret": { "secretName": "s" } },
            { "name": "p", "projected": { "sources": [
                { "secret": { "name": "s", "items": [{ "key": "k", "path": "deep/k", "mode": 256 }] } },
                { "configMap": { "name": "cm" } },
            ]}},
        ],
    })
}

fn output(workload: &Workload) -> String {
    let log = || Some(podman::logs(&format!("{}-main", workload.id))).filter(|log| log.contains("end\n"));
    poll(log).expect("the container's output")
}

/// What podman keeps on disk and in memory.
fn podmans_files(bed: &Bed) -> Vec<PathBuf> {
    let store = &bed.get("info")["store"];
    let place = |key: &str| PathBuf::from(store[key].as_str().unwrap());
    vec![place("graphRoot"), place("runRoot"), "/run".into()]
}

/// Their files with the value, the database apart.
fn holders(places: &[PathBuf], value: &str) -> Vec<String> {
    let all = places.iter().flat_map(|place| search::holders(place, value));
    all.filter(|file| !search::is_database(file)).collect()
}

#[test]
fn variables_and_files_arrive_and_nothing_of_them_stays() {
    let Some(bed) = Bed::new() else { return };
    let value = unique();
    // no output with the value: it would be in podman's log of the container
    let show = "sum() { sha256sum | cut -c1-9; }; for x in \"$ONE\" \"$ALL_k\" \"$(cat /v/k)\" \"$(cat /p/deep/k)\" \
                \"$(cat /one)\"; do printf %s \"$x\" | sum; done; echo $m $(cat /p/m); \
                stat -c %a /v /v/k /p/deep/k; echo x 2>&1 >/v/k";
    let workload = with_secret("arrive", &value, specification(show));
    assert_eq!(states(&bed.start(&workload)), ["main running"]);
    let output = output(&workload);
    let lines: Vec<&str> = output.lines().collect();
    let sum = lines[0];
    assert_eq!(lines[..5], [sum; 5], "{output}");
    assert_eq!(sum, &sha256(&value)[..9]);
    assert_eq!(lines[5], "arrive arrive");
    assert_eq!(lines[6..9], ["755", "644", "400"]);
    assert!(lines[9].contains("Read-only"), "{output}");

    let ours = search::holders(bed.volumes.path(), &value);
    assert_eq!(ours.len(), 2, "{ours:?}");
    let closed = bed.volumes.path().join("volumes");
    assert_eq!(fs::metadata(closed).unwrap().permissions().mode() & 0o777, 0o700);
    let container =
        bed.get(&format!("containers/{}-main/json", workload.id))["Id"].as_str().unwrap().to_owned();
    let mut others = holders(&podmans_files(&bed), &value);
    others.retain(|file| !file.contains(&container));
    assert_eq!(others, [""; 0]);
    assert_eq!(bed.get("secrets/json"), json!([]));

    assert_eq!(bed.remove(&workload), Ok(Fact::Gone));
    assert_eq!(bed.remains(&workload.id), [""; 0]);
    assert_eq!(fs::read_dir(bed.volumes.path().join("volumes")).unwrap().count(), 0);
    let mut places = podmans_files(&bed);
    places.push(bed.volumes.path().to_owned());
    assert_eq!(holders(&places, &value), [""; 0]);
}

fn sha256(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_user_within_the_container_reads_what_the_permissions_allow() {
    let Some(bed) = Bed::new() else { return };
    let mut specification = specification("cat /v/k; echo; cat /p/deep/k 2>&1");
    specification["containers"][0]["securityContext"] = json!({ "runAsUser": 1234 });
    let workload = with_secret("user", "value", specification);
    bed.start(&workload);
    assert_eq!(output(&workload), "value\ncat: can't open '/p/deep/k': Permission denied\nend\n");
}

#[test]
fn two_workloads_with_the_same_names_see_their_own_data_only() {
    let Some(bed) = Bed::new() else { return };
    let show = "echo $ONE $m $(cat /v/k) $(cat /p/m) $(cat /cm/m) $(ls /e | wc -l); touch /e/x";
    let mut specification = specification(show);
    for (volume, source) in
        [("cm", json!({ "configMap": { "name": "cm" } })), ("e", json!({ "emptyDir": {} }))]
    {
        let mut volume_of = source;
        volume_of["name"] = volume.into();
        specification["volumes"].as_array_mut().unwrap().push(volume_of);
        let mounts = specification["containers"][0]["volumeMounts"].as_array_mut().unwrap();
        mounts.push(json!({ "name": volume, "mountPath": format!("/{volume}") }));
    }
    let one = with_secret("one", "first", specification.clone());
    let two = with_secret("two", "second", specification);
    bed.start(&one);
    bed.start(&two);
    assert_eq!(output(&one), "first one first one one 0\nend\n");
    assert_eq!(output(&two), "second two second two two 0\nend\n");
    assert_eq!(bed.remove(&one), Ok(Fact::Gone));
    let left = fs::read_dir(bed.volumes.path().join("volumes")).unwrap().flatten();
    let left: Vec<String> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(left, [two.id.as_str()]);
}

#[test]
fn a_pod_that_does_not_start_leaves_nothing_and_its_reason_has_no_value() {
    let Some(bed) = Bed::new() else { return };
    let value = unique();
    let mut specification = specification("true");
    specification["containers"][0]["command"] = json!([format!("/{value}")]);
    let workload = with_secret("refused", &value, specification);
    match bed.order(Task::Start(workload.clone(), None)) {
        Err(Failure::Workload(reason)) => {
            assert!(reason.contains("(confidential)") && !reason.contains(&value), "{reason}")
        }
        other => panic!("{other:?} instead of a refusal"),
    }
    assert_eq!(bed.remains(&workload.id), [""; 0]);
    let mut places = podmans_files(&bed);
    places.push(bed.volumes.path().to_owned());
    assert_eq!(holders(&places, &value), [""; 0]);
}

#[test]
fn what_a_killed_agent_left_goes_at_the_next_look_and_what_has_a_pod_stays() {
    let Some(bed) = Bed::new() else { return };
    let workload = with_secret("stays", "value", specification("true"));
    bed.start(&workload);
    let volumes = bed.volumes.path().join("volumes");
    // as if it had been killed before it told podman
    let ghost = volumes.join("ghost-0123456789ab");
    fs::create_dir_all(ghost.join("v")).unwrap();
    fs::write(ghost.join("v/k"), "value").unwrap();
    bed.list();
    assert!(!ghost.exists());
    assert!(volumes.join(workload.id.as_str()).join("v/k").exists());
    // and the pod that somebody else removed takes its volumes along
    podman::remove(&podman::socket(), workload.id.as_str());
    assert!(matches!(bed.events.recv_timeout(Duration::from_secs(60)), Ok(Event::Exited(..))));
    bed.list();
    assert_eq!(fs::read_dir(&volumes).unwrap().count(), 0);
}

#[test]
fn a_second_play_after_a_crash_has_the_present_files() {
    let Some(bed) = Bed::new() else { return };
    let workload = with_secret("again", "value", specification("cat /v/k; echo; ls /v"));
    let stale = bed.volumes.path().join("volumes").join(workload.id.as_str()).join("v");
    fs::create_dir_all(&stale).unwrap();
    fs::write(stale.join("stale"), "x").unwrap();
    bed.start(&workload);
    assert_eq!(output(&workload), "value\nk\nend\n");
    // podman has the pod already
    assert_eq!(states(&pod(bed.order(Task::Start(workload.clone(), None)))), ["main running"]);
    assert_eq!(output(&workload), "value\nk\nend\n");
}

#[test]
fn odd_characters_reach_a_variable() {
    let Some(bed) = Bed::new() else { return };
    let value = "a\u{7f}b\u{85}c\u{2028}d\u{feff}e'\"$(ONE)\\\n\u{1}😀ü";
    let workload = with_secret("odd", value, specification("printf %s \"$ONE\" | sha256sum"));
    bed.start(&workload);
    assert!(output(&workload).starts_with(&sha256(value)));
}
