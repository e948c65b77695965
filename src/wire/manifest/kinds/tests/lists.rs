//! Lists: each item is a document of its own.

use std::sync::Arc;

use super::{assembled, problems};
use crate::wire::manifest::{Budget, FileContents};

const LIST: &str = "apiVersion: v1
kind: List
metadata: {resourceVersion: ''}
items:
- apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec: {containers: [{name: c, image: i}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: b}
  spec:
    containers: [{name: c, image: i, env: [{name: A, value: \"ä😀\\x7f\\n\"}]}]
";

#[test]
fn each_item_of_a_list_is_a_document_of_its_own() {
    let (desired, found) = assembled(LIST);
    assert_eq!((desired.workloads.len(), found), (2, vec![]));
    let broken = LIST.replace("    containers: [{name: c,", "    containers: [{nam: c,");
    let (desired, found) = assembled(&broken);
    assert_eq!((desired.workloads[0].name(), &desired.unreadable[..]), ("a", &["b".to_owned()][..]));
    assert!(
        found[0].starts_with("f.yaml, document 1, line 13: items[1].spec.containers[0].nam: "),
        "{found:?}"
    );
    let missing = LIST.replace("image: i}]}", "image: i, envFrom: [{configMapRef: {name: m}}]}]}");
    let found = problems(&missing);
    assert!(
        found[0].starts_with("f.yaml, document 1, line 8: items[0].spec.containers[0].envFrom[0]."),
        "{found:?}"
    );
    let twice = LIST.replace("{name: b}", "{name: a}");
    assert!(
        problems(&twice)[0]
            .contains("line 11: items[1].metadata.name: Pod `a` has no effect: f.yaml, line 6")
    );
}

#[test]
fn what_is_kept_of_an_item_says_the_same() {
    let file = Arc::from("f.yaml");
    let contents = FileContents::read(&file, LIST.as_bytes(), &Budget::default());
    let mut again = FileContents::default();
    for document in &contents.documents {
        again.read_document(&file, document.source().clone(), &Budget::default());
    }
    let named = |contents: &FileContents| {
        contents.documents.iter().map(|it| (it.key().2.to_owned(), it.resource.clone())).collect::<Vec<_>>()
    };
    assert_eq!(named(&again)[0], named(&contents)[0]);
    assert_eq!(again.documents.len(), 2);
}

#[test]
fn a_list_that_is_none_is_one_error() {
    for (text, said) in [
        (
            LIST.replace("apiVersion: v1\nkind: List", "kind: List"),
            "line 1: apiVersion: must be `v1` for this kind",
        ),
        (LIST.replace("items:", "item:"), "item: unknown field: a List has `items`"),
        ("apiVersion: v1\nkind: List\nitems: 5\n".to_owned(), "line 3: items: must be a list"),
        (
            "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List}]\n".to_owned(),
            "items[0].kind: a List within a List isn't read",
        ),
        (
            format!("apiVersion: v1\nkind: List\nitems: [{}]\n", "{a: b},".repeat(1001)),
            "items: has 1001 items: at most 1000 documents",
        ),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].contains(said), "{said}: {found:?}");
    }
    assert_eq!(problems("{apiVersion: v1, kind: List, items: []}"), [""; 0]);
}
