//! The writer of volumes, for the harnesses in `fuzz/`.

use std::path::Path;

use super::volumes::Volumes;
use crate::{agent::model::workload::Workload, wire::podman::libpod::file_volumes};

/// Writes a workload's volumes into a directory.
///
/// # Errors
/// They can't be written.
pub fn write_volumes(workload: &Workload, directory: &Path) -> Result<(), String> {
    // any file of the user's own stands for podman's socket
    let trees = file_volumes(workload);
    let trees: Vec<_> = trees.iter().collect();
    Volumes::new(directory.to_owned(), "/proc/self/exe".into()).make(&workload.id, &trees)
}
