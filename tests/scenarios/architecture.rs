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
                "crate::reload",
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
            &[
                "crate::io",
                "crate::run",
                "crate::reload",
                "crate::check",
                "std::net",
                "std::thread",
                "rustix::",
                "ureq::",
            ],
        ),
        ("src/io", &["crate::run", "crate::reload", "crate::check"]),
        ("src/settings", &["crate::io", "crate::run", "crate::reload", "crate::check"]),
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

/// Whether this name begins a definition here, and no longer name does.
fn is_defined_in(line: &str, name: &str) -> bool {
    ["fn ", "const ", "static ", "struct ", "enum "].iter().any(|word| {
        line.split(word).skip(1).any(|rest| {
            rest.strip_prefix(name)
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    })
}

/// How often a file, but for its tests, defines `name`, or `Type::name`.
fn definitions(text: &str, symbol: &str) -> usize {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let Some((kind, name)) = symbol.split_once("::") else {
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        return code.filter(|line| is_defined_in(line, symbol)).count();
    };
    let words = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word == kind);
    let blocks = code.split("\nimpl").skip(1).filter(|block| words(block.lines().next().unwrap_or_default()));
    let bodies = blocks.map(|block| block.split("\n}\n").next().unwrap_or_default());
    bodies.flat_map(str::lines).filter(|line| is_defined_in(line, name)).count()
}

#[test]
fn the_index_of_rules_names_what_decides_each() {
    let index = fs::read_to_string(repository("docs/rules.md")).unwrap();
    let rows =
        index.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "));
    let (mut count, mut wrong) = (0, Vec::new());
    for (rule, places) in rows.filter(|(rule, _)| *rule != "rule") {
        count += 1;
        for place in places.split("; ") {
            let parts: Vec<&str> = place.split(['`', '(', ')']).collect();
            let ["[", shown, "]", link, " ", symbol, ""] = parts[..] else {
                wrong.push(format!("{rule}: {place} is no link and name"));
                continue;
            };
            let path = link.strip_prefix("../").unwrap_or(link);
            let text = fs::read_to_string(repository(path)).unwrap_or_default();
            let found = match path.strip_prefix("src/") {
                Some(below) if below == shown => definitions(&text, symbol),
                None if path == shown => {
                    let begins = |line: &&str| {
                        line.strip_prefix(symbol).is_some_and(|rest| rest.starts_with([' ', '=']))
                    };
                    text.lines().filter(begins).count()
                }
                _ => 0,
            };
            if found != 1 {
                wrong.push(format!("{rule}: {shown} defines '{symbol}' {found} times"));
            }
        }
    }
    assert!(count > 120, "where is the index?");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
