//! An edge agent for [Project Flotta](https://project-flotta.io): it runs workloads on a small Linux
//! device, and stops them while their conditions are false or memory or disk is short.
//!
//! This is the program in parts, for its own tests; it is no library with a stable API. `docs/architecture.md` tells how it
//! is built, `docs/rules.md` which function decides what.

pub mod agent;
pub mod check;
pub mod client;
pub mod doctor;
pub mod io;
pub mod reload;
pub mod run;
pub mod settings;
pub mod wire;
