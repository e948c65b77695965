//! Reading files below a root without trusting them: regular files only, so much and no more, no error.

use std::{
    fs::{self, File, OpenOptions},
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
};

use rustix::fs::OFlags;

/// Of a file no more is read; the longest real one is /proc/cpuinfo, 2 KB a processor.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Of a directory no more entries are looked at.
const MAX_DIR_ENTRIES: usize = 4096;
/// No value that a person reads is longer, in characters.
const MAX_VALUE_CHARS: usize = 256;
/// No list of parts is longer: the server keeps all of it in one object.
pub(super) const MAX_LIST_ITEMS: usize = 256;

pub(super) struct HostFs<'a> {
    root: &'a Path,
}

impl<'a> HostFs<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// `path` has no leading slash.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    pub(super) fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let path = self.path(path);
        // Opening a device can have effects, and opening a FIFO waits: look first, and don't wait even if it
        // has changed since.
        if !fs::metadata(&path).ok()?.is_file() {
            return None;
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let file: File = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(&path).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What a file says in one line.
    pub(super) fn first_line(&self, path: &str) -> Option<String> {
        clean(self.text(path)?.trim_start().lines().next()?)
    }

    pub(super) fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.first_line(path)?.parse().ok()
    }

    /// What is in a directory, in order: the same device always answers the same.
    pub(super) fn dir_entries(&self, path: &str) -> Option<Vec<String>> {
        let entries = fs::read_dir(self.path(path)).ok()?.take(MAX_DIR_ENTRIES);
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Some(names)
    }

    /// The last component of what a symbolic link points to.
    pub(super) fn link_target(&self, path: &str) -> Option<String> {
        Some(fs::read_link(self.path(path)).ok()?.file_name()?.to_str()?.to_owned())
    }
}

/// A value as a person would write it: the device tree ends its strings with a zero byte, disks pad theirs with
/// blanks.
pub(super) fn clean(value: &str) -> Option<String> {
    let value = value.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let value: String = value.chars().filter(|c| !c.is_control()).take(MAX_VALUE_CHARS).collect();
    (!value.is_empty()).then_some(value)
}

/// The server counts in signed 64-bit numbers, and drops a whole message over a larger one.
pub(super) fn checked_byte_count(number: u64, unit: u64) -> Option<u64> {
    number.checked_mul(unit).filter(|bytes| i64::try_from(*bytes).is_ok())
}
