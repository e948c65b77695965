//! What all documents of a directory may take together.

use std::{cell::Cell, sync::Arc};

use super::{
    problem::{Problem, Severity},
    source::Source,
};
use crate::wire::{field::Finding, yaml};

/// More documents than this, in a file or in all of a directory, are taken for an accident.
pub const MOST_DOCUMENTS: usize = 1_000;
/// What all documents of a directory may grow to in memory, in bytes.
pub const MOST_MEMORY: usize = 32 << 20;
/// How much text is read again to find the lines of problems, in bytes: each takes reading its document once more.
const MOST_SOUGHT: usize = 8 << 20;

/// What is left of what a whole directory may take.
#[derive(Debug)]
pub struct Allowance {
    pub(super) was_accepted: bool,
    pub(super) documents: usize,
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
            was_accepted: false,
            documents: MOST_DOCUMENTS.saturating_sub(documents),
            memory: Cell::new(MOST_MEMORY.saturating_sub(memory)),
            sought: Cell::new(MOST_SOUGHT),
        }
    }

    /// For documents that were accepted before, perhaps by a version that judged less.
    #[must_use]
    pub fn of_accepted(self) -> Self {
        Self { was_accepted: true, ..self }
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

    pub(super) fn parse(&self, text: &str) -> Result<(serde_json::Value, usize), serde_yaml::Error> {
        let most = self.memory.get().min(yaml::LARGEST_DOCUMENT);
        let left = Cell::new(most);
        let value = yaml::parse_within(text, &left);
        let took = most - left.get();
        // a document that is refused takes nothing
        self.memory.set(self.memory.get() - if value.is_ok() { took } else { 0 });
        value.map(|value| (value, took))
    }

    /// The problem with its line, or with the document's first one where finding it would take too long.
    pub(super) fn problem(
        &self,
        source: &Source,
        file: &Arc<str>,
        severity: Severity,
        finding: Finding,
    ) -> Problem {
        match self.sought.get().checked_sub(source.text.len()) {
            Some(left) => {
                self.sought.set(left);
                source.problem(file, severity, finding)
            }
            None => source.problem_at(source.first_line(), file, severity, finding),
        }
    }
}
