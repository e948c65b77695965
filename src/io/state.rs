//! The store below [`persistence`](super::persistence): small named files in the state directory, each with a checksum and its previous generation.
//!
//! A file is `<64 hex digits of SHA-256>\n<content>`. It is replaced by renaming a synced one over it, so a power
//! cut leaves the old or the new content; should a disk tear it all the same, the previous generation is used.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use log::warn;
use ring::digest::{SHA256, digest};

use super::files;
use crate::agent::model::workload::hex;

/// Nothing that the agent keeps is larger; what is, was not written by it.
const MAX_CONTENT_BYTES: u64 = 64 << 20;
const CHECKSUM_LENGTH: usize = 64;

/// The files of one directory, which belongs to the agent alone.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// Why something can't be kept.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to write '{}': {}", self.path.display(), self.cause)
    }
}

impl std::error::Error for StoreError {}

impl Store {
    /// The directory is made, with its parents, when something is first kept: a device whose disk can't be
    /// written still runs.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// What was last kept under this name, or before that if the newest is damaged; damage is logged.
    pub fn load(&self, name: &str) -> Option<Vec<u8>> {
        let newest = self.dir.join(name);
        match read(&newest) {
            Ok(content) => return Some(content),
            Err(ReadError::Missing) => {}
            Err(ReadError::Other(cause)) => warn!("failed to read '{}': {cause}", newest.display()),
        }
        let previous = self.previous_path(name);
        match read(&previous) {
            Ok(content) => {
                warn!("using '{}' instead", previous.display());
                Some(content)
            }
            Err(ReadError::Missing) => None,
            Err(ReadError::Other(cause)) => {
                warn!("failed to read '{}': {cause}", previous.display());
                None
            }
        }
    }

    /// Keeps the content, durably when this returns. The disk is left alone when it has the content already.
    ///
    /// # Errors
    /// The disk is full, read-only or broken; what was kept before is still there.
    pub fn save(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let kept = read(&path);
        if kept.as_ref().is_ok_and(|kept| kept == content) {
            return Ok(());
        }
        let replace = || -> io::Result<()> {
            self.make_dir()?;
            let new = self.dir.join(format!("{name}.new"));
            remove_file(&new)?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(format!("{}\n", checksum(content)).as_bytes())?;
            file.write_all(content)?;
            file.sync_all()?;
            if kept.is_ok() {
                self.keep_previous(name, &path)?;
            }
            fs::rename(&new, &path)?;
            sync_dir(&self.dir)
        };
        replace().map_err(|cause| StoreError { path, cause })
    }

    /// Keeps nothing under this name any more, durably when this returns.
    ///
    /// # Errors
    /// What is there can't be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let path = self.dir.join(name);
        let remove = || -> io::Result<()> {
            // The newest last: until then it is what counts.
            let was_there = remove_file(&self.previous_path(name))? | remove_file(&path)?;
            if was_there { sync_dir(&self.dir) } else { Ok(()) }
        };
        remove().map_err(|cause| StoreError { path, cause })
    }

    /// Of these files only the newest stays: what else is kept of them, or was left of a write that was cut short, goes.
    ///
    /// # Errors
    /// What is there can't be removed.
    pub(super) fn remove_spares(&self, of: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let remove = || -> io::Result<()> {
            let entries = match fs::read_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                entries => entries?,
            };
            let mut was_there = false;
            for entry in entries {
                let name = entry?.file_name();
                if name.to_str().and_then(|it| it.split_once('.')).is_some_and(|(name, _)| of(name)) {
                    was_there |= remove_file(&self.dir.join(name))?;
                }
            }
            if was_there { sync_dir(&self.dir) } else { Ok(()) }
        };
        remove().map_err(|cause| StoreError { path: self.dir.clone(), cause })
    }

    /// Keeps what isn't understood from being replaced, and says where it is and what to do.
    pub(super) fn set_aside(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.join(name).display().to_string();
        let says = match self.save(&format!("{name}.unread"), content) {
            Ok(()) => format!(
                "if another version of the agent wrote it, install that one, stop it, and start it after 'mv {path}.unread {path}'"
            ),
            Err(error) => error.to_string(),
        };
        format!("what '{path}' says is not used; {says}")
    }

    /// What can't be put into bytes can't be kept either.
    pub(super) fn error(&self, name: &str, cause: impl Into<io::Error>) -> StoreError {
        StoreError { path: self.dir.join(name), cause: cause.into() }
    }

    /// By a link, so that the newest is never missing; filesystems without links get a rename.
    fn keep_previous(&self, name: &str, path: &Path) -> io::Result<()> {
        let previous = self.previous_path(name);
        remove_file(&previous)?;
        fs::hard_link(path, &previous).or_else(|_| fs::rename(path, &previous))
    }

    fn previous_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.previous"))
    }

    /// systemd and hasty people make it readable for all users.
    fn make_dir(&self) -> io::Result<()> {
        if !self.dir.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
            let parents = self.dir.ancestors().skip(1).filter(|it| !it.as_os_str().is_empty());
            parents.for_each(|it| drop(sync_dir(it))); // what is older than this is kept anyway
        }
        if fs::metadata(&self.dir)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&self.dir, Permissions::from_mode(0o700))?;
        }
        Ok(())
    }
}

/// Answers whether there was one.
fn remove_file(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        removed => Ok(removed.is_ok()),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

enum ReadError {
    Missing,
    Other(String),
}

fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    let read = files::open(path).and_then(|file| file.take(MAX_CONTENT_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(ReadError::Missing),
        Err(error) => return Err(ReadError::Other(error.to_string())),
        Ok(_) => {}
    }
    let is_whole = bytes.len() as u64 <= MAX_CONTENT_BYTES
        && bytes.get(CHECKSUM_LENGTH) == Some(&b'\n')
        && bytes[..CHECKSUM_LENGTH] == *checksum(&bytes[CHECKSUM_LENGTH + 1..]).as_bytes();
    if !is_whole {
        return Err(ReadError::Other("its checksum doesn't match: it is damaged".to_owned()));
    }
    bytes.drain(..=CHECKSUM_LENGTH);
    Ok(bytes)
}

fn checksum(content: &[u8]) -> String {
    hex(digest(&SHA256, content).as_ref())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("a/b"));
        (dir, store)
    }

    #[test]
    fn what_was_saved_is_loaded_and_nothing_else() {
        let (_dir, store) = store();
        assert_eq!(store.load("x"), None);
        for content in [&b"one"[..], b"", b"two\n\0\xff"] {
            store.save("x", content).unwrap();
            assert_eq!(store.load("x").as_deref(), Some(content));
        }
        assert_eq!(store.load("y"), None);
    }

    #[test]
    fn any_damage_brings_the_previous_generation_back() {
        let (_dir, store) = store();
        store.save("x", b"old").unwrap();
        store.save("x", b"new").unwrap();
        let path = store.dir.join("x");
        let whole = fs::read(&path).unwrap();
        let mut damages: Vec<Vec<u8>> = (0..whole.len()).map(|length| whole[..length].to_vec()).collect();
        damages.extend((0..whole.len()).map(|at| {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            flipped
        }));
        for damage in damages {
            fs::write(&path, &damage).unwrap();
            assert_eq!(store.load("x").as_deref(), Some(&b"old"[..]), "{damage:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(store.load("x").as_deref(), Some(&b"old"[..]));
    }

    #[test]
    fn a_damaged_generation_never_replaces_a_good_one() {
        let (_dir, store) = store();
        store.save("x", b"good").unwrap();
        store.save("x", b"bad").unwrap();
        fs::write(store.dir.join("x"), b"torn").unwrap();
        store.save("x", b"newest").unwrap();
        fs::write(store.dir.join("x"), b"torn again").unwrap();
        assert_eq!(store.load("x").as_deref(), Some(&b"good"[..]));
    }

    #[test]
    fn the_same_content_is_not_written_again() {
        let (_dir, store) = store();
        store.save("x", b"one").unwrap();
        let inode = || fs::metadata(store.dir.join("x")).unwrap().ino();
        let before = inode();
        store.save("x", b"one").unwrap();
        assert_eq!(inode(), before);
        store.save("x", b"two").unwrap();
        assert_ne!(inode(), before);
    }

    #[test]
    fn only_the_owner_can_read() {
        let (dir, store) = store();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::create_dir(&store.dir).unwrap();
        fs::set_permissions(&store.dir, Permissions::from_mode(0o755)).unwrap();
        store.save("x", b"one").unwrap();
        store.save("x", b"two").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.dir), 0o700);
        assert_eq!((mode(&store.dir.join("x")), mode(&store.dir.join("x.previous"))), (0o600, 0o600));
    }

    #[test]
    fn a_disk_that_takes_nothing_is_an_error_that_names_the_file() {
        let (dir, _) = store();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = Store::new(dir.path().join("file/sub")).save("x", b"one").unwrap_err().to_string();
        assert!(error.starts_with("failed to write '") && error.contains("file/sub/x': "), "{error}");
    }

    #[test]
    fn what_is_no_file_is_neither_waited_for_nor_followed() {
        let (_dir, store) = store();
        store.save("x", b"one").unwrap();
        let place = |name: &str| store.dir.join(name);
        let elsewhere = place("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, place("x.new")).unwrap();
        store.save("x", b"two").unwrap();
        assert_eq!(fs::read(&elsewhere).unwrap(), b"");
        fs::remove_file(place("x")).unwrap();
        mknodat(CWD, place("x"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(store.load("x").as_deref(), Some(&b"one"[..]));
        store.save("x", b"three").unwrap();
        assert_eq!(store.load("x").as_deref(), Some(&b"three"[..]));
        fs::create_dir(place("x.new")).unwrap();
        assert!(store.save("x", b"four").unwrap_err().to_string().contains("directory"));
        fs::remove_dir(place("x.new")).unwrap();
        store.save("x", b"four").unwrap();
    }
}
