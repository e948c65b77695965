//! Which files of a directory are manifests, and what is in them.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use crate::wire::manifest::{Problem, QUADLET_HINT, Severity};

pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;
pub(super) const MAX_FILES: usize = 1_000;
/// More problems than this at once don't help.
pub(super) const MAX_PROBLEMS: usize = 100;

/// By their names.
pub(super) type Files = BTreeMap<String, io::Result<Metadata>>;

/// Whether a file of this name is read: not what is hidden, and not what editors leave beside it.
pub(super) fn is_manifest(name: &str) -> bool {
    let is_known = |extension: &str| matches!(extension, "yaml" | "yml" | "json");
    !name.starts_with(['.', '#']) && name.rsplit_once('.').is_some_and(|(_, extension)| is_known(extension))
}

/// Whether a file of this name is a Quadlet, which its author expects to run.
fn is_quadlet(name: &str) -> bool {
    const QUADLET_EXTENSIONS: [&str; 7] = ["build", "container", "image", "kube", "network", "pod", "volume"];
    !name.starts_with('.')
        && name.rsplit_once('.').is_some_and(|(_, kind)| QUADLET_EXTENSIONS.contains(&kind))
}

/// Whether something is said of a file of this name.
pub(super) fn is_manifest_or_quadlet(name: &str) -> bool {
    is_manifest(name) || is_quadlet(name)
}

/// The directory's manifests, and what is known of each: links are followed. And what is wrong with other files.
pub(super) fn list(dir: &Path) -> io::Result<(Files, Vec<Problem>)> {
    let (mut found, mut others) = (Files::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_manifest(&name) {
            if is_quadlet(&name) && others.len() < MAX_PROBLEMS {
                let problem = Problem::for_file(&Arc::from(name), QUADLET_HINT);
                others.push(Problem { severity: Severity::Warning, ..problem });
            }
            continue;
        }
        match fs::metadata(entry.path()) {
            Ok(metadata) if !metadata.is_file() => continue,
            // gone since it was listed; a link to nothing is still there
            Err(error) if error.kind() == ErrorKind::NotFound && entry.path().symlink_metadata().is_err() => {
            }
            metadata => {
                found.insert(name, metadata);
            }
        }
        if found.len() > 10 * MAX_FILES {
            return Err(io::Error::other(format!("it holds more than {} files", 10 * MAX_FILES)));
        }
    }
    Ok((found, others))
}

/// Without waiting, should the file turn out to be a pipe by now.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(content)
}
