//! What a specification becomes, and what can't be done.

use ::base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use super::*;
use crate::{
    agent::{
        model::{confidential::Confidential, workload::Content},
        tests::workload as any_workload,
    },
    wire::{
        ownership::OWNER_LABEL,
        podman::{limits::pids_limit_annotation, names::pod_name_prefix},
    },
};

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn workload(specification: Value) -> Workload {
    Workload::new(Content {
        name: "web".into(),
        secrets: Confidential(json!({
            "s": { "user": base64("joe"), "password": base64("pa$$(w)\"0rd") },
            "raw": { "bytes": BASE64_STANDARD.encode([0xff, 0]) },
        })),
        config_maps: vec![json!({
            "metadata": { "name": "cm" }, "data": { "user": "map", "k": "v" }, "binaryData": { "b": base64("bin") },
        })],
        labels: vec![("app".into(), "x".into()), (OWNER_LABEL.into(), "forged".into())],
        annotations: vec![("note".into(), "n".into())],
        specification: specification.into(),
        ..any_workload("w", 0).content
    })
}

const LIMITS: DefaultLimits = DefaultLimits { memory: None, cpu: None, pids: Some(512) };

fn agent(limits: &DefaultLimits) -> PodMaker<'_> {
    PodMaker { owner: "me", device_id: "dev1", limits, trees_dir: Some("/own") }
}

fn surroundings() -> Surroundings {
    Surroundings {
        major: 4,
        address: "10.0.0.2".parse().ok(),
        host_address: "192.0.2.7".parse().ok(),
        cores: 4,
        memory: 1 << 30,
    }
}

/// What is asked for the last container of this specification.
fn made_within(specification: Value, limits: &DefaultLimits) -> Result<Value, String> {
    let workload = workload(specification);
    let plan = PodPlan::new(&workload, agent(limits), surroundings())?;
    let place = |name: &str| format!("/place/{name}");
    let made = plan.container_plan(
        plan.planned_containers().last().unwrap(),
        surroundings(),
        &ImageUser::default(),
        &place,
    )?;
    Ok(serde_json::to_value(&made.request).unwrap())
}

fn made(specification: Value) -> Result<Value, String> {
    made_within(specification, &LIMITS)
}

/// The same of a specification with one container that has these fields.
fn container(fields: Value) -> Result<Value, String> {
    let mut container = json!({ "name": "c", "image": "i" });
    container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    made(json!({ "containers": [container] }))
}

fn pod(specification: Value) -> Result<Value, String> {
    let workload = workload(specification);
    let plan = PodPlan::new(&workload, agent(&LIMITS), surroundings())?;
    Ok(serde_json::to_value(plan.pod_request(None)).unwrap())
}

fn env(fields: Value) -> Vec<String> {
    let made = container(fields).unwrap();
    let env = made["env"].as_object().unwrap().iter();
    env.map(|(name, value)| format!("{name}={}", value.as_str().unwrap())).collect()
}

#[test]
fn a_pod_has_our_labels_and_its_authors_and_a_name_for_others() {
    let content = workload(json!({ "containers": [] }));
    let labels = json!({
        "app": "x",
        "project-flotta.io": content.hash[..32],
        "project-flotta.io/owner": "me",
        "project-flotta.io/workload": "web",
    });
    assert_eq!(
        pod(json!({ "containers": [] })).unwrap(),
        json!({
            "name": content.id.as_str(),
            "infra_name": format!("{}-infra", content.id),
            "hostname": content.id.as_str(),
            "labels": labels,
            "exit_policy": "continue",
            "netns": { "nsmode": "bridge" },
            "Networks": { DEFAULT_NETWORK: { "aliases": ["web"] } },
        })
    );
}

#[test]
fn a_container_is_the_agents_to_restart_and_to_ask_whether_it_is_well() {
    let author =
        json!({ "name": "my c", "image": "i", "command": ["sh"], "livenessProbe": {}, "workingDir": "/w" });
    let made = made(json!({ "restartPolicy": "Always", "containers": [author] })).unwrap();
    assert_eq!(
        (&made["restart_policy"], &made["healthconfig"]),
        (&json!("no"), &json!({ "Test": ["NONE"] }))
    );
    assert_eq!((&made["env"], &made["unsetenv"]), (&json!({ "DEVICE_ID": "dev1" }), &json!(["container"])));
    assert_eq!((&made["work_dir"], &made["create_working_dir"]), (&json!("/w"), &json!(true)));
    assert_eq!(made["resource_limits"], json!({ "pids": { "limit": 512 } }));
    assert_eq!(made["annotations"], json!({ "note": "n" }));
    assert!(made["name"].as_str().unwrap().contains("-my-c-"), "{made}");
}

#[test]
fn env_comes_after_env_from_and_what_comes_later_wins() {
    let whole = json!({
        "envFrom": [
            { "configMapRef": { "name": "cm" } },
            { "secretRef": { "name": "s" }, "prefix": "S_" },
            { "secretRef": { "name": "none", "optional": true } },
        ],
        "env": [
            { "name": "user", "value": "first" },
            { "name": "user", "value": "mine" },
            { "name": "P", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } },
            { "name": "O", "valueFrom": { "secretKeyRef": { "name": "s", "key": "none", "optional": true } } },
            { "name": "Q", "valueFrom": { "secretKeyRef": { "name": "none", "key": "k", "optional": true } } },
            { "name": "DEVICE_ID", "value": "own" },
        ],
    });
    let expected = [
        "DEVICE_ID=own",
        "P=pa$$(w)\"0rd",
        "S_password=pa$$(w)\"0rd",
        "S_user=joe",
        "b=bin",
        "k=v",
        "user=mine",
    ];
    assert_eq!(env(whole), expected);
}

#[test]
fn names_in_texts_are_replaced_where_they_have_a_value() {
    let variables = json!([
        { "name": "A", "value": "1" },
        { "name": "B", "value": "$(A)$(C)$$(A)$$$(A) $ $(A" },
        { "name": "C", "value": "3" },
    ]);
    let made =
        container(json!({ "command": ["$(B)", "$(NONE)"], "args": ["$$(A)", "$$x"], "env": variables }));
    let made = made.unwrap();
    assert_eq!(made["env"]["B"], "1$(C)$(A)$1 $ $(A");
    assert_eq!(made["entrypoint"], json!(["1$(C)$(A)$1 $ $(A", "$(NONE)"]));
    assert_eq!(made["command"], json!(["$(A)", "$x"]));
}

#[test]
fn a_pod_is_told_about_itself() {
    let of = |key: &str, reference: Value| json!({ "name": key, "valueFrom": reference });
    let field = |key: &str, path: &str| of(key, json!({ "fieldRef": { "fieldPath": path } }));
    let resource = |key: &str, resource: &str, divisor: Value| {
        of(key, json!({ "resourceFieldRef": { "resource": resource, "divisor": divisor } }))
    };
    let variables = json!([
        field("APP", "metadata.labels['app']"),
        field("NOTE", "metadata.annotations['note']"),
        field("NODE", "spec.nodeName"),
        field("IP", "status.podIP"),
        field("HOST", "status.hostIP"),
        field("ACCOUNT", "spec.serviceAccountName"),
        resource("CPU", "limits.cpu", json!(null)),
        resource("MILLI", "limits.cpu", json!("1m")),
        resource("ALL", "limits.memory", json!("1Mi")),
        resource("WANTS", "requests.memory", json!("1Ki")),
    ]);
    let resources = json!({ "limits": { "cpu": "1500m" }, "requests": { "memory": "1Mi" } });
    let expected = [
        "ACCOUNT=default",
        "ALL=1024",
        "APP=x",
        "CPU=2",
        "DEVICE_ID=dev1",
        "HOST=192.0.2.7",
        "IP=10.0.0.2",
        "MILLI=1500",
        "NODE=dev1",
        "NOTE=n",
        "WANTS=1024",
    ];
    assert_eq!(env(json!({ "env": variables, "resources": resources })), expected);
    let why = container(json!({ "env": [field("X", "status.phase")] })).unwrap_err();
    assert_eq!(why, "containers[0].env[0].valueFrom.fieldRef: a pod on a device has no `status.phase`");
}

/// Path, permissions and content of the files of the only volume, which is this.
fn files_of(specification: Value) -> Result<Vec<String>, String> {
    let workload = workload(specification);
    let plan = PodPlan::new(&workload, agent(&LIMITS), surroundings())?;
    let all = plan.file_volumes().flat_map(|tree| &tree.files);
    Ok(all.map(|it| format!("{} {:o} {}", it.path, it.mode, String::from_utf8_lossy(&it.content))).collect())
}

fn files(volume: Value) -> Vec<String> {
    files_of(json!({ "containers": [], "volumes": [volume] })).unwrap()
}

#[test]
fn a_volume_has_all_keys_or_its_items_with_their_permissions() {
    let volume = |secret: Value| json!({ "name": "v", "secret": secret });
    assert_eq!(files(volume(json!({ "secretName": "s" }))), ["password 644 pa$$(w)\"0rd", "user 644 joe"]);
    let items = json!([{ "key": "user", "path": "a/./b", "mode": 0o600 }, { "key": "user", "path": "c" }]);
    let some = json!({ "secretName": "s", "defaultMode": "0440", "items": items });
    assert_eq!(files(volume(some.clone())), ["a/b 600 joe", "c 440 joe"]);
    let none = json!({ "secretName": "none", "optional": true, "items": items });
    assert_eq!(files(volume(none)), [""; 0]);
    let map = json!({ "name": "v", "configMap": { "name": "cm", "defaultMode": "0755" } });
    assert_eq!(files(map), ["k 755 v", "user 755 map", "b 755 bin"]);
    let shared = json!({ "securityContext": { "fsGroup": 5 }, "containers": [], "volumes": [volume(some)] });
    assert_eq!(files_of(shared).unwrap(), ["a/b 644 joe", "c 444 joe"], "the group can read them");
}

#[test]
fn a_projected_volume_puts_all_its_sources_together() {
    let volume =
        |sources: Value| json!({ "name": "v", "projected": { "sources": sources, "defaultMode": 256 } });
    let all = volume(json!([
        { "configMap": { "name": "cm" } },
        { "secret": { "name": "s", "items": [{ "key": "user", "path": "user" }] } },
        { "downwardAPI": { "items": [
            { "path": "labels", "fieldRef": { "fieldPath": "metadata.annotations" } },
            { "path": "cpu", "resourceFieldRef": { "containerName": "c", "resource": "limits.cpu" } },
        ]}},
    ]));
    let specification = json!({ "containers": [{ "name": "c", "image": "i" }], "volumes": [all] });
    let expected = ["k 400 v", "b 400 bin", "user 400 joe", "labels 400 note=\"n\"", "cpu 400 4"];
    assert_eq!(files_of(specification).unwrap(), expected);
    let token = volume(json!([{ "serviceAccountToken": { "path": "t" } }]));
    let why = files_of(json!({ "containers": [], "volumes": [token] })).unwrap_err();
    assert_eq!(why, "volumes[0].projected.sources[0]: is nothing that a device has");
}

#[test]
fn volumes_are_the_workloads_own_and_parts_are_mounted_themselves() {
    let specification = json!({
        "containers": [{ "name": "c", "image": "i", "env": [{ "name": "N", "value": "x" }], "volumeMounts": [
            { "name": "all", "mountPath": "/all" },
            { "name": "all", "mountPath": "/one", "subPath": "user" },
            { "name": "tmp", "mountPath": "/tmp" },
            { "name": "tmp", "mountPath": "/part", "subPathExpr": "a/$(N)" },
            { "name": "claim", "mountPath": "/c", "readOnly": true },
            { "name": "host", "mountPath": "/h:Z", "mountPropagation": "HostToContainer", "subPath": "p/" },
        ]}],
        "volumes": [
            { "name": "all", "secret": { "secretName": "s" } },
            { "name": "tmp", "emptyDir": {} },
            { "name": "claim", "persistentVolumeClaim": { "claimName": "data" } },
            { "name": "host", "hostPath": { "path": "/srv/" } },
        ],
    });
    let own = pod_name_prefix(&workload(specification.clone()).id);
    let made = made(specification).unwrap();
    let bind = |source: &str, destination: &str, options: &[&str]| json!({ "type": "bind", "source": source, "destination": destination, "options": options });
    assert_eq!(
        made["mounts"],
        json!([
            bind("/own/all", "/all", &["ro", "z", "rbind"]),
            bind("/own/all/user", "/one", &["ro", "z", "rbind"]),
            bind(&format!("/place/{own}tmp/a/x"), "/part", &["rbind"]),
            bind("/srv/p", "/h", &["Z", "rslave", "rbind"]),
        ])
    );
    assert_eq!(
        made["volumes"],
        json!([
            { "Name": format!("{own}tmp"), "Dest": "/tmp", "Options": ["nocopy"] },
            { "Name": "web_data", "Dest": "/c", "Options": ["ro", "nocopy"] },
        ])
    );
}

#[test]
fn files_are_in_podmans_own_volumes_where_it_sees_no_others() {
    let workload = workload(json!({
        "containers": [{ "name": "c", "image": "i", "volumeMounts": [
            { "name": "v", "mountPath": "/all" }, { "name": "v", "mountPath": "/one", "subPath": "k" },
        ]}],
        "volumes": [{ "name": "v", "configMap": { "name": "cm" } }],
    }));
    let own = pod_name_prefix(&workload.id);
    let plan =
        PodPlan::new(&workload, PodMaker { trees_dir: None, ..agent(&LIMITS) }, surroundings()).unwrap();
    let place = |name: &str| format!("/place/{name}");
    let made = plan
        .container_plan(&plan.planned_containers()[0], surroundings(), &ImageUser::default(), &place)
        .unwrap();
    let made = serde_json::to_value(made.request).unwrap();
    assert_eq!(
        made["volumes"],
        json!([{ "Name": format!("{own}v"), "Dest": "/all", "Options": ["ro", "nocopy"] }])
    );
    assert_eq!(made["mounts"][0]["source"], format!("/place/{own}v/k"));
    assert_eq!(plan.own_volumes()[0].name, format!("{own}v"));
    let (file_copy, trees) = plan.file_copy_container().unwrap();
    assert_eq!((trees.len(), &*trees[0].0, trees[0].1.is_secret), (1, "/v", false));
    assert_eq!(serde_json::to_value(file_copy).unwrap()["volumes"][0]["Dest"], "/v");
    assert!(PodPlan::new(&workload, agent(&LIMITS), surroundings()).unwrap().file_copy_container().is_none());
}

#[test]
fn an_empty_directory_belongs_to_its_user_and_group_and_is_bounded_in_memory() {
    let volume = |security: Value, empty: Value| {
        let workload = workload(json!({
            "securityContext": security, "containers": [{ "name": "c", "image": "i" }],
            "volumes": [{ "name": "d", "emptyDir": empty }],
        }));
        let plan = PodPlan::new(&workload, agent(&LIMITS), surroundings()).unwrap();
        serde_json::to_value(plan.own_volumes()).unwrap()[0]["Options"].clone()
    };
    assert_eq!(volume(json!({}), json!({})), json!({ "o": "uid=0,gid=0" }));
    assert_eq!(volume(json!({ "runAsUser": 7, "fsGroup": 8 }), json!({})), json!({ "o": "uid=7,gid=8" }));
    let memory = json!({ "medium": "Memory", "sizeLimit": "8Mi" });
    assert_eq!(
        volume(json!({}), memory),
        json!({ "type": "tmpfs", "device": "tmpfs", "o": "nr_blocks=2048,mode=0777,uid=0,gid=0" })
    );
}

#[test]
fn limits_are_the_authors_or_the_devices_and_never_cut_a_request() {
    let defaults = DefaultLimits { memory: Some(64 << 20), cpu: Some(500), pids: None };
    let limits = |resources: Value| {
        let specification = json!({ "containers": [{ "name": "c", "image": "i", "resources": resources }] });
        made_within(specification, &defaults).unwrap()["resource_limits"].clone()
    };
    let cpu = |quota: u64| json!({ "quota": quota, "period": 100_000 });
    assert_eq!(limits(json!({})), json!({ "cpu": cpu(50_000), "memory": { "limit": 64 << 20 } }));
    let wants = json!({ "requests": { "memory": "128Mi", "cpu": 2 } });
    let with_shares = json!({ "quota": 200_000, "period": 100_000, "shares": 2048 });
    let memory = json!({ "limit": 128 << 20, "reservation": 128 << 20 });
    assert_eq!(limits(wants), json!({ "cpu": with_shares, "memory": memory }));
    let own = limits(json!({ "limits": { "memory": "1Mi", "cpu": "0.25" } }));
    assert_eq!(own["memory"], json!({ "limit": 1 << 20 }));
    assert_eq!(own["cpu"], json!({ "quota": 25_000, "period": 100_000, "shares": 256 }));

    let of_pod = json!({ "containers": [{ "name": "c", "image": "i" }],
        "resources": { "limits": { "memory": "8Mi" }, "requests": { "cpu": "100m" } } });
    let within = made_within(of_pod.clone(), &defaults).unwrap();
    assert_eq!(
        within["resource_limits"],
        json!({ "cpu": cpu(50_000) }),
        "its author has said how much memory"
    );
    let whole = workload(of_pod);
    let request = PodPlan::new(&whole, agent(&LIMITS), surroundings()).unwrap().pod_request(Some(30_000));
    let whole = json!({ "quota": 30_000, "period": 100_000, "shares": 102 });
    let limits = json!({ "cpu": whole, "memory": { "limit": 8 << 20 } });
    assert_eq!(serde_json::to_value(request).unwrap()["resource_limits"], limits);

    let mut workload = workload(json!({ "containers": [{ "name": "c", "image": "i" }] }));
    workload.content.annotations = vec![(pids_limit_annotation("c"), "10".into())];
    let plan = PodPlan::new(&workload, agent(&LIMITS), surroundings()).unwrap();
    let made = plan
        .container_plan(&plan.planned_containers()[0], surroundings(), &ImageUser::default(), &|_| {
            String::new()
        })
        .unwrap();
    assert_eq!(serde_json::to_value(made.request).unwrap()["resource_limits"]["pids"]["limit"], 10);
}

#[test]
fn the_kernel_ends_first_what_asks_for_least() {
    let score =
        |resources: Value| container(json!({ "resources": resources })).unwrap()["oom_score_adj"].clone();
    let all = json!({ "cpu": 1, "memory": "512Mi" });
    for (resources, expected) in [
        (json!({}), json!(1000)),
        (json!({ "requests": { "cpu": "1m" } }), json!(999)),
        (json!({ "requests": { "memory": "512Mi" } }), json!(500)),
        (json!({ "limits": { "memory": "256Mi" } }), json!(750)),
        (json!({ "requests": { "memory": "4Gi" } }), json!(3)),
        (json!({ "requests": { "memory": "256Mi" }, "limits": all }), json!(750)),
        (json!({ "limits": all }), Value::Null),
        (json!({ "requests": all, "limits": all }), Value::Null),
    ] {
        assert_eq!(score(resources.clone()), expected, "{resources}");
    }
}

#[test]
fn a_container_has_the_rights_of_its_security_context() {
    let made = |security: Value, image: &str, major: u32| {
        let workload = workload(json!({
            "securityContext": { "fsGroup": 9, "supplementalGroups": [4] },
            "containers": [{ "name": "c", "image": "i", "securityContext": security }],
        }));
        let plan = PodPlan::new(&workload, agent(&LIMITS), surroundings()).unwrap();
        let image = ImageUser { user: image.into() };
        let made = plan.container_plan(
            &plan.planned_containers()[0],
            Surroundings { major, ..surroundings() },
            &image,
            &|_| String::new(),
        );
        made.map(|made| serde_json::to_value(made.request).unwrap())
    };
    let whole = made(json!({ "runAsUser": 1, "runAsGroup": 2, "readOnlyRootFilesystem": true,
        "allowPrivilegeEscalation": false, "seccompProfile": { "type": "Unconfined" }, "procMount": "Unmasked",
        "seLinuxOptions": { "type": "spc_t" } }), "", 4).unwrap();
    assert_eq!((&whole["user"], &whole["groups"]), (&json!("1:2"), &json!(["4", "9"])));
    assert_eq!((&whole["read_only_filesystem"], &whole["no_new_privileges"]), (&json!(true), &json!(true)));
    assert_eq!((&whole["seccomp_profile_path"], &whole["unmask"]), (&json!("unconfined"), &json!(["ALL"])));
    assert_eq!(whole["selinux_opts"], json!(["type:spc_t"]));

    let adds = |security: Value, image: &str, major| made(security, image, major).unwrap()["cap_add"].clone();
    let same = json!(["CAP_AUDIT_WRITE", "CAP_MKNOD", "CAP_NET_RAW"]);
    assert_eq!(adds(json!({}), "root", 5), same, "as podman 4 gives root by itself");
    assert_eq!(adds(json!({}), "", 4), Value::Null);
    assert_eq!(adds(json!({}), "1000:0", 5), Value::Null);
    assert_eq!(
        adds(json!({ "runAsUser": 0, "capabilities": { "drop": ["NET_RAW"] } }), "x", 5),
        json!(["CAP_AUDIT_WRITE", "CAP_MKNOD"])
    );
    assert_eq!(
        adds(json!({ "capabilities": { "drop": ["ALL"], "add": ["CAP_CHOWN"] } }), "", 5),
        json!(["CAP_CHOWN"])
    );

    let non_root = json!({ "runAsNonRoot": true });
    assert!(made(non_root.clone(), "1000", 4).is_ok());
    for (image, expected) in
        [("", "would run as root"), ("0:5", "would run as root"), ("app", "names its user 'app'")]
    {
        let why = made(non_root.clone(), image, 4).unwrap_err();
        assert!(
            why.starts_with("containers[0].securityContext.runAsNonRoot: ") && why.contains(expected),
            "{why}"
        );
    }
}

#[test]
fn a_pods_network_is_as_written() {
    let port = json!([{ "containerPort": 80, "hostPort": 8081, "hostIP": "127.0.0.1" },
        { "containerPort": 5683, "hostPort": 5683, "protocol": "UDP" }, { "containerPort": 9001 }]);
    let with = |fields: Value| {
        let mut specification = json!({ "containers": [{ "name": "c", "image": "i", "ports": port }] });
        specification.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        pod(specification).unwrap()
    };
    assert_eq!(
        with(json!({}))["portmappings"],
        json!([
            { "container_port": 80, "host_port": 8081, "protocol": "tcp", "host_ip": "127.0.0.1" },
            { "container_port": 5683, "host_port": 5683, "protocol": "udp" },
        ])
    );
    let host = with(json!({ "hostNetwork": true }));
    assert_eq!((&host["netns"], &host["portmappings"]), (&json!({ "nsmode": "host" }), &Value::Null));
    let alone = json!({ "hostNetwork": true, "hostAliases": [{ "ip": "10.1.2.3", "hostnames": ["a"] }],
        "dnsConfig": { "nameservers": ["9.9.9.9"] }, "containers": [{ "name": "c", "image": "i" }] });
    let alone = made(alone).unwrap();
    assert_eq!((&alone["hostadd"], &alone["dns_server"]), (&json!(["a:10.1.2.3"]), &json!(["9.9.9.9"])));
    assert_eq!(alone["utsns"], json!({ "nsmode": "host" }));
    let whole = with(json!({
        "hostAliases": [{ "ip": "10.1.2.3", "hostnames": ["a", "b"] }],
        "dnsPolicy": "None",
        "dnsConfig": { "nameservers": ["9.9.9.9"], "searches": ["x"], "options": [{ "name": "n", "value": "2" }, { "name": "m" }] },
        "shareProcessNamespace": true,
        "securityContext": { "sysctls": [{ "name": "net.core.somaxconn", "value": "777" }] },
    }));
    assert_eq!(whole["hostadd"], json!(["a:10.1.2.3", "b:10.1.2.3"]));
    assert_eq!((&whole["dns_server"], &whole["dns_search"]), (&json!(["9.9.9.9"]), &json!(["x"])));
    assert_eq!(whole["dns_option"], json!(["n:2", "m"]));
    assert_eq!(whole["shared_namespaces"], json!(["pid", "net", "ipc", "uts"]));
    assert_eq!(whole["sysctl"], json!({ "net.core.somaxconn": "777" }));
}

#[test]
fn what_cannot_be_done_is_said_with_its_place_and_without_a_value() {
    let with = |fields: Value| {
        let mut container = json!({ "name": "c", "image": "i" });
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({ "containers": [container] })
    };
    let env = |key: &str, reference: Value| with(json!({ key: [reference] }));
    let key_of = |kind: &str, name: &str, key: &str| {
        env("env", json!({ "name": "A", "valueFrom": { kind: { "name": name, "key": key } } }))
    };
    let volume = |source: &str, fields: Value| json!({ "containers": [], "volumes": [{ "name": "v", source: fields }] });
    let item = |item: Value| volume("secret", json!({ "secretName": "s", "items": [item] }));
    let mount = |volume: Value, mount: Value| {
        let mut specification = with(json!({ "volumeMounts": [mount] }));
        specification["volumes"] = json!([volume]);
        specification
    };
    for (specification, expected) in [
        (
            key_of("secretKeyRef", "s", "x"),
            "containers[0].env[0].valueFrom.secretKeyRef: the Secret `s` has no key `x`",
        ),
        (
            key_of("configMapKeyRef", "cm", "x"),
            "containers[0].env[0].valueFrom.configMapKeyRef: the ConfigMap `cm` has no key `x`",
        ),
        (
            key_of("secretKeyRef", "raw", "bytes"),
            "containers[0].env[0].valueFrom.secretKeyRef: key `bytes` of the Secret `raw` is no text: no variable can hold it",
        ),
        (
            env("envFrom", json!({ "secretRef": { "name": "raw" } })),
            "containers[0].envFrom[0]: key `bytes` of the Secret `raw` is no text: no variable can hold it",
        ),
        (
            item(json!({ "key": "x", "path": "x" })),
            "volumes[0].secret.items[0].key: the Secret `s` has no key `x`",
        ),
        (item(json!({ "key": "user", "path": "./." })), "volumes[0].secret.items[0].path: names no file"),
        (
            volume(
                "secret",
                json!({ "secretName": "s", "items": [
                    { "key": "user", "path": "a" }, { "key": "user", "path": "a/b" }
                ]}),
            ),
            "volumes[0].secret.items[1]: `a` and `a/b`: none can be a file and a directory",
        ),
        (volume("nfs", json!({ "server": "x" })), "volumes[0]: is of no kind that a device has"),
        (
            mount(
                json!({ "name": "v", "secret": { "secretName": "s" } }),
                json!({ "name": "v", "mountPath": "/x", "subPath": "none" }),
            ),
            "containers[0].volumeMounts[0].subPath: there is no `none` in the volume `v`",
        ),
        (
            mount(
                json!({ "name": "v", "emptyDir": {} }),
                json!({ "name": "v", "mountPath": "/x", "subPathExpr": "a/../.." }),
            ),
            "containers[0].volumeMounts[0].subPathExpr: must be a relative path without `..`",
        ),
        (
            mount(json!({ "name": "data", "emptyDir": {} }), json!({ "name": "dtaa", "mountPath": "/x" })),
            "containers[0].volumeMounts[0].name: there is no volume `dtaa`",
        ),
        (
            json!({ "containers": [], "securityContext": { "seccompProfile": { "type": "Localhost" } }, "initContainers": [{ "name": "i", "image": "i" }] }),
            "securityContext.seccompProfile.localhostProfile: names no file",
        ),
    ] {
        let problem = first_problem(&workload(specification)).map(format_problem);
        assert_eq!(problem.as_deref(), Some(expected));
    }
}

#[test]
fn what_was_accepted_is_made_or_named() {
    // an earlier version read less
    for (fields, expected) in [
        (
            json!({ "ports": [{ "containerPort": 99_999 }] }),
            "ports[0].containerPort: must be from 1 to 65535",
        ),
        (
            json!({ "securityContext": { "runAsUser": "1000" } }),
            "securityContext.runAsUser: must be a number",
        ),
        (
            json!({ "resources": { "limits": { "memory": "512MB" } } }),
            "resources.limits.memory: `512MB` is no",
        ),
        (
            json!({ "volumeMounts": [{ "name": "v", "mountPath": "x" }] }),
            "volumeMounts[0].mountPath: must be",
        ),
    ] {
        let why = container(fields).unwrap_err();
        assert!(why.starts_with(&format!("containers[0].{expected}")), "{why}");
    }
    for fields in [
        json!({ "unknown": 1, "lifecycle": { "preStop": { "tcpSocket": {} } } }),
        json!({ "livenessProbe": { "periodSeconds": "often" }, "restartPolicy": "" }),
        json!({ "resources": { "limits": { "nvidia.com/gpu": 1 } } }),
        json!({ "securityContext": { "capabilities": { "add": ["cap_net_admin"] } } }),
    ] {
        container(fields).unwrap();
    }
}

#[test]
fn a_cluster_is_told_only_of_secrets_that_lack_a_key() {
    let of = |specification: Value| {
        let content = Content { engine: Engine::Kubernetes, ..workload(specification).content };
        first_problem(&Workload::new(content)).map(format_problem)
    };
    assert_eq!(of(json!({ "containers": [], "volumes": [{ "name": "v", "nfs": {} }] })), None);
    let reference = json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s", "key": "x" } } });
    let problem = of(json!({ "containers": [{ "name": "c", "env": [reference] }] })).unwrap();
    assert!(problem.ends_with("the Secret `s` has no key `x`"), "{problem}");
}

#[test]
fn nonsense_is_no_panic() {
    for odd in [
        json!(null),
        json!("x"),
        json!({ "containers": [5, { "env": "x", "envFrom": 1 }], "volumes": [1, "x"] }),
    ] {
        let _ = first_problem(&workload(odd.clone()));
        let _ = pod(odd);
    }
}

#[test]
fn a_deep_specification_fits_an_orders_stack() {
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "x": [deep] });
    }
    let specification = json!({ "containers": [{ "name": "c", "image": "i" }], "deep": deep });
    let order = std::thread::Builder::new().stack_size(256 * 1024);
    order.spawn(move || drop(made(specification).unwrap())).unwrap().join().unwrap();
}
