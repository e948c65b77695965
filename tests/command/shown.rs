//! All that a person is shown of a workload in a situation: what `status`, `explain` and `describe` print, and its row of
//! the page. A file of `tests/command/shown` keeps it whole; what differs from run to run is masked.
//!
//! `DWNG_WRITE_SHOWN=1` writes those files anew: read each difference as an operator would.

use std::{collections::BTreeSet, fs};

use super::{masked, say};
use crate::{
    page::Browser,
    support::{Device, SLEEP, repository, workload},
};

const DIRECTORY: &str = "tests/command/shown";
/// What the page shows: of the device, what helps several workloads, and this workload's row, whose empty cells it
/// leaves out.
const PAGE: &str = "(name => {
  const $ = (id) => document.getElementById(id), texts = (node) => [...node.children].map((it) => it.innerText);
  const row = [...document.querySelectorAll('#workloads tbody tr')].find((it) => it.cells[0].innerText === name);
  const heads = texts(document.querySelector('#workloads thead tr'));
  const text = (cell) => (cell.classList.contains('why') ? texts(cell.querySelector('.split > div')).join('\\n  ') : cell.innerText);
  const cells = row ? [...row.cells].map(text).map((it, at) => it && `${heads[at]}: ${it}`) : [];
  const helps = $('remedies').hidden ? [] : texts($('remedies'));
  return [$('health').innerText, ...texts($('facts')), ...helps, ...cells].filter(Boolean).join('\\n');
})";

/// A device that has a page.
pub(super) fn device(name: &str) -> Option<Device> {
    let mut device = Device::new(name)?;
    device.set("STATUS_PAGE", "true");
    Some(device)
}

/// The same without a podman.
pub(super) fn without_podman(name: &str) -> Device {
    let mut device = Device::without_podman(name);
    device.set("STATUS_PAGE", "true");
    device
}

/// A device whose agent has this workload alone.
pub(super) fn started(name: &str, workload: &serde_json::Value) -> Option<Device> {
    let mut device = device(name)?;
    device.manifest("w.json", &workload.to_string());
    device.start();
    Some(device)
}

/// A device whose agent runs `shy` alone, as long as its condition holds.
pub(super) fn gated(name: &str) -> Option<Device> {
    let mut shy = workload("shy", SLEEP);
    shy["spec"]["profiles"] = serde_json::json!([{"name": "p", "conditions": ["low"]}]);
    let device = started(name, &shy)?;
    device.wait_for_running(&["shy"]);
    Some(device)
}

/// What the commands say, with the code that each ends with.
fn commands(device: &Device, name: &str) -> String {
    let command = |words: &[&str]| {
        let (code, said) = say(device, words);
        let code = if code == 0 { String::new() } else { format!("    # exit code {code}") };
        format!("$ device-worker-ng {}{code}\n{}\n", words.join(" "), hashes(&said))
    };
    [&["status"][..], &["explain", name], &["describe", name]].map(command).concat()
}

fn page(device: &Device, browser: &Browser, name: &str) -> String {
    let text = browser.value(&format!("{PAGE}({})", serde_json::json!(name)));
    let text = hashes(&masked(device, text.as_str().unwrap_or_default()));
    // `1m 5s`
    format!("the page\n{}", text.replace("# #", "#"))
}

/// Digits of hashes, addresses and times are masked too, and the lines that depend on how a machine limits containers.
fn hashes(text: &str) -> String {
    let process = std::process::id();
    let program = fs::read_to_string(format!("/proc/{process}/comm")).unwrap();
    let here = format!("'{}' (process {process})", program.trim());
    let text = text.replace(&here, "'PROGRAM' (process #)");
    let text = text.replace(&format!("'{}' (process #)", program.trim()), "'PROGRAM' (process #)");
    let is_word = |c: char| c.is_ascii_alphanumeric();
    let part = |part: &str| {
        let is_hash = part.len() >= 12
            && part.bytes().all(|byte| byte.is_ascii_hexdigit())
            && part.bytes().any(|byte| byte.is_ascii_digit());
        let is_number = part.len() >= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        match () {
            () if is_hash => "HASH".to_owned(),
            () if is_number => "#".to_owned(),
            () => part.to_owned(),
        }
    };
    let word = |word: &str| {
        if word.len() >= 20 && word.starts_with("20") && word.as_bytes()[10] == b'T' && word.contains('Z') {
            return format!("TIME{}", &word[word.find('Z').unwrap() + 1..]);
        }
        if word.starts_with("10.") && word.split('.').count() == 4 {
            return "ADDRESS".to_owned();
        }
        word.split_inclusive(|c| !is_word(c))
            .map(|it| {
                let end = it.trim_end_matches(|c| !is_word(c)).len();
                part(&it[..end]) + &it[end..]
            })
            .collect()
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n";
    let text: String = text.lines().filter(|it| !it.starts_with("limits # processes")).map(line).collect();
    text.replace(", # processes\n", "\n")
}

/// Waits until `explain` says this, and then all that is shown must be what the file keeps.
pub(super) fn is_shown(device: &Device, name: &str, file: &str, part: &str) {
    let explained = || say(device, &["explain", name]).1;
    device.wait_for(&format!("{name} to be explained by {part:?}"), || {
        let said = explained();
        println!("{said}");
        said.contains(part).then_some(())
    });
    let path = repository(DIRECTORY).join(format!("{file}.txt"));
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let (told, on_page) = kept.split_once("the page\n").unwrap_or_default();
    let is_written = std::env::var_os("DWNG_WRITE_SHOWN").is_some();
    let settled = |expected: &str, look: &dyn Fn() -> String| {
        let mut last = String::new();
        let same = crate::support::poll(|| {
            let seen = look();
            let is_it = if is_written { seen == last } else { seen == expected };
            if is_it {
                return Some(());
            }
            last = seen;
            if is_written {
                crate::support::pause(1500);
            }
            None
        });
        if same.is_none() {
            println!("{}", device.whole_log());
            panic!("{file}: expected:\n{expected}\nfound:\n{last}");
        }
        last
    };
    let told = settled(told, &|| commands(device, name));
    let on_page = Browser::shared(|browser| {
        browser.open(&format!("http://127.0.0.1:{}/", device.port));
        settled(&format!("the page\n{on_page}"), &|| page(device, browser, name))
    });
    if is_written {
        fs::write(path, told + &on_page.expect("a browser")).unwrap();
    }
}

/// Runs the commands that the remedy names, each of which must do something, and answers what they said.
pub(super) fn remedied(device: &Device, name: &str) -> String {
    let (_, said) = say(device, &["explain", name]);
    let remedy = said.lines().find_map(|line| line.strip_prefix("remedy: ")).expect("a remedy");
    let commands = remedy.split('\'').filter_map(|part| part.strip_prefix("device-worker-ng "));
    let run = |command: &str| {
        let words: Vec<&str> = command.split(' ').collect();
        device.wait_for(&format!("{command:?} to be done"), || {
            let (code, said) = say(device, &words);
            println!("{command}: {code}: {said}");
            (code == 0).then_some(said)
        })
    };
    let said: Vec<String> = commands.map(run).collect();
    assert!(!said.is_empty(), "it names no command: {remedy}");
    said.concat()
}

#[test]
fn there_are_thirty_situations_and_each_file_has_its_own() {
    let sources = ["situations", "helped"]
        .map(|name| fs::read_to_string(repository(&format!("tests/command/{name}.rs"))).unwrap());
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let files: BTreeSet<String> = fs::read_dir(repository(DIRECTORY)).unwrap().map(name).collect();
    let count = |file: &String| {
        let name = format!("\"{}\"", file.trim_end_matches(".txt"));
        sources.iter().map(|it| it.matches(&name).count()).sum::<usize>()
    };
    let unused: Vec<&String> = files.iter().filter(|file| count(file) == 0).collect();
    assert_eq!(unused, Vec::<&String>::new(), "no situation shows these");
    assert!(files.len() >= 30, "{} situations", files.len());
}
