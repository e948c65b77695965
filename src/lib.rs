//! An edge agent for [Project Flotta](https://project-flotta.io): it runs workloads on a small Linux
//! device, and only while the device can afford them.
//!
//! # How it is built
//!
//! Every thread turns the world into an [`Event`](agent::Event) on one bounded channel. One loop
//! ([`run`]) calls [`decide`](agent::Agent::decide) with the event and the present time. Every
//! [`Action`](agent::Action) that comes back goes to exactly one worker, and its outcome is just another event.
//!
//! ```text
//!  signals ───┐                                       ┌─► podman        a thread an order ─┐
//!  metrics ───┤ Event    ┌──────────────────────────┐ ├─► edge API      a thread a call   ─┤
//!  manifests ─┼─bounded─►│ run: receive until the   │─┼─► state directory                  │
//!  exits ─────┤          │ deadline → decide → send │ ├─► Kubernetes    a few threads     ─┤
//!  pressure ──┤          └──────────────────────────┘ └─► log, service manager, replies    │
//!  questions ─┤                                                                            │
//!  outcomes ──┘                                                                            │
//!      ▲──────────────────────────── outcome = Event ──────────────────────────────────────┘
//! ```
//!
//! The loop never blocks on a send, and at most one order that makes, stops or looks at a pod is in flight, so nothing
//! can wait in a circle: a slow pull, start or stop holds up no other workload. A start that has become needless is cut short.
//!
//! # Where to find what
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | flags, environment, file and defaults become one valid [`Settings`](settings::Settings) |
//! | [`run`] | the loop: the only place that owns channels and starts the long-lived workers |
//! | [`agent`] | **decides**: no I/O, no clock, no thread, no randomness |
//! | [`wire`] | the formats: manifests, messages, pods, podman's answers, its own |
//! | [`io`] | **acts**: files, sockets, processes, signals; `io::clock` alone reads clocks |
//! | [`check`] | `--check`: says what was understood, and touches nothing |
//! | [`doctor`] | `doctor`: looks for what keeps the agent from its work |
//!
//! Dependencies point one way: `main → run → {agent, io}`, `io → {wire, agent's types}`,
//! `wire → agent's types`, and `agent` needs nothing but the standard library and pure crates.

pub mod agent;
pub mod check;
pub mod doctor;
pub mod io;
pub mod run;
pub mod settings;
pub mod wire;
