//! What a file says: its documents, one by one, and what is wrong with them.

use std::sync::Arc;

use super::{
    allowance::{Allowance, MOST_DOCUMENTS},
    document::Document,
    kind,
    pod::Findings,
    problem::{MOST_WARNINGS, Problem, Severity},
    resource::Resource,
    source::Source,
};
use crate::wire::{
    field::Finding,
    yaml::{self, Chunk},
};

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
    /// It is another kind's, or it doesn't say what it was meant to be.
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
        let broken = match kind::workload(&value) {
            Some(name) => Broken::Workload(name.to_owned()),
            None => Broken::Other,
        };
        match kind::read(value, allowance.was_accepted) {
            Ok((mut resource, Findings { warnings, notes, .. })) => {
                let faults = match &mut resource {
                    Resource::Device(device) => std::mem::take(&mut device.faults),
                    _ => Vec::new(),
                };
                let mut tell = |severity, findings, what| {
                    self.problems.extend(problems(&source, file, allowance, severity, findings, what));
                };
                tell(Severity::Error, faults, "names are bad");
                tell(Severity::Warning, warnings, "things have no effect");
                tell(Severity::Note, notes, "things mean nothing here");
                self.documents.push(Document { file: file.clone(), source, resource });
            }
            Err(findings) => {
                let what = "things are wrong";
                for mut problem in problems(&source, file, allowance, Severity::Error, findings, what) {
                    if let Broken::Workload(name) = &broken {
                        problem.workload = Some(name.clone());
                    }
                    self.problems.push(problem);
                }
                self.broken.push(broken);
            }
        }
    }
}

/// The findings about a document with their lines, and how many more there are.
fn problems(
    source: &Source,
    file: &Arc<str>,
    allowance: &Allowance,
    severity: Severity,
    mut findings: Vec<Finding>,
    what: &str,
) -> Vec<Problem> {
    let more = findings.len().saturating_sub(MOST_WARNINGS);
    findings.truncate(MOST_WARNINGS);
    if more > 0 {
        findings.push(Finding::new([], format!("{more} more {what}")));
    }
    findings.into_iter().map(|finding| allowance.problem(source, file, severity, finding)).collect()
}
