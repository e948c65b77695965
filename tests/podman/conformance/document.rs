//! `docs/conformance.md`: the table, and what became of its rows on each podman of the last `make matrix`.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use super::{
    rows,
    table::{Ask, Pod, Row},
};
use crate::support::repository;

const DOCUMENT: &str = "docs/conformance.md";

/// Behaviour, fields, and what is expected.
fn cells(row: &Row) -> String {
    let code = |text: &str| format!("`{text}`");
    let fields: Vec<String> = row.fields().map(code).collect();
    let expected: Vec<String> = row.expected.lines().map(code).collect();
    let expected = match row.ask() {
        Ask::Refused(place) => format!("refused at `{place}`: {}", row.expected),
        _ if expected.is_empty() => "nothing".to_owned(),
        _ => expected.join("<br>"),
    };
    format!("| {} | {} | {} |", row.name, fields.join(", "), expected.replace(": |", " |"))
}

/// What became of each row, by podman.
fn results(directory: &Path) -> Vec<(String, BTreeMap<String, String>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut lines = text.lines();
        let podman = lines.next().and_then(|line| line.strip_prefix("podman ")).expect("its first line");
        let row = |line: &str| line.split_once('\t').map(|(name, what)| (name.to_owned(), what.to_owned()));
        all.push((podman.to_owned(), lines.filter_map(row).collect()));
    }
    all.sort_by(|a: &(String, _), b| a.0.cmp(&b.0));
    all
}

fn table(rows: &[&Row], results: &[(String, BTreeMap<String, String>)]) -> String {
    let podmans: String = results.iter().map(|(podman, _)| format!(" {podman} |")).collect();
    let lines = "|---".repeat(3 + results.len());
    let mut text = format!("| behaviour | fields | expected |{podmans}\n{lines}|\n");
    for row in rows {
        let outcomes = results.iter().map(|(_, of)| of.get(&row.name).map_or("-", String::as_str));
        let outcomes: String = outcomes.map(|outcome| format!(" {outcome} |")).collect();
        let _ = writeln!(text, "{}{outcomes}", cells(row));
    }
    text
}

#[test]
fn the_document_has_the_rows_of_the_table() {
    let pods = Pod::all();
    let rows = rows(&pods);
    let written = fs::read_to_string(repository(DOCUMENT)).unwrap();
    let head = written.split("\n| behaviour").next().unwrap_or_default();
    if let Some(directory) = std::env::var_os("DWNG_WRITE_CONFORMANCE") {
        let text = format!("{}\n\n{}", head.trim_end(), table(&rows, &results(Path::new(&directory))));
        return fs::write(repository(DOCUMENT), text).unwrap();
    }
    let table = written[head.len()..].trim().lines().skip(2);
    let of_document: Vec<String> =
        table.map(|line| line.splitn(5, '|').take(4).collect::<Vec<_>>().join("|") + "|").collect();
    let of_table: Vec<String> = rows.iter().map(|row| cells(row)).collect();
    let missing: Vec<_> = of_table.iter().filter(|row| !of_document.contains(row)).collect();
    let left: Vec<_> = of_document.iter().filter(|row| !of_table.contains(row)).collect();
    assert!(
        missing.is_empty() && left.is_empty(),
        "`make matrix` writes it anew; missing: {missing:#?}, left: {left:#?}"
    );
    assert!(!written.contains("| fail |"), "a row fails on a podman");
}
