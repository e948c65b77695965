//! Looks for a text in everything below a directory.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Larger files hold images.
const LARGEST: u64 = 64 << 20;

/// The files whose content or path has the text, sorted.
pub fn holders(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    search(directory, text.as_bytes(), &mut found);
    found.sort();
    found
}

fn search(directory: &Path, text: &[u8], found: &mut Vec<String>) {
    // what vanishes meanwhile holds nothing
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if metadata.is_dir() {
            search(&path, text, found);
        }
        let has_it = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text);
        let is_holder = has_it(path.as_os_str().as_encoded_bytes())
            || metadata.is_file()
                && metadata.len() <= LARGEST
                && fs::read(&path).is_ok_and(|content| has_it(&content));
        if is_holder {
            found.push(path.display().to_string());
        }
    }
}

/// Whether users other than the owner can come near a file: it or a directory above is closed to them.
pub fn is_private(file: &Path) -> bool {
    file.ancestors().any(|path| fs::metadata(path).is_ok_and(|it| it.permissions().mode() & 0o077 == 0))
}
