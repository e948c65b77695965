//! What is said of a pod as a whole.

use std::collections::BTreeSet;

use super::containers::{check_security_profiles, resources};
use crate::wire::{
    dns_names::{is_dns_label, is_dns_subdomain},
    podspec::{
        pod::{DnsPolicy, OsName, PodSpec},
        reader::{FindingClass, ReadContext},
        security::Sysctl,
        values::Quantity,
    },
};

pub(super) fn check(spec: &PodSpec, notes: &mut ReadContext) {
    if spec.containers.is_empty() && !notes.has_any_below(&["containers"]) {
        notes.add_at("containers", FindingClass::Shape, "must list at least one container");
    }
    let mut wrong = |key: &'static str, class, message: &str| notes.add_at(key, class, message);
    if spec.host_users == Some(false) {
        wrong(
            "hostUsers",
            FindingClass::Refused,
            "can't be obeyed here: rootless podman maps users (`spec.rootless`)",
        );
    }
    if spec.os.as_ref().is_some_and(|os| os.name == OsName::Windows) {
        wrong("os", FindingClass::Refused, "this device runs Linux");
    }
    if spec.host_pid && spec.share_process_namespace {
        wrong("shareProcessNamespace", FindingClass::Value, "can't stand beside `hostPID`");
    }
    check_host_names(spec, notes);
    notes.at_child("resources", |notes| {
        resources(&spec.resources, notes);
        check_pod_resources(spec, notes);
    });
    let context = &spec.security_context;
    notes.at_child("securityContext", |notes| {
        check_security_profiles(&context.seccomp_profile, &context.app_armor_profile, notes);
        sysctls(spec, notes);
    });
}

/// What it may take as a whole is no less than what its parts may, or want together.
fn check_pod_resources(spec: &PodSpec, notes: &mut ReadContext) {
    for (name, whole) in &spec.resources.limits.0 {
        let parts = |it: &Quantity| it.thousandths();
        let Some(most) = parts(whole) else { continue };
        let limits = spec.containers.iter().filter_map(|it| it.resources.limits.get(name));
        let requests =
            spec.containers.iter().filter_map(|it| it.resources.requests.get(name).and_then(parts));
        let message = match limits.filter_map(|it| Some((parts(it)?, it))).find(|(limit, _)| *limit > most) {
            Some((_, limit)) => {
                format!("`{}` is less than the limit of a container, `{}`", whole.0, limit.0)
            }
            None if requests.fold(0, u64::saturating_add) > most => {
                format!("`{}` is less than what the containers request together", whole.0)
            }
            None => continue,
        };
        notes.at_path(["limits".into(), (&**name).into()], |notes| notes.add(FindingClass::Value, message));
    }
}

/// What it is called, and where it looks up others.
fn check_host_names(spec: &PodSpec, notes: &mut ReadContext) {
    let mut wrong = |key: &'static str, class, message: &str| notes.add_at(key, class, message);
    for (key, name) in [("hostname", &spec.hostname), ("hostnameOverride", &spec.hostname_override)] {
        let is_name = if key == "hostname" { is_dns_label(name) } else { is_dns_subdomain(name) };
        if !name.is_empty() && !is_name {
            wrong(key, FindingClass::Value, &format!("`{name}` can't name a host"));
        }
    }
    let dns = &spec.dns_config;
    if spec.dns_policy == Some(DnsPolicy::None) && dns.nameservers.is_empty() {
        wrong("dnsConfig", FindingClass::Value, "must have `nameservers` with `dnsPolicy: None`");
    }
    let most =
        |list: usize, most: usize| (list > most).then(|| format!("at most {most} are taken, not {list}"));
    for (key, message) in
        [("nameservers", most(dns.nameservers.len(), 3)), ("searches", most(dns.searches.len(), 32))]
    {
        if let Some(message) = message {
            notes.at_path(["dnsConfig".into(), key.into()], |notes| notes.add(FindingClass::Value, message));
        }
    }
    for (index, alias) in spec.host_aliases.iter().enumerate() {
        for (inner, name) in alias.hostnames.iter().enumerate().filter(|(_, name)| !is_dns_subdomain(name)) {
            let steps = ["hostAliases".into(), index.into(), "hostnames".into(), inner.into()];
            notes.at_path(steps, |notes| {
                notes.add(FindingClass::Value, format!("`{name}` can't name a host"))
            });
        }
    }
}

/// Settings of the kernel that are a pod's own.
fn sysctls(spec: &PodSpec, notes: &mut ReadContext) {
    let mut names = BTreeSet::new();
    for (index, sysctl) in spec.security_context.sysctls.iter().enumerate() {
        notes.at_path(["sysctls".into(), index.into(), "name".into()], |notes| {
            if let Some(why) = self::sysctl_problem(sysctl, spec) {
                notes.add(FindingClass::Value, format!("`{}` {why}", sysctl.name));
            }
            if !names.insert(sysctl.name.as_str()) {
                notes.add(FindingClass::Value, format!("`{}` stands twice", sysctl.name));
            }
        });
    }
}

fn sysctl_problem(sysctl: &Sysctl, spec: &PodSpec) -> Option<&'static str> {
    const IPC_SYSCTLS: [&str; 4] = ["kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue."];
    let name = sysctl.name.replace('/', ".");
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let is_of_network = name.starts_with("net.");
    let is_of_ipc = IPC_SYSCTLS.iter().any(|start| name.starts_with(start));
    match () {
        () if name.is_empty() => None,
        () if name.len() > 253 || !name.bytes().all(is_fine) => Some("is no name of a setting"),
        () if is_of_network && spec.host_network => Some("is the device's own with `hostNetwork`"),
        () if is_of_ipc && spec.host_ipc => Some("is the device's own with `hostIPC`"),
        () if is_of_network || is_of_ipc => None,
        () => Some("is the whole device's, not a pod's: set it in /etc/sysctl.d"),
    }
}
