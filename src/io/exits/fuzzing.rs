//! The readers of what `conmon` says, for the harnesses in `fuzz/`.

use std::path::{Path, PathBuf};

use super::conmon;
pub use super::conmon::Exit;

/// Where the `conmon` of this command line writes how its container ended.
pub fn exit_file(cmdline: &[u8], container: &str) -> Option<PathBuf> {
    conmon::exit_file(cmdline, container)
}

/// What it wrote.
pub fn exit(path: &Path) -> Option<Exit> {
    conmon::read(path)
}
