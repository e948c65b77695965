//! What all documents of a directory may take together.

use std::{cell::Cell, sync::Arc};

use super::{
    problem::{Problem, Severity},
    source::SourceText,
    strictness::{Strictness, UnknownFields},
};
use crate::wire::{field::Finding, yaml};

/// More documents than this, in a file or in all of a directory, are taken for an accident.
pub const MAX_DOCUMENTS: usize = 1_000;
/// What all documents of a directory may grow to in memory, in bytes.
pub const MAX_MEMORY: usize = 32 << 20;
/// What documents that are refused in the end may have grown to, in bytes, before others may grow but to so many times
/// their text: more than any without aliases takes.
const MAX_REFUSED_MEMORY: usize = MAX_MEMORY;
const MAX_GROWTH_FACTOR: usize = 256;
/// How much text is read again to find the lines of problems, in bytes: each takes reading its document once more.
const MAX_LINE_SEARCH_BYTES: usize = 8 << 20;

/// What is left of what a whole directory may take.
#[derive(Debug)]
pub struct Budget {
    pub(super) strictness: Strictness,
    pub(super) documents: usize,
    memory: Cell<usize>,
    /// What refused documents may still grow to.
    wasted: Cell<usize>,
    /// Of what is read again for the lines of problems.
    sought: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self::after_used(0, 0)
    }
}

impl Budget {
    /// Beside so many documents, which take so much memory.
    pub fn after_used(documents: usize, memory: usize) -> Self {
        Self {
            strictness: Strictness::default(),
            documents: MAX_DOCUMENTS.saturating_sub(documents),
            memory: Cell::new(MAX_MEMORY.saturating_sub(memory)),
            wasted: Cell::new(MAX_REFUSED_MEMORY),
            sought: Cell::new(MAX_LINE_SEARCH_BYTES),
        }
    }

    /// For documents that were accepted before, perhaps by a version that judged less.
    #[must_use]
    pub fn for_accepted_documents(self) -> Self {
        let strictness = Strictness { was_accepted: true, ..self.strictness };
        Self { strictness, ..self }
    }

    /// Where a field that nothing knows does this.
    #[must_use]
    pub fn with_unknown_fields(self, unknown: UnknownFields) -> Self {
        Self { strictness: Strictness { unknown, ..self.strictness }, ..self }
    }

    /// With so much text left to be read again for the lines of problems.
    #[must_use]
    pub fn with_line_search_bytes(self, sought: usize) -> Self {
        Self { sought: Cell::new(sought), ..self }
    }

    /// How much text is left to be read again.
    pub fn line_search_bytes_left(&self) -> usize {
        self.sought.get()
    }

    pub(super) fn parse(&self, text: &str) -> Result<(serde_json::Value, usize), serde_yaml::Error> {
        let most = self.growth_limit(text);
        let left = Cell::new(most);
        let value = yaml::parse_within(text, &left);
        let took = most - left.get();
        // a document that is refused takes no memory, but time
        let account = if value.is_ok() { &self.memory } else { &self.wasted };
        account.set(account.get().saturating_sub(took));
        value.map(|value| (value, took))
    }

    /// What a document of this text may grow to.
    fn growth_limit(&self, text: &str) -> usize {
        let most = self.memory.get().min(yaml::MAX_DOCUMENT_BYTES);
        if self.wasted.get() > 0 { most } else { most.min(text.len().saturating_mul(MAX_GROWTH_FACTOR)) }
    }

    /// The problem with its line, or with the document's first one where finding it would take too long.
    pub(super) fn problem_with_line(
        &self,
        source: &SourceText,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_many_documents_that_grew_too_large_others_may_grow_less() {
        let budget = Budget::default();
        let list = |of: &str| [of; 100].join(",");
        let bomb = format!("a: &a [{}]\nb: &b [{}]\nc: [{}]", list("1"), list("*a"), list("*b"));
        let fine = format!("a: &a [{}]\nb: [{}]", list("1"), list("*a"));
        let mapping = "{a: {}, b: {}, c: {}}";
        let first = budget.growth_limit(&bomb);
        let tries =
            (0..1_000).filter(|_| budget.growth_limit(&bomb) == first && budget.parse(&bomb).is_err());
        // each stops just before the most
        assert_eq!(tries.count(), MAX_REFUSED_MEMORY / yaml::MAX_DOCUMENT_BYTES + 1);
        assert_eq!(budget.growth_limit(&bomb), bomb.len() * MAX_GROWTH_FACTOR);
        budget.parse(&fine).unwrap_err();
        budget.parse(mapping).unwrap();
    }
}
