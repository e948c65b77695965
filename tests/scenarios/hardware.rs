//! Hardware that comes and goes: the kernel announces it, and what needs it starts and stops at once.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::support::{Device, skip};

/// What isn't announced is found after a minute. On a busy machine one change in several is seen as soon as this.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A device node like `/dev/null`.
struct Node(PathBuf);

impl Node {
    fn new(name: &str) -> Self {
        Self(format!("/dev/dwng-{name}-{}", process::id()).into())
    }

    fn plug(&self) -> std::io::Result<()> {
        mknodat(CWD, &self.0, FileType::CharacterDevice, Mode::RUSR, makedev(1, 3))?;
        Self::announce()
    }

    fn pull(&self) {
        fs::remove_file(&self.0).unwrap();
        Self::announce().unwrap();
    }

    /// The kernel says once more that there is a device: any does.
    fn announce() -> std::io::Result<()> {
        fs::write("/sys/class/mem/null/uevent", "change")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What needs it runs in so many pods, 1 or 0, after the agent has seen it come or go. Answers whether that was at once.
fn runs(device: &Device, asked: &str, pods: usize) -> bool {
    let began = Instant::now();
    says(device, &["status"], &format!(", and {asked} is {pods}\n"));
    let seen = began.elapsed();
    device.wait_for(&format!("{pods} pods"), || (device.pods().len() == pods).then_some(()));
    seen < AT_ONCE
}

fn says(device: &Device, words: &[&str], text: &str) {
    let said = || String::from_utf8(device.run(words).stdout).unwrap();
    device.wait_for(&format!("'{text}'"), || said().contains(text).then_some(()));
}

#[test]
fn a_device_node_that_comes_starts_what_needs_it_and_its_end_stops_that_also_while_the_agent_is_away() {
    let Some(mut device) = Device::new("plugged") else { return };
    let node = Node::new("plugged");
    if let Err(error) = node.plug() {
        return skip(&format!("hardware: no device node can be made and announced: {error}"));
    }
    node.pull();
    let asked = format!("device.present(\"{}\")", node.0.display());
    device.profiles(&[("plugged", &format!("{asked} == 1"))]);
    device.gated("camera", "plugged");
    device.start();
    says(&device, &["explain", "camera"], &format!("{asked} == 1, and {asked} is 0\n"));
    node.plug().unwrap();
    let mut at_once = runs(&device, &asked, 1);
    let pods = device.wait_for_running(&["camera"]);
    says(&device, &["eval", &format!("{asked} == 1")], "true");
    device.kill();
    device.start();
    device.wait_for_log("runs already");
    assert_eq!(device.wait_for_running(&["camera"]), pods, "it goes on");
    node.pull();
    at_once |= runs(&device, &asked, 0);
    node.plug().unwrap();
    at_once |= runs(&device, &asked, 1);
    assert!(at_once, "nothing was announced");
    device.kill();
    node.pull();
    device.start();
    runs(&device, &asked, 0);
}

#[test]
fn a_network_interface_that_comes_starts_what_needs_it_and_its_end_stops_that() {
    let Some(mut device) = Device::new("wired") else { return };
    let asked = "device.present(\"net:dwng0\")";
    device.profiles(&[("wired", &format!("{asked} == 1"))]);
    device.gated("client", "wired");
    // of its own: neither the machine's interfaces nor those of pods are touched
    device.start_wrapped(&[
        "unshare",
        "--net",
        "--mount",
        "sh",
        "-c",
        "mount -t sysfs none /sys && exec \"$@\"",
        "sh",
    ]);
    let agent = device.pid().to_string();
    let ip = |words: &[&str]| {
        let mut ip = Command::new("nsenter");
        ip.args(["--net", "--target", &agent, "ip"]).args(words);
        ip.status().is_ok_and(|status| status.success())
    };
    says(&device, &["explain", "client"], "\"net:dwng0\") is 0\n");
    if !ip(&["link", "add", "dwng0", "type", "veth", "peer", "name", "dwng1"]) {
        return skip("hardware: no network interface can be made");
    }
    let mut at_once = runs(&device, asked, 1);
    device.wait_for_running(&["client"]);
    assert!(ip(&["link", "set", "dwng0", "name", "dwng2"]));
    at_once |= runs(&device, asked, 0);
    assert!(ip(&["link", "set", "dwng2", "name", "dwng0"]));
    at_once |= runs(&device, asked, 1);
    assert!(ip(&["link", "del", "dwng0"]));
    at_once |= runs(&device, asked, 0);
    assert!(at_once, "nothing was announced");
    assert!(Path::new("/sys/class/net/lo").exists(), "this process has its own /sys");
}
