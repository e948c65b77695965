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
    place::{Container, Location},
};
use crate::{
    agent::{
        legible,
        model::workload::Content,
        redact::Redactor,
        view::{history, table::Look},
    },
    check, doctor,
    io::{
        command_socket::{self, ExitCode},
        manifests,
        persistence::{self, Stores},
        podman::{tar, usage},
    },
    settings::{Settings, Unusable},
    wire::{
        manifest::{learn, public},
        text::cut,
    },
};

/// The directory in the archive.
const ROOT: &str = "device-worker-ng-support";
/// Of a name in it, in bytes.
const LONGEST_NAME: usize = 90;
/// Of what a container printed, in bytes.
const LARGEST: usize = 256 << 10;
/// For what a container printed.
const LIMIT: Duration = Duration::from_secs(10);
const WIDTH: &str = "--width=160";
/// What the kernel and the system tell.
const FACTS: [&str; 11] = [
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
const GROUP: [&str; 4] = ["memory.events", "cpu.stat", "pids.events", "cgroup.controllers"];

/// Writes it, and says with what code to end.
pub fn bundle(settings: &Result<Box<Settings>, Unusable>, output: &Path, is_json: bool) -> u8 {
    let usable = settings.as_ref().ok();
    let runtime_dir = settings.as_ref().map_or_else(|it| &it.runtime_dir, |it| &it.runtime_dir);
    let screen = Screen::of_stdout(is_json);
    let agent = Location::find(runtime_dir, None);
    let away = agent.as_ref().err().cloned();
    let place = agent.ok().and_then(Result::ok).or_else(|| usable.map(|it| Location::of(it)));
    let mut bundle = Bundle::default();
    place.iter().for_each(|place| bundle.redactor.join(&place.redactor));
    let files = usable.map(|it| bundle.learn(it)).unwrap_or_default();
    place.iter().for_each(|place| bundle.learn_made(place));
    bundle.facts();
    match away {
        Some(why) => bundle.add("agent.txt", &why),
        None => bundle.agent(runtime_dir),
    }
    match settings {
        Ok(settings) => {
            bundle.add("doctor.txt", &doctor::examine(settings).text());
            bundle.add("check.txt", &check::check(settings, false).text);
            let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
            let history = persistence::history(&stores.runtime);
            let look = Look { width: 160, colour: false };
            bundle.add("history.txt", &history::text(&history::events(&history, None), look));
        }
        Err(unusable) => bundle.add("doctor.txt", &doctor::without_settings(unusable).text()),
    }
    for (name, bytes) in files {
        let text = public(&bytes, &bundle.redactor);
        bundle.add(&format!("manifests/{name}"), &text);
    }
    place.iter().for_each(|place| bundle.engines(place));
    bundle.journal();
    let count = bundle.count;
    match bundle.write(output) {
        Ok(()) => {
            let name = output.display();
            let text = format!(
                "'{name}' has {count} files without Secrets; see them before you send it: tar -tvf '{name}'\n"
            );
            screen.told(ExitCode::Good as u8, &text)
        }
        Err(error) => screen.fail(ExitCode::Bad, &format!("failed to write '{}': {error}", output.display())),
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
    fn learn(&mut self, settings: &Settings) -> Vec<(String, Vec<u8>)> {
        let stores = Stores::new(&settings.state_dir, &settings.runtime_dir);
        let configuration = persistence::of_server(&stores, &settings.device_id).configuration;
        let fallbacks = persistence::fallbacks(&stores.state);
        let served = configuration.iter().flat_map(|it| &it.desired.workloads).map(|it| &it.content);
        let good = fallbacks.values().map(|it| &it.good.content);
        let contents: Vec<&Content> = served.chain(good).collect();
        self.redactor.join(&Redactor::of(contents.iter().copied()));
        for content in contents {
            self.redactor.learn_named(&content.specification.value());
            for map in &content.config_maps {
                self.redactor.learn_named(map);
            }
        }
        let files = settings.manifests.as_deref().map(manifests::texts).unwrap_or_default();
        files.iter().for_each(|(_, bytes)| learn(bytes, &mut self.redactor));
        files
    }

    /// The same of the agent's containers as they were made: manifests may say something else by now.
    fn learn_made(&mut self, place: &Location) {
        for (_, podman) in place.podmans() {
            for Container { id, .. } in place.list(&podman, &[]).unwrap_or_default() {
                let made = podman.get(&format!("containers/{id}/json"), &[]).unwrap_or_default();
                self.redactor.learn_named(&made["Config"]);
            }
        }
    }

    /// Takes a text, without what must not be told.
    fn add(&mut self, name: &str, text: &str) {
        let text = without_keys(&legible::page(&self.redactor.redact(text)));
        let name: String = name.chars().filter(|c| !legible::is_hidden(*c)).collect();
        let path = format!("{ROOT}/{}", cut(&name, LONGEST_NAME));
        self.count += usize::from(tar::add(&mut self.archive, &path, 0o600, Some(text.as_bytes())).is_ok());
    }

    fn facts(&mut self) {
        let mut text = concat!("device-worker-ng ", env!("CARGO_PKG_VERSION"), "\n").to_owned();
        files(&mut text, Path::new("/"), &FACTS);
        self.add("system.txt", &text);
    }

    /// What the agent answers.
    fn agent(&mut self, runtime_dir: &Path) {
        let ask = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            command_socket::ask_agent(runtime_dir, &words).map_or_else(|why| why, |(_, text)| text)
        };
        for word in ["status", "metrics"] {
            self.add(&format!("{word}.txt"), &ask(&[word, WIDTH]));
        }
        let status = ask(&["status", "--json"]);
        let told: Value = status.parse().unwrap_or_default();
        self.add("status.json", &status);
        for name in told["workloads"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()) {
            let mut text = ask(&["describe", name, WIDTH]);
            if let Ok(Ok(place)) = Location::find(runtime_dir, Some(&name.to_owned())) {
                describe::add_containers(&place, &Screen::of_file(), &mut text);
            }
            self.add(&format!("describe/{}.txt", name.replace('/', "_")), &text);
        }
    }

    /// What each podman says of itself, and of the agent's containers.
    fn engines(&mut self, place: &Location) {
        for (engine, podman) in place.podmans() {
            let info = podman.get("info", &[]).map_or_else(|why| why, |info| info.to_string());
            self.add(&format!("{}.json", engine.replace(' ', "-")), &info);
            let mut groups = String::new();
            for Container { name, id, workload, pid, .. } in place.list(&podman, &[]).unwrap_or_default() {
                let query = [("stdout", "true"), ("stderr", "true"), ("tail", "200")];
                let mut printed = Vec::new();
                let read = podman.logs(&id, &query, Some(LIMIT), &mut |_, piece| {
                    printed.extend_from_slice(piece);
                    printed.len() < LARGEST
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
                files(&mut groups, &Path::new("/sys/fs/cgroup").join(path), &GROUP);
            }
            self.add(&format!("control-groups-of-{}.txt", engine.replace(' ', "-")), &groups);
        }
    }

    /// The end of the agent's log.
    fn journal(&mut self) {
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
        file.write_all(&tar::with_end(self.archive))?;
        file.sync_all()
    }
}

/// Adds these files, as far as they are there.
fn files(text: &mut String, directory: &Path, names: &[&str]) {
    for name in names {
        if let Ok(content) = fs::read_to_string(directory.join(name)) {
            let _ = writeln!(text, "--- {name}\n{}", content.trim_end());
        }
    }
}

/// Private keys that stand in no Secret: without the lines between their marks, or all that follows.
fn without_keys(text: &str) -> String {
    const MARK: &str = "PRIVATE KEY-----";
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, key)) = rest.split_once(MARK) {
        shown.push_str(before);
        shown.push_str("PRIVATE KEY (confidential)");
        rest = key.split_once(MARK).map_or("", |(_, after)| after);
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
        assert_eq!(without_keys(key), "a\n-----BEGIN EC PRIVATE KEY (confidential)\nb\n");
        assert_eq!(
            without_keys("x -----BEGIN PRIVATE KEY-----\nMIIE"),
            "x -----BEGIN PRIVATE KEY (confidential)"
        );
        assert_eq!(without_keys("no key"), "no key");
    }
}
