//! No two files of the source import one another, over however many steps: it can be read from the ground up.

use std::{
    collections::{BTreeMap, VecDeque},
    iter::Peekable,
    str::Chars,
};

use super::architecture::sources;

#[test]
fn no_two_files_import_one_another() {
    let files = sources().into_iter().filter(|(name, _)| !is_test(name) && name != "src/main.rs");
    let circles = circles(imports(files));
    assert!(circles.is_empty(), "these files import one another:\n\n{}", circles.join("\n"));
}

/// Which file needs which, and by which path.
type Imports = BTreeMap<String, BTreeMap<String, String>>;

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

fn imports(files: impl Iterator<Item = (String, String)>) -> Imports {
    let files: BTreeMap<Vec<String>, (String, String)> =
        files.map(|(name, text)| (module(&name), (name, text))).collect();
    let imported = |module: &[String], text: &str| {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let used = paths(&tokens(code)).into_iter();
        used.filter_map(|path| {
            let known = |module: &[String]| files.contains_key(module);
            let found = resolved(module, &path, &known).filter(|found| found != module)?;
            Some((files[&found].0.clone(), path.join("::")))
        })
        .collect()
    };
    files.iter().map(|(module, (name, text))| (name.clone(), imported(module, text))).collect()
}

/// `src/io/unix.rs` is `io::unix`.
fn module(name: &str) -> Vec<String> {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| !matches!(*part, "mod" | "lib")).map(str::to_owned).collect()
}

/// The module that a path leads to, as far as it has a file of its own.
fn resolved(module: &[String], path: &[String], known: &dyn Fn(&[String]) -> bool) -> Option<Vec<String>> {
    let mut found = module.to_vec();
    let mut rest = path.iter().peekable();
    match path.first()?.as_str() {
        "crate" => found.clear(),
        "self" | "super" => {}
        child => {
            return if known(&[module, &[child.to_owned()]].concat()) {
                resolved(module, &[&["self".to_owned()], path].concat(), known)
            } else {
                None
            };
        }
    }
    while let Some(word) = rest.next_if(|word| matches!(word.as_str(), "crate" | "self" | "super")) {
        if word == "super" {
            found.pop();
        }
    }
    for word in rest {
        found.push(word.clone());
        if !known(&found) {
            found.pop();
            break;
        }
    }
    Some(found)
}

/// All paths of two words and more, and those that are used: `use a::{b, c::d}` has two.
fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let before = at.checked_sub(1).map_or("", |at| &tokens[at]);
        match tokens[at].as_str() {
            "pub" if tokens.get(at + 1).is_some_and(|next| next == "(") => {
                at += tokens[at..].iter().position(|token| token == ")").unwrap_or(1);
            }
            word if is_word(word) && before != "::" => {
                let is_used = before == "use";
                let mut tree = Vec::new();
                at = branches(tokens, at, &[], &mut tree);
                found.extend(tree.into_iter().filter(|path| is_used || path.len() > 1));
            }
            _ => at += 1,
        }
    }
    found
}

/// Adds the paths that begin at this token, each after `prefix`; where they end.
fn branches(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    let is = |at: usize, what: &str| tokens.get(at).is_some_and(|token| token == what);
    loop {
        if is(at, "{") {
            at += 1;
            while at < tokens.len() && !is(at, "}") {
                at = branches(tokens, at, &path, found).max(at + 1);
                while is(at, ",") || is(at, "as") {
                    at += if is(at, "as") { 2 } else { 1 };
                }
            }
            return at + 1;
        }
        let Some(word) = tokens.get(at).filter(|token| is_word(token)) else { break };
        path.push(word.clone());
        at += 1;
        if !is(at, "::") {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Words, `::` and single signs, without comments, texts and characters.
fn tokens(code: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '/' if rest.peek() == Some(&'/') => while rest.next().is_some_and(|sign| sign != '\n') {},
            '"' => skip_text(&mut rest),
            '\'' => skip_character(&mut rest),
            ':' if rest.next_if_eq(&':').is_some() => found.push("::".to_owned()),
            sign if sign.is_alphanumeric() || sign == '_' => {
                let mut word = String::from(sign);
                while let Some(sign) = rest.next_if(|sign| sign.is_alphanumeric() || *sign == '_') {
                    word.push(sign);
                }
                match word.as_str() {
                    "r" | "br" if matches!(rest.peek(), Some('"' | '#')) => skip_raw_text(&mut rest),
                    _ => found.push(word),
                }
            }
            sign if sign.is_whitespace() => {}
            sign => found.push(sign.to_string()),
        }
    }
    found
}

fn skip_text(rest: &mut Peekable<Chars<'_>>) {
    while let Some(sign) = rest.next().filter(|sign| *sign != '"') {
        if sign == '\\' {
            rest.next();
        }
    }
}

fn skip_raw_text(rest: &mut Peekable<Chars<'_>>) {
    let mut fence = String::from("\"");
    while rest.next_if_eq(&'#').is_some() {
        fence.push('#');
    }
    let mut text = String::new();
    rest.next();
    while !text.ends_with(&fence) {
        let Some(sign) = rest.next() else { return };
        text.push(sign);
    }
}

/// Or what stands before the name of a lifetime.
fn skip_character(rest: &mut Peekable<Chars<'_>>) {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('\\') => {
            rest.next();
            rest.next();
            while rest.next().is_some_and(|sign| sign != '\'') {}
        }
        _ if ahead.next() == Some('\'') => drop((rest.next(), rest.next())),
        _ => {}
    }
}

/// The shortest circle, then the shortest of those that are left without its last step, and so on, for people.
fn circles(mut imports: Imports) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(circle) =
        imports.keys().filter_map(|file| circle(&imports, file)).min_by_key(|circle| circle.len())
    {
        let steps = circle.iter().zip(circle.iter().cycle().skip(1));
        let step =
            |(file, other): (&String, &String)| format!("{file} needs {other}: {}\n", imports[file][other]);
        found.push(steps.map(step).collect::<String>());
        if let (Some(first), Some(last)) = (circle.first(), circle.last()) {
            imports.entry(last.clone()).or_default().remove(first);
        }
    }
    found
}

/// The shortest way from this file back to itself.
fn circle(imports: &Imports, file: &String) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut next = VecDeque::from([file]);
    while let Some(present) = next.pop_front() {
        for other in imports.get(present)?.keys() {
            if other == file {
                let mut way = vec![present.clone()];
                while way.last() != Some(file) {
                    way.push(came_from[way.last()?].clone());
                }
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(other) {
                came_from.insert(other, present);
                next.push_back(other);
            }
        }
    }
    None
}

fn found_in(files: &[(&str, &str)]) -> Vec<String> {
    circles(imports(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))))
}

#[test]
fn a_circle_is_found_and_printed_step_by_step() {
    let found = found_in(&[
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "use crate::{c, b::{self, Thing}};"),
        ("src/b/mod.rs", "mod part;\npub struct Thing;\nfn f() { part::g() }"),
        ("src/b/part.rs", "pub(super) fn g() { super::super::a::h() }"),
        ("src/c.rs", "pub struct Thing(Box<super::a::Other>);"),
    ]);
    assert_eq!(
        found,
        [
            "src/a.rs needs src/c.rs: crate::c\nsrc/c.rs needs src/a.rs: super::a::Other\n",
            "src/a.rs needs src/b/mod.rs: crate::b::Thing\nsrc/b/mod.rs needs src/b/part.rs: part::g\n\
          src/b/part.rs needs src/a.rs: super::super::a::h\n"
        ]
    );
}

#[test]
fn what_is_no_import_makes_no_circle() {
    let found = found_in(&[
        ("src/lib.rs", "//! See [`crate::a`].\npub mod a;\npub mod b;"),
        ("src/a.rs", "use crate::b;\nuse std::b as c;\npub(in crate::a) struct A<'a>(&'a str);"),
        (
            "src/b.rs",
            "// crate::a\nconst B: (&str, &str, char) = (\"crate::a\\\"\", r#\"\"crate::a\"#, '\"');\n\
                      #[cfg(test)]\nmod tests {\n    use crate::a;\n}",
        ),
    ]);
    assert_eq!(found, [""; 0]);
}
