//! The directory of manifests: watched, read when it changes, told of once.
//!
//! `listing` finds the files, `folder` knows what they say, `watch` when to look again. What the files last said is kept in the
//! state directory, so that neither a broken file nor an unreadable directory changes what runs.

mod folder;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod listing;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crossbeam_channel::{SendError, Sender};
use log::warn;

use super::{clock::monotonic_time, spawn_with_stack, state::Store};
use crate::{
    agent::{
        Event,
        model::{
            gather::gather,
            notice::{self, Notice, Reason},
            subsystem::Storage,
            workload::DesiredState,
        },
        view::text,
    },
    wire::manifest::{Problem, READER_STACK_BYTES, Severity, UnknownFields},
};
use folder::Folder;
use watch::DirectoryWatch;

/// Editors and package managers write several files in a row: wait for silence this long …
const DEBOUNCE_DELAY: Duration = Duration::from_millis(50);
/// … but not longer than this.
const MAX_DEBOUNCE_DELAY: Duration = Duration::from_millis(500);
/// inotify doesn't see what a link leads to.
const RESCAN_INTERVAL: Duration = Duration::from_secs(60);
/// How long to wait before a directory that can't be watched is tried again: doubled each time, at most the latter.
const RETRY_DELAY_RANGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// The name under which the last good version is kept.
const STORE_KEY: &str = "manifests";

/// Reads the directory once, without watching or keeping anything.
///
/// # Errors
/// The directory can't be read.
pub fn read_once(dir: &Path, device_id: &str, unknown: UnknownFields) -> io::Result<Snapshot> {
    let mut folder = Folder::new(dir.to_owned(), unknown);
    folder.sync(&|_| false)?;
    let (desired, mut problems) = folder.assemble(device_id);
    problems.extend(folder.expression_problems(device_id));
    let problems = folder::limit_problems(problems, dir);
    Ok(Snapshot { desired, problems, files: folder.file_count() })
}

/// The files of the directory as they are; without those that can't be read.
pub fn read_all_files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = listing::list(dir).map(|(files, _)| files).unwrap_or_default().into_keys();
    names.filter_map(|name| listing::read(&dir.join(&name)).ok().map(|text| (name, text))).collect()
}

/// What a directory says.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What is wanted on this device.
    pub desired: DesiredState,
    /// What is wrong, expressions included, by file and line.
    pub problems: Vec<Problem>,
    /// How many files were read.
    pub files: usize,
}

/// The thread that watches the directory.
#[derive(Debug)]
pub struct ManifestWatcher {
    folder: Folder,
    dir: PathBuf,
    device_id: String,
    store: Store,
    events: Sender<Event>,
    /// Whether everything that the directory says is known, from itself or from the store.
    is_known: bool,
    told: Option<DesiredState>,
    complaints: BTreeSet<Problem>,
    /// What the files say couldn't be kept.
    is_unkept: bool,
}

impl ManifestWatcher {
    /// Starts the thread. It tells of what the directory says as soon as it was read, and then of every change;
    /// it ends with the agent.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn start(
        dir: PathBuf,
        store: Store,
        device_id: String,
        unknown: UnknownFields,
        events: Sender<Event>,
    ) -> io::Result<()> {
        let mut manifests = Self {
            folder: Folder::new(dir.clone(), unknown),
            dir,
            device_id,
            store,
            events,
            is_known: false,
            told: None,
            complaints: BTreeSet::new(),
            is_unkept: false,
        };
        spawn_with_stack("manifests", READER_STACK_BYTES, move || {
            manifests.load_saved();
            let _ = manifests.run(); // an error: the agent ends
        })
    }

    fn load_saved(&mut self) {
        let Some(kept) = self.store.load(STORE_KEY) else { return };
        match self.folder.restore(&kept) {
            Ok(()) => self.is_known = true,
            Err(error) => {
                let says = self.store.set_aside(STORE_KEY, &kept);
                warn!("{says}: {error}");
            }
        }
    }

    fn run(&mut self) -> Result<(), SendError<Event>> {
        let mut watch = None;
        let mut retry = RETRY_DELAY_RANGE.0;
        loop {
            // the watch comes first, so that no change falls between it and the look
            let watched = match watch.take().filter(DirectoryWatch::is_current) {
                Some(watch) => Ok(watch),
                None => DirectoryWatch::new(&self.dir),
            };
            let is_writing = |name: &str| watched.as_ref().is_ok_and(|watch| watch.is_being_written(name));
            let read = self.folder.sync(&is_writing);
            self.publish_changes(read, watched.as_ref().err().map(|error| io::Error::from(*error)))?;
            let Ok(mut present) = watched else {
                let _ = watch::wait(&mut [], monotonic_time() + retry);
                retry = RETRY_DELAY_RANGE.1.min(retry * 2);
                continue;
            };
            retry = RETRY_DELAY_RANGE.0;
            if wait_for_change(&mut present).is_ok() {
                watch = Some(present);
            }
        }
    }

    /// Tells of what changed; both errors are about the directory itself.
    fn publish_changes(
        &mut self,
        read: io::Result<bool>,
        unwatched: Option<io::Error>,
    ) -> Result<(), SendError<Event>> {
        let (desired, mut problems) = self.folder.assemble(&self.device_id);
        let dir: Arc<str> = Arc::from(self.dir.to_string_lossy());
        self.is_known |= read.is_ok();
        match read {
            Err(cause) => {
                let stay = if self.is_known { "what it said before stays" } else { "waiting for it" };
                problems.push(Problem::for_file(&dir, format!("can't be read: {cause}; {stay}")));
            }
            Ok(has_changed) => {
                if let Some(cause) = unwatched {
                    let every = RETRY_DELAY_RANGE.1.as_secs();
                    let message = format!("can't be watched: {cause}; it is read every {every} s");
                    problems
                        .push(Problem { severity: Severity::Warning, ..Problem::for_file(&dir, message) });
                }
                if has_changed || self.is_unkept {
                    self.save_good_version()?;
                }
            }
        }
        self.report_problems(folder::limit_problems(problems, &self.dir))?;
        if self.is_known && !self.told.as_ref().is_some_and(|told| told.is_equivalent_to(&desired)) {
            let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
            let (workloads, profiles) = (desired.workloads.len(), desired.profiles.len());
            let all = format!("{}, {}", count(workloads, "workload"), count(profiles, "profile"));
            let others = text::foreign_workloads_text(&desired.elsewhere)
                .map(|it| format!("; {it}"))
                .unwrap_or_default();
            let message = format!("'{dir}' asks for {all}{others}");
            self.events.send(Event::Notice(Notice::info(Reason::ConfigurationApplied, message)))?;
            self.events.send(Event::Desired(desired.clone()))?;
            self.told = Some(desired);
        }
        Ok(())
    }

    /// Each problem once, and each file once when nothing is wrong with it any more.
    fn report_problems(&mut self, problems: Vec<Problem>) -> Result<(), SendError<Event>> {
        let problems: BTreeSet<Problem> = gather(problems);
        for problem in problems.difference(&self.complaints) {
            let say = match problem.severity {
                Severity::Error => |message| Notice::warning(Reason::ConfigurationRejected, message),
                Severity::Warning => |message| Notice::warning(Reason::ConfigurationApplied, message),
                Severity::Note => |message| Notice::info(Reason::ConfigurationApplied, message),
            };
            self.events.send(Event::Notice(say(problem.to_string())))?;
        }
        let is_wrong = |problem: &&Problem| problem.severity != Severity::Note;
        if problems != self.complaints {
            let shown = |problem: &Problem| notice::Problem {
                workload: problem.workload.clone(),
                message: problem.to_string(),
            };
            let wrong = problems.iter().filter(is_wrong);
            self.events.send(Event::Problems(wrong.map(shown).collect()))?;
        }
        let files = |problems: &BTreeSet<Problem>| -> BTreeSet<Arc<str>> {
            gather(problems.iter().filter(is_wrong).map(|problem| problem.file.clone()))
        };
        for file in files(&self.complaints).difference(&files(&problems)) {
            let message = format!("{file}: nothing is wrong with it any more");
            self.events.send(Event::Notice(Notice::info(Reason::ConfigurationApplied, message)))?;
        }
        self.complaints = problems;
        Ok(())
    }

    /// Keeps the last good version for the next start.
    fn save_good_version(&mut self) -> Result<(), SendError<Event>> {
        let kept = self.folder.to_saved_bytes().map_err(|error| error.to_string());
        let saved =
            kept.and_then(|kept| self.store.save(STORE_KEY, &kept).map_err(|error| error.to_string()));
        let is_news = saved.is_err() || self.is_unkept;
        self.is_unkept = saved.is_err();
        if is_news { self.events.send(Event::Stored(Storage::Manifests, saved)) } else { Ok(()) }
    }
}

/// Waits until it is time to look again: after a change and a little silence, when a writer takes too long, or
/// after a minute. An error: the directory must be watched anew.
fn wait_for_change(watch: &mut DirectoryWatch) -> rustix::io::Result<()> {
    let rescan = monotonic_time() + RESCAN_INTERVAL;
    // when the first and the last change were seen
    let mut unrest: Option<(Duration, Duration)> = None;
    loop {
        let quiet = unrest.map(|(first, last)| (last + DEBOUNCE_DELAY).min(first + MAX_DEBOUNCE_DELAY));
        let deadline = [quiet, watch.deadline(), Some(rescan)].into_iter().flatten().min().unwrap_or(rescan);
        let seen = watch.wait(deadline)?;
        if seen.lost {
            return Err(rustix::io::Errno::NOENT);
        }
        let now = monotonic_time();
        if seen.change {
            unrest = Some((unrest.map_or(now, |(first, _)| first), now));
        }
        let is_quiet = quiet.is_some_and(|quiet| quiet <= now) && !seen.change;
        let is_unbearable = unrest.is_some_and(|(first, _)| first + MAX_DEBOUNCE_DELAY <= now);
        if watch.drop_slow_writers(now) || is_quiet || is_unbearable || rescan <= now {
            return Ok(());
        }
    }
}
