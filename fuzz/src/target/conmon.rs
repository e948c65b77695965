//! The command line of a `conmon`, and what it wrote of an exit.

use std::fs;

use device_worker_ng::io::exits::fuzzing::{exit, exit_file};

use crate::{bundle, scratch};

pub(super) fn run(input: &[u8]) {
    let files = bundle::files(input);
    let container = "0123456789abcdef";
    if let Some(path) = exit_file(bundle::bytes(&files, ""), container) {
        assert!(path.is_absolute() && path.ends_with(container), "{}", path.display());
    }
    let written = bundle::bytes(&files, "exit");
    let scratch = scratch::directory();
    let path = scratch.path().join(container);
    fs::write(&path, written).expect("ours");
    if let Some(exit) = exit(&path) {
        let text = String::from_utf8_lossy(&written[..written.len().min(16)]).trim().to_owned();
        assert_eq!(text.parse(), Ok(exit.code), "{text}");
    }
}
