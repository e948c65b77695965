//! Objects of Kubernetes by their outcome.

mod controllers;
mod jobs;
mod lists;
mod schema;
mod services;
mod table;

use crate::wire::manifest::tests::{assembled, only, problems};

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "'{from}' is not in {text}");
    text.replacen(from, to, 1)
}

/// Each case is `FROM -> TO => WORDS`: with the one replaced by the other, a problem of `text` has these words.
fn assert_problems(text: &str, cases: &[&str]) {
    for case in cases {
        let (change, words) = case.split_once(" => ").unwrap();
        let (from, to) = change.split_once(" -> ").unwrap();
        let found = problems(&replaced(text, from, to));
        assert!(found.iter().any(|it| it.contains(words)), "{case}\nnot in {found:#?}");
    }
}

/// With these lines in its `spec`.
fn deployment(spec: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: c, image: i}}
{spec}"
    )
}
