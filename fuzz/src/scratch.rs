//! A directory for one input, in memory, and what is in it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Gone when this is dropped.
pub fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory for the input")
}

/// Every path below this one, with its mode and content.
pub fn everything(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.to_owned()];
    while let Some(path) = waiting.pop() {
        let about = path.symlink_metadata().expect("what was listed is there");
        if about.is_dir() {
            waiting.extend(fs::read_dir(&path).expect("ours").map(|entry| entry.expect("ours").path()));
        }
        let content = if about.is_file() { fs::read(&path).expect("ours") } else { Vec::new() };
        found.insert(path, (about.permissions().mode(), content));
    }
    found
}

/// Whether an input's file can have this name: any that the kernel takes within a directory.
pub fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && !name.contains(['/', '\0']) && name != "." && name != ".."
}
