//! A control plane for Flotta devices: it serves them what a directory or a Kubernetes API server has for them over
//! mutual TLS, shows what they say, and misbehaves when told to.
//!
//! ```text
//! server ── TLS, a task per connection ──► faults ──► api ──► store: directory or kubernetes
//! control ─ commands: the terminal, a socket ─┘        └────► journal: stdout, --log-json
//! ```

mod allowance;
mod api;
mod authority;
mod configuration;
mod directory;
mod edge;
mod faults;
mod http;
mod journal;
mod kubernetes;
mod limits;
mod metrics;
mod misbehave;
mod server;
mod socket;
mod store;
mod tls;
mod yaml;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

use crate::{
    authority::Authority,
    directory::{Approval, Directory},
    edge::Edge,
    journal::Journal,
    kubernetes::Kubernetes,
    metrics::Metrics,
    store::Store,
};

#[derive(Parser)]
#[command(version, about)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Serve manifests to devices until interrupted
    #[command(after_help = directory::control::HELP)]
    Serve(Box<Serve>),
    /// Print the definitions of the resources, for `kubectl apply -f -`
    Crds {
        /// Write them into this directory instead, a file each
        #[arg(value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Make a bootstrap certificate for a batch of devices, in a Secret of the cluster: as long as that is there
    Batch {
        /// The batch: the Secret is called flotta-bootstrap-NAME
        name: String,
        /// Where the server's CA is [default: the kubeconfig's]
        #[arg(long, value_name = "NAMESPACE")]
        namespace: Option<String>,
        /// The EdgeDeviceSet that its devices will belong to
        #[arg(long, value_name = "NAME")]
        set: Option<String>,
        /// Let its devices in at once
        #[arg(long)]
        approve: bool,
    },
    /// Send a command to a running server, and print its answer
    #[command(after_help = directory::control::HELP)]
    Tell {
        /// The server's --dir
        dir: PathBuf,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// How to serve.
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// Directory of EdgeDevice, EdgeWorkload, ConfigMap and Secret manifests; read again when it changes
    #[arg(long, value_name = "DIR", required_unless_present = "kubernetes")]
    manifests: Option<PathBuf>,
    /// Keep everything in the Kubernetes cluster that KUBECONFIG names, or in which this is a pod
    #[arg(long, conflicts_with_all = ["manifests", "dir", "labels", "faults", "ordered"])]
    kubernetes: bool,
    /// Where the CA and devices' requests are in the cluster [default: the pod's own, or the kubeconfig's]
    #[arg(long, value_name = "NAMESPACE", requires = "kubernetes")]
    namespace: Option<String>,
    /// Where devices and what is meant for them are, if not there; may be repeated: the first is for those that ask for
    /// another one
    #[arg(long = "device-namespace", value_name = "NAMESPACE", requires = "kubernetes")]
    device_namespaces: Vec<String>,
    /// Where CA, bootstrap certificate, known devices and the control socket are kept, and found again at the next
    /// start [default: a new directory below the temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8043")]
    listen: SocketAddr,
    /// Whether unknown devices are let in: auto, ask (on the terminal, or by kubectl), never, after=SECONDS (not with
    /// --kubernetes) [default: auto, with --kubernetes ask]
    #[arg(long)]
    approve: Option<Approval>,
    /// A name or an address by which devices reach it, beside project-flotta.io, 127.0.0.1 and ::1; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// How long a device's certificate is valid from now on; not more than 0: it has ended already
    #[arg(long, value_name = "N", default_value = "2592000", allow_negative_numbers = true,
        value_parser = authority::life)]
    certificate_seconds: i64,
    /// A label of every device, beside those of its EdgeDevice manifest; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Heartbeat period of devices whose manifest gives none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    period: i64,
    /// Send lists that the real one makes of maps always in the same order: the real one doesn't
    #[arg(long)]
    ordered: bool,
    /// Take the commands that make it misbehave: for tests
    #[arg(long)]
    faults: bool,
    /// How many devices may be connected at once
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    connections: usize,
    /// Where to serve /healthz, /readyz and /metrics, over plain HTTP
    #[arg(long, value_name = "IP:PORT")]
    metrics_listen: Option<SocketAddr>,
    /// Append one JSON object per request to this file
    #[arg(long, value_name = "FILE")]
    log_json: Option<PathBuf>,
    /// Print no requests: for hundreds of devices
    #[arg(long)]
    quiet: bool,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is written KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A connection is a descriptor, and the limit that programs start with is low.
fn allow_connections() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where that isn't allowed, fewer devices can be connected.
    let _ = setrlimit(Resource::Nofile, limit);
}

#[tokio::main]
async fn main() -> ExitCode {
    allow_connections();
    let done = match Command::parse().action {
        Action::Tell { dir, command } => directory::control::tell(&dir, &command.join(" ")).await,
        Action::Batch { name, namespace, set, approve } => {
            let batch = kubernetes::Batch { name, set, approves: approve };
            kubernetes::create_batch(namespace, &batch).await.map(|secret| println!("{secret}"))
        }
        Action::Crds { dir } => definitions(dir.as_deref()),
        Action::Serve(serve) => run(*serve).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flotta-edge-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(serve: Serve) -> Result<()> {
    let quiet = serve.quiet || serve.kubernetes;
    let journal = Arc::new(Journal::open(serve.log_json.as_deref(), quiet)?);
    if serve.kubernetes {
        return from_cluster(serve, journal).await;
    }
    let listen = serve.listen;
    let for_edge = for_edge(&serve);
    let dir = directory::home(serve.dir)?;
    let authority = Authority::open(&dir)?;
    let metrics = Arc::new(Metrics::default());
    let measured = serve.metrics_listen;
    let options = directory::Options {
        manifests: serve.manifests.context("--manifests is missing")?,
        approval: serve.approve.unwrap_or(Approval::Auto),
        labels: serve.labels,
        period: serve.period,
        ordered: serve.ordered,
    };
    let store = Directory::open(dir, options, Arc::clone(&journal))?;
    let edge = Arc::new(Edge::new(store, authority, journal, Arc::clone(&metrics), for_edge)?);
    let commands = directory::control::bind(&edge)?;
    let (listener, address) = listening(listen).await?;
    let dir = edge.store.dir().display();
    println!("directory: {dir}");
    println!("  ca.pem, bootstrap.pem, bootstrap.key   for CA_ROOT, CERT and KEY of a device");
    println!("  control.sock                           for: flotta-edge-api tell {dir} help");
    let served = server::serve(Arc::clone(&edge), listener, address);
    let controlled = directory::control::listen(Arc::clone(&edge), commands);
    let ended = tokio::select! {
        result = served => result,
        result = controlled => result,
        result = measure(measured, metrics, String::new) => result,
        () = directory::control::terminal(Arc::clone(&edge)) => Ok(()),
        () = async {
            interrupted().await;
            edge.drains.send_replace(true);
            // Who says it again doesn't want to wait for what is under way.
            interrupted().await;
        } => Ok(()),
    };
    directory::control::close(&edge);
    // The terminal's reader is a thread that can't be interrupted: don't wait for it.
    match ended {
        Ok(()) => std::process::exit(0),
        Err(error) => Err(error),
    }
}

async fn from_cluster(serve: Serve, journal: Arc<Journal>) -> Result<()> {
    let approves = match serve.approve {
        Some(Approval::Auto) => true,
        None | Some(Approval::Ask | Approval::Never) => false,
        Some(Approval::After(_)) => bail!("--approve after=SECONDS makes no sense with --kubernetes"),
    };
    let (listen, for_edge) = (serve.listen, for_edge(&serve));
    let options = kubernetes::Options {
        namespace: serve.namespace,
        device_namespaces: serve.device_namespaces,
        approves,
        period: serve.period,
    };
    let metrics = Arc::new(Metrics::default());
    // What is known of the cluster, once it is.
    let known: Arc<OnceLock<Arc<Edge<Kubernetes>>>> = Arc::default();
    let further = Arc::clone(&known);
    let measured = measure(serve.metrics_listen, Arc::clone(&metrics), move || {
        further.get().map(|edge| edge.store.metrics()).unwrap_or_default()
    });
    let serving = async {
        let (store, authority) = Kubernetes::open(options, Arc::clone(&journal)).await?;
        let edge = Arc::new(Edge::new(store, authority, journal, metrics, for_edge)?);
        let _ = known.set(Arc::clone(&edge));
        let (listener, address) = listening(listen).await?;
        println!("namespace: {}", edge.store.home());
        println!("  the Secret flotta-bootstrap has CA_ROOT, CERT and KEY of a device");
        let ends = async {
            interrupted().await;
            edge.drains.send_replace(true);
            edge.store.end().await;
            std::future::pending().await
        };
        tokio::select! {
            result = server::serve(Arc::clone(&edge), listener, address) => result,
            result = edge.renew() => result,
            () = ends => Ok(()),
        }
    };
    tokio::select! {
        result = serving => result,
        result = measured => result,
    }
}

fn for_edge(serve: &Serve) -> edge::Options {
    edge::Options {
        names: serve.names.clone(),
        certificate_seconds: serve.certificate_seconds,
        may_misbehave: serve.faults,
        connections: serve.connections,
    }
}

/// Health and metrics, where they are asked for; for ever.
async fn measure(
    address: Option<SocketAddr>,
    metrics: Arc<Metrics>,
    further: impl Fn() -> String + Send + Sync + 'static,
) -> Result<()> {
    match address {
        Some(address) => metrics::serve(address, metrics, Arc::new(further)).await,
        None => std::future::pending().await,
    }
}

async fn listening(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = server::bind(address).await.with_context(|| format!("failed to listen on {address}"))?;
    let address = listener.local_addr()?;
    println!("listening: https://{address}");
    Ok((listener, address))
}

fn definitions(dir: Option<&Path>) -> Result<()> {
    for (name, text) in kubernetes::resources::documents()? {
        match dir.map(|dir| dir.join(name)) {
            Some(path) => std::fs::write(&path, text)
                .with_context(|| format!("failed to write '{}'", path.display()))?,
            None => println!("---\n{}", text.trim_end()),
        }
    }
    Ok(())
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => (),
            _ = terminate.recv() => (),
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
