//! What the files of a directory say, as far as it is known: from themselves, or from when they were last good.
//!
//! A file that can't be read protects what it said itself, and nothing else: that another file is removed is an order. One
//! that was never good may be another file under a new name: it protects what those said that vanished in the very look
//! that brought it, until it can be read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::listing::{Files, MAX_FILE_BYTES, MAX_FILES, MAX_PROBLEMS, list, read};
use crate::{
    agent::model::{gather::gather, workload::DesiredState},
    wire::{
        manifest::{
            BrokenDocument, Budget, Document, FileContents, Problem, Severity, SourceText, UnknownFields,
            assemble, expression_problems,
        },
        strict::StreamedMapping,
    },
};

const MAX_TOTAL_BYTES: u64 = 16 << 20;

/// A directory of manifests.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    unknown: UnknownFields,
    /// Sorted by name: of two resources with one name, the first counts.
    files: BTreeMap<String, KnownFile>,
    /// Files that were never read yet, because they are being written.
    waiting: BTreeSet<String>,
    vanished: Vec<VanishedDocument>,
    /// Quadlets, and the first file that is one too many.
    refused: Vec<Problem>,
}

/// What a file said that vanished while others came that can't be read.
#[derive(Debug)]
struct VanishedDocument {
    document: Document,
    /// Until all of these can be read, or are gone.
    until: BTreeSet<String>,
}

/// A file, as it was last read.
#[derive(Debug, Default)]
struct KnownFile {
    /// `None`: not read by this process, or not readable.
    stamp: Option<FileFingerprint>,
    /// What counts: the newest good version of every document.
    documents: Vec<Document>,
    /// It was read without an error once, so `documents` are all it ever said.
    was_whole: bool,
    /// So many of `documents`, the last ones, the present version doesn't have: part of it can't be read.
    stay: usize,
    broken: Vec<BrokenDocument>,
    problems: Vec<Problem>,
    /// What the documents take in memory, in bytes.
    took: usize,
}

/// Changes whenever the file does; the change time can't be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileFingerprint {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FileFingerprint {
    fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Folder {
    /// Knows nothing yet.
    pub(super) fn new(dir: PathBuf, unknown: UnknownFields) -> Self {
        Self {
            dir,
            unknown,
            files: BTreeMap::new(),
            waiting: BTreeSet::new(),
            vanished: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Takes in what [`Folder::to_saved_bytes`] gave, perhaps in an earlier life. What this version doesn't understand any
    /// more is left out.
    pub(super) fn restore(&mut self, kept: &[u8]) -> Result<(), serde_json::Error> {
        let files: BTreeMap<String, Vec<StreamedMapping<SourceText>>> = serde_json::from_slice(kept)?;
        let budget = Budget::default().for_accepted_documents();
        for (name, sources) in files {
            let file = Arc::from(name.as_str());
            let mut contents = FileContents::default();
            for StreamedMapping(source) in sources {
                contents.read_document(&file, source, &budget);
            }
            let was_whole = contents.broken.is_empty();
            self.files.insert(
                name,
                KnownFile {
                    documents: contents.documents,
                    was_whole,
                    took: contents.took,
                    ..KnownFile::default()
                },
            );
        }
        Ok(())
    }

    /// The last good version of every file that was good once.
    pub(super) fn to_saved_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let sources = |known: &KnownFile| known.documents.iter().map(|d| d.source().clone()).collect();
        let whole = self.files.iter().filter(|(_, known)| known.was_whole);
        let files: BTreeMap<&str, Vec<SourceText>> =
            gather(whole.map(|(name, known)| (name.as_str(), sources(known))));
        serde_json::to_vec(&files)
    }

    /// Reads what changed since the last time, but for files that another program `is_being_written`: those stay as they were.
    /// Says whether anything changed.
    ///
    /// # Errors
    /// The directory itself can't be read: everything stays as it was.
    pub(super) fn sync(&mut self, is_writing: &dyn Fn(&str) -> bool) -> io::Result<bool> {
        let (found, refused) = list(&self.dir)?;
        let is_there = |(name, _): &(String, KnownFile)| found.contains_key(name);
        let (files, gone) = partition_files(std::mem::take(&mut self.files), is_there);
        self.files = files;
        (self.waiting, self.refused) = (BTreeSet::new(), refused);
        let (changed, came) = self.files_to_read(found, is_writing);
        let has_changed = !gone.is_empty() || !changed.is_empty();
        self.read(changed);
        self.keep_vanished(gone, came);
        Ok(has_changed)
    }

    /// The files that are to be read, and the names that are new.
    fn files_to_read(
        &mut self,
        found: Files,
        is_writing: &dyn Fn(&str) -> bool,
    ) -> (Files, BTreeSet<String>) {
        let (mut changed, mut came) = (Files::new(), BTreeSet::new());
        let (mut count, mut is_full) = (self.files.len(), false);
        for (name, metadata) in found {
            let known = self.files.get(&name);
            let is_new = known.is_none();
            if is_writing(&name) {
                if is_new {
                    self.waiting.insert(name.clone());
                    came.insert(name);
                }
                continue;
            }
            let stamp = metadata.as_ref().ok().map(FileFingerprint::from_metadata);
            if stamp.is_some() && stamp == known.and_then(|known| known.stamp) {
                continue;
            }
            if is_new && count >= MAX_FILES {
                if !std::mem::replace(&mut is_full, true) {
                    let message = format!("is one too many: at most {MAX_FILES} files are read");
                    self.refused.push(Problem::for_file(&name.into(), message));
                }
                continue;
            }
            if is_new {
                count += 1;
                came.insert(name.clone());
            }
            changed.insert(name, metadata);
        }
        (changed, came)
    }

    /// Reads these files, as far as all together stay within their bounds.
    fn read(&mut self, changed: Files) {
        let mut sought = Budget::default().line_search_bytes_left();
        let size = |known: &KnownFile| known.stamp.map_or(0, |stamp| stamp.size);
        let mut bytes: u64 = self.files.values().map(size).sum();
        for (name, metadata) in changed {
            let file: Arc<str> = Arc::from(name.as_str());
            let stamp = metadata.as_ref().ok().map(FileFingerprint::from_metadata);
            let others = bytes - self.files.get(&name).map_or(0, size);
            let read = metadata.and_then(|metadata| {
                if metadata.len() <= MAX_FILE_BYTES && others + metadata.len() > MAX_TOTAL_BYTES {
                    return Err(io::Error::other(format!(
                        "all files together may have {MAX_TOTAL_BYTES} bytes"
                    )));
                }
                read(&self.dir.join(&name))
            });
            let budget = self.budget(&name).with_line_search_bytes(sought);
            let known = self.files.entry(name).or_default();
            match read {
                Ok(content) => {
                    bytes = others + stamp.map_or(0, |stamp| stamp.size);
                    known.apply_new_version(FileContents::read(&file, &content, &budget));
                    sought = budget.line_search_bytes_left();
                    known.stamp = stamp;
                }
                Err(cause) => {
                    bytes = others;
                    known.mark_unreadable(Problem::for_file(&file, format!("can't be read: {cause}")));
                }
            }
        }
    }

    /// What the file may have, beside all others.
    fn budget(&self, name: &str) -> Budget {
        let beside = self.files.iter().filter(|(other, _)| *other != name).map(|(_, known)| known);
        let (documents, took) = beside.fold((0, 0), |(documents, took), known| {
            (documents + known.documents.len() + known.broken.len(), took + known.took)
        });
        Budget::after_used(documents, took).with_unknown_fields(self.unknown)
    }

    /// Documents of files that went stay until those that came are read: a file may have been renamed.
    fn keep_vanished(&mut self, gone: Vec<(String, KnownFile)>, mut came: BTreeSet<String>) {
        let is_unread = |name: &String| {
            self.waiting.contains(name) || self.files.get(name).is_some_and(KnownFile::is_unknown)
        };
        for it in &mut self.vanished {
            it.until.retain(is_unread);
        }
        came.retain(is_unread);
        let gone = gone.into_iter().flat_map(|(_, known)| known.documents);
        self.vanished.extend(gone.map(|document| VanishedDocument { document, until: came.clone() }));
        self.vanished.retain(|it| !it.until.is_empty());
        self.vanished.truncate(MAX_FILES); // of one broken file after the other
    }

    /// What the files say all together, and what is wrong with them.
    pub(super) fn assemble(&self, device_id: &str) -> (DesiredState, Vec<Problem>) {
        let documents = self.documents();
        let broken: Vec<BrokenDocument> =
            self.files.values().flat_map(|known| known.broken.iter().cloned()).collect();
        let (mut desired, found) = assemble(&documents, &broken, device_id);
        desired.partial = !self.waiting.is_empty() || self.files.values().any(KnownFile::is_unknown);
        let vanished = self.still_vanished();
        let mut problems: Vec<Problem> = Vec::new();
        for (name, known) in &self.files {
            let of_others = vanished.iter().filter(|it| it.until.contains(name)).map(|it| &it.document);
            let own = known.documents.iter().rev().take(known.stay).rev();
            let stay: Vec<&Document> = of_others.chain(own).collect();
            let at = problems.len();
            problems.extend(known.problems.iter().cloned());
            let first = problems[at..].iter_mut().find(|it| it.severity == Severity::Error);
            if let Some(first) = first.filter(|_| !stay.is_empty()) {
                first.message.push_str(&kept_documents_note(&stay));
            }
        }
        problems.extend(found);
        problems.extend(self.refused.clone());
        (desired, problems)
    }

    pub(super) fn expression_problems(&self, device_id: &str) -> Vec<Problem> {
        expression_problems(&self.documents(), device_id)
    }

    fn documents(&self) -> Vec<&Document> {
        let known = self.files.values().flat_map(|known| &known.documents);
        known.chain(self.still_vanished().into_iter().map(|it| &it.document)).collect()
    }

    /// What vanished and no other file says by now.
    fn still_vanished(&self) -> Vec<&VanishedDocument> {
        if self.vanished.is_empty() {
            return Vec::new();
        }
        let known = self.files.values().flat_map(|known| &known.documents);
        let said: BTreeSet<_> = gather(known.map(Document::key));
        self.vanished.iter().filter(|it| !said.contains(&it.document.key())).collect()
    }

    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }
}

/// For people: what a broken file keeps from going.
fn kept_documents_note(documents: &[&Document]) -> String {
    const MAX_NAMES_SHOWN: usize = 5;
    let names = documents.iter().take(MAX_NAMES_SHOWN).map(|document| {
        let (_, _, name) = document.key();
        format!("{} `{name}`", document.kind())
    });
    let names: Vec<String> = names.collect();
    let more = match documents.len().saturating_sub(MAX_NAMES_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("; until that is mended this stays as it was: {}{more}", names.join(", "))
}

/// Those for which it is true, and the others.
fn partition_files(
    files: BTreeMap<String, KnownFile>,
    is_kept: impl Fn(&(String, KnownFile)) -> bool,
) -> (BTreeMap<String, KnownFile>, Vec<(String, KnownFile)>) {
    let (kept, others): (Vec<_>, Vec<_>) = files.into_iter().partition(is_kept);
    (gather(kept), others)
}

impl KnownFile {
    /// It may say anything: nothing of it was ever known whole.
    fn is_unknown(&self) -> bool {
        !self.was_whole && self.broken.contains(&BrokenDocument::Other)
    }

    /// The new version counts. Where a document of it is broken, it isn't known which of the old ones it was, so all
    /// old ones that the new version doesn't define stay.
    fn apply_new_version(&mut self, contents: FileContents) {
        let FileContents { mut documents, broken, problems, mut took } = contents;
        self.stay = 0;
        if broken.is_empty() {
            self.was_whole = true;
        } else {
            let is_gone = |old: &&Document| documents.iter().all(|new| new.key() != old.key());
            let stay: Vec<Document> = self.documents.iter().filter(is_gone).cloned().collect();
            if !stay.is_empty() {
                took = took.max(self.took);
            }
            self.stay = stay.len();
            documents.extend(stay);
        }
        self.took = took;
        (self.documents, self.broken, self.problems) = (documents, broken, problems);
    }

    /// Everything stays as it was, and the file is tried again at the next opportunity.
    fn mark_unreadable(&mut self, problem: Problem) {
        self.stamp = None;
        self.stay = self.documents.len();
        self.broken = vec![BrokenDocument::Other];
        self.problems = vec![problem];
    }
}

/// No more problems than a person reads: what is wrong with the directory itself first, then errors; how many more
/// there are is one more. In order.
pub(super) fn limit_problems(mut problems: Vec<Problem>, dir: &Path) -> Vec<Problem> {
    let own = dir.to_string_lossy();
    problems.sort_by_key(|problem| (*problem.file != *own, problem.severity));
    let more = problems.get(MAX_PROBLEMS..).unwrap_or_default();
    if let [first, ..] = more {
        let (severity, message) = (first.severity, format!("and {} more problems", more.len()));
        problems.truncate(MAX_PROBLEMS);
        problems.push(Problem { severity, ..Problem::for_file(&Arc::from(own), message) });
    }
    problems.sort_unstable();
    problems
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn of_too_many_problems_that_of_the_directory_is_told_and_the_rest_counted() {
        let file: Arc<str> = "a.yaml".into();
        let mut problems: Vec<_> = (0..120).map(|_| Problem::for_file(&file, "bad")).collect();
        problems.push(Problem::for_file(&"/m".into(), "can't be read"));
        let told = limit_problems(problems, Path::new("/m"));
        assert_eq!(told.len(), MAX_PROBLEMS + 1);
        let of_directory: Vec<_> =
            told.iter().filter(|it| *it.file == *"/m").map(|it| &*it.message).collect();
        assert_eq!(of_directory, ["and 21 more problems", "can't be read"]);
    }

    #[test]
    fn what_an_earlier_version_accepted_runs_on_until_its_file_is_mended() {
        let text = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {name: old}\n\
                    spec: {type: pod, pod: {spec: {hostNetwrok: true, containers: [{name: c, image: i}]}}}\n";
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.yaml"), text).unwrap();
        let source = SourceText { number: 1, lines_before: 0, text: text.to_owned() };
        let kept = serde_json::to_vec(&BTreeMap::from([("a.yaml", [source])])).unwrap();
        let mut folder = Folder::new(directory.path().to_owned(), UnknownFields::Refuse);
        folder.restore(&kept).unwrap();
        for reads in 0..3 {
            let (desired, problems) = folder.assemble("pi");
            let names: Vec<_> = desired.workloads.iter().map(|workload| workload.name()).collect();
            assert_eq!(names, ["old"], "{problems:?}");
            let words = "did you mean `hostNetwork`?; until that is mended this stays as it was: ";
            assert_eq!(problems.iter().any(|it| it.message.contains(words)), reads > 0, "{problems:?}");
            folder.sync(&|_| false).unwrap();
        }
    }
}
