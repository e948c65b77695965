//! A device for a test: directories of its own, the real binary, real podman. When something expected does
//! not come, the test says what it waited for and prints the agent's log.

pub mod edge;
pub mod http;
pub mod kube_sandbox;
pub mod link;
pub mod manpage;
mod parts;
pub mod podman;
pub mod proxy;
pub mod registry;
pub mod rootless;
pub mod search;

use std::{
    collections::BTreeMap,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use parts::{Part, podman_or_skip, skip, skip_without};

/// The image that `scripts/test-image` makes: busybox.
pub const IMAGE: &str = "localhost/device-worker-ng-demo:1";
/// What the samples and the documents name instead: it comes from a registry.
pub const PUBLIC_IMAGE: &str = "docker.io/library/busybox:1.36";
/// How long anything may take on a slow machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The agent: DWNG_BINARY, where another one is to be tried.
pub fn binary() -> Command {
    Command::new(std::env::var_os("DWNG_BINARY").unwrap_or(env!("CARGO_BIN_EXE_device-worker-ng").into()))
}

/// One device: its manifests, its state, and the agent while it runs.
pub struct Device {
    directory: TempDir,
    /// What is in memory on a real device too: the runtime directory, and the log on its way to the journal.
    _memory: TempDir,
    pub id: String,
    pub port: u16,
    /// Where the agent believes podman to be.
    pub socket: PathBuf,
    /// The podmans that pods are looked for in.
    pub podmans: Vec<PathBuf>,
    settings: BTreeMap<&'static str, String>,
    arguments: Vec<String>,
    agent: Option<Child>,
    /// Where the present agent's part of the log begins.
    mark: usize,
}

impl Device {
    /// A device without any manifest but its own. `None` without podman.
    pub fn new(name: &str) -> Option<Self> {
        let socket = podman_or_skip()?;
        let mut device = Self::without_podman(name);
        (device.socket, device.podmans) = (socket.clone(), vec![socket]);
        Some(device)
    }

    /// A device whose agent runs one workload, for as long as condition `low` of profile `p` holds.
    pub fn with_gated(name: &str, workload: &str) -> Option<Self> {
        let mut device = Self::new(name)?;
        device.gated(workload, "low");
        device.start();
        device.wait_for_running(&[workload]);
        Some(device)
    }

    /// A device whose agent finds no podman.
    pub fn without_podman(name: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("dwng-").tempdir().unwrap();
        let memory = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
        let memory = tempfile::Builder::new().prefix("dwng-").tempdir_in(memory).unwrap();
        for name in ["run", "log"] {
            std::os::unix::fs::symlink(memory.path().join(name), directory.path().join(name)).unwrap();
        }
        fs::create_dir(memory.path().join("run")).unwrap();
        let port = free_port();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let id = format!("{}-{port}", name.replace('_', "-").chars().take(40).collect::<String>());
        let settings = [
            ("MANIFESTS", path("manifests")),
            ("STATE_DIR", path("state")),
            ("RUNTIME_DIR", path("run")),
            ("METRICS_LISTEN", format!("127.0.0.1:{port}")),
            ("DEVICE_ID", id.clone()),
            ("LOG_LEVEL", "debug".into()),
        ];
        let device = Self {
            socket: directory.path().join("no-podman.sock"),
            directory,
            _memory: memory,
            id,
            port,
            podmans: Vec::new(),
            settings: settings.into(),
            arguments: Vec::new(),
            agent: None,
            mark: 0,
        };
        fs::create_dir(device.manifests()).unwrap();
        device.profiles(&[("low", "x<3% || x == nil")]);
        device
    }

    /// Gives a setting in the environment of the next agent; returns what it was.
    pub fn set(&mut self, key: &'static str, value: impl Into<String>) -> Option<String> {
        self.settings.insert(key, value.into())
    }

    /// The next agent is without this setting.
    pub fn unset(&mut self, key: &str) {
        self.settings.remove(key);
    }

    /// The next agent talks to this edge API.
    pub fn talk_to(&mut self, edge: &edge::Edge) {
        self.set("SERVER", format!("https://{}", edge.address));
        self.set("SERVER_NAME", "project-flotta.io");
        for (key, file) in [("CA_ROOT", "ca.pem"), ("CERT", "bootstrap.pem"), ("KEY", "bootstrap.key")] {
            self.set(key, edge.path("edge").join(file).display().to_string());
        }
    }

    /// The same, and it has no manifests.
    pub fn talk_only_to(&mut self, edge: &edge::Edge) {
        self.unset("MANIFESTS");
        self.talk_to(edge);
    }

    /// The next agent takes metrics at this socket.
    pub fn listen_on_a_file(&mut self) -> PathBuf {
        let path = self.path("metrics.sock");
        self.set("METRICS_LISTEN", format!("unix:{}", path.display()));
        path
    }

    /// The next agent has these settings from a file, with this text, instead of the environment.
    pub fn config(&mut self, keys: &[&'static str], text: &str) -> PathBuf {
        keys.iter().for_each(|key| self.unset(key));
        let file = self.path("config.yaml");
        fs::write(&file, text).unwrap();
        self.arguments = vec!["--config".into(), file.display().to_string()];
        file
    }

    /// Puts a proxy between the next agent and podman.
    pub fn behind_proxy(&mut self) -> proxy::Proxy {
        let path = self.path("podman.sock");
        let target = std::mem::replace(&mut self.socket, path);
        proxy::Proxy::start(&self.socket, target)
    }

    /// Where metrics are posted to.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub fn manifests(&self) -> PathBuf {
        self.directory.path().join("manifests")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the present agent, or the last one, has logged so far.
    pub fn log(&self) -> String {
        self.whole_log().split_off(self.mark)
    }

    /// What every agent of this device has logged so far.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Saves a manifest as an editor does: a new file takes the old one's place.
    pub fn manifest(&self, name: &str, text: &str) {
        let temporary = self.manifests().join(format!(".{name}.swp"));
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.manifests().join(name)).unwrap();
    }

    pub fn remove_manifest(&self, name: &str) {
        fs::remove_file(self.manifests().join(name)).unwrap();
    }

    /// Defines the conditions of the device's profile `p`.
    pub fn profiles(&self, conditions: &[(&str, &str)]) {
        self.manifest("device.json", &edge_device(&self.id, conditions).to_string());
    }

    /// Adds a workload of one busybox container, in a file of its own.
    pub fn workload(&self, name: &str, script: &str) {
        self.manifest(&format!("{name}.json"), &workload(name, script).to_string());
    }

    /// Adds a workload that runs while condition `condition` of profile `p` holds.
    pub fn gated(&self, name: &str, condition: &str) {
        let mut workload = workload(name, SLEEP);
        workload["spec"]["profiles"] = serde_json::json!([{"name": "p", "conditions": [condition]}]);
        self.manifest(&format!("{name}.json"), &workload.to_string());
    }

    fn command(&self) -> Command {
        let mut command = binary();
        command.args(&self.arguments).env_clear().stdin(Stdio::null());
        command.envs(self.settings.iter().map(|(key, value)| (format!("EDGE_DEVICE_{key}"), value)));
        command.env("EDGE_DEVICE_PODMAN_SOCKET", &self.socket);
        // no row goes on in another line
        command.env("COLUMNS", "1000");
        command
    }

    /// Runs the binary as this device's, with these arguments too, to its end.
    pub fn run(&self, arguments: &[&str]) -> process::Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Starts the binary as this device's, with these arguments too; what it prints is for the caller to read.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command().args(arguments).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What a script of the shell prints, run in the agent's environment with these variables and `$AGENT`.
    pub fn shell(&self, script: &str, variables: &[(&str, String)]) -> String {
        let agent = self.command();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).env("AGENT", agent.get_program());
        command.envs(agent.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command.envs(variables.iter().map(|(key, value)| (key, value)));
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    }

    /// Removes all pods of this device, as a reboot does.
    pub fn lose_pods(&self) {
        for podman in &self.podmans {
            for some in self.pods_of(podman).chunks(8) {
                thread::scope(|scope| {
                    for pod in some {
                        scope.spawn(|| podman::remove(podman, &pod.name));
                    }
                });
            }
        }
    }

    /// Starts the agent. It need not be ready for anything when this returns.
    pub fn start(&mut self) {
        self.start_wrapped(&[]);
    }

    /// Starts the agent as the last arguments of another command.
    pub fn start_wrapped(&mut self, wrapper: &[&str]) {
        assert!(self.agent.is_none(), "it runs already");
        self.mark = self.whole_log().len();
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let plain = self.command();
        let mut command = match wrapper {
            [] => plain,
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(plain.get_program()).args(plain.get_args()).stdin(Stdio::null());
                command.env_remove("KUBECONFIG"); // the tests' own cluster is not this device's
                command.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
                command
            }
        };
        self.agent = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("it runs").id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(self.agent.as_ref().expect("it runs")), signal).unwrap();
    }

    /// SIGSTOP, until every thread has stopped.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        let tasks = || fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().flatten();
        let is_stopped = |task: fs::DirEntry| state(&task.path()) == Some('T');
        self.wait_for("the agent to stop", || tasks().all(is_stopped).then_some(()));
    }

    /// Waits for the end that comes without being asked for, or after a signal.
    pub fn ended(&mut self) -> ExitStatus {
        let mut agent = self.agent.take().expect("it runs");
        self.wait_for("the agent to end", || agent.try_wait().unwrap())
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.ended()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    /// Starts the agent, and waits until it takes metrics.
    pub fn start_taking_metrics(&mut self) {
        self.start();
        self.wait_for_log("metrics are taken at");
    }

    /// The process that receives metrics, if there is one now.
    pub fn receiver(&self) -> Option<Pid> {
        children(self.pid()).first().and_then(|pid| Pid::from_raw(*pid as i32))
    }

    /// Posts a metric until it is answered, and returns the status code.
    pub fn post(&self, name: &str, value: impl serde::Serialize) -> u16 {
        let body = serde_json::json!({"name": name, "value": value}).to_string();
        let post = || http::post(self.address(), &body).ok();
        self.wait_for("an answer of the metrics endpoint", post).0
    }

    /// The pods of this device, by workload.
    pub fn pods(&self) -> Vec<podman::Pod> {
        let mut pods: Vec<_> = self.podmans.iter().flat_map(|podman| self.pods_of(podman)).collect();
        pods.sort_by(|a, b| a.workload.cmp(&b.workload));
        pods
    }

    fn pods_of(&self, podman: &Path) -> Vec<podman::Pod> {
        podman::pods(podman, &device_worker_ng::wire::ownership::owner(&self.id, &self.state_dir()))
    }

    /// Waits until exactly these workloads have a running pod, and returns the pods by name of the workload.
    pub fn wait_for_running(&self, workloads: &[&str]) -> Vec<podman::Pod> {
        let what = format!("exactly {workloads:?} to run");
        self.wait_for(&what, || {
            let pods = self.pods();
            let all_run = pods.iter().all(|pod| pod.status == "Running");
            (all_run && pods.iter().map(|pod| pod.workload.as_str()).eq(workloads.iter().copied()))
                .then_some(pods)
        })
    }

    /// Starts an agent with this workload alone, and waits for its pod.
    pub fn run_alone(&mut self, name: &str, workload: &serde_json::Value) -> podman::Pod {
        self.manifest(&format!("{name}.json"), &workload.to_string());
        self.start();
        self.wait_for_running(&[name]).remove(0)
    }

    /// Waits until the only pod of this pod's workload is another one, and runs.
    pub fn wait_for_another(&self, before: &podman::Pod) -> podman::Pod {
        self.wait_for(&format!("another pod of '{}' to run", before.workload), || {
            let mut pods = self.pods();
            pods.retain(|pod| pod.workload == before.workload);
            match &pods[..] {
                [pod] if pod.id != before.id && pod.status == "Running" => Some(pod.clone()),
                _ => None,
            }
        })
    }

    /// Waits until a container of this pod, which stays, runs that was started since.
    pub fn wait_for_restart(&self, before: &podman::Pod, container: &str) -> podman::Pod {
        let name = format!("{}-{container}", before.name);
        let started = |pod: &podman::Pod| pod.containers.iter().find(|it| it.0 == name).map(|it| it.2);
        self.wait_for(&format!("'{container}' of '{}' to be started again", before.workload), || {
            let pod = self.pods().into_iter().find(|pod| pod.workload == before.workload)?;
            assert_eq!(pod.id, before.id, "the pod was made anew: {}", self.log());
            (pod.status == "Running" && started(&pod) > started(before)).then_some(pod)
        })
    }

    /// Waits until the log says this.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for(&format!("the log to say '{text}'"), || self.log().contains(text).then_some(()));
    }

    /// Asks again and again until there is an answer.
    ///
    /// # Panics
    /// There was none within a minute: prints the agent's log and the pods.
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        self.wait_within(PATIENCE, what, probe)
    }

    /// The same, with a patience of its own.
    pub fn wait_within<T>(&self, patience: Duration, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        poll_for(patience, probe).unwrap_or_else(|| {
            panic!(
                "waited in vain for {what}\n--- pods: {:#?}\n--- log of the agent:\n{}",
                self.pods(),
                self.whole_log()
            )
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        self.lose_pods();
    }
}

/// A container that runs until it is told to end.
pub const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";

/// What containers wait for until the test opens it.
pub struct Gate(TempDir);

impl Gate {
    /// Ends when the gate is open.
    pub const WAIT: &str = "until [ -e /gate/open ]; do sleep 0.1; done";

    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn open(&self) {
        fs::write(self.0.path().join("open"), "").unwrap();
    }

    /// Puts it into every container of a pod's specification.
    pub fn mount(&self, specification: &mut serde_json::Value) {
        specification["volumes"] = serde_json::json!([{"name": "gate", "hostPath": {"path": self.0.path()}}]);
        for kind in ["initContainers", "containers"] {
            for container in
                specification.get_mut(kind).and_then(|it| it.as_array_mut()).into_iter().flatten()
            {
                container["volumeMounts"] = serde_json::json!([{"name": "gate", "mountPath": "/gate"}]);
            }
        }
    }
}

/// A workload of one busybox container. Its shell is called by the test's name, so two tests that ask for the
/// same in one podman get two pods: a pod's name tells its contents, and an agent leaves another agent's pod be.
pub fn workload(name: &str, script: &str) -> serde_json::Value {
    let test = thread::current().name().unwrap_or("test").to_owned();
    serde_json::json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeWorkload",
        "metadata": {"name": name},
        "spec": {"type": "pod", "pod": {"spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script, test],
            }],
        }}},
    })
}

/// A value that nothing else has.
pub fn unique() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap().trim().to_owned()
}

/// The workload gets key `k` of the Secret `s`: as the variable `K`, and as a file in `/v`.
pub fn give_secret(workload: &mut serde_json::Value) {
    let spec = &mut workload["spec"]["pod"]["spec"];
    spec["volumes"] = serde_json::json!([{ "name": "v", "secret": { "secretName": "s" } }]);
    let container = &mut spec["containers"][0];
    container["volumeMounts"] = serde_json::json!([{ "name": "v", "mountPath": "/v" }]);
    let from = serde_json::json!({ "secretKeyRef": { "name": "s", "key": "k" } });
    container["env"] = serde_json::json!([{ "name": "K", "valueFrom": from }]);
}

/// A device's own manifest, with the conditions of its profile `p`.
pub fn edge_device(id: &str, conditions: &[(&str, &str)]) -> serde_json::Value {
    let conditions: Vec<_> = conditions
        .iter()
        .map(|(name, expression)| serde_json::json!({"name": name, "expression": expression}))
        .collect();
    serde_json::json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
        "metadata": {"name": id},
        "spec": {"profiles": [{"name": "p", "conditions": conditions}]},
    })
}

/// A port of this test's own: below those that clients get, who could take it before the agent does.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (process::id() as u16).wrapping_mul(97);
    loop {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The direct children of a process that have not ended.
pub fn children(pid: u32) -> Vec<u32> {
    all_children(pid).into_iter().filter(|pid| is_alive(*pid)).collect()
}

/// The direct children of a process, with those that it has not waited for.
pub fn all_children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: String =
        tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    lists.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Whether there is such a process, and more of it than its exit code.
pub fn is_alive(pid: u32) -> bool {
    state(Path::new(&format!("/proc/{pid}"))).is_some_and(|state| !"ZX".contains(state))
}

/// The state of a process or thread by its directory in `/proc`: a letter of proc(5).
fn state(directory: &Path) -> Option<char> {
    fs::read_to_string(directory.join("stat")).ok()?.rsplit_once(") ")?.1.chars().next()
}

pub fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// Asks every 10 ms, for a minute.
pub fn poll<T>(probe: impl FnMut() -> Option<T>) -> Option<T> {
    poll_for(PATIENCE, probe)
}

/// The same, with a patience of its own.
pub fn poll_for<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        pause(10);
    }
}

/// The path of a file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
