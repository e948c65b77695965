//! The agent as its users meet it: the real binary, real files, real podman.
//!
//! | file | what it shows |
//! |---|---|
//! | `standalone` | manifests become pods: added, changed, broken, removed; conditions stop and start them |
//! | `adoption` | the agent dies and comes back: the same pods run |
//! | `convergence` | pods that crash, vanish or are killed; engines that go away; nothing waits for another |
//! | `process` | settings, exit codes, signals, `--check` |
//! | `support` | a device for a test, podman's API, a proxy that holds requests back |
//!
//! Tests that need podman are skipped by name where there is none; `make test` brings a private one, and then
//! a skip is a failure.

#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)] // a failing helper is a failing test

mod scenarios;
mod support;
