//! An edge API of a test's own: the real process, which keeps its CA and its devices over restarts; by itself, or in a
//! cluster.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Device, Part, poll, skip_without, workload};

/// One request as the edge API noted it.
#[allow(dead_code)] // the bench reads what tests don't
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// Seconds since 1970.
    pub at: f64,
    pub device: String,
    pub call: String,
    /// Which start of the edge API this was, and the number of its TLS connection there.
    #[serde(skip)]
    pub start: usize,
    pub connection: u64,
    /// Bytes of the request.
    pub head: u64,
    pub body: u64,
    /// 0: it was not answered.
    pub status: u16,
    /// How the edge API misbehaved.
    pub trouble: Option<String>,
    /// What was posted.
    pub content: Value,
    /// Of the configuration that was the answer.
    pub version: Option<String>,
}

impl Record {
    /// Whether it is such a call, and was answered well.
    pub fn is_good(&self, call: &str) -> bool {
        self.call == call && self.status == 200 && self.trouble.is_none()
    }

    /// Reason and message of each event of a heartbeat.
    pub fn events(&self) -> impl Iterator<Item = (&str, &str)> {
        let events = self.content["events"].as_array().into_iter().flatten();
        events.map(|event| (event["reason"].as_str().unwrap(), event["message"].as_str().unwrap()))
    }

    /// Whether a heartbeat has such an event.
    pub fn tells(&self, reason: &str, part: &str) -> bool {
        self.events().any(|(its, message)| its == reason && message.contains(part))
    }

    /// What a heartbeat says of a workload.
    pub fn workload(&self, name: &str) -> Option<&str> {
        let all = self.content["workloads"].as_array()?;
        all.iter().find(|workload| workload["name"] == name)?["status"].as_str()
    }
}

pub struct Edge {
    directory: TempDir,
    pub address: SocketAddr,
    /// A command that runs it: in another network namespace, for example.
    wrapper: Vec<String>,
    options: Vec<String>,
    /// Whose cluster it keeps everything in, if in one.
    kubeconfig: Option<PathBuf>,
    server: Option<Child>,
    seen: Mutex<Seen>,
}

/// How far the log was read, and what it says.
#[derive(Default)]
struct Seen {
    offset: u64,
    records: Vec<Record>,
    starts: usize,
}

impl Edge {
    /// One on loopback, with these options of `flotta-edge-api serve`. `None` after saying by name which test was skipped.
    pub fn start(options: &[&str]) -> Option<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, super::free_port()).into(), &[], options)
    }

    /// One at this address, as the last arguments of another command.
    pub fn start_at(address: SocketAddr, wrapper: &[&str], options: &[&str]) -> Option<Self> {
        let mut edge = Self::new(address, wrapper, options, None)?;
        fs::create_dir(edge.path("manifests")).unwrap();
        edge.start_again();
        Some(edge)
    }

    /// One on loopback that keeps everything in the cluster of this user; with these options instead of `--faults`.
    pub fn start_in_cluster(kubeconfig: PathBuf, options: &[&str]) -> Option<Self> {
        let address = (Ipv4Addr::LOCALHOST, super::free_port()).into();
        let mut edge = Self::new(address, &[], options, Some(kubeconfig))?;
        fs::create_dir(edge.path("edge")).unwrap();
        edge.start_again();
        Some(edge)
    }

    fn new(
        address: SocketAddr,
        wrapper: &[&str],
        options: &[&str],
        kubeconfig: Option<PathBuf>,
    ) -> Option<Self> {
        binary()?;
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Some(Self {
            directory: tempfile::Builder::new().prefix("dwng-edge-").tempdir().unwrap(),
            address,
            wrapper: owned(wrapper),
            options: owned(options),
            kubeconfig,
            server: None,
            seen: Mutex::default(),
        })
    }

    /// Starts it in its directory: same CA, same devices, same address; no faults.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        self.mark(); // what is new in the log is the former one's
        self.seen.get_mut().unwrap().starts += 1;
        let log = File::options().create(true).append(true).open(self.path("out")).unwrap();
        let binary = binary().unwrap();
        let mut words = self.wrapper.iter().map(String::as_str).chain([binary.as_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["serve", "--listen", &self.address.to_string()]);
        match &self.kubeconfig {
            None => {
                command.args(["--faults", "--manifests"]).arg(self.path("manifests"));
                command.arg("--dir").arg(self.path("edge"));
            }
            Some(kubeconfig) => drop(command.arg("--kubernetes").env("KUBECONFIG", kubeconfig)),
        }
        command.arg("--log-json").arg(self.path("log.json")).args(&self.options);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        let has_started = || match &self.kubeconfig {
            None => self.try_tell("help").ok().map(drop),
            Some(_) => TcpStream::connect(self.address).ok().map(drop),
        };
        if poll(has_started).is_none() {
            panic!("the edge API doesn't start: {}", fs::read_to_string(self.path("out")).unwrap());
        }
    }

    pub fn runs(&self) -> bool {
        self.server.is_some()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut server = self.server.take().expect("it runs");
        server.kill().unwrap();
        server.wait().unwrap();
        // what a killed one leaves: it must not pass for a running one's
        if self.kubeconfig.is_none() {
            fs::remove_file(self.path("edge/control.sock")).unwrap();
        }
    }

    /// Tells it a command, and returns what it says.
    pub fn tell(&self, command: &str) -> String {
        self.try_tell(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_tell(&self, command: &str) -> Result<String, String> {
        let mut socket = UnixStream::connect(self.path("edge/control.sock")).map_err(|it| it.to_string())?;
        socket.write_all(format!("{command}\n").as_bytes()).map_err(|it| it.to_string())?;
        let mut said = String::new();
        for line in BufReader::new(socket).lines() {
            let line = line.map_err(|it| it.to_string())?;
            match line.strip_prefix("error: ") {
                Some(error) => return Err(error.to_owned()),
                None if line == "ok" => return Ok(said),
                None => said += &(line + "\n"),
            }
        }
        Err("it hung up".into())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Saves a manifest, in one piece.
    pub fn manifest(&self, name: &str, text: &Value) {
        let new = self.path("manifests").join(format!(".{name}"));
        fs::write(&new, text.to_string()).unwrap();
        fs::rename(new, self.path("manifests").join(name)).unwrap();
    }

    pub fn remove_manifest(&self, name: &str) {
        fs::remove_file(self.path("manifests").join(name)).unwrap();
    }

    /// A workload of one busybox container for this device.
    pub fn workload(&self, device: &Device, name: &str, script: &str) {
        self.manifest(&format!("{name}.json"), &for_device(device, workload(name, script)));
    }

    /// Defines the conditions of the device's profile `p`.
    pub fn profiles(&self, device: &Device, conditions: &[(&str, &str)]) {
        let manifest = super::edge_device(&device.id, conditions);
        self.manifest(&format!("{}.json", device.id), &manifest);
    }

    /// How many requests it has noted: those from here on are `since` it.
    pub fn mark(&self) -> usize {
        self.read(|records| records.len())
    }

    /// What it noted since a mark.
    pub fn since(&self, mark: usize) -> Vec<Record> {
        self.read(|records| records[mark..].to_vec())
    }

    fn read<T>(&self, look: impl FnOnce(&[Record]) -> T) -> T {
        let mut seen = self.seen.lock().unwrap();
        if let Ok(mut file) = File::open(self.path("log.json")) {
            let mut text = String::new();
            file.seek(SeekFrom::Start(seen.offset)).unwrap();
            file.read_to_string(&mut text).unwrap();
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            let start = seen.starts;
            let noted = text[..whole].lines().map(|line| serde_json::from_str(line).unwrap());
            seen.records.extend(noted.map(|record| Record { start, ..record }));
            seen.offset += whole as u64;
        }
        look(&seen.records)
    }

    /// The first request of the device since a mark that is such a one, if there was one yet.
    pub fn find(&self, device: &Device, mark: usize, is_it: impl Fn(&Record) -> bool) -> Option<Record> {
        let about = |record: &&Record| record.device == device.id && is_it(record);
        self.read(|records| records[mark..].iter().find(about).cloned())
    }

    /// Waits for such a request of the device.
    pub fn wait_for(
        &self,
        device: &Device,
        mark: usize,
        what: &str,
        is_it: impl Fn(&Record) -> bool,
    ) -> Record {
        device.wait_for(what, || self.find(device, mark, &is_it))
    }

    /// Waits until a heartbeat says that a workload runs.
    pub fn wait_for_running(&self, device: &Device, mark: usize, workload: &str) -> Record {
        self.wait_for(device, mark, &format!("a heartbeat that says '{workload}' runs"), |record| {
            record.is_good("heartbeat") && record.workload(workload) == Some("Running")
        })
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The workload for one device alone.
pub fn for_device(device: &Device, mut workload: Value) -> Value {
    workload["spec"]["device"] = json!(device.id);
    workload
}

fn binary() -> Option<String> {
    let binary = std::env::var("DWNG_EDGE_API").ok();
    if binary.is_none() {
        skip_without(Part::Brought, "DWNG_EDGE_API names no development edge API; `make test` builds one");
    }
    binary
}
