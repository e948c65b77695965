//! The metrics endpoint as its users and its enemies see it: a host process, its receiver, real sockets.
//!
//! | module | what it shows |
//! |---|---|
//! | [`answers`] | what `behaviour.md` promises to whoever posts |
//! | [`hostile`] | the attacks that end a bare tiny_http |
//! | [`kills`] | nothing that got a 200 is lost by `kill -9` of either process, at any moment |
//!
//! `METRICS_KILLS=200` kills that often; the default is quick.

#![allow(clippy::unwrap_used)] // clippy knows only functions marked as tests

mod answers;
mod hostile;
mod kills;
mod support;
