//! README, `docs/` and the code say the same: links lead somewhere, examples work, and what is named is there.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use super::architecture::sources;
use crate::support::{Device, IMAGE, PUBLIC_IMAGE, binary, repository};

/// A document for people.
struct Document {
    /// From the repository on.
    name: String,
    text: String,
}

/// What stands between two fences.
struct Block<'a> {
    place: String,
    language: &'a str,
    text: String,
}

impl Document {
    fn of(name: &str) -> Self {
        let text = fs::read_to_string(repository(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), text }
    }

    fn all() -> Vec<Self> {
        let mut names: Vec<String> =
            ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(Into::into).into();
        for entry in fs::read_dir(repository("docs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            names.push(format!("docs/{name}"));
        }
        names.sort();
        assert!(names.len() > 15, "{names:?}");
        names.iter().map(|name| Self::of(name)).collect()
    }

    /// Each line with its number, and whether it is code.
    fn lines(&self) -> impl Iterator<Item = (usize, bool, &str)> {
        let mut is_code = false;
        self.text.lines().enumerate().map(move |(index, line)| {
            let is_fence = line.starts_with("```");
            is_code ^= is_fence;
            (index + 1, is_code || is_fence, line)
        })
    }

    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines().filter(|(_, is_code, _)| !is_code).map(|(number, _, line)| (number, line))
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut is_open = false;
        for (number, _, line) in self.lines() {
            match line.strip_prefix("```") {
                Some(_) if is_open => is_open = false,
                Some(language) => {
                    let place = format!("{}:{number}", self.name);
                    blocks.push(Block { place, language, text: String::new() });
                    is_open = true;
                }
                None if is_open => {
                    let block = blocks.last_mut().unwrap();
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                None => {}
            }
        }
        assert!(!is_open, "{} ends in a block", self.name);
        blocks
    }

    /// What stands in backticks.
    fn codes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().flat_map(|(number, line)| codes(line).map(move |code| (number, code)))
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let headings = self.prose().filter_map(|(_, line)| line.strip_prefix('#'));
        headings.map(|heading| slug(heading.trim_start_matches('#').trim())).collect()
    }

    /// The first cells of the tables below this heading, up to the next one.
    fn first_cells(&self, heading: &str) -> Vec<&str> {
        let below = self.prose().map(|(_, line)| line).skip_while(|line| *line != heading).skip(1);
        let section = below.take_while(|line| !line.starts_with('#'));
        let rows = section.filter(|line| line.starts_with('|') && !line.starts_with("|---"));
        let cells: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
        assert!(cells.len() > 1, "{} has no table below '{heading}'", self.name);
        cells[1..].to_vec()
    }

    /// What stands in backticks in these cells.
    fn terms(&self, heading: &str) -> BTreeSet<String> {
        self.first_cells(heading).into_iter().flat_map(codes).map(str::to_owned).collect()
    }
}

fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn slug(heading: &str) -> String {
    let plain = heading.to_lowercase().replace(' ', "-");
    plain.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

fn set<const N: usize>(terms: [&str; N]) -> BTreeSet<String> {
    terms.map(str::to_owned).into()
}

fn agent(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = binary();
    let output = command.args(arguments).env("EDGE_DEVICE_DEVICE_ID", "demo").output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), said)
}

/// What `--help` lists: keys, flags and commands.
struct Help {
    keys: BTreeSet<String>,
    flags: BTreeSet<String>,
    commands: BTreeSet<String>,
}

impl Help {
    fn read() -> Self {
        let help = agent(&["--help"]).1;
        let rows =
            help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        let words: BTreeSet<String> =
            rows.filter_map(|row| row.split(' ').next()).map(str::to_owned).collect();
        let is_key = |word: &String| word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        let (keys, words): (BTreeSet<_>, BTreeSet<_>) = words.into_iter().partition(is_key);
        let (flags, commands) = words.into_iter().partition(|word| word.starts_with("--"));
        Self { keys, flags, commands }
    }
}

fn source(name: &str) -> String {
    fs::read_to_string(repository(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The part of a text between two others.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no '{from}'"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in Document::all() {
        let base = repository(&document.name);
        for (number, line) in document.prose() {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                if link.starts_with("https://") || link.starts_with("http://") {
                    continue;
                }
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let path = if file.is_empty() { base.clone() } else { base.parent().unwrap().join(file) };
                let is_there = path.exists()
                    && (anchor.is_empty() || {
                        let text = fs::read_to_string(&path).unwrap_or_default();
                        Document { name: link.to_owned(), text }.anchors().contains(anchor)
                    });
                if !is_there {
                    broken.push(format!("{}:{number}: {link}", document.name));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_is_named_is_there() {
    const PLACES: [&str; 9] =
        ["src/", "tests/", "docs/", "packaging/", "samples/", "systemd/", "grammar/", ".ci/", ".github/"];
    let mut missing = Vec::new();
    for document in Document::all() {
        for (number, code) in document.codes() {
            let is_path =
                PLACES.iter().any(|place| code.starts_with(place)) && !code.contains(['*', ' ', '<']);
            if is_path && !repository(code).exists() {
                missing.push(format!("{}:{number}: {code}", document.name));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_setting_flag_and_command_is_documented_and_no_other() {
    let help = Help::read();
    assert_eq!(Document::of("docs/settings.md").terms("# Settings"), help.keys);
    let operations = Document::of("docs/operations.md");
    let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    let documented: BTreeSet<String> = operations.terms("## Commands").into_iter().map(first).collect();
    let known: BTreeSet<String> = help.commands.union(&help.flags).cloned().collect();
    assert_eq!(documented, known);
}

#[test]
fn every_key_flag_and_command_that_is_named_is_there() {
    // of others: signals, variables of make and of the environment
    const OTHERS: [&str; 14] = [
        "SIGTERM",
        "SIGHUP",
        "GET",
        "POST",
        "PREFIX",
        "DESTDIR",
        "TARGETS",
        "HEALTHCHECK",
        "CONNECT",
        "NAME",
        "HOST",
        "LICENSE",
        "FILE",
        "NET_ADMIN",
    ];
    let help = Help::read();
    let mut unknown = Vec::new();
    // the rules name constants of the source
    let others = ["docs/dev-edge-api.md", "docs/rules.md"];
    for document in Document::all().into_iter().filter(|document| !others.contains(&&*document.name)) {
        for (number, code) in document.codes() {
            let word = code.split([' ', '=', ':']).next().unwrap_or_default();
            let key = word.strip_prefix("EDGE_DEVICE_").unwrap_or(word);
            let is_key = key.len() > 2 && key.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            let is_flag = word.starts_with("--");
            if is_key && !help.keys.contains(key) && !OTHERS.contains(&key)
                || is_flag && !help.flags.contains(word)
            {
                unknown.push(format!("{}:{number}: {code}", document.name));
            }
        }
        for Block { place, text, .. } in document.blocks() {
            for line in text.lines() {
                let words: Vec<&str> = line.split(" #").next().unwrap().split_whitespace().collect();
                let Some(at) = words.iter().position(|word| *word == "device-worker-ng") else { continue };
                if words.contains(&"systemctl") || words.contains(&"edit") {
                    continue;
                }
                let rest = words[at + 1..].iter().take_while(|word| !["|", ">"].contains(word));
                let (flags, plain): (Vec<&str>, Vec<&str>) =
                    rest.copied().partition(|word| word.starts_with("--"));
                let is_command = plain.first().is_none_or(|word| {
                    help.commands.contains(*word) || flags.contains(&"--config") && word.starts_with('/')
                });
                if !is_command || !flags.iter().all(|flag| help.flags.contains(*flag)) {
                    unknown.push(format!("{place}: {line}"));
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_reason_state_exit_code_and_family_is_documented_and_no_other() {
    let operations = Document::of("docs/operations.md");
    let notice = source("src/agent/model/notice.rs");
    let reasons = between(&notice, "pub enum Reason {", "}");
    let names = |body: &str| -> BTreeSet<String> {
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        lines.map(|line| line.trim_end_matches(',').to_owned()).collect()
    };
    assert_eq!(operations.terms("## Log and events"), names(reasons));

    let report = source("src/agent/model/report.rs");
    let words = between(&report, "pub fn state_name(self)", "\n    }\n");
    let words: BTreeSet<String> = words.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(Document::of("docs/concepts.md").terms("## The states of a workload"), words);

    let commands = source("src/io/command_socket.rs");
    let codes = between(&commands, "pub enum ExitCode {", "\n}");
    let codes =
        codes.lines().filter_map(|line| Some(line.split_once(" = ")?.1.trim_end_matches(',').to_owned()));
    let mut codes: BTreeSet<String> = codes.collect();
    let main = source("src/main.rs");
    codes.insert(between(&main, "const EX_CONFIG: u8 = ", ";").to_owned());
    let cells = operations.first_cells("## Exit codes");
    assert_eq!(cells.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), codes);

    let openmetrics = source("src/wire/own/openmetrics.rs");
    let code = openmetrics.split("#[cfg(test)]").next().unwrap();
    let mut families: BTreeSet<String> = code
        .split("page.start_family(")
        .filter_map(|rest| rest.trim_start().strip_prefix('"')?.split('"').next())
        .map(str::to_owned)
        .collect();
    families.extend(set(["server_silence", "certificate_left", "configuration_age"]));
    let documented = Document::of("docs/metrics.md").terms("## Read metrics");
    let bare = |term: &String| {
        let name = term.split('{').next().unwrap_or_default();
        let endings = ["_seconds", "_cores", "_total", "_info"];
        endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name).to_owned()
    };
    assert_eq!(documented.iter().map(bare).collect::<BTreeSet<_>>(), families);
}

/// The fields of the types that read manifests, as people write them.
fn fields_of_the_code(file: &str) -> BTreeSet<String> {
    let text = source(file);
    let mut fields = BTreeSet::new();
    for part in text
        .split("#[derive(")
        .skip(1)
        .filter(|part| part.split(")]").next().unwrap().contains("Deserialize"))
    {
        let Some((_, body)) = part.split_once("struct ") else { continue };
        let (Some((head, _)), Some((_, body))) = (body.split_once('\n'), body.split_once("{\n")) else {
            continue;
        };
        if !head.ends_with('{') {
            continue;
        }
        let mut renamed = None;
        for line in body.split("\n}").next().unwrap_or_default().lines().map(str::trim) {
            if line.starts_with("#[serde(rename = ") {
                renamed = line.split('"').nth(1).map(str::to_owned);
            } else if let Some((name, _)) = line.split_once(": ")
                && !line.starts_with(['/', '#'])
            {
                let name = name.rsplit(' ').next().unwrap_or_default().trim_start_matches('_');
                let mut words = name.split('_');
                let mut camel = words.next().unwrap_or_default().to_owned();
                for word in words {
                    camel.push_str(&word[..1].to_uppercase());
                    camel.push_str(&word[1..]);
                }
                fields.insert(renamed.take().unwrap_or(camel));
            }
        }
    }
    fields
}

#[test]
fn every_field_of_a_manifest_is_documented() {
    let document = Document::of("docs/manifests.md");
    let documented: BTreeSet<&str> =
        document.codes().flat_map(|(_, code)| code.split(['.', '[', ']', ' '])).collect();
    let mut missing = BTreeSet::new();
    for file in [
        "config_map.rs",
        "edge_device.rs",
        "edge_workload.rs",
        "metadata.rs",
        "profiles.rs",
        "select.rs",
        "timing.rs",
        "update.rs",
    ] {
        let fields = fields_of_the_code(&format!("src/wire/manifest/{file}"));
        assert!(fields.len() > 1, "{file} has no fields: {fields:?}");
        missing.extend(fields.into_iter().filter(|field| !documented.contains(field.as_str())));
    }
    assert!(missing.is_empty(), "docs/manifests.md doesn't name {missing:?}");
}

#[test]
fn every_documented_field_is_one_that_the_code_reads() {
    let document = Document::of("docs/manifests.md");
    let mut code = String::new();
    for directory in [
        "src/wire/manifest",
        "src/wire/podspec",
        "src/wire/podman",
        "src/wire/podman/libpod",
        "src/wire/kubernetes",
        "src/io/podman",
        "src/agent",
    ] {
        for entry in fs::read_dir(repository(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    let headings = [
        "## EdgeDevice",
        "## EdgeWorkload",
        "## The pod specification",
        "## Probes",
        "## ConfigMap",
        "## Secret",
    ];
    let mut unknown = Vec::new();
    for field in headings.iter().flat_map(|heading| document.terms(heading)) {
        for word in field.split(['.', '[', ']']).filter(|word| !word.is_empty()) {
            let snake = word
                .chars()
                .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] });
            let snake: String = snake.collect();
            if ![format!("\"{word}\""), format!("{snake}:"), format!("/{word}\"")]
                .iter()
                .any(|it| code.contains(it.as_str()))
            {
                unknown.push(field.clone());
            }
        }
    }
    assert!(unknown.is_empty(), "the code doesn't know {unknown:?}");
}

#[test]
fn every_command_block_can_be_read_by_a_shell_and_each_target_is_one_of_make() {
    let makefile = source("Makefile");
    let mut wrong = Vec::new();
    for document in Document::all() {
        for block in document.blocks().into_iter().filter(|block| block.language == "sh") {
            let output = Command::new("sh").args(["-n", "-c", &block.text]).output().unwrap();
            if !output.status.success() {
                wrong.push(format!("{}: {}", block.place, String::from_utf8_lossy(&output.stderr)));
            }
        }
        let in_blocks =
            document.blocks().into_iter().filter(|block| block.language == "sh").map(|block| block.text);
        let lines: Vec<String> = document.codes().map(|(_, code)| code.to_owned()).chain(in_blocks).collect();
        for line in lines.iter().flat_map(|text| text.lines()) {
            let line = line.trim_start_matches("sudo ");
            let Some(target) = line.strip_prefix("make ").and_then(|rest| rest.split(' ').next()) else {
                continue;
            };
            if !makefile.contains(&format!("\n{target}: ")) {
                wrong.push(format!("{}: there is no 'make {target}'", document.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_manifest_and_every_configuration_in_the_documents_is_good() {
    let mut counts = [0, 0];
    for document in Document::all() {
        for Block { place, text, .. } in
            document.blocks().into_iter().filter(|block| block.language == "yaml")
        {
            let directory = tempfile::tempdir().unwrap();
            let manifests = directory.path().join("manifests");
            fs::create_dir(&manifests).unwrap();
            let config = directory.path().join("config.yaml");
            let is_config = text.contains("SERVER: ");
            if is_config {
                fs::write(&config, &text).unwrap();
            } else if text.contains("kind: ") {
                fs::write(manifests.join("example.yaml"), &text).unwrap();
                fs::write(&config, format!("MANIFESTS: {}\n", manifests.display())).unwrap();
            } else {
                continue;
            }
            counts[usize::from(is_config)] += 1;
            let (code, said) = agent(&["--config", config.to_str().unwrap(), "--check"]);
            assert_eq!(code, Some(0), "{place}: {said}");
            assert!(!said.contains("no effect"), "{place}: {said}");
        }
    }
    assert!(counts[0] >= 6 && counts[1] >= 2, "{counts:?}");
}

#[test]
fn the_quick_start_works_as_it_is_written() {
    let Some(mut device) = Device::new("quick-start") else { return };
    let readme = Document::of("README.md");
    let blocks = readme.blocks();
    let find = |start: &str| {
        let found = blocks.iter().find(|block| block.text.starts_with(start));
        found.unwrap_or_else(|| panic!("no block begins with '{start}'")).text.trim_end().to_owned()
    };
    device.remove_manifest("device.json");
    let manifest = find("apiVersion");
    assert!(manifest.contains(PUBLIC_IMAGE));
    device.manifest("hello.yaml", &manifest.replace(PUBLIC_IMAGE, IMAGE));
    device.start();
    device.wait_for_running(&["hello"]);
    let post = find("curl ").replace("localhost:8080", &format!("127.0.0.1:{}", device.port));
    let output = Command::new("sh").args(["-c", &format!("{post} -sSf")]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    device.wait_for_running(&[]);
    let runtime = device.path("run").display().to_string();
    let explain = find("sudo device-worker-ng explain");
    let mut command = binary();
    command.args(explain.split(' ').skip(2)).env("EDGE_DEVICE_RUNTIME_DIR", runtime);
    let wanted = find("hello is inactive");
    device.wait_for("the explanation of the README", || {
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        (said.trim_end() == wanted).then_some(())
    });
}

/// Whether it has none of these words outside of code.
fn is_plain(line: &str) -> bool {
    const WRONG: [&str; 5] = ["shall", "nobody", "somebody", "whoever", "anybody"];
    let prose: String = line.split('`').step_by(2).collect();
    let mut words = prose.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
    !words.any(|word| WRONG.contains(&word.as_str()))
}

#[test]
fn documents_use_plain_words() {
    let mut found = Vec::new();
    for document in Document::all() {
        let wrong = document.prose().filter(|(_, line)| !is_plain(line));
        found.extend(wrong.map(|(number, line)| format!("{}:{number}: {line}", document.name)));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_source_uses_plain_words() {
    let mut found = Vec::new();
    for (name, text) in sources() {
        let wrong = text.lines().zip(1..).filter(|(line, _)| !is_plain(line));
        found.extend(wrong.map(|(line, number)| format!("{name}:{number}: {}", line.trim())));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_readme_is_short_and_the_index_names_every_document() {
    assert!(Document::of("README.md").text.lines().count() <= 150);
    let index = Document::of("docs/README.md").text + &Document::of("README.md").text;
    for entry in fs::read_dir(repository("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_named = name == "README.md"
            || index.contains(&format!("({name}"))
            || index.contains(&format!("(docs/{name}"));
        assert!(is_named && Path::new(&name).extension().is_some(), "nothing leads to docs/{name}");
    }
}
