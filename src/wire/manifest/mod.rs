//! Manifests: `EdgeDevice`, `EdgeWorkload`, `ConfigMap` and `Secret` documents, as people write them into files.
//!
//! ```text
//! bytes ─ yaml::documents ─► chunks ─ yaml::parse ─► JSON ─ resource::read ─► Document ─ assemble ─► Desired
//! ```
//!
//! A document is valid as a whole or broken as a whole; each says where and why, and none takes another down.

pub(in crate::wire) mod assemble;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod names;
mod pod;
mod probe;
mod profiles;
pub(in crate::wire) mod resource;
pub(in crate::wire) mod secret;
mod select;
mod timing;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

use std::{cell::Cell, fmt, sync::Arc};

use crate::agent::legible;

pub use assemble::{assemble, expression_problems};
pub(in crate::wire) use pod::restored;
use resource::Resource;
use yaml::{Chunk, Field};

/// More documents than this, in a file or in all of a directory, are taken for an accident.
pub const MOST_DOCUMENTS: usize = 1_000;
/// What all documents of a directory may grow to in memory, in bytes.
pub const MOST_MEMORY: usize = 32 << 20;
/// How much text is read again to find the lines of problems, in bytes: each takes reading its document once more.
const MOST_SOUGHT: usize = 8 << 20;
/// More warnings about a document than this help nobody, and finding the line of each takes its time.
const MOST_WARNINGS: usize = 20;

/// The stack that reading takes: `serde_yaml` goes 128 levels deep. Only what is used becomes memory.
pub const STACK: usize = 1 << 20;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that was asked for can't be done.
    Error,
    /// It is done, but something written has no effect.
    Warning,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// The file's name within its directory.
    pub file: Arc<str>,
    /// The workload that the document is about, where that can be told.
    pub workload: Option<String>,
    /// The document's number in the file, from 1; `None` when it is about the file as a whole.
    pub document: Option<usize>,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// The field within the document; empty when it is about the document as a whole.
    pub field: String,
    /// What is wrong there.
    pub message: String,
    /// How bad that is.
    pub severity: Severity,
}

impl Problem {
    /// About a file as a whole.
    pub fn file(file: &Arc<str>, message: impl Into<String>) -> Self {
        Self {
            file: file.clone(),
            workload: None,
            document: None,
            line: None,
            field: String::new(),
            message: message.into(),
            severity: Severity::Error,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&legible::line(&self.file))?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", legible::line(&self.field))?;
        }
        write!(f, ": {}", legible::message(&self.message))
    }
}

/// What is wrong with a field of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::wire) struct Finding {
    pub(in crate::wire) field: Field,
    pub(in crate::wire) message: String,
}

impl Finding {
    fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self { field: Field::from(path), message: message.into() }
    }
}

/// A document's text and where it stands; enough to keep it and read it again.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Source {
    /// Its number in the file, from 1.
    pub number: usize,
    /// How many lines of the file stand before it.
    pub lines_before: usize,
    /// The text itself.
    pub text: String,
}

/// A valid document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    file: Arc<str>,
    source: Source,
    resource: Resource,
}

impl Document {
    /// Its text and where it stands.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Kind, namespace and name: what makes it the same resource in another version of the file.
    pub fn key(&self) -> (&'static str, &str, &str) {
        match &self.resource {
            Resource::Device(device) => ("EdgeDevice", "", &device.name),
            Resource::Workload(workload) => ("EdgeWorkload", "", &workload.content.name),
            Resource::ConfigMap(map) => ("ConfigMap", &map.namespace, &map.name),
            Resource::Secret(secret) => ("Secret", &secret.namespace, &secret.name),
        }
    }

    fn problem(&self, severity: Severity, finding: Finding) -> Problem {
        let mut problem = self.source.problem(&self.file, severity, finding);
        if let Resource::Workload(workload) = &self.resource {
            problem.workload = Some(workload.content.name.clone());
        }
        problem
    }

    /// For people: `web.yaml, line 7`.
    fn place(&self) -> String {
        let line = self.source.line(&Field::from(["kind"]));
        format!("{}, line {line}", self.file)
    }
}

impl fmt::Debug for Source {
    /// Not the text: it may be a `Secret`'s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {} after line {}", self.number, self.lines_before)
    }
}

impl Source {
    fn line(&self, field: &Field) -> usize {
        self.lines_before + yaml::line_of(&self.text, field)
    }

    /// Where it begins.
    fn first_line(&self) -> usize {
        let is_blank = |line: &&str| line.trim().is_empty();
        self.lines_before + 1 + self.text.lines().take_while(is_blank).count()
    }

    fn problem(&self, file: &Arc<str>, severity: Severity, finding: Finding) -> Problem {
        self.problem_at(self.line(&finding.field), file, severity, finding)
    }

    fn problem_at(&self, line: usize, file: &Arc<str>, severity: Severity, finding: Finding) -> Problem {
        Problem {
            file: file.clone(),
            workload: None,
            document: Some(self.number),
            line: Some(line),
            field: finding.field.to_string(),
            message: finding.message,
            severity,
        }
    }

    /// The message of a syntax error, with the lines of the file instead of the document's.
    fn syntax_problem(&self, file: &Arc<str>, error: &serde_yaml::Error) -> Problem {
        let mut problem = Problem {
            document: Some(self.number),
            line: Some(self.first_line()),
            ..Problem::file(file, "can't be read as YAML")
        };
        // the reader may quote what it stumbles over
        let letters = self.text.chars().filter(|c| c.is_alphanumeric() || *c == ':');
        let is_quotable = !letters.collect::<String>().contains("kind:Secret");
        let mut message = error.to_string();
        if let Some(place) = error.location() {
            let said = format!(" at line {} column {}", place.line(), place.column());
            message = message.replacen(&said, "", 1);
            problem.line = Some(self.lines_before + place.line());
        }
        if is_quotable {
            problem.message = moved(&message, self.lines_before);
        }
        problem
    }
}

/// The text with each ` at line N column` moved down by some lines.
fn moved(text: &str, lines: usize) -> String {
    let mut parts = text.split(" at line ");
    let mut moved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
        let number = number.parse::<usize>().map_or(number.to_owned(), |line| (line + lines).to_string());
        moved.extend([" at line ", &number, rest]);
    }
    moved
}

/// What is left of what a whole directory may take.
#[derive(Debug)]
pub struct Allowance {
    documents: usize,
    memory: Cell<usize>,
    /// Of what is read again for the lines of problems.
    sought: Cell<usize>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self::beside(0, 0)
    }
}

impl Allowance {
    /// Beside so many documents, which take so much memory.
    pub fn beside(documents: usize, memory: usize) -> Self {
        Self {
            documents: MOST_DOCUMENTS.saturating_sub(documents),
            memory: Cell::new(MOST_MEMORY.saturating_sub(memory)),
            sought: Cell::new(MOST_SOUGHT),
        }
    }

    /// With so much text left to be read again for the lines of problems.
    #[must_use]
    pub fn within(self, sought: usize) -> Self {
        Self { sought: Cell::new(sought), ..self }
    }

    /// How much text is left to be read again.
    pub fn sought(&self) -> usize {
        self.sought.get()
    }

    fn parse(&self, text: &str) -> Result<(serde_json::Value, usize), serde_yaml::Error> {
        let most = self.memory.get().min(yaml::LARGEST_DOCUMENT);
        let left = Cell::new(most);
        let value = yaml::parse_within(text, &left);
        let took = most - left.get();
        // a document that is refused takes nothing
        self.memory.set(self.memory.get() - if value.is_ok() { took } else { 0 });
        value.map(|value| (value, took))
    }

    /// The problem with its line, or with the document's first one where finding it would take too long.
    fn problem(&self, source: &Source, file: &Arc<str>, severity: Severity, finding: Finding) -> Problem {
        match self.sought.get().checked_sub(source.text.len()) {
            Some(left) => {
                self.sought.set(left);
                source.problem(file, severity, finding)
            }
            None => source.problem_at(source.first_line(), file, severity, finding),
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
    /// What the valid documents take in memory, in bytes.
    pub took: usize,
    /// The valid documents, in the file's order.
    pub documents: Vec<Document>,
    /// One for each broken document.
    pub broken: Vec<Broken>,
    /// What is wrong, in the file's order.
    pub problems: Vec<Problem>,
}

/// A document that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// It was meant to define this workload.
    Workload(String),
    /// It is another kind's, or nobody can tell what it was meant to be.
    Other,
}

impl Contents {
    /// Reads a file's bytes, whatever they are.
    pub fn read(file: &Arc<str>, bytes: &[u8], allowance: &Allowance) -> Self {
        let mut contents = Self::default();
        let chunks = yaml::documents(bytes);
        if chunks.len() > allowance.documents {
            contents.broken.push(Broken::Other);
            let message = format!(
                "has {} documents: at most {MOST_DOCUMENTS} are read of all files together",
                chunks.len()
            );
            contents.problems.push(Problem::file(file, message));
            return contents;
        }
        for Chunk { number, lines_before, text } in chunks {
            match std::str::from_utf8(text) {
                Ok(text) => {
                    let source = Source { number, lines_before, text: text.to_owned() };
                    contents.read_document(file, source, allowance);
                }
                Err(error) => {
                    let good = &text[..error.valid_up_to()];
                    let line = lines_before + good.iter().filter(|byte| **byte == b'\n').count() + 1;
                    contents.broken.push(Broken::Other);
                    contents.problems.push(Problem {
                        document: Some(number),
                        line: Some(line),
                        ..Problem::file(file, "is not UTF-8")
                    });
                }
            }
        }
        contents
    }

    /// Reads one document's text; what it says or what is wrong with it is added to the rest.
    pub fn read_document(&mut self, file: &Arc<str>, source: Source, allowance: &Allowance) {
        let (value, took) = match allowance.parse(&source.text) {
            Ok(read) => read,
            Err(error) => {
                self.broken.push(Broken::Other);
                self.problems.push(source.syntax_problem(file, &error));
                return;
            }
        };
        self.took += took;
        if value.is_null() {
            return;
        }
        let broken = match resource::identity(&value) {
            (Some("EdgeWorkload"), Some(name)) => Broken::Workload(name.to_owned()),
            _ => Broken::Other,
        };
        match resource::read(value) {
            Ok((mut resource, findings)) => {
                let faults = match &mut resource {
                    Resource::Device(device) => std::mem::take(&mut device.faults),
                    _ => Vec::new(),
                };
                for (severity, findings, what) in [
                    (Severity::Error, faults, "names are bad"),
                    (Severity::Warning, findings, "things have no effect"),
                ] {
                    let more = findings.len().saturating_sub(MOST_WARNINGS);
                    let told = findings.into_iter().take(MOST_WARNINGS);
                    self.problems.extend(told.map(|f| allowance.problem(&source, file, severity, f)));
                    if more > 0 {
                        let finding = Finding::new([], format!("{more} more {what}"));
                        self.problems.push(allowance.problem(&source, file, severity, finding));
                    }
                }
                self.documents.push(Document { file: file.clone(), source, resource });
            }
            Err(finding) => {
                let mut problem = allowance.problem(&source, file, Severity::Error, finding);
                if let Broken::Workload(name) = &broken {
                    problem.workload = Some(name.clone());
                }
                self.broken.push(broken);
                self.problems.push(problem);
            }
        }
    }
}
