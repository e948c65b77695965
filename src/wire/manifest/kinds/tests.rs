//! Objects of Kubernetes by their outcome.

mod controllers;
mod jobs;
mod lists;
mod schema;
mod services;
mod table;

use std::sync::Arc;

use crate::{
    agent::model::workload::{Desired, Workload},
    wire::manifest::{Allowance, Contents, Document, assemble},
};

fn assembled(text: &str) -> (Desired, Vec<String>) {
    let contents = Contents::read(&Arc::from("f.yaml"), text.as_bytes(), &Allowance::default());
    let documents: Vec<&Document> = contents.documents.iter().collect();
    let (desired, more) = assemble(&documents, &contents.broken, "pi");
    (desired, contents.problems.iter().chain(&more).map(ToString::to_string).collect())
}

fn problems(text: &str) -> Vec<String> {
    assembled(text).1
}

fn only(text: &str) -> Workload {
    let (desired, problems) = assembled(text);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(desired.workloads.len(), 1);
    Workload::clone(&desired.workloads[0])
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "'{from}' is not in {text}");
    text.replacen(from, to, 1)
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
