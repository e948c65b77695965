//! Manifests: `EdgeDevice`, `EdgeWorkload`, `ConfigMap` and `Secret` documents, as people write them into files.
//!
//! ```text
//! bytes ─ yaml::documents ─► chunks ─ yaml::parse ─► JSON ─ resource::read ─► Document ─ assemble ─► Desired
//! ```
//!
//! A document is valid as a whole or broken as a whole; each says where and why, and none takes another down.

pub(in crate::wire) mod assemble;
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

use std::{fmt, sync::Arc};

pub use assemble::{assemble, expression_problems};
pub(in crate::wire) use pod::restored;
use resource::Resource;
use yaml::{Chunk, Field};

/// More documents in a file than this are taken for an accident.
const MOST_DOCUMENTS: usize = 1_000;
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
        f.write_str(&self.file)?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", self.field)?;
        }
        write!(f, ": {}", self.message)
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

    fn problem(&self, file: &Arc<str>, severity: Severity, finding: Finding) -> Problem {
        Problem {
            file: file.clone(),
            workload: None,
            document: Some(self.number),
            line: Some(self.line(&finding.field)),
            field: finding.field.to_string(),
            message: finding.message,
            severity,
        }
    }

    /// The message of a syntax error, with the lines of the file instead of the document's.
    fn syntax_problem(&self, file: &Arc<str>) -> Problem {
        let padded = "\n".repeat(self.lines_before) + &self.text;
        let mut problem =
            Problem { document: Some(self.number), ..Problem::file(file, "can't be read as YAML") };
        if let Err(error) = yaml::parse(&padded) {
            // the reader may quote what it stumbles over
            let letters = self.text.chars().filter(|c| c.is_alphanumeric() || *c == ':');
            if !letters.collect::<String>().contains("kind:Secret") {
                problem.message = error.to_string();
            }
            if let Some(place) = error.location() {
                let said = format!(" at line {} column {}", place.line(), place.column());
                problem.message = problem.message.replacen(&said, "", 1);
                problem.line = Some(place.line());
            }
        }
        problem
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Contents {
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
    pub fn read(file: &Arc<str>, bytes: &[u8]) -> Self {
        let mut contents = Self::default();
        let chunks = yaml::documents(bytes);
        if chunks.len() > MOST_DOCUMENTS {
            contents.broken.push(Broken::Other);
            let message = format!("has {} documents: at most {MOST_DOCUMENTS} are read", chunks.len());
            contents.problems.push(Problem::file(file, message));
            return contents;
        }
        for Chunk { number, lines_before, text } in chunks {
            match std::str::from_utf8(text) {
                Ok(text) => {
                    let source = Source { number, lines_before, text: text.to_owned() };
                    contents.read_document(file, source);
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
    pub fn read_document(&mut self, file: &Arc<str>, source: Source) {
        let Ok(value) = yaml::parse(&source.text) else {
            self.broken.push(Broken::Other);
            self.problems.push(source.syntax_problem(file));
            return;
        };
        if value.is_null() {
            return;
        }
        let broken = match resource::identity(&value) {
            (Some("EdgeWorkload"), Some(name)) => Broken::Workload(name.to_owned()),
            _ => Broken::Other,
        };
        match resource::read(value) {
            Ok((resource, findings)) => {
                let more = findings.len().saturating_sub(MOST_WARNINGS);
                let warnings = findings.into_iter().take(MOST_WARNINGS);
                self.problems.extend(warnings.map(|f| source.problem(file, Severity::Warning, f)));
                if more > 0 {
                    let finding = Finding::new([], format!("{more} more things have no effect"));
                    self.problems.push(source.problem(file, Severity::Warning, finding));
                }
                self.documents.push(Document { file: file.clone(), source, resource });
            }
            Err(finding) => {
                let mut problem = source.problem(file, Severity::Error, finding);
                if let Broken::Workload(name) = &broken {
                    problem.workload = Some(name.clone());
                }
                self.broken.push(broken);
                self.problems.push(problem);
            }
        }
    }
}
