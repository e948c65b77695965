//! A workload becomes a Deployment, and what the cluster says of it becomes a [`Deployment`].
//!
//! | object | its name | its life |
//! |---|---|---|
//! | the Deployment | the workload's | applied anew with each change: Kubernetes rolls it |
//! | its `ConfigMap`s and `Secret`s | `<workload>.<author's name>`, which no other workload can have | the Deployment owns them, and says in annotations which there are: those of an earlier content go when the next one is available |

use serde_json::{Value, json};

use crate::{
    agent::model::{
        deployment::{Deployment, Rollout},
        workload::Workload,
    },
    wire::{
        base64,
        dns_names::is_dns_label,
        json::{items, set, string_map},
        ownership::{
            OWNER_LABEL, WORKLOAD_LABEL, add_device_id_variable, fit_name, name_containers, short_name,
        },
    },
};

/// The annotation with the content's hash: on the pods always, on the Deployment once all of it was applied.
const HASH_ANNOTATION: &str = "project-flotta.io/hash";
/// The annotations of the Deployment that say which dependents it has: for what it is, and for what it was.
const DEPENDENTS_ANNOTATION: &str = "project-flotta.io/objects";
const FORMER_DEPENDENTS_ANNOTATION: &str = "project-flotta.io/former-objects";
/// A `ConfigMap` stands below these keys of a specification.
const CONFIG_MAP_KEYS: [&str; 3] = ["configMap", "configMapRef", "configMapKeyRef"];
/// A `Secret` below these.
const SECRET_KEYS: [&str; 3] = ["secret", "secretRef", "secretKeyRef"];
/// What the `Secret` with the credentials of registries is called.
const PULL_SECRET_NAME: &str = "registry.credentials";

/// An object that a Deployment needs beside it, a `ConfigMap` or a `Secret`.
pub struct DependentObject {
    /// As in its address.
    pub plural: &'static str,
    /// Its own name in the cluster.
    pub name: String,
    /// What to apply.
    pub object: Value,
}

/// The Deployment to apply. `whole`: nothing else is left to do for this content, but for the `former` objects to go.
pub fn deployment(
    workload: &Workload,
    replicas: u32,
    owner: &str,
    device_id: &str,
    whole: bool,
    former: &[String],
) -> Value {
    let content = &workload.content;
    let mut spec = content.specification.value();
    for list in ["initContainers", "containers"] {
        items(&mut spec, list).for_each(|container| add_device_id_variable(container, device_id, content));
    }
    rename_references(&mut spec, workload);
    if !content.auth.0.is_null() {
        let pull = json!([{ "name": scoped_name(workload, PULL_SECRET_NAME) }]);
        set(&mut spec, "imagePullSecrets", pull);
    }
    name_containers(&mut spec, |name| fit_name(name, is_dns_label));
    // neither changes while the Deployment lives: Kubernetes refuses that, also where it is another's
    let selector = json!({ OWNER_LABEL: owner, WORKLOAD_LABEL: short_name(workload) });
    let mut labels = string_map(&content.labels);
    labels.extend([OWNER_LABEL, WORKLOAD_LABEL].map(|key| (key.to_owned(), selector[key].clone())));
    let mut annotations = string_map(&content.annotations);
    annotations.retain(|key, _| {
        ![HASH_ANNOTATION, DEPENDENTS_ANNOTATION, FORMER_DEPENDENTS_ANNOTATION].contains(&key.as_str())
    });
    let mut own = annotations.clone();
    annotations.insert(HASH_ANNOTATION.into(), workload.hash.as_str().into());
    if whole {
        own.clone_from(&annotations);
    }
    for (key, names) in
        [(DEPENDENTS_ANNOTATION, &dependent_names(workload)[..]), (FORMER_DEPENDENTS_ANNOTATION, former)]
    {
        if !names.is_empty() {
            own.insert(key.into(), names.join(" ").into());
        }
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": workload.name(), "labels": labels, "annotations": own },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": selector },
            "template": { "metadata": { "labels": labels, "annotations": annotations }, "spec": spec },
        },
    })
}

/// Whether the Deployment needs nothing beside it.
pub fn has_no_dependents(workload: &Workload) -> bool {
    let content = &workload.content;
    content.config_maps.is_empty()
        && content.secrets.secret_names().next().is_none()
        && content.auth.0.is_null()
}

/// What the Deployment of this `uid` needs beside it.
pub fn dependent_objects(workload: &Workload, owner: &str, uid: &str) -> Vec<DependentObject> {
    let content = &workload.content;
    let dependent = |plural, name: &str, mut object: Value| {
        let name = scoped_name(workload, name);
        let metadata = json!({
            "name": name,
            "labels": { OWNER_LABEL: owner, WORKLOAD_LABEL: short_name(workload) },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": workload.name(), "uid": uid,
            }],
        });
        set(&mut object, "metadata", metadata);
        DependentObject { plural, name, object }
    };
    let secret =
        |kind: &str, data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "type": kind, "data": data });
    let maps = content
        .config_maps
        .iter()
        .filter_map(|map| Some(dependent("configmaps", map["metadata"]["name"].as_str()?, map.clone())));
    let secrets = content.secrets.secret_names().filter_map(|name| {
        let data = content.secrets.data_of(name)?.clone().into();
        Some(dependent("secrets", name, secret("Opaque", data)))
    });
    let auth = (!content.auth.0.is_null()).then(|| {
        let data = json!({ ".dockerconfigjson": base64::encode(content.auth.0.to_string().as_bytes()) });
        dependent("secrets", PULL_SECRET_NAME, secret("kubernetes.io/dockerconfigjson", data))
    });
    maps.chain(secrets).chain(auth).collect()
}

/// The names of its dependents, as `<plural>/<name>`.
fn dependent_names(workload: &Workload) -> Vec<String> {
    let all = dependent_objects(workload, "", "").into_iter();
    all.map(|DependentObject { plural, name, .. }| format!("{plural}/{name}")).collect()
}

/// Of the Deployment's dependents: those that this content doesn't need. Others may have written that down, so it
/// only counts what can be the workload's own.
pub fn obsolete_dependents(workload: &Workload, dependents: &[String]) -> Vec<String> {
    let (needed, own) = (dependent_names(workload), scoped_name(workload, ""));
    let is_own = |name: &str| {
        let name = ["configmaps/", "secrets/"].iter().find_map(|plural| name.strip_prefix(plural));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        name.is_some_and(|name| name.starts_with(&own) && name.chars().all(is_plain))
    };
    dependents.iter().filter(|name| is_own(name) && !needed.contains(name)).cloned().collect()
}

/// Whether what was found under a name, or by a label, is this owner's.
pub fn is_ours(found: &Value, owner: &str) -> bool {
    found["metadata"]["labels"][OWNER_LABEL] == owner
}

/// The first part has no dot, so that no two pairs give the same.
fn scoped_name(workload: &Workload, name: &str) -> String {
    format!("{}.{name}", fit_name(workload.name(), is_dns_label))
}

/// Gives the workload's own objects their own names, wherever they are used.
fn rename_references(value: &mut Value, workload: &Workload) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|it| rename_references(it, workload)),
        Value::Object(fields) => {
            for (key, it) in fields {
                let content = &workload.content;
                let is_own = |kind: &str, name: &Value| match kind {
                    _ if CONFIG_MAP_KEYS.contains(&kind) => {
                        content.config_maps.iter().any(|map| map["metadata"]["name"] == *name)
                    }
                    _ => SECRET_KEYS.contains(&kind) && content.secrets.secret_names().any(|own| name == own),
                };
                for field in ["name", "secretName"] {
                    if let Some(name) = it.get_mut(field).filter(|name| is_own(key, name)) {
                        *name = scoped_name(workload, name.as_str().unwrap_or_default()).into();
                    }
                }
                rename_references(it, workload);
            }
        }
        _ => {}
    }
}

/// The Deployments of a list that are this owner's, and from where on changes to it are to be watched. Nothing if it is
/// none.
pub fn parse_deployment_list(answer: &Value, owner: &str) -> Option<(Vec<Deployment>, String)> {
    let items = answer["items"].as_array()?.iter();
    let found = items.filter(|item| is_ours(item, owner)).map(read).collect();
    Some((found, resource_version(answer)?))
}

/// From where on changes to this are to be watched.
pub fn resource_version(object: &Value) -> Option<String> {
    object["metadata"]["resourceVersion"].as_str().map(ToOwned::to_owned)
}

/// A Deployment in the agent's words.
pub fn read(object: &Value) -> Deployment {
    let metadata = &object["metadata"];
    let text = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
    let note = |key: &str| metadata["annotations"][key].as_str().unwrap_or_default();
    let [dependents, former] = [DEPENDENTS_ANNOTATION, FORMER_DEPENDENTS_ANNOTATION]
        .map(|key| note(key).split_whitespace().map(ToOwned::to_owned));
    Deployment {
        namespace: text("namespace"),
        name: text("name"),
        uid: text("uid"),
        hash: note(HASH_ANNOTATION).to_owned(),
        replicas: u64_field(&object["spec"], "replicas") as u32,
        generation: u64_field(metadata, "generation"),
        // opaque by contract, and yet a counter on every API server there is
        version: resource_version(object).and_then(|it| it.parse().ok()).unwrap_or_default(),
        terminating: !metadata["deletionTimestamp"].is_null(),
        rollout: rollout(object),
        has_former: former.clone().next().is_some(),
        dependents: dependents.chain(former).collect(),
    }
}

fn u64_field(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_default()
}

fn rollout(object: &Value) -> Rollout {
    let status = &object["status"];
    if u64_field(status, "observedGeneration") < u64_field(&object["metadata"], "generation") {
        return Rollout::Progressing; // the status is of an earlier one
    }
    let condition = |kind: &str| {
        let mut all = status["conditions"].as_array().into_iter().flatten();
        all.find(|it| it["type"] == kind)
    };
    let because = |it: &Value| {
        let word = |key: &str| it[key].as_str().unwrap_or_default();
        format!("{}: {}", word("reason"), word("message"))
    };
    let replicas = u64_field(&object["spec"], "replicas");
    let is_there =
        u64_field(status, "updatedReplicas") == replicas && u64_field(status, "replicas") == replicas;
    if is_there && u64_field(status, "availableReplicas") >= replicas {
        return Rollout::Available;
    }
    if let Some(failed) = condition("ReplicaFailure").filter(|it| it["status"] == "True") {
        return Rollout::Failed(because(failed));
    }
    match condition("Progressing") {
        Some(it) if it["status"] == "False" => Rollout::Failed(because(it)),
        Some(it) if is_there && it["reason"] == "NewReplicaSetAvailable" => {
            Rollout::Unavailable(condition("Available").map(because).unwrap_or_default())
        }
        _ => Rollout::Progressing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{
        confidential::Confidential,
        workload::{Content, Engine},
    };

    fn workload(specification: Value) -> Workload {
        let map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "b"}});
        Workload::new(Content {
            labels: vec![("app".into(), "x".into()), (OWNER_LABEL.into(), "forged".into())],
            annotations: vec![("note".into(), "n".into()), (HASH_ANNOTATION.into(), "forged".into())],
            config_maps: vec![map],
            secrets: Confidential(json!({"s": {"password": "aHVudGVyMg=="}})),
            ..Content::new("web", Engine::Kubernetes, specification)
        })
    }

    #[test]
    fn a_deployment_has_the_authors_specification_and_our_marks() {
        let web = workload(json!({
            "containers": [{
                "name": "c", "image": "i", "imagePullPolicy": "Always", "livenessProbe": {"exec": {}},
                "env": [{"name": "DEVICE_ID", "value": "x"}],
                "envFrom": [{"configMapRef": {"name": "cm"}}, {"configMapRef": {"name": "theirs"}}],
            }],
            "initContainers": [{"name": "i"}],
            "volumes": [{"name": "cm", "projected": {"sources": [{"configMap": {"name": "cm"}}]}}],
        }));
        let old = ["configmaps/web.old".to_owned()];
        let half = deployment(&web, 1, "me", "dev1", false, &old);
        let objects = "configmaps/web.cm secrets/web.s";
        let noted = json!({"note": "n", DEPENDENTS_ANNOTATION: objects, FORMER_DEPENDENTS_ANNOTATION: "configmaps/web.old"});
        assert_eq!(half["metadata"]["annotations"], noted);
        assert_eq!(
            (read(&half).dependents.join(" "), read(&half).has_former),
            (format!("{objects} {}", old[0]), true)
        );
        let whole = deployment(&web, 0, "me", "dev1", true, &[]);
        let annotations = json!({"note": "n", HASH_ANNOTATION: web.hash});
        assert_eq!(
            whole["metadata"]["annotations"],
            json!({"note": "n", HASH_ANNOTATION: web.hash, DEPENDENTS_ANNOTATION: objects})
        );
        let selector = json!({OWNER_LABEL: "me", WORKLOAD_LABEL: "web"});
        assert_eq!(whole["spec"]["selector"], json!({"matchLabels": selector}));
        assert_eq!((&whole["spec"]["replicas"], &half["spec"]["replicas"]), (&json!(0), &json!(1)));
        for template in [&whole["spec"]["template"], &half["spec"]["template"]] {
            let labels = json!({"app": "x", OWNER_LABEL: "me", WORKLOAD_LABEL: "web"});
            assert_eq!(template["metadata"], json!({"labels": labels, "annotations": annotations}));
            let device = json!([{"name": "DEVICE_ID", "value": "dev1"}]);
            let expected = json!({
                "containers": [{
                    "name": "c", "image": "i", "imagePullPolicy": "Always", "livenessProbe": {"exec": {}},
                    "env": [{"name": "DEVICE_ID", "value": "x"}],
                    "envFrom": [{"configMapRef": {"name": "web.cm"}}, {"configMapRef": {"name": "theirs"}}],
                }],
                "initContainers": [{"name": "i", "env": device}],
                "volumes": [{"name": "cm", "projected": {"sources": [{"configMap": {"name": "web.cm"}}]}}],
            });
            assert_eq!(template["spec"], expected);
        }
    }

    #[test]
    fn config_maps_are_the_deployments_own() {
        let [DependentObject { name, object: map, .. }, secret] =
            &dependent_objects(&workload(json!({})), "me", "u1")[..]
        else {
            panic!("two")
        };
        assert_eq!((secret.plural, secret.name.as_str()), ("secrets", "web.s"));
        assert_eq!(secret.object["data"], json!({"password": "aHVudGVyMg=="}));
        assert_eq!(secret.object["metadata"]["ownerReferences"], map["metadata"]["ownerReferences"]);
        assert_eq!((name.as_str(), &map["metadata"]["name"]), ("web.cm", &json!("web.cm")));
        assert_eq!(map["metadata"]["ownerReferences"][0]["uid"], "u1");
        assert_eq!(map["data"], json!({"a": "b"}));
        assert!(is_ours(map, "me") && !is_ours(map, "you") && !is_ours(&json!({}), "me"));
    }

    #[test]
    fn what_only_an_earlier_content_needed_is_former_and_nothing_that_is_not_the_workloads() {
        let dependents = "configmaps/web.cm configmaps/web.old secrets/web.registry.credentials secrets/web.s \
                          pods/web.x configmaps/other.old secrets/web.x/../../y secrets/web.x?y secrets/webx";
        let dependents: Vec<_> = dependents.split_whitespace().map(ToOwned::to_owned).collect();
        let expected = ["configmaps/web.old", "secrets/web.registry.credentials"];
        assert_eq!(obsolete_dependents(&workload(json!({})), &dependents), expected);
    }

    fn rollout(replicas: u32, status: Value) -> Rollout {
        let object = json!({
            "metadata": {"name": "web", "namespace": "default", "generation": 2, "resourceVersion": "7"},
            "spec": {"replicas": replicas}, "status": status,
        });
        read(&object).rollout
    }

    #[test]
    fn a_rollout_is_what_kubectl_would_say() {
        let condition = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": "m"});
        let status = |available: u32, conditions: &[Value]| {
            json!({
                "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available,
                "conditions": conditions,
            })
        };
        let complete = condition("Progressing", "True", "NewReplicaSetAvailable");
        assert_eq!(rollout(1, Value::Null), Rollout::Progressing);
        assert_eq!(rollout(1, status(1, &[])), Rollout::Available);
        assert_eq!(rollout(0, json!({"observedGeneration": 2})), Rollout::Available);
        assert_eq!(rollout(1, json!({"observedGeneration": 1, "replicas": 1})), Rollout::Progressing);
        let going = condition("Progressing", "True", "ReplicaSetUpdated");
        assert_eq!(rollout(1, status(0, &[going])), Rollout::Progressing);
        let late = condition("Progressing", "False", "ProgressDeadlineExceeded");
        assert_eq!(rollout(1, status(0, &[late])), Rollout::Failed("ProgressDeadlineExceeded: m".into()));
        let quota = condition("ReplicaFailure", "True", "FailedCreate");
        assert_eq!(rollout(1, status(0, &[quota])), Rollout::Failed("FailedCreate: m".into()));
        let few = condition("Available", "False", "MinimumReplicasUnavailable");
        let expected = Rollout::Unavailable("MinimumReplicasUnavailable: m".into());
        assert_eq!(rollout(1, status(0, &[complete.clone(), few])), expected);
        let mut old_runs = status(1, &[complete]);
        old_runs["replicas"] = 2.into();
        assert_eq!(rollout(1, old_runs), Rollout::Progressing, "old pods don't count");
    }

    #[test]
    fn an_answer_that_is_no_list_is_none() {
        let page = json!({"metadata": {"resourceVersion": "9"}, "items": []});
        assert_eq!(parse_deployment_list(&page, "me"), Some((Vec::new(), "9".to_owned())));
        assert_eq!(parse_deployment_list(&json!({"metadata": {"resourceVersion": "9"}}), "me"), None);
        assert_eq!(parse_deployment_list(&json!({"metadata": {}, "items": []}), "me"), None);
    }

    #[test]
    fn what_a_list_holds_of_others_is_left_out() {
        let item = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let items = [
            item("ours", json!({OWNER_LABEL: "me"})),
            item("theirs", json!({OWNER_LABEL: "you"})),
            item("bare", Value::Null),
        ];
        let page = json!({"metadata": {"resourceVersion": "9"}, "items": items});
        let (found, _) = parse_deployment_list(&page, "me").unwrap();
        assert_eq!(found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["ours"]);
    }
}
