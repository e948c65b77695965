//! The podman executor on a real podman: the one whose socket `PODMAN_SOCKET` names, with an image
//! `localhost/device-worker-ng-demo:1` in it. Without that variable each test says that it was skipped.
//!
//! | module | what it shows |
//! |---|---|
//! | [`bed`] | orders, and what is asked of podman beside the executor |
//! | [`orders`] | start, look, list, remove, and what stays behind when they fail |
//! | [`exits`] | ends of processes are noticed at once, and podman is left alone otherwise |
//! | [`lanes`] | slow orders don't hold up others |

#![allow(clippy::unwrap_used, clippy::expect_used)] // a failing helper is a failing test

mod bed;
mod exits;
mod lanes;
mod orders;
