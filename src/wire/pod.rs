//! A workload becomes what podman plays: the specification as its author wrote it, also the parts that the
//! agent knows nothing about, except for the rewrites here. There are no others.
//!
//! podman shares the names of volumes host-wide, and calls the volume of an `emptyDir`, a `ConfigMap` or a claim
//! just like it. So these names become the workload's own: two workloads never see each other's files.

use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::agent::{
    quantity,
    workload::{Workload, WorkloadId, hex},
};

/// The label with the content's hash, cut to 32 digits.
pub const HASH_LABEL: &str = "project-flotta.io";
/// The label that says which agent a pod belongs to: [`owner`].
pub const OWNER_LABEL: &str = "project-flotta.io/owner";
/// The label with the workload's name.
pub const WORKLOAD_LABEL: &str = "project-flotta.io/workload";

/// `<this>/<container>` bounds the number of a container's processes.
const PIDS_LIMIT: &str = "io.podman.annotations.pids-limit";
/// Whether init containers run at each start of a pod, and stay; ours run once, as a pod is started once.
const INIT_CONTAINER_TYPE: &str = "io.podman.annotations.init.container.type";

/// What a container may take whose author set no limit. Another limit is no reason to restart a pod: it counts
/// from its next start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<u64>,
    /// Thousandths of a core.
    pub cpu: Option<u32>,
    /// Processes.
    pub pids: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        // 512 shells fit into the smallest device
        Self { memory: None, cpu: None, pids: Some(512) }
    }
}

impl Limits {
    /// Gives a container's `resources` the limits that its author left out; no less than was requested.
    fn fill(&self, container: &mut Map<String, Value>) {
        let cpu = self.cpu.map(|cpu| format!("{cpu}m"));
        let limits = [("memory", self.memory.map(|bytes| bytes.to_string())), ("cpu", cpu)];
        for (name, limit) in limits {
            let Some(limit) = limit else { continue };
            let resources = container.entry("resources").or_insert_with(|| json!({}));
            let requested = resources["requests"][name].clone();
            let limit = if amount(&requested) > amount(&json!(limit)) { requested } else { limit.into() };
            let Some(resources) = resources.as_object_mut() else { continue };
            let limits = resources.entry("limits").or_insert_with(|| json!({}));
            if let Some(limits) = limits.as_object_mut() {
                limits.entry(name).or_insert(limit);
            }
        }
    }
}

/// Of a quantity, which is a text or a number, in thousandths.
fn amount(quantity: &Value) -> Option<u64> {
    let text = match quantity {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    quantity::thousandths(&text)
}

/// Whose pods these are: the same for one device and state directory, another for any other.
pub fn owner(device_id: &str, state_dir: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(device_id.as_bytes());
    hash.update([0]);
    hash.update(state_dir.as_os_str().as_encoded_bytes());
    hex(&hash.finalize()[..8])
}

/// What all names begin with that the pod doesn't share with any other: those of its volumes, but for claims.
pub fn own_prefix(id: &WorkloadId) -> String {
    // no name of Kubernetes has an underscore, so that no other name can look like this one
    format!("{id}_")
}

/// The annotation that bounds the number of this container's processes.
pub fn pids_limit_annotation(container: &str) -> String {
    format!("{PIDS_LIMIT}/{container}")
}

/// The documents to play: the `ConfigMap`s, then the pod. Each is JSON, which is YAML, too, and leaves no
/// doubt about what is a string.
pub fn documents(workload: &Workload, owner: &str, device_id: &str, limits: &Limits) -> String {
    let names = Names { own: own_prefix(&workload.id), claims: format!("{}_", workload.name()) };
    let mut body = String::new();
    for map in &workload.content.config_maps {
        let mut map = map.clone();
        names.own(map.pointer_mut("/metadata/name"));
        body.push_str(&map.to_string());
        body.push_str("\n---\n");
    }
    body.push_str(&pod(workload, owner, device_id, limits, &names).to_string());
    body.push('\n');
    body
}

fn pod(workload: &Workload, owner: &str, device_id: &str, limits: &Limits, names: &Names) -> Value {
    let content = &workload.content;
    let mut spec = content.specification.clone();
    if let Some(fields) = spec.as_object_mut() {
        // the agent restarts: podman's own restarts know no back-off and no end
        fields.insert("restartPolicy".into(), "Never".into());
    }
    let mut annotations = strings(&content.annotations);
    annotations.remove(INIT_CONTAINER_TYPE);
    for volume in items(&mut spec, "volumes") {
        names.volume(volume);
    }
    let empty_dirs: Vec<Value> = content.specification["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|volume| volume.get("emptyDir").is_some())
        .map(|volume| volume["name"].clone())
        .collect();
    for list in ["initContainers", "containers"] {
        for container in items(&mut spec, list) {
            if let (Some(name), Some(pids)) = (container["name"].as_str(), limits.pids) {
                let limit = annotations.entry(pids_limit_annotation(name));
                limit.or_insert_with(|| pids.to_string().into());
            }
            names.container(container, &empty_dirs);
            rewrite_container(container, device_id, limits);
        }
    }
    let mut labels = strings(&content.labels);
    labels.insert(HASH_LABEL.into(), workload.hash.get(..32).unwrap_or(&workload.hash).into());
    labels.insert(OWNER_LABEL.into(), owner.into());
    labels.insert(WORKLOAD_LABEL.into(), workload.name().into());
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": workload.id.as_str(), "labels": labels, "annotations": annotations },
        "spec": spec,
    })
}

fn rewrite_container(container: &mut Value, device_id: &str, limits: &Limits) {
    let Some(fields) = container.as_object_mut() else { return };
    limits.fill(fields);
    // pulled already, as the author's policy says; and a device without network boots
    fields.insert("imagePullPolicy".into(), "Never".into());
    // podman would act on them by itself, and kill the pod
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        fields.remove(probe);
    }
    let env = fields.entry("env").or_insert(Value::Null);
    if env.is_null() {
        *env = json!([]);
    }
    if let Some(env) = env.as_array_mut() {
        env.retain(|variable| variable["name"] != "DEVICE_ID");
        env.push(json!({ "name": "DEVICE_ID", "value": device_id }));
    }
}

/// How the workload's own names begin.
struct Names {
    /// For what goes with the pod.
    own: String,
    /// For what outlives it: claims keep their data when the workload's content changes.
    claims: String,
}

impl Names {
    fn own(&self, name: Option<&mut Value>) {
        prepend(&self.own, name);
    }

    fn volume(&self, volume: &mut Value) {
        if volume.get("emptyDir").is_some() {
            self.own(volume.get_mut("name"));
        }
        self.own(volume.pointer_mut("/configMap/name"));
        prepend(&self.claims, volume.pointer_mut("/persistentVolumeClaim/claimName"));
    }

    fn container(&self, container: &mut Value, empty_dirs: &[Value]) {
        for mount in items(container, "volumeMounts") {
            if empty_dirs.contains(&mount["name"]) {
                self.own(mount.get_mut("name"));
            }
        }
        for source in items(container, "envFrom") {
            self.own(source.pointer_mut("/configMapRef/name"));
        }
        for variable in items(container, "env") {
            self.own(variable.pointer_mut("/valueFrom/configMapKeyRef/name"));
        }
    }
}

fn prepend(prefix: &str, name: Option<&mut Value>) {
    if let Some(Value::String(name)) = name {
        name.insert_str(0, prefix);
    }
}

/// The members of a list; none if it isn't one, which is podman's to complain about.
fn items<'a>(value: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn strings(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::workload::{Content, Engine};

    fn workload(specification: Value, config_maps: Vec<Value>) -> Workload {
        Workload::new(Content {
            name: "web".into(),
            namespace: "default".into(),
            engine: Engine::Podman { rootless: false },
            labels: vec![("app".into(), "x".into()), (OWNER_LABEL.into(), "forged".into())],
            annotations: vec![("note".into(), "n".into())],
            config_maps,
            specification,
        })
    }

    /// The documents that podman would read.
    fn played(workload: &Workload) -> Vec<Value> {
        played_within(workload, &Limits::default())
    }

    fn played_within(workload: &Workload, limits: &Limits) -> Vec<Value> {
        let body = documents(workload, "me", "dev1", limits);
        body.split("\n---\n").map(|document| serde_json::from_str(document).unwrap()).collect()
    }

    fn pod_of(specification: Value) -> (String, Value) {
        let workload = workload(specification, vec![]);
        (own_prefix(&workload.id), played(&workload).pop().unwrap())
    }

    #[test]
    fn our_labels_win_and_the_authors_stay() {
        let workload = workload(json!({ "containers": [] }), vec![]);
        let pod = &played(&workload)[0];
        assert_eq!(pod["metadata"]["name"], workload.id.as_str());
        let expected = json!({
            "app": "x",
            "project-flotta.io": workload.hash[..32],
            "project-flotta.io/owner": "me",
            "project-flotta.io/workload": "web",
        });
        assert_eq!(pod["metadata"]["labels"], expected);
        assert_eq!(pod["metadata"]["annotations"], json!({ "note": "n" }));
    }

    #[test]
    fn every_container_knows_its_device_and_is_the_agents_to_restart_pull_and_probe() {
        let author = json!({
            "name": "c", "image": "i", "imagePullPolicy": "Always", "restartPolicy": "Always",
            "livenessProbe": {}, "readinessProbe": {}, "startupProbe": {},
            "env": [{ "name": "DEVICE_ID", "value": "mine" }, { "name": "A", "value": "b" }],
        });
        let (_, pod) = pod_of(json!({
            "restartPolicy": "Always",
            "initContainers": [{ "name": "i" }, { "name": "j", "env": null }],
            "containers": [author],
        }));
        let spec = &pod["spec"];
        assert_eq!(spec["restartPolicy"], "Never");
        let device = json!({ "name": "DEVICE_ID", "value": "dev1" });
        let container = json!({
            "name": "c", "image": "i", "imagePullPolicy": "Never", "restartPolicy": "Always",
            "env": [{ "name": "A", "value": "b" }, device],
        });
        assert_eq!(spec["containers"], json!([container]));
        for init in spec["initContainers"].as_array().unwrap() {
            assert_eq!((&init["env"], &init["imagePullPolicy"]), (&json!([device]), &json!("Never")));
        }
        assert_eq!(pod["metadata"]["annotations"]["io.podman.annotations.pids-limit/c"], "512");
        assert_eq!(pod["metadata"]["annotations"]["io.podman.annotations.pids-limit/i"], "512");
    }

    #[test]
    fn names_that_podman_shares_become_the_workloads_own_wherever_they_stand() {
        let (own, pod) = pod_of(json!({
            "containers": [{
                "name": "c",
                "envFrom": [{ "configMapRef": { "name": "cm" } }, { "secretRef": { "name": "s" } }],
                "env": [{ "name": "K", "valueFrom": { "configMapKeyRef": { "name": "cm", "key": "k" } } }],
                "volumeMounts": [{ "name": "tmp", "mountPath": "/t" }, { "name": "cm", "mountPath": "/c" }],
            }],
            "initContainers": [{ "name": "i", "volumeMounts": [{ "name": "tmp", "mountPath": "/t" }] }],
            "volumes": [
                { "name": "tmp", "emptyDir": {} },
                { "name": "cm", "configMap": { "name": "cm", "items": [] } },
                { "name": "claim", "persistentVolumeClaim": { "claimName": "data" } },
                { "name": "host", "hostPath": { "path": "/x" } },
            ],
        }));
        let (tmp, cm) = (format!("{own}tmp"), format!("{own}cm"));
        let spec = &pod["spec"];
        let container = &spec["containers"][0];
        assert_eq!(
            container["envFrom"],
            json!([{ "configMapRef": { "name": cm } }, { "secretRef": { "name": "s" } }])
        );
        assert_eq!(container["env"][0]["valueFrom"]["configMapKeyRef"], json!({ "name": cm, "key": "k" }));
        let mounts = json!([{ "name": tmp, "mountPath": "/t" }, { "name": "cm", "mountPath": "/c" }]);
        assert_eq!(container["volumeMounts"], mounts);
        assert_eq!(spec["initContainers"][0]["volumeMounts"][0]["name"], tmp);
        let volumes = json!([
            { "name": tmp, "emptyDir": {} },
            { "name": "cm", "configMap": { "name": cm, "items": [] } },
            { "name": "claim", "persistentVolumeClaim": { "claimName": "web_data" } },
            { "name": "host", "hostPath": { "path": "/x" } },
        ]);
        assert_eq!(spec["volumes"], volumes);
    }

    #[test]
    fn config_maps_come_before_the_pod_under_the_names_it_uses() {
        let map =
            json!({ "kind": "ConfigMap", "metadata": { "name": "cm" }, "data": { "k": "on", "n": "1_0" } });
        let workload = workload(json!({ "containers": [] }), vec![map.clone()]);
        let documents = played(&workload);
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0]["metadata"]["name"], format!("{}_cm", workload.id));
        assert_eq!(documents[0]["data"], map["data"]);
        assert_eq!(documents[1]["kind"], "Pod");
    }

    #[test]
    fn what_the_agent_does_not_know_reaches_podman_whole() {
        let odd = json!({
            "hostNetwork": true, "new": { "x": [1, null] }, "containers": [5, { "name": 7, "env": "odd", "volumeMounts": 1 }],
            "volumes": "odd",
        });
        let (_, pod) = pod_of(odd);
        assert_eq!(pod["spec"]["new"], json!({ "x": [1, null] }));
        assert_eq!(pod["spec"]["volumes"], "odd");
        assert_eq!(pod["spec"]["containers"][0], 5);
        assert_eq!(pod["spec"]["containers"][1]["env"], "odd");
        for nonsense in [json!(null), json!("x"), json!([1])] {
            assert_eq!(pod_of(nonsense.clone()).1["spec"], nonsense);
        }
    }

    #[test]
    fn an_authors_process_limit_holds_and_init_containers_do_not_stay() {
        let mut workload = workload(json!({ "containers": [{ "name": "c" }] }), vec![]);
        let limit = pids_limit_annotation("c");
        workload.content.annotations =
            vec![(limit.clone(), "10".into()), (INIT_CONTAINER_TYPE.into(), "always".into())];
        let mut expected = Map::new();
        expected.insert(limit, "10".into());
        assert_eq!(played(&workload)[0]["metadata"]["annotations"], Value::Object(expected));
    }

    #[test]
    fn default_limits_fill_what_an_author_left_out_and_never_cut_a_request() {
        let limits = Limits { memory: Some(64 << 20), cpu: Some(500), pids: None };
        let filled = |resources: Value| {
            let containers = json!([{ "name": "c", "resources": resources }]);
            let workload = workload(json!({ "containers": containers }), vec![]);
            let pod = played_within(&workload, &limits).pop().unwrap();
            assert_eq!(pod["metadata"]["annotations"], json!({ "note": "n" }));
            pod["spec"]["containers"][0]["resources"]["limits"].clone()
        };
        let (memory, cpu) = ("67108864", "500m");
        assert_eq!(filled(json!({})), json!({ "memory": memory, "cpu": cpu }));
        assert_eq!(filled(json!({ "limits": { "memory": "1Gi" } })), json!({ "memory": "1Gi", "cpu": cpu }));
        let requests = json!({ "requests": { "memory": "128Mi", "cpu": 2 } });
        assert_eq!(filled(requests), json!({ "memory": "128Mi", "cpu": 2 }));
        assert_eq!(filled(json!({ "requests": { "cpu": "0.1" } })), json!({ "memory": memory, "cpu": cpu }));
        assert_eq!(filled(json!("odd")), Value::Null, "which is podman's to complain about");
    }

    #[test]
    fn a_deep_specification_fits_an_orders_stack() {
        let mut deep = json!({});
        for _ in 0..64 {
            deep = json!({ "x": [deep] });
        }
        let workload = workload(json!({ "containers": [], "deep": deep }), vec![]);
        let order = std::thread::Builder::new().stack_size(256 * 1024);
        order
            .spawn(move || documents(&workload, "me", "dev1", &Limits::default()).len())
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn an_owner_is_one_device_with_one_state_directory() {
        let one = owner("dev1", Path::new("/a"));
        assert_eq!((one.len(), one == owner("dev1", Path::new("/a"))), (16, true));
        assert_ne!(one, owner("dev1", Path::new("/b")));
        assert_ne!(owner("dev", Path::new("1/a")), owner("dev1", Path::new("/a")));
    }
}
