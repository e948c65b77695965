//! A container.

use std::collections::BTreeSet;

use super::{
    handlers, image,
    references::{ENV_FIELD_PATHS, check_field_ref, check_resource_field_ref},
    seen::SeenNames,
    volumes,
};
use crate::wire::podspec::{
    container::{Container, Protocol, ResourceRequirements, RestartPolicy},
    env::EnvVar,
    pod::PodSpec,
    reader::{FindingClass, ReadContext},
    security,
};

pub(super) fn check(
    container: &Container,
    spec: &PodSpec,
    is_init: bool,
    seen: &mut SeenNames<'_>,
    notes: &mut ReadContext,
) {
    image::check("image", &container.image.0, notes);
    for (index, variable) in container.env.iter().enumerate() {
        notes.at_path(["env".into(), index.into()], |notes| env(variable, notes));
    }
    for (index, source) in container.env_from.iter().enumerate() {
        let given = [source.config_map_ref.is_some(), source.secret_ref.is_some()];
        notes.at_path(["envFrom".into(), index.into()], |notes| {
            notes.check_exactly_one(&given, &["configMapRef", "secretRef"]);
        });
    }
    ports(container, spec, seen, notes);
    notes.at_child("resources", |notes| resources(&container.resources, notes));
    volumes::check_mounts(container, &seen.volumes, notes);
    handlers::check(container, spec, is_init, notes);
    let is_sidecar = container.restart_policy == Some(RestartPolicy::Always);
    if is_init && container.restart_policy.is_some() && !is_sidecar {
        let message = "must be `Always` for an init container, which then runs beside the others";
        notes.add_at("restartPolicy", FindingClass::Value, message);
    }
    notes.at_child("securityContext", |notes| check_security_context(container, spec, notes));
}

fn env(variable: &EnvVar, notes: &mut ReadContext) {
    if variable.name.0.contains(['=', '\0']) {
        notes.add_at("name", FindingClass::Value, "must not hold a `=`");
    }
    if variable.value.as_ref().is_some_and(|value| value.contains('\0')) {
        notes.add_at("value", FindingClass::Value, "holds a character that no variable can hold");
    }
    let Some(from) = &variable.value_from else { return };
    notes.at_child("valueFrom", |notes| {
        if variable.value.as_ref().is_some_and(|value| !value.is_empty()) {
            notes.add(FindingClass::Value, "can't stand beside `value`");
        }
        let given = [
            from.config_map_key_ref.is_some(),
            from.secret_key_ref.is_some(),
            from.field_ref.is_some(),
            from.resource_field_ref.is_some(),
        ];
        notes.check_exactly_one(&given, &["configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"]);
        if let Some(reference) = &from.field_ref {
            notes.at_child("fieldRef", |notes| check_field_ref(reference, &ENV_FIELD_PATHS, notes));
        }
        if let Some(reference) = &from.resource_field_ref {
            notes.at_child("resourceFieldRef", |notes| check_resource_field_ref(reference, notes));
        }
    });
}

fn ports(container: &Container, spec: &PodSpec, seen: &mut SeenNames<'_>, notes: &mut ReadContext) {
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().enumerate() {
        notes.at_path(["ports".into(), index.into()], |notes| {
            let name = &port.name.0;
            if !name.is_empty() && !names.insert(name.as_str()) {
                notes.add_at("name", FindingClass::Value, format!("`{name}` names two ports"));
            }
            let number = port.host_port.0;
            if number == 0 {
                return;
            }
            if spec.host_network && port.container_port.0 != 0 && number != port.container_port.0 {
                let message = "must be the same as `containerPort` with `hostNetwork`";
                notes.add_at("hostPort", FindingClass::Value, message);
            }
            if !seen.insert_host_port(port) {
                let kind = match port.protocol {
                    Protocol::Tcp => "TCP",
                    Protocol::Udp => "UDP",
                    Protocol::Sctp => "SCTP",
                };
                let message = format!("another port of this pod has {number} ({kind}) of the device already");
                notes.add_at("hostPort", FindingClass::Value, message);
            }
        });
    }
}

/// Bytes; below it is no amount but a mistake: nothing starts in a page.
const MIN_MEMORY: u64 = 4096;

/// Of a container or a pod.
pub(super) fn resources(resources: &ResourceRequirements, notes: &mut ReadContext) {
    const KNOWN_RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    for (list, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, amount) in &amounts.0 {
            let (class, message) = match &**name {
                "cpu" => continue,
                "memory" if amount.0.ends_with('m') => {
                    let number = amount.0.trim_end_matches('m');
                    let message =
                        format!("`{}` is a thousandth of that in bytes: write `{number}Mi`", amount.0);
                    (FindingClass::Value, message)
                }
                "memory" => match amount.bytes() {
                    Some(bytes @ 1..MIN_MEMORY) => {
                        (FindingClass::Value, format!("`{bytes}` are bytes, in which nothing starts"))
                    }
                    _ => continue,
                },
                "ephemeral-storage" => {
                    let why = "means nothing on one device: DISK_RESERVE keeps space free, for all workloads";
                    (FindingClass::Meaningless, why.to_owned())
                }
                name if name.starts_with("hugepages-") => {
                    (FindingClass::Refused, "can't be obeyed here: remove it".to_owned())
                }
                name if name.contains('/') => {
                    let what = "can't be obeyed here: mount the device's node as a `hostPath`";
                    (FindingClass::Refused, what.to_owned())
                }
                name => {
                    let hint = notes.spelling_hint(name, KNOWN_RESOURCES.into_iter());
                    (FindingClass::Unknown, format!("unknown resource{hint}"))
                }
            };
            notes.at_path([list.into(), (&**name).into()], |notes| notes.add(class, message));
        }
    }
    for (name, request) in &resources.requests.0 {
        let limit = resources.limits.get(name);
        let parts = |it: &crate::wire::podspec::values::Quantity| it.thousandths();
        if let (Some(limit), Some(wanted)) = (limit, parts(request))
            && parts(limit).is_some_and(|limit| limit < wanted)
        {
            let message = format!("`{}` is more than the limit of `{}`", request.0, limit.0);
            notes.at_path(["requests".into(), (&**name).into()], |notes| {
                notes.add(FindingClass::Value, message)
            });
        }
    }
}

fn check_security_context(container: &Container, spec: &PodSpec, notes: &mut ReadContext) {
    let context = &container.security_context;
    if context.allow_privilege_escalation == Some(false) {
        let is_admin = context.capabilities.add.iter().any(|it| it.0 == "SYS_ADMIN");
        let why = match (context.privileged, is_admin) {
            (true, _) => Some("`privileged`"),
            (false, true) => Some("the capability `SYS_ADMIN`"),
            (false, false) => None,
        };
        if let Some(why) = why {
            let message = format!("can't be false beside {why}");
            notes.add_at("allowPrivilegeEscalation", FindingClass::Value, message);
        }
    }
    let pod = &spec.security_context;
    let is_non_root = context.run_as_non_root.or(pod.run_as_non_root) == Some(true);
    let user = context.run_as_user.or(pod.run_as_user);
    if is_non_root && user.is_some_and(|user| user.0 == 0) {
        let key = if context.run_as_user.is_some() { "runAsUser" } else { "runAsNonRoot" };
        notes.add_at(key, FindingClass::Value, "user 0 is root, which `runAsNonRoot` excludes");
    }
    check_security_profiles(&context.seccomp_profile, &context.app_armor_profile, notes);
}

/// Of a container or a pod.
pub(super) fn check_security_profiles(
    seccomp: &Option<security::Profile>,
    app_armor: &Option<security::Profile>,
    notes: &mut ReadContext,
) {
    for (key, profile) in [("seccompProfile", seccomp), ("appArmorProfile", app_armor)] {
        let Some(profile) = profile else { continue };
        let is_local = profile.kind == security::ProfileKind::Localhost;
        let has_name = profile.localhost_profile.as_ref().is_some_and(|name| !name.is_empty());
        if is_local != has_name {
            let message = if is_local {
                "must name a file with `type: Localhost`"
            } else {
                "is for `type: Localhost` only"
            };
            notes.at_path([key.into(), "localhostProfile".into()], |notes| {
                notes.add(FindingClass::Value, message)
            });
        }
        let name = profile.localhost_profile.as_deref().unwrap_or_default();
        if key == "seccompProfile" && (name.starts_with('/') || name.split('/').any(|part| part == "..")) {
            let message = "must be a relative path without `..`";
            notes.at_path([key.into(), "localhostProfile".into()], |notes| {
                notes.add(FindingClass::Value, message)
            });
        }
    }
}
