//! What was looked at, and how good it is.

use std::fmt::Write;

use serde::Serialize;

use crate::{
    agent::{sanitize::sanitize_line, view::document::json_document},
    io::clock,
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Good,
    /// It works, but not all of it.
    Doubt,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    /// `good`, `doubt` or `bad`.
    verdict: &'static str,
    says: String,
    remedy: Option<String>,
}

/// All that was looked at.
#[derive(Debug, Default)]
pub struct Findings {
    all: Vec<Finding>,
    is_bad: bool,
}

impl Findings {
    fn add(
        &mut self,
        verdict: Verdict,
        what: impl Into<String>,
        says: impl Into<String>,
        remedy: Option<&str>,
    ) {
        let word = match verdict {
            Verdict::Good => "good",
            Verdict::Doubt => "doubt",
            Verdict::Bad => "bad",
        };
        self.is_bad |= verdict == Verdict::Bad;
        let remedy = remedy.map(str::to_owned);
        self.all.push(Finding { what: what.into(), verdict: word, says: says.into(), remedy });
    }

    pub(super) fn add_good(&mut self, what: impl Into<String>, says: impl Into<String>) {
        self.add(Verdict::Good, what, says, None);
    }

    pub(super) fn add_doubt(&mut self, what: impl Into<String>, says: impl Into<String>, remedy: &str) {
        self.add(Verdict::Doubt, what, says, Some(remedy));
    }

    pub(super) fn add_bad(&mut self, what: impl Into<String>, says: impl Into<String>, remedy: &str) {
        self.add(Verdict::Bad, what, says, Some(remedy));
    }

    /// Nothing keeps the agent from its work.
    pub fn is_good(&self) -> bool {
        !self.is_bad
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for Finding { what, verdict, says, remedy } in &self.all {
            let _ = writeln!(text, "{verdict:<6} {}", sanitize_line(&format!("{what}: {says}")));
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "       remedy: {}", sanitize_line(remedy));
            }
        }
        text
    }

    /// For scripts.
    pub fn json(&self) -> String {
        json_document("findings", &serde_json::to_string(&self.all).unwrap_or_default(), clock::wall())
    }
}
