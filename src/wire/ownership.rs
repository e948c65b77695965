//! What the agent writes on all that it makes, on podman and in a cluster: names that the engine allows, whose it is,
//! and which device it is on.

use std::{borrow::Cow, path::Path};

use ring::digest::{Context, SHA256, digest};
use serde_json::{Value, json};

use super::json::items;
use crate::agent::model::workload::{Content, Workload, hex};

/// The label with the content's hash, cut to 32 digits.
pub const HASH_LABEL: &str = "project-flotta.io";
/// The label that says which agent a pod belongs to: [`owner`].
pub const OWNER_LABEL: &str = "project-flotta.io/owner";
/// The label with the workload's name.
pub const WORKLOAD_LABEL: &str = "project-flotta.io/workload";

/// The variable with the device's name that each container gets.
pub(super) const DEVICE_ID_VARIABLE: &str = "DEVICE_ID";

/// Whose pods these are: the same for one device and state directory, another for any other.
pub fn owner(device_id: &str, state_dir: &Path) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(device_id.as_bytes());
    hash.update(&[0]);
    hash.update(state_dir.as_os_str().as_encoded_bytes());
    hex(&hash.finish().as_ref()[..8])
}

/// A name that an engine allows: the given one where it fits. Any other carries a hash of what it was, so that no two
/// become the same.
pub(super) fn fit_name(name: &str, fits: fn(&str) -> bool) -> Cow<'_, str> {
    if fits(name) {
        return name.into();
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let shown: String = name.chars().map(plain).skip_while(|c| *c == '-').take(50).collect();
    let hash = hex(&digest(&SHA256, name.as_bytes()).as_ref()[..6]);
    // nothing but the hash, where no letter or digit was in it
    format!("{}-{hash}", shown.trim_end_matches('-')).trim_start_matches('-').to_owned().into()
}

/// A workload's name as a part of another, or as the value of a label.
pub(super) fn short_name(workload: &Workload) -> Cow<'_, str> {
    fit_name(workload.name(), |name| name.len() <= 63)
}

/// Gives each container the name that its engine allows.
pub(super) fn name_containers(spec: &mut Value, fit: fn(&str) -> Cow<'_, str>) {
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            if let Some(Value::String(name)) = container.get_mut("name") {
                *name = fit(name).into_owned();
            }
        }
    }
}

/// Puts the device's name into a container's environment, unless its author did: by a variable, or by `envFrom` of what
/// belongs to the workload, by the author's names.
pub(super) fn add_device_id_variable(container: &mut Value, device_id: &str, content: &Content) {
    let sources = container["envFrom"].as_array();
    if sources.is_some_and(|all| all.iter().any(|source| provides_device_id(source, content))) {
        return;
    }
    let Some(fields) = container.as_object_mut() else { return };
    let env = fields.entry("env").or_insert(Value::Null);
    if env.is_null() {
        *env = json!([]);
    }
    if let Some(env) = env.as_array_mut()
        && env.iter().all(|variable| variable["name"] != DEVICE_ID_VARIABLE)
    {
        env.push(json!({ "name": DEVICE_ID_VARIABLE, "value": device_id }));
    }
}

/// Whether this part of an `envFrom` has the variable for the device's name.
fn provides_device_id(source: &Value, content: &Content) -> bool {
    let Some(key) = DEVICE_ID_VARIABLE.strip_prefix(source["prefix"].as_str().unwrap_or_default()) else {
        return false;
    };
    let map = content.config_maps.iter().find(|it| it["metadata"]["name"] == source["configMapRef"]["name"]);
    let secret = source["secretRef"]["name"].as_str().and_then(|name| content.secrets.data_of(name));
    map.is_some_and(|it| it["data"].get(key).is_some()) || secret.is_some_and(|it| it.contains_key(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::model::{confidential::Confidential, workload::Engine};

    #[test]
    fn a_container_is_told_its_device_unless_its_author_did() {
        let told = |env: Value| {
            let mut container = json!({ "env": env });
            add_device_id_variable(&mut container, "dev1", &Content::new("w", Engine::Kubernetes, json!({})));
            container["env"].clone()
        };
        let device = json!({ "name": "DEVICE_ID", "value": "dev1" });
        assert_eq!(told(json!(null)), json!([device]));
        let other = json!({ "name": "A", "value": "b" });
        assert_eq!(told(json!([other])), json!([other, device]));
        let mine = json!([{ "name": "DEVICE_ID", "value": "mine" }]);
        assert_eq!(told(mine.clone()), mine);
    }

    #[test]
    fn a_config_map_or_secret_in_a_containers_env_from_names_the_device_before_us() {
        let map = json!({"metadata": {"name": "cm"}, "data": {"DEVICE_ID": "mine", "ID": "mine"}});
        let content = Content {
            config_maps: vec![map],
            secrets: Confidential(json!({"s": {"DEVICE_ID": "bWluZQ=="}})),
            ..Content::new("w", Engine::Kubernetes, json!({}))
        };
        let is_told = |source: Value| {
            let mut container = json!({ "envFrom": [source] });
            add_device_id_variable(&mut container, "dev1", &content);
            container.get("env").is_some()
        };
        assert!(!is_told(json!({"configMapRef": {"name": "cm"}})));
        assert!(!is_told(json!({"secretRef": {"name": "s"}})));
        assert!(!is_told(json!({"configMapRef": {"name": "cm"}, "prefix": "DEVICE_"})));
        for other in [
            json!({"configMapRef": {"name": "cm"}, "prefix": "X_"}),
            json!({"secretRef": {"name": "s"}, "prefix": "DEVICE_"}),
            json!({"configMapRef": {"name": "theirs"}}),
            json!({}),
        ] {
            assert!(is_told(other));
        }
    }

    #[test]
    fn an_owner_is_one_device_with_one_state_directory() {
        let one = owner("dev1", Path::new("/a"));
        assert_eq!((one.len(), one == owner("dev1", Path::new("/a"))), (16, true));
        assert_ne!(one, owner("dev1", Path::new("/b")));
        assert_ne!(owner("dev", Path::new("1/a")), owner("dev1", Path::new("/a")));
    }
}
