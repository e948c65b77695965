//! What is kept of a directory, for the harnesses in `fuzz/`.

use std::{io, path::Path};

use super::folder::Folder;
use crate::{agent::model::workload::DesiredState, wire::manifest::UnknownFields};

/// What is kept of the directory's files for the next start.
///
/// # Errors
/// The directory can't be read.
pub fn kept(dir: &Path) -> io::Result<Vec<u8>> {
    let mut folder = Folder::new(dir.to_owned(), UnknownFields::Refuse);
    folder.sync(&|_| false)?;
    Ok(folder.to_saved_bytes()?)
}

/// What an agent that can't read the directory takes from that.
///
/// # Errors
/// It is not what this version keeps.
pub fn remembered(kept: &[u8], device_id: &str) -> Result<DesiredState, String> {
    let mut folder = Folder::new("/nowhere".into(), UnknownFields::Refuse);
    folder.restore(kept).map_err(|error| error.to_string())?;
    Ok(folder.assemble(device_id).0)
}
