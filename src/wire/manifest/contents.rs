//! What a file says: its documents, one by one, and what is wrong with them.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    budget::{Budget, MAX_DOCUMENTS},
    document::Document,
    findings::Findings,
    kind,
    problem::{MAX_WARNINGS, Problem, Severity},
    resource::Resource,
    source::SourceText,
};
use crate::wire::{
    field::{FieldPath, Finding},
    yaml::{self, DocumentText},
};

/// What a file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FileContents {
    /// What the valid documents take in memory, in bytes.
    pub took: usize,
    /// The valid documents, in the file's order.
    pub documents: Vec<Document>,
    /// One for each broken document.
    pub broken: Vec<BrokenDocument>,
    /// What is wrong, in the file's order.
    pub problems: Vec<Problem>,
}

/// A document that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenDocument {
    /// It was meant to define this workload.
    Workload(String),
    /// It is another kind's, or it doesn't say what it was meant to be.
    Other,
}

impl FileContents {
    /// Reads a file's bytes, whatever they are.
    pub fn read(file: &Arc<str>, bytes: &[u8], budget: &Budget) -> Self {
        let mut contents = Self::default();
        let chunks = yaml::split_documents(bytes);
        if chunks.len() > budget.documents {
            contents.broken.push(BrokenDocument::Other);
            let message = format!(
                "has {} documents: at most {MAX_DOCUMENTS} are read of all files together",
                chunks.len()
            );
            contents.problems.push(Problem::for_file(file, message));
            return contents;
        }
        for DocumentText { number, lines_before, text } in chunks {
            match std::str::from_utf8(text) {
                Ok(text) => {
                    let source = SourceText { number, lines_before, text: text.to_owned() };
                    contents.read_document(file, source, budget);
                }
                Err(error) => {
                    let good = &text[..error.valid_up_to()];
                    let line = lines_before + good.iter().filter(|byte| **byte == b'\n').count() + 1;
                    contents.broken.push(BrokenDocument::Other);
                    contents.problems.push(Problem {
                        document: Some(number),
                        line: Some(line),
                        ..Problem::for_file(file, "is not UTF-8")
                    });
                }
            }
        }
        contents
    }

    /// Reads one document's text; what it says or what is wrong with it is added to the rest.
    pub fn read_document(&mut self, file: &Arc<str>, source: SourceText, budget: &Budget) {
        let (value, took) = match budget.parse(&source.text) {
            Ok(read) => read,
            Err(error) => {
                self.broken.push(BrokenDocument::Other);
                self.problems.push(source.syntax_problem(file, &error));
                return;
            }
        };
        self.took += took;
        match value {
            Value::Null => {}
            Value::Object(list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                self.read_list(file, &source, list, budget);
            }
            value => self.add_document(value, budget, &DocumentPlace { file, source: &source, item: None }),
        }
    }

    /// Each item is a document of its own, which is kept apart: another version of the list may have only some.
    fn read_list(
        &mut self,
        file: &Arc<str>,
        source: &SourceText,
        mut list: Map<String, Value>,
        budget: &Budget,
    ) {
        let place = DocumentPlace { file, source, item: None };
        let mut items = match list.remove("items") {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return self.refuse(&place, budget, Finding::new(["items"], "must be a list")),
        };
        if list.get("apiVersion").is_none_or(|version| version != "v1") {
            return self.refuse(&place, budget, Finding::new(["apiVersion"], "must be `v1` for this kind"));
        }
        if let Some(unknown) = list.keys().find(|key| !matches!(&***key, "apiVersion" | "kind" | "metadata"))
        {
            let message = "unknown field: a List has `items`";
            return self.refuse(&place, budget, Finding::new([&**unknown], message));
        }
        let most = budget.documents.saturating_sub(self.documents.len() + self.broken.len());
        if items.len() > most {
            let message = format!(
                "has {} items: at most {MAX_DOCUMENTS} documents are read of all files together",
                items.len()
            );
            return self.refuse(&place, budget, Finding::new(["items"], message));
        }
        let whole = Arc::new(source.clone());
        for (index, value) in items.drain(..).enumerate() {
            let at = FieldPath::from(["items"]).child(index);
            let place = DocumentPlace { file, source, item: Some((&whole, &at)) };
            if value["kind"] == "List" {
                self.refuse(&place, budget, Finding::new(["kind"], "a List within a List isn't read"));
                continue;
            }
            self.add_document(value, budget, &place);
        }
    }

    fn refuse(&mut self, place: &DocumentPlace<'_>, budget: &Budget, finding: Finding) {
        self.broken.push(BrokenDocument::Other);
        self.problems.extend(place.problems(budget, Severity::Error, vec![finding], ""));
    }

    /// What a document, or an item of a list, says.
    fn add_document(&mut self, value: Value, budget: &Budget, place: &DocumentPlace<'_>) {
        let broken = match kind::workload_name(&value) {
            Some(name) => BrokenDocument::Workload(name.to_owned()),
            None => BrokenDocument::Other,
        };
        let kept = match place.item {
            Some(_) => SourceText { text: yaml::to_single_line(&value), ..*place.source },
            None => place.source.clone(),
        };
        match kind::read(value, budget.strictness) {
            Ok((mut resource, Findings { warnings, notes, .. })) => {
                let faults = match &mut resource {
                    Resource::Device(device) => std::mem::take(&mut device.faults),
                    _ => Vec::new(),
                };
                let mut tell = |severity, findings, what| {
                    self.problems.extend(place.problems(budget, severity, findings, what));
                };
                tell(Severity::Error, faults, "names are bad");
                tell(Severity::Warning, warnings, "things have no effect");
                tell(Severity::Note, notes, "things mean nothing here");
                let within = place.item.map(|(whole, at)| (Arc::clone(whole), at.clone()));
                self.took += within.as_ref().map_or(0, |_| kept.text.len());
                self.documents.push(Document { file: place.file.clone(), source: kept, within, resource });
            }
            Err(findings) => {
                for mut problem in place.problems(budget, Severity::Error, findings, "things are wrong") {
                    if let BrokenDocument::Workload(name) = &broken {
                        problem.workload = Some(name.clone());
                    }
                    self.problems.push(problem);
                }
                self.broken.push(broken);
            }
        }
    }
}

/// Where a document stands.
struct DocumentPlace<'a> {
    file: &'a Arc<str>,
    source: &'a SourceText,
    /// Of an item of a list: the list, and where in it.
    item: Option<(&'a Arc<SourceText>, &'a FieldPath)>,
}

impl DocumentPlace<'_> {
    /// The findings with their lines, and how many more there are.
    fn problems(
        &self,
        budget: &Budget,
        severity: Severity,
        mut findings: Vec<Finding>,
        what: &str,
    ) -> Vec<Problem> {
        let more = findings.len().saturating_sub(MAX_WARNINGS);
        findings.truncate(MAX_WARNINGS);
        if more > 0 {
            findings.push(Finding::new([], format!("{more} more {what}")));
        }
        let within = |finding: Finding| match self.item {
            Some((_, at)) => finding.with_path_prefix(at),
            None => finding,
        };
        let problem = |finding| budget.problem_with_line(self.source, self.file, severity, within(finding));
        findings.into_iter().map(problem).collect()
    }
}
