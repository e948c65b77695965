//! What is wrong with a file, for people.

use std::{fmt, sync::Arc};

use crate::agent::sanitize;

/// No person reads more warnings about a document than this, and finding the line of each takes its time.
pub(super) const MAX_WARNINGS: usize = 20;

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that was asked for can't be done.
    Error,
    /// It is done, but something written has no effect.
    Warning,
    /// Something written means nothing here, and nothing needs to be done about it.
    Note,
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
    pub fn for_file(file: &Arc<str>, message: impl Into<String>) -> Self {
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
        f.write_str(&sanitize::sanitize_line(&self.file))?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ": {}", sanitize::sanitize_line(&self.field))?;
        }
        write!(f, ": {}", sanitize::sanitize_message(&self.message))
    }
}
