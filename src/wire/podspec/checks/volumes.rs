//! Volumes, and where containers see them.

use std::collections::BTreeSet;

use super::{
    image,
    references::{VOLUME_FIELD_PATHS, check_field_ref, check_resource_field_ref},
};
use crate::wire::podspec::{
    container::{Container, Propagation, RecursiveReadOnly},
    pod::PodSpec,
    reader::{FindingClass, ReadContext},
    volumes::{DownwardFile, Volume},
};

pub(super) fn check(spec: &PodSpec, notes: &mut ReadContext) {
    let mut names = BTreeSet::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        notes.at_path(["volumes".into(), index.into()], |notes| {
            let name = &volume.name.0;
            if !name.is_empty() && !names.insert(name.as_str()) {
                notes.add_at("name", FindingClass::Value, format!("`{name}` names two volumes"));
            }
            check_source(volume, notes);
        });
    }
}

fn check_source(volume: &Volume, notes: &mut ReadContext) {
    let given = [
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.empty_dir.is_some(),
        volume.host_path.is_some(),
        volume.persistent_volume_claim.is_some(),
        volume.projected.is_some(),
        volume.downward_api.is_some(),
        volume.image.is_some(),
    ];
    const SUGGESTED_SOURCES: [&str; 6] =
        ["configMap", "emptyDir", "hostPath", "persistentVolumeClaim", "projected", "secret"];
    notes.check_exactly_one(&given, &SUGGESTED_SOURCES);
    if let Some(volume) = &volume.image {
        notes.at_child("image", |notes| image::check("reference", &volume.reference.0, notes));
    }
    if let Some(host) = &volume.host_path
        && host.path.0.split('/').any(|part| part == "..")
    {
        notes.at_path(["hostPath".into(), "path".into()], |notes| {
            notes.add(FindingClass::Value, "must not hold `..`")
        });
    }
    if let Some(size) = volume.empty_dir.as_ref().and_then(|dir| dir.size_limit.as_ref())
        && size.0.ends_with('m')
    {
        let message = format!("`{}` is a thousandth of that in bytes", size.0);
        notes.at_path(["emptyDir".into(), "sizeLimit".into()], |notes| {
            notes.add(FindingClass::Value, message)
        });
    }
    if let Some(downward) = &volume.downward_api {
        notes.at_child("downwardAPI", |notes| check_downward_files(&downward.items, notes));
    }
    for (index, source) in volume.projected.iter().flat_map(|projected| &projected.sources).enumerate() {
        notes.at_path(["projected".into(), "sources".into(), index.into()], |notes| {
            let given = [source.config_map.is_some(), source.secret.is_some(), source.downward_api.is_some()];
            notes.check_exactly_one(&given, &["configMap", "downwardAPI", "secret"]);
            if let Some(downward) = &source.downward_api {
                notes.at_child("downwardAPI", |notes| check_downward_files(&downward.items, notes));
            }
        });
    }
}

fn check_downward_files(items: &[DownwardFile], notes: &mut ReadContext) {
    for (index, item) in items.iter().enumerate() {
        notes.at_path(["items".into(), index.into()], |notes| {
            let given = [item.field_ref.is_some(), item.resource_field_ref.is_some()];
            notes.check_exactly_one(&given, &["fieldRef", "resourceFieldRef"]);
            if let Some(reference) = &item.field_ref {
                notes.at_child("fieldRef", |notes| check_field_ref(reference, &VOLUME_FIELD_PATHS, notes));
            }
            if let Some(reference) = &item.resource_field_ref {
                notes.at_child("resourceFieldRef", |notes| {
                    check_resource_field_ref(reference, notes);
                    if reference.container_name.is_empty() {
                        let message = "is missing: it names the container";
                        notes.add_at("containerName", FindingClass::Value, message);
                    }
                });
            }
        });
    }
}

/// Those of a container.
pub(super) fn check_mounts(container: &Container, volumes: &BTreeSet<&str>, notes: &mut ReadContext) {
    let mut paths = BTreeSet::new();
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        notes.at_path(["volumeMounts".into(), index.into()], |notes| {
            let name = &*mount.name.0;
            if !name.is_empty() && !volumes.contains(name) {
                let hint = notes.spelling_hint(name, volumes.iter().copied());
                let message = format!("there is no volume `{name}`{hint}");
                notes.add_at("name", FindingClass::Value, message);
            }
            let mut wrong =
                |key: &'static str, message: &str| notes.add_at(key, FindingClass::Value, message);
            let path = &*mount.mount_path.0;
            if path.contains(':') {
                wrong("mountPath", "must not hold a `:`");
            }
            if !path.is_empty() && !paths.insert(path.trim_end_matches('/')) {
                wrong("mountPath", &format!("`{path}` is mounted twice"));
            }
            for (key, part) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
                if part.starts_with('/') || part.split('/').any(|step| step == "..") {
                    wrong(key, "must be a relative path without `..`");
                }
            }
            if !mount.sub_path.is_empty() && !mount.sub_path_expr.is_empty() {
                wrong("subPathExpr", "can't stand beside `subPath`");
            }
            let is_privileged = container.security_context.privileged;
            if mount.mount_propagation == Propagation::Bidirectional && !is_privileged {
                wrong("mountPropagation", "`Bidirectional` is for privileged containers only");
            }
            let is_recursive = matches!(
                mount.recursive_read_only,
                Some(RecursiveReadOnly::IfPossible | RecursiveReadOnly::Enabled)
            );
            if is_recursive && (!mount.read_only || mount.mount_propagation != Propagation::None) {
                wrong("recursiveReadOnly", "needs `readOnly: true` and no `mountPropagation`");
            }
        });
    }
}
