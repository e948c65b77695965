//! What the agent relies on around it fails, for real: each row is a fault, what works on, what is said and how it
//! recovers. No podman is needed; nothing of the machine's own is touched.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::DirBuilderExt,
    process::Command,
    time::{Duration, Instant},
};

use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{Device, skip};

/// A fault by what it is about, what follows, and what shows it.
type Row = (&'static str, &'static str, fn(&mut Device));

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("few descriptors",               "fewer clients at once; all else works",              few_descriptors),
    ("too few descriptors",           "no posts; status names the limit; a limit is lasting", too_few_descriptors),
    ("files may have no size",        "posts are 503; status says so; over with the limit", no_file_size),
    ("RUNTIME_DIR is removed",        "made again with all values; commands are back",      runtime_directory_removed),
    ("a socket's name is removed",    "the socket is made again",                           socket_removed),
    ("another program has the port",  "degraded with the address; taken when it is free",   port_taken),
    ("a directory is in the way",     "no commands; said; over when it is gone",            directory_in_the_way),
    ("pipes where files belong",      "said; the agent starts, works and ends in time",     pipes_for_files),
    ("the runtime's disk is full",    "posts are 503; said; over when there is room",       disk_full),
    ("the state's disk is full",      "all else works; said; over when there is room",      state_disk_full),
    ("the state's disk is read-only", "all else works; said; over when it can be written",  state_read_only),
    ("little memory may be had",      "all works",                                          little_memory),
    ("/proc isn't mounted",           "no posts; said; over when it is mounted",            no_proc),
    ("/proc hides other processes",   "all works",                                          hidden_processes),
    ("/dev is empty",                 "all works",                                          empty_dev),
    ("/dev may not be looked into",   "all works",                                          closed_dev),
    ("it runs for 30 years",          "all works",                                          thirty_years),
];

/// Rows that can't be run, and why.
const NOT_HERE: &[(&str, &str)] = &[
    (
        "the clock jumps",
        "no namespace has a wall clock of its own; the part `clock` of scripts/systemd-device sets a whole device's",
    ),
    (
        "inotify is used up",
        "its limit is a user namespace's, where the receiver can't become the unprivileged user; unit tests have one",
    ),
];

#[test]
fn each_fault_around_the_agent_is_named_and_ends_by_itself() {
    for (what, why) in NOT_HERE {
        skip(&format!("{what}: {why}"));
    }
    for (fault, follows, show) in ROWS {
        println!("{fault}: {follows}");
        let mut device = Device::without_podman("surroundings");
        let runtime = device.path("runtime/of-its-own");
        device.set("RUNTIME_DIR", runtime.display().to_string());
        show(&mut device);
    }
}

fn status(device: &Device) -> String {
    String::from_utf8(device.run(&["status"]).stdout).unwrap()
}

fn says(device: &Device, text: &str) {
    device.wait_for(&format!("status to say '{text}'"), || status(device).contains(text).then_some(()));
}

fn says_no_more(device: &Device, text: &str) {
    let is_over = |status: String| status.contains("device") && !status.contains(text);
    device.wait_for(&format!("status not to say '{text}'"), || is_over(status(device)).then_some(()));
}

fn takes_posts(device: &Device) {
    device.wait_for("a post to be taken", || (device.post("a", 1) == 200).then_some(()));
}

fn limited(device: &mut Device, limit: &str) {
    device.start_wrapped(&["prlimit", limit]);
}

fn few_descriptors(device: &mut Device) {
    limited(device, "--nofile=100");
    takes_posts(device);
    // (inotify's instances are counted for all of a user's processes, other tests' containers included: the agent tries
    // again until these are gone)
    let is_over = || status(device).contains("device") && !status(device).contains("problem");
    device.wait_within(Duration::from_secs(300), "no problem", || is_over().then_some(()));
}

fn too_few_descriptors(device: &mut Device) {
    limited(device, "--nofile=60");
    says(device, "no posts are taken: the limit 'nofile' of this process is 60, and at least 64 is needed");
    assert_eq!(device.log().matches("no posts are taken").count(), 1);
}

fn no_file_size(device: &mut Device) {
    limited(device, "--fsize=0:unlimited");
    says(device, "posts are refused, as they can't be kept: ");
    assert_eq!(device.post("a", 1), 503);
    let pid = device.pid().to_string();
    assert!(
        Command::new("prlimit")
            .args(["--fsize=unlimited:unlimited", "--pid", &pid])
            .status()
            .unwrap()
            .success()
    );
    says_no_more(device, "posts are refused");
    takes_posts(device);
}

fn runtime_directory_removed(device: &mut Device) {
    device.start_taking_metrics();
    assert_eq!(device.post("before", 1), 200);
    // the agent may write a file there between the removal of the others and of the directory
    device.wait_for("RUNTIME_DIR to be removed", || fs::remove_dir_all(device.path("runtime")).ok());
    assert_eq!(device.post("after", 2), 200);
    let log = fs::read_to_string(device.path("runtime/of-its-own/metrics.log")).unwrap();
    assert!(log.contains(" before 1.0\n") && log.contains(" after 2.0\n"), "{log}");
    says(device, "healthy");
    rustix::process::kill_process(device.receiver().unwrap(), Signal::KILL).unwrap();
    takes_posts(device);
}

fn socket_removed(device: &mut Device) {
    let path = device.path("posts/metrics.sock");
    device.set("METRICS_LISTEN", format!("{}, unix:{}", device.address(), path.display()));
    device.start();
    device.wait_for("the socket", || path.exists().then_some(()));
    fs::remove_dir_all(path.parent().unwrap()).unwrap();
    let connect = || std::os::unix::net::UnixStream::connect(&path).ok();
    device.wait_for("the socket again", connect);
    takes_posts(device);
}

fn port_taken(device: &mut Device) {
    let other = TcpListener::bind(device.address()).unwrap();
    device.start();
    let complaint = format!("posts to '{}' don't reach the agent: Address already in use", device.address());
    says(device, &complaint);
    says(device, ": degraded");
    drop(other);
    says_no_more(device, &complaint);
    says(device, ": healthy");
    takes_posts(device);
}

fn directory_in_the_way(device: &mut Device) {
    let path = device.path("runtime/of-its-own/control.sock");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap();
    device.start_taking_metrics();
    device.wait_for_log("commands like 'status' don't work: failed to listen on ");
    takes_posts(device);
    fs::remove_dir(&path).unwrap();
    says(device, "healthy");
}

fn pipes_for_files(device: &mut Device) {
    fs::create_dir_all(device.path("runtime/of-its-own")).unwrap();
    fs::create_dir(device.state_dir()).unwrap();
    for name in ["runtime/of-its-own/metrics.log", "state/finished", "state/manifests", "state/lock"] {
        mknodat(CWD, device.path(name), FileType::Fifo, Mode::RWXU, 0).unwrap();
    }
    device.start();
    takes_posts(device);
    for name in ["metrics.log", "state/finished", "state/manifests", "state/lock"] {
        let log = device.log();
        assert!(
            log.lines().any(|line| line.contains(name) && line.contains("it is no file")),
            "{name}:\n{log}"
        );
    }
    let start = Instant::now();
    assert!(device.end(Signal::TERM).success());
    assert!(start.elapsed().as_secs() < 10);
}

fn little_memory(device: &mut Device) {
    limited(device, "--data=12582912");
    takes_posts(device);
    assert!(!status(device).contains("problem"), "{}", status(device));
}

/// Starts it in a mount namespace of its own where this has happened.
fn where_mounted(device: &mut Device, mounts: &str) {
    device.start_wrapped(&["unshare", "--mount", "sh", "-c", &format!("{mounts} && exec \"$@\""), "sh"]);
}

fn works(device: &Device) {
    takes_posts(device);
    says(device, ": healthy");
    assert!(!status(device).contains("problem"), "{}", status(device));
    assert!(!device.log().contains("[WARN]"), "{}", device.log());
}

fn works_where_mounted(device: &mut Device, mounts: &str) {
    where_mounted(device, mounts);
    works(device);
}

fn no_proc(device: &mut Device) {
    where_mounted(device, "mount -t tmpfs none /proc");
    device.wait_for_log("failed to read '/proc/meminfo', so memory is not watched: ");
    says(device, "no posts are taken: ");
    says(device, ": degraded");
    let mut again = Command::new("nsenter");
    again.args(["--mount", "--target", &device.pid().to_string(), "umount", "/proc"]);
    assert!(again.status().unwrap().success());
    says_no_more(device, "no posts are taken");
    takes_posts(device);
}

fn hidden_processes(device: &mut Device) {
    works_where_mounted(device, "mount -t proc -o hidepid=invisible none /proc");
}

fn empty_dev(device: &mut Device) {
    works_where_mounted(device, "mount -t tmpfs none /dev");
}

fn closed_dev(device: &mut Device) {
    works_where_mounted(device, "mount -t tmpfs -o mode=0,ro none /dev");
}

fn thirty_years(device: &mut Device) {
    device.start_wrapped(&["unshare", "--time", "--monotonic", "946080000", "--boottime", "946080000"]);
    works(device);
}

/// With a disk of its own for STATE_DIR, after this has happened to it.
fn with_state_disk(device: &mut Device, happens: &str) {
    let script = format!("mkdir $0 && mount -t tmpfs -o size=64k none $0 && {happens} && exec \"$@\"");
    let directory = device.state_dir().display().to_string();
    device.start_wrapped(&["unshare", "--mount", "sh", "-c", &script, &directory]);
    takes_posts(device);
    says(device, "what manifests say now isn't kept over a restart: failed to write '");
}

fn state_disk_full(device: &mut Device) {
    with_state_disk(device, "{ head -c 1M /dev/zero > $0/filler || :; }");
    let filler = format!("/proc/{}/root{}/filler", device.pid(), device.state_dir().display());
    fs::remove_file(filler).unwrap();
    device.profiles(&[("low", "x < 4")]);
    says_no_more(device, "isn't kept over a restart");
}

fn state_read_only(device: &mut Device) {
    with_state_disk(device, "mount -o remount,ro $0");
    says(device, "another agent could take the same state directory: failed to lock '");
    let (pid, directory) = (device.pid().to_string(), device.state_dir());
    let mut again = Command::new("nsenter");
    again.args(["--mount", "--target", &pid, "mount", "-o", "remount,rw"]).arg(directory);
    assert!(again.status().unwrap().success());
    device.profiles(&[("low", "x < 4")]);
    says_no_more(device, "isn't kept over a restart");
    says_no_more(device, "another agent could take");
}

fn disk_full(device: &mut Device) {
    let directory = device.path("runtime").display().to_string();
    fs::create_dir(&directory).unwrap();
    let fill = "mount -t tmpfs -o size=64k none $0 && head -c 1M /dev/zero > $0/filler; exec \"$@\"";
    device.start_wrapped(&["unshare", "--mount", "sh", "-c", fill, &directory]);
    device.wait_for_log("posts are refused, as they can't be kept: ");
    fs::remove_file(format!("/proc/{}/root{directory}/filler", device.pid())).unwrap();
    device.wait_for_log("posts are kept again");
    takes_posts(device);
}
