//! As whom and with what rights a pod and its containers run.

use serde_json::Value;

use super::{
    reader::{FindingClass, Read, ReadContext},
    types::{mapping, words},
    values::UnixId,
};

mapping! {
    /// What counts for all containers of a pod that don't say otherwise.
    PodSecurityContext {
        run_as_user: Option<UnixId>,
        run_as_group: Option<UnixId>,
        run_as_non_root: Option<bool>,
        fs_group: Option<UnixId>,
        fs_group_change_policy: FsGroupChangePolicy,
        supplemental_groups: Vec<UnixId>,
        supplemental_groups_policy: SupplementalGroupsPolicy,
        sysctls: Vec<Sysctl>,
        seccomp_profile: Option<Profile>,
        app_armor_profile: Option<Profile>,
        se_linux_options: Option<SeLinuxOptions>,
    }
}

words! {
    /// When the files of a volume are given to the group.
    FsGroupChangePolicy { Always, OnRootMismatch }
}

words! {
    /// Whether the groups of the image count as well.
    SupplementalGroupsPolicy { Merge, Strict }
}

mapping! {
    /// A setting of the kernel.
    Sysctl { name: String, value: String }
}

mapping! {
    /// A container's own.
    SecurityContext {
        allow_privilege_escalation: Option<bool>,
        privileged: bool,
        capabilities: Capabilities,
        proc_mount: ProcMount,
        read_only_root_filesystem: bool,
        run_as_user: Option<UnixId>,
        run_as_group: Option<UnixId>,
        run_as_non_root: Option<bool>,
        seccomp_profile: Option<Profile>,
        app_armor_profile: Option<Profile>,
        se_linux_options: Option<SeLinuxOptions>,
    }
}

mapping! {
    /// What is added to and dropped from those that podman gives.
    Capabilities { add: Vec<Capability>, drop: Vec<Capability> }
}

words! {
    /// Whether all of `/proc` can be seen.
    ProcMount { Default, Unmasked }
}

mapping! {
    /// For seccomp or `AppArmor`.
    Profile { kind: ProfileKind = "type", localhost_profile: Option<String> }
}

words! {
    /// Where the profile comes from.
    ProfileKind { RuntimeDefault, Unconfined, Localhost }
}

mapping! {
    /// The label of a container.
    SeLinuxOptions { level: String, role: String, kind: String = "type", user: String }
}

/// In capitals, without `CAP_`; `ALL` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capability(pub &'static str);

impl Read for Capability {
    fn read(value: &Value, notes: &mut ReadContext) -> Self {
        let text = notes.expect_text(value);
        let plain = text.to_ascii_uppercase();
        let plain = plain.strip_prefix("CAP_").unwrap_or(&plain);
        if let Some(known) = CAPABILITIES.iter().find(|known| **known == plain) {
            return Self(known);
        }
        if value.is_string() {
            let hint = notes.spelling_hint(plain, CAPABILITIES.iter().copied());
            notes.add(FindingClass::Value, format!("`{text}` is no capability{hint}"));
        }
        Self("")
    }

    #[cfg(test)]
    fn schema(_: &mut super::schema::Schema) -> Value {
        serde_json::json!({ "type": "string", "examples": &CAPABILITIES[..] })
    }
}

/// Those that Linux has, and `ALL`.
pub(in crate::wire) const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
