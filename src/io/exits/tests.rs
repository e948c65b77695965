//! Real processes, and what is told of their ends.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
};

use crossbeam_channel::{Receiver, unbounded};

use super::*;

const ENGINE: Engine = Engine::Podman { rootless: false };
const SOON: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that lives until it is told to end, and a descriptor for it.
fn process() -> (Child, OwnedFd) {
    let child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    (child, pidfd_open(pid, PidfdFlags::empty()).unwrap())
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// Only the second end is an exit.
fn end_one_after_the_other([first, second]: [Child; 2], pod: &WorkloadId, events: &Receiver<Event>) {
    end(first);
    assert!(events.recv_timeout(SOON).is_err());
    end(second);
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod.clone())));
}

fn container(name: &str, own: Option<OwnedFd>, conmon: Option<OwnedFd>) -> ContainerProcesses {
    ContainerProcesses { own, conmon, elsewhere: false, ..ContainerProcesses::watched_elsewhere(name) }
}

fn watch(own: OwnedFd, conmon: OwnedFd) -> (ExitWatcher, WorkloadId, Receiver<Event>) {
    let (sender, events) = unbounded();
    let exits = ExitWatcher::start(ENGINE, sender).unwrap();
    let pod = WorkloadId::from_pod_name("p");
    let process = container("c", Some(own), Some(conmon));
    drop(exits.watch(&pod, vec![process]));
    (exits, pod, events)
}

#[test]
fn an_exit_is_told_once_and_only_after_the_clean_up() {
    let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
    let (_exits, pod, events) = watch(own_fd, conmon_fd);
    end_one_after_the_other([own, conmon], &pod, &events);
    assert!(events.recv_timeout(SOON).is_err());
}

#[test]
fn a_lost_conmon_is_no_exit() {
    let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
    let (_exits, pod, events) = watch(own_fd, conmon_fd);
    end_one_after_the_other([conmon, own], &pod, &events);
}

#[test]
fn what_conmon_wrote_is_known_at_its_end() {
    let place = tempfile::tempdir().unwrap();
    let write = |text: &str| {
        fs::write(place.path().join("c.tmp"), text).unwrap();
        fs::rename(place.path().join("c.tmp"), place.path().join("c")).unwrap();
    };
    let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
    let ((other, other_fd), (its_conmon, its_conmon_fd)) = (process(), process());
    let process = |name: &str, own, conmon| ContainerProcesses {
        exit_file: Some(place.path().join(name)),
        ..container(name, Some(own), Some(conmon))
    };
    let processes = vec![process("c", own_fd, conmon_fd), process("d", other_fd, its_conmon_fd)];
    let (sender, events) = unbounded();
    let exits = ExitWatcher::start(ENGINE, sender).unwrap();
    let pod = WorkloadId::from_pod_name("p");
    drop(exits.watch(&pod, processes));
    write("3");
    end(own);
    assert!(events.recv_timeout(SOON).is_err(), "podman cleans up");
    assert_eq!(exits.take_exits(&pod), []);
    fs::remove_file(place.path().join("c")).unwrap(); // as podman does
    end(conmon);
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod.clone())));
    let ended = exits.take_exits(&pod);
    assert_eq!(
        ended.iter().map(|(container, exit)| (container.as_str(), exit.code)).collect::<Vec<_>>(),
        [("c", 3)]
    );
    assert!(ended[0].1.at.elapsed().unwrap() < PATIENCE);
    assert_eq!(exits.take_exits(&pod), [], "it is told once");
    [other, its_conmon].into_iter().for_each(end);
}

#[test]
fn a_clean_up_that_hangs_is_waited_for_until_its_deadline() {
    let (conmon, fd) = process();
    let process = container("c", None, Some(fd));
    let by = Duration::from_secs(9);
    let watched = WatchedProcess { number: 0, process, ended_by: Some(by) };
    assert!(!watched.has_ended(by - SOON));
    assert!(watched.has_ended(by));
    end(conmon);
}

#[test]
fn no_exit_overtakes_what_was_found() {
    let ((own, own_fd), (conmon, conmon_fd)) = (process(), process());
    let (exits, pod, events) = watch(own_fd, conmon_fd);
    let ((other, other_fd), (its_conmon, its_conmon_fd)) = (process(), process());
    let process = container("d", Some(other_fd), Some(its_conmon_fd));
    let quiet = exits.watch(&pod, vec![process]);
    [own, conmon, other, its_conmon].into_iter().for_each(end);
    assert!(events.recv_timeout(SOON).is_err());
    drop(quiet);
    assert_eq!(events.recv_timeout(PATIENCE), Ok(Event::Exited(ENGINE, pod)));
    assert!(events.recv_timeout(SOON).is_err(), "the former registration was replaced");
}

#[test]
fn who_has_to_go_is_asked_first_and_killed_if_it_does_not() {
    let script = "trap '' TERM; echo; while :; do sleep 1; done";
    let mut deaf = Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    deaf.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let ((mut own, own_fd), (conmon, conmon_fd)) = (process(), process());
    let (exits, pod, _events) = watch(own_fd, conmon_fd);
    exits.terminate(&pod, PATIENCE);
    assert_eq!(own.wait().unwrap().signal(), Some(Signal::TERM.as_raw()));
    drop(exits.watch(
        &pod,
        vec![container("c", Some(pidfd_open(Pid::from_child(&deaf), PidfdFlags::empty()).unwrap()), None)],
    ));
    exits.terminate(&pod, SOON);
    assert_eq!(deaf.wait().unwrap().signal(), Some(Signal::KILL.as_raw()));
    end(conmon);
}

#[test]
fn a_process_that_is_no_containers_is_not_taken_for_one() {
    let (child, _fd) = process();
    let pid = Pid::from_child(&child).as_raw_pid();
    let container = "5d1e1494c66b1979cb5c9d8ebb667ff2537e3c305d303fa3c6a9723ba8cdb038";
    assert_eq!(ContainerProcesses::open(container, pid, pid).unwrap_err(), WatchError::Unknown);
    end(child);
    assert_eq!(ContainerProcesses::open(container, pid, pid).unwrap_err(), WatchError::Gone);
    assert_eq!(ContainerProcesses::open(container, 0, 0).unwrap_err(), WatchError::Gone);
}
