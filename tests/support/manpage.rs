//! The man pages of section 5: the settings from `--help` and `config.yaml.sample`, the manifests from
//! `docs/manifests.md`.

use std::fmt::Write;

/// A setting as `--help` tells it.
pub struct Setting {
    pub key: String,
    pub flag: Option<String>,
    pub meaning: String,
    pub default: String,
}

/// The keys in the order of `--help`.
pub fn settings(help: &str) -> Vec<Setting> {
    let flag_of = |key: &str| {
        let end = format!(" set {key}");
        help.lines().find(|line| line.ends_with(&end)).and_then(|line| line.split_whitespace().next())
    };
    let (_, keys) = help.split_once("\nSettings, by flag").expect("the keys");
    let rows = keys.lines().skip(1).take_while(|line| !line.is_empty());
    let read = |line: &str| {
        let (key, rest) = line.trim().split_once(' ').expect("a key and more");
        // a default may have brackets of its own
        let both = rest.trim().strip_suffix(']').and_then(|it| it.split_once(" ["));
        let (meaning, default) = both.expect("a default");
        let flag = flag_of(key).map(str::to_owned);
        Setting { key: key.to_owned(), flag, meaning: meaning.to_owned(), default: default.to_owned() }
    };
    rows.map(read).collect()
}

/// What the sample says of keys, and how it shows them; each comment with the keys that follow it.
fn explanations(sample: &str) -> Vec<(String, String)> {
    let paragraphs = sample.split("\n\n").skip(1);
    let read = |paragraph: &str| {
        let (comment, shown): (Vec<&str>, Vec<&str>) =
            paragraph.lines().partition(|line| line.starts_with("# ") && !line.starts_with("#  "));
        let comment: Vec<&str> = comment.into_iter().map(|line| line.trim_start_matches("# ")).collect();
        let shown: Vec<&str> = shown.into_iter().map(|line| line.trim_start_matches('#')).collect();
        (comment.join(" "), shown.join("\n"))
    };
    paragraphs.map(read).collect()
}

/// When the pages were last changed for readers.
const DATE: &str = "2026-11-28";
const HEAD: &str = ".\\\" Made by `make manuals`: don't edit.\n";

fn title(name: &str, what: &str) -> String {
    format!("{HEAD}.TH {} 5 {DATE}\n.SH NAME\n{} \\- {}\n", name.to_uppercase(), text(name), text(what))
}

/// device-worker-ng-settings(5)
pub fn settings_page(help: &str, sample: &str) -> String {
    let mut page = title("device-worker-ng-settings", "settings of the edge agent device-worker-ng");
    page += ".SH DESCRIPTION\n";
    page += &inline(
        "The agent reads its settings from a YAML file, by default `/etc/device-worker-ng/config.yaml`, from the environment, where each key has the prefix `EDGE_DEVICE_`, and from flags. A flag wins over the environment, the environment over the file, the file over the default. An unknown key or a bad value is an error: exit status 78. `MANIFESTS` or `SERVER` must be given.",
    );
    page += "\n.SH SETTINGS\n";
    let explanations = explanations(sample);
    for Setting { key, flag, meaning, default } in settings(help) {
        let flag = flag.map(|flag| format!(" (\\fB{}\\fR)", text(&flag))).unwrap_or_default();
        let (key, meaning, default) = (text(&key), text(&meaning), text(&default));
        let _ = write!(page, ".TP\n\\fB{key}\\fR{flag}\n{meaning}.\nDefault: {default}.\n");
        let shown_first = |(_, shown): &&(String, String)| text(shown).starts_with(&format!("{key}:"));
        if let Some((comment, shown)) = explanations.iter().find(shown_first) {
            let _ = write!(page, ".IP\n{}\n.IP\n.nf\n{}\n.fi\n", text(comment), text(shown));
        }
    }
    page += ".SH SEE ALSO\n.BR device\\-worker\\-ng\\-manifests (5),\n.BR device\\-worker\\-ng (8)\n";
    page
}

/// device-worker-ng-manifests(5)
pub fn manifests_page(document: &str) -> String {
    let mut page = title("device-worker-ng-manifests", "manifests of the edge agent device-worker-ng");
    page += ".SH DESCRIPTION\n";
    let (mut is_code, mut is_bullet, mut is_first, mut rows, mut after_gap) = (false, false, true, 0, true);
    for line in document.lines().skip(2) {
        rows = if line.starts_with('|') { rows + 1 } else { 0 };
        if line.starts_with("```") {
            is_code = !is_code;
            page += if is_code { ".PP\n.nf\n" } else { ".fi\n" };
        } else if is_code {
            // an empty line would end the paragraph
            page += &if line.is_empty() { ".sp\n".to_owned() } else { format!("{}\n", text(line)) };
        } else if let Some(heading) = line.strip_prefix("## ") {
            let _ = writeln!(page, ".SH {}", text(&heading.to_uppercase()));
            is_first = true;
            continue;
        } else if rows > 2 {
            let cells: Vec<String> =
                line.trim_matches('|').split(" | ").map(|cell| inline(cell.trim())).collect();
            let rest: Vec<&str> =
                cells[1..].iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
            let _ = writeln!(
                page,
                ".TP\n{}\n{}",
                cells[0],
                if rest.is_empty() { "\\&".to_owned() } else { rest.join(": ") }
            );
        } else if rows > 0 {
            // the table's head
        } else if let Some(item) = line.strip_prefix("- ") {
            let _ = writeln!(page, ".IP \\(bu 2\n{}", inline(item));
            is_bullet = true;
        } else if line.is_empty() {
            is_bullet = false;
        } else {
            if after_gap && !is_bullet && !is_first {
                page += ".PP\n";
            }
            let _ = writeln!(page, "{}", inline(line.trim()));
        }
        after_gap = line.is_empty();
        is_first &= after_gap;
    }
    page + ".SH SEE ALSO\n.BR device\\-worker\\-ng\\-settings (5),\n.BR device\\-worker\\-ng (8)\n"
}

/// A line with code and links.
fn inline(line: &str) -> String {
    let mut without_links = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").filter(|(label, _)| !label.contains('['));
        match link.and_then(|(label, target)| Some((label, target.split_once(')')?.1))) {
            Some((label, after)) => {
                without_links += before;
                without_links += label;
                rest = after;
            }
            None => {
                without_links += before;
                without_links.push('[');
                rest = after;
            }
        }
    }
    without_links += rest;
    let plain = without_links.replace("**", "");
    let parts = plain.split('`').enumerate();
    let line: String = parts
        .map(
            |(index, part)| if index % 2 == 1 { format!("\\fB{}\\fR", escaped(part)) } else { escaped(part) },
        )
        .collect();
    guarded(line)
}

fn text(text: &str) -> String {
    guarded(escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// No line of text may begin like a request.
fn guarded(text: String) -> String {
    text.lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() })
        .collect::<Vec<_>>()
        .join("\n")
}
