//! The harnesses: one for each kind of thing that comes from outside.

mod certificates;
mod conmon;
mod cron;
mod expressions;
mod frames;
mod http;
mod kubeconfig;
mod kubernetes;
mod manifests;
mod podman;
mod posts;
mod quantities;
mod registries;
mod server;
mod settings;
mod state;
mod workload;

/// A harness.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As `make fuzz TARGET=` has it, and the directory of its seeds.
    pub name: &'static str,
    /// Reads an input, and panics where a promise is broken.
    pub run: fn(&[u8]),
    /// What it may take whatever the input's length, in bytes.
    pub memory: usize,
    /// How many inputs a test gives it: a second or two without optimization.
    pub inputs: u64,
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "certificates", run: certificates::run, memory: MIB, inputs: 600 },
    Target { name: "conmon", run: conmon::run, memory: 256 * KIB, inputs: 800 },
    Target { name: "cron", run: cron::run, memory: 256 * KIB, inputs: 1_000 },
    Target { name: "expressions", run: expressions::run, memory: MIB, inputs: 1_000 },
    Target { name: "frames", run: frames::run, memory: 256 * KIB, inputs: 3_000 },
    Target { name: "http", run: http::run, memory: 256 * KIB, inputs: 2_000 },
    Target { name: "kubeconfig", run: kubeconfig::run, memory: 32 * MIB, inputs: 600 },
    Target { name: "kubernetes", run: kubernetes::run, memory: 4 * MIB, inputs: 800 },
    Target { name: "manifests", run: manifests::run, memory: 64 * MIB, inputs: 300 },
    Target { name: "podman", run: podman::run, memory: MIB, inputs: 800 },
    Target { name: "posts", run: posts::run, memory: MIB, inputs: 1_500 },
    Target { name: "quantities", run: quantities::run, memory: 256 * KIB, inputs: 3_000 },
    Target { name: "registries", run: registries::run, memory: MIB, inputs: 1_000 },
    Target { name: "server", run: server::run, memory: 96 * MIB, inputs: 400 },
    Target { name: "settings", run: settings::run, memory: 32 * MIB, inputs: 700 },
    Target { name: "state", run: state::run, memory: 32 * MIB, inputs: 300 },
];

impl Target {
    /// The one of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TARGETS.iter().find(|target| target.name == name)
    }
}
