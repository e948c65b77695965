//! YAML as text: streams, keys, aliases, nesting.

use super::*;
use crate::wire::{manifest::resource::Resource, yaml};

#[test]
fn marker_lines_cut_the_stream_and_empty_parts_do_not_count() {
    let cut = |text: &'static str| -> Vec<(usize, usize, &str)> {
        let chunks = yaml::split_documents(text.as_bytes());
        chunks.iter().map(|c| (c.number, c.lines_before, std::str::from_utf8(c.text).unwrap())).collect()
    };
    assert_eq!(
        cut("\u{feff}# x\n---\na: 1\n--- # y\n\n---\nb: 2"),
        [(1, 1, "---\na: 1\n"), (2, 5, "---\nb: 2")]
    );
    assert_eq!(cut("%YAML 1.1\n---\na: 1\n...\nb: 2\n"), [(1, 1, "---\na: 1\n"), (2, 4, "b: 2\n")]);
    assert_eq!(cut("a: |\n  ---\n  x\n----\n"), [(1, 0, "a: |\n  ---\n  x\n----\n")]);
    assert_eq!(cut("a\r\n---\r\nb\r\n"), [(1, 0, "a\r\n"), (2, 1, "---\r\nb\r\n")]);
    assert_eq!(cut("--- {a: 1}\n"), [(1, 0, "--- {a: 1}\n")]);
    assert_eq!(cut(""), []);
}

#[test]
fn aliases_that_would_fill_the_memory_are_refused() {
    let long = "x".repeat(10_000);
    let text = format!("a: &a {long}\nb: [{}]\n", "*a,".repeat(10_000));
    let found = problems(&text);
    assert!(found[0].contains("aliases make it too large"), "{}", &found[0][..200.min(found[0].len())]);
}

#[test]
fn keys_that_are_no_strings_or_stand_twice_are_errors() {
    let found = problems("kind: ConfigMap\ndata:\n  8080: x\n");
    assert!(found[0].contains("line 3") && found[0].contains("a key that is a string"), "{found:?}");
    let found = problems("kind: ConfigMap\ndata:\n  a: x\n  a: y\n");
    assert!(found[0].contains("line 4") && found[0].contains("`a` stands here twice"), "{found:?}");
}

#[test]
fn merge_keys_and_anchors_work_everywhere() {
    let text = "
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {name: a}
spec:
  type: pod
  pod:
    spec:
      containers:
      - &base {name: one, image: i, args: [x]}
      - {<<: *base, name: two}
      - {<<: [{image: j}, *base], name: three}
";
    let containers = &only(text).content.specification.value()["containers"];
    assert_eq!(containers[1], json!({"name": "two", "image": "i", "args": ["x"]}));
    assert_eq!(containers[2], json!({"name": "three", "image": "j", "args": ["x"]}));
}

#[test]
fn typical_mistakes_are_told_with_what_to_write() {
    let long = "a".repeat(300);
    for (text, expected) in [
        (workload("a", "cron: '@daily'"), "found 1: write `0 0 * * *`"),
        (workload("a", "cron: 0 0 0 * * *"), "found 6: seconds and years can't be given"),
        (workload("a", "cron: */5 * * * *"), ": a value that begins with * belongs in quotes"),
        (workload("a", "cron: 5\n\tx: y"), ": indent by blanks, not by tabs"),
        (workload("a", "profiles: [{name: p, condtions: [low]}]"), "its field `conditions` is missing"),
        (workload("a", "profiles: [{name: p, conditions: [5]}]"), ": put it in quotes"),
        (workload("5", ""), "metadata.name: invalid type: integer `5`, expected a string: put it in quotes"),
        (workload(&long, ""), "metadata.name: a name of 300 bytes is too long: at most 253"),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].ends_with(expected), "{text}: {found:?}");
    }
}

#[test]
fn json_is_read_as_well() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"ConfigMap\",\n\t\"metadata\": {\"name\": \"m\"},\n\t\
                \"data\": {\"a\": \"\\u00e4\\/\\n\"}\n}";
    let contents = read(text);
    assert_eq!(contents.problems, []);
    let Resource::ConfigMap(map) = &contents.documents[0].resource else { panic!() };
    assert_eq!(map.whole["data"]["a"], "ä/\n");
}

#[test]
fn too_many_documents_are_refused_as_a_whole() {
    let contents = read(&"---\na\n".repeat(1001));
    assert_eq!(
        contents.problems[0].to_string(),
        "f.yaml: has 1001 documents: at most 1000 are read of all files together"
    );
    assert_eq!(contents.broken, [BrokenDocument::Other]);
}

#[test]
fn deep_nesting_is_an_error_at_once_and_within_the_stack_of_the_manifests_thread() {
    let ways = [
        format!("a: {}", "[".repeat(1 << 20)),
        format!("a: {}1{}", "[".repeat(900), "]".repeat(900)),
        format!("a: {}1{}", "[".repeat(120), "]".repeat(120)),
        format!("a: [{}", "{a: ".repeat(120)),
        format!("{}1", "- ".repeat(100_000)),
    ];
    let thread = std::thread::Builder::new().stack_size(READER_STACK_BYTES).spawn(move || {
        for text in ways {
            assert_eq!(read(&text).problems.len(), 1);
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_list_where_a_mapping_belongs_is_one_error() {
    let head = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\n";
    let pod = "spec: {containers: [{name: c, image: i}]}";
    for (rest, expected) in [
        (
            format!("metadata: {{name: w}}\nspec:\n  type: pod\n  pod:\n  - {pod}"),
            "line 6: spec.pod: must be a mapping",
        ),
        ("metadata: {name: w}\nspec: [pod, null, null, {}]".to_owned(), "line 4: spec: must be a mapping"),
        (
            format!("metadata: [w, null]\nspec: {{type: pod, pod: {{{pod}}}}}"),
            "line 3: metadata: must be a mapping",
        ),
        (
            "metadata: {name: w}\nspec:\n  type: pod\n  pod: {spec: {containers: [[a, b]]}}".to_owned(),
            "line 6: spec.pod.spec.containers[0]: must be a mapping",
        ),
        (
            format!("metadata: {{name: w}}\nspec:\n  type: pod\n  retry: [[5]]\n  pod: {{{pod}}}"),
            "line 6: spec.retry: must be a mapping",
        ),
    ] {
        let found =
            problems(&format!("{head}{rest}\n---\n{}", workload("good", "").trim_start_matches("---\n")));
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
        assert!(found[0].starts_with(&format!("f.yaml, document 1, {expected}")), "{rest}: {found:?}");
    }
    // no document at all, or parts that are not read by a type
    for text in
        ["[]", "- kind: EdgeWorkload", "kind: [EdgeWorkload]", "kind: Secret\napiVersion: v1\nmetadata: [x]"]
    {
        assert_eq!(problems(text).len(), 1, "{text}");
    }
}

#[test]
fn many_directives_are_refused_before_they_are_parsed() {
    let text = (0..20_000).map(|n| format!("%TAG !a{n}! tag:b,2000:\n")).collect::<String>() + "a: 1\n";
    assert!(problems(&text)[0].contains("more than 16 directives"), "{}", problems(&text)[0]);
    assert_eq!(
        problems(&format!("%YAML 1.2\n%TAG !a! tag:b,2000:\n{}", config_map("m", "v"))),
        [] as [&str; 0]
    );
}

#[test]
fn more_lists_than_fit_into_memory_are_refused_before_they_are_parsed() {
    for text in ["- ".repeat(500_000), "? ".repeat(500_000), "-\n".repeat(500_000), "- [[]]\n".repeat(50_000)]
    {
        assert!(problems(&text)[0].contains("more than 100000 lists and mappings"), "{}", problems(&text)[0]);
    }
    let rulers = format!("{} {}", "-".repeat(500_000), "- ".repeat(50_000));
    assert_eq!(problems(&config_map("m", &rulers)), [] as [&str; 0]);
}

#[test]
fn a_syntax_error_has_the_lines_of_the_file_everywhere() {
    let text = format!("{}---\n\na:\n  - b\n c: [\n", "\n".repeat(100));
    let found = problems(&text);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("f.yaml, document 1, line 105: "), "{found:?}");
    assert!(!found[0].contains(" at line 3 ") && found[0].contains(" at line 103 "), "{found:?}");
}

#[test]
fn small_documents_of_aliases_together_take_no_more_than_is_allowed() {
    let map = config_map("m", "").replace("data: {k: \"\"}", "data: {k: &a {x: 1}}\nb: [LIST]");
    let many = map.replace("LIST", &"*a,".repeat(5_000)).repeat(100);
    let budget = Budget::default();
    for text in [many.clone(), many.replace("k: &a {x: 1}", "k: x\nc: &a {x: 1}")] {
        let contents = FileContents::read(&Arc::from("f"), text.as_bytes(), &budget);
        assert!(contents.took <= MAX_MEMORY, "{}", contents.took);
        assert!(contents.broken.len() > 80, "{}", contents.broken.len());
    }
}
