//! Who a container is, and what it may do.

use super::{
    file_volumes::normalize_path, host_info::ImageUser, problem::SpecProblem, request::ContainerRequest,
};
use crate::wire::{
    field::FieldPath,
    podspec::{
        PodSpec,
        container::Container,
        security::{Capability, PodSecurityContext, ProcMount, ProfileKind, SecurityContext},
        values::{BoundedInt, UnixId},
    },
};

/// What Kubernetes' runtimes give, and podman 5 doesn't any more.
const EXTRA_CAPABILITIES: [&str; 3] = ["CAP_NET_RAW", "CAP_AUDIT_WRITE", "CAP_MKNOD"];

/// Where profiles of seccomp are, as on a node of Kubernetes.
const SECCOMP_DIR: &str = "/var/lib/kubelet/seccomp";

/// The `securityContext`s of a container: its own, and that of its pod for what that doesn't say.
pub(super) struct EffectiveSecurityContext<'a> {
    pod: &'a PodSecurityContext,
    own: &'a SecurityContext,
}

impl<'a> EffectiveSecurityContext<'a> {
    pub(super) fn new(spec: &'a PodSpec, container: &'a Container) -> Self {
        Self { pod: &spec.security_context, own: &container.security_context }
    }

    /// The user that its author gives it.
    pub(super) fn user(&self) -> Option<UnixId> {
        self.own.run_as_user.or(self.pod.run_as_user)
    }

    fn is_non_root(&self) -> bool {
        self.own.run_as_non_root.or(self.pod.run_as_non_root) == Some(true)
    }

    /// Whether the image has to be asked who its user is.
    pub(super) fn asks_image_for_user(&self, major: u32) -> bool {
        self.user().is_none() && (self.is_non_root() || major >= 5)
    }

    pub(super) fn apply(
        &self,
        request: &mut ContainerRequest,
        container: &FieldPath,
        image: &ImageUser,
        major: u32,
    ) -> Result<(), SpecProblem> {
        let at = |is_own: bool, key: &str| {
            let security = "securityContext";
            if is_own { container.child(security).child(key) } else { FieldPath::from([security, key]) }
        };
        self.apply_user_and_group(request, at)?;
        if self.is_non_root()
            && let Some(why) = self.root_violation(request, image)
        {
            return Err((at(self.own.run_as_non_root.is_some(), "runAsNonRoot"), why));
        }
        request.privileged = self.own.privileged;
        request.read_only_filesystem = self.own.read_only_root_filesystem;
        request.no_new_privileges = self.own.allow_privilege_escalation == Some(false);
        if !request.privileged {
            let is_root = self.user().map_or(image.runs_as_root(), |user| user.0 == 0);
            self.apply_capabilities(request, is_root && major >= 5);
        }
        self.apply_security_profiles(request, at)
    }

    fn apply_user_and_group(
        &self,
        request: &mut ContainerRequest,
        at: impl Fn(bool, &str) -> FieldPath,
    ) -> Result<(), SpecProblem> {
        request.user = match (self.user(), self.own.run_as_group.or(self.pod.run_as_group)) {
            (Some(user), Some(group)) => format!("{}:{}", user.0, group.0),
            // its group is root's, whatever the image says
            (Some(user), None) => user.0.to_string(),
            (None, Some(_)) => {
                let field = at(self.own.run_as_group.is_some(), "runAsGroup");
                return Err((field, "takes a runAsUser beside it".to_owned()));
            }
            (None, None) => String::new(),
        };
        let groups = self.pod.supplemental_groups.iter().chain(&self.pod.fs_group);
        request.groups.extend(groups.map(|group| group.0.to_string()));
        Ok(())
    }

    /// Why it can't be said to be no root.
    fn root_violation(&self, request: &ContainerRequest, image: &ImageUser) -> Option<String> {
        let ImageUser { user: name } = image;
        let image_name = &request.image;
        match self.user() {
            Some(BoundedInt(0)) => Some("is true, but runAsUser is 0, which is root".to_owned()),
            None if image.runs_as_root() => {
                Some(format!("is true, but image '{image_name}' would run as root"))
            }
            None if !image.has_numeric_user() => Some(format!(
                "is true, but image '{image_name}' names its user '{name}': say its number by runAsUser"
            )),
            _ => None,
        }
    }

    fn apply_capabilities(&self, request: &mut ContainerRequest, all: bool) {
        let list = |list: &[Capability]| -> Vec<String> { list.iter().map(capability_name).collect() };
        let (mut add, drop) = (list(&self.own.capabilities.add), list(&self.own.capabilities.drop));
        let drops_all = drop.iter().any(|name| name == "ALL");
        if all && !drops_all && !add.iter().any(|name| name == "ALL") {
            add.extend(EXTRA_CAPABILITIES.map(str::to_owned));
        }
        // what is both added and dropped is dropped
        add.retain(|name| !drop.contains(name));
        add.sort_unstable();
        add.dedup();
        request.cap_add = add;
        request.cap_drop = if drops_all { vec!["ALL".to_owned()] } else { drop };
    }

    fn apply_security_profiles(
        &self,
        request: &mut ContainerRequest,
        at: impl Fn(bool, &str) -> FieldPath,
    ) -> Result<(), SpecProblem> {
        let seccomp = self.own.seccomp_profile.as_ref().or(self.pod.seccomp_profile.as_ref());
        match seccomp.map(|profile| profile.kind) {
            None | Some(ProfileKind::RuntimeDefault) => {}
            Some(ProfileKind::Unconfined) => request.seccomp_profile_path = "unconfined".to_owned(),
            Some(ProfileKind::Localhost) => {
                let name = seccomp.and_then(|profile| profile.localhost_profile.as_deref());
                let Some(name) = name.and_then(normalize_path).filter(|name| !name.is_empty()) else {
                    let field = at(self.own.seccomp_profile.is_some(), "seccompProfile");
                    return Err((field.child("localhostProfile"), "names no file".to_owned()));
                };
                request.seccomp_profile_path = format!("{SECCOMP_DIR}/{name}");
            }
        }
        let apparmor = self.own.app_armor_profile.as_ref().or(self.pod.app_armor_profile.as_ref());
        request.apparmor_profile = match apparmor.map(|profile| (profile.kind, &profile.localhost_profile)) {
            Some((ProfileKind::Unconfined, _)) => "unconfined".to_owned(),
            Some((ProfileKind::Localhost, name)) => name.clone().unwrap_or_default(),
            Some((ProfileKind::RuntimeDefault, _)) | None => String::new(),
        };
        if let Some(it) = self.own.se_linux_options.as_ref().or(self.pod.se_linux_options.as_ref()) {
            let all = [("user", &it.user), ("role", &it.role), ("type", &it.kind), ("level", &it.level)];
            let given = all.into_iter().filter(|(_, value)| !value.is_empty());
            request.selinux_opts.extend(given.map(|(key, value)| format!("{key}:{value}")));
        }
        if self.own.proc_mount == ProcMount::Unmasked {
            request.unmask.push("ALL");
        }
        Ok(())
    }
}

/// As podman writes it.
fn capability_name(capability: &Capability) -> String {
    match capability.0 {
        "ALL" => "ALL".to_owned(),
        name => format!("CAP_{name}"),
    }
}
