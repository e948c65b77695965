//! The agent as its users meet it: the real binary, real files, real podman.
//!
//! | module | what it shows |
//! |---|---|
//! | [`scenarios::standalone`] | manifests become pods: added, changed, broken, removed; conditions stop and start them |
//! | [`scenarios::adoption`] | the agent dies and comes back: the same pods run |
//! | [`scenarios::convergence`] | pods that crash, vanish or are killed; engines that go away; nothing waits for another |
//! | [`scenarios::engines`] | rootless podman, by its user's agent and beside the rootful one |
//! | [`scenarios::restarts`] | a container that ends is started again in its pod, and nothing else of it |
//! | [`scenarios::updates`] | an update waits until it is allowed, over kills and reboots |
//! | [`scenarios::health`] | containers that are not well are ended and started again; slow starts are waited for; what depends on others |
//! | [`scenarios::hardware`] | device nodes and network interfaces come and go: what needs them starts and stops |
//! | [`scenarios::kinds`] | Kubernetes YAML as it is: Deployments, Services, Jobs, Lists |
//! | [`scenarios::pressure`] | the device comes first: reserves of memory and disk, default limits |
//! | [`scenarios::secrets`] | Secrets reach the pods that name them, and stay nowhere else |
//! | [`scenarios::log`] | what is logged and shown: never at the cost of the work, and nothing that others forge |
//! | [`scenarios::process`] | settings, exit codes, signals, `--check` |
//! | [`command`] | what a person at the device is told: why a workload doesn't run, in thirty situations, and that remedies help; exit codes; JSON and its schemas; output; the support bundle; what is done by hand |
//! | [`scenarios::documents`] | README and `docs/` say what the code does; their examples work |
//! | [`scenarios::manual`] | man page and completions keep up with `--help` |
//! | [`scenarios::architecture`], [`scenarios::circles`] | the source stays as it is drawn, and can be read from the ground up |
//! | [`metrics`] | the endpoint: what a client that posts is promised, the attacks on it, kills of both processes |
//! | [`edge`] | the agent and an edge API: from a stranger to running pods; certificates, kills, outages, chaos |
//! | [`kubernetes`] | a real API server: workloads of type k8s, and the control plane in a cluster |
//! | [`podman`] | the executor by itself: orders, exits, restarts of one container, limits, probes, secrets, registries, lanes |
//! | [`scenarios::surroundings`] | what the agent relies on around it fails: what works on, what is said, how it recovers |
//! | [`page`] | the status page in a real browser |
//! | [`support`] | a device for a test, an edge API, a registry, a link that fails, podman's API, a proxy that holds requests back, a client of the endpoint |
//!
//! Tests that need podman are skipped by name where there is none; `make test` brings a private one, and then
//! a skip is a failure. Those that need a Kubernetes API server want `KUBE_SANDBOX` to name what brings one, or
//! `KUBECONFIG` a cluster. With `DWNG_REQUIRE_ALL` each part that is missing is a failure.

// Tests measure and wait, and a failing helper is a failing test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, unreachable_pub)]

mod command;
mod edge;
mod kubernetes;
mod metrics;
mod page;
mod podman;
mod scenarios;
mod support;
