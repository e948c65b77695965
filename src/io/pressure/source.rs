//! Where the numbers come from: `/proc/meminfo`, `/proc/pressure/memory`, and the file systems themselves.

use std::{
    fs::File,
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
};

use rustix::fs::{Mode, OFlags, open, statvfs};

use super::gauge::ResourceReading;
use crate::settings::Reserve;

/// Wakes when some process waited for memory for 0.2 s out of 2; other windows than multiples of 2 s are for the
/// privileged.
const PSI_TRIGGER: &[u8] = b"some 200000 2000000\0";

/// The device's memory. The files stay open: reading them again costs least.
pub(super) struct MemorySource {
    meminfo: File,
    reserve: u64,
    stalls: Option<File>,
    trigger: Option<OwnedFd>,
}

impl MemorySource {
    /// Nothing when it can't be watched, or is not to be.
    pub(super) fn open(proc: &Path, reserve: &Reserve) -> Option<Self> {
        let path = proc.join("meminfo");
        let meminfo = File::open(&path).map_err(|error| format!("{error}"));
        let total = meminfo.and_then(|file| {
            let total = meminfo_field(&file, "MemTotal:").ok_or("it names no MemTotal")?;
            Ok((file, total))
        });
        let (meminfo, total) = match total {
            Ok(found) => found,
            Err(error) => {
                log::warn!("failed to read '{}', so memory is not watched: {error}", path.display());
                return None;
            }
        };
        let reserve = reserve.bytes_of(total);
        let pressure = proc.join("pressure/memory");
        let stalls = File::open(&pressure).ok();
        let memory = Self { meminfo, reserve, stalls, trigger: open_psi_trigger(&pressure, PSI_TRIGGER) };
        (reserve > 0).then_some(memory)
    }

    /// Has news (`PRI`) when processes wait for memory.
    pub(super) fn open_psi_trigger(&self) -> Option<&OwnedFd> {
        self.trigger.as_ref()
    }

    pub(super) fn drop_trigger(&mut self) {
        self.trigger = None;
    }

    pub(super) fn read(&self) -> Option<ResourceReading> {
        let available = meminfo_field(&self.meminfo, "MemAvailable:")?;
        let stalled = self.stalls.as_ref().and_then(full_stall_percent).unwrap_or(0);
        Some(ResourceReading { available, reserve: self.reserve, stalled })
    }
}

/// What has news when processes wait as long as `text` says; nothing where the kernel can't or won't wake us.
pub(super) fn open_psi_trigger(pressure: &Path, text: &[u8]) -> Option<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let trigger = open(pressure, flags, Mode::empty())
        .and_then(|file| rustix::io::write(&file, text).map(|_| file))
        .inspect_err(|error| log::debug!("'{}' can't wake this agent: {error}", pressure.display()));
    trigger.ok()
}

/// A field of `meminfo`, in bytes; those that are asked for stand at its beginning.
fn meminfo_field(file: &File, name: &str) -> Option<u64> {
    let mut buffer = [0; 512];
    let text = read_head(file, &mut buffer)?;
    let kilobytes: u64 =
        text.lines().find_map(|line| line.strip_prefix(name))?.split(' ').rev().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Per cent of the last ten seconds in which every process that had anything to do waited for memory.
fn full_stall_percent(file: &File) -> Option<u8> {
    let mut buffer = [0; 512];
    let text = read_head(file, &mut buffer)?;
    let share = text.lines().find_map(|line| line.strip_prefix("full avg10="))?;
    share.split('.').next()?.parse().ok()
}

pub(super) fn read_head<'a>(file: &File, buffer: &'a mut [u8]) -> Option<&'a str> {
    let length = file.read_at(buffer, 0).ok()?;
    std::str::from_utf8(buffer.get(..length)?).ok()
}

/// The file system that this directory is on; nothing when it is not there, or not to be watched.
pub(super) fn read_disk(path: &Path, reserve: &Reserve) -> Option<ResourceReading> {
    let found = statvfs(path).ok()?;
    let reserve = reserve.bytes_of(found.f_blocks.saturating_mul(found.f_frsize));
    let available = found.f_bavail.saturating_mul(found.f_frsize);
    (reserve > 0).then_some(ResourceReading { available, reserve, stalled: 0 })
}
