//! A fleet of simulated devices, and what a server needs for it.
//!
//! Each device has a key and a certificate of its own, keeps a connection over TLS 1.3, and calls when the agent would.
//! The messages are written by the agent's own code. Server, API server and devices share one machine: figures that
//! count are CPU times, memory and numbers of calls; times of answers include the wait for a CPU.
//!
//! ```text
//! cluster ◄── server ◄── connection ◄── device ◄── schedule
//!    ▲           ▲                         └─► figures
//!    └───────────┴─ main: let in, steady, change, restart ─► table
//! ```

mod chaos;
mod cluster;
mod connection;
mod device;
mod figures;
mod identities;
mod schedule;
mod server;
mod table;

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    cluster::Cluster,
    connection::Place,
    device::{Device, Fleet},
    figures::{Figures, lock, peak},
    identities::Identities,
    server::Server,
    table::{Steady, Table},
};

/// Where everything is.
const NAMESPACE: &str = "fleet";

/// Let simulated devices load `flotta-edge-api serve --kubernetes` on the cluster that KUBECONFIG names
#[derive(Parser)]
struct Arguments {
    /// How many devices
    #[arg(long, default_value_t = 500)]
    devices: usize,
    /// Seconds between heartbeats, and between looks at the configuration
    #[arg(long, default_value_t = 60)]
    period: u64,
    /// Seconds for which the steady state is measured
    #[arg(long, default_value_t = 180)]
    steady: u64,
    /// How many are let in at once
    #[arg(long, default_value_t = 64)]
    turns: usize,
    /// Instead of measuring: end a part of two replicas, the API server and etcd so often, and see that nothing is lost
    #[arg(long, value_name = "ROUNDS")]
    chaos: Option<usize>,
    /// By which the parts and moments are chosen
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep keys and certificates here for another run on the same cluster
    #[arg(long, value_name = "FILE")]
    identities: Option<PathBuf>,
    /// Where the server's output goes
    #[arg(long, value_name = "FILE", default_value = "fleet-server.log")]
    log: PathBuf,
    /// Another option for the server; may be repeated
    #[arg(long = "server-option", value_name = "OPTION", allow_hyphen_values = true)]
    server_options: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let ended = tokio::select! {
        result = run(Arguments::parse()) => result,
        // (within: the servers end with it)
        result = interrupted() => result,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    bail!("interrupted")
}

async fn run(arguments: Arguments) -> Result<()> {
    let cluster = Arc::new(Cluster::prepare(NAMESPACE).await?);
    let workloads = cluster.fill().await?;
    if let Some(rounds) = arguments.chaos {
        let servers = chaos::two(&arguments.log, &arguments.server_options).await?;
        let fleet =
            fleet(&arguments, &cluster, servers.iter().map(|server| server.address).collect()).await?;
        return chaos::run(&cluster, &fleet, servers, (arguments.devices, rounds, arguments.seed)).await;
    }
    let server = Server::start(NAMESPACE, arguments.log.clone(), &arguments.server_options).await?;
    let fleet = fleet(&arguments, &cluster, vec![server.address]).await?;
    measure(&arguments, &cluster, &fleet, server, workloads).await
}

/// The devices, before they say anything.
async fn fleet(arguments: &Arguments, cluster: &Cluster, addresses: Vec<SocketAddr>) -> Result<Arc<Fleet>> {
    let ca = cluster.secret("flotta-bootstrap", "ca.pem").await?;
    let place = Place::new(addresses, &ca)?;
    let bootstrap = place.config(
        &cluster.secret("flotta-bootstrap", "bootstrap.pem").await?,
        &cluster.secret("flotta-bootstrap", "bootstrap.key").await?,
    )?;
    Ok(Arc::new(Fleet {
        place,
        bootstrap,
        period: Duration::from_secs(arguments.period),
        figures: Figures::new(arguments.devices),
        identities: Identities::open(arguments.identities.clone(), &ca),
        turns: Semaphore::new(arguments.turns),
        tells: arguments.chaos.is_some(),
        told: std::sync::Mutex::default(),
    }))
}

async fn measure(
    arguments: &Arguments,
    cluster: &Cluster,
    fleet: &Arc<Fleet>,
    mut server: Server,
    workloads: usize,
) -> Result<()> {
    let mut table =
        Table { devices: arguments.devices, period: arguments.period, workloads, ..Table::default() };
    let began = Instant::now();
    let writes = cluster.writes().await?;
    for number in 0..arguments.devices {
        tokio::spawn(Device::new(Arc::clone(fleet), number).run());
    }
    let devices = arguments.devices;
    let figures = &fleet.figures;
    say(&format!("{devices} devices ask to be let in"));
    all("let in", devices, || figures.registered.load(Relaxed), figures).await?;
    table.let_in = began.elapsed().as_secs_f64();
    table.let_in_writes = cluster.writes().await? - writes;
    table.let_in_cpu = server::cpu(server.pid())?;
    fleet.identities.store()?;
    // (each says that it runs, and so on)
    settle(cluster, fleet.period).await?;

    table.steady = steady(cluster, &server, figures, arguments.steady).await?;
    // What follows takes long, and may fail.
    eprintln!("so far:\n{table}");
    let generation = change(cluster, &server, figures, &mut table, devices).await?;
    settle(cluster, fleet.period).await?;
    table.change_memory = server::memory(server.pid())?.1;
    restart(&mut server, figures, &mut table, devices, fleet.period).await?;
    table.memory_after = server::memory(server.pid())?.0;
    ensure!(figures.with_generation(generation) == devices, "a device lost the change");
    println!("{table}");
    for (why, times) in lock(&figures.failures).iter() {
        println!("{times} × {why}");
    }
    let broken = lock(&figures.broken);
    ensure!(broken.is_empty(), "{}", broken.join("; "));
    Ok(())
}

fn say(text: &str) {
    eprintln!("fleet: {text}");
}

/// Waits until all devices are so far.
async fn all(what: &str, devices: usize, count: impl Fn() -> usize, figures: &Figures) -> Result<()> {
    let mut told = Instant::now();
    while count() < devices {
        let _ = timeout(Duration::from_secs(5), figures.moved.notified()).await;
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            say(&format!("{what}: {} of {devices}", count()));
            if let Some((why, times)) = lock(&figures.failures).iter().max_by_key(|(_, times)| **times) {
                say(&format!("  {times} × {why}"));
            }
        }
        ensure!(figures.now() < 7200.0, "not all devices are {what} within two hours");
    }
    Ok(())
}

/// Waits until hardly anything is written any more: first heartbeats say a lot.
async fn settle(cluster: &Cluster, period: Duration) -> Result<()> {
    let mut before = cluster.writes().await?;
    sleep(period).await;
    loop {
        let now = cluster.writes().await?;
        let rate = (now - before) / period.as_secs_f64();
        say(&format!("{rate:.1} writes/s"));
        if rate < 5.0 {
            return Ok(());
        }
        before = now;
        sleep(period).await;
    }
}

async fn steady(cluster: &Cluster, server: &Server, figures: &Figures, seconds: u64) -> Result<Steady> {
    say(&format!("the steady state, for {seconds} s"));
    let own = std::process::id();
    figures.take();
    let (began, writes) = (Instant::now(), cluster.writes().await?);
    let (cpu, mine) = (server::cpu(server.pid())?, server::cpu(own)?);
    sleep(Duration::from_secs(seconds)).await;
    let entries = figures.take();
    let passed = began.elapsed().as_secs_f64();
    let (memory, peak_memory) = server::memory(server.pid())?;
    Ok(Steady {
        seconds: passed,
        server_cpu: (server::cpu(server.pid())? - cpu) / passed,
        own_cpu: (server::cpu(own)? - mine) / passed,
        writes: (cluster.writes().await? - writes) / passed,
        memory,
        peak_memory,
        entries,
    })
}

async fn change(
    cluster: &Cluster,
    server: &Server,
    figures: &Figures,
    table: &mut Table,
    devices: usize,
) -> Result<u64> {
    let generation = 1 + std::time::UNIX_EPOCH.elapsed()?.as_secs();
    say("a workload changes for all");
    let (began, cpu, writes) = (Instant::now(), server::cpu(server.pid())?, cluster.writes().await?);
    cluster.change(generation).await?;
    all("told of the change", devices, || figures.with_generation(generation), figures).await?;
    table.change = began.elapsed().as_secs_f64();
    table.change_cpu = (server::cpu(server.pid())? - cpu) / table.change;
    table.change_writes = (cluster.writes().await? - writes) / table.change;
    Ok(generation)
}

async fn restart(
    server: &mut Server,
    figures: &Figures,
    table: &mut Table,
    devices: usize,
    period: Duration,
) -> Result<()> {
    say("the server ends, and starts again after 5 s");
    let stopping = Instant::now();
    server.stop(true).await?;
    table.stop = stopping.elapsed().as_secs_f64();
    sleep(Duration::from_secs(5)).await;
    let starting = Instant::now();
    server.again().await.context("the server doesn't start again")?;
    table.start = starting.elapsed().as_secs_f64();
    let at = figures.now();
    figures.take();
    all("back", devices, || figures.heard_since(at), figures).await?;
    table.back = figures.now() - at;
    // those that have failed come again meanwhile
    sleep(period).await;
    let entries = figures.take();
    table.peak = peak(&entries);
    table.connected = entries.iter().filter(|entry| entry.connected).count();
    Ok(())
}
