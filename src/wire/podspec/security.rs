//! As whom and with what rights a pod and its containers run.

use serde_json::Value;

use super::{
    reader::{Class, Notes, Read, mapping, words},
    values::Id,
};

mapping! {
    /// What counts for all containers of a pod that don't say otherwise.
    PodSecurityContext {
        run_as_user: Option<Id> = "runAsUser",
        run_as_group: Option<Id> = "runAsGroup",
        run_as_non_root: Option<bool> = "runAsNonRoot",
        fs_group: Option<Id> = "fsGroup",
        fs_group_change_policy: FsGroupChangePolicy = "fsGroupChangePolicy",
        supplemental_groups: Vec<Id> = "supplementalGroups",
        supplemental_groups_policy: SupplementalGroupsPolicy = "supplementalGroupsPolicy",
        sysctls: Vec<Sysctl> = "sysctls",
        seccomp_profile: Option<Profile> = "seccompProfile",
        app_armor_profile: Option<Profile> = "appArmorProfile",
        se_linux_options: Option<SeLinuxOptions> = "seLinuxOptions",
    }
}

words! {
    /// When the files of a volume are given to the group.
    FsGroupChangePolicy { Always = "Always", OnRootMismatch = "OnRootMismatch", }
}

words! {
    /// Whether the groups of the image count as well.
    SupplementalGroupsPolicy { Merge = "Merge", Strict = "Strict", }
}

mapping! {
    /// A setting of the kernel.
    Sysctl {
        name: String = "name",
        value: String = "value",
    }
}

mapping! {
    /// A container's own.
    SecurityContext {
        allow_privilege_escalation: Option<bool> = "allowPrivilegeEscalation",
        privileged: bool = "privileged",
        capabilities: Capabilities = "capabilities",
        proc_mount: ProcMount = "procMount",
        read_only_root_filesystem: bool = "readOnlyRootFilesystem",
        run_as_user: Option<Id> = "runAsUser",
        run_as_group: Option<Id> = "runAsGroup",
        run_as_non_root: Option<bool> = "runAsNonRoot",
        seccomp_profile: Option<Profile> = "seccompProfile",
        app_armor_profile: Option<Profile> = "appArmorProfile",
        se_linux_options: Option<SeLinuxOptions> = "seLinuxOptions",
    }
}

mapping! {
    /// What is added to and dropped from those that podman gives.
    Capabilities {
        add: Vec<Capability> = "add",
        drop: Vec<Capability> = "drop",
    }
}

words! {
    /// Whether all of `/proc` can be seen.
    ProcMount { Default = "Default", Unmasked = "Unmasked", }
}

mapping! {
    /// For seccomp or `AppArmor`.
    Profile {
        kind: ProfileKind = "type",
        localhost_profile: Option<String> = "localhostProfile",
    }
}

words! {
    /// Where the profile comes from.
    ProfileKind { RuntimeDefault = "RuntimeDefault", Unconfined = "Unconfined", Localhost = "Localhost", }
}

mapping! {
    /// The label of a container.
    SeLinuxOptions {
        level: String = "level",
        role: String = "role",
        kind: String = "type",
        user: String = "user",
    }
}

/// In capitals, without `CAP_`; `ALL` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capability(pub &'static str);

impl Read for Capability {
    fn read(value: &Value, notes: &mut Notes) -> Self {
        let text = notes.text(value);
        let plain = text.to_ascii_uppercase();
        let plain = plain.strip_prefix("CAP_").unwrap_or(&plain);
        if let Some(known) = CAPABILITIES.iter().find(|known| **known == plain) {
            return Self(known);
        }
        if value.is_string() {
            let hint = notes.hint(plain, CAPABILITIES.iter().copied());
            notes.add(Class::Value, format!("`{text}` is no capability{hint}"));
        }
        Self("")
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
