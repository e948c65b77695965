//! The source stays as the crate's documentation draws it.

use std::{fs, path::Path};

use crate::support::repository;

fn add(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(repository("")).unwrap().to_str().unwrap().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// All files of the source, each by its path and with its text.
pub(super) fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    add(&repository("src"), &mut found);
    assert!(found.len() > 30, "where are the sources?");
    found
}

#[test]
fn dependencies_point_one_way() {
    let rules: [(&str, &[&str]); 4] = [
        (
            "src/agent",
            &[
                "crate::io",
                "crate::wire",
                "crate::run",
                "crate::settings",
                "crate::check",
                "std::fs",
                "std::net",
                "std::thread",
                "std::process",
                "std::os",
                "rustix::",
                "ureq::",
                "crossbeam",
            ],
        ),
        (
            "src/wire",
            &["crate::io", "crate::run", "crate::check", "std::net", "std::thread", "rustix::", "ureq::"],
        ),
        ("src/io", &["crate::run", "crate::check"]),
        ("src/settings", &["crate::io", "crate::run", "crate::check"]),
    ];
    let mut wrong = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.contains("tests")) {
        for (directory, forbidden) in rules {
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.filter(|_| file.starts_with(directory)) {
                wrong.extend(
                    forbidden
                        .iter()
                        .filter(|word| line.contains(**word))
                        .map(|word| format!("{file}: {word}")),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_file_says_what_lives_there_and_stays_short() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{file} does not open with what lives there");
        let lines = text.lines().count();
        let tests = file.contains("tests");
        assert!(lines <= if tests { 700 } else { 450 }, "{file} has {lines} lines");
    }
}

#[test]
fn nothing_writes_into_foreign_json_by_index() {
    // `value["key"] = …` panics where a list stands
    let mut wrong = Vec::new();
    for (file, text) in
        sources().into_iter().filter(|(file, _)| !file.contains("tests") && !file.contains("src/agent"))
    {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_write = |line: &&str| {
            line.contains("\"] = ")
                || line.contains("\"].take()")
                || line.contains("\"].as_") && line.contains("_mut()")
        };
        wrong.extend(code.lines().filter(is_write).map(|line| format!("{file}: {}", line.trim())));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
