//! Rootless podman: by an agent of the user whose it is, and beside the rootful one in an agent of root.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use serde_json::{Value, json};

use crate::support::{Device, SLEEP, podman, rootless::Rootless, search, unique, workload};

fn secret(namespace: &str, value: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s", "namespace": namespace },
        "stringData": { "k": value },
    })
}

/// Has the Secret of its namespace as a variable.
fn user(name: &str, namespace: &str, is_rootless: bool, script: &str) -> Value {
    let mut user = workload(name, &format!("{script}; echo end; {SLEEP}"));
    user["metadata"]["namespace"] = namespace.into();
    user["spec"]["rootless"] = is_rootless.into();
    user["spec"]["pod"]["spec"]["containers"][0]["env"] =
        json!([{ "name": "K", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }]);
    user
}

#[test]
fn a_users_agent_gives_secrets_to_pods_of_the_users_podman_and_nothing_of_them_stays() {
    let Some(rootless) = Rootless::find() else { return };
    let (mut device, by_user) = rootless.device("user");
    device.set("LOG_LEVEL", "trace");
    let by_user: Vec<&str> = by_user.iter().map(String::as_str).collect();
    let (one, two) = (unique(), unique());
    // another user within the container: the directory above is closed to him, the volume isn't
    let show = "[ \"$K\" = \"$(cat /v/k)\" ] && [ ${#K} = 36 ] && echo same; id -u; stat -c %a /v/k";
    let mut user = user("user", "default", true, show);
    let spec = &mut user["spec"]["pod"]["spec"];
    spec["volumes"] = json!([{ "name": "v", "secret": { "secretName": "s" } }]);
    spec["containers"][0]["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    spec["containers"][0]["securityContext"] = json!({ "runAsUser": 1234 });
    device.manifest("secret.json", &secret("default", &one).to_string());
    device.manifest("user.json", &user.to_string());
    device.start_wrapped(&by_user);
    let first = device.wait_for_running(&["user"]);
    let output = rootless.output(&format!("{}-main", first[0].name));
    assert_eq!(output, "same\n1234\n644\nend\n");

    let files = |value: &str| -> Vec<String> {
        let directories = [device.state_dir(), device.path("run")];
        directories.iter().flat_map(|directory| search::holders(directory, value)).collect()
    };
    let own = files(&one);
    assert_eq!(own.len(), 2, "{own:?}"); // the last good manifests, and the volume
    for file in &own {
        assert!(search::is_private(Path::new(file)), "{file} is open to others");
        assert_eq!(fs::metadata(file).unwrap().uid(), rootless.user, "{file}");
    }

    device.manifest("secret.json", &secret("default", &two).to_string());
    let second = device.wait_for_another(&first[0]);
    assert!(rootless.output(&format!("{}-main", second.name)).starts_with("same\n"));
    device.remove_manifest("user.json");
    device.remove_manifest("secret.json");
    device.wait_for_running(&[]);
    device.manifest("empty.json", ""); // the state directory keeps two generations of the manifests
    device.wait_for("no trace of it", || (files(&one).is_empty() && files(&two).is_empty()).then_some(()));
    for value in [&one, &two] {
        assert_eq!(search::podmans_holders(&rootless.socket, value), [""; 0]);
    }
    assert_eq!(podman::call(&rootless.socket, "GET", "secrets/json", "").1, json!([]));
    let log = device.whole_log();
    assert!(!log.contains(&one) && !log.contains(&two), "{log}");
}

/// A workload that has all names but its own in common with the other one: of the Secret, the ConfigMap, the volumes,
/// the claim and the container.
fn save(device: &Device, name: &str, round: u32) {
    let show = "echo $K $m $(cat /cm/m) $(ls /e /data | grep -c x); touch /e/x /data/x-$m";
    let mut user = user(name, name, name == "rootless", show);
    let spec = &mut user["spec"]["pod"]["spec"];
    spec["volumes"] = json!([
        { "name": "cm", "configMap": { "name": "cm" } },
        { "name": "e", "emptyDir": {} },
        { "name": "data", "persistentVolumeClaim": { "claimName": "data" } },
    ]);
    let main = &mut spec["containers"][0];
    main["volumeMounts"] = ["cm", "e", "data"]
        .map(|volume| json!({ "name": volume, "mountPath": format!("/{volume}") }))
        .to_vec()
        .into();
    main["envFrom"] = json!([{ "configMapRef": { "name": "cm" } }]);
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "cm", "namespace": name },
        "data": { "m": format!("{name}-{round}") },
    });
    let secret = secret(name, &format!("secret-of-{name}"));
    device.manifest(&format!("{name}.yaml"), &format!("{map}\n---\n{secret}\n---\n{user}"));
}

#[test]
fn two_podmans_side_by_side_share_nothing_and_fail_alone() {
    let Some(mut device) = Device::new("both") else { return };
    let Some(rootless) = Rootless::find() else { return };
    let rootful = device.socket.clone();
    let ways = rootless.add_to(&mut device);
    let names = ["rootful", "rootless"];
    let sockets = [&rootful, &rootless.socket];
    names.iter().for_each(|name| save(&device, name, 1));
    device.start();
    let mut pods = device.wait_for_running(&names);
    let output = |index: usize, pod: &podman::Pod| {
        let container = format!("{}-main", pod.name);
        device.wait_for("the container's output", || {
            Some(podman::logs_of(sockets[index], &container)).filter(|log| log.contains("end\n"))
        })
    };
    for (index, name) in names.into_iter().enumerate() {
        let expected = format!("secret-of-{name} {name}-1 {name}-1 0\nend\n");
        assert_eq!(output(index, &pods[index]), expected);
    }

    for (gone, name) in names.into_iter().enumerate() {
        let (engine, other) = (["podman", "rootless podman"][gone], 1 - gone);
        let round = 2 + gone as u32;
        ways[gone].cut();
        names.iter().for_each(|name| save(&device, name, round));
        device.wait_for_log(&format!("{engine} doesn't answer"));
        let now = device.wait_for("the other workload's new pod", || {
            let now = device.pods();
            (now.len() == 2 && now[other].id != pods[other].id && now[other].status == "Running")
                .then_some(now)
        });
        assert_eq!(now[gone], pods[gone], "it runs on");
        // its claim has what each of its pods left there, and no other's
        let expected = format!("secret-of-{0} {0}-{round} {0}-{round} {1}\nend\n", names[other], 1 + gone);
        assert_eq!(output(other, &now[other]), expected);
        ways[gone].open();
        device.wait_for_log(&format!("{engine} answers again"));
        pods = device.wait_for("its new pod", || {
            let all = device.pods();
            (all.len() == 2 && all[gone].id != now[gone].id && all[gone].status == "Running").then_some(all)
        });
        assert_eq!(pods[other], now[other]);
        let expected = format!("secret-of-{name} {name}-{round} {name}-{round} {}\nend\n", 1 + gone);
        assert_eq!(output(gone, &pods[gone]), expected);
    }
    for name in names {
        device.remove_manifest(&format!("{name}.yaml"));
    }
    device.wait_for_running(&[]);
    for socket in sockets {
        assert_eq!(search::podmans_holders(socket, "secret-of-root"), [""; 0]);
    }
}
