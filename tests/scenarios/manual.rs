//! The man pages and the shells' completions say what the program says of itself.

use std::{collections::BTreeSet, fs};

use crate::support::{binary, manpage, repository};

fn help() -> String {
    let output = binary().arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What `--help` lists: flags, commands and keys, each at the beginning of an indented line.
fn terms() -> Vec<String> {
    let help = help();
    let indented = help.lines().filter_map(|line| line.strip_prefix("  "));
    let terms = indented.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    terms.map(|term| term.trim_end_matches([',', ':']).to_owned()).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(repository("packaging").join(name)).unwrap()
}

/// The words of a text. In `mdoc` a dash before a flag is the macro's, and inside a line a hyphen is escaped.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).collect()
}

fn missing<'a>(wanted: impl Iterator<Item = &'a String>, text: &str) -> Vec<&'a String> {
    let words = words(text);
    wanted.filter(|term| !words.contains(term.as_str())).collect()
}

fn is_key(term: &str) -> bool {
    term.chars().all(|c| c.is_ascii_uppercase() || c == '_')
}

#[test]
fn the_man_page_names_every_flag_command_and_key() {
    let terms = terms();
    assert!(terms.len() > 30, "{terms:?}");
    // `.Fl -config` is --config
    let page = read("device-worker-ng.8").replace("Fl -", "--");
    let unnamed = missing(terms.iter(), &page);
    assert!(unnamed.is_empty(), "packaging/device-worker-ng.8 doesn't name {unnamed:?}");
}

#[test]
fn completions_offer_every_flag_and_command() {
    let terms: Vec<String> = terms().into_iter().filter(|term| !is_key(term)).collect();
    for shell in ["bash", "zsh", "fish"] {
        // `-l config` is --config
        let script = read(&format!("completions/device-worker-ng.{shell}")).replace(" -l ", " --");
        let unoffered = missing(terms.iter(), &script);
        assert!(unoffered.is_empty(), "the completion in {shell} doesn't offer {unoffered:?}");
    }
}

#[test]
fn the_pages_of_settings_and_manifests_are_as_they_are_made() {
    let read = |name| fs::read_to_string(repository(name)).unwrap();
    let pages = [
        ("settings", manpage::settings_page(&help(), &read("config.yaml.sample"))),
        ("manifests", manpage::manifests_page(&read("docs/manifests.md"))),
    ];
    for (name, page) in pages {
        let file = repository("packaging").join(format!("device-worker-ng-{name}.5"));
        if std::env::var_os("DWNG_WRITE_MANUALS").is_some() {
            fs::write(&file, &page).unwrap();
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        assert!(kept == page, "{} isn't up to date: run `make manuals`", file.display());
    }
}
