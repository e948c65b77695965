//! Made-up trees for tests, such as a `/proc` and a `/sys`.

use std::{fs, os::unix::fs::symlink};

/// Makes files of these paths and contents; a content `-> PATH` makes a link.
pub(crate) fn test_tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match content.strip_prefix("-> ") {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, content).unwrap(),
        }
    }
    root
}
