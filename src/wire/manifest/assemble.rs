//! From valid documents to what is to run on this device.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Map;

use super::{
    contents::BrokenDocument,
    document::Document,
    object_references::ObjectReference,
    problem::{MAX_WARNINGS, Problem, Severity},
    resource::{ConfigMap, Device, Resource, WorkloadManifest},
    secret::Secret,
    services::ServiceMatcher,
};
use crate::{
    agent::model::{
        confidential::Confidential,
        gather::gather,
        workload::{Content, DesiredState, Engine, Workload},
    },
    wire::{
        field::{FieldPath, Finding},
        podman::{
            libpod::{self, ObjectKind},
            registry::{self, DOCKER_CONFIG_KEY},
        },
    },
};

/// Chooses what is meant for this device, and puts workloads and their `ConfigMap`s and `Secret`s together.
///
/// The documents come in the order in which they count: the first of two with the same name is taken. `broken`
/// are the documents that could not be read, whose workloads stay as they are.
pub fn assemble(
    documents: &[&Document],
    broken: &[BrokenDocument],
    device_id: &str,
) -> (DesiredState, Vec<Problem>) {
    let mut problems = Vec::new();
    let unique = without_duplicates(documents, &mut problems);
    let mut devices = Vec::new();
    let (mut maps, mut secrets, mut services) = (BTreeMap::new(), Vec::new(), Vec::new());
    for document in &unique {
        match &document.resource {
            Resource::Device(device) => devices.push((*document, device)),
            Resource::ConfigMap(map) => {
                maps.insert((map.namespace.as_str(), map.name.as_str()), map);
            }
            Resource::Secret(secret) => {
                secrets.push(secret);
            }
            Resource::Service(service) => services.push((*document, service)),
            Resource::Workload(_) | Resource::Claim { .. } | Resource::Meaningless { .. } => {}
        }
    }
    let device = find_device_document(&devices, device_id, &mut problems).map(|(_, device)| device);
    let mut desired = DesiredState {
        profiles: device.map(|device| device.profiles.clone()).unwrap_or_default(),
        update: device.and_then(|device| device.update.clone()),
        ..DesiredState::default()
    };
    let none = BTreeMap::new();
    let mut serving = ServiceMatcher::new(&services);
    for document in unique {
        let Resource::Workload(manifest) = &document.resource else { continue };
        if !is_for(manifest, device, device_id) {
            desired.elsewhere.push(manifest.workload.name().to_owned());
            continue;
        }
        if manifest.is_off {
            continue;
        }
        let served = serving.apply_services(manifest, &mut problems);
        let labels = device.map_or(&none, |device| &device.labels);
        let node = (device_id, Some(labels));
        match assemble_workload(manifest, served, &maps, &secrets, node) {
            Ok(workload) => desired.workloads.push(workload),
            Err(finding) => {
                desired.unreadable.push(manifest.workload.name().to_owned());
                problems.push(document.problem(Severity::Error, finding));
            }
        }
    }
    report_dependency_cycles(&mut desired, documents, &mut problems);
    serving.warn_of_unused_services(&desired.workloads, &mut problems);
    let known: BTreeSet<&str> = gather(desired.workloads.iter().map(|workload| workload.name()));
    let broken_names = broken.iter().filter_map(|broken| match broken {
        BrokenDocument::Workload(name) if !known.contains(name.as_str()) => Some(name.clone()),
        _ => None,
    });
    desired.unreadable.extend(broken_names);
    desired.unreadable.sort_unstable();
    desired.unreadable.dedup();
    (desired, problems)
}

/// What would wait for itself stays as it was.
fn report_dependency_cycles(
    desired: &mut DesiredState,
    documents: &[&Document],
    problems: &mut Vec<Problem>,
) {
    for (name, why) in desired.set_aside_dependency_cycles() {
        let is_it = |document: &&&Document| match &document.resource {
            Resource::Workload(manifest) => manifest.workload.name() == name,
            _ => false,
        };
        let Some(document) = documents.iter().find(is_it) else { continue };
        let by_condition = why.split(" -> ").nth(1).is_some_and(|next| next.starts_with("workload."));
        let field = match (document.kind(), by_condition) {
            ("EdgeWorkload", false) => FieldPath::from(["spec", "dependsOn"]),
            ("EdgeWorkload", true) => FieldPath::from(["spec", "profiles"]),
            (_, false) => FieldPath::from(["metadata", "annotations", "flotta/depends-on"]),
            (_, true) => FieldPath::from(["metadata", "annotations", "flotta/profiles"]),
        };
        problems.push(document.problem(Severity::Error, Finding { field, message: why }));
    }
}

/// What is wrong with the expressions of this device's conditions. Such a condition never holds; the rest of its
/// document counts.
pub fn expression_problems(documents: &[&Document], device_id: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let unique = without_duplicates(documents, &mut Vec::new());
    let devices: Vec<_> = unique
        .into_iter()
        .filter_map(|document| match &document.resource {
            Resource::Device(device) => Some((document, device)),
            _ => None,
        })
        .collect();
    let Some((document, device)) = find_device_document(&devices, device_id, &mut Vec::new()) else {
        return problems;
    };
    for finding in device.expressions.iter().take(MAX_WARNINGS) {
        problems.push(document.problem(Severity::Error, finding.clone()));
    }
    if let Some(more) = device.expressions.len().checked_sub(MAX_WARNINGS).filter(|more| *more > 0) {
        let finding = Finding::new(["spec"], format!("{more} more expressions can't be read"));
        problems.push(document.problem(Severity::Error, finding));
    }
    problems
}

/// The first document of every resource.
fn without_duplicates<'a>(documents: &[&'a Document], problems: &mut Vec<Problem>) -> Vec<&'a Document> {
    let mut first: BTreeMap<_, &Document> = BTreeMap::new();
    let mut unique = Vec::new();
    for document in documents {
        let key @ (_, _, name) = document.key();
        if let Some(first) = first.get(&key) {
            let (own, other) = (document.kind(), first.kind());
            let message = match own == other {
                true => format!("{own} `{name}` has no effect: {} defines it first", first.place()),
                false => format!(
                    "{own} `{name}` has no effect: {} has the {other} `{name}`, and a device runs one workload of a name",
                    first.place()
                ),
            };
            let finding = Finding { field: FieldPath::from(["metadata", "name"]), message };
            problems.push(document.problem(Severity::Error, finding));
        } else {
            first.insert(key, document);
            unique.push(*document);
        }
    }
    unique
}

/// The `EdgeDevice` that is this one: by name, or because there is no other.
fn find_device_document<'a>(
    devices: &[(&'a Document, &'a Device)],
    device_id: &str,
    problems: &mut Vec<Problem>,
) -> Option<(&'a Document, &'a Device)> {
    match devices {
        [] => None,
        [only] => Some(*only),
        [(first, _), ..] => {
            let named = devices.iter().find(|(_, device)| device.name == device_id);
            if named.is_none() {
                let message = format!(
                    "none of the {} EdgeDevices is named `{device_id}` as this device is: it has no profiles",
                    devices.len()
                );
                let finding = Finding { field: FieldPath::from(["metadata", "name"]), message };
                problems.push(first.problem(Severity::Error, finding));
            }
            named.copied()
        }
    }
}

/// As the server chooses: a named device before a selector. Here, where every manifest was put onto this very
/// device, a workload that names neither is for it.
fn is_for(manifest: &WorkloadManifest, device: Option<&Device>, device_id: &str) -> bool {
    let none = BTreeMap::new();
    match (&manifest.device, &manifest.selector) {
        (Some(name), _) => name == device_id || device.is_some_and(|device| device.name == *name),
        (None, Some(selector)) => selector.matches(device.map_or(&none, |device| &device.labels)),
        (None, None) => true,
    }
}

/// The workload with the `ConfigMap`s and `Secret`s that it names, on the device of this id and with these labels.
/// `changed`: its content with what others than its author add.
pub(in crate::wire) fn assemble_workload(
    manifest: &WorkloadManifest,
    changed: Option<Content>,
    maps: &BTreeMap<(&str, &str), &ConfigMap>,
    secrets: &[&Secret],
    (device_id, labels): (&str, Option<&BTreeMap<String, String>>),
) -> Result<Arc<Workload>, Finding> {
    let written = &manifest.workload;
    let at = || FieldPath::from(manifest.at);
    if let Some(node) = manifest.node.as_ref().filter(|_| written.content.engine != Engine::Kubernetes) {
        node.check_device(device_id, labels, &at())?;
    }
    let workload = match content(manifest, changed, maps, secrets)? {
        Some(content) => Arc::new(written.with_content(content)),
        None => Arc::clone(written),
    };
    match libpod::first_problem(&workload) {
        None => Ok(workload),
        Some((field, message)) => Err(Finding { field, message }.with_path_prefix(&at())),
    }
}

/// What shapes it, with all that it names; none, if that is what its author wrote.
fn content(
    manifest: &WorkloadManifest,
    changed: Option<Content>,
    maps: &BTreeMap<(&str, &str), &ConfigMap>,
    secrets: &[&Secret],
) -> Result<Option<Content>, Finding> {
    if manifest.uses.is_empty() && manifest.registries.is_none() {
        return Ok(changed);
    }
    let written = &manifest.workload.content;
    let namespace = written.namespace.as_str();
    let is_seen = |secret: &Secret| secret.namespace.is_empty() || secret.namespace == namespace;
    let secret_of = |name: &str| secrets.iter().find(|secret| secret.name == name && is_seen(secret));
    let missing = |field: &FieldPath, what: &str, name: &str| {
        let message = format!("there is no {what} `{name}` in namespace `{namespace}`");
        Finding { field: field.clone(), message }
    };
    let (mut used_maps, mut used_secrets) = (BTreeMap::new(), Map::new());
    for ObjectReference { kind, name, optional, field, keys } in &manifest.uses {
        let key = (namespace, name.as_str());
        match (kind, maps.get(&key), secret_of(name)) {
            (ObjectKind::ConfigMap, Some(map), _) => {
                let has =
                    |key: &str| ["data", "binaryData"].iter().any(|it| map.whole[*it].get(key).is_some());
                if let Some((key, field)) = keys.iter().find(|(key, _)| !*optional && !has(key)) {
                    let message = format!("the ConfigMap `{name}` has no key `{key}`");
                    return Err(Finding { field: field.clone(), message });
                }
                used_maps.insert(name.as_str(), map);
            }
            (ObjectKind::Secret, _, Some(secret)) => {
                drop(used_secrets.insert(name.clone(), secret.data.0.clone()))
            }
            _ if *optional => {}
            _ => return Err(missing(field, kind.kind_name(), name)),
        }
    }
    let mut content = changed.unwrap_or_else(|| written.clone());
    content.config_maps = used_maps.into_values().map(|map| map.whole.clone()).collect();
    if !used_secrets.is_empty() {
        content.secrets = Confidential(used_secrets.into());
    }
    if let Some(ObjectReference { name, optional, field, .. }) = &manifest.registries {
        content.auth = match secret_of(name) {
            None if *optional => Confidential::default(),
            None => return Err(missing(field, "Secret", name)),
            Some(secret) => registry_auth(secret).map_err(|why| {
                let message = format!("the Secret `{name}` {why}");
                Finding { field: field.clone(), message }
            })?,
        };
    }
    Ok(Some(content))
}

/// The credentials for image registries in a `Secret`.
fn registry_auth(secret: &Secret) -> Result<Confidential, String> {
    let Some(config) = secret.text(DOCKER_CONFIG_KEY) else {
        return Err(format!("has no text in the key `{DOCKER_CONFIG_KEY}`"));
    };
    registry::check_docker_config(&config)
        .map_err(|why| format!("can't be used: `{DOCKER_CONFIG_KEY}` {why}"))?;
    Ok(Confidential(config.into()))
}
