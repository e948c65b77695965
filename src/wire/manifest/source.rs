//! The text of a document, and where its fields stand in the file.

use std::{fmt, sync::Arc};

use super::problem::{Problem, Severity};
use crate::wire::{
    field::{FieldPath, Finding},
    yaml,
};

/// A document's text and where it stands; enough to keep it and read it again.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceText {
    /// Its number in the file, from 1.
    pub number: usize,
    /// How many lines of the file stand before it.
    pub lines_before: usize,
    /// The text itself.
    pub text: String,
}

impl fmt::Debug for SourceText {
    /// Not the text: it may be a `Secret`'s.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {} after line {}", self.number, self.lines_before)
    }
}

impl SourceText {
    pub(super) fn line(&self, field: &FieldPath) -> usize {
        self.line_of_file(yaml::line_of(&self.text, field))
    }

    /// A line of the document as one of the file: what was kept may have any number before it.
    fn line_of_file(&self, line: usize) -> usize {
        self.lines_before.saturating_add(line)
    }

    /// Where it begins.
    pub(super) fn first_line(&self) -> usize {
        let is_blank = |line: &&str| line.trim().is_empty();
        self.line_of_file(1 + self.text.lines().take_while(is_blank).count())
    }

    pub(super) fn problem(&self, file: &Arc<str>, severity: Severity, finding: Finding) -> Problem {
        self.problem_at(self.line(&finding.field), file, severity, finding)
    }

    pub(super) fn problem_at(
        &self,
        line: usize,
        file: &Arc<str>,
        severity: Severity,
        finding: Finding,
    ) -> Problem {
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
    pub(super) fn syntax_problem(&self, file: &Arc<str>, error: &serde_yaml::Error) -> Problem {
        let mut problem = Problem {
            document: Some(self.number),
            line: Some(self.first_line()),
            ..Problem::for_file(file, "can't be read as YAML")
        };
        if is_systemd_unit(&self.text) {
            return Problem { message: QUADLET_HINT.to_owned(), ..problem };
        }
        // the reader may quote what it stumbles over
        let letters = self.text.chars().filter(|c| c.is_alphanumeric() || *c == ':');
        let is_quotable = !letters.collect::<String>().contains("kind:Secret");
        let mut message = error.to_string();
        if let Some(place) = error.location() {
            let said = format!(" at line {} column {}", place.line(), place.column());
            message = message.replacen(&said, "", 1);
            problem.line = Some(self.line_of_file(place.line()));
        }
        if is_quotable {
            let hint = match &message {
                it if it.contains("tab character") => ": indent by blanks, not by tabs",
                it if it.contains("scanning an alias") => ": a value that begins with * belongs in quotes",
                _ => "",
            };
            problem.message = shift_line_numbers(&message, self.lines_before) + hint;
        }
        problem
    }
}

/// What to say of a Quadlet.
pub const QUADLET_HINT: &str = "is a Quadlet, which systemd reads from /etc/containers/systemd, not the agent. Start it there \
                           once, then make a manifest of it: `podman generate kube CONTAINER > FILE.yaml`";

/// Whether it is a unit of systemd's: nothing else begins with the name of a section.
fn is_systemd_unit(text: &str) -> bool {
    const SECTIONS: [&str; 9] =
        ["Container", "Pod", "Kube", "Volume", "Network", "Image", "Build", "Unit", "Service"];
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with(['#', ';']) && *line != "---");
    let section = first.and_then(|line| line.strip_prefix('[')?.strip_suffix(']'));
    section.is_some_and(|section| SECTIONS.contains(&section))
}

/// The text with each ` at line N column` moved down by some lines.
fn shift_line_numbers(text: &str, lines: usize) -> String {
    let mut parts = text.split(" at line ");
    let mut moved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_at(part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len()));
        let number =
            number.parse::<usize>().map_or(number.to_owned(), |line| line.saturating_add(lines).to_string());
        moved.extend([" at line ", &number, rest]);
    }
    moved
}
