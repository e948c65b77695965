//! A container.

use std::collections::BTreeSet;

use super::{
    handlers, image,
    references::{VARIABLES, field, resource},
    seen::SeenNames,
    volumes,
};
use crate::wire::podspec::{
    container::{Container, Protocol, ResourceRequirements, RestartPolicy},
    env::EnvVar,
    pod::PodSpec,
    reader::{Class, Notes},
    security,
};

pub(super) fn check(
    container: &Container,
    spec: &PodSpec,
    is_init: bool,
    seen: &mut SeenNames<'_>,
    notes: &mut Notes,
) {
    image::check("image", &container.image.0, notes);
    for (index, variable) in container.env.iter().enumerate() {
        notes.at(["env".into(), index.into()], |notes| env(variable, notes));
    }
    for (index, source) in container.env_from.iter().enumerate() {
        let given = [source.config_map_ref.is_some(), source.secret_ref.is_some()];
        notes.at(["envFrom".into(), index.into()], |notes| {
            notes.exactly_one(&given, &["configMapRef", "secretRef"]);
        });
    }
    ports(container, spec, seen, notes);
    notes.below("resources", |notes| resources(&container.resources, notes));
    volumes::check_mounts(container, &seen.volumes, notes);
    handlers::check(container, spec, is_init, notes);
    let is_sidecar = container.restart_policy == Some(RestartPolicy::Always);
    if is_init && container.restart_policy.is_some() && !is_sidecar {
        let message = "must be `Always` for an init container, which then runs beside the others";
        notes.add_at("restartPolicy", Class::Value, message);
    }
    notes.below("securityContext", |notes| rights(container, spec, notes));
}

fn env(variable: &EnvVar, notes: &mut Notes) {
    if variable.name.0.contains(['=', '\0']) {
        notes.add_at("name", Class::Value, "must not hold a `=`");
    }
    if variable.value.as_ref().is_some_and(|value| value.contains('\0')) {
        notes.add_at("value", Class::Value, "holds a character that no variable can hold");
    }
    let Some(from) = &variable.value_from else { return };
    notes.below("valueFrom", |notes| {
        if variable.value.as_ref().is_some_and(|value| !value.is_empty()) {
            notes.add(Class::Value, "can't stand beside `value`");
        }
        let given = [
            from.config_map_key_ref.is_some(),
            from.secret_key_ref.is_some(),
            from.field_ref.is_some(),
            from.resource_field_ref.is_some(),
        ];
        notes.exactly_one(&given, &["configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"]);
        if let Some(reference) = &from.field_ref {
            notes.below("fieldRef", |notes| field(reference, &VARIABLES, notes));
        }
        if let Some(reference) = &from.resource_field_ref {
            notes.below("resourceFieldRef", |notes| resource(reference, notes));
        }
    });
}

fn ports(container: &Container, spec: &PodSpec, seen: &mut SeenNames<'_>, notes: &mut Notes) {
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().enumerate() {
        notes.at(["ports".into(), index.into()], |notes| {
            let name = &port.name.0;
            if !name.is_empty() && !names.insert(name.as_str()) {
                notes.add_at("name", Class::Value, format!("`{name}` names two ports"));
            }
            let number = port.host_port.0;
            if number == 0 {
                return;
            }
            if spec.host_network && port.container_port.0 != 0 && number != port.container_port.0 {
                let message = "must be the same as `containerPort` with `hostNetwork`";
                notes.add_at("hostPort", Class::Value, message);
            }
            if !seen.host_port(port) {
                let kind = match port.protocol {
                    Protocol::Tcp => "TCP",
                    Protocol::Udp => "UDP",
                    Protocol::Sctp => "SCTP",
                };
                let message = format!("another port of this pod has {number} ({kind}) of the device already");
                notes.add_at("hostPort", Class::Value, message);
            }
        });
    }
}

/// Bytes; below it is no amount but a mistake: nothing starts in a page.
const LEAST_MEMORY: u64 = 4096;

/// Of a container or a pod.
pub(super) fn resources(resources: &ResourceRequirements, notes: &mut Notes) {
    const KNOWN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
    for (list, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, amount) in &amounts.0 {
            let (class, message) = match &**name {
                "cpu" => continue,
                "memory" if amount.0.ends_with('m') => {
                    let number = amount.0.trim_end_matches('m');
                    let message =
                        format!("`{}` is a thousandth of that in bytes: write `{number}Mi`", amount.0);
                    (Class::Value, message)
                }
                "memory" => match amount.bytes() {
                    Some(bytes @ 1..LEAST_MEMORY) => {
                        (Class::Value, format!("`{bytes}` are bytes, in which nothing starts"))
                    }
                    _ => continue,
                },
                "ephemeral-storage" => {
                    let why = "means nothing on one device: DISK_RESERVE keeps space free, for all workloads";
                    (Class::Meaningless, why.to_owned())
                }
                name if name.starts_with("hugepages-") => {
                    (Class::Refused, "can't be obeyed here: remove it".to_owned())
                }
                name if name.contains('/') => {
                    let what = "can't be obeyed here: mount the device's node as a `hostPath`";
                    (Class::Refused, what.to_owned())
                }
                name => {
                    let hint = notes.hint(name, KNOWN.into_iter());
                    (Class::Unknown, format!("unknown resource{hint}"))
                }
            };
            notes.at([list.into(), (&**name).into()], |notes| notes.add(class, message));
        }
    }
    for (name, request) in &resources.requests.0 {
        let limit = resources.limits.get(name);
        let parts = |it: &crate::wire::podspec::values::Quantity| it.thousandths();
        if let (Some(limit), Some(wanted)) = (limit, parts(request))
            && parts(limit).is_some_and(|limit| limit < wanted)
        {
            let message = format!("`{}` is more than the limit of `{}`", request.0, limit.0);
            notes.at(["requests".into(), (&**name).into()], |notes| notes.add(Class::Value, message));
        }
    }
}

fn rights(container: &Container, spec: &PodSpec, notes: &mut Notes) {
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
            notes.add_at("allowPrivilegeEscalation", Class::Value, message);
        }
    }
    let pod = &spec.security_context;
    let is_non_root = context.run_as_non_root.or(pod.run_as_non_root) == Some(true);
    let user = context.run_as_user.or(pod.run_as_user);
    if is_non_root && user.is_some_and(|user| user.0 == 0) {
        let key = if context.run_as_user.is_some() { "runAsUser" } else { "runAsNonRoot" };
        notes.add_at(key, Class::Value, "user 0 is root, which `runAsNonRoot` excludes");
    }
    profiles(&context.seccomp_profile, &context.app_armor_profile, notes);
}

/// Of a container or a pod.
pub(super) fn profiles(
    seccomp: &Option<security::Profile>,
    app_armor: &Option<security::Profile>,
    notes: &mut Notes,
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
            notes.at([key.into(), "localhostProfile".into()], |notes| notes.add(Class::Value, message));
        }
        let name = profile.localhost_profile.as_deref().unwrap_or_default();
        if key == "seccompProfile" && (name.starts_with('/') || name.split('/').any(|part| part == "..")) {
            let message = "must be a relative path without `..`";
            notes.at([key.into(), "localhostProfile".into()], |notes| notes.add(Class::Value, message));
        }
    }
}
