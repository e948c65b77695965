//! How the agent starts threads: named, and with as much stack as they need. A panic in one ends the process:
//! `end_on_panic` in `main.rs`.

use std::{io, thread};

/// What a small device can spare, and enough for what doesn't recurse deeply.
const STACK: usize = 128 * 1024;

/// Starts a thread that parses nothing deep.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    spawn_with_stack(name, STACK, body)
}

/// The same with a stack of another size, in bytes. What isn't used of it costs nothing.
pub(crate) fn spawn_with_stack(
    name: &str,
    stack: usize,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    start(name, stack, Box::new(body))
}

/// What starts a thread is 2 KB of the binary, for each kind of body.
fn start(name: &str, stack: usize, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name(name.into()).stack_size(stack).spawn(body).map(drop)
}
