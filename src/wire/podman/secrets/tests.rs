//! What a specification becomes, and what can't be done.

use ::base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::json;

use super::*;
use crate::agent::{model::confidential::Confidential, tests::workload};

fn base64(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn content(specification: Value) -> Content {
    Content {
        secrets: Confidential(json!({
            "s": { "user": base64("joe"), "password": base64("pa$$(w)\"0rd") },
            "raw": { "bytes": BASE64_STANDARD.encode([0xff, 0]) },
        })),
        config_maps: vec![json!({
            "metadata": { "name": "cm" }, "data": { "user": "map", "k": "v" }, "binaryData": { "b": base64("bin") },
        })],
        specification: specification.into(),
        ..workload("w", 0).content
    }
}

fn resolved(specification: Value) -> (Value, Vec<Volume>, Vec<String>) {
    let content = content(specification);
    let mut resolved = content.specification.value();
    let (volumes, problems) = resolve(&content, "/own", &mut resolved);
    (resolved, volumes, problems.into_iter().map(|(field, message)| format!("{field}: {message}")).collect())
}

/// The variables of a container that has these fields.
fn env(container: Value) -> Vec<String> {
    let (resolved, _, problems) = resolved(json!({ "containers": [container] }));
    assert_eq!(problems, [""; 0]);
    assert!(!resolved.to_string().contains("secret"), "{resolved}");
    let env = resolved["containers"][0]["env"].as_array().unwrap();
    env.iter()
        .map(|it| format!("{}={}", it["name"].as_str().unwrap(), it["value"].as_str().unwrap()))
        .collect()
}

/// Path, permissions and content of the files of the only volume, which is this.
fn files(volume: Value) -> Vec<String> {
    let (resolved, volumes, problems) = resolved(json!({ "volumes": [volume] }));
    assert_eq!(problems, [""; 0]);
    assert_eq!(
        resolved["volumes"],
        json!([{ "name": "v", "hostPath": { "path": "/own/v", "type": "Directory" } }])
    );
    let all = volumes[0].files.iter();
    all.map(|it| format!("{} {:o} {}", it.path, it.mode, String::from_utf8_lossy(&it.content))).collect()
}

fn problems(specification: Value) -> Vec<String> {
    resolved(specification).2
}

#[test]
fn a_variable_gets_the_value_as_it_is() {
    let by_key = json!({ "env": [
        { "name": "A", "value": "a" },
        { "name": "P", "valueFrom": { "secretKeyRef": { "name": "s", "key": "password" } } },
        { "name": "O", "valueFrom": { "secretKeyRef": { "name": "s", "key": "none", "optional": true } } },
        { "name": "Q", "valueFrom": { "secretKeyRef": { "name": "none", "key": "k", "optional": true } } },
    ]});
    assert_eq!(env(by_key), ["A=a", "P=pa$$(w)\"0rd"]);
}

#[test]
fn what_comes_later_wins_as_in_kubernetes_and_env_before_env_from() {
    let whole = json!({
        "envFrom": [
            { "configMapRef": { "name": "cm" } },
            { "secretRef": { "name": "s" }, "prefix": "S_" },
            { "secretRef": { "name": "s" } },
            { "secretRef": { "name": "none", "optional": true } },
        ],
        "env": [{ "name": "user", "value": "mine" }],
    });
    // podman takes the last of a name
    assert_eq!(
        env(whole),
        [
            "k=v",
            "user=map",
            "S_password=pa$$(w)\"0rd",
            "S_user=joe",
            "password=pa$$(w)\"0rd",
            "user=joe",
            "user=mine"
        ]
    );
    let only_maps = json!({ "containers": [{ "envFrom": [{ "configMapRef": { "name": "cm" } }] }] });
    assert_eq!(resolved(only_maps.clone()).0, only_maps);
}

#[test]
fn a_volume_has_all_keys_or_its_items_with_their_permissions() {
    let volume = |secret: Value| json!({ "name": "v", "secret": secret });
    assert_eq!(files(volume(json!({ "secretName": "s" }))), ["password 644 pa$$(w)\"0rd", "user 644 joe"]);
    let items = json!([{ "key": "user", "path": "a/./b", "mode": 0o600 }, { "key": "user", "path": "c" }]);
    let some = json!({ "secretName": "s", "defaultMode": "0440", "items": items });
    assert_eq!(files(volume(some)), ["a/b 600 joe", "c 440 joe"]);
    let none = json!({ "secretName": "none", "optional": true, "items": items });
    assert_eq!(files(volume(none)), [""; 0]);
}

#[test]
fn a_projected_volume_puts_secrets_and_config_maps_together() {
    let volume =
        |sources: Value| json!({ "name": "v", "projected": { "sources": sources, "defaultMode": 256 } });
    let both = volume(json!([
        { "configMap": { "name": "cm" } },
        { "secret": { "name": "s", "items": [{ "key": "user", "path": "user" }] } },
    ]));
    assert_eq!(files(both), ["k 400 v", "b 400 bin", "user 400 joe"]);
    let token =
        json!({ "volumes": [volume(json!([{ "serviceAccountToken": {} }, { "secret": { "name": "s" } }]))] });
    assert_eq!(resolved(token.clone()).0, token);
}

#[test]
fn mounts_are_read_only_and_a_sub_path_is_mounted_itself() {
    let (resolved, ..) = resolved(json!({
        "containers": [{ "volumeMounts": [
            { "name": "v", "mountPath": "/all" },
            { "name": "v", "mountPath": "/one", "subPath": "user" },
            { "name": "other", "mountPath": "/x", "subPath": "user" },
        ]}],
        "initContainers": [{ "volumeMounts": [{ "name": "v", "mountPath": "/dir", "subPath": "a/" }] }],
        "volumes": [
            { "name": "v", "projected": { "sources": [
                { "secret": { "name": "s" } },
                { "secret": { "name": "s", "items": [{ "key": "user", "path": "a/b" }] } },
            ]}},
            { "name": "other", "emptyDir": {} },
        ],
    }));
    assert_eq!(
        resolved["containers"][0]["volumeMounts"],
        json!([
            { "name": "v", "mountPath": "/all:z", "readOnly": true },
            { "name": "v_1", "mountPath": "/one:z", "readOnly": true },
            { "name": "other", "mountPath": "/x", "subPath": "user" },
        ])
    );
    assert_eq!(resolved["initContainers"][0]["volumeMounts"][0]["name"], "v_0");
    assert_eq!(
        resolved["volumes"],
        json!([
            { "name": "v", "hostPath": { "path": "/own/v", "type": "Directory" } },
            { "name": "other", "emptyDir": {} },
            { "name": "v_0", "hostPath": { "path": "/own/v/a", "type": "Directory" } },
            { "name": "v_1", "hostPath": { "path": "/own/v/user", "type": "File" } },
        ])
    );
}

#[test]
fn what_cannot_be_done_is_said_with_its_place_and_without_a_value() {
    let env = |key: &str, reference: Value| json!({ "containers": [{ key: [reference] }] });
    let key_of = |name: &str, key: &str| {
        env("env", json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": name, "key": key } } }))
    };
    let volume = |secret: Value| json!({ "volumes": [{ "name": "v", "secret": secret }] });
    let item = |item: Value| volume(json!({ "secretName": "s", "items": [item] }));
    for (specification, expected) in [
        (key_of("s", "x"), "containers[0].env[0].valueFrom.secretKeyRef.key: the Secret `s` has no key `x`"),
        (
            key_of("raw", "bytes"),
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
        (
            item(json!({ "key": "user", "path": "a/../../b" })),
            "volumes[0].secret.items[0].path: must be a relative path without `..`",
        ),
        (
            item(json!({ "key": "user", "path": "/b" })),
            "volumes[0].secret.items[0].path: must be a relative path without `..`",
        ),
        (
            item(json!({ "key": "user", "path": "b", "mode": 512 })),
            "volumes[0].secret.items[0]: its mode must be from 0 to 0777",
        ),
        (
            volume(json!({ "secretName": "s", "defaultMode": "0999" })),
            "volumes[0].secret: its mode must be from 0 to 0777",
        ),
        (
            volume(json!({ "secretName": "s", "items": [
                { "key": "user", "path": "a" }, { "key": "user", "path": "a/b" }
            ]})),
            "volumes[0].secret.items[1]: `a` and `a/b`: none can be a file and a directory",
        ),
        (
            json!({
                "volumes": [{ "name": "v", "secret": { "secretName": "s" } }],
                "containers": [{ "volumeMounts": [{ "name": "v", "mountPath": "/x", "subPath": "none" }] }],
            }),
            "containers[0].volumeMounts[0].subPath: there is no `none` in the volume `v`",
        ),
    ] {
        assert_eq!(problems(specification), [expected]);
    }
}

#[test]
fn nonsense_is_left_for_podman_to_complain_about() {
    for odd in [
        json!(null),
        json!("x"),
        json!({ "containers": [5, { "env": "x", "envFrom": 1 }], "volumes": [1, "x"] }),
    ] {
        assert_eq!(resolved(odd.clone()).0, odd);
    }
}

#[test]
fn what_podman_quotes_is_shown_without_values() {
    let quoted = "`pa$$(w)\"0rd` not found, joe".to_owned();
    assert_eq!(redacted(&content(json!({})), quoted), "`***` not found, joe");
}
