//! Looks for a text in everything below a directory.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::podman;

/// Larger files hold images.
const LARGEST: u64 = 64 << 20;

/// The files whose content or path has the text, or the base64 of it, sorted.
pub fn holders(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let encoded = BASE64_STANDARD.encode(text);
    search(directory, [text, encoded.trim_end_matches('=')], &mut found);
    found.sort();
    found
}

/// The same in all that a podman keeps on disk and in memory, its database apart.
pub fn podmans_holders(socket: &Path, text: &str) -> Vec<String> {
    let store = &podman::call(socket, "GET", "info", "").1["store"];
    let places = ["graphRoot", "runRoot"].map(|key| store[key].as_str().unwrap());
    let all = places.iter().flat_map(|place| holders(Path::new(place), text));
    all.filter(|file| !is_database(file)).collect()
}

/// podman's database keeps what was in it until it needs the space. Only its user can read it.
pub fn is_database(file: &str) -> bool {
    let is_one = file.ends_with("/bolt_state.db") || file.contains("/db.sql");
    assert!(!is_one || is_private(Path::new(file)), "{file} is open to others");
    is_one
}

fn search(directory: &Path, texts: [&str; 2], found: &mut Vec<String>) {
    // what vanishes meanwhile holds nothing
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, Ok(metadata)) = (entry.path(), entry.metadata()) else { continue };
        if metadata.is_dir() {
            search(&path, texts, found);
        }
        let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        let has_it = |bytes: &[u8]| texts.iter().any(|text| has(bytes, text));
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
