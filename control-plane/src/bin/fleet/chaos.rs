//! What ends without being asked, again and again, while a fleet talks to two replicas: one of them, the API server, or
//! its etcd. In the end nothing may be lost and nothing may have gone back.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use device_worker_ng::agent::model::random::Random;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::{
    NAMESPACE, all,
    cluster::Cluster,
    device::{Device, Fleet},
    figures::{Figures, lock},
    say, schedule,
    server::Server,
};

/// Between two changes of the workload that all devices have.
const CHANGE: Duration = Duration::from_secs(4);
/// Until the API server takes changes again.
const PATIENCE: Duration = Duration::from_secs(60);

/// The API server or its database: a process of the sandbox, found by what it was started with.
struct Part {
    name: &'static str,
    command: Vec<String>,
    pid: Pid,
    /// Once it was started again here.
    child: Option<Child>,
}

impl Part {
    /// The process with this argument.
    fn find(name: &'static str, argument: &str) -> Result<Self> {
        for entry in fs::read_dir("/proc")? {
            let path: PathBuf = entry?.path();
            let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
            // it may be gone by now
            let Ok(bytes) = fs::read(path.join("cmdline")) else { continue };
            let command: Vec<String> =
                String::from_utf8_lossy(&bytes).split_terminator('\0').map(str::to_owned).collect();
            let is_it = command.first().is_some_and(|program| program.ends_with(name));
            if let Some(pid) = Pid::from_raw(pid).filter(|_| is_it && command.iter().any(|it| it == argument))
            {
                return Ok(Self { name, command, pid, child: None });
            }
        }
        anyhow::bail!(
            "failed to find the process '{name}' with {argument}: run it as 'kube-sandbox -- fleet'"
        )
    }

    fn argument(&self, key: &str) -> Option<&str> {
        self.command.iter().find_map(|argument| argument.strip_prefix(key))
    }

    fn kill(&mut self) -> Result<()> {
        kill_process(self.pid, Signal::KILL).with_context(|| format!("failed to end {}", self.name))?;
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        Ok(())
    }

    /// As a child of this process, with which it ends.
    fn start(&mut self) -> Result<()> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", self.name))?;
        self.pid = Pid::from_child(&child);
        self.child = Some(child);
        Ok(())
    }
}

/// Who may be ended.
struct Parts {
    servers: Vec<Option<Server>>,
    api_server: Part,
    etcd: Part,
}

/// Lets it happen so often; `seed` says in which order and when.
pub(crate) async fn run(
    cluster: &Arc<Cluster>,
    fleet: &Arc<Fleet>,
    servers: Vec<Server>,
    (devices, rounds, seed): (usize, usize, u64),
) -> Result<()> {
    let api_server = Part::find("kube-apiserver", &format!("--secure-port={}", cluster.port()))?;
    let url = api_server.argument("--etcd-servers=").context("it has no etcd")?;
    let etcd = Part::find("etcd", url)?;
    let mut parts = Parts { servers: servers.into_iter().map(Some).collect(), api_server, etcd };
    let chain =
        (cluster.secret("flotta-ca", "ca.pem").await?, cluster.secret("flotta-bootstrap", "ca.pem").await?);
    ensure!(chain.0 == chain.1, "two replicas that began together made two CAs");
    let figures = &fleet.figures;
    for number in 0..devices {
        tokio::spawn(Device::new(Arc::clone(fleet), number).run());
    }
    all("let in", devices, || figures.registered.load(Relaxed), figures).await?;
    let changes = tokio::spawn(change(Arc::clone(cluster)));
    let mut random = schedule::random(seed);
    for round in 1..=rounds {
        sleep(Duration::from_secs(8).mul_f64(random.next_fraction())).await;
        let down = Duration::from_secs(4).mul_f64(random.next_fraction());
        let what = parts.end_one(&mut random, down).await?;
        say(&format!("round {round}: {what} ended, for {:.1} s", down.as_secs_f64()));
    }
    changes.abort();
    finish(cluster, fleet, devices, chain.0).await
}

impl Parts {
    /// One of them, by chance; it comes back after a while.
    async fn end_one(&mut self, random: &mut Random, down: Duration) -> Result<&'static str> {
        match (random.next_fraction() * 4.0) as usize {
            2 => {
                self.api_server.kill()?;
                sleep(down).await;
                self.api_server.start()?;
                Ok("the API server")
            }
            3 => {
                self.etcd.kill()?;
                sleep(down).await;
                self.etcd.start()?;
                Ok("etcd")
            }
            which => {
                let mut server = self.servers[which].take().context("a server is missing")?;
                server.stop(false).await?;
                sleep(down).await;
                // Without the API server it can't start: then it ends, and is started again, as a pod is.
                while server.again().await.is_err() {
                    sleep(Duration::from_secs(1)).await;
                }
                self.servers[which] = Some(server);
                Ok("one of two replicas")
            }
        }
    }
}

/// One generation after the other, as soon as the API server takes it.
async fn change(cluster: Arc<Cluster>) {
    for generation in 1.. {
        while cluster.change(generation).await.is_err() {
            sleep(Duration::from_millis(500)).await;
        }
        sleep(CHANGE).await;
    }
}

/// What must be so when all is quiet again.
async fn finish(cluster: &Cluster, fleet: &Fleet, devices: usize, chain: String) -> Result<()> {
    const LAST: u64 = 1_000_000;
    let figures: &Figures = &fleet.figures;
    let mut waited = Duration::ZERO;
    while let Err(error) = cluster.change(LAST).await {
        ensure!(waited < PATIENCE, "the API server isn't back: {error:#}");
        sleep(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
    }
    all("told of the last change", devices, || figures.with_generation(LAST), figures).await?;
    let told: HashSet<String> = lock(&fleet.told).iter().cloned().collect();
    let kept: HashSet<String> = cluster.events().await?.into_iter().collect();
    let lost: Vec<_> = told.difference(&kept).collect();
    let calls = figures.take();
    let good = calls.iter().filter(|call| call.status == 200).count();
    println!("| what | seen |\n| --- | --- |");
    println!("| calls | {}, of which {good} were answered 200 |", calls.len());
    println!("| events that were answered 200 | {}, of which {} are lost |", told.len(), lost.len());
    let broken = std::mem::take(&mut *lock(&figures.broken));
    println!("| configurations older than what the device had | {} |", broken.len());
    let now = cluster.secret("flotta-ca", "ca.pem").await?;
    println!("| CAs | {} |", if now == chain { "one" } else { "more than one" });
    ensure!(lost.is_empty(), "lost: {:?}", &lost[..lost.len().min(5)]);
    ensure!(broken.is_empty(), "{}", broken.iter().take(5).cloned().collect::<Vec<_>>().join("; "));
    ensure!(now == chain, "the CA is another one");
    Ok(())
}

/// Two that begin at the same moment, which make CA and bootstrap certificate once.
pub(crate) async fn two(log: &std::path::Path, options: &[String]) -> Result<Vec<Server>> {
    let start =
        |number: usize| Server::start(NAMESPACE, log.with_extension(format!("{number}.log")), options);
    let (one, other) = tokio::try_join!(start(1), start(2))?;
    Ok(vec![one, other])
}
