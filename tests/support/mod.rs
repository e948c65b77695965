//! A device for a test: directories of its own, the real binary, real podman. When something expected does
//! not come, the test says what it waited for and prints the agent's log.

pub mod podman;
pub mod proxy;

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// The image that `tests/support/test-image` makes: busybox.
pub const IMAGE: &str = "localhost/device-worker-ng-demo:1";
/// How long anything may take on a slow machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The socket of a podman that tests may use, or `None` after saying by name which test was skipped.
pub fn podman_or_skip(test: &str) -> Option<PathBuf> {
    if let Some(socket) = std::env::var_os("PODMAN_SOCKET") {
        return Some(socket.into());
    }
    assert!(std::env::var_os("DWNG_REQUIRE_PODMAN").is_none(), "{test}: there is no podman to test with");
    eprintln!("skipped: {test} (no private podman; `make test` brings one)");
    None
}

/// One device: its manifests, its state, and the agent while it runs.
pub struct Device {
    directory: TempDir,
    pub id: String,
    pub port: u16,
    /// Where the agent believes podman to be.
    pub socket: PathBuf,
    agent: Option<Child>,
}

impl Device {
    /// A device without any manifest but its own. `None` without podman.
    pub fn new(test: &str) -> Option<Self> {
        let socket = podman_or_skip(test)?;
        let directory = tempfile::Builder::new().prefix("dwng-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let id = format!("{}-{port}", test.replace('_', "-").chars().take(40).collect::<String>());
        let device = Self { directory, id, port, socket, agent: None };
        fs::create_dir(device.manifests()).unwrap();
        device.profiles(&[("low", "x<3% || x == nil")]);
        Some(device)
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

    /// The agent's log so far.
    pub fn log(&self) -> String {
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
        let conditions: Vec<_> = conditions
            .iter()
            .map(|(name, expression)| serde_json::json!({"name": name, "expression": expression}))
            .collect();
        let device = serde_json::json!({
            "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeDevice",
            "metadata": {"name": self.id},
            "spec": {"profiles": [{"name": "p", "conditions": conditions}]},
        });
        self.manifest("device.json", &device.to_string());
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
        let binary = std::env::var_os("DWNG_BINARY").unwrap_or(env!("CARGO_BIN_EXE_device-worker-ng").into());
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("EDGE_DEVICE_MANIFESTS", self.manifests())
            .env("EDGE_DEVICE_STATE_DIR", self.state_dir())
            .env("EDGE_DEVICE_RUNTIME_DIR", self.path("run"))
            .env("EDGE_DEVICE_METRICS_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("EDGE_DEVICE_DEVICE_ID", &self.id)
            .env("EDGE_DEVICE_PODMAN_SOCKET", &self.socket)
            .env("EDGE_DEVICE_LOG_LEVEL", "debug")
            .stdin(Stdio::null());
        command
    }

    /// Starts the agent. It need not be ready for anything when this returns.
    pub fn start(&mut self) {
        self.start_wrapped(&[]);
    }

    /// Starts the agent as the last arguments of another command.
    pub fn start_wrapped(&mut self, wrapper: &[&str]) {
        assert!(self.agent.is_none(), "it runs already");
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let plain = self.command();
        let mut command = match wrapper {
            [] => plain,
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(plain.get_program()).stdin(Stdio::null());
                command.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
                command
            }
        };
        self.agent = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("it runs").id()
    }

    /// Sends a signal and waits for the end.
    pub fn end(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        let mut agent = self.agent.take().expect("it runs");
        let pid = rustix::process::Pid::from_child(&agent);
        rustix::process::kill_process(pid, signal).unwrap();
        let status = self.wait_for("the agent to end", || agent.try_wait().unwrap());
        assert!(status.code().is_some() || status.signal().is_some());
        status
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.end(rustix::process::Signal::KILL);
    }

    /// Posts a metric until it is answered, and returns the status code.
    pub fn post(&self, name: &str, value: impl serde::Serialize) -> u16 {
        let body = serde_json::json!({"name": name, "value": value}).to_string();
        self.wait_for("an answer of the metrics endpoint", || post(self.port, &body))
    }

    /// The pods of this device, by workload.
    pub fn pods(&self) -> Vec<podman::Pod> {
        let owner = device_worker_ng::wire::pod::owner(&self.id, &self.state_dir());
        podman::pods(&podman::socket(), &owner)
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

    /// Waits until the log says this.
    pub fn wait_for_log(&self, text: &str) {
        self.wait_for(&format!("the log to say '{text}'"), || self.log().contains(text).then_some(()));
    }

    /// Asks again and again until there is an answer.
    ///
    /// # Panics
    /// There was none within a minute: prints the agent's log and the pods.
    pub fn wait_for<T>(&self, what: &str, probe: impl FnMut() -> Option<T>) -> T {
        poll(probe).unwrap_or_else(|| {
            panic!(
                "waited in vain for {what}\n--- pods: {:#?}\n--- log of the agent:\n{}",
                self.pods(),
                self.log()
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
        for pod in self.pods() {
            podman::remove(&podman::socket(), &pod.name);
        }
    }
}

/// A container that runs until it is told to end.
pub const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done";

/// A workload of one busybox container.
pub fn workload(name: &str, script: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "management.project-flotta.io/v1alpha1", "kind": "EdgeWorkload",
        "metadata": {"name": name},
        "spec": {"type": "pod", "pod": {"spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script],
            }],
        }}},
    })
}

/// One post, and the status code of its answer; `None` when there is none.
pub fn post(port: u16, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    let head = format!(
        "POST /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1)?.parse().ok()
}

/// Asks every 10 ms, for a minute.
#[allow(clippy::disallowed_methods)]
pub fn poll<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() > deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The path of a file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
