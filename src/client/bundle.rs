//! `support-bundle`: one archive of all that helps people elsewhere to see what is wrong, without Secrets. What can't be had
//! says so in its place: neither the agent nor an engine need answer.

use std::{
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::process::geteuid;
use serde_json::Value;

use super::{
    describe,
    output::Screen,
    place::{PodmanContainer, WorkloadLocator},
};
use crate::{
    agent::{
        model::workload::Content,
        redact::Redactor,
        sanitize,
        view::{history, table::PageStyle},
    },
    check, doctor,
    io::{
        command_socket::{self, ExitCode},
        manifests,
        persistence::{self, Stores},
        podman::{tar, usage},
    },
    settings::{Settings, UnusableSettings},
    wire::{
        manifest::{learn_secrets, redact_manifests},
        text::truncate,
    },
};

/// The directory in the archive.
const ARCHIVE_ROOT: &str = "device-worker-ng-support";
/// Of a name in it, in bytes.
const MAX_NAME_BYTES: usize = 90;
/// Of what a container printed, in bytes.
const MAX_OUTPUT_BYTES: usize = 256 << 10;
/// For what a container printed.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(10);
const WIDTH_FLAG: &str = "--width=160";
/// What the kernel and the system tell.
const SYSTEM_FILES: [&str; 11] = [
    "/etc/os-release",
    "/proc/version",
    "/proc/cmdline",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/pressure/memory",
    "/proc/pressure/cpu",
    "/proc/pressure/io",
    "/sys/fs/cgroup/cgroup.controllers",
    "/proc/self/cgroup",
];
/// Of a container's control group, where the kernel has one hierarchy.
const CGROUP_FILES: [&str; 4] = ["memory.events", "cpu.stat", "pids.events", "cgroup.controllers"];

/// Writes it, and says with what code to end.
pub fn bundle(settings: &Result<Box<Settings>, UnusableSettings>, output: &Path, is_json: bool) -> u8 {
    let usable = settings.as_ref().ok();
    let runtime_dir = settings.as_ref().map_or_else(|it| &it.runtime_dir, |it| &it.runtime_dir);
    let screen = Screen::of_stdout(is_json);
    let agent = WorkloadLocator::find(runtime_dir, None);
    let away = agent.as_ref().err().cloned();
    let place =
        agent.ok().and_then(Result::ok).or_else(|| usable.map(|it| WorkloadLocator::from_settings(it)));
    let mut bundle = Bundle::default();
    place.iter().for_each(|place| bundle.redactor.merge(&place.redactor));
    let files = usable.map(|it| bundle.learn_secrets(it)).unwrap_or_default();
    place.iter().for_each(|place| bundle.learn_container_secrets(place));
    bundle.add_system_files();
    match away {
        Some(why) => bundle.add("agent.txt", &why),
        None => bundle.add_agent_answers(runtime_dir),
    }
    match settings {
        Ok(settings) => {
            bundle.add("doctor.txt", &doctor::examine(settings).text());
            bundle.add("check.txt", &check::check(settings, false).text);
            let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
            let history = persistence::history(&stores.runtime);
            let look = PageStyle { width: 160, colour: false };
            bundle.add("history.txt", &history::history_text(&history::events(&history, None), look));
        }
        Err(unusable) => bundle.add("doctor.txt", &doctor::examine_without_settings(unusable).text()),
    }
    for (name, bytes) in files {
        let text = redact_manifests(&bytes, &bundle.redactor);
        bundle.add(&format!("manifests/{name}"), &text);
    }
    place.iter().for_each(|place| bundle.add_engines(place));
    bundle.add_journal();
    let count = bundle.count;
    match bundle.write(output) {
        Ok(()) => {
            let name = output.display();
            let text = format!(
                "'{name}' has {count} files without Secrets; see them before you send it: tar -tvf '{name}'\n"
            );
            screen.print_result(ExitCode::Good as u8, &text)
        }
        Err(error) => {
            screen.print_failure(ExitCode::Bad, &format!("failed to write '{}': {error}", output.display()))
        }
    }
}

#[derive(Default)]
struct Bundle {
    redactor: Redactor,
    archive: Vec<u8>,
    count: usize,
}

impl Bundle {
    /// What must not be told, as far as it is written down on the device; and the manifests.
    fn learn_secrets(&mut self, settings: &Settings) -> Vec<(String, Vec<u8>)> {
        let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
        let configuration = persistence::load_server_state(&stores, &settings.device_id).configuration;
        let fallbacks = persistence::fallbacks(&stores.state);
        let served = configuration.iter().flat_map(|it| &it.desired.workloads).map(|it| &it.content);
        let good = fallbacks.values().map(|it| &it.good.content);
        let contents: Vec<&Content> = served.chain(good).collect();
        self.redactor.merge(&Redactor::of(contents.iter().copied()));
        for content in contents {
            self.redactor.learn_named_values(&content.specification.value());
            for map in &content.config_maps {
                self.redactor.learn_named_values(map);
            }
        }
        let files = settings.manifests.as_deref().map(manifests::read_all_files).unwrap_or_default();
        files.iter().for_each(|(_, bytes)| learn_secrets(bytes, &mut self.redactor));
        files
    }

    /// The same of the agent's containers as they were made: manifests may say something else by now.
    fn learn_container_secrets(&mut self, place: &WorkloadLocator) {
        for (_, podman) in place.podmans() {
            for PodmanContainer { id, .. } in place.list_containers(&podman, &[]).unwrap_or_default() {
                let made = podman.get(&format!("containers/{id}/json"), &[]).unwrap_or_default();
                self.redactor.learn_named_values(&made["Config"]);
            }
        }
    }

    /// Takes a text, without what must not be told.
    fn add(&mut self, name: &str, text: &str) {
        let text = without_private_keys(&sanitize::sanitize_page(&self.redactor.redact(text)));
        let name: String = name.chars().filter(|c| !sanitize::is_hidden(*c)).collect();
        let path = format!("{ARCHIVE_ROOT}/{}", truncate(&name, MAX_NAME_BYTES));
        self.count += usize::from(tar::add(&mut self.archive, &path, 0o600, Some(text.as_bytes())).is_ok());
    }

    fn add_system_files(&mut self) {
        let mut text = concat!("device-worker-ng ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
        append_files(&mut text, Path::new("/"), &SYSTEM_FILES);
        self.add("system.txt", &text);
    }

    /// What the agent answers.
    fn add_agent_answers(&mut self, runtime_dir: &Path) {
        let ask = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            command_socket::ask_agent(runtime_dir, &words).map_or_else(|why| why, |(_, text)| text)
        };
        for word in ["status", "metrics"] {
            self.add(&format!("{word}.txt"), &ask(&[word, WIDTH_FLAG]));
        }
        let status = ask(&["status", "--json"]);
        let told: Value = status.parse().unwrap_or_default();
        self.add("status.json", &status);
        for name in told["workloads"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()) {
            let mut text = ask(&["describe", name, WIDTH_FLAG]);
            if let Ok(Ok(place)) = WorkloadLocator::find(runtime_dir, Some(&name.to_owned())) {
                describe::add_containers(&place, &Screen::for_file(), &mut text);
            }
            self.add(&format!("describe/{}.txt", name.replace('/', "_")), &text);
        }
    }

    /// What each podman says of itself, and of the agent's containers.
    fn add_engines(&mut self, place: &WorkloadLocator) {
        for (engine, podman) in place.podmans() {
            let info = podman.get("info", &[]).map_or_else(|why| why, |info| info.to_string());
            self.add(&format!("{}.json", engine.replace(' ', "-")), &info);
            let mut groups = String::new();
            for PodmanContainer { name, id, workload, pid, .. } in
                place.list_containers(&podman, &[]).unwrap_or_default()
            {
                let query = [("stdout", "true"), ("stderr", "true"), ("tail", "200")];
                let mut printed = Vec::new();
                let read = podman.logs(&id, &query, Some(OUTPUT_TIMEOUT), &mut |_, piece| {
                    printed.extend_from_slice(piece);
                    printed.len() < MAX_OUTPUT_BYTES
                });
                printed.extend(read.err().unwrap_or_default().bytes());
                let file = format!("logs/{workload}.{name}.txt").replace("..", "_");
                self.add(&file, &String::from_utf8_lossy(&printed));
                let Ok(group) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { continue };
                let used = usage(pid, &id);
                let [memory, cpu, processes] =
                    [used.memory, used.cpu, used.processes].map(Option::unwrap_or_default);
                let used = format!("{memory} bytes, {cpu} µs, {processes} processes");
                let _ = writeln!(groups, "\n=== {workload}: {name}: {used}\n{}", group.trim());
                let path = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("none");
                append_files(&mut groups, &Path::new("/sys/fs/cgroup").join(path), &CGROUP_FILES);
            }
            self.add(&format!("control-groups-of-{}.txt", engine.replace(' ', "-")), &groups);
        }
    }

    /// The end of the agent's log.
    fn add_journal(&mut self) {
        let mut command = Command::new("journalctl");
        command.args(["--no-pager", "--quiet", "-n", "1000", "-o", "short-iso", "-u", "device-worker-ng"]);
        if !geteuid().is_root() {
            command.arg("--user");
        }
        let said = match command.output() {
            Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
            Err(error) => format!("failed to run journalctl: {error}"),
        };
        self.add("log.txt", &said);
    }

    /// For this user alone; nothing is replaced.
    fn write(self, output: &Path) -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(output)?;
        file.write_all(&tar::finish_archive(self.archive))?;
        file.sync_all()
    }
}

/// Adds these files, as far as they are there.
fn append_files(text: &mut String, directory: &Path, names: &[&str]) {
    for name in names {
        if let Ok(content) = fs::read_to_string(directory.join(name)) {
            let _ = writeln!(text, "--- {name}\n{}", content.trim_end());
        }
    }
}

/// Private keys that stand in no Secret: without the lines between their marks, or all that follows.
fn without_private_keys(text: &str) -> String {
    const PRIVATE_KEY_MARKER: &str = "PRIVATE KEY-----";
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, key)) = rest.split_once(PRIVATE_KEY_MARKER) {
        shown.push_str(before);
        shown.push_str("PRIVATE KEY (confidential)");
        rest = key.split_once(PRIVATE_KEY_MARKER).map_or("", |(_, after)| after);
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_cut_out() {
        let key = "a\n-----BEGIN EC PRIVATE KEY-----\nMIIE\n-----END EC PRIVATE KEY-----\nb\n";
        assert_eq!(without_private_keys(key), "a\n-----BEGIN EC PRIVATE KEY (confidential)\nb\n");
        assert_eq!(
            without_private_keys("x -----BEGIN PRIVATE KEY-----\nMIIE"),
            "x -----BEGIN PRIVATE KEY (confidential)"
        );
        assert_eq!(without_private_keys("no key"), "no key");
    }
}
