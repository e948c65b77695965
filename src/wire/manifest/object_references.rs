//! Which `ConfigMap`s and `Secret`s a pod specification names, and where.

use super::strictness::Strictness;
use crate::wire::{
    field::{FieldPath, Finding, PathSegment},
    podman::libpod::ObjectKind,
    podspec::{PodSpec, container::Container, values::Key, volumes::KeyToPath},
};

/// A `ConfigMap` or `Secret` that the specification names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ObjectReference {
    pub(super) kind: ObjectKind,
    pub(super) name: String,
    /// It may be missing.
    pub(super) optional: bool,
    /// Where it is named.
    pub(super) field: FieldPath,
    /// What must be in it, and where that is said.
    pub(super) keys: Vec<(String, FieldPath)>,
}

/// The `Secret` with credentials for image registries; and what there is too much of.
pub(super) fn pull_secret(
    pod: &PodSpec,
    at: &FieldPath,
    strictness: Strictness,
) -> (Option<ObjectReference>, Option<Finding>) {
    let Some(first) = pod.image_pull_secrets.first() else { return (None, None) };
    let field = at.child("imagePullSecrets");
    let more = pod.image_pull_secrets.len() - 1;
    let surplus = (more > 0).then(|| {
        let message = format!("the first one counts, {more} more have no effect: put all into one Secret");
        Finding { field: field.clone(), message }
    });
    let used = ObjectReference {
        kind: ObjectKind::Secret,
        name: first.name.0.clone(),
        optional: strictness.was_accepted,
        field: field.child(0).child("name"),
        keys: Vec::new(),
    };
    (Some(used), surplus)
}

/// Every use of a `ConfigMap` or `Secret`.
pub(super) fn object_references(pod: &PodSpec, at: &FieldPath) -> Vec<ObjectReference> {
    let mut uses = ReferenceCollector { at, all: Vec::new() };
    for (list, containers) in [("initContainers", &pod.init_containers), ("containers", &pod.containers)] {
        for (index, container) in containers.iter().enumerate() {
            uses.add_container(container, &[list.into(), index.into()]);
        }
    }
    for (index, volume) in pod.volumes.iter().enumerate() {
        let steps = ["volumes".into(), index.into()];
        if let Some(map) = &volume.config_map {
            uses.add(ObjectKind::ConfigMap, &map.name.0, map.optional, &steps, &["configMap", "name"]);
            uses.add_items(&map.items);
        }
        if let Some(secret) = &volume.secret {
            let name = &secret.secret_name.0;
            uses.add(ObjectKind::Secret, name, secret.optional, &steps, &["secret", "secretName"]);
        }
        for (inner, source) in volume.projected.iter().flat_map(|projected| &projected.sources).enumerate() {
            let mut steps = steps.to_vec();
            steps.extend(["projected".into(), "sources".into(), inner.into()]);
            for (kind, key, keys) in [
                (ObjectKind::ConfigMap, "configMap", &source.config_map),
                (ObjectKind::Secret, "secret", &source.secret),
            ] {
                if let Some(keys) = keys {
                    uses.add(kind, &keys.name.0, keys.optional, &steps, &[key, "name"]);
                    uses.add_items(&keys.items);
                }
            }
        }
    }
    uses.all
}

struct ReferenceCollector<'a> {
    at: &'a FieldPath,
    all: Vec<ObjectReference>,
}

impl ReferenceCollector<'_> {
    fn add(&mut self, kind: ObjectKind, name: &str, optional: bool, steps: &[PathSegment], keys: &[&str]) {
        let mut field = self.at.clone();
        field.0.extend(steps.iter().cloned().chain(keys.iter().map(|key| PathSegment::from(*key))));
        self.all.push(ObjectReference { kind, name: name.to_owned(), optional, field, keys: Vec::new() });
    }

    /// Of the last one.
    fn add_key(&mut self, key: &Key, steps: &[PathSegment]) {
        if let Some(last) = self.all.last_mut() {
            let (_, source) = last.field.0.split_last().unwrap_or((&PathSegment::Index(0), &[]));
            let field = source.iter().chain(steps).cloned().collect();
            last.keys.push((key.0.clone(), FieldPath(field)));
        }
    }

    fn add_items(&mut self, items: &[KeyToPath]) {
        for (index, item) in items.iter().enumerate() {
            self.add_key(&item.key, &["items".into(), index.into(), "key".into()]);
        }
    }

    fn add_container(&mut self, container: &Container, steps: &[PathSegment]) {
        for (index, variable) in container.env.iter().enumerate() {
            let Some(from) = &variable.value_from else { continue };
            let mut steps = steps.to_vec();
            steps.extend(["env".into(), index.into(), "valueFrom".into()]);
            for (kind, key, reference) in [
                (ObjectKind::ConfigMap, "configMapKeyRef", &from.config_map_key_ref),
                (ObjectKind::Secret, "secretKeyRef", &from.secret_key_ref),
            ] {
                if let Some(reference) = reference {
                    self.add(kind, &reference.name.0, reference.optional, &steps, &[key, "name"]);
                    self.add_key(&reference.key, &["key".into()]);
                }
            }
        }
        for (index, source) in container.env_from.iter().enumerate() {
            let mut steps = steps.to_vec();
            steps.extend(["envFrom".into(), index.into()]);
            for (kind, key, reference) in [
                (ObjectKind::ConfigMap, "configMapRef", &source.config_map_ref),
                (ObjectKind::Secret, "secretRef", &source.secret_ref),
            ] {
                if let Some(reference) = reference {
                    self.add(kind, &reference.name.0, reference.optional, &steps, &[key, "name"]);
                }
            }
        }
    }
}
