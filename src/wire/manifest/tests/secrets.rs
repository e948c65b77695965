//! `Secret`s and the workloads that name them.

use super::*;

/// `hunter2` in base64.
const ENCODED: &str = "aHVudGVyMg==";

fn secret(name: &str, rest: &str) -> String {
    format!("---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n{rest}\n")
}

fn using(reference: &str) -> String {
    workload("a", "").replace(
        "{containers: [{name: c, image: i}]}",
        &format!("{{containers: [{{name: c, image: i}}], {reference}}}"),
    )
}

fn by_variable(name: &str) -> String {
    workload("a", "").replace("image: i", &format!("image: i, envFrom: [{{secretRef: {{name: {name}}}}}]"))
}

#[test]
fn all_ways_to_write_a_value_are_one() {
    let plain = only(&(by_variable("s") + &secret("s", "stringData: {k: hunter2}")));
    for rest in [
        format!("data: {{k: {ENCODED}}}"),
        format!("type: Opaque\nimmutable: true\ndata:\n  k: |\n    {}\n    {}", &ENCODED[..5], &ENCODED[5..]),
        "data: {k: AAAA}\nstringData: {k: hunter2}".to_owned(),
    ] {
        assert_eq!(only(&(by_variable("s") + &secret("s", &rest))), plain, "{rest}");
    }
    assert_eq!(plain.content.secrets.data_of("s").unwrap()["k"], ENCODED);
}

#[test]
fn the_value_of_a_used_secret_is_part_of_the_id_and_that_of_no_other_is() {
    let id = |text: String| only(&text).id;
    let without = id(workload("a", ""));
    assert_eq!(without.as_str(), "a-5f6f7d787113"); // as it was before there were Secrets
    assert_eq!(id(workload("a", "") + &secret("s", "stringData: {k: v}")), without);
    let one = id(by_variable("s") + &secret("s", "stringData: {k: v}"));
    assert_ne!(one, id(by_variable("s") + &secret("s", "stringData: {k: w}")));
    let other = secret("s", "stringData: {k: v}") + &secret("t", "stringData: {k: x}");
    assert_eq!(one, id(by_variable("s") + &other));
}

#[test]
fn a_missing_secret_holds_its_workload_alone() {
    let text = by_variable("s") + &workload("b", "");
    let (desired, problems) = assembled(&text);
    assert_eq!((names(&desired), desired.unreadable.clone()), (vec!["b"], vec!["a".to_owned()]));
    assert_eq!(
        problems,
        [
            "f.yaml, document 1, line 8: spec.pod.spec.containers[0].envFrom[0].secretRef.name: there is no Secret \
             `s` in namespace `default`"
        ]
    );
    for reference in [
        "volumes: [{name: v, secret: {secretName: s}}]",
        "volumes: [{name: v, projected: {sources: [{secret: {name: s}}]}}]",
    ] {
        assert!(problems_of(reference).contains("there is no Secret `s`"), "{reference}");
        let optional = reference
            .replace("name: s}", "name: s, optional: true}")
            .replace("Name: s}", "Name: s, optional: true}");
        assert_eq!(problems_of(&optional), "", "{optional}");
    }
    let elsewhere = by_variable("s") + &secret("s, namespace: other", "stringData: {k: v}");
    assert_eq!(assembled(&elsewhere).0.unreadable, ["a"]);
}

fn problems_of(reference: &str) -> String {
    problems(&using(reference)).join("\n")
}

#[test]
fn what_is_wrong_below_a_reference_is_said_with_its_line() {
    let volume = using("volumes: [{name: v, secret: {secretName: s, items: [{key: x, path: x}]}}]");
    assert_eq!(
        problems(&(volume + &secret("s", "stringData: {k: v}"))),
        [
            "f.yaml, document 1, line 8: spec.pod.spec.volumes[0].secret.items[0].key: the Secret `s` has no key `x`"
        ]
    );
}

#[test]
fn permissions_are_octal_as_people_write_them() {
    for (written, expected) in [("0400", 0o400), ("0o440", 0o440), ("256", 0o400), ("'0440'", 0o440)] {
        let volume =
            using(&format!("volumes: [{{name: v, secret: {{secretName: s, defaultMode: {written}}}}}]"));
        let workload = only(&(volume + &secret("s", "stringData: {k: v}")));
        let trees = crate::wire::podman::libpod::file_volumes(&workload);
        assert_eq!(trees[0].files[0].mode, expected, "{written}");
    }
}

#[test]
fn a_broken_secret_is_said_without_a_word_of_it() {
    for (rest, expected) in [
        ("data: {k: hunter2}", "line 5: data.k: is no base64"),
        ("data: {k: [hunter2]}", "line 5: data.k: must be a text"),
        ("stringData: {k: {hunter2: x}}", "line 5: stringData.k: must be a text"),
        ("stringData: hunter2", "line 5: stringData: must be keys with values"),
        ("stringData: {\"../k\": hunter2}", "line 5: stringData[\"../k\"]: is no key"),
        ("stringData: {..: hunter2}", "line 5: stringData[\"..\"]: is no key"),
        ("stringdata: {k: hunter2}", "line 5: stringdata: unknown field"),
    ] {
        let found = problems(&secret("s", rest));
        assert!(found.len() == 1 && found[0].contains(expected), "{rest}: {found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    // what the YAML reader stumbles over
    for value in [
        "31337313373133731337313373133731337",
        "-31337313373133731337313373133731337",
        "!31337 x",
        "*31337",
        "&31337 x, &31337",
        "31337: 31337: x",
        "'31337",
        "\"\\31337\"",
        "@31337",
        "`31337",
        "%31337",
        "{31337: x, 31337: x}",
        "{[31337]: x}",
        "31337\t: -\n - x",
        "<<: 31337",
    ] {
        let found = problems(&secret("s", &format!("stringData: {{k: {value}}}"))).join(" ");
        assert!(!found.is_empty() && !found.contains("31337"), "{value}: {found}");
    }
    assert!(problems(&secret("S", ""))[0].contains("metadata.name: `S` can't be a name"));
}

#[test]
fn credentials_for_registries_come_from_a_secret_that_makes_sense() {
    let config = |text: &str| secret("pull", &format!("stringData: {{.dockerconfigjson: '{text}'}}"));
    let text = workload("a", "imageRegistries: {secretRef: {name: pull}}");
    let good = r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#;
    let a = only(&(text.clone() + &config(good)));
    assert_eq!(a.content.auth.0, good);
    assert_ne!(a.id, only(&workload("a", "")).id);
    let other = only(&(text.clone() + &config(&good.replace("dTpw", "dTpx"))));
    assert_ne!(a.id, other.id);
    for (rest, expected) in [
        (String::new(), "spec.imageRegistries.secretRef.name: there is no Secret `pull`"),
        (
            secret("pull", "stringData: {k: v}"),
            "the Secret `pull` has no text in the key `.dockerconfigjson`",
        ),
        (config("hunter2"), "the Secret `pull` can't be used: `.dockerconfigjson` is no JSON"),
    ] {
        let (desired, problems) = assembled(&(text.clone() + &rest));
        assert!(desired.unreadable == ["a"] && problems[0].contains(expected), "{problems:?}");
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
    }
    let nameless = problems(&workload("a", "imageRegistries: {secretRef: {}}"));
    assert!(nameless[0].contains("spec.imageRegistries.secretRef.name: is missing"), "{nameless:?}");
    assert_eq!(only(&workload("a", "imageRegistries: {}")).id, only(&workload("a", "")).id);
}

#[test]
fn what_a_specification_names_for_pulls_has_the_credentials_unless_its_workload_names_others() {
    let good = r#"{"auths":{"r.io":{"auth":"dTpw"}}}"#;
    let config = secret("pull", &format!("stringData: {{.dockerconfigjson: '{good}'}}"));
    let named = |more: &str, pull: &str| {
        workload("a", more).replace("{containers:", &format!("{{imagePullSecrets: {pull}, containers:"))
    };
    let text = named("", "[{name: pull}]");
    let a = only(&(text.clone() + &config));
    assert_eq!(a.content.auth.0, good);
    let missing = "spec.pod.spec.imagePullSecrets[0].name: there is no Secret `pull` in namespace `default`";
    assert!(problems(&text)[0].ends_with(missing), "{:?}", problems(&text));
    let two = problems(&(named("", "[{name: pull}, {name: other}]") + &config));
    assert!(two[0].contains("spec.pod.spec.imagePullSecrets: the first one counts, 1 more"), "{two:?}");
    let both = named("imageRegistries: {secretRef: {name: pull}}", "[{name: other}]") + &config;
    assert!(problems(&both)[0].contains("imagePullSecrets: has no effect: `spec.imageRegistries`"), "{both}");
    // a cluster has Secrets of its own
    let cluster = text.replace("type: pod", "type: k8s");
    assert_eq!(problems(&cluster), [""; 0]);
}

#[test]
fn no_dump_shows_a_value() {
    let text = by_variable("s") + &secret("s", "stringData: {k: hunter2}");
    let dump = format!("{:?} {:#?}", read(&text), assembled(&text).0);
    assert!(dump.contains("(confidential)"), "{dump}");
    assert!(!dump.contains("hunter2") && !dump.contains(ENCODED), "{dump}");
}
