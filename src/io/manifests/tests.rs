//! The real thread on real directories. Waits end with what is waited for; the silences that must hold are short.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    process::Command,
};

use crossbeam_channel::{Receiver, unbounded};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::agent::model::notice::Severity as NoticeSeverity;

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    root: tempfile::TempDir,
    events: Receiver<Event>,
    notices: Vec<Notice>,
}

impl World {
    /// With an empty directory that isn't watched yet.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("m")).unwrap();
        Self { root, events: unbounded().1, notices: Vec::new() }
    }

    /// With these files, of which an agent has read these workloads.
    fn reading(files: &[(&str, &str)], names: &[&str]) -> Self {
        let mut world = Self::new();
        files.iter().for_each(|(name, text)| world.write(name, text));
        world.start();
        assert_eq!(world.next(), names);
        world
    }

    /// A new agent on the same directories.
    fn start(&mut self) {
        let (sender, events) = unbounded();
        self.events = events;
        self.notices.clear();
        let store = Store::new(self.root.path().join("state"));
        ManifestWatcher::start(self.path(""), store, "pi".to_owned(), UnknownFields::Refuse, sender).unwrap();
    }

    /// The agent is killed. As its threads live on in a test, all that follows is on a copy of its directories.
    fn kill(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        let all = self.root.path().join(".");
        assert!(Command::new("cp").arg("-a").args([&all, copy.path()]).status().unwrap().success());
        (self.root, self.events) = (copy, unbounded().1);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("m").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // as careful editors do it
        let hidden = self.path(&format!(".{name}.tmp"));
        fs::write(&hidden, text).unwrap();
        fs::rename(hidden, self.path(name)).unwrap();
    }

    /// Names of the workloads that are asked for next.
    fn next(&mut self) -> Vec<String> {
        self.next_desired().workloads.iter().map(|workload| workload.name().to_owned()).collect()
    }

    /// The next event but for what people are told who ask.
    fn receive(&self, patience: Duration) -> Option<Event> {
        let mut events = std::iter::from_fn(|| self.events.recv_timeout(patience).ok());
        events.find(|event| !matches!(event, Event::Problems(_)))
    }

    fn next_desired(&mut self) -> DesiredState {
        loop {
            match self.receive(PATIENCE).expect("what is desired changes") {
                Event::Desired(desired) => return desired,
                Event::Notice(notice) => self.notices.push(notice),
                other => panic!("{other:?}"),
            }
        }
    }

    fn next_notice(&mut self) -> Notice {
        match self.receive(PATIENCE).expect("something is said") {
            Event::Notice(notice) => notice,
            other => panic!("{other:?}"),
        }
    }

    fn is_silent(&self) {
        let said = self.receive(Duration::from_millis(300));
        assert!(said.is_none(), "{said:?}");
    }

    fn complaints(&mut self) -> Vec<String> {
        let all = std::mem::take(&mut self.notices).into_iter();
        all.filter(|notice| notice.severity == NoticeSeverity::Warning).map(|notice| notice.message).collect()
    }
}

fn workload(name: &str) -> String {
    format!(
        "---\napiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{name: {name}}}\n\
         spec: {{type: pod, pod: {{spec: {{containers: [{{name: c, image: i}}]}}}}}}\n"
    )
}

fn workloads(names: &[&str]) -> String {
    names.iter().map(|name| workload(name)).collect()
}

#[test]
fn only_manifests_are_read_and_nothing_that_editors_leave() {
    for name in ["a.yaml", "b.yml", "c.json", "a.b.yaml"] {
        assert!(listing::is_manifest(name), "{name}");
    }
    for name in
        [".a.yaml", ".a.yaml.swp", "a.yaml~", "#a.yaml#", "4913", "a.txt", "yaml", "a.yaml.bak", ".yaml", ""]
    {
        assert!(!listing::is_manifest(name), "{name}");
    }
}

#[test]
fn files_that_come_change_and_go_take_effect_long_before_the_next_full_look() {
    let mut world = World::reading(&[("b.yaml", &workload("b"))], &["b"]);
    let start = monotonic_time();
    world.write("a.yaml", &workloads(&["a1", "a2"]));
    assert_eq!(world.next(), ["a1", "a2", "b"], "sorted by file name");
    world.write("a.yaml", &workload("a2"));
    assert_eq!(world.next(), ["a2", "b"]);
    fs::write(world.path("c.yml"), workload("c")).unwrap();
    assert_eq!(world.next(), ["a2", "b", "c"]);
    fs::remove_file(world.path("b.yaml")).unwrap();
    assert_eq!(world.next(), ["a2", "c"]);
    assert!(monotonic_time() - start < PATIENCE, "{:?} for four changes", monotonic_time() - start);
    fs::write(world.path("c.yml~"), "x").unwrap();
    fs::write(world.path(".c.yml.swp"), "x").unwrap();
    world.write("c.yml", &(workload("c") + "# the same\n"));
    world.is_silent();
}

#[test]
fn an_empty_directory_is_an_order_and_a_missing_one_is_not() {
    let mut world = World::new();
    fs::remove_dir(world.path("")).unwrap();
    world.start();
    let notice = world.next_notice();
    assert_eq!(notice.reason, Reason::ConfigurationRejected);
    assert!(notice.message.contains("m/: can't be read: No such file"), "{notice}");
    world.is_silent();
    fs::create_dir(world.path("")).unwrap();
    assert_eq!(world.next(), Vec::<String>::new());
    assert!(world.notices.iter().any(|notice| notice.message.ends_with("nothing is wrong with it any more")));
}

#[test]
fn a_directory_that_vanishes_leaves_everything_and_is_watched_again_when_it_returns() {
    let mut world = World::reading(&[("a.yaml", &workload("a"))], &["a"]);
    let aside = world.root.path().join("aside");
    fs::rename(world.path(""), &aside).unwrap();
    assert!(world.next_notice().message.contains("what it said before stays"));
    world.is_silent();
    fs::write(aside.join("b.yaml"), workload("b")).unwrap();
    fs::rename(&aside, world.path("")).unwrap();
    assert_eq!(world.next(), ["a", "b"]);
    world.write("c.yaml", &workload("c"));
    assert_eq!(world.next(), ["a", "b", "c"]);
}

#[test]
fn a_broken_document_is_told_once_and_its_last_good_version_stays() {
    let mut world = World::reading(&[("a.yaml", &workloads(&["one", "two"]))], &["one", "two"]);
    world.notices.clear();
    // `two` breaks beyond recognition, `three` is new
    let broken = workload("one") + "---\nkind: [\n" + &workload("three");
    world.write("a.yaml", &broken);
    assert_eq!(world.next(), ["one", "three", "two"]);
    let complaints = world.complaints();
    assert!(
        complaints.len() == 1
            && complaints[0].starts_with("a.yaml, document 2, line ")
            && complaints[0].ends_with("; until that is mended this stays as it was: EdgeWorkload `two`"),
        "{complaints:?}"
    );
    world.write("a.yaml", &(broken + "# still\n"));
    world.is_silent();
    world.write("a.yaml", &workloads(&["one", "three"]));
    assert_eq!(world.next(), ["one", "three"]);
    assert!(world.notices.iter().any(|notice| notice.message == "a.yaml: nothing is wrong with it any more"));
}

#[test]
fn the_last_good_version_outlives_the_agent() {
    let mut world = World::reading(
        &[("a.yaml", &workloads(&["one", "two"])), ("gone.yaml", &workload("gone"))],
        &["one", "two", "gone"],
    );
    // while no agent looks: a file breaks, another vanishes
    world.kill();
    fs::write(world.path("a.yaml"), "a: [").unwrap();
    fs::remove_file(world.path("gone.yaml")).unwrap();
    world.start();
    let desired = world.next_desired();
    assert_eq!(desired.workloads.iter().map(|w| w.name()).collect::<Vec<_>>(), ["one", "two"]);
    assert!(!desired.partial);
    // and the directory as a whole
    world.kill();
    fs::remove_dir_all(world.path("")).unwrap();
    world.start();
    assert_eq!(world.next(), ["one", "two"]);
}

#[test]
fn a_broken_file_protects_no_other_file_that_is_removed() {
    let mut world =
        World::reading(&[("a.yaml", &workload("one")), ("b.yaml", &workload("two"))], &["one", "two"]);
    world.write("c.yaml", "a: [");
    assert!(world.next_desired().partial);
    fs::remove_file(world.path("a.yaml")).unwrap();
    assert_eq!(world.next(), ["two"], "that is an order");
    world.write("b.yaml", "a: [");
    fs::remove_file(world.path("c.yaml")).unwrap();
    assert!(!world.next_desired().partial);
    world.is_silent();
}

#[test]
fn a_broken_file_protects_what_vanished_as_it_came_until_it_can_be_read() {
    let mut world = World::reading(&[("a.yaml", &workloads(&["one", "two"]))], &["one", "two"]);
    world.notices.clear();
    // in one look: under another name, and broken
    let other = world.root.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("b.yaml"), "a: [").unwrap();
    renameat_with(CWD, &other, CWD, world.path(""), RenameFlags::EXCHANGE).unwrap();
    assert_eq!(world.next(), ["one", "two"]);
    let stays = "; until that is mended this stays as it was: EdgeWorkload `one`, EdgeWorkload `two`";
    let complaints = world.complaints();
    assert!(complaints.len() == 1 && complaints[0].starts_with("b.yaml, "), "{complaints:?}");
    assert!(complaints[0].ends_with(stays), "{complaints:?}");
    world.write("c.yaml", &workload("two").replace("image: i", "image: j"));
    let desired = world.next_desired();
    assert_eq!(desired.workloads.len(), 2, "what another file says counts");
    assert!(desired.workloads.iter().any(|it| it.content.images().any(|image| image == "j")));
    world.write("b.yaml", &workload("three"));
    assert_eq!(world.next(), ["three", "two"]);
}

#[test]
fn what_was_never_known_whole_is_partial() {
    let mut world = World::new();
    world.write("a.yaml", &(workload("one") + "---\na: [\n"));
    world.start();
    let desired = world.next_desired();
    assert_eq!((desired.workloads.len(), desired.partial), (1, true));
    world.write("a.yaml", &workload("one"));
    assert!(!world.next_desired().partial);
    world.write("a.yaml", &(workload("one") + &workload("two").replace("type: pod", "type: pid")));
    let desired = world.next_desired();
    assert_eq!((desired.partial, desired.unreadable), (false, vec!["two".to_owned()]));
}

#[test]
fn a_file_is_not_read_half_while_it_is_written() {
    let mut world = World::reading(&[("a.yaml", &workloads(&["one", "two"]))], &["one", "two"]);
    let mut file = File::create(world.path("a.yaml")).unwrap();
    file.write_all(workload("one").as_bytes()).unwrap();
    world.is_silent();
    file.write_all(workload("three").as_bytes()).unwrap();
    drop(file);
    assert_eq!(world.next(), ["one", "three"]);
    let mut new = File::create(world.path("b.yaml")).unwrap();
    new.write_all(workload("four").as_bytes()).unwrap();
    world.is_silent();
    let start = monotonic_time();
    assert_eq!(world.next(), ["one", "three", "four"], "a writer that never closes");
    assert!(monotonic_time() - start < PATIENCE);
}

#[test]
fn a_mounted_kubernetes_config_map_is_followed() {
    let mut world = World::new();
    let dir = world.path("");
    let replace = |number: &str, text: &str| {
        fs::create_dir(dir.join(format!("..{number}"))).unwrap();
        fs::write(dir.join(format!("..{number}/a.yaml")), text).unwrap();
        symlink(format!("..{number}"), dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    };
    replace("1", &workload("one"));
    symlink("..data/a.yaml", dir.join("a.yaml")).unwrap();
    world.start();
    assert_eq!(world.next(), ["one"]);
    replace("2", &workload("two"));
    assert_eq!(world.next(), ["two"]);
    // links are complete when they are made
    symlink("..2/b.yaml", world.path("b.yaml")).unwrap();
    assert!(world.next_notice().message.starts_with("b.yaml: can't be read: No such file"));
}

#[test]
fn a_file_that_is_too_large_keeps_its_previous_version() {
    let mut world = World::reading(&[("a.yaml", &workload("one"))], &["one"]);
    world.write("a.yaml", &"#".repeat((1 << 20) + 1));
    let notice = world.next_notice();
    let stays = "; until that is mended this stays as it was: EdgeWorkload `one`";
    assert_eq!(notice.message, format!("a.yaml: can't be read: it is larger than 1048576 bytes{stays}"));
    world.is_silent();
}

#[test]
fn a_quadlet_is_a_warning_that_says_what_to_do_and_other_files_are_left_alone() {
    let root = tempfile::tempdir().unwrap();
    for name in ["web.container", ".web.container", "web.txt", "container"] {
        fs::write(root.path().join(name), "[Container]\nImage=i\n").unwrap();
    }
    let problems = read_once(root.path(), "pi", UnknownFields::Refuse).unwrap().problems;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((&*problems[0].file, problems[0].severity), ("web.container", Severity::Warning));
    assert!(problems[0].message.contains("`podman generate kube CONTAINER > FILE.yaml`"), "{problems:?}");
}

#[test]
fn too_many_files_or_bytes_are_refused_by_name_and_pipes_are_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    rustix::fs::mknodat(rustix::fs::CWD, path("pipe.yaml"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    fs::create_dir(path("dir.yaml")).unwrap();
    for number in 0..1001 {
        fs::write(path(&format!("{number:04}.yaml")), "").unwrap();
    }
    let problems = |root: &Path| -> Vec<String> {
        read_once(root, "pi", UnknownFields::Refuse)
            .unwrap()
            .problems
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(problems(root.path()), ["1000.yaml: is one too many: at most 1000 files are read"]);
    let root = tempfile::tempdir().unwrap();
    for number in 0..17 {
        fs::write(root.path().join(format!("{number:02}.yaml")), "#".repeat(1 << 20)).unwrap();
    }
    assert_eq!(problems(root.path()), ["16.yaml: can't be read: all files together may have 16777216 bytes"]);
}

#[test]
fn a_state_directory_that_takes_nothing_is_told_until_it_does_and_what_is_asked_for_counts() {
    let mut world = World::new();
    fs::write(world.root.path().join("state"), "in the way").unwrap();
    world.write("a.yaml", &workload("one"));
    world.start();
    let Some(Event::Stored(Storage::Manifests, Err(cause))) = world.receive(PATIENCE) else { panic!() };
    assert!(cause.starts_with("failed to write '"), "{cause}");
    assert_eq!(world.next(), ["one"]);
    fs::remove_file(world.root.path().join("state")).unwrap();
    world.write("a.yaml", &workload("two"));
    assert_eq!(world.receive(PATIENCE), Some(Event::Stored(Storage::Manifests, Ok(()))));
    assert_eq!(world.next(), ["two"]);
}

#[test]
fn many_saves_in_a_row_end_in_the_last_one() {
    let mut world = World::new();
    world.start();
    assert_eq!(world.next(), Vec::<String>::new());
    for number in 0..200 {
        world.write("a.yaml", &workload(&format!("w{number}")));
    }
    while world.next() != ["w199"] {}
    world.is_silent();
}
