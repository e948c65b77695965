//! The table on a real podman, by the real agent: all pods at once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::table::{Ask, Pod, Row, answer};
use crate::support::{Device, pause, podman, poll_for};

/// How long all pods together may take: several times what they take on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(420);

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
    names: RefCell<BTreeMap<String, String>>,
    /// When the table is to be through.
    end: Instant,
}

/// What a script may ask of the agent: the state of its workload, and why it is so.
const HELP: &str = "state() { $AGENT explain $NAME | sed -n \"1s/^$NAME is \\([a-z-]*\\).*/\\1/p\"; }
why() { $AGENT explain $NAME | sed -n '1s/^[^:]*: //p'; }
";
/// Where the profile is that a row names.
const PROFILE: &str = "/var/lib/kubelet/seccomp/dwng-conformance.json";

impl Run {
    /// On the podman of the device that listens there.
    pub(super) fn new(mut device: Device, socket: PathBuf) -> Self {
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
        has.extend(block_device().map(|_| "block"));
        let has_queues = !is_rootless || Path::new("/dev/mqueue").exists();
        has.extend(has_queues.then_some("mqueue"));
        has.extend(write_profile().then_some("profiles"));
        if !has.contains("pids") {
            device.set("DEFAULT_PIDS_LIMIT", "none"); // no container starts with one
        }
        let end = Instant::now() + PATIENCE;
        Self { device, socket, has, column, results: Vec::new(), names: RefCell::default(), end }
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
        // one without rows is there for others
        wanted.retain(|(pod, rows)| !rows.is_empty() || pod.rows.is_empty());
        self.write(&wanted);
        let check = String::from_utf8(self.device.run(&["--check"]).stdout).unwrap();
        self.device.start_wrapped(wrapper);
        for (pod, rows) in &wanted {
            for (index, row) in rows.iter().enumerate() {
                let outcome = match row.ask() {
                    _ if errors(&check, &pod.pod).is_some() && row.refused.is_none() => {
                        Outcome::Fail(errors(&check, &pod.pod).unwrap_or_default())
                    }
                    Ask::Refused(place) => refusal(&check, &self.file(pod, rows, row), place, &row.expected),
                    Ask::Container => self.container(pod, index, row),
                    Ask::Log => self.expect(pod, row, || self.log(pod, row)),
                    Ask::Host(script) => self.expect(pod, row, || self.on_host(pod, script)),
                    Ask::Gone(_) => continue,
                };
                self.note(row, outcome);
            }
        }
        for (pod, rows) in &wanted {
            if rows.iter().any(|row| matches!(row.ask(), Ask::Gone(_))) {
                self.await_begin(pod, rows);
                self.device.remove_manifest(&format!("{}.json", pod.pod));
            }
        }
        for (pod, rows) in &wanted {
            for row in rows {
                if let Ask::Gone(script) = row.ask() {
                    let outcome = self.expect(pod, row, || self.on_host(pod, script));
                    self.note(row, outcome);
                }
            }
        }
        self.tell(begin);
    }

    /// Until the workload runs, and what its rows want to be so before it goes.
    fn await_begin(&self, pod: &Pod, rows: &[&Row]) {
        let says = |script: &str| self.on_host(pod, script).unwrap_or_default();
        let once: Vec<&str> = rows.iter().filter_map(|row| row.once.as_deref()).collect();
        let has_begun = || {
            let is_so = says("state").trim() == "running"
                && once.iter().all(|script| says(&format!("{script} && echo yes")).trim() == "yes");
            if !is_so {
                pause(100);
            }
            is_so.then_some(())
        };
        let _ = poll_for(self.patience(), has_begun); // or else the rows tell
    }

    fn note(&mut self, row: &Row, outcome: Outcome) {
        if let Outcome::Fail(why) = &outcome {
            // at once: a table that hangs shows where
            let line = format!("podman {}: row '{}': {why}\n", self.column, row.name);
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
        self.results.push((row.name.clone(), outcome));
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
            // for a part of a volume that leads out of it, and for a device by another name
            symlink("/etc", place.join("link")).unwrap();
            symlink("/dev/zero", place.join("zero")).unwrap();
            for (name, mut manifest) in pod.manifests(rows) {
                manifest["spec"]["rootless"] = self.has.contains("rootless").into();
                let text = self.filled(&manifest.to_string(), &place);
                self.device.manifest(&format!("{name}.json"), &text);
            }
        }
        for (name, document) in given() {
            self.device.manifest(&format!("{name}.json"), &document.to_string());
        }
    }

    /// With what only this run knows.
    fn filled(&self, text: &str, place: &Path) -> String {
        let block = block_device().unwrap_or_default();
        let words = [
            ("dir", place),
            ("socket", &self.socket),
            ("block", &block),
            ("device", Path::new(&self.device.id)),
        ];
        filled(text, words, self.ports())
    }

    /// All but the last digit of the host's ports that rows may take.
    fn ports(&self) -> &'static str {
        if self.has.contains("rootless") { "3120" } else { "3110" }
    }

    /// The file that has the row's manifest.
    fn file(&self, pod: &Pod, rows: &[&Row], row: &Row) -> String {
        let mut refused = rows.iter().filter(|it| it.refused.is_some());
        let index = refused.position(|it| it.name == row.name).unwrap();
        format!("{}-{index}.json", pod.pod)
    }

    /// What podman calls it; that is the same for each pod of the workload.
    fn pod_name(&self, pod: &Pod) -> Option<String> {
        let mut names = self.names.borrow_mut();
        if !names.contains_key(&pod.pod) {
            names.extend(self.device.pods().into_iter().map(|it| (it.workload, it.name)));
        }
        names.get(&pod.pod).cloned()
    }

    fn log(&self, pod: &Pod, row: &Row) -> Option<String> {
        let name = format!("{}-{}", self.pod_name(pod)?, row.place);
        // (a terminal ends its lines in another way)
        Some(podman::logs_of(&self.socket, &name).replace('\r', ""))
    }

    fn container(&self, pod: &Pod, index: usize, row: &Row) -> Outcome {
        match poll_for(self.patience(), || answer(&self.log(pod, row)?, index)) {
            Some(found) => compared(row, found),
            None => Outcome::Fail(format!("no answer; {}", self.explain(pod))),
        }
    }

    fn on_host(&self, pod: &Pod, script: &str) -> Option<String> {
        let variables = [
            ("DIR", self.place(pod).display().to_string()),
            ("POD", self.pod_name(pod).unwrap_or_default()),
            ("NAME", pod.pod.clone()),
            ("PORT", self.ports().to_owned()),
            ("CONTAINER_HOST", format!("unix://{}", self.socket.display())),
        ];
        Some(self.device.shell(&format!("{HELP}{script}"), &variables))
    }

    /// Asks until it is as expected.
    fn expect(&self, pod: &Pod, row: &Row, ask: impl Fn() -> Option<String>) -> Outcome {
        let mut last = String::new();
        let is_so = || {
            last = ask().unwrap_or_default().trim().to_owned();
            if last != row.expected {
                pause(100);
            }
            (last == row.expected).then_some(())
        };
        match poll_for(self.patience(), is_so) {
            Some(()) => Outcome::Pass,
            None => match compared(row, last) {
                Outcome::Fail(why) => Outcome::Fail(format!("{why}; {}", self.explain(pod))),
                other => other,
            },
        }
    }

    /// What is left of the time for the table, and at least a little.
    fn patience(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now()).max(Duration::from_secs(3))
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

/// A manifest with what only a run knows; `ports`: all but the last digit of ports.
pub(super) fn filled(text: &str, words: [(&str, &Path); 4], ports: &str) -> String {
    let mut text = text.to_owned();
    for (word, value) in words {
        text = text.replace(&format!("{{{word}}}"), &value.display().to_string());
    }
    for last in 0..10 {
        let port = format!("{ports}{last}");
        let word = format!("{{port}}{last}");
        text = text.replace(&format!("\"{word}\""), &port).replace(&word, &port);
    }
    text.replace("{text}", "")
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

/// A block device of this machine.
fn block_device() -> Option<PathBuf> {
    let mut all = fs::read_dir("/dev").ok()?.flatten();
    let block = all.find(|entry| entry.file_type().is_ok_and(|kind| kind.is_block_device()))?;
    Some(block.path())
}

/// How many tables read the profile.
static READERS: AtomicUsize = AtomicUsize::new(0);

impl Drop for Run {
    fn drop(&mut self) {
        if READERS.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = fs::remove_file(PROFILE);
        }
    }
}

/// A profile of seccomp where the agent looks for it; only root can.
fn write_profile() -> bool {
    READERS.fetch_add(1, Ordering::SeqCst);
    let calls = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]);
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls }).to_string();
    let profile =
        |path: &Path| fs::create_dir_all(path.parent()?).and_then(|()| fs::write(path, &profile)).ok();
    profile(Path::new(PROFILE)).is_some()
}

/// What is wrong with the pod's manifest.
fn errors(check: &str, pod: &str) -> Option<String> {
    let start = format!("error: {pod}.json, ");
    check.lines().map(str::trim).find(|line| line.starts_with(&start)).map(str::to_owned)
}

/// What any pod may name.
fn given() -> Vec<(&'static str, Value)> {
    let document = |kind: &str, name: &str, key: &str, data: Value| json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, (key): data });
    let mut settings =
        document("ConfigMap", "settings", "data", json!({ "level": "high", "app.conf": "a=1\nb=2\n" }));
    settings["binaryData"] = json!({ "bytes": "AAH/" });
    let words = json!({ "first": "one", "second": "two" });
    let login = json!({ "user": "u", "password": "pass word" });
    let auths = json!({ "auths": { "127.0.0.1:9": { "username": "edge", "password": "change me" } } });
    let pulls = json!({ ".dockerconfigjson": auths.to_string() });
    let script = json!({ "run.sh": "#!/bin/sh\necho ran\n" });
    vec![
        ("given-settings", settings),
        ("given-scripts", document("ConfigMap", "scripts", "data", script)),
        ("given-words", document("ConfigMap", "words", "data", words)),
        (
            "given-other-words",
            document("Secret", "words", "stringData", json!({ "second": "of the Secret" })),
        ),
        ("given-login", document("Secret", "login", "stringData", login)),
        ("given-pulls", document("Secret", "pulls", "stringData", pulls)),
    ]
}
