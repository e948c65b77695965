//! A state directory that is really full, or really read-only.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use super::device_of;
use crate::support::{SLEEP, edge::Edge};

/// A mount of the sandbox's own namespace.
struct Mount(PathBuf);

impl Mount {
    fn new(arguments: &[&str], on: &Path) -> Self {
        mount(arguments, on);
        Self(on.to_owned())
    }
}

fn mount(arguments: &[&str], on: &Path) {
    let output = Command::new("mount").args(arguments).arg(on).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_device_that_can_keep_nothing_goes_on_and_says_so_until_it_can() {
    let Some(edge) = Edge::start(&["--period", "1"]) else { return };
    let Some(mut device) = device_of(&edge, "full") else { return };
    device.set("DISK_RESERVE", "0"); // so that nothing is held back for this very disk
    let state = device.state_dir();
    std::fs::create_dir(&state).unwrap();
    let _disk = Mount::new(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"], &state);
    edge.workload(&device, "kept", SLEEP);
    device.start();
    let kept = device.wait_for_running(&["kept"]);
    let first = edge.wait_for_running(&device, 0, "kept");
    assert_eq!(first.content["status"], "up");

    let filler = state.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    drop(file);
    let mark = edge.mark();
    edge.workload(&device, "while-full", SLEEP);
    let both = device.wait_for_running(&["kept", "while-full"]);
    assert_eq!(both[0], kept[0]);
    edge.wait_for(&device, mark, "a degraded device", |it| it.content["status"] == "degraded");
    edge.wait_for(&device, mark, "an event", |it| it.tells("StateNotKept", "No space left"));
    let mark = edge.mark();
    std::fs::remove_file(&filler).unwrap();
    edge.wait_for(&device, mark, "an event", |it| it.tells("StateKept", ""));
    edge.wait_for(&device, mark, "a device that is up", |it| it.content["status"] == "up");

    let mark = edge.mark();
    let path = state.display().to_string();
    let read_only = Mount::new(&["--bind", &path], &state);
    mount(&["-o", "remount,bind,ro"], &state);
    edge.workload(&device, "while-read-only", SLEEP);
    let three = device.wait_for_running(&["kept", "while-full", "while-read-only"]);
    assert_eq!(three[..2], both[..]);
    edge.wait_for(&device, mark, "a degraded device", |it| it.content["status"] == "degraded");
    edge.wait_for(&device, mark, "an event", |it| it.tells("StateNotKept", "Read-only file system"));

    // It starts there, too, with what was kept before.
    let mark = edge.mark();
    device.kill();
    device.start();
    device.wait_for_log("another agent could take the same state directory");
    edge.wait_for_running(&device, mark, "while-read-only");
    assert_eq!(device.pods()[..2], both[..]);
    let mark = edge.mark();
    drop(read_only);
    edge.wait_for(&device, mark, "a device that is up", |it| it.content["status"] == "up");
    let kept = std::fs::read_to_string(state.join("configuration")).unwrap();
    assert!(kept.contains("while-read-only"), "{kept}");
}
