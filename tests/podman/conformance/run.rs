//! The table on a real podman, by the real agent: all pods at once.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use super::table::{Ask, Pod, Row, answer};
use crate::support::{Device, podman, poll};

/// What became of a row.
pub(super) enum Outcome {
    Pass,
    /// What is missing.
    Skip(String),
    Fail(String),
}

/// A podman that the table runs on.
pub(super) struct Run {
    device: Device,
    socket: PathBuf,
    /// What this podman and kernel have, of what rows may need.
    has: BTreeSet<&'static str>,
    /// podman's version, and how it runs.
    pub(super) column: String,
    pub(super) results: Vec<(String, Outcome)>,
}

impl Run {
    /// On the podman of the device that listens there.
    pub(super) fn new(device: Device, socket: PathBuf) -> Self {
        let info = podman::call(&socket, "GET", "info", "").1;
        let host = &info["host"];
        let is_rootless = host["security"]["rootless"] == true;
        let mut has = BTreeSet::from([if is_rootless { "rootless" } else { "rootful" }]);
        let controllers = if is_rootless && host["cgroupVersion"] == "v1" {
            &Value::Null
        } else {
            &host["cgroupControllers"]
        };
        let has_controller = |name: &str| controllers.as_array().into_iter().flatten().any(|it| it == name);
        has.extend(["cpu", "memory", "pids"].into_iter().filter(|name| has_controller(name)));
        for (need, key) in
            [("selinux", "selinuxEnabled"), ("apparmor", "apparmorEnabled"), ("seccomp", "seccompEnabled")]
        {
            has.extend((host["security"][key] == true).then_some(need));
        }
        let version = info["version"]["Version"].as_str().unwrap_or("unknown");
        let column = format!("{version}{}", if is_rootless { " rootless" } else { "" });
        Self { device, socket, has, column, results: Vec::new() }
    }

    /// All rows; `wrapper` starts the agent.
    pub(super) fn run(&mut self, pods: &[Pod], wrapper: &[&str]) {
        let begin = Instant::now();
        let mut wanted: Vec<(&Pod, Vec<&Row>)> = Vec::new();
        for pod in pods {
            let mut rows = Vec::new();
            for row in &pod.rows {
                match pod.needs(row).find(|need| !self.has.contains(need)) {
                    Some(need) => self.results.push((row.name.clone(), Outcome::Skip(need.to_owned()))),
                    None => rows.push(row),
                }
            }
            wanted.push((pod, rows));
        }
        wanted.retain(|(_, rows)| !rows.is_empty());
        self.write(&wanted);
        let check = String::from_utf8(self.device.run(&["--check"]).stdout).unwrap();
        self.device.start_wrapped(wrapper);
        for (pod, rows) in &wanted {
            for (index, row) in rows.iter().enumerate() {
                let outcome = match row.ask() {
                    Ask::Refused(place) => refusal(&check, &self.file(pod, rows, row), place, &row.expected),
                    Ask::Container => self.container(pod, index, row),
                    Ask::Log => self.expect(row, || self.log(pod, row)),
                    Ask::Host(script) => self.expect(row, || self.on_host(pod, script)),
                    Ask::Gone(_) => continue,
                };
                self.results.push((row.name.clone(), outcome));
            }
        }
        for (pod, rows) in &wanted {
            if rows.iter().any(|row| matches!(row.ask(), Ask::Gone(_))) {
                self.device.remove_manifest(&format!("{}.json", pod.pod));
            }
        }
        for (pod, rows) in &wanted {
            for row in rows {
                if let Ask::Gone(script) = row.ask() {
                    let outcome = self.expect(row, || self.on_host(pod, script));
                    self.results.push((row.name.clone(), outcome));
                }
            }
        }
        self.tell(begin);
    }

    /// A directory of the device that the pod shares with the test.
    fn place(&self, pod: &Pod) -> PathBuf {
        self.device.path("host").join(&pod.pod)
    }

    fn write(&self, wanted: &[(&Pod, Vec<&Row>)]) {
        for (pod, rows) in wanted {
            let place = self.place(pod);
            fs::create_dir_all(&place).unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
            for (name, mut manifest) in pod.manifests(rows) {
                manifest["spec"]["rootless"] = self.has.contains("rootless").into();
                let text = manifest.to_string().replace("{dir}", &place.display().to_string());
                self.device.manifest(&format!("{name}.json"), &text);
            }
        }
        for (name, document) in given() {
            self.device.manifest(&format!("{name}.json"), &document.to_string());
        }
    }

    /// The file that has the row's manifest.
    fn file(&self, pod: &Pod, rows: &[&Row], row: &Row) -> String {
        let mut refused = rows.iter().filter(|it| it.refused.is_some());
        let index = refused.position(|it| it.name == row.name).unwrap();
        format!("{}-{index}.json", pod.pod)
    }

    fn pod_name(&self, pod: &Pod) -> Option<String> {
        self.device.pods().into_iter().find(|it| it.workload == pod.pod).map(|it| it.name)
    }

    fn log(&self, pod: &Pod, row: &Row) -> Option<String> {
        let name = format!("{}-{}", self.pod_name(pod)?, row.place);
        // (a terminal ends its lines in another way)
        Some(podman::logs_of(&self.socket, &name).replace('\r', ""))
    }

    fn container(&self, pod: &Pod, index: usize, row: &Row) -> Outcome {
        match poll(|| answer(&self.log(pod, row)?, index)) {
            Some(found) => compared(row, found),
            None => Outcome::Fail(format!("no answer; {}", self.explain(pod))),
        }
    }

    fn on_host(&self, pod: &Pod, script: &str) -> Option<String> {
        let variables = [
            ("DIR", self.place(pod).display().to_string()),
            ("POD", self.pod_name(pod).unwrap_or_default()),
            ("NAME", pod.pod.clone()),
            ("SOCKET", self.socket.display().to_string()),
        ];
        Some(self.device.shell(script, &variables))
    }

    /// Asks until it is as expected.
    fn expect(&self, row: &Row, ask: impl Fn() -> Option<String>) -> Outcome {
        let mut last = String::new();
        let is_so = || {
            last = ask().unwrap_or_default().trim().to_owned();
            (last == row.expected).then_some(())
        };
        match poll(is_so) {
            Some(()) => Outcome::Pass,
            None => compared(row, last),
        }
    }

    fn explain(&self, pod: &Pod) -> String {
        String::from_utf8_lossy(&self.device.run(&["explain", &pod.pod]).stdout).into_owned()
    }

    /// Says how it went, and writes the results where `DWNG_CONFORMANCE` says.
    fn tell(&self, begin: Instant) {
        let count = |is: fn(&Outcome) -> bool| self.results.iter().filter(|(_, it)| is(it)).count();
        let passed = count(|it| matches!(it, Outcome::Pass));
        let skipped = count(|it| matches!(it, Outcome::Skip(_)));
        let failed = self.results.len() - passed - skipped;
        let mut text = format!(
            "conformance on podman {}: {passed} rows passed, {skipped} skipped, {failed} failed in {:.0} s\n",
            self.column,
            begin.elapsed().as_secs_f32()
        );
        let mut lines = format!("podman {}\n", self.column);
        for (name, outcome) in &self.results {
            let word = match outcome {
                Outcome::Pass => "pass".to_owned(),
                Outcome::Skip(why) => {
                    text += &format!("skipped: row '{name}' (needs {why})\n");
                    format!("skip: {why}")
                }
                Outcome::Fail(_) => "fail".to_owned(),
            };
            lines += &format!("{name}\t{word}\n");
        }
        let _ = std::io::stderr().write_all(text.as_bytes()); // past the harness
        if let Some(directory) = std::env::var_os("DWNG_CONFORMANCE") {
            let file = Path::new(&directory).join(self.column.replace(' ', "-"));
            fs::write(&file, lines).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}

fn compared(row: &Row, found: String) -> Outcome {
    if found == row.expected {
        Outcome::Pass
    } else {
        Outcome::Fail(format!("{found:?}, expected {:?}", row.expected))
    }
}

/// Whether `--check` names this place in this file, and says so.
fn refusal(check: &str, file: &str, place: &str, why: &str) -> Outcome {
    let start = format!("error: {file}, ");
    let place = format!(" spec.pod.spec.{place}: ");
    let said: Vec<&str> = check.lines().map(str::trim).filter(|line| line.starts_with(&start)).collect();
    match said.iter().any(|line| line.contains(&place) && line.contains(why)) {
        true => Outcome::Pass,
        false => Outcome::Fail(format!("{place:?} is not refused with {why:?}: {said:#?}")),
    }
}

/// What any pod may name.
fn given() -> Vec<(&'static str, Value)> {
    let document = |kind: &str, name: &str, key: &str, data: Value| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, (key): data });
    let mut settings =
        document("ConfigMap", "settings", "data", json!({ "level": "high", "app.conf": "a=1\nb=2\n" }));
    settings["binaryData"] = json!({ "bytes": "AAH/" });
    vec![
        ("given-settings", settings),
        (
            "given-scripts",
            document("ConfigMap", "scripts", "data", json!({ "run.sh": "#!/bin/sh\necho ran\n" })),
        ),
        (
            "given-login",
            document("Secret", "login", "stringData", json!({ "user": "u", "password": "pass word" })),
        ),
    ]
}
