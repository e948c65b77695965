//! The server's process, and what it and this one use.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{sync::oneshot, time::sleep};

/// A running server.
pub(crate) struct Server {
    child: Child,
    binary: PathBuf,
    pub(crate) address: SocketAddr,
    namespace: String,
    log: PathBuf,
    options: Vec<String>,
}

impl Server {
    /// On a free port, which it keeps over restarts. What it says goes into the file.
    pub(crate) async fn start(namespace: &str, log: PathBuf, options: &[String]) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let binary = std::env::current_exe()?.with_file_name("flotta-edge-api");
        let (namespace, options) = (namespace.to_owned(), options.to_vec());
        let child = spawn(&binary, address, &namespace, &log, &options).await?;
        Ok(Self { child, binary, address, namespace, log, options })
    }

    /// By SIGTERM, or without being asked. Devices go on meanwhile.
    pub(crate) async fn stop(&mut self, kindly: bool) -> Result<()> {
        if kindly {
            let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
            if !asked.success() {
                bail!("failed to end the server");
            }
        } else {
            self.child.kill()?;
        }
        while self.child.try_wait()?.is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// After it was stopped.
    pub(crate) async fn again(&mut self) -> Result<()> {
        self.child = spawn(&self.binary, self.address, &self.namespace, &self.log, &self.options).await?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns when it listens.
async fn spawn(
    binary: &PathBuf,
    address: SocketAddr,
    namespace: &str,
    log: &PathBuf,
    options: &[String],
) -> Result<Child> {
    let errors = fs::File::options().append(true).create(true).open(log)?;
    let mut child = Command::new(binary)
        .args(["serve", "--kubernetes", "--approve", "auto", "--namespace", namespace, "--listen"])
        .arg(address.to_string())
        .args(options)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone()?)
        .spawn()
        .with_context(|| format!("failed to run '{}'", binary.display()))?;
    let lines = BufReader::new(child.stdout.take().context("it has no output")?).lines();
    let (listens, listening) = oneshot::channel();
    thread::spawn(move || {
        use std::io::Write;
        let (mut file, mut listens) = (errors, Some(listens));
        for line in lines.map_while(Result::ok) {
            if line.starts_with("listening: ") {
                listens.take().map(|it| it.send(()));
            }
            let _ = writeln!(file, "{line}");
        }
    });
    listening.await.with_context(|| format!("the server ended: see '{}'", log.display()))?;
    Ok(child)
}

/// CPU seconds of a process so far.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // after the name, which may hold anything
    let (_, fields) = stat.rsplit_once(") ").context("/proc has another format")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    // the kernel's USER_HZ, which is 100 wherever Linux runs today
    Ok(ticks / 100.0)
}

/// Memory now, and at most so far, in MiB.
pub(crate) fn memory(pid: u32) -> Result<(f64, f64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|text| text.parse().ok());
        number.map_or(0.0, |kib: f64| kib / 1024.0)
    };
    Ok((of("VmRSS:"), of("VmHWM:")))
}
