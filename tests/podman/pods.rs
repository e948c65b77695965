//! What was written is what runs: read from inside the container.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use device_worker_ng::agent::model::{
    order::{Failure, Task},
    workload::Workload,
};
use serde_json::{Value, json};

use super::bed::{Bed, container, states, workload, workload_with};
use crate::support::{IMAGE, SLEEP, podman, podman_or_skip, poll, skip};

/// One executor for all of these tests, one after the other: the kernel's watches that one takes last as long as its
/// process. `None` without podman.
fn bed() -> Option<MutexGuard<'static, Bed>> {
    static BED: LazyLock<Option<Mutex<Bed>>> = LazyLock::new(|| Bed::new().map(Mutex::new));
    podman_or_skip()?;
    let bed = BED.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
    bed.events.try_iter().for_each(drop);
    for left in bed.list() {
        bed.order(Task::Remove { id: left.id, grace: Duration::from_secs(1) }).unwrap();
    }
    Some(bed)
}

/// What a container has printed by the time when it prints `end`.
fn output(workload: &Workload, container: &str) -> Vec<String> {
    let name = format!("{}-{container}", workload.id);
    // (a terminal ends its lines in another way)
    let log = || podman::logs(&name).replace('\r', "");
    let whole = poll(|| Some(log()).filter(|log| log.contains("end\n")));
    let whole = whole.unwrap_or_else(|| panic!("no end in {:?}", log()));
    whole.lines().map(str::to_owned).take_while(|line| line != "end").collect()
}

/// A container `a` that runs this, says so, and goes on.
fn shows(command: &str) -> Value {
    container("a", &format!("{{ {command}; }} 2>&1; echo end; {SLEEP}"))
}

fn with(mut container: Value, fields: Value) -> Value {
    let Value::Object(fields) = fields else { panic!("fields") };
    container.as_object_mut().unwrap().extend(fields);
    container
}

fn config_map(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": data })
}

/// What the container `a` of the pod shows.
fn shown(bed: &Bed, workload: &Arc<Workload>) -> Vec<String> {
    bed.start(workload);
    let shown = output(workload, "a");
    bed.remove(workload).unwrap();
    assert_eq!(bed.remains(&workload.id), [""; 0]);
    shown
}

fn refused(bed: &Bed, workload: &Arc<Workload>) -> String {
    for task in [Task::Check(workload.clone()), Task::Start(workload.clone(), None)] {
        match bed.order(task) {
            Err(Failure::Workload(_)) => {}
            other => panic!("{other:?} instead of a refusal"),
        }
    }
    assert_eq!(bed.remains(&workload.id), [""; 0]);
    match bed.order(Task::Start(workload.clone(), None)) {
        Err(Failure::Workload(reason)) => reason,
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn variables_have_the_order_and_the_references_of_kubernetes() {
    let Some(bed) = bed() else { return };
    let show = "echo $LEVEL $POD $NODE $NS $URL $DEVICE_ID $CPU $MEM; [ \"$IP\" = \"$(hostname -i)\" ] && echo address; \
                echo \"${container-none}\"";
    let mut main = shows(show);
    main["command"] = json!(["sh", "-c"]);
    main["args"] =
        json!([format!("{{ {show}; }} 2>&1; echo $(BROKER) '$$(BROKER)' '$(NONE)'; echo end; {SLEEP}")]);
    let field =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let resource = |name: &str, resource: &str, divisor: &str| {
        json!({ "name": name, "valueFrom": {
        "resourceFieldRef": { "resource": resource, "divisor": divisor } } })
    };
    let main = with(
        main,
        json!({
            "envFrom": [{ "configMapRef": { "name": "lvl" } }],
            "env": [
                { "name": "LEVEL", "value": "first" },
                { "name": "LEVEL", "value": "from-env" },
                { "name": "BROKER", "value": "10.1.1.5" },
                { "name": "URL", "value": "mqtt://$(BROKER):1883" },
                { "name": "DEVICE_ID", "value": "mine" },
                field("POD", "metadata.name"), field("NODE", "spec.nodeName"), field("NS", "metadata.namespace"),
                field("IP", "status.podIP"),
                resource("CPU", "limits.cpu", "1m"), resource("MEM", "limits.memory", "1Mi"),
            ],
            "resources": { "limits": { "cpu": "250m", "memory": "64Mi" } },
        }),
    );
    let w = workload_with(
        "variables",
        json!({ "containers": [main] }),
        vec![config_map("lvl", json!({ "LEVEL": "from-map" }))],
    );
    let expected = [
        format!("from-env {} dev1 {} mqtt://10.1.1.5:1883 mine 250 64", w.id, w.content.namespace),
        "address".into(),
        "none".into(),
        "10.1.1.5 $(BROKER) $(NONE)".into(),
    ];
    assert_eq!(shown(&bed, &w), expected);
}

#[test]
fn volumes_of_config_maps_are_read_only_files_with_their_permissions_and_parts() {
    let Some(bed) = bed() else { return };
    let main = with(
        shows(
            "cat /etc/app/app.conf; find /h -type f -exec stat -c '%n %a' {} + | sort; /s/run.sh; cat /s/run.sh >/dev/null; \
             echo y >/h/k; ls /opt | wc -l; ls /one /two; cat /self/name; ls /all",
        ),
        json!({ "volumeMounts": [
            { "name": "whole", "mountPath": "/etc/app/app.conf", "subPath": "app.conf" },
            { "name": "items", "mountPath": "/h" },
            { "name": "scripts", "mountPath": "/s" },
            { "name": "none", "mountPath": "/opt" },
            { "name": "one", "mountPath": "/one" },
            { "name": "two", "mountPath": "/two" },
            { "name": "self", "mountPath": "/self" },
            { "name": "all", "mountPath": "/all" },
        ]}),
    );
    let name = json!({ "path": "name", "fieldRef": { "fieldPath": "metadata.name" } });
    let w = workload_with(
        "configured",
        json!({ "containers": [main], "volumes": [
            { "name": "whole", "configMap": { "name": "cm" } },
            { "name": "items", "configMap": { "name": "cm", "items": [
                { "key": "app.conf", "path": "sub/dir/f", "mode": 256 }, { "key": "other", "path": "bin" } ] } },
            { "name": "scripts", "configMap": { "name": "scr", "defaultMode": "0755" } },
            { "name": "none", "configMap": { "name": "nope", "optional": true } },
            { "name": "one", "configMap": { "name": "cm", "items": [{ "key": "other", "path": "1" }] } },
            { "name": "two", "configMap": { "name": "cm", "items": [{ "key": "other", "path": "2" }] } },
            { "name": "self", "downwardAPI": { "items": [name] } },
            { "name": "all", "projected": { "sources": [
                { "configMap": { "name": "scr" } }, { "downwardAPI": { "items": [name] } } ] } },
        ]}),
        vec![
            config_map("cm", json!({ "app.conf": "a=1\n", "other": "x" })),
            config_map("scr", json!({ "run.sh": "#!/bin/sh\necho ran\n" })),
        ],
    );
    let shown = shown(&bed, &w);
    let expected = ["a=1", "/h/bin 644", "/h/sub/dir/f 400", "ran"];
    assert_eq!(shown[..4], expected, "{shown:?}");
    assert!(shown[4].contains("Read-only"), "{shown:?}");
    let name = format!("{}name", w.id); // no line ends there
    assert_eq!(shown[5..], ["0", "/one:", "1", "", "/two:", "2", &name, "run.sh"], "{shown:?}");
}

#[test]
fn a_part_of_a_volume_is_all_that_is_seen_of_it() {
    let Some(bed) = bed() else { return };
    let host = tempfile::tempdir().unwrap();
    fs::create_dir_all(host.path().join("tenant-a")).unwrap();
    fs::create_dir_all(host.path().join("tenant-b")).unwrap();
    fs::write(host.path().join("tenant-a/mine"), "").unwrap();
    let main = with(
        shows("echo x >/one/f; echo p >/db/f; touch /expr/e; find /all /pall -type f | sort; ls /data"),
        json!({
            "env": [{ "name": "TENANT", "value": "ten" }],
            "volumeMounts": [
                { "name": "d", "mountPath": "/one", "subPath": "one" },
                { "name": "d", "mountPath": "/expr", "subPathExpr": "of/$(TENANT)" },
                { "name": "d", "mountPath": "/all" },
                { "name": "p", "mountPath": "/db", "subPath": "db" },
                { "name": "p", "mountPath": "/pall" },
                { "name": "h", "mountPath": "/data", "subPath": "tenant-a" },
            ],
        }),
    );
    let volumes = |claim: &str| {
        json!([
            { "name": "d", "emptyDir": {} },
            { "name": "p", "persistentVolumeClaim": { "claimName": claim } },
            { "name": "h", "hostPath": { "path": host.path() } },
        ])
    };
    let w = workload("parts", json!({ "containers": [main], "volumes": volumes("c84") }));
    assert_eq!(shown(&bed, &w), ["/all/of/ten/e", "/all/one/f", "/pall/db/f", "mine"]);

    symlink("/etc", host.path().join("out")).unwrap();
    let mut leads_out = shows("ls /data");
    leads_out["volumeMounts"] = json!([{ "name": "h", "mountPath": "/data", "subPath": "out" }]);
    let reason =
        refused(&bed, &workload("leaves", json!({ "containers": [leads_out], "volumes": volumes("x") })));
    assert!(reason.contains("container 'a'") && reason.contains("leads out of the volume"), "{reason}");
}

#[test]
fn memory_is_bounded_and_shared_by_the_containers() {
    let Some(bed) = bed() else { return };
    let mounts = json!({ "volumeMounts": [{ "name": "m", "mountPath": "/cache" }, { "name": "shm", "mountPath": "/dev/shm" }] });
    let main = with(
        shows(
            "df -m /cache /dev/shm | awk 'NR>1{print $1,$2,$6}'; while ! cat /cache/f; do sleep 0.1; done 2>/dev/null",
        ),
        mounts.clone(),
    );
    let other = with(container("b", &format!("echo hi >/cache/f; {SLEEP}")), mounts);
    let w = workload(
        "memory",
        json!({ "containers": [main, other], "volumes": [
            { "name": "m", "emptyDir": { "medium": "Memory", "sizeLimit": "8Mi" } },
            { "name": "shm", "emptyDir": { "medium": "Memory", "sizeLimit": "256Mi" } },
        ]}),
    );
    assert_eq!(shown(&bed, &w), ["tmpfs 8 /cache", "tmpfs 256 /dev/shm", "hi"]);
}

#[test]
fn users_and_groups_are_those_of_the_security_context() {
    let Some(bed) = bed() else { return };
    let mounts = json!([{ "name": "d", "mountPath": "/data" }, { "name": "c", "mountPath": "/claim" },
                        { "name": "s", "mountPath": "/conf" }]);
    let main = with(
        shows(
            "id -u; id -g; id -G | tr ' ' '\\n' | sort -n | xargs; touch /data/x /claim/x && echo writes; cat /conf/k",
        ),
        json!({ "volumeMounts": mounts }),
    );
    let w = workload_with(
        "users",
        json!({
            "securityContext": { "runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000, "supplementalGroups": [4000] },
            "containers": [main],
            "volumes": [
                { "name": "d", "emptyDir": {} },
                { "name": "c", "persistentVolumeClaim": { "claimName": "users" } },
                { "name": "s", "configMap": { "name": "cm", "defaultMode": "0400" } },
            ],
        }),
        vec![config_map("cm", json!({ "k": "v\n" }))],
    );
    assert_eq!(shown(&bed, &w), ["1000", "3000", "2000 3000 4000", "writes", "v"]);

    let root = json!({ "securityContext": { "runAsNonRoot": true }, "containers": [shows("id")] });
    let reason = refused(&bed, &workload("root", root));
    assert!(reason.contains("runAsNonRoot") && reason.contains("would run as root"), "{reason}");
}

#[test]
fn a_volume_has_the_files_of_an_image_and_they_stay_as_they_are() {
    let Some(bed) = bed() else { return };
    let mounts = json!([{ "name": "files", "mountPath": "/files" }]);
    let show = "[ -x /files/bin/busybox ] && echo there; touch /files/x 2>/dev/null || echo read-only";
    let main = with(shows(show), json!({ "volumeMounts": mounts }));
    let volume = json!({ "name": "files", "image": { "reference": IMAGE, "pullPolicy": "Never" } });
    let w = workload("imaged", json!({ "containers": [main], "volumes": [volume] }));
    assert_eq!(shown(&bed, &w), ["there", "read-only"]);
    let other =
        json!({ "name": "files", "image": { "reference": "localhost/none:1", "pullPolicy": "Never" } });
    let w = workload("imaged", json!({ "containers": [shows("true")], "volumes": [other] }));
    let missing = bed.order(Task::Pull(w));
    assert!(
        matches!(&missing, Err(Failure::Workload(why)) if why.contains("none:1' is not here")),
        "{missing:?}"
    );
}

#[test]
fn a_profile_of_the_device_decides_which_calls_a_container_may_make() {
    let Some(bed) = bed() else { return };
    let profiles = Path::new("/var/lib/kubelet/seccomp");
    let name = format!("dwng-{}.json", std::process::id());
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }] });
    if fs::create_dir_all(profiles).is_err() || fs::write(profiles.join(&name), profile.to_string()).is_err()
    {
        return skip("profiles are root's");
    }
    let security =
        |name: &str| json!({ "seccompProfile": { "type": "Localhost", "localhostProfile": name } });
    let show = "mkdir /tmp/x || echo denied; touch /tmp/y && echo writes";
    let main = |name: &str| with(shows(show), json!({ "securityContext": security(name) }));
    let bounded = shown(&bed, &workload("profiled", json!({ "containers": [main(&name)] })));
    fs::remove_file(profiles.join(&name)).unwrap();
    assert_eq!(bounded.last().map(String::as_str), Some("writes"), "{bounded:?}");
    assert!(bounded.contains(&"denied".to_owned()), "{bounded:?}");
    let reason = refused(&bed, &workload("profiled", json!({ "containers": [main("no-such.json")] })));
    assert!(reason.contains("no-such.json"), "{reason}");
}

#[test]
fn two_users_share_an_empty_directory() {
    let Some(bed) = bed() else { return };
    let mounts = json!([{ "name": "d", "mountPath": "/data" }]);
    let init = with(
        container("i", "echo 1 >/data/init"),
        json!({ "securityContext": { "runAsUser": 7 }, "volumeMounts": mounts }),
    );
    let main = with(
        shows("echo 2 >/data/main; cat /data/init /data/main"),
        json!({ "securityContext": { "runAsUser": 8 }, "volumeMounts": mounts }),
    );
    let w = workload(
        "share",
        json!({ "initContainers": [init], "containers": [main], "volumes": [{ "name": "d", "emptyDir": {} }] }),
    );
    assert_eq!(shown(&bed, &w), ["1", "2"]);
}

#[test]
fn rights_are_those_of_the_security_context() {
    let Some(bed) = bed() else { return };
    if bed.ask("info")["host"]["security"]["rootless"] == true {
        return skip("a user's podman has other capabilities");
    }
    let show = "grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2; touch /x && echo writes; \
                grep Seccomp: /proc/self/status | cut -f2; echo 'x' >/dev/shm/x && echo shm";
    for (security, expected) in [
        (json!({}), ["00000000a80425fb", "0", "writes", "2", "shm"].as_slice()),
        (
            json!({ "capabilities": { "drop": ["ALL"], "add": ["NET_ADMIN"] }, "allowPrivilegeEscalation": false }),
            &["0000000000001000", "1", "touch: /x: Permission denied", "2", "shm"],
        ),
        (
            json!({ "capabilities": { "add": ["NET_ADMIN"], "drop": ["NET_RAW"] }, "seccompProfile": { "type": "Unconfined" } }),
            &["00000000a80415fb", "0", "writes", "0", "shm"],
        ),
        (
            json!({ "readOnlyRootFilesystem": true }),
            &["00000000a80425fb", "0", "touch: /x: Read-only file system", "2", "shm"],
        ),
    ] {
        let main = with(shows(show), json!({ "securityContext": security }));
        assert_eq!(shown(&bed, &workload("rights", json!({ "containers": [main] }))), expected, "{security}");
    }
}

#[test]
fn sysctls_and_namespaces_of_the_host_are_as_written() {
    let Some(bed) = bed() else { return };
    let sysctls = json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" },
                         { "name": "net.core.somaxconn", "value": "777" }]);
    let w = workload(
        "sysctls",
        json!({
            "securityContext": { "sysctls": sysctls },
            "containers": [shows("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/core/somaxconn")],
        }),
    );
    assert_eq!(shown(&bed, &w), ["0", "777"]);
    let show = "for kind in pid ipc net; do readlink /proc/self/ns/$kind; done";
    let host = ["pid", "ipc", "net"]
        .map(|kind| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string());
    let all = json!({ "hostPID": true, "hostIPC": true, "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet",
        "containers": [with(shows(show), json!({ "ports": [{ "containerPort": 8123, "hostPort": 8123 }], "tty": true,
            "stdin": true, "workingDir": "/new/place" }))] });
    assert_eq!(shown(&bed, &workload("host", all)), host);
    let own = shown(&bed, &workload("own", json!({ "containers": [shows(show)] })));
    assert!(own.iter().zip(&host).all(|(own, host)| own != host), "{own:?}");
}

#[test]
fn only_a_port_with_a_host_port_is_published_and_two_pods_have_the_same_inside() {
    let Some(bed) = bed() else { return };
    let ports = json!([{ "name": "coap", "containerPort": 5683, "hostPort": 5683, "protocol": "UDP" },
        { "containerPort": 80, "hostPort": 8081, "hostIP": "127.0.0.1" }, { "containerPort": 9001 }]);
    let w =
        workload("ports", json!({ "containers": [with(container("a", SLEEP), json!({ "ports": ports }))] }));
    bed.start(&w);
    let bindings = bed.ask(&format!("pods/{}/json", w.id))["InfraConfig"]["PortBindings"].clone();
    assert_eq!(bindings["5683/udp"][0]["HostPort"], "5683");
    assert_eq!(bindings["80/tcp"], json!([{ "HostIp": "127.0.0.1", "HostPort": "8081" }]));
    assert_eq!(bindings.as_object().unwrap().len(), 2);
    let again = json!({ "containers": [with(container("a", SLEEP), json!({ "ports": [{ "containerPort": 9001 }] }))] });
    assert_eq!(states(&bed.start(&workload("again", again))), ["a running"]);
}

#[test]
fn another_pod_finds_a_workload_by_its_name() {
    let Some(bed) = bed() else { return };
    let broker = workload("broker", json!({ "containers": [container("a", SLEEP)] }));
    bed.start(&broker);
    let networks =
        bed.ask(&format!("containers/{}-infra/json", broker.id))["NetworkSettings"]["Networks"].clone();
    let address = networks.as_object().unwrap().values().find_map(|it| it["IPAddress"].as_str()).unwrap();
    let ask = "until nslookup broker >/found; do sleep 0.2; done; sed -n '/^Name/{n;s/.*: //p}' /found";
    let client = json!({ "containers": [shows(ask)] });
    assert_eq!(shown(&bed, &workload("client", client)), [address]);
}

#[test]
fn a_native_sidecar_runs_beside_the_containers() {
    let Some(bed) = bed() else { return };
    let mut sidecar = container("logship", SLEEP);
    sidecar["restartPolicy"] = "Always".into();
    let w = workload(
        "sidecar",
        json!({ "initContainers": [sidecar, container("i", "true")], "containers": [container("a", SLEEP)] }),
    );
    assert_eq!(states(&bed.start(&w)), ["logship running", "a running"]);
}

#[test]
fn limits_are_there_with_the_first_instruction() {
    let Some(bed) = bed() else { return };
    let resources = json!({ "requests": { "memory": "16Mi", "cpu": "100m" }, "limits": { "memory": "24M", "cpu": "0.25" } });
    let w = workload(
        "limits",
        json!({ "containers": [with(container("a", SLEEP), json!({ "resources": resources }))] }),
    );
    bed.start(&w);
    let config = bed.ask(&format!("containers/{}-a/json", w.id))["HostConfig"].clone();
    if !bed.has_cgroups_or_skip() {
        return;
    }
    assert_eq!(config["Memory"], 24_000_000);
    assert_eq!((&config["CpuQuota"], &config["CpuPeriod"]), (&json!(25_000), &json!(100_000)));
    assert_eq!((&config["CpuShares"], &config["PidsLimit"]), (&json!(102), &json!(512)));
}

#[test]
fn devices_are_there_whatever_their_volume_says() {
    let Some(bed) = bed() else { return };
    let place = tempfile::tempdir().unwrap();
    let link = place.path().join("usb-dongle");
    symlink("/dev/zero", &link).unwrap();
    for privileged in [false, true] {
        for volume in [
            json!({ "path": "/dev/zero", "type": "CharDevice" }),
            json!({ "path": "/dev/zero" }),
            json!({ "path": link, "type": "CharDevice" }),
        ] {
            let main = with(
                shows("[ -c /dev/radio ] && head -c 3 /dev/radio | wc -c"),
                json!({ "securityContext": { "privileged": privileged },
                    "volumeMounts": [{ "name": "r", "mountPath": "/dev/radio" }] }),
            );
            let w = workload(
                "device",
                json!({ "containers": [main], "volumes": [{ "name": "r", "hostPath": volume }] }),
            );
            assert_eq!(shown(&bed, &w), ["3"], "{privileged} {volume}");
        }
    }
}

#[test]
fn names_of_hosts_and_servers_are_those_that_were_written() {
    let Some(bed) = bed() else { return };
    let w = workload(
        "names",
        json!({
            "hostname": "edge",
            "hostAliases": [{ "ip": "10.1.2.3", "hostnames": ["foo.local", "bar"] }],
            "dnsPolicy": "None",
            "dnsConfig": { "nameservers": ["9.9.9.9"], "searches": ["ex.org"], "options": [{ "name": "ndots", "value": "2" }] },
            "containers": [shows("hostname; grep -c '10.1.2.3.*foo.local\\|10.1.2.3.*bar' /etc/hosts; cat /etc/resolv.conf")],
        }),
    );
    let shown = shown(&bed, &w);
    assert_eq!(shown[0], "edge");
    assert_ne!(shown[1], "0");
    // (podman 5 names its own server there, which asks that one)
    for expected in ["search ex.org", "nameserver ", "options ndots:2"] {
        assert!(shown[2..].iter().any(|line| line.contains(expected)), "{expected}: {shown:?}");
    }
}

#[test]
fn what_a_host_path_says_is_there_or_is_made() {
    let Some(bed) = bed() else { return };
    let place = tempfile::tempdir().unwrap();
    let volume = |path: &str, kind: &str| {
        let main = with(shows("ls -d /h"), json!({ "volumeMounts": [{ "name": "h", "mountPath": "/h" }] }));
        let host = json!({ "path": place.path().join(path), "type": kind });
        workload("kinds", json!({ "containers": [main], "volumes": [{ "name": "h", "hostPath": host }] }))
    };
    assert_eq!(shown(&bed, &volume("new/dir", "DirectoryOrCreate")), ["/h"]);
    assert_eq!(shown(&bed, &volume("new/file.db", "FileOrCreate")), ["/h"]);
    for (path, kind, expected) in [
        ("none/file.db", "FileOrCreate", "failed to make the file"),
        ("new/dir", "Socket", "is no Socket"),
        ("missing", "", "missing"),
        ("missing.sock", "Socket", "missing.sock"),
        ("new", "Dir", "must be `Directory`,"),
    ] {
        let reason = refused(&bed, &volume(path, kind));
        assert!(reason.contains(expected), "{reason}");
    }
}
