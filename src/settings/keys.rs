//! Every setting in one table: it serves reading, `--help`, and the test of `config.yaml.sample`.

use std::fmt::Write;

/// A setting's name and what people need to know of it.
#[derive(Debug)]
pub(crate) struct SettingKey {
    /// In the file; with `EDGE_DEVICE_` before it, in the environment.
    pub(crate) name: &'static str,
    /// Without its dashes.
    pub(crate) flag: Option<&'static str>,
    /// For people.
    pub(crate) default: &'static str,
    /// What it does, in one line.
    pub(crate) doc: &'static str,
}

const fn setting_key(name: &'static str, default: &'static str, doc: &'static str) -> SettingKey {
    SettingKey { name, flag: None, default, doc }
}

const fn setting_key_with_flag(
    name: &'static str,
    flag: &'static str,
    default: &'static str,
    doc: &'static str,
) -> SettingKey {
    SettingKey { name, flag: Some(flag), default, doc }
}

/// In the order in which people read them.
pub(crate) const SETTING_KEYS: [SettingKey; 25] = [
    setting_key("MANIFESTS", "none", "directory of manifests; watched"),
    setting_key(
        "UNKNOWN_FIELDS",
        "refuse",
        "of a pod specification: refuse, or warn, for those from a newer Kubernetes",
    ),
    setting_key("DEVICE_ID", "/etc/machine-id", "this device's name: lower-case DNS-1123"),
    setting_key_with_flag("LOG_LEVEL", "log-level", "info", "error, warn, info, debug or trace"),
    setting_key(
        "METRICS_LISTEN",
        "127.0.0.1:8080, [::1]:8080",
        "where metrics are posted to: IP:PORT or unix:/PATH, one or a list",
    ),
    setting_key("METRICS_TTL", "none", "how long a posted value counts: seconds, or 30s, 5m, 1h"),
    setting_key("STATUS_PAGE", "false", "true: a status page there, for all who can post metrics"),
    setting_key(
        "STATE_DIR",
        "/var/lib/device-worker-ng",
        "what survives a reboot; not root: $XDG_STATE_HOME/device-worker-ng",
    ),
    setting_key(
        "RUNTIME_DIR",
        "/run/device-worker-ng",
        "what needn't; not root: $XDG_RUNTIME_DIR/device-worker-ng",
    ),
    setting_key(
        "MEMORY_RESERVE",
        "10%, 64Mi to 512Mi",
        "below it nothing starts, below half workloads go: 64Mi, 8%; 0: off",
    ),
    setting_key("DISK_RESERVE", "5%, to 1Gi", "the same for the disks of podman and of STATE_DIR"),
    setting_key("DEFAULT_MEMORY_LIMIT", "none", "of a container that sets none: 64Mi"),
    setting_key("DEFAULT_CPU_LIMIT", "none", "of a container that sets none, in cores: 0.5 or 500m"),
    setting_key(
        "DEFAULT_PIDS_LIMIT",
        "512",
        "processes of a container that sets no limit; none: as many as it likes",
    ),
    setting_key("PODMAN_SOCKET", "/run/podman/podman.sock", "API socket of the podman that isn't rootless"),
    setting_key(
        "XDG_RUNTIME_DIR",
        "$XDG_RUNTIME_DIR",
        "rootless podman listens in podman/podman.sock under it",
    ),
    setting_key_with_flag("SERVER", "server", "none", "the edge API's URL, https only"),
    setting_key("SERVER_NAME", "the host of SERVER", "the name that the server's certificate must carry"),
    setting_key_with_flag("CA_ROOT", "ca-root", "none", "PEM file: whom to trust as the edge API's CA"),
    setting_key_with_flag("CERT", "cert", "none", "PEM file: the bootstrap certificate"),
    setting_key_with_flag("KEY", "key", "none", "PEM file: the bootstrap certificate's key"),
    setting_key_with_flag(
        "NAMESPACE",
        "namespace",
        "default",
        "the namespace on the server that this device enrols into",
    ),
    setting_key("PROXY", "none", "the proxy's URL; proxies named in the environment are ignored"),
    setting_key(
        "KUBECONFIG",
        "$KUBECONFIG",
        "the Kubernetes client's configuration, for workloads of type k8s",
    ),
    setting_key("GRACEFUL_SHUTDOWN", "none", "accepted for older configurations; has no effect"),
];

/// What can be done instead of running the agent.
#[derive(Debug)]
pub(crate) struct Command {
    /// On the command line.
    pub(crate) word: &'static str,
    /// What must follow; nothing, if empty.
    pub(crate) argument: &'static str,
    /// What it does, in one line.
    pub(crate) doc: &'static str,
}

const fn command(word: &'static str, argument: &'static str, doc: &'static str) -> Command {
    Command { word, argument, doc }
}

/// In the order in which people read them.
pub(crate) const COMMANDS: [Command; 17] = [
    command("status", "", "the device, its workloads, profiles and conditions"),
    command("describe", "NAME", "all that is known of a workload"),
    command("logs", "NAME", "what a workload's containers printed"),
    command("top", "[NAME]", "what each workload uses of memory and processor, or each container of one"),
    command(
        "explain",
        "NAME",
        "why a workload runs or doesn't, and what can be done; 0: it is as it should be",
    ),
    command("history", "[NAME]", "what happened of late, to a workload or at all; newest last"),
    command("metrics", "", "the metrics, and the conditions that use them"),
    command("eval", "EXPRESSION", "whether an expression is true with the present metrics; 0: it is"),
    command("doctor", "", "look for what keeps the agent from its work, each with a remedy"),
    command(
        "support-bundle",
        "",
        "write all of these into one archive, without Secrets, for people elsewhere",
    ),
    command("restart", "NAME", "give a workload a new pod, without waiting for its back-off"),
    command("stop", "NAME", "stop a workload until 'start'; it stays stopped over restarts and reboots"),
    command("start", "NAME", "let a stopped workload run again"),
    command("run", "NAME", "give a workload with a cron schedule a run now, besides those of its slots"),
    command("update", "NAME", "what an update of a workload waits for; with --now it doesn't wait any more"),
    command(
        "rollback",
        "NAME",
        "let a workload return to what ran before, until another content is asked for",
    ),
    command(
        "register",
        "",
        "let the device ask to be let in from the beginning at the next start, whatever became of it",
    ),
];

/// A flag that is no setting's.
#[derive(Debug)]
pub(crate) struct CommandFlag {
    /// Without its dashes.
    pub(crate) flag: &'static str,
    /// Whose it is; everyone's, if empty.
    pub(crate) command: &'static str,
    /// What must follow; nothing, if empty.
    pub(crate) argument: &'static str,
    /// What it does, in one line.
    pub(crate) doc: &'static str,
}

const fn general(flag: &'static str, argument: &'static str, doc: &'static str) -> CommandFlag {
    CommandFlag { flag, command: "", argument, doc }
}

const fn command_flag(
    command: &'static str,
    flag: &'static str,
    argument: &'static str,
    doc: &'static str,
) -> CommandFlag {
    CommandFlag { flag, command, argument, doc }
}

/// In the order in which people read them.
pub(crate) const COMMAND_FLAGS: [CommandFlag; 16] = [
    general(
        "config",
        "FILE",
        "read the settings of this YAML file; a command and --check find that of this machine",
    ),
    command_flag("status", "watch", "", "status: again whenever it changes, until Ctrl-C"),
    command_flag(
        "logs",
        "follow",
        "",
        "logs: go on with what comes, and with each next start, until Ctrl-C; also -f",
    ),
    command_flag("logs", "previous", "", "logs: of the run before the present one, in the same pod"),
    command_flag("logs", "since", "AGE", "logs: what is not older than 30s, 10m or 2h"),
    command_flag("logs", "tail", "LINES", "logs: the last lines of each container only"),
    command_flag("logs", "container", "NAME", "logs: of this container only"),
    command_flag(
        "support-bundle",
        "output",
        "FILE",
        "support-bundle: the archive to write; nothing is replaced",
    ),
    command_flag(
        "stop",
        "until-changed",
        "",
        "stop: it ends when another content of the workload is asked for",
    ),
    command_flag("update", "now", "", "update: let the update go ahead that waits"),
    general("json", "", "let a command, or --check, print JSON"),
    general("check", "", "print what settings and manifests mean, and whether they are good; change nothing"),
    general("strict", "", "let --check fail for warnings, too"),
    general(
        "check-settings",
        "",
        "only look whether the settings can be used, as before a reload; say nothing if so",
    ),
    general("help", "", "print this"),
    general("version", "", "print the version"),
];

/// The key of this name.
pub(crate) fn find(name: &str) -> Option<&'static SettingKey> {
    SETTING_KEYS.iter().find(|key| key.name == name)
}

/// What `--help` prints.
pub(super) fn help() -> String {
    let mut text = format!(
        "{}\n\nUsage: device-worker-ng --config FILE [--check]     run the agent\n       device-worker-ng [--config FILE] COMMAND     ask the one that runs\n\nCommands:\n",
        env!("CARGO_PKG_DESCRIPTION")
    );
    let option = |text: &mut String, left: &str, right: &str| {
        let _ = writeln!(text, "  {left:<18} {right}");
    };
    for Command { word, argument, doc } in &COMMANDS {
        option(&mut text, &format!("{word} {argument}"), doc);
    }
    option(&mut text, "", "0: good; 1: something is wrong; 2: no such workload; 3: the agent doesn't answer");
    text.push_str("\nOptions:\n");
    for CommandFlag { flag, argument, doc, .. } in &COMMAND_FLAGS {
        option(&mut text, format!("--{flag} {argument}").trim_end(), doc);
    }
    for key in &SETTING_KEYS {
        if let Some(flag) = key.flag {
            option(&mut text, &format!("--{flag} VALUE"), &format!("set {}", key.name));
        }
    }
    text.push_str(
        "\nSettings, by flag, else as EDGE_DEVICE_<name> in the environment, else by name in the file, else by credential:\n",
    );
    for key in &SETTING_KEYS {
        let _ = writeln!(text, "  {:<20} {} [{}]", key.name, key.doc, key.default);
    }
    text.push_str("\nMANIFESTS or SERVER must be given. Settings that can't be used: exit code 78.\n");
    text
}
