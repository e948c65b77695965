//! What is real in these tests, and what becomes of a test where it is missing.

use std::{
    io::{self, Write},
    path::PathBuf,
    thread,
};

/// The socket of a podman that tests may use, or `None` after saying by name which test was skipped.
pub fn podman_or_skip() -> Option<PathBuf> {
    if let Some(socket) = std::env::var_os("PODMAN_SOCKET") {
        return Some(socket.into());
    }
    skip_without(Part::Brought, "no private podman; `make test` brings one");
    None
}

/// Who sees to it that something real is there for a test to run against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `make test`.
    Brought,
    /// Who runs the tests, on a machine that allows it.
    Found,
}

/// Says by name which test is skipped, for want of a part. That is a failure where the part was to be brought, and
/// with `DWNG_REQUIRE_ALL` always.
pub fn skip_without(part: Part, why: &str) {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_required = is_set("DWNG_REQUIRE_ALL") || part == Part::Brought && is_set("DWNG_REQUIRE_PODMAN");
    assert!(!is_required, "must not be skipped: {why}");
    skip(why);
}

/// Says by name which test is skipped.
pub fn skip(why: &str) {
    // Past the harness, which keeps to itself what a passing test prints. It names its threads by their tests.
    let test = thread::current();
    let line = format!("skipped: {} ({why})\n", test.name().unwrap_or("a test"));
    let _ = io::stderr().write_all(line.as_bytes()); // in one piece
}
