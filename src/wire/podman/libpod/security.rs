//! Who a container is, and what it may do.

use super::{
    facts::Image,
    part::{Part, Problem},
    request::ContainerRequest,
};
use crate::wire::podspec::security::CAPABILITIES;

/// What Kubernetes' runtimes give, and podman 5 doesn't any more.
const ALSO: [&str; 3] = ["CAP_NET_RAW", "CAP_AUDIT_WRITE", "CAP_MKNOD"];

/// The `securityContext`s of a container: its own, and that of its pod for what that doesn't say.
pub(super) struct Security<'a> {
    pod: Part<'a>,
    own: Part<'a>,
}

impl<'a> Security<'a> {
    pub(super) fn new(specification: &Part<'a>, container: &Part<'a>) -> Self {
        Self { pod: specification.get("securityContext"), own: container.get("securityContext") }
    }

    fn either(&self, key: &str) -> Part<'a> {
        Some(self.own.get(key)).filter(|own| !own.is_absent()).unwrap_or_else(|| self.pod.get(key))
    }

    /// The user that its author gives it.
    pub(super) fn user(&self) -> Result<Option<u32>, Problem> {
        self.either("runAsUser").id()
    }

    /// Whether the image has to be asked who its user is.
    pub(super) fn wants_image(&self, major: u32) -> Result<bool, Problem> {
        let is_checked = self.either("runAsNonRoot").is_set()?;
        Ok(self.user()?.is_none() && (is_checked || major >= 5))
    }

    pub(super) fn apply(
        &self,
        request: &mut ContainerRequest,
        image: &Image,
        major: u32,
    ) -> Result<(), Problem> {
        self.identity(request, image)?;
        request.privileged = self.own.get("privileged").is_set()?;
        request.read_only_filesystem = self.own.get("readOnlyRootFilesystem").is_set()?;
        request.no_new_privileges = self.own.get("allowPrivilegeEscalation").flag()? == Some(false);
        if !request.privileged {
            let is_root = self.user()?.map_or(image.is_root(), |user| user == 0);
            self.capabilities(request, is_root && major >= 5)?;
        }
        self.profiles(request)
    }

    fn identity(&self, request: &mut ContainerRequest, image: &Image) -> Result<(), Problem> {
        let (user, group) = (self.user()?, self.either("runAsGroup"));
        request.user = match (user, group.id()?) {
            (Some(user), Some(group)) => format!("{user}:{group}"),
            // its group is root's, whatever the image says
            (Some(user), None) => user.to_string(),
            (None, Some(_)) => return group.problem("takes a runAsUser beside it"),
            (None, None) => String::new(),
        };
        for group in self.pod.get("supplementalGroups").items().chain([self.pod.get("fsGroup")]) {
            request.groups.extend(group.id()?.map(|group| group.to_string()));
        }
        let non_root = self.either("runAsNonRoot");
        if !non_root.is_set()? {
            return Ok(());
        }
        match user {
            Some(0) => non_root.problem("is true, but runAsUser is 0, which is root"),
            None if image.is_root() => {
                non_root.problem(format!("is true, but image '{}' would run as root", request.image))
            }
            None if !image.is_number() => non_root.problem(format!(
                "is true, but image '{}' names its user '{}': say its number by runAsUser",
                request.image, image.user
            )),
            _ => Ok(()),
        }
    }

    fn capabilities(&self, request: &mut ContainerRequest, all: bool) -> Result<(), Problem> {
        let list = |key: &str| -> Result<Vec<String>, Problem> {
            self.own.get("capabilities").get(key).items().map(|item| capability(&item)).collect()
        };
        let (mut add, drop) = (list("add")?, list("drop")?);
        let drops_all = drop.iter().any(|name| name == "ALL");
        if all && !drops_all && !add.iter().any(|name| name == "ALL") {
            add.extend(ALSO.map(str::to_owned));
        }
        // what is both added and dropped is dropped
        add.retain(|name| !drop.contains(name));
        add.sort_unstable();
        add.dedup();
        request.cap_add = add;
        request.cap_drop = if drops_all { vec!["ALL".to_owned()] } else { drop };
        Ok(())
    }

    fn profiles(&self, request: &mut ContainerRequest) -> Result<(), Problem> {
        let seccomp = self.either("seccompProfile");
        match seccomp.get("type").text()?.unwrap_or_default() {
            "" | "RuntimeDefault" => {}
            "Unconfined" => request.seccomp_profile_path = "unconfined".to_owned(),
            "Localhost" => {
                return seccomp.problem_at(
                    "type",
                    "a device has no profiles of its own: RuntimeDefault and Unconfined can be had",
                );
            }
            _ => return seccomp.problem_at("type", "must be RuntimeDefault or Unconfined"),
        }
        let apparmor = self.either("appArmorProfile");
        match apparmor.get("type").text()?.unwrap_or_default() {
            "Unconfined" => request.apparmor_profile = "unconfined".to_owned(),
            "Localhost" => {
                request.apparmor_profile = apparmor.get("localhostProfile").needed()?.to_owned();
            }
            _ => {}
        }
        let selinux = self.either("seLinuxOptions");
        for key in ["user", "role", "type", "level"] {
            request.selinux_opts.extend(selinux.get(key).text()?.map(|value| format!("{key}:{value}")));
        }
        if self.own.get("procMount").text()? == Some("Unmasked") {
            request.unmask.push("ALL");
        }
        Ok(())
    }
}

/// As podman writes it.
fn capability(item: &Part) -> Result<String, Problem> {
    let written = item.text()?.unwrap_or_default();
    let name = written.strip_prefix("CAP_").unwrap_or(written);
    if name == "ALL" {
        return Ok(name.to_owned());
    }
    if CAPABILITIES.contains(&name) {
        return Ok(format!("CAP_{name}"));
    }
    item.problem(format!("`{written}` is no capability, such as NET_ADMIN"))
}
