//! The newest value of every name, kept in the runtime directory so that it outlives the agent.
//!
//! A log of text lines, `<seconds since boot> <name> <value or nil>`, under a first line that names the boot.
//! A batch is one `write`: what the kernel took survives a `kill -9`, and a reboot is meant to forget, so
//! nothing is synced. A log that has grown well past its content is written anew and renamed into place.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent::{
    Sample,
    model::{event::MAX_METRIC_NAMES, gather::gather},
};
use crate::io::{clock::boot_id, files};
use crate::wire::own::frames::check_name;

/// A log may outgrow its content by this many bytes, and then by as much again as its content has.
const LOG_GROWTH_SLACK: u64 = 64 * 1024;
/// Names of the full length, each with a long value, and the slack: twice that is not our log.
const MAX_LOG: u64 = 4 * 1024 * 1024;

/// A value, and when it was posted: seconds since boot.
type PostedValue = (f64, u64);

pub(crate) struct MetricsStore {
    directory: PathBuf,
    values: BTreeMap<String, PostedValue>,
    /// What the present batch would change.
    staged: BTreeMap<String, Option<f64>>,
    /// How many names there are once the batch is stored.
    names: usize,
    /// `None`: the next commit has to write the log anew.
    log: Option<File>,
    length: u64,
    limit: u64,
    ttl: Option<Duration>,
}

impl MetricsStore {
    /// Reads what was posted before this process. A log that can't be used costs its values, not the agent.
    pub(crate) fn open(directory: &Path, ttl: Option<Duration>, now: Duration) -> Self {
        let mut store = Self {
            directory: directory.to_owned(),
            values: BTreeMap::new(),
            staged: BTreeMap::new(),
            names: 0,
            log: None,
            length: 0,
            limit: 0,
            ttl,
        };
        let path = store.path();
        match store.load() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => log::warn!("failed to read '{}': {error}; its metrics are unset", path.display()),
        }
        store.names = store.values.len();
        store.forget_expired(now);
        _ = store.rewrite(); // tried again by the first `ensure_log` or `commit`
        store
    }

    /// Makes sure that what is known is in the log, and the log where the next process looks for it: it or its
    /// directory may have been removed or replaced.
    pub(super) fn ensure_log(&mut self) -> io::Result<()> {
        let is_there = |log: &File| {
            let (ours, there) = (log.metadata().ok()?, fs::symlink_metadata(self.path()).ok()?);
            Some((ours.dev(), ours.ino()) == (there.dev(), there.ino()))
        };
        match &self.log {
            Some(log) if is_there(log) == Some(true) => Ok(()),
            _ => self.rewrite(),
        }
    }

    /// What is known, and when since boot it was posted.
    pub(crate) fn posted_samples(&self) -> Vec<(Sample, Duration)> {
        let sample = |name: &String, value| Sample { name: name.clone(), value: Some(value) };
        self.values
            .iter()
            .map(|(name, &(value, at))| (sample(name, value), Duration::from_secs(at)))
            .collect()
    }

    /// Adds a post to the batch, all of it or, when there would be too many names, nothing.
    pub(super) fn stage(&mut self, samples: Vec<Sample>, now: Duration) -> bool {
        if self.names + samples.len() > MAX_METRIC_NAMES && self.names_after(&samples) > MAX_METRIC_NAMES {
            self.forget_expired(now);
            if self.names_after(&samples) > MAX_METRIC_NAMES {
                return false;
            }
        }
        for Sample { name, value } in samples {
            let had = self.has(&name);
            self.names = self.names + usize::from(value.is_some()) - usize::from(had);
            self.staged.insert(name, value);
        }
        true
    }

    /// How many names there would be with these.
    fn names_after(&self, samples: &[Sample]) -> usize {
        let last: BTreeMap<&str, bool> = gather(samples.iter().map(|s| (&*s.name, s.value.is_some())));
        let had = last.keys().filter(|name| self.has(name)).count();
        self.names - had + last.values().filter(|&&set| set).count()
    }

    fn has(&self, name: &str) -> bool {
        self.staged.get(name).map_or_else(|| self.values.contains_key(name), Option::is_some)
    }

    /// Writes the batch and says what it changed: one sample a name. On an error nothing is changed.
    pub(super) fn commit(&mut self, now: Duration) -> io::Result<Vec<Sample>> {
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return Ok(Vec::new());
        }
        let seconds = now.as_secs();
        let mut lines = String::new();
        for (name, value) in &staged {
            write_log_line(&mut lines, name, *value, seconds);
        }
        let written = self.append(lines.as_bytes());
        if written.is_ok() {
            for (name, value) in &staged {
                match value {
                    Some(value) => _ = self.values.insert(name.clone(), (*value, seconds)),
                    None => _ = self.values.remove(name),
                }
            }
        }
        self.names = self.values.len();
        written?;
        if self.length > self.limit && self.rewrite().is_err() {
            // The log as it is holds everything: try again when it has doubled.
            self.limit = self.length * 2;
        }
        Ok(staged.into_iter().map(|(name, value)| Sample { name, value }).collect())
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.ensure_log()?;
        let Some(log) = &mut self.log else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = log.write_all(lines) {
            // A refused post must not come back after a restart, nor a torn line swallow the next one.
            if log.set_len(self.length).is_err() {
                self.log = None;
            }
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Writes only what is known into a new log, and puts it in the place of the old one.
    fn rewrite(&mut self) -> io::Result<()> {
        self.log = None;
        self.write().map_err(|error| {
            io::Error::new(error.kind(), format!("failed to write '{}': {error}", self.path().display()))
        })
    }

    fn write(&mut self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let mut lines = format!("boot {}\n", boot_id());
        for (name, &(value, at)) in &self.values {
            write_log_line(&mut lines, name, Some(value), at);
        }
        let new = self.directory.join("metrics.log.new");
        _ = fs::remove_file(&new);
        let mut log = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&new)?;
        log.write_all(lines.as_bytes())?;
        fs::rename(&new, self.path())?;
        self.log = Some(log);
        self.length = lines.len() as u64;
        self.limit = self.length * 2 + LOG_GROWTH_SLACK;
        Ok(())
    }

    fn load(&mut self) -> io::Result<()> {
        let log = files::open(&self.path())?;
        if log.metadata()?.len() > MAX_LOG {
            return Err(io::Error::other("it is too large to be the agent's"));
        }
        let mut lines = BufReader::new(log.take(MAX_LOG));
        let mut bytes = Vec::new();
        lines.read_until(b'\n', &mut bytes)?;
        if bytes != format!("boot {}\n", boot_id()).as_bytes() {
            log::info!("the metrics in '{}' are of an earlier boot: forgotten", self.path().display());
            return Ok(());
        }
        loop {
            bytes.clear();
            // A last line without an end was torn by a kill: it was never acknowledged.
            if lines.read_until(b'\n', &mut bytes)? == 0 || bytes.pop() != Some(b'\n') {
                return Ok(());
            }
            match parse(&bytes) {
                Some((at, name, Some(value))) => _ = self.values.insert(name.to_owned(), (value, at)),
                Some((_, name, None)) => _ = self.values.remove(name),
                None => log::warn!("skipped a line of '{}' that is not a metric", self.path().display()),
            }
        }
    }

    fn forget_expired(&mut self, now: Duration) {
        if let Some(ttl) = self.ttl {
            let staged = &self.staged;
            let fresh = |name: &String, at: u64| {
                staged.contains_key(name) || now.as_secs() < at.saturating_add(ttl.as_secs())
            };
            let before = self.values.len();
            self.values.retain(|name, &mut (_, at)| fresh(name, at));
            self.names -= before - self.values.len();
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join("metrics.log")
    }
}

fn write_log_line(out: &mut String, name: &str, value: Option<f64>, at: u64) {
    // `{:?}` is the shortest text that reads back as the same number; writing to a String can't fail.
    _ = match value {
        Some(value) => writeln!(out, "{at} {name} {value:?}"),
        None => writeln!(out, "{at} {name} nil"),
    };
}

fn parse(line: &[u8]) -> Option<(u64, &str, Option<f64>)> {
    let mut words = str::from_utf8(line).ok()?.split(' ');
    let (at, name, value) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let value = match value {
        "nil" => None,
        number => Some(number.parse().ok().filter(|v: &f64| v.is_finite())?),
    };
    (words.next().is_none() && check_name(name).is_ok()).then_some((at, name, value))
}
