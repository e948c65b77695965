//! The agent as its users meet it: the real binary, real files, real podman.
//!
//! | module | what it shows |
//! |---|---|
//! | [`scenarios::standalone`] | manifests become pods: added, changed, broken, removed; conditions stop and start them |
//! | [`scenarios::adoption`] | the agent dies and comes back: the same pods run |
//! | [`scenarios::convergence`] | pods that crash, vanish or are killed; engines that go away; nothing waits for another |
//! | [`scenarios::events`] | what the server hears of an agent that is killed |
//! | [`scenarios::process`] | settings, exit codes, signals, `--check` |
//! | [`scenarios::architecture`] | the house stays as it is drawn |
//! | [`metrics`] | the endpoint: what whoever posts is promised, the attacks on it, kills of both processes |
//! | [`kubernetes`] | workloads of type k8s: Deployments on a real API server |
//! | [`podman`] | the executor by itself: orders, exits, lanes |
//! | [`support`] | a device for a test, podman's API, an edge API, a proxy that holds requests back, a client of the endpoint |
//!
//! Tests that need podman are skipped by name where there is none; `make test` brings a private one, and then
//! a skip is a failure. Those that need a Kubernetes API server want `KUBE_SANDBOX` to name what brings one.

// Tests measure and wait, and a failing helper is a failing test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, unreachable_pub)]

mod kubernetes;
mod metrics;
mod podman;
mod scenarios;
mod support;
